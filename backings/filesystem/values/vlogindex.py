"""The index of a value log: where the newest value of each key is, and where it was before.

Readers take no lock. What somebody who began earlier still has to see is kept as *moments*: a
moment has what was replaced since, up to the next one. Moments that nobody holds any more are gone,
and their successors with them, unless somebody holds those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from threading import RLock
from typing import Any, Final, cast
from weakref import ReferenceType, finalize, ref

from objstore.errors import CorruptionError

from ...key_order import KeyOrder
from . import vlogbatch
from .vlogbatch import SLOT_SHIFT, ColdKeys, Operation
from .vlogfile import LogValues

_LOOKS: Final = 20
"""So often a key is looked for among cold ones, at 0.5 ms for 100,000."""

_MANY: Final = 1000


class Table:
    """The keys of one container."""

    __slots__ = ("_guard", "_looks", "at", "cold", "order", "places", "serial")

    def __init__(self, serial: int, guard: RLock) -> None:
        self.serial: Final = serial
        self._guard: Final = guard
        self._looks = 0
        self.at: dict[str, int] = {}
        """Locations, in the form of ``vlogbatch.locations``. Made when asked for, if it is cold."""
        self.cold: Cold | None = None
        # Guarded by the index's guard.
        self.order: Final = KeyOrder()
        self.places: list[int] | None = None
        """Where the values of ``order`` are, once somebody read them all; it never changes."""

    def chill(self, operation: Operation, slot: int, offset: int) -> None:
        """Take the keys of a Put later; there are no others so far."""
        self.cold = Cold(operation, slot, offset)
        del self.at
        self.__class__ = _ColdTable

    def find(self, key: str) -> int:
        """Where a key's value is. Raises KeyError.

        The first times, keys that are cold are not made into a dict: who opens a storage for one
        key need not wait for all.
        """
        cold, self._looks = self.cold, self._looks + 1
        if cold is None or self._looks > _LOOKS:
            return self.at[key]
        found = cold.find(key)
        if found is None:
            raise KeyError(key)
        return found

    def note_changes(self, added: Sequence[str], removed: Sequence[str]) -> None:
        self.places = None
        self.order.note_changes(added, removed)


class _ColdTable(Table):
    """A table as long as it is cold: every field of a class with ``__getattr__`` takes longer."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # Only where a slot is empty.
        if name != "at":
            raise AttributeError(name)
        with self._guard:
            cold = self.cold
            if cold is not None:
                self.at = cold.load()
                self.cold = None
                self.__class__ = Table  # type: ignore[assignment]  # a base, of the same slots
            return self.at


class Cold:
    """A Put whose keys have not been taken apart, and what came after it."""

    def __init__(self, operation: Operation, slot: int, offset: int) -> None:
        self._keys: Final = cast("ColdKeys", operation.keys)
        self._operation: Final = operation
        self._slot: Final = slot
        self._offset: Final = offset
        self._later: Final[dict[str, int | None]] = {}

    def add(self, operation: Operation, slot: int, offset: int) -> bool:
        """Put or delete some more keys; False where they are many."""
        if len(self._later) + len(operation.keys) > _MANY:
            return False
        found: Iterable[int | None] = repeat(None)
        if operation.op == vlogbatch.PUT:
            found = vlogbatch.locations(operation, slot, offset)
        self._later.update(zip(operation.keys, found, strict=False))
        return True

    def find(self, key: str) -> int | None:
        if key in self._later:
            return self._later[key]
        place = self._keys.place(key)
        return None if place is None else next(islice(self._locations(), place, None))

    def load(self) -> dict[str, int]:
        at = dict(zip(self._keys.load(), self._locations(), strict=False))
        for key, found in self._later.items():
            if found is not None:
                at[key] = found
            else:
                at.pop(key, None)
        return at

    def _locations(self) -> Iterable[int]:
        return vlogbatch.locations(self._operation, self._slot, self._offset)


