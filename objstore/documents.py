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
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from .values import JSON, Missing

Meta: TypeAlias = Mapping[str, Any]
"""What a commit says about itself, as JSON: author, reason."""

Stamp: TypeAlias = Any
"""A version of a unit as its backing tells it: only handed back, and compared with ``is``."""


class Directory:
    """The type of DIRECTORY."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DIRECTORY"


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


class Commit(NamedTuple):
    """What was committed together."""

    number: int
    """1 for the first commit of a store, then one more each."""
    time: datetime
    """When, in UTC."""
    meta: Meta
    scope: str | None
    changes: tuple[Change, ...]


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
    def load(self, unit: str) -> Loaded:
        """The unit's newest contents and their stamp; (MISSING, None) where nothing is.

        Raises FormatError for a file that does not parse, LayoutError where a directory lies in
        the file's place, OutsideError for a link out of the store.
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

    @abstractmethod
    def keys(self, path: str) -> list[str]:
        """The keys of a directory's members, sorted; empty where there is no such directory.

        Raises LayoutError where a file lies in the directory's place, or two files make one key.
        """

    @abstractmethod
    def source(self, unit: str) -> str:
        """What error messages call the unit: its file's path within the store."""

    @abstractmethod
    def commit(
        self,
        changes: Sequence[Change],
        *,
        base: int,
        match: object = None,
        meta: Meta | None = None,
        scope: str | None = None,
    ) -> Commit:
        """Make all changes, or none, durable; return once they are.

        ``base`` is the commit that the writer had seen when it began. Raises ConflictError where a
        unit is no longer what its change's ``stamp`` says, BackingError where the medium refuses,
        ReadOnlyError. After any error, everything is as it was.
        """

    @abstractmethod
    def flush(self) -> None:
        """Return once all that was committed is where readers outside look for it."""

    @abstractmethod
    def close(self) -> None:
        """Release what is held. Closing again does nothing; any other call raises ClosedError."""

    def read(self, unit: str, at: int | None = None) -> JSON | Missing:
        """The unit's contents; ``at`` is a commit's number, None the newest.

        Raises ValueError for a number that this backing has no history for.
        """
        if at is not None and at != self.head():
            raise ValueError(f"commit {at} cannot be read: this backing keeps no history")
        return self.load(unit).value
