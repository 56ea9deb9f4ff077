"""How names, keys and values lie in an LMDB file: docs/formats/lmdb.md.

All is in one map of bytes. A key begins with the number of its container; number 0 is the catalogue
of containers. LMDB takes keys of up to 511 bytes; a longer one is cut, and told apart from others
that begin alike by a digest behind 0xFF, a byte that UTF-8 never has. Those that begin alike lie
together then, though not in order, and are sorted as they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from operator import add, itemgetter
from struct import Struct, unpack
from typing import Final, NamedTuple, cast

from objstore.errors import CorruptionError
from objstore.storage import Value
from objstore.values import show

from . import storages
from .checksums import SOUND, SUM, crc32c, sound_together

NUMBER: Final = Struct(">I")
_LENGTH: Final = Struct(">I")
_CONTAINER: Final = Struct(">IQ")
_HEADER: Final = Struct(">8sII")

CATALOGUE: Final = NUMBER.pack(0)
HEADER_KEY: Final = CATALOGUE + b"\xff"
"""Not the key of any container, as no name has the byte 0xFF; behind them all."""

_MAGIC: Final = b"objstore"
_VERSION: Final = 1

_LONGEST: Final = 511 - NUMBER.size
_DIGEST: Final = 16
_CUT: Final = _LONGEST - 1 - _DIGEST
"""How many bytes of a key too long are kept. Keys longer than this may have to be sorted."""

_SORTED: Final = NUMBER.size + _CUT
"""Stored keys of fewer bytes lie in the order of their keys; others that begin alike may not."""

_TEXT, _BYTES, _LONG_TEXT, _LONG_BYTES = b"s", b"b", b"S", b"B"
_LONG: Final = (_LONG_TEXT[0], _LONG_BYTES[0])
_IS_TEXT: Final = (_TEXT[0], _LONG_TEXT[0])

CUT_AT: Final = NUMBER.size + _LONGEST + 1
"""A prefix and a key that together have fewer bytes are stored whole."""

TEXT: Final = ord("s")

_kind: Final = itemgetter(0)
_inner: Final = itemgetter(slice(1, -SUM.size))
_key: Final = itemgetter(slice(NUMBER.size, None))
"""Of a record, what kind it is, and what is in it; of a stored key, the key."""

Raw = tuple[bytes, bytes]
"""A key and a record as LMDB has them."""


class Entry(NamedTuple):
    """A container's entry in the catalogue."""

    name: str
    number: int
    size: int
    """How many items it has."""

    @property
    def prefix(self) -> bytes:
        """What the stored keys of its items begin with."""
        return NUMBER.pack(self.number)


def stored_key(prefix: bytes, key: bytes) -> bytes:
    """The key that LMDB has for a key of a container, or for a name in the catalogue."""
    if len(key) <= _LONGEST:
        return prefix + key
    return prefix + key[:_CUT] + b"\xff" + blake2b(key, digest_size=_DIGEST).digest()


def sealed(stored: bytes, body: bytes) -> bytes:
    """A record: the body, and the checksum of stored key and body."""
    return body + SUM.pack(crc32c(stored + body))


def item(prefix: bytes, key: str, value: Value) -> Raw:
    """An item's stored key and record."""
    name = key.encode()
    if isinstance(value, str):
        kind, long_kind, data = _TEXT, _LONG_TEXT, value.encode()
    else:
        kind, long_kind, data = _BYTES, _LONG_BYTES, value
    if len(name) <= _LONGEST:
        stored, body = prefix + name, kind + data
        return stored, body + SUM.pack(crc32c(stored + body))
    stored = stored_key(prefix, name)
    return stored, sealed(stored, long_kind + _LENGTH.pack(len(name)) + name + data)


def opened(stored: bytes, record: bytes) -> bytes:
    """The body of a record. Raises ValueError where it is not what was written."""
    if len(record) <= SUM.size or crc32c(stored + record) != SOUND:
        raise ValueError(f"the record of {show(stored)} is not what was written")
    return record[: -SUM.size]


def value_of(body: bytes) -> Value:
    """The value in the body of an item's record."""
    start = 1
    if body[0] in _LONG:
        start += _LENGTH.size + _LENGTH.unpack_from(body, 1)[0]
    data = body[start:]
    return data.decode() if body[0] in _IS_TEXT else data


def key_of(stored: bytes, body: bytes) -> str:
    """The key of an item."""
    if body[0] in _LONG:
        start = 1 + _LENGTH.size
        return body[start : start + _LENGTH.unpack_from(body, 1)[0]].decode()
    return stored[NUMBER.size :].decode()


def entry(name: str, number: int, count: int) -> Raw:
    """A container's stored name and record."""
    stored = stored_key(CATALOGUE, name.encode())
    body = _TEXT + _CONTAINER.pack(number, count) + name.encode()
    return stored, sealed(stored, body)


def read_entry(stored: bytes, record: bytes) -> Entry:
    body = opened(stored, record)
    number, count = _CONTAINER.unpack_from(body, 1)
    return Entry(body[1 + _CONTAINER.size :].decode(), number, count)


