"""Watching: a Store hears of commits, and follows what is edited by hand.

A backing that can tell what changes outside (``Watchable``) does so in bursts. Of each burst, what
parses and fits the schema becomes one commit; what does not is told as Invalid, and Objects go on
showing what was there before. Commits of other processes are heard of through the backing's log.
"""

from __future__ import annotations

import logging
import threading
import weakref
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    cast,
)

from ._callbacks import Callbacks
from ._feed import Feed
from ._forks import rest
from ._news import Invalid, Mended, News, invalid
from ._past import number_of, require_known
from ._plain import require_plain
from ._references import References
from ._units import UNLOADED, Unit, View
from .documents import Change, Commit, Documents, Loaded
from .errors import (
    BackingError,
    ClosedError,
    Failure,
    FormatError,
    KeyNameError,
    LayoutError,
    ObjstoreError,
    OutsideError,
    ValidationError,
)
from .paths import address
from .pointer import split
from .transaction import Host, Transaction
from .values import JSON, MISSING, Missing
from .watchable import Burst, Watchable

if TYPE_CHECKING:
    from ._shapes import Shape
    from .objects import Object

_logger: Final = logging.getLogger(__name__)

_UNREADABLE: Final = (FormatError, LayoutError, KeyNameError, OutsideError, BackingError)


