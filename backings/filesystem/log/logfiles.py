"""The files of the commit log, all generations of them, for who reads back."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile
from threading import Lock
from typing import Final, TypeAlias

from .. import names
from ..io import Files, Signature, signature
from .logfile import LogFile, Start, generations

Ranges: TypeAlias = "Sequence[Sequence[int]]"
"""Numbers as pairs of the first and the last of a run, ascending."""

_KEPT: Final = 32
"""How many files stay open: a process may have some hundred, and a log may have more."""


class LogFiles:
    """Keeps the files open that were read last. Safe between threads.

    One that is kept no more stays open for who holds it.
    """

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._guard: Final = Lock()
        # Guarded by _guard:
        self._open: Final[OrderedDict[int, LogFile]] = OrderedDict()
        self._seen: Final[dict[int, tuple[Signature, Start]]] = {}
        """What files said at their start, open or not, and what they looked like then."""

    def file(self, generation: int) -> LogFile | None:
        """The file of a generation, perhaps as it was before it was compacted; None for none."""
        with self._guard:
            kept = self._open.get(generation)
            if kept is not None:
                self._open.move_to_end(generation)
        return kept or self._opened(generation)

    def of(self, start: Start) -> LogFile | None:
        """The file that says so at its start; None where compaction has removed it since."""
        file = self.file(start.generation)
        return file if file is not None and file.start == start else None

    def from_number(self, number: int) -> Iterator[LogFile]:
        """The file that has the record of that number, and those behind it; nothing if none has.

        They are open from now on. Where they are too many for that, they end before the first one
        that compaction has removed by the time that it is asked for.
        """
        while True:
            there = self.all()
            first = bisect_left(there, number, key=lambda start: start.after) - 1
            if first < 0:
                return iter(())
            files = map(self.of, there[first:])
            held = list(islice(files, _KEPT if len(there) <= _KEPT else 1))
            if None not in held:  # or somebody has compacted the log just now
                return _upto_removed(chain(held, files))

    def held(self) -> list[LogFile] | None:
        """All that count, oldest first, open from now on; None where they are too many for that."""
        while len(there := self.all()) <= _KEPT:
            held = [file for file in map(self.of, there) if file is not None]
            if len(held) == len(there):  # or somebody has compacted the log just now
                return held
        return None

    def removed(self) -> Ranges:
        """The numbers of the records that compaction has removed, or damage."""
        there = self.all()
        return there[0].removed or [] if there else []

    def lost(self) -> Ranges:
        """Those that damage has."""
        there = self.all()
        return there[0].lost or [] if there else []

    def all(self) -> list[Start]:
        """What every file that counts says at its start as it is now, oldest first.

        The one that was compacted last has all that is left from before; what stands before it is
        what a crash kept from being removed.
        """
        found: list[Start] = []
        with self._guard:
            kept, seen = dict(self._open), dict(self._seen)
        for generation in reversed(generations(self._files)):
            start = self._start(generation, kept.get(generation), seen.get(generation))
            if start is None:  # compaction has removed it since, and those that are left are others
                return self.all()
            found.append(start)
            if start.removed is not None:
                break
        self._forget_others({start.generation for start in found})
        return found[::-1]

    def _start(
        self, generation: int, kept: LogFile | None, seen: tuple[Signature, Start] | None
    ) -> Start | None:
        if kept is not None:
            if kept.is_in_place():
                return kept.start
        elif seen is not None:
            found = self._files.lstat(names.log(self._files.root, generation))
            if found is not None and signature(found) == seen[0]:
                return seen[1]
        file = self._opened(generation)
        return None if file is None else file.start

    def _opened(self, generation: int) -> LogFile | None:
        # Before it is opened: if it is another by then, what was seen is that of no file any more.
        found = self._files.lstat(names.log(self._files.root, generation))
        file = LogFile.open(self._files, generation)
        if file is None or found is None:
            return file
        with self._guard:
            self._seen[generation] = signature(found), file.start
            self._open[generation] = file
            self._open.move_to_end(generation)
            while len(self._open) > _KEPT:
                self._open.popitem(last=False)
        return file

    def _forget_others(self, counting: set[int]) -> None:
        """Keep no other files open: as long as one is, the space of a removed one is not free."""
        with self._guard:
            for generation in self._seen.keys() - counting:
                self._open.pop(generation, None)
                del self._seen[generation]


def _upto_removed(files: Iterable[LogFile | None]) -> Iterator[LogFile]:
    for file in files:
        if file is None:
            return
        yield file


def includes(ranges: Ranges, number: int) -> bool:
    """Whether a number is in one of the runs."""
    before = list(takewhile(lambda run: run[0] <= number, ranges))
    return bool(before) and number <= before[-1][1]
