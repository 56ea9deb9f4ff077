"""The keys of a container in order: sorted when somebody asks, and kept so from then on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable
from typing import Final

_FEW: Final = 16
"""So many keys are put in order one by one; more are sorted when somebody asks."""


class KeyOrder:
    """Keys in order, once somebody asked. Whoever has it guards it."""

    __slots__ = ("_is_lent", "keys")

    def __init__(self) -> None:
        self.keys: list[str] | None = None
        self._is_lent = False
        """Whether somebody may still be reading ``keys``."""

    def copy(self) -> KeyOrder:
        """One that goes its own way from here."""
        copied = KeyOrder()
        copied.keys = self.keys
        copied._is_lent = self._is_lent = True
        return copied

    def lend(self, there: Iterable[str], low: str = "", high: str | None = None) -> list[str]:
        """The keys from ``low`` on and before ``high``, as a list that does not change any more.

        ``there`` has all keys, in any order, and is read where they are not sorted yet.
        """
        if self.keys is None:
            self.keys, self._is_lent = sorted(there), False
        keys = self.keys
        first = bisect_left(keys, low) if low else 0
        end = len(keys) if high is None else bisect_left(keys, high)
        if (first, end) != (0, len(keys)):
            return keys[first:end]
        self._is_lent = True
        return keys

    def note_changes(self, added: Collection[str], removed: Collection[str]) -> None:
        """Keep the order as it should be, or have it made again when somebody asks."""
        if self.keys is None or not (added or removed):
            return
        keys, self.keys = self.keys, None  # an interrupt must leave none that is half done
        if len(added) + len(removed) > _FEW:
            return
        if self._is_lent:
            keys = list(keys)
        for key in removed:
            del keys[bisect_left(keys, key)]
        for key in added:
            insort(keys, key)
        self.keys, self._is_lent = keys, False
