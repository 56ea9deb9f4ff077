"""Reading many values of a value log in order, in C where they lie behind each other."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import sub
from typing import Final

from objstore.storage import Value

from .valuefile import HEAD
from .vlogbatch import OFFSET_MASK, SLOT_SHIFT, VALUE, checksum
from .vlogindex import Index, Moment, Table

_FIRST: Final = 16
_MOST: Final = 512
"""How many values are read at once, at first and after doubling each time."""


class _Formats(dict[int, str]):
    """What ``struct`` calls an entry, by the distance of its location to the next one's."""

    def __missing__(self, step: int) -> str:
        entry = f"IBI{(step >> 1) - VALUE.size}s"
        if len(self) < _MOST:
            self[step] = entry
        return entry


_formats: Final = _Formats()


def pairs(
    index: Index, moment: Moment, table: Table, keys: Sequence[str]
) -> Iterator[tuple[str, Value]]:
    """Keys that are there at a moment, with their values. Raises CorruptionError on the way."""
    return chain.from_iterable(_chunks(index, moment, table, keys))


def _chunks(
    index: Index, moment: Moment, table: Table, keys: Sequence[str]
) -> Iterator[Iterable[tuple[str, Value]]]:
    places = moment.places(table, keys)
    at, count = 0, _FIRST
    while at < len(keys):
        chunk = keys[at : at + count]
        found = moment.locations(table, chunk) if places is None else places[at : at + count]
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
    if file is None or last >> SLOT_SHIFT != first >> SLOT_SHIFT:
        return None
    least, most = min(steps, default=0), max(steps, default=0)
    start, end = first >> 1 & OFFSET_MASK, last >> 1 & OFFSET_MASK
    if least < VALUE.size << 1 or end > len(file.map):
        return None
    region = file.map[start:end]
    values = _alike(region, least, len(steps)) if least == most else _unlike(region, steps)
    if values is None:
        return None
    behind = file.value_bytes(end)
    return [*values, behind] if first & 1 else [*map(bytes.decode, values), behind.decode()]


def _alike(region: bytes, step: int, count: int) -> Sequence[bytes] | None:
    """The values in a region of entries that all have one length."""
    size = step >> 1
    if step & 1:
        return None
    parts = struct.unpack(">" + f"{HEAD.size}sI{size - VALUE.size}s" * count, region)
    values = parts[2::3]
    if parts[::3] != (HEAD.pack(size - HEAD.size, 0),) * count:
        return None
    return values if tuple(map(checksum, values)) == parts[1::3] else None


def _unlike(region: bytes, steps: Sequence[int]) -> Sequence[bytes] | None:
    """The values in a region of entries, by their distances; an odd one goes from text to bytes."""
    if any(map((1).__and__, steps)):
        return None
    parts = struct.unpack(">" + "".join(map(_formats.__getitem__, steps)), region)
    values = parts[3::4]
    sizes = map((-HEAD.size).__add__, map((2).__rfloordiv__, steps))
    if tuple(sizes) != parts[::4] or any(parts[1::4]):
        return None
    return values if tuple(map(checksum, values)) == parts[2::4] else None