class Moment:
    """What has been replaced since, up to the next moment."""

    __slots__ = ("__weakref__", "before", "index", "names", "next")

    def __init__(self, index: Index) -> None:
        self.index: Final = index
        self.next: Moment | None = None
        self.names: dict[str, Table] | None = None
        """The containers as they were, where that has changed since."""
        self.before: dict[Table, dict[str, int | None]] = {}
        """Where the values of keys were; None where there was none."""

    def is_untouched(self) -> bool:
        return self.names is None and not self.before

    def table(self, name: str) -> Table | None:
        """The container of that name at this moment."""
        found = self.index.names.get(name)
        for moment in self._chain():
            if moment.names is not None:
                return moment.names.get(name)
        return found

    def all_names(self) -> list[str]:
        names = self.index.names
        for moment in self._chain():
            if moment.names is not None:
                names = moment.names
                break
        return sorted(names)

    def location(self, table: Table, key: str) -> int | None:
        """Where a key's value was."""
        # In this order: whoever replaces it notes it first.
        found = table.at.get(key)
        for moment in self._chain():
            before = moment.before.get(table)
            if before is not None and key in before:
                return before[key]
        return found

    def locations(self, table: Table, keys: Sequence[str]) -> list[int | None]:
        found: list[int | None] = list(map(table.at.get, keys))
        if any(table in moment.before for moment in self._chain()):
            return [self.location(table, key) for key in keys]
        return found

    def places(self, table: Table, keys: Sequence[str]) -> list[int] | None:
        """Where the values of all keys are, as a list that does not change any more.

        None where ``keys`` are not all there are now, and in order.
        """
        with self.index.guard:
            if keys is not table.order.keys or self._changed(table):
                return None
            if table.places is None:
                table.places = list(map(table.at.__getitem__, keys))
            return table.places

    def length(self, table: Table) -> int:
        with self.index.guard:
            changed = self._changed(table)
            return len(table.at) + sum(
                (old is not None) - (key in table.at) for key, old in changed.items()
            )

    def keys(self, table: Table, low: str = "", high: str | None = None) -> list[str]:
        """The keys of a container from ``low`` on and before ``high``, in order, as a list that
        does not change any more."""
        with self.index.guard:
            changed = self._changed(table)
            if not changed:
                return table.order.lend(table.at, low, high)
            there = table.at.keys() - changed.keys()
            there.update(key for key, old in changed.items() if old is not None)
            return KeyOrder().lend(there, low, high)

    def _changed(self, table: Table) -> dict[str, int | None]:
        changed: dict[str, int | None] = {}
        for moment in self._chain():
            for key, old in moment.before.get(table, {}).items():
                changed.setdefault(key, old)
        return changed

    def _chain(self) -> Iterator[Moment]:
        moment: Moment | None = self
        while moment is not None:
            yield moment
            moment = moment.next


