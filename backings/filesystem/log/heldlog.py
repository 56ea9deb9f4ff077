"""The commit log as it was at some moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from .logfile import LogFile
from .logfiles import Ranges
from .logrecords import Record, record_at, records_of


class HeldLog:
    """Reads what ``CommitLog`` read when this was made: the files stay open, so that compaction
    changes nothing. Safe between threads."""

    def __init__(self, files: Sequence[LogFile], head: int) -> None:
        """``files`` are all that count, oldest first."""
        self._files: Final = files
        self._by_generation: Final = {file.generation: file for file in files}
        self.head: Final = head

    def held(self) -> HeldLog:
        """Itself: it is held already."""
        return self

    def records(self, after: int = 0) -> Iterator[Record]:
        """As ``CommitLog.records``."""
        wanted = after + 1
        first = bisect_left(self._files, wanted, key=lambda file: file.start.after) - 1
        for file in self._files[max(first, 0) :]:
            if wanted > self.head:
                return
            for record in records_of(file, wanted, self.head, file.place(wanted)):
                yield record
                wanted = record.number + 1

    def find(self, number: int, generation: int, offset: int) -> Record:
        """As ``CommitLog.find``, of a record that is not behind the head."""
        file = self._by_generation.get(generation)
        found = None if file is None else record_at(file, number, offset)
        return found or next(self.records(number - 1))

    def removed(self) -> Ranges:
        """As ``CommitLog.removed``."""
        return self._files[0].start.removed or []

    def name(self, generation: int) -> str:
        """As ``CommitLog.name``."""
        return self._by_generation[generation].name
