"""Batches of a value log: which keys the values behind a frame have. Grammar:
docs/formats/value-log.md.

What is done for every key is done by functions in C, on columns: all keys, all lengths.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, pairwise, repeat
from operator import add
from struct import Struct
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from objstore.errors import CapacityExceeded

from ...checksums import SUM, crc32c, extend
from ..log.frames import SECTOR, is_zero
from .valuefile import HEAD, MAX_VALUE

_MANY: Final = 1000

_MAGIC: Final = b"\xffV"
_HEADER: Final = Struct(">IB2scQQQIII")
_OWN: Final = Struct(">I")
FRAME_SIZE: Final = _HEADER.size + _OWN.size
"""The length of an entry's head and a header; operations follow."""
_INNER: Final = FRAME_SIZE - HEAD.size

ENTRY: Final = HEAD.size + SUM.size
"""What a value takes besides its own bytes: its entry's head before, its checksum behind."""

Kind = Literal[b"S", b"B", b"N", b"E", b"C", b"H"]
START: Final = b"S"
BATCH: Final = b"B"
NOTE: Final = b"N"
"""The list of files has changed."""
END: Final = b"E"
CLOSED: Final = b"C"
HINT: Final = b"H"
_KINDS: Final = frozenset((START, BATCH, NOTE, END, CLOSED, HINT))

ADD: Final = 0x41
DROP: Final = 0x58
PUT: Final = 0x50
DELETE: Final = 0x44
_OPERATION: Final = Struct(">BII")
_NUMBER: Final = Struct(">I")
_ONE: Final = Struct(">BI")

_TEXT: Final = 0
_BYTES: Final = 1
_EACH: Final = 2

Numbers = Sequence[int]


class Header(NamedTuple):
    """What a frame says of its batch."""

    kind: Kind
    number: int
    synced: int
    """All of the file before this offset was on the disk when the frame was written."""
    values: int
    """The length of what is behind the frame."""
    link: int
    operations_check: int
    values_check: int
    own: int
    """The checksum of all above, which the next frame has as its link."""
    operations: int
    """Their length."""

    @property
    def size(self) -> int:
        """The whole batch's, in bytes."""
        return FRAME_SIZE + self.operations + self.values


class ColdKeys(Sequence[str]):
    """Many keys as they are in a frame, which takes a tenth of the time of having them apart."""

    __slots__ = ("_count", "_text")

    def __init__(self, text: bytes, count: int) -> None:
        self._text: Final = b"\0%b\0" % text
        self._count: Final = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        keys: Any = self.load()
        return keys[at]

    def __iter__(self) -> Iterator[str]:
        return iter(self.load())

    def load(self) -> list[str]:
        return self._text[1:-1].decode().split("\0")

    def place(self, key: str) -> int | None:
        """Which of them a key is; found in a tenth of a millisecond for each 100 KB."""
        at = (
            -1 if "\0" in key else self._text.find(b"\0%b\0" % key.encode("utf-8", "surrogatepass"))
        )
        return None if at < 0 else self._text.count(b"\0", 0, at)


class Operation(NamedTuple):
    """What happens to the keys of one container."""

    op: int
    serial: int
    keys: Sequence[str]
    lengths: Numbers = ()
    """Of the values, in bytes. In a hint, their places."""
    kinds: Numbers = ()
    """Of the values: 1 for bytes, 0 for text; all are the same where there is but one."""
    replaced: Numbers = ()
    """For each key, the number of the file of what it made obsolete, or 0."""


class Codec:
    """Makes and reads the frames of one file, whose checksums are seeded by its id."""

    __slots__ = ("_seed",)

    def __init__(self, store: UUID, file_id: UUID) -> None:
        self._seed: Final = crc32c(store.bytes + file_id.bytes)

    def encode(
        self,
        kind: Kind,
        place: tuple[int, int],
        number: int,
        synced: int,
        operations: bytes = b"",
        values: bytes = b"",
        count: int | None = None,
    ) -> tuple[bytes, int]:
        """A frame with its operations, for ``place``: offset and link; and its own checksum.

        ``count`` is for a hint, which has a number in the place of the length of values.
        """
        offset, link = place
        length = len(values) if count is None else count
        size = _INNER + len(operations)
        checks = crc32c(operations), crc32c(values)
        head = _HEADER.pack(size, 0, _MAGIC, kind, number, synced, length, link, *checks)
        own = self._own(head, offset)
        return b"".join((head, _OWN.pack(own), operations)), own

    def header(self, data: bytes, offset: int, at: int = 0) -> Header | None:
        """The header at ``offset`` of the file, ``at`` in ``data``; None where none is."""
        if not data.startswith(_MAGIC, at + HEAD.size) or len(data) < at + FRAME_SIZE:
            return None
        size, deleted, _, kind, *rest = _HEADER.unpack_from(data, at)
        own = _OWN.unpack_from(data, at + _HEADER.size)[0]
        if own != self._own(data[at : at + _HEADER.size], offset) or deleted:
            return None
        if kind not in _KINDS:
            return None
        number, synced, values, link, *checks = rest
        return Header(kind, number, synced, values, link, checks[0], checks[1], own, size - _INNER)

    def is_marked_deleted(self, data: bytes, offset: int) -> bool:
        """Whether a frame stands there whose byte ``deleted`` was set, which nobody does."""
        mark = HEAD.size - 1
        mended = data[:mark] + b"\0" + data[HEAD.size :]
        return data[mark : HEAD.size] != b"\0" and self.header(mended, offset) is not None

    def is_proven(self, data: bytes, offset: int) -> bool:
        """Whether frames behind the start of ``data``, which is at ``offset``, prove it synced."""
        at = 0
        while (at := data.find(_MAGIC, at + 1)) >= 0:
            start = at - HEAD.size
            header = self.header(data, offset + start, start) if start > 0 else None
            if header is not None and header.synced > offset:
                return True
        return False

    def _own(self, head: bytes, offset: int) -> int:
        return extend(self._seed, offset.to_bytes(8, "big") + head)


