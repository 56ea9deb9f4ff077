"""What a transaction on a value log has changed so far, and the batch that it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from objstore.storage import Value

from . import vlogput
from .vlogbatch import ADD, DELETE, DROP, Operation
from .vlogindex import Index, Moment, Table
from .vlogput import Additions

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