class Watching(Host):
    """What a Store tells of changes, as they come."""

    url: str
    readonly: bool
    _scope: str | None
    _documents: Documents
    _by_path: References[str, Unit]

    @abstractmethod
    def _root_class(self) -> type[Object]:
        """The class of the root."""

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""

    def __init__(self) -> None:
        super().__init__()
        # Guarded by lock.
        self._broken: dict[str, Invalid] = {}
        """Files that are broken now, with Objects that show what was in them before."""
        self._told: dict[str, Invalid] = {}
        """What was told of those that were told of; feeds have heard of it when this changes."""
        # Of the watch's thread: files that were found broken once, perhaps amid being written.
        self._doubtful: set[str] = set()
        # Of the same: units that came, and have not been valid yet.
        self._unborn: set[str] = set()
        # Of the same: why units that came together could not be taken in, as it was logged.
        self._refused: dict[tuple[str, ...], str] = {}
        self._end_watch: Callable[[], None] | None = None
        # What happens between two bursts; appended to by any thread, taken from by the watch's.
        self._heard: deque[Commit] = deque()
        # Guarded by _feeds_lock; made for the first, as few stores have any.
        self._feeds: weakref.WeakSet[Feed[News]] | None = None
        self._callbacks: Callbacks | None = None  # guarded by _feeds_lock
        self._has_ended = False
        """Whether nothing is told any more. Guarded by _feeds_lock."""
        self._feeds_lock = threading.RLock()
        self._busy = threading.Lock()
        """Held while a burst is worked on."""
        rest(self)

    # --- forks ------------------------------------------------------------------------------------

    def resting_locks(self) -> Collection[Any]:
        """With which nobody is amid a burst, or anything of the store."""
        return self._busy, self.lock

    def begin_in_child(self, held: Collection[Any]) -> None:
        super().begin_in_child(held)
        if self._busy not in held:
            self._busy = threading.Lock()
        if self.lock not in held:
            self.lock = threading.RLock()
        self._feeds_lock = threading.RLock()
        for feed in self._feeds or ():
            feed.begin_in_child()
        # What they have committed, the log tells.
        self._saved = None
        self._saving.clear()
        self._line.clear()
        for tx in self._running:
            if tx._owner[0] != threading.get_ident():
                tx._state = "ended"
        self._end_all()

    # --- for users --------------------------------------------------------------------------------

    def on_change(self, path: str, callback: Callable[[News], object]) -> Callable[[], None]:
        """Have ``callback`` called with every change of ``path`` from now on; the result ends it.

        A change is a Commit, whoever made it: ``external`` is set where somebody edited the files.
        It concerns a path if it changed that, something below it, or what it is in as a whole. In
        a store that watches its files, Invalid says that a file was edited so that it cannot be
        read, and Mended that it can again. Every callback of a store runs on one thread, which
        holds no lock; what a callback raises is logged. Objects are as of the change or newer.

        Without ``watch=True``, an edit made outside is heard of when somebody commits it: a store
        that watches, or whoever next commits to its file. Raises TypeError for what cannot be
        called, and for coroutine and generator functions, which would never run.
        """
        self._require_open()
        require_plain(callback, "on_change takes")
        pointer = address(path)
        with self.lock, self._feeds_lock:
            if self._callbacks is None or not self._callbacks.is_alive:
                head, name = self._documents.head(), f"changes of {self.url}"
                self._callbacks = Callbacks(self._feed_of_all, head, self._told, name)
            return self._callbacks.add(pointer, callback, self._documents.head())

    def changes(
        self, path: str = "", *, after: int | Commit | None = None, limit: int = 1024
    ) -> Feed[News]:
        """Iterate over the changes of ``path``, and wait for more: what ``on_change`` tells.

        With ``after``, a commit or its number, it begins with the one that follows; otherwise with
        the next. Ends when it is closed, or the store: it is a context manager. ``take(timeout)``
        waits so long for one; ``async for`` works as well. A consumer who lets ``limit`` changes
        wait is dropped, and gets SlowConsumerError behind them. Raises what ``at`` does for
        ``after``.
        """
        self._require_open()
        number = None if after is None else number_of(after)
        if number is not None:
            require_known(self._documents, number)
        return self._feed(number, address(path), limit)

    def _feed(self, after: int | None, path: str = "", limit: int = 1024) -> Feed[News]:
        feed: Feed[News] = Feed(
            self._documents, after=after, path=path, limit=limit, before=self._take_in
        )
        with self._feeds_lock:
            if self._feeds is None:
                self._feeds = weakref.WeakSet()
            self._feeds.add(feed)
            is_late = self._has_ended
        if is_late:
            feed.close()
        return feed

    def _feed_of_all(self, after: int | None, told: Mapping[str, Invalid]) -> Feed[News]:
        """A feed for who was ``told`` what is broken; behind what was committed it says the rest.

        That is what is broken now and was not told so, and what was and is no more: the log has
        nothing of either.
        """
        with self.lock:
            feed, now = self._feed(after), self._told
            for unit in told.keys() - now.keys():
                feed.tell(Mended(unit, told[unit].source))
            for unit, news in now.items():
                if unit not in told or told[unit].reason != news.reason:
                    feed.tell(news)
        return feed

    def _tell(self, news: Invalid | Mended) -> None:
        """Tell all feeds. Call with ``lock``, as what was told changes with it."""
        with self._feeds_lock:
            feeds = list(self._feeds or ())
        for feed in feeds:
            feed.tell(news)

    # --- beginning and end ------------------------------------------------------------------------

    def _watch(self) -> None:
        """Follow what is edited outside, until the store is closed.

        Raises ValueError where that is not to be had, BackingError where the system cannot.
        """
        documents = self._documents
        if not isinstance(documents, Watchable):
            raise ValueError(  # noqa: TRY004 - it is the option that does not fit
                f"{self.url} cannot be watched: its backing keeps no files that others edit; "
                "on_change and changes tell of its commits without watch=True"
            )
        if self.readonly:
            raise ValueError("watch=True enters edits into the log, and readonly=True forbids it")
        stop_listening = documents.listen(self._heard.append)
        try:
            stop_watching = documents.watch(self._follow)
        except BaseException:
            stop_listening()
            raise

        def end() -> None:
            stop_watching()
            stop_listening()

        self._end_watch = end

    def _stop_following(self) -> None:
        """End the watch, callbacks and iterators. Call without ``lock``: their threads take it."""
        end, self._end_watch = self._end_watch, None
        if end is not None:
            end()
        with self._feeds_lock:
            self._has_ended = True
            callbacks, feeds = self._callbacks, list(self._feeds or ())
        # First, as a callback may wait for one of them.
        for feed in feeds:
            feed.close()
        if callbacks is not None:
            callbacks.end()

    # --- on the watch's thread --------------------------------------------------------------------

    def _follow(self, burst: Burst) -> Collection[str] | None:
        """Take in what happened outside; which units are to be looked at again, None for all."""
        doubtful: list[str] = []
        with self._busy:
            documents = cast("Watchable", self._documents)
            try:
                if burst.appended:
                    documents.refresh()
                if burst.units:
                    doubtful = self._enter(documents, burst)
                while self._heard:
                    self._take_in(self._heard.popleft())
            except ObjstoreError as error:  # told, as nobody waits for it
                if str(error) not in self._refused.values():  # once, whatever waits for it
                    _logger.exception("edits of %s could not be taken in for now", self.url)
                self._refused[(*burst.units,)] = str(error)
                return None
        self._refused.pop((*burst.units,), None)
        return doubtful

    def _enter(self, documents: Watchable, burst: Burst) -> list[str]:
        """Make what was edited, and is valid, a commit; tell of what was broken before as well."""
        shapes = {unit: self._shape_at(unit) for unit in burst.units}
        judge = _Judgement({unit: shape for unit, shape in shapes.items() if shape is not None})
        self._unborn |= {*judge.shapes}.difference(burst.there)
        was = {unit: self._shown(unit) for unit in judge.shapes}
        known = {unit: shown for unit, shown in was.items() if shown is not None}
        documents.commit_external([*judge.shapes], judge, was=known, there=burst.there)
        doubtful: list[str] = []
        for unit in judge.shapes:
            refusal = judge.refused.get(unit)
            if refusal is None:
                self._doubtful.discard(unit)
                self._unborn.discard(unit)
                if unit in self._broken:
                    self._whole(unit, judge.shapes[unit])
            elif unit in self._doubtful:
                self._doubtful.remove(unit)
                self._tell_broken(self._break(unit, self._error(unit, refusal)))
            else:
                self._doubtful.add(unit)
                doubtful.append(unit)
        return doubtful

    def _shown(self, pointer: str) -> Loaded | None:
        """What a unit was before, as far as this store knows; None where it does not."""
        if pointer in self._unborn:
            return Loaded(MISSING, None)
        with self.lock:
            unit = self._by_path.get(pointer)
            if unit is None or not _is_shown(unit):
                return None
            return Loaded(cast("JSON", unit.value), unit.stamp)

    def _take_in(self, commit: Commit) -> None:
        """Show what others have committed; on the watch's thread, or on one that hears of it.

        Where a feed is first, this waits until the store itself has shown a commit of its own.
        """
        if commit.scope not in (None, self._scope):
            return
        try:
            with self.lock:
                for change in commit.changes:
                    unit = self._by_path.get(change.unit)
                    if unit is not None and unit.value is not UNLOADED:
                        self._show(unit, change)
        except ClosedError:
            return
        except ObjstoreError:  # whoever uses the Object is told
            _logger.exception("commit %d of %s could not be shown", commit.number, self.url)

    def _show(self, unit: Unit, change: Change) -> None:
        if change.new is unit.value or (change.stamp is not None and change.stamp is unit.stamp):
            return
        is_told = change.stamp is not None or change.new is MISSING
        if not is_told or self._documents.look(unit.pointer, change.stamp) is not change.stamp:
            # It goes on from there, or its stamp is another handle's, or not at hand.
            self.recheck(unit, None)
            return
        self._publish(unit, change.new, change.stamp, by=None)
        unit.failures = self.located(_misfits(unit.shape, change.new), unit)
        unit.since = self._newest()

    def _shape_at(self, pointer: str) -> Shape | None:
        """What the schema says of a unit; None where it has no place for it."""
        *above, key = split(pointer)
        cls = self._root_class()
        for token in above:
            shape = cls._info.shape_for(token)
            below = None if shape is None else shape.directory
            if below is None:
                return None
            cls = below
        return cls._info.shape_for(key)

    # --- what is broken ---------------------------------------------------------------------------

    def _whole(self, unit: str, shape: Shape) -> Loaded | None:
        """What is there of a unit; None where it is broken, which the watch will tell."""
        try:
            loaded = self._documents.load(unit)
        except _UNREADABLE as error:
            self._break(unit, error)
            return None
        misfits = _misfits(shape, loaded.value)
        if misfits:
            self._break(unit, self._error(unit, misfits))
            return None
        with self.lock:
            mended, told = self._broken.pop(unit, None), self._told.pop(unit, None)
            if mended is not None and told is not None:
                self._tell(Mended(unit, mended.source))
        return loaded

    def _break(self, unit: str, error: ObjstoreError) -> Invalid:
        news = invalid(unit, self._documents.source(unit), error)
        with self.lock:
            self._broken[unit] = news
        return news

    def _tell_broken(self, news: Invalid) -> None:
        with self.lock:
            told = self._told.get(news.unit)
            self._told[news.unit] = news
            if told is None or told.reason != news.reason:
                self._tell(news)

    def _error(self, unit: str, refusal: ObjstoreError | Sequence[Failure]) -> ObjstoreError:
        if isinstance(refusal, ObjstoreError):
            return refusal
        source = self._documents.source(unit)
        return ValidationError([failure._replace(source=source) for failure in refusal])

    def _publish(
        self,
        unit: Unit,
        value: Any,
        stamp: Any,
        *,
        by: Transaction | None,
        view: View | None = None,
    ) -> None:
        """As Host does; but what was shown and is broken now goes on being shown in a watch."""
        if value is UNLOADED and self._end_watch is not None and _is_shown(unit):
            found = self._whole(unit.pointer, unit.shape)
            if found is None:
                return
            super()._publish(unit, *found, by=by, view=view)
            unit.since = self._newest()  # as it has been loaded
        else:
            super()._publish(unit, value, stamp, by=by, view=view)

    def failures_of(self, view: View) -> list[Failure]:
        """As Host does; raises what is wrong with a file that is broken, as it is not replaced."""
        if view.unit.pointer in self._broken:
            self._require_whole(view.unit.pointer)
        return super().failures_of(view)

    def _require_whole(self, unit: str) -> None:
        """Raise what is wrong with a unit whose Objects show what it was before."""
        if unit in self._broken:
            shape = self._shape_at(unit)
            if shape is not None and self._whole(unit, shape) is None:
                raise self._broken[unit].error


class _Judgement:
    """Says of what was found whether it is valid, and keeps why it is not."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes: Final = shapes
        self.refused: Final[dict[str, ObjstoreError | Sequence[Failure]]] = {}

    def __call__(self, unit: str, found: Loaded | ObjstoreError) -> bool:
        refusal = found if isinstance(found, ObjstoreError) else self._misfits(unit, found)
        if refusal:
            self.refused[unit] = refusal
        else:
            self.refused.pop(unit, None)  # it was asked about before
        return not refusal

    def _misfits(self, unit: str, found: Loaded) -> list[Failure]:
        return _misfits(self.shapes[unit], found.value)


def _misfits(shape: Shape, value: JSON | Missing) -> list[Failure]:
    if value is MISSING or shape.anything:
        return []
    return shape.validator.failures(value, "")


def _is_shown(unit: Unit) -> bool:
    return unit.value is not UNLOADED and unit.value is not MISSING and not unit.failures
