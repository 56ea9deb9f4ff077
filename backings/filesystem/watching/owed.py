"""Owed: what could not be looked at, or taken in as the disk was full, and is tried again later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

FIRST: Final = 0.5
LONGEST: Final = 30.0
"""How many seconds pass before it is told again; twice as many each time, up to a limit."""


class Seen(NamedTuple):
    """What was found where something had happened."""

    units: dict[str, str]
    """The units that may have changed, with their paths."""
    there: set[str]
    """Those of them that were there before, perhaps with others."""
    appended: bool
    """Whether the log may have."""


class Place(NamedTuple):
    """A folder that is to be looked at."""

    folder: str
    lost: bool
    """Whether nobody knows what happened below it; else all below it is what happened."""


_T = TypeVar("_T", Seen, Place)


class Owed(Generic[_T]):
    """What is to be tried again. Used by one thread.

    What was seen together stays so, and apart from the rest: one that can never be taken in holds
    back no other.
    """

    def __init__(self) -> None:
        self.all: list[_T] = []
        self._pause = FIRST
        self.due: float | None = None
        """When it is tried again (``time.monotonic``); None for nothing."""

    def add(self, one: _T) -> None:
        """Owe it, once."""
        if one not in self.all:
            self.all.append(one)
            if self.due is None:
                self.due = time.monotonic() + self._pause

    def settle(self, attempt: Callable[[_T], bool]) -> None:
        """Try what is due; what ``attempt`` returns False for goes on being owed."""
        if self.due is None or self.due > time.monotonic():
            return
        try:
            self.all = [one for one in self.all if not attempt(one)]
        finally:
            self._pause = min(2 * self._pause, LONGEST) if self.all else FIRST
            self.due = time.monotonic() + self._pause if self.all else None