class Index:
    """All containers and keys, as of the newest batch read."""

    def __init__(self, guard: RLock) -> None:
        self.guard: Final = guard
        """Held while something changes, and to begin."""
        self.files: Final[dict[int, LogValues]] = {}
        """By slot."""
        self.names: dict[str, Table] = {}
        self.tables: dict[int, Table] = {}
        """By serial."""
        self.highest = 0
        """The highest serial that was given."""
        # Guarded by guard.
        self._newest: ReferenceType[Moment] | None = None

    def now(self) -> Moment:
        """The moment that has what is there now, for as long as it is held."""
        with self.guard:
            newest = self._held()
            if newest is not None and newest.is_untouched():
                return newest
            moment = Moment(self)
            if newest is not None:
                newest.next = moment
            self._newest = ref(moment)
            return moment

    def value(self, table: Table, key: str, moment: Moment | None = None) -> str | bytes | None:
        """A key's value now, or at a moment; None where there is none. Raises CorruptionError."""
        location: int | None = -1
        while True:
            before = location
            location = table.at.get(key) if moment is None else moment.location(table, key)
            if location is None:
                return None
            file = self.files.get(location >> SLOT_SHIFT)
            if file is not None:
                return file.value(location)
            # A compaction has moved it since.
            if location == before:
                raise CorruptionError("the file of a value is not there any more", file="values")

    def held(self) -> Moment | None:
        """The newest moment that somebody holds, be it by an older one."""
        with self.guard:
            return self._held()

    def _held(self) -> Moment | None:
        return None if self._newest is None else self._newest()

    # Changes, while the guard is held

    def add(self, serial: int, name: str) -> None:
        names = self._changing_names()
        names[name] = self.tables.setdefault(serial, Table(serial, self.guard))
        self.highest = max(self.highest, serial)

    def drop(self, serial: int) -> None:
        self.highest = max(self.highest, serial)
        table = self.tables.pop(serial, None)
        if table is None:
            return
        names = self._changing_names()
        for name in [name for name, one in names.items() if one is table]:
            del names[name]

    def put(self, table: Table, keys: Sequence[str], found: Iterable[int]) -> None:
        """Have keys lead to new places; who holds a moment before goes on seeing the old ones."""
        moment = self._held()
        if moment is None and table.order.keys is None:
            table.at.update(zip(keys, found, strict=False))
            return
        old = list(map(table.at.get, keys))
        self._note(moment, table, keys, old)
        table.at.update(zip(keys, found, strict=False))
        added = [key for key, at in zip(keys, old, strict=True) if at is None]
        table.note_changes(added, ())

    def delete(self, table: Table, keys: Sequence[str]) -> None:
        keys = [key for key in keys if key in table.at]
        self._note(self._held(), table, keys, map(table.at.get, keys))
        for key in keys:
            del table.at[key]
        table.note_changes((), keys)

    def move(
        self, table: Table, keys: Sequence[str], old: Sequence[int], new: Iterable[int]
    ) -> None:
        """What was at some places is at others now, unless it was replaced meanwhile."""
        at = table.at
        for key, was, found in zip(keys, old, new, strict=False):
            if at.get(key) == was:
                at[key] = found
        table.places = None

    def forget_files(self, slots: Iterable[int]) -> None:
        """Close files to which nothing leads any more, once nobody holds a moment before."""
        moment, files, gone = self._held(), self.files, list(slots)
        if moment is None:
            _forget(files, gone)
        else:
            finalize(moment, _forget, files, gone)

    def apply(self, operation: Operation, slot: int, offset: int) -> None:
        """What a batch says, whose values for this operation begin at ``offset``."""
        op, serial, keys = operation[:3]
        if op == vlogbatch.ADD:
            self.add(serial, keys[0])
            return
        if op == vlogbatch.DROP:
            self.drop(serial)
            return
        table = self.tables.get(serial)
        if table is None:
            return
        if op == vlogbatch.PUT:
            self.put(table, list(keys), vlogbatch.locations(operation, slot, offset))
        else:
            self.delete(table, keys)

    def load(self, operation: Operation, slot: int, offset: int) -> None:
        """As ``apply``, of keys, to an index that nobody has seen so far."""
        table = self.tables.setdefault(operation.serial, Table(operation.serial, self.guard))
        is_put = operation.op == vlogbatch.PUT
        if is_put and isinstance(operation.keys, ColdKeys) and table.cold is None and not table.at:
            table.chill(operation, slot, offset)
        elif table.cold is None or not table.cold.add(operation, slot, offset):
            self.apply(operation, slot, offset)

    def live(self) -> Counter[int]:
        """How many values there are in each file, by its slot."""
        with self.guard:
            counts: Counter[int] = Counter()
            for table in self.names.values():
                counts.update(map(int.__rshift__, table.at.values(), repeat(SLOT_SHIFT)))
            return counts

    def _changing_names(self) -> dict[str, Table]:
        moment = self._held()
        if moment is not None and moment.names is None:
            moment.names = self.names
            self.names = dict(self.names)
        return self.names

    def _note(
        self,
        moment: Moment | None,
        table: Table,
        keys: Iterable[str],
        old: Iterable[int | None],
    ) -> None:
        if moment is None:
            return
        before = moment.before.setdefault(table, {})
        for key, at in zip(keys, old, strict=False):
            before.setdefault(key, at)


def _forget(files: dict[int, LogValues], slots: Iterable[int]) -> None:
    for slot in slots:
        files.pop(slot, None)
