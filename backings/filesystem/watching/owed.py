"""Owed: what nobody could take in, as the disk was full, and is told again later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

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


class Owed:
    """What is to be told again. Used by one thread.

    What was seen together stays so, and apart from the rest: one that can never be taken in holds
    back no other.
    """

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._pause = FIRST
        self.due: float | None = None
        """When it is told again (``time.monotonic``); None for nothing."""

    def add(self, seen: Seen) -> None:
        """Owe what was seen, if there are units in it."""
        if seen.units:
            self._seen.append(seen)
            if self.due is None:
                self.due = time.monotonic() + self._pause

    def without(self, seen: Seen) -> Seen:
        """The units that are not owed: an attempt may be what has changed those that are."""
        owed = {unit for one in self._seen for unit in one.units}
        units = {unit: path for unit, path in seen.units.items() if unit not in owed}
        return seen._replace(units=units)

    def tell(self, tell: Callable[[Seen], bool]) -> None:
        """Tell what is due; what ``tell`` returns False for goes on being owed."""
        if self.due is None or self.due > time.monotonic():
            return
        try:
            self._seen = [one for one in self._seen if not tell(one)]
        finally:
            self._pause = min(2 * self._pause, LONGEST) if self._seen else FIRST
            self.due = time.monotonic() + self._pause if self._seen else None
