"""Reading many values of a value log in order, in C where they lie behind each other."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import sub
from typing import Final

from objstore.storage import Value

from .vlogbatch import OFFSET_MASK, SLOT_SHIFT, SUM_SIZE, VALUE, checksum
from .vlogindex import Index, Moment, Table

_FIRST: Final = 16
_MOST: Final = 512
"""How many values are read at once, at first and after doubling each time."""


class _Formats(dict[int, str]):
    """What ``struct`` calls an entry, by the distance of its location to the next one's."""

    def __missing__(self, step: int) -> str:
        size = (step >> 1) - VALUE.size
        return self.setdefault(step, f"IBI{size}s") if size < 1 << 16 else f"IBI{size}s"


_formats: Final = _Formats()


def pairs(
    index: Index, moment: Moment, table: Table, keys: Sequence[str]
) -> Iterator[tuple[str, Value]]:
    """Keys that are there at a moment, with their values. Raises CorruptionError on the way."""
    return chain.from_iterable(_chunks(index, moment, table, keys))


def _chunks(
    index: Index, moment: Moment, table: Table, keys: Sequence[str]
) -> Iterator[Iterable[tuple[str, Value]]]:
    at, count = 0, _FIRST
    while at < len(keys):
        chunk = keys[at : at + count]
        found = moment.locations(table, chunk)
        values = None if None in found else _dense(index, found)  # type: ignore[arg-type]
        if values is None:
            values = _one_by_one(index, moment, table, chunk)
        yield zip(chunk, values, strict=True)
        at, count = at + count, min(2 * count, _MOST)


def _one_by_one(index: Index, moment: Moment, table: Table, keys: Sequence[str]) -> list[Value]:
    values = [index.value(table, key, moment) for key in keys]
    return [value for value in values if value is not None]


def _dense(index: Index, found: list[int]) -> list[Value] | None:
    """The values of entries that lie behind each other; None where they may not, or are damaged."""
    first, last = found[0], found[-1]
    file = index.files.get(first >> SLOT_SHIFT)
    steps = list(map(sub, found[1:], found))
    least = VALUE.size << 1
    if file is None or last >> SLOT_SHIFT != first >> SLOT_SHIFT or min(steps, default=0) < least:
        return None
    start, end = first >> 1 & OFFSET_MASK, last >> 1 & OFFSET_MASK
    # What lies between keys that are not neighbours would be read for nothing.
    if end - start > len(file.map) or any(step & 1 for step in set(steps)):
        return None
    sizes = [(step >> 1) - VALUE.size + SUM_SIZE for step in steps]
    region = file.map[start:end]
    parts = struct.unpack(">" + "".join(map(_formats.__getitem__, steps)), region)
    values = parts[3::4]
    if list(parts[::4]) != sizes or any(parts[1::4]):
        return None
    if list(map(checksum, values)) != list(parts[2::4]):
        return None
    behind = file.value_bytes(end)
    return [*values, behind] if first & 1 else [*map(bytes.decode, values), behind.decode()]
