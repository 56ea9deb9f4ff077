"""Ranges of bytes: which of a blob's have been written, and the grid of its parts."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

MIN_PART: Final = 5 << 20
MAX_PART: Final = 5 << 30
MAX_PARTS: Final = 10_000
"""The limits of multipart uploads to S3, "Amazon S3 multipart upload limits"."""

_MIB: Final = 1 << 20
_USUAL_PART: Final = 8 << 20
_UNKNOWN_PART: Final = 64 << 20
"""The part of a blob that may become long: 10,000 of them are 625 GiB."""


class Range(NamedTuple):
    """Bytes of a blob: ``size`` of them from the offset ``at``."""

    at: int
    size: int

    @property
    def end(self) -> int:
        return self.at + self.size


class Grid(NamedTuple):
    """How a blob is cut into parts, which are numbered from 1; all but the last are as long."""

    size: int
    part_size: int

    def __len__(self) -> int:
        return -(-self.size // self.part_size)

    def parts(self) -> Iterator[Range]:
        """The parts in order."""
        for at in range(0, self.size, self.part_size):
            yield Range(at, min(self.part_size, self.size - at))


def choose_part_size(size: int | None, asked: int | None) -> int:
    """The length of a part, for a blob of ``size`` bytes; None where that is not known.

    Raises ValueError for one that is ``asked`` and breaks the limits, or a size that no grid has.
    """
    if size is not None and size > MAX_PARTS * MAX_PART:
        raise ValueError(f"a blob has at most {MAX_PARTS * MAX_PART} bytes, not {size}")
    if asked is None:
        if size is None:
            return _UNKNOWN_PART
        least = -(-size // MAX_PARTS)
        return min(max(_USUAL_PART, -(-least // _MIB) * _MIB), MAX_PART)
    if not MIN_PART <= asked <= MAX_PART:
        raise ValueError(f"part_size must be from {MIN_PART} to {MAX_PART} bytes, not {asked}")
    if size is not None and size > asked * MAX_PARTS:
        raise ValueError(f"{size} bytes in parts of {asked} are more than {MAX_PARTS} parts")
    return asked


class Ranges:
    """A set of bytes, as ranges that do not touch each other."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add a range, made one with those that it meets."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def joined(self, other: Ranges) -> Ranges:
        """A new set: this one, and another."""
        found = Ranges()
        for start, end in (*self.pairs(), *other.pairs()):
            found.add(start, end)
        return found

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Start and end of each range, in order."""
        return zip(self._starts, self._ends, strict=True)

    def cut(self, size: int) -> None:
        """Keep what is below ``size``."""
        count = bisect_left(self._starts, size)
        del self._starts[count:], self._ends[count:]
        if self._ends:
            self._ends[-1] = min(self._ends[-1], size)

    def missing(self, size: int) -> list[Range]:
        """What is not in the set, of the first ``size`` bytes."""
        found: list[Range] = []
        at = 0
        for start, end in self.pairs():
            if start >= size:
                break
            if start > at:
                found.append(Range(at, start - at))
            at = end
        if at < size:
            found.append(Range(at, size - at))
        return found
