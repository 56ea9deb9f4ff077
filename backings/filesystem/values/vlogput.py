"""Keys and values as a batch of a value log has them, made ready before anything is locked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from objstore.storage import Items, as_text, as_value, unencodable

from ...pairs import Pairs
from . import vlogbatch
from .vlogbatch import PUT, SLOT_SHIFT, Numbers, Operation
from .vlogindex import Index, Table

_TEXT: Final = b"\0"
_BYTES: Final = b"\1"


class Put(NamedTuple):
    """What sets some keys, of whichever container."""

    keys: Sequence[str]
    lengths: Numbers
    kinds: bytes
    said: bytes
    """Keys, lengths and kinds, as a frame has them."""
    values: bytes
    """The values' entries."""

    def operation(self, index: Index, table: Table) -> Operation:
        """What it is in a container as it is now."""
        old = replaced(index, table, self.keys)
        return Operation(PUT, table.serial, self.keys, self.lengths, self.kinds, old)


class Additions:
    """What is to be one batch."""

    __slots__ = ("_said", "_values", "operations")

    def __init__(self) -> None:
        self.operations: Final[list[Operation]] = []
        self._said: Final[list[bytes]] = []
        self._values: Final[list[bytes]] = []

    def add(self, operation: Operation) -> None:
        self.operations.append(operation)
        self._said.append(vlogbatch.encode_operation(operation))

    def put(self, index: Index, table: Table, put: Put) -> None:
        operation = put.operation(index, table)
        self.operations.append(operation)
        self._said.append(vlogbatch.encode_said(operation, put.said))
        self._values.append(put.values)

    def said(self) -> bytes:
        """The operations, as a frame has them."""
        return b"".join(self._said)

    def values(self) -> bytes:
        """The entries of their values."""
        return b"".join(self._values)


def of_one(key: object, value: object) -> Put:
    """What sets one key. Raises CapacityExceeded, FormatError for text that UTF-8 cannot hold."""
    text = key if type(key) is str else str(key)
    try:
        name = text.encode()
    except UnicodeEncodeError:
        raise unencodable(text, "key") from None
    if type(value) is str and "\0" not in text:
        try:
            data, kinds = value.encode(), _TEXT
        except UnicodeEncodeError:
            raise unencodable(value, "value") from None
        entry = vlogbatch.encode_value(data)
        said = vlogbatch.encode_item(name, len(data), kinds)
        return Put((text,), (len(data),), kinds, said, entry)
    return of_many([(text, value)])


def of_many(items: Items) -> Put:
    """What sets some keys, of one that comes twice to the last value.

    Raises CapacityExceeded, FormatError.
    """
    pairs = Pairs(items)
    lengths: list[int] = []
    kinds: list[bytes] = []
    entries: list[bytes] = []
    for _, values in pairs.parts():
        data, of_part = _encoded(values)
        sizes = list(map(len, data))
        lengths += sizes
        kinds.append(of_part)
        entries.append(vlogbatch.encode_values(data, sizes))
    return _put(pairs.keys, lengths, b"".join(kinds), b"".join(entries))


def replaced(index: Index, table: Table, keys: Iterable[str]) -> list[int] | tuple[int]:
    """For each key, the number of the file that its value is in; one 0 for none at all."""
    if not table.at:
        return (0,)
    found = list(map(table.at.get, keys))
    if len(found) == 1:
        return (0 if found[0] is None else index.files[found[0] >> SLOT_SHIFT].number,)
    slots = {at >> SLOT_SHIFT for at in found if at is not None}
    if not slots:
        return (0,)
    numbers = {slot: index.files[slot].number for slot in slots}
    if len(numbers) == 1 and None not in found:
        return (next(iter(numbers.values())),)
    return [0 if at is None else numbers[at >> SLOT_SHIFT] for at in found]


def _put(keys: list[str], lengths: list[int], kinds: bytes, values: bytes) -> Put:
    if not keys:
        return Put(keys, lengths, kinds, b"", values)
    if min(lengths) == max(lengths):
        del lengths[1:]
    if kinds.count(kinds[0]) == len(kinds):
        kinds = kinds[:1]
    try:
        said = vlogbatch.encode_items(keys, lengths, kinds)
    except UnicodeEncodeError:
        for key in keys:
            as_text(key)
        raise
    return Put(keys, lengths, kinds, said, values)


def _encoded(values: Sequence[Any]) -> tuple[Sequence[bytes], bytes]:
    """Values as they are stored, and the kind of each."""
    types = set(map(type, values))
    if types == {bytes}:
        return values, _BYTES * len(values)
    if types == {str}:
        try:
            return list(map(str.encode, values)), _TEXT * len(values)
        except UnicodeEncodeError:
            pass
    stored = list(map(as_value, values))
    kinds = bytes(isinstance(value, bytes) for value in stored)
    return [value if isinstance(value, bytes) else value.encode() for value in stored], kinds
