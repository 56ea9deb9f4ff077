"""Bursts: which of the things that happen to files belong together, and when they are over.

A program that saves a file does several things to it: writes it in pieces, moves it away as a
backup and makes it anew, renames another over it. A checkout does that to hundreds. What is looked
at too early is half of it; what is looked at late is late. Hence every kind of event has a time of
its own that must pass without another one.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

ONE: Final = 0.0002
"""After a file that is whole and the first for a while: just long enough to see whether others
follow. Programs that write many have the next one there within 0.1 ms."""

FEW: Final = 0.005
MANY: Final = 0.03
"""After one of several, and of many."""

GONE: Final = 0.05
"""After a file went: most come back at once, as editors move the old one away first."""

OPEN: Final = 1.0
"""After a file was written and not closed: who writes slowly closes in the end, and who never does
pauses."""

LONGEST: Final = 2.0
"""A burst that does not end is told in parts of so many seconds."""

_MANY: Final = 8


class Kind(Enum):
    """What happened to a path."""

    WHOLE = "whole"
    """A file was closed by its writer, or moved to the path."""
    OPEN = "open"
    """A file was made, or written to."""
    GONE = "gone"
    """A file was removed, or moved away."""
    FOLDER = "folder"
    """A folder came, went or changed its name."""
    DOUBTFUL = "doubtful"
    """Nothing; but a file was found broken that may not be, a moment later."""
    LOST = "lost"
    """Nobody knows what happened below the path."""


_HOLDS: Final = {
    Kind.OPEN: OPEN,
    Kind.GONE: GONE,
    Kind.DOUBTFUL: GONE,
    Kind.FOLDER: MANY,
    Kind.LOST: MANY,
}
"""How long a path may yet become something else, in seconds."""


class Batch(NamedTuple):
    """What happened, each path once."""

    files: list[str]
    folders: list[str]
    lost: bool


class OpenBurst:
    """What happened and is not over yet. Whoever uses it holds a lock; times are in seconds."""

    def __init__(self) -> None:
        self._files: dict[str, Kind] = {}
        self._folders: set[str] = set()
        self._lost = False
        self._held: dict[str, float] = {}
        """Until when a path may become something else; not for files that are whole."""
        self._open: set[str] = set()
        """The files that are being written."""
        self._moved: dict[int, str] = {}
        self._calm = True
        self._first = self._last = float("-inf")

    def __len__(self) -> int:
        return len(self._files) + len(self._folders) + self._lost

    @property
    def is_whole(self) -> bool:
        """Whether nothing is expected to become something else."""
        return not self._held

    @property
    def is_closed(self) -> bool:
        """Whether no file is being written: what else is expected comes within ``GONE``."""
        return not self._open

    @property
    def last(self) -> float:
        """When the last of all this happened."""
        return self._last

    @property
    def first(self) -> float:
        """When the first of all this happened."""
        return self._first

    def put(self, path: str, kind: Kind, now: float, *, move: int = 0) -> None:
        """Note an event. Two that are one rename have the same ``move``, other than 0."""
        if kind is Kind.DOUBTFUL and path in self._files:
            return  # it is about to be looked at
        if not self:
            self._first, self._calm = now, now - self._last > GONE
        self._last = now
        if kind is Kind.LOST:
            self._lost = True
        elif kind is Kind.FOLDER:
            self._folders.add(path)
        else:
            self._files[path] = kind
        if kind is Kind.OPEN:
            self._open.add(path)
        else:
            self._open.discard(path)
        hold = _HOLDS.get(kind)
        if hold is None:
            self._held.pop(path, None)
        else:
            self._held[path] = now + hold
        if move:
            self._pair(path, kind, move)

    def due(self) -> float:
        """When all is over, if nothing more happens."""
        quiet = MANY if len(self) >= _MANY else FEW
        if len(self) == 1 and self._calm:
            quiet = ONE
        settled = max(self._last + quiet, *self._held.values(), self._first)
        return min(settled, self._first + LONGEST)

    def take(self, now: float) -> Batch:
        """All that happened, but for files that are still being written."""
        still = {
            path: until
            for path, until in self._held.items()
            if until > now and self._files.get(path) is Kind.OPEN
        }
        batch = Batch([f for f in self._files if f not in still], [*self._folders], self._lost)
        self._files = dict.fromkeys(still, Kind.OPEN)
        self._open = set(still)
        self._folders, self._lost, self._held, self._moved = set(), False, still, {}
        self._first, self._calm = now, False
        return batch

    def _pair(self, path: str, kind: Kind, move: int) -> None:
        """A file that was moved to another key's name has gone, and will not come back."""
        if kind is Kind.GONE:
            self._moved[move] = path
        else:
            self._held.pop(self._moved.pop(move, ""), None)