def header(following: int) -> bytes:
    """The record that tells our files from others, with the number of the next new container."""
    return sealed(HEADER_KEY, _HEADER.pack(_MAGIC, _VERSION, following))


def following(record: bytes) -> int | None:
    """The number of the next container, by the header; None where it is no header of ours."""
    try:
        magic, version, number = _HEADER.unpack(opened(HEADER_KEY, record))
    except (ValueError, ArithmeticError):
        return None
    return cast("int", number) if (magic, version) == (_MAGIC, _VERSION) else None


def span(prefix: bytes, low: str, high: str | None) -> tuple[bytes, bytes]:
    """The first stored key of a range of keys, and the first behind it."""
    start = prefix + low.encode("utf-8", "replace")[:_CUT]
    if high is None:
        return start, NUMBER.pack(NUMBER.unpack(prefix)[0] + 1)
    end = high.encode("utf-8", "replace")
    if len(end) <= _CUT:
        return start, prefix + end
    # Behind all that begin like it, in whatever order they lie: the byte is one of UTF-8, not 0xFF.
    return start, prefix + end[: _CUT - 1] + bytes([end[_CUT - 1] + 1])


def items(
    chunks: Iterable[Sequence[Raw]],
    low: str,
    high: str | None,
    *,
    reverse: bool,
    file: str,
    name: str = "",
    size: int | None = None,
) -> Iterator[Iterable[tuple[str, Value]]]:
    """The items of stored rows in the order of their keys, every one verified; chunk by chunk.

    ``size`` is how many the container ``name`` has, where these are to be all of them. Raises
    CorruptionError.
    """
    run: list[Raw] = []
    count = 0
    for rows in chunks:
        count += len(rows)
        found = None if run else _texts(rows)
        yield _each(rows, run, low, high, reverse=reverse, file=file) if found is None else found
    yield _sorted(run, low, high, reverse=reverse, file=file)
    if size is not None and count != size:
        raise storages.miscounted(name, count, size, file)


def _texts(rows: Sequence[Raw]) -> Iterable[tuple[str, str]] | None:
    """The items of rows; None where not all are text by short keys, or one is not what was written.

    Without a loop in Python, which would take as long as all the rest.
    """
    keys, records = zip(*rows, strict=True)
    widths, sizes = set(map(len, keys)), set(map(len, records))
    if max(widths) >= _SORTED or min(sizes) <= SUM.size:
        return None
    if len(widths) == len(sizes) == 1:
        return _alike(rows, widths.pop(), sizes.pop())
    if set(map(_kind, records)) != {TEXT} or set(map(crc32c, map(add, keys, records))) != {SOUND}:
        return None
    texts = map(bytes.decode, map(_inner, records))
    return zip(map(bytes.decode, map(_key, keys)), texts, strict=True)


def _alike(rows: Sequence[Raw], width: int, size: int) -> Iterable[tuple[str, str]] | None:
    """``_texts`` of rows that all have keys and records of the same length."""
    data, step = b"".join(chain.from_iterable(rows)), width + size
    if data[width::step] != _TEXT * len(rows) or crc32c(data) != sound_together(step, len(rows)):
        return None
    row = f"{NUMBER.size}x{width - NUMBER.size}sx{size - 1 - SUM.size}s{SUM.size}x"
    texts = map(bytes.decode, unpack(row * len(rows), data))
    return zip(texts, texts, strict=True)


def _each(
    rows: Iterable[Raw],
    run: list[Raw],
    low: str,
    high: str | None,
    *,
    reverse: bool,
    file: str,
) -> Iterator[tuple[str, Value]]:
    """The same for any rows; of those that may have to be sorted, the last ones stay in ``run``."""
    for stored, record in rows:
        if run and not stored.startswith(run[0][0][:_SORTED]):
            yield from _sorted(run, low, high, reverse=reverse, file=file)
            run.clear()
        if len(stored) >= _SORTED:
            run.append((stored, record))
            continue
        try:
            body = opened(stored, record)
        except ValueError:
            raise corrupt(stored, file) from None
        yield key_of(stored, body), value_of(body)


def _sorted(
    run: list[Raw], low: str, high: str | None, *, reverse: bool, file: str
) -> list[tuple[str, Value]]:
    found: list[tuple[str, Value]] = []
    for stored, record in run:
        try:
            body = opened(stored, record)
        except ValueError:
            raise corrupt(stored, file) from None
        key = key_of(stored, body)
        if key >= low and (high is None or key < high):
            found.append((key, value_of(body)))
    return sorted(found, key=lambda pair: pair[0], reverse=reverse)


def corrupt(stored: bytes, file: str) -> CorruptionError:
    """The error for a record that is not what was written."""
    number = NUMBER.unpack_from(stored)[0]
    where = show(stored[NUMBER.size :].decode("utf-8", "replace"))
    return CorruptionError(
        f"the item {where} of container {number} is not what was written", file=file
    )
