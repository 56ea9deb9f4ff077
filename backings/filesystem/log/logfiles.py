"""The files of the commit log, all generations of them, for who reads back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import takewhile
from threading import Lock
from typing import Final, TypeAlias

from ..io import Files
from .logfile import LogFile, generations

Ranges: TypeAlias = "Sequence[Sequence[int]]"
"""Numbers as pairs of the first and the last of a run, ascending."""


class LogFiles:
    """Keeps files open that were read. Safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._guard: Final = Lock()
        self._open: Final[dict[int, LogFile]] = {}  # guarded by _guard

    def file(self, generation: int) -> LogFile | None:
        """The file of a generation, perhaps as it was before it was compacted; None for none."""
        with self._guard:
            kept = self._open.get(generation)
        return kept or self._opened(generation)

    def from_number(self, number: int) -> Iterator[LogFile]:
        """The file that has the record of that number, and those behind it; nothing if none has."""
        there = self.all()
        first = bisect_left(there, number, key=lambda file: file.start.after) - 1
        return iter(there[first:] if first >= 0 else [])

    def removed(self) -> Ranges:
        """The numbers of the records that compaction has removed, or damage."""
        there = self.all()
        return there[0].start.removed or [] if there else []

    def lost(self) -> Ranges:
        """Those that damage has."""
        there = self.all()
        return there[0].start.lost or [] if there else []

    def all(self) -> list[LogFile]:
        """Every file that counts as it is now, oldest first.

        The one that was compacted last has all that is left from before; what stands before it is
        what a crash kept from being removed.
        """
        there = (self._current(generation) for generation in reversed(generations(self._files)))
        found: list[LogFile] = []
        for file in filter(None, there):
            found.append(file)
            if file.start.removed is not None:
                break
        return found[::-1]

    def _current(self, generation: int) -> LogFile | None:
        with self._guard:
            kept = self._open.get(generation)
        if kept is not None and kept.is_in_place():
            return kept
        return self._opened(generation)

    def _opened(self, generation: int) -> LogFile | None:
        file = LogFile.open(self._files, generation)
        with self._guard:
            if file is None:
                self._open.pop(generation, None)
            else:
                self._open[generation] = file
        return file


def includes(ranges: Ranges, number: int) -> bool:
    """Whether a number is in one of the runs."""
    before = list(takewhile(lambda run: run[0] <= number, ranges))
    return bool(before) and number <= before[-1][1]
