"""What a transaction on a value log has changed so far, and the batch that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import filterfalse
from typing import Any, Final, TypeAlias

from objstore.storage import Value

from ...key_order import KeyOrder
from . import vlogput
from .vlogbatch import ADD, DELETE, DROP, Operation
from .vlogindex import Index, Moment, Table
from .vlogput import Additions

Change: TypeAlias = Value | None
"""A key's new value; None where it was deleted."""


class Changed:
    """A container, as a transaction sees it."""

    __slots__ = ("base", "keys", "length", "order")

    def __init__(self, base: Table | None) -> None:
        self.base: Final = base
        """What is under the changes; None for a container that is new, or was cleared."""
        self.keys: dict[str, Change] = {}
        self.length: int | None = None
        self.order: KeyOrder | None = None
        """How many keys there are, and their order: each once somebody asked."""


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
        if changed.length is not None or changed.order is not None:
            self._count(changed, pairs)
        changed.keys.update(pairs)

    def _count(self, changed: Changed, pairs: Mapping[str, Change]) -> None:
        """Keep the length and the order as they will be."""
        there = {key for key in pairs if self.has(changed, key)}
        added = [key for key, new in pairs.items() if new is not None and key not in there]
        removed = [key for key in there if pairs[key] is None]
        if changed.length is not None:
            changed.length += len(added) - len(removed)
        if changed.order is not None:
            changed.order.note_changes(added, removed)

    def has(self, changed: Changed, key: str) -> bool:
        if key in changed.keys:
            return changed.keys[key] is not None
        return changed.base is not None and self.moment.location(changed.base, key) is not None

    def value(self, changed: Changed, key: str) -> Value | None:
        if key in changed.keys:
            return changed.keys[key]
        base = changed.base
        return None if base is None else self.moment.index.value(base, key, self.moment)

    def length(self, changed: Changed) -> int:
        if changed.length is None:
            base = changed.base
            count = 0 if base is None else self.moment.length(base)
            for key, value in changed.keys.items():
                was = base is not None and self.moment.location(base, key) is not None
                count += (value is not None) - was
            changed.length = count
        return changed.length

    def sorted_keys(self, changed: Changed, low: str = "", high: str | None = None) -> list[str]:
        """The keys from ``low`` on and before ``high``, in order, as a list that does not change
        any more."""
        if changed.base is not None and not changed.keys:
            return self.moment.keys(changed.base, low, high)
        if changed.order is None:
            changed.order = KeyOrder()
        return changed.order.lend(self._all_keys(changed), low, high)

    def _all_keys(self, changed: Changed) -> Iterator[str]:
        if changed.base is not None:
            yield from filterfalse(changed.keys.__contains__, self.moment.keys(changed.base))
        yield from (key for key, value in changed.keys.items() if value is not None)

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
        for changed in self.names.values():
            if changed is not None:
                changed.length = changed.order = None

    def _note(self, where: dict[str, Any], keys: Iterable[str]) -> None:
        if self._journals:
            self._journals[-1] += [(where, key, where.get(key, _ABSENT)) for key in keys]


_ABSENT: Final = object()
_Step: TypeAlias = tuple[dict[str, Any], str, Any]


# Batches


def batch(changes: Changes, index: Index) -> Additions:
    """What makes a transaction's changes, on what is there now."""
    made = Additions()
    serial = index.highest
    for name, changed in changes.names.items():
        table = index.names.get(name)
        if changed is None or changed.base is None:
            if table is not None:
                made.add(Operation(DROP, table.serial, []))
            if changed is None:
                continue
            serial += 1
            made.add(Operation(ADD, serial, [name]))
            table = Table(serial, index.guard)
        if table is not None:
            _add_changed_keys(made, index, table, changed.keys)
    return made


def _add_changed_keys(
    made: Additions, index: Index, table: Table, keys: Mapping[str, Change]
) -> None:
    there = {key: value for key, value in keys.items() if value is not None}
    gone = [key for key, value in keys.items() if value is None and key in table.at]
    if there:
        made.put(index, table, vlogput.of_many(there))
    if gone:
        old = vlogput.replaced(index, table, gone)
        made.add(Operation(DELETE, table.serial, gone, replaced=old))