def is_torn(data: bytes, offset: int, size: int) -> bool:
    """Whether a batch of ``size`` bytes, at ``offset`` of its file, may not be there in full.

    Batches are written over zeros, so that a sector that was not written is zero.
    """
    if len(data) < size:
        return True
    cuts = [0, *range(SECTOR - offset % SECTOR, size, SECTOR), size]
    return any(is_zero(data[a:b]) for a, b in pairwise(cuts))


def padding(size: int) -> bytes:
    """The head of an entry for ``size`` bytes that are set aside."""
    return HEAD.pack(min(size, 2**32 - 1), 1)


# Values


def encode_value(data: bytes) -> bytes:
    """A value's entry, with its checksum. Raises CapacityExceeded."""
    try:
        entry = HEAD.pack(len(data) + SUM.size, 0) + data
    except struct.error:
        raise _too_long() from None
    return entry + SUM.pack(crc32c(entry))


def encode_values(values: Sequence[bytes], lengths: Sequence[int]) -> bytes:
    """The entries of values, given how long they are. Raises CapacityExceeded."""
    try:
        if min(lengths) == max(lengths):
            heads = [HEAD.pack(lengths[0] + SUM.size, 0)] * len(values)
            seeds: Iterable[int] = repeat(crc32c(heads[0]))
        else:
            heads = list(map(HEAD.pack, map(SUM.size.__add__, lengths), repeat(0)))
            seeds = map(crc32c, heads)
    except struct.error:
        raise _too_long() from None
    pieces: list[bytes] = [b""] * (3 * len(values))
    pieces[::3] = heads
    pieces[1::3] = values
    pieces[2::3] = map(SUM.pack, map(extend, seeds, values))
    return b"".join(pieces)


def _too_long() -> CapacityExceeded:
    return CapacityExceeded(f"a value may have {MAX_VALUE - SUM.size} bytes, and one has more")


# Locations: one int for the place of a value in an index. It has, from the lowest bit on, whether
# it is bytes; how long its entry is, or 0 where that takes more bits; the entry's offset; and what
# the index calls the file. Below 2**60 an int takes 32 bytes.

_SIZE_BITS: Final = 12
OFFSET_BITS: Final = 36
OFFSET_SHIFT: Final = 1 + _SIZE_BITS
SLOT_SHIFT: Final = OFFSET_SHIFT + OFFSET_BITS
SIZE_MASK: Final = (1 << _SIZE_BITS) - 1
OFFSET_MASK: Final = (1 << OFFSET_BITS) - 1
PLACE_MASK: Final = (1 << SLOT_SHIFT - 1) - 1
"""Size and offset together, once they are shifted by the kind."""


def locations(operation: Operation, slot: int, offset: int) -> Iterable[int]:
    """Where the values of a Put are, the first one's entry at ``offset``."""
    first = slot << SLOT_SHIFT | offset << OFFSET_SHIFT
    lengths, kinds = operation.lengths, operation.kinds
    if len(kinds) == 1:
        first |= kinds[0]
    if len(lengths) == 1:
        size = lengths[0] + ENTRY
        step = size << OFFSET_SHIFT
        first |= _size(size)
        found: Iterable[int] = range(first, first + step * len(operation.keys), step)
    else:
        sizes = list(map(ENTRY.__add__, lengths))
        starts = accumulate(map((1 << OFFSET_SHIFT).__mul__, sizes), initial=first)
        found = map(add, starts, map(_size, sizes))
    return found if len(kinds) == 1 else map(add, found, kinds)


def _size(size: int) -> int:
    """An entry's size in its place in a location."""
    return size << 1 if size <= SIZE_MASK else 0


def hinted_locations(operation: Operation, slot: int) -> Iterable[int]:
    """The same for a Put of a hint, which has the places themselves."""
    base = slot << SLOT_SHIFT
    found = map(base.__add__, map((2).__mul__, each(operation.lengths, len(operation.keys))))
    return map(add, found, each(operation.kinds, len(operation.keys)))


