"""What a Store keeps beside its objects: events, blobs, containers."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast, runtime_checkable

from ._news import News
from ._past import PastDocuments
from ._scoped import ScopedDocuments
from .documents import Commit, Documents
from .transaction import Host
from .values import JSON, MISSING

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from .containers import Containers
    from .depot import Depot
    from .events import EventLog
    from .references import Dangling

T = TypeVar("T")

_logger: Final = logging.getLogger(__name__)

_AT_ONCE: Final = 64
"""How many commits are followed with one sync."""


@runtime_checkable
class Company(Protocol):
    """Documents that have a place for more than documents.

    Each is opened once by a Store, and makes nothing on the medium before it is written to.
    """

    def identity(self) -> UUID | None:
        """What tells this store from all others; None before there is anything in it."""
        ...

    def open_containers(self) -> Containers:
        """Its key/value containers."""
        ...

    def open_events(self) -> EventLog:
        """Its event log."""
        ...

    def open_depot(self) -> Depot:
        """Its blobs."""
        ...


class Beside(Host):
    """The part of a Store that is about what lies beside its objects."""

    url: str
    _documents: Documents

    def __init__(self) -> None:
        super().__init__()
        self._company: dict[str, Any] = {}  # guarded by lock for writing
        self._follows = False  # whether commits are made events until the store is closed
        self._following = RLock()  # a consumer of events may follow commits itself

    def begin_in_child(self, held: Collection[Any]) -> None:
        super().begin_in_child(held)
        self._following = RLock()

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""

    @abstractmethod
    def _contents_of_files(self) -> Iterator[tuple[str, JSON]]:
        """The pointer and contents of every file, also of one that its schema refuses."""

    @abstractmethod
    def on_change(self, path: str, callback: Callable[[News], object]) -> Callable[[], None]:
        """Have ``callback`` called with every change of ``path`` from now on."""

    @property
    def containers(self) -> Containers:
        """Key/value containers by name: ``store.containers["cache"]["key"] = value``."""
        return self._beside("containers", lambda company: company.open_containers())

    @property
    def events(self) -> EventLog:
        """The event log."""
        return self._beside("events", lambda company: company.open_events())

    @property
    def depot(self) -> Depot:
        """The blobs."""
        return self._beside("depot", lambda company: company.open_depot())

    def follow_commits(self, *, live: bool = False) -> int:
        """Append an event of type ``commit`` to ``events`` for each commit that has none yet.

        One subscription to ``events`` then hears of both. Returns how many were new; the commits
        that compaction has removed are not among them. With ``live`` it goes on until the store is
        closed, with each commit that ``on_change`` tells of, by the thread that tells; what fails
        there is logged, and made up for with the next commit. Safe to be called by several threads
        and processes: every commit is one event.
        """
        count = self._make_events()
        if live:
            with self._following:
                is_first, self._follows = not self._follows, True
            if is_first:
                self.on_change("", self._go_on)
                count += self._make_events()  # those in between
        return count

    def _go_on(self, news: News) -> None:
        if isinstance(news, Commit):
            self._make_events()

    def _make_events(self) -> int:
        source = self._require_company().identity()
        if source is None:
            return 0
        events = self.events
        with self._following:
            followed = events.followed(source)
            commits = self._documents.commits_left(followed)
            return events.follow_commits(commits, source=source, at_once=_AT_ONCE)

    def _depot_with_blobs(self) -> Depot | None:
        if not isinstance(self._documents, Company):
            return None
        return self.depot if any(True for _ in self.depot.identifiers()) else None

    def dangling(self) -> list[Dangling]:
        """The references to blobs that cannot be read, and the blobs that no document refers to.

        Reads every file, and what scopes have changed; links in containers and events are not
        looked for, and what only these refer to is in the list too. A blob that is still being
        written is not told of. Raises what reading a file does, as FormatError: nobody knows what
        that one refers to.
        """
        from .references import find_dangling  # with the depot: most stores have no blobs

        documents = self._documents
        scoped = (
            (scope, unit, overlay.value)
            for scope in documents.scopes()
            for unit, overlay in sorted(documents.overlays(scope).items())
            if overlay.value is not MISSING
        )
        return list(find_dangling(self._contents_of_files(), self.depot, scoped))

    def _beside(self, name: str, open_: Callable[[Company], T]) -> T:
        self._require_open()
        with self.lock:
            found = self._company.get(name)
            if found is None:
                found = self._company[name] = open_(self._require_company())
            return cast(T, found)

    def _require_company(self) -> Company:
        self._require_open()
        documents = self._documents
        if isinstance(documents, Company):
            return documents
        if isinstance(documents, ScopedDocuments | PastDocuments):
            reason = "no containers, events and blobs of its own: use those of the store itself"
            raise AttributeError(f"{self!r} has {reason}")  # noqa: TRY004 - as of any object
        raise AttributeError(f"{self.url} has no place for containers, events and blobs")

    def _close_company(self) -> None:
        """Close what was opened. Call without ``lock``: subscriptions may end with it."""
        if self._follows:
            self._follows = False
            try:
                self._make_events()  # what was committed last may not have been told yet
            except Exception:  # also what a consumer raises: a store closes all the same
                _logger.exception("the last commits of %s were not all made events", self.url)
        if not self._company:
            return
        with self.lock:
            opened, self._company = list(self._company.values()), {}
        with ExitStack() as each:  # all of them, whatever one raises
            for one in opened:
                close = getattr(one, "close", None)
                if close is not None:
                    each.callback(close)
