"""The contract of Documents: versioned units of one virtual document.

A store is one JSON document spread over units. A *unit* is what is read and written whole: a file,
on a file system. Its address is a JSON Pointer that crosses directories (``/people/ada``); the
addresses above it (``/people``) are directories. A backing makes Documents; the object layer needs
nothing else of it.

Nothing here assumes a shared disk or a shared clock: commit numbers come from the backing, every
call may fail half-way, and an error says that nothing was committed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from .errors import HistoryGone
from .values import JSON, MISSING, Missing, show

if TYPE_CHECKING:
    from .retention import Retention

Meta: TypeAlias = Mapping[str, Any]
"""What a commit says about itself, as JSON: author, reason."""

Stamp: TypeAlias = Any
"""A version of a unit as its backing tells it: only handed back, and compared with ``is``."""


class Directory:
    """The type of DIRECTORY."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DIRECTORY"


AUTOID: Final = "$autoid"
"""Under which a commit's meta says which numbers it gave, for stores alone: see ``_autoids``."""

_TOLD: Final = 3
"""How many units the text of a Commit names."""

DIRECTORY: Final = Directory()
"""What ``Documents.look`` answers where a directory is."""


class Change(NamedTuple):
    """One unit's change."""

    unit: str
    """The unit's JSON Pointer."""
    old: JSON | Missing
    """Its contents before; MISSING where it is made."""
    new: JSON | Missing
    """Its contents after; MISSING where it is deleted."""
    stamp: Stamp = None
    """In a request, the version that ``old`` was read at; in a Commit, the one that it left. None
    where the unit was or is missing."""

    def __str__(self) -> str:
        what = "deleted" if self.new is MISSING else "made" if self.old is MISSING else "changed"
        return f"{self.unit} {what}"