def values_length(operation: Operation) -> int:
    """The length of a Put's entries."""
    count = len(operation.keys)
    lengths = operation.lengths
    total = lengths[0] * count if len(lengths) == 1 else sum(lengths)
    return total + ENTRY * count


def each(numbers: Numbers, count: int) -> Iterable[int]:
    """A column's numbers, of which there is but one where all are the same."""
    return repeat(numbers[0], count) if len(numbers) == 1 else numbers


# Operations


def encode_operation(operation: Operation) -> bytes:
    """Raises UnicodeEncodeError for a key or name that UTF-8 cannot hold."""
    op, keys = operation.op, operation.keys
    if op == DROP:
        return _OPERATION.pack(op, operation.serial, 0)
    said = _encode_keys(keys)
    if op == PUT:
        said = encode_items(keys, operation.lengths, operation.kinds)
    return encode_said(operation, said)


def encode_said(operation: Operation, said: bytes) -> bytes:
    """An operation on keys, given those in their own form, and what else is said of each."""
    op, serial, keys = operation[:3]
    head = _OPERATION.pack(op, serial, len(keys))
    return head + said + (b"" if op == ADD else _encode_numbers(operation.replaced or (0,)))


def encode_item(key: bytes, length: int, kinds: bytes) -> bytes:
    """``encode_items`` of one, whose key has no 00."""
    return b"".join((_ONE.pack(0, len(key)), key, _ONE.pack(0, length), kinds))


def encode_items(keys: Sequence[str], lengths: Numbers, kinds: Numbers) -> bytes:
    """What a Put says of its keys and values, whichever container they are for."""
    return b"".join((_encode_keys(keys), _encode_numbers(lengths), _encode_kinds(kinds)))


def decode_operations(data: bytes, *, cold: bool = False) -> Iterator[Operation]:
    """The operations of a frame that was checked; ``cold`` leaves many keys as they are."""
    at = 0
    while at < len(data):
        op, serial, count = _OPERATION.unpack_from(data, at)
        at += _OPERATION.size
        keys: Sequence[str] = []
        lengths: Numbers = ()
        kinds: Numbers = ()
        replaced: Numbers = ()
        if op != DROP:
            keys, at = _decode_keys(data, at, count, cold=cold and count >= _MANY)
        if op == PUT:
            lengths, at = _decode_numbers(data, at, count)
            kinds, at = _decode_kinds(data, at, count)
        if op in (PUT, DELETE):
            replaced, at = _decode_numbers(data, at, count)
        yield Operation(op, serial, keys, lengths, kinds, replaced)


def _encode_keys(keys: Sequence[str]) -> bytes:
    text = "\0".join(keys).encode()
    if text.count(b"\0") == len(keys) - 1:
        return b"\0" + _NUMBER.pack(len(text)) + text
    encoded = [key.encode() for key in keys]
    text = b"".join(encoded)
    lengths = b"".join(map(_NUMBER.pack, map(len, encoded)))
    return b"\1" + _NUMBER.pack(len(text)) + text + lengths


def _decode_keys(data: bytes, at: int, count: int, *, cold: bool) -> tuple[Sequence[str], int]:
    has_lengths, start = data[at], at + 1 + _NUMBER.size
    end = start + int(_NUMBER.unpack_from(data, at + 1)[0])
    if not has_lengths and cold:
        return ColdKeys(data[start:end], count), end
    if not has_lengths:
        return data[start:end].decode().split("\0"), end
    ends = accumulate((n for (n,) in _NUMBER.iter_unpack(data[end : end + 4 * count])), initial=0)
    cuts = list(ends)
    text = data[start:end]
    keys = [text[a:b].decode() for a, b in pairwise(cuts)]
    return keys, end + 4 * count


_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _encode_numbers(numbers: Numbers) -> bytes:
    low, high = min(numbers), max(numbers)
    if low == high < 2**32:
        return b"\0" + _NUMBER.pack(low)
    width = next(width for width in _CODES if high < 256**width)
    column = array(_CODES[width], numbers)
    if sys.byteorder == "little":
        column.byteswap()
    return bytes((width,)) + column.tobytes()


def _decode_numbers(data: bytes, at: int, count: int) -> tuple[Numbers, int]:
    width, at = data[at], at + 1
    if not width:
        return _NUMBER.unpack_from(data, at), at + _NUMBER.size
    column = array(_CODES[width], data[at : at + width * count])
    if sys.byteorder == "little":
        column.byteswap()
    return column, at + width * count


def _encode_kinds(kinds: Numbers) -> bytes:
    if len(kinds) == 1 or min(kinds) == max(kinds):
        return bytes(kinds[:1])
    return bytes(chain((_EACH,), kinds))


def _decode_kinds(data: bytes, at: int, count: int) -> tuple[Numbers, int]:
    if data[at] != _EACH:
        return data[at : at + 1], at + 1
    return data[at + 1 : at + 1 + count], at + 1 + count
