"""What a transaction on a value log has changed so far, and the batch that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from objstore.storage import Value

from . import vlogbatch
from .vlogbatch import ADD, DELETE, DROP, PUT, SLOT_SHIFT, Operation
from .vlogindex import Index, Moment, Table

Change: TypeAlias = Value | None
"""A key's new value; None where it was deleted."""


class Changed:
    """A container, as a transaction sees it."""

    __slots__ = ("base", "keys")

    def __init__(self, base: Table | None) -> None:
        self.base: Final = base
        """What is under the changes; None for a container that is new, or was cleared."""
        self.keys: dict[str, Change] = {}


class Changes:
    """All that was changed since a moment, by the containers' names."""

    def __init__(self, moment: Moment) -> None:
        self.moment: Final = moment
        self.names: dict[str, Changed | None] = {}
        """None for a container that was deleted."""
        self._journals: list[list[_Step]] = []
        """What was there before, for each savepoint, as (dict, key, value)."""

    def find(self, name: str) -> Changed | None:
        """The container as it is for the transaction; None where there is none."""
        if name in self.names:
            return self.names[name]
        table = self.moment.table(name)
        return None if table is None else Changed(table)

    def all_names(self) -> list[str]:
        there = {*self.moment.all_names(), *self.names}
        return sorted(name for name in there if self.names.get(name, True) is not None)

    def set_container(self, name: str, changed: Changed | None) -> None:
        self._note(self.names, (name,))
        self.names[name] = changed

    def change(self, name: str, changed: Changed, pairs: Mapping[str, Change]) -> None:
        """Set and delete keys of a container that ``find`` gave."""
        if name not in self.names:
            self.set_container(name, changed)
        self._note(changed.keys, pairs)
        changed.keys.update(pairs)

    def value(self, changed: Changed, key: str) -> Value | None:
        if key in changed.keys:
            return changed.keys[key]
        base = changed.base
        return None if base is None else self.moment.index.value(base, key, self.moment)

    def length(self, changed: Changed) -> int:
        base = changed.base
        count = 0 if base is None else self.moment.length(base)
        for key, value in changed.keys.items():
            was = base is not None and self.moment.location(base, key) is not None
            count += (value is not None) - was
        return count

    def mark(self) -> None:
        """Begin a savepoint."""
        self._journals.append([])

    def forget_mark(self, *, take_back: bool) -> None:
        """End the last savepoint, and what was changed since stays or does not."""
        steps = self._journals.pop()
        if not take_back:
            if self._journals:
                self._journals[-1] += steps
            return
        for where, key, was in reversed(steps):
            if was is _ABSENT:
                where.pop(key, None)
            else:
                where[key] = was

    def _note(self, where: dict[str, Any], keys: Iterable[str]) -> None:
        if self._journals:
            self._journals[-1] += [(where, key, where.get(key, _ABSENT)) for key in keys]


_ABSENT: Final = object()
_Step: TypeAlias = tuple[dict[str, Any], str, Any]


# Batches


def batch(changes: Changes, index: Index) -> tuple[list[Operation], bytes]:
    """The operations and values that make a transaction's changes, on what is there now."""
    operations: list[Operation] = []
    values: list[bytes] = []
    serial = index.highest
    for name, changed in changes.names.items():
        table = index.names.get(name)
        if changed is None or changed.base is None:
            if table is not None:
                operations.append(Operation(DROP, table.serial, []))
            if changed is None:
                continue
            serial += 1
            operations.append(Operation(ADD, serial, [name]))
            table = Table(serial, index.guard)
        if table is not None:
            operations += _changed_keys(index, table, changed.keys, values)
    return operations, b"".join(values)


def _changed_keys(
    index: Index, table: Table, keys: Mapping[str, Change], values: list[bytes]
) -> Iterator[Operation]:
    there = {key: value for key, value in keys.items() if value is not None}
    gone = [key for key, value in keys.items() if value is None and key in table.at]
    if there:
        operation, data = put(index, table, there)
        values.append(data)
        yield operation
    if gone:
        yield Operation(DELETE, table.serial, gone, replaced=replaced(index, table, gone))


def put(index: Index, table: Table, pairs: Mapping[str, Value]) -> tuple[Operation, bytes]:
    """The operation that sets keys, and their values' entries.

    They are in the order of keys, so that who reads them in order reads one behind the other.
    """
    keys = sorted(pairs) if len(pairs) > 1 else list(pairs)
    values = list(map(pairs.__getitem__, keys))
    types = set(map(type, values))
    if len(types) == 1:
        kinds = b"\0" if types == {str} else b"\1"
    else:
        kinds = bytes(isinstance(value, bytes) for value in values)
    lengths, data = vlogbatch.encode_values(values, kinds)
    if min(lengths) == max(lengths):
        del lengths[1:]
    old = replaced(index, table, keys)
    return Operation(PUT, table.serial, keys, lengths, kinds, old), data


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
