"""Reading many values of a value log in order, in C where they lie behind each other."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import add, eq
from typing import Final

from objstore.storage import Value

from ...checksums import SOUND, SUM, crc32c, sound_together
from .valuefile import HEAD
from .vlogbatch import ENTRY, OFFSET_MASK, OFFSET_SHIFT, SIZE_MASK, SLOT_SHIFT
from .vlogindex import Index, Moment, Table

_FIRST: Final = 16
_MOST: Final = 512
"""How many values are read at once, at first and after doubling each time."""


class _Formats(dict[int, str]):
    """What ``struct`` calls an entry, by its size."""

    def __init__(self, form: str, less: int) -> None:
        self._form: Final = form
        self._less: Final = less

    def __missing__(self, size: int) -> str:
        self[size] = form = self._form.format(size - self._less)
        return form


_whole: Final = _Formats("{}s", 0).__getitem__
_inner: Final = _Formats(f"{HEAD.size}x{{}}s{SUM.size}x", ENTRY).__getitem__


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
            yield _one_by_one(index, moment, table, chunk)
        else:
            yield zip(chunk, values, strict=True)
        at, count = at + count, min(2 * count, _MOST)


def _one_by_one(
    index: Index, moment: Moment, table: Table, keys: Sequence[str]
) -> Iterator[tuple[str, Value]]:
    for key in keys:
        value = index.value(table, key, moment)
        if value is not None:
            yield key, value


def _dense(index: Index, found: list[int]) -> list[Value] | None:
    """The values of entries that lie behind each other; None where they may not, or are damaged."""
    first = found[0]
    file, sizes = index.files.get(first >> SLOT_SHIFT), _sizes(found)
    if file is None or sizes is None:
        return None
    start, size = first >> OFFSET_SHIFT & OFFSET_MASK, sum(sizes)
    region = file.map[start : start + size]
    if len(region) != size or not _is_sound(region, sizes):
        return None
    values = struct.unpack("".join(map(_inner, sizes)), region)
    return list(values if first & 1 else map(bytes.decode, values))


def _is_sound(region: bytes, sizes: list[int]) -> bool:
    """Whether all entries of a region are what was written."""
    if sizes.count(sizes[0]) == len(sizes):
        return crc32c(region) == sound_together(sizes[0], len(sizes))
    return set(map(crc32c, struct.unpack("".join(map(_whole, sizes)), region))) == {SOUND}


def _sizes(found: list[int]) -> list[int] | None:
    """The sizes of entries that lie behind each other, and are of one kind."""
    first = found[0]
    size = first >> 1 & SIZE_MASK
    step = max(size << OFFSET_SHIFT, 1)
    if found == list(range(first, first + step * len(found), step)):
        return [size] * len(found) if size else None
    sizes = [at >> 1 & SIZE_MASK for at in found]
    ends = map(add, found, map((1 << OFFSET_SHIFT).__mul__, sizes))
    # But for its size, each location is where the one before ends.
    is_dense = all(map(eq, map(_without_size, ends), map(_without_size, islice(found, 1, None))))
    return sizes if is_dense and 0 not in sizes else None


def _without_size(location: int) -> int:
    return location & ~(SIZE_MASK << 1)
