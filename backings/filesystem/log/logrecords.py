"""The records of one file of the commit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import frames
from .logfile import Frame, LogFile
from .logview import Link, Position


class Record(NamedTuple):
    """One record of the log."""

    number: int
    """1 for the first of a store, then one more each."""
    payload: bytes
    """A line of JSON."""
    position: Position
    """Where it ends."""

    @property
    def link(self) -> Link:
        """Where it begins."""
        size = frames.HEADER_SIZE + len(self.payload) + 1
        return Link(self.number, self.position.generation, self.position.offset - size)


def records_of(file: LogFile, wanted: int, head: int, offset: int) -> Iterator[Record]:
    """A file's records from the one numbered ``wanted``, at ``offset``, to the last, or ``head``.

    In a file that was compacted numbers are missing; the last one before the next file never is.
    """
    for frame in file.frames(offset):
        kind, number = frame.header[:2]
        if kind == frames.END:
            return
        if kind == frames.RECORD and number >= wanted:
            if number != wanted and file.start.removed is None:
                raise file.corrupted(frame.offset, f"record {wanted} is missing before {number}")
            yield record_of(file, frame)
            wanted = number + 1
        if wanted > head:
            return
        offset = frame.end
    raise file.corrupted(offset, f"no frame is here, and the log goes on to record {head}")


def record_at(file: LogFile, number: int, offset: int) -> Record | None:
    """The record of that number that is at an offset of the file; None for another or none."""
    for frame in file.frames(offset):
        if frame.header.kind == frames.RECORD and frame.header.number == number:
            return record_of(file, frame)
        break
    return None


def record_of(file: LogFile, frame: Frame) -> Record:
    """The record that a frame is."""
    position = Position(file.generation, frame.end)
    return Record(frame.header.number, frame.payload, position)