class Commit(NamedTuple):
    """What was committed together."""

    number: int
    """1 for the first commit of a store, then one more each."""
    time: datetime
    """When, in UTC."""
    meta: Meta
    scope: str | None
    """The scope that was written to; None for the base, and "" is a scope like any other."""
    changes: tuple[Change, ...]
    external: bool = False
    """Whether it is an edit that somebody made to the files."""
    tx: str | None = None
    """The id of the transaction that it was given, so that a retry can find it."""
    unknown: frozenset[str] = frozenset()
    """The units of which nobody knows what they were before; ``old`` is MISSING for these."""

    def __str__(self) -> str:
        """One line: number, time, what it did to which units, what it says about itself."""
        told = [self._told(change) for change in self.changes[:_TOLD]]
        if len(self.changes) > _TOLD:
            told.append(f"{len(self.changes) - _TOLD} more")
        about = [f"{k}: {show(v)}" for k, v in self.meta.items() if not k.startswith("$")]
        scope = [] if self.scope is None else [f"scope: {show(self.scope)}"]
        outside = ["made outside"] if self.external else []
        notes = "; ".join([*scope, *outside, *about])
        return (
            f"commit {self.number}, {self.time:%Y-%m-%d %H:%M:%S}: {', '.join(told) or 'nothing'}"
            f"{f' ({notes})' if notes else ''}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"

    def __hash__(self) -> int:
        return hash((self.number, self.time))  # meta and changes have none

    def without_numbers(self) -> Commit:
        """The commit as programs are shown it: with the meta that it was given, and no more."""
        if AUTOID not in self.meta:
            return self
        return self._replace(meta={key: self.meta[key] for key in self.meta if key != AUTOID})

    def _told(self, change: Change) -> str:
        if change.unit in self.unknown and change.new is not MISSING:
            return f"{change.unit} changed"
        return str(change)


Waiting: TypeAlias = Callable[[Commit], AbstractContextManager[None]]
"""See ``Documents.commit``."""

Again: TypeAlias = Callable[[], tuple[Sequence[Change], Mapping[str, Stamp]]]
"""Gives ``changes`` and ``match`` of ``Documents.commit`` as of now."""


class Overlay(NamedTuple):
    """A unit in a scope."""

    base: JSON | Missing
    """The contents that it had outside when the scope last changed it."""
    value: JSON | Missing
    """Its contents in the scope."""
    stamp: Stamp = None
    """The version that ``value`` is."""


class Loaded(NamedTuple):
    """A unit's contents and the version that they are."""

    value: JSON | Missing
    stamp: Stamp


class Documents(ABC):
    """Versioned units; made by a backing, used by one Store, safe between threads."""

    @abstractmethod
    def head(self) -> int:
        """The number of the newest commit; 0 before the first."""

    @abstractmethod
    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        """The unit's contents and their stamp; (MISSING, None) where nothing is.

        ``at`` is a commit's number: what the unit was after it; None is now, with what was changed
        outside since the newest commit. A unit that nobody has committed to is now as it always
        was. A stamp of contents that are not the newest is refused when a commit gives it.

        Raises FormatError for a file that does not parse, LayoutError where a directory lies in
        the file's place, OutsideError for a link out of the store; CommitNumberError for a negative
        ``at``, CommitNotFoundError for one in the future, HistoryGone for one that was
        removed, or from before the first that the store knows of a unit that was not its own then.
        """

    @abstractmethod
    def look(
        self, path: str, known: Stamp = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """What is at ``path`` now, as cheaply as can be told (one stat on a file system).

        None where nothing is or can be by that name; DIRECTORY; otherwise the unit's stamp,
        which is ``known`` itself as long as the contents are the ones that ``known`` was given for.
        With ``sure=False`` a change that only reading the contents could tell may be passed over: a
        commit that gives the stamp finds it. A stamp made here may tell less than one from
        ``load``: a commit that gives it has its ``old`` compared with the contents as well.
        """

    def shown(self) -> int:
        """The newest commit that is shown, with all before it, to who does not make it."""
        return self.head()

    def changed(self, unit: str) -> int:
        """The newest commit of the unit that this handle knows of, since it first looked.

        0 for none, and where no unit gets the stamp again that it had before a commit.
        """
        return 0

    @abstractmethod
    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        """The keys of a directory's members, sorted; empty where there is no such directory.

        Raises LayoutError where a file lies in the directory's place, or two files make one key;
        for ``at`` what ``load`` raises.
        """

    def has_keys(self, path: str, *, at: int | None = None) -> bool:
        """Whether a directory has any, which may be known before all of them are."""
        return bool(self.keys(path, at=at))

    @abstractmethod
    def source(self, unit: str) -> str:
        """What error messages call the unit: its file's path within the store."""

    @abstractmethod
    def commit(
        self,
        changes: Sequence[Change],
        *,
        base: int,
        match: Mapping[str, Stamp] | None = None,
        meta: Meta | None = None,
        scope: str | None = None,
        tx: str | None = None,
        waiting: Waiting | None = None,
        again: Again | None = None,
    ) -> Commit:
        """Make all changes, or none, durable; return once they are.

        ``base`` is the commit that the writer had seen when it began. ``match`` holds what the
        changes rest on, judged under the same lock as they are made: units with the stamps that
        they must still have, directories with the tuple of keys. In a ``scope`` a change's ``old``
        and ``new`` are the unit's contents there, and its ``stamp`` is the overlay's: None for a
        unit that the scope has not changed yet. What such a commit leaves in a scope has a stamp
        even where it is MISSING; a change there whose ``new`` is its ``old`` changes nothing, is no
        part of the commit, and only asks for its stamp. ``match`` is about the base, in a scope as
        well. ``tx`` is kept with the commit.

        ``waiting`` is entered with the commit while nothing is left to do but to wait for
        the medium: what the caller holds can be let go for so long, and then others' commits share
        the wait. A backing that does not wait may leave it out.

        Where a unit is no longer what its stamp says, ``again`` is asked for the changes once more.
        That happens under the lock, so that of those who change one file without a pause each gets
        its turn; a backing may leave it out. What it raises is raised.

        Raises ConflictError where a unit is no longer what its stamp says, BackingError where the
        medium refuses, ReadOnlyError. After any error, everything is as it was.
        """

    @abstractmethod
    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        """The commits numbered above ``after`` up to the head as it is now, oldest first.

        Only those that touched ``path`` (a JSON Pointer, also one into a unit), something below it,
        or something above it as a whole; in every scope. Raises what ``load`` raises for ``at``,
        where ``after`` is no number that the next commit's could follow.
        """

    def commits_left(self, after: int, path: str = "") -> Iterator[Commit]:
        """The same of those that are left, where ``after`` itself may have been removed."""
        try:
            for commit in self.commits(after, path):
                after = commit.number
                yield commit
        except HistoryGone:  # which commits are left behind that one, nothing says
            yield from (one for one in self.commits(0, path) if one.number > after)

    def commit_of(self, tx: str, after: int = 0) -> Commit | None:
        """The commit above ``after`` that was given this ``tx``; None for none. It is as durable
        then as if this handle had made it: whoever did may have died before it was."""
        return next((one for one in self.commits_left(after) if one.tx == tx), None)

    @abstractmethod
    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """Have ``hear`` called for every commit from now on, each once, in their order.

        Also for those of other processes, when this handle learns of them. ``hear`` runs on the
        thread that commits or learns, and must return soon, commit nothing and raise nothing. Where
        it is interrupted, as by Ctrl-C, it gets that commit once more. The result ends it.
        """

    @abstractmethod
    def scopes(self) -> list[str]:
        """The scopes that have been written to and not deleted, sorted."""

    @abstractmethod
    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        """The units that a scope has changed; none for an unknown one.

        Never changed afterwards, and the same mapping until the scope is.
        """

    @abstractmethod
    def delete_scope(self, scope: str) -> Commit:
        """Forget what a scope changed: a commit in it, of its units from there back to the base.

        Raises ScopeNotFoundError for an unknown one.
        """

    @abstractmethod
    def switch_and_snapshot(self) -> int:
        """Take a snapshot of the newest commit, and return that one's number.

        Reads and writes go on meanwhile. Raises TransactionError if another one is running.
        """

    @abstractmethod
    def compact(self, retention: Retention) -> list[int]:
        """Remove the commits that ``retention`` does not keep; the numbers of those removed.

        The newest commit and pinned ones always stay. What stays is read as before; a change that
        goes becomes part of the next commit that stays. Reads and writes go on meanwhile. Raises
        BusyError while another thread or process compacts.
        """

    @abstractmethod
    def pin(self, number: int) -> None:
        """Keep a commit from being compacted, until ``unpin``. Raises what ``load`` does."""

    @abstractmethod
    def unpin(self, number: int) -> None:
        """Let compaction remove a commit again; nothing happens if it is not pinned."""

    @abstractmethod
    def pins(self) -> frozenset[int]:
        """The commits that are pinned."""

    @abstractmethod
    def flush(self) -> None:
        """Return once all that was committed is where readers outside look for it."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Closing again does nothing; any other call raises ClosedError."""

    def read(self, unit: str, at: int | None = None) -> JSON | Missing:
        """The unit's contents; ``at`` is a commit's number, None the newest. Raises as ``load``."""
        return self.load(unit, at=at).value
