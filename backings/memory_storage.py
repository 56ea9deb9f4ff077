"""Storage in memory: for tests, for scratch work, and for what need not outlive its process."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, Final

from objstore._turns import Taken, take
from objstore.errors import CorruptionError, StorageError
from objstore.storage import Items, Value, as_pairs, as_text, as_value

from . import storages
from .checks import check_wait
from .key_order import KeyOrder
from .transacting import Ending, Threads, TransactingStorage

# Guarded by _shared_lock.
_shared: Final[dict[str, _Contents]] = {}
_shared_lock: Final = Lock()


class _Box:
    """A container's items, and how many transactions and savepoints may still look at them."""

    __slots__ = ("_order", "items", "pins")

    def __init__(self, items: dict[str, Value], order: KeyOrder | None = None) -> None:
        self.items: Final = items
        self.pins = 0
        self._order = order or KeyOrder()

    def copy(self) -> _Box:
        return _Box(dict(self.items), self._order.copy())

    def keys(self, low: str = "", high: str | None = None) -> list[str]:
        """The keys from ``low`` on and before ``high``, in order, as a list that does not change
        any more."""
        return self._order.lend(self.items, low, high)

    # What an interrupt can come between is in an order that leaves items and keys in step.

    def set(self, pairs: dict[str, Value]) -> None:
        added = pairs.keys() - self.items.keys()
        order, self._order = self._order, KeyOrder()
        self.items.update(pairs)
        order.note_changes(added, ())
        self._order = order

    def delete(self, keys: Iterable[str]) -> bool:
        """Whether any of them was there."""
        gone = {key for key in keys if key in self.items}
        if not gone:
            return False
        order, self._order = self._order, KeyOrder()
        list(map(self.items.pop, gone))
        order.note_changes((), gone)
        self._order = order
        return True


_Boxes = dict[str, _Box]


class _Contents:
    """What all Storages of one name share."""

    def __init__(self) -> None:
        self.turn: Final = Lock()
        """Held by the one writer, from its first write to its end."""
        self.lock: Final = RLock()
        # The fields below, and the pins of all boxes, are guarded by lock.
        self.boxes: _Boxes = {}
        self.head = 0
        """How often anything was committed."""


class _Transaction(Ending):
    """A thread's transaction: its own boxes, which it may look at, and change where none is
    pinned. It pins what it began with, hence a box is copied before it is first written to."""

    def __init__(self, contents: _Contents) -> None:
        self._contents: Final = contents
        self.taken: Final[Taken] = []
        """Whether it has the turn to write."""
        self.writes = False
        """Whether it may: with the turn, and overtaken by nobody."""
        self.has_read = False
        self._began: _Boxes = {}
        self.begin()

    def begin(self) -> None:
        """Take everything as it is now."""
        with self._contents.lock:
            self._unpin_began()
            boxes = dict(self._contents.boxes)
            # First: where this is interrupted, better unpinned never than once too often. Others
            # would write in place then.
            _pin(boxes)
            self._began = boxes
            self.boxes: _Boxes = dict(boxes)
            self.head = self._contents.head

    def end(self, *, commit: bool = False) -> None:
        """Let go of what it looks at, and of the turn; with ``commit`` all see its changes."""
        try:
            with self._contents.lock:
                self._unpin_began()
                if commit and self.writes:
                    self._contents.boxes = self.boxes
                    self._contents.head += 1
        finally:
            if self.taken:
                del self.taken[:]
                self._contents.turn.release()
        self.ended = True

    def begun(self) -> _Boxes:
        """What it began with, once more where it began anew."""
        return dict(self._began)

    def pin(self, boxes: _Boxes) -> None:
        with self._contents.lock:
            _pin(boxes)

    def _unpin_began(self) -> None:
        # Better never than twice, where this is interrupted: what is pinned is copied once more.
        began, self._began = self._began, {}
        self.unpin(began)

    def unpin(self, boxes: _Boxes) -> None:
        with self._contents.lock:
            for box in boxes.values():
                box.pins -= 1

    def __del__(self) -> None:
        # The thread ended in the middle of its transaction. When the interpreter ends, locks may
        # be held by threads that never go on.
        if not sys.is_finalizing():
            self.end()


def _pin(boxes: _Boxes) -> None:
    for box in boxes.values():
        box.pins += 1


class MemoryStorage(TransactingStorage[_Transaction]):
    """Containers in dicts. ``path`` is a name by which Storages of one process share them.

    What has a name stays until the process ends; the empty name is new each time. A transaction,
    and each savepoint in it, copies a container, without its values, before it first writes to it.
    ``wait`` is how many seconds a writer waits for others.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        create: bool = False,
        readonly: bool = False,
        *,
        wait: float = storages.WAIT,
    ) -> None:
        super().__init__(path, create, readonly)
        self._wait: Final = check_wait(wait)
        self._threads = Threads()
        self._closed = False
        self._contents: Final = self._found(create)

    def _found(self, create: bool) -> _Contents:
        with _shared_lock:
            if create:
                if self.path in _shared:
                    raise storages.duplicate_storage(self.path)
                contents = _Contents()
                if self.path:
                    _shared[self.path] = contents
            elif self.path not in _shared:
                raise storages.no_storage(self.path)
            else:
                contents = _shared[self.path]
            return contents

    # --- transactions -----------------------------------------------------------------------------

    def begin(self) -> None:
        self._require_none()
        self._threads.transaction = _Transaction(self._contents)

    def _begin(self, *, write: bool) -> None:
        self.begin()
        if write:
            self._reserve()

    def _commit(self, transaction: _Transaction) -> None:
        transaction.end(commit=True)

    def _reserve(self) -> None:
        transaction = self._running()
        self._require_writing(transaction)
        if transaction.writes:
            return
        if not transaction.taken:
            self._take_turn(transaction.taken)
        if transaction.head != self._contents.head:
            if transaction.has_read:
                self._fail(transaction)
                raise storages.overtaken(self.path)
            transaction.begin()
        transaction.writes = True

    def _take_turn(self, taken: Taken) -> None:
        if self.readonly:
            raise storages.readonly(self.path)
        if not take(self._contents.turn, self._wait, taken):
            if (transaction := self._threads.transaction) is not None:
                self._fail(transaction)
            raise storages.busy(self.path, self._wait)

    def _fail(self, transaction: _Transaction) -> None:
        self._lose(transaction)
        transaction.end()

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """As the contract says, by a copy of which containers there are."""
        transaction = self._running()
        boxes, had_written = dict(transaction.boxes), transaction.writes
        transaction.pin(boxes)
        try:
            yield
        except BaseException:
            if self._threads.transaction is transaction and not transaction.is_lost:
                was_over = transaction.is_over
                transaction.is_over = transaction.is_lost = True  # where this is interrupted
                # With its first write it may have begun anew, with what others had committed.
                transaction.boxes = boxes if had_written else transaction.begun()
                transaction.is_over, transaction.is_lost = was_over, False
            raise
        finally:
            transaction.unpin(boxes)

    @contextmanager
    def _writing(self) -> Generator[_Boxes]:
        """The containers, to be changed by this thread: all of a call's checks come first."""
        transaction = self._current()
        if transaction is not None:
            self._reserve()
            yield transaction.boxes
            return
        taken: Taken = []
        try:
            self._take_turn(taken)
            with self._contents.lock:
                try:
                    yield self._contents.boxes
                except StorageError:
                    raise  # of the checks: nothing was changed
                except BaseException:
                    self._contents.head += 1
                    raise
                self._contents.head += 1
        finally:
            if taken:
                self._contents.turn.release()

    @contextmanager
    def _reading(self) -> Generator[_Boxes]:
        transaction = self._current()
        if transaction is not None:
            transaction.has_read = True
            yield transaction.boxes
            return
        with self._contents.lock:
            yield self._contents.boxes

    def close(self) -> None:
        if not self._closed:
            if self._threads.transaction is not None:
                self._take_back(self._threads.transaction)
            self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise storages.closed(self.path)

    # --- containers -------------------------------------------------------------------------------

    def add_container(self, c_id: str) -> None:
        name = as_text(c_id, "container")
        with self._writing() as boxes:
            if name in boxes:
                raise storages.duplicate_container(name)
            boxes[name] = _Box({})

    def clear(self) -> None:
        with self._writing() as boxes:
            boxes.clear()

    def clear_container(self, c_id: str) -> None:
        with self._writing() as boxes:
            _box(boxes, c_id)
            boxes[str(c_id)] = _Box({})

    def delete_container(self, c_id: str) -> None:
        with self._writing() as boxes:
            _box(boxes, c_id)
            del boxes[str(c_id)]

    def get_container_len(self, c_id: str) -> int:
        with self._reading() as boxes:
            return len(_box(boxes, c_id).items)

    def get_containers(self) -> Iterator[str]:
        with self._reading() as boxes:
            return iter(sorted(boxes))

    # --- items ------------------------------------------------------------------------------------

    def get_container_item(self, c_id: str, key: Any) -> Value:
        with self._reading() as boxes:
            value = _box(boxes, c_id).items.get(str(key))
        if value is None:
            raise storages.no_key(str(c_id), str(key))
        return value

    def get_container_items(
        self, c_id: str, keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[str, Value | None]]:
        """As the contract says; all are looked up at the call."""
        if keys is None:
            return self.scan(c_id)
        wanted = [str(key) for key in keys]
        with self._reading() as boxes:
            items = _box(boxes, c_id).items
            return iter([(key, items.get(key)) for key in wanted])

    def get_container_keys(self, c_id: str) -> Iterator[str]:
        with self._reading() as boxes:
            return iter(_box(boxes, c_id).keys())

    def scan(
        self,
        c_id: str,
        prefix: str = "",
        start: str | None = None,
        stop: str | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[str, Value]]:
        """As the contract says; all are looked up at the call."""
        low, high = storages.bounds(prefix, start, stop)
        with self._reading() as boxes:
            box = _box(boxes, c_id)
            found = [(key, box.items[key]) for key in box.keys(low, high)]
        return reversed(found) if reverse else iter(found)

    def set_container_item(self, c_id: str, key: Any, value: Any) -> None:
        self.set_container_items(c_id, [(key, value)])

    def set_container_items(self, c_id: str, items: Items) -> None:
        pairs = {as_text(key): as_value(value) for key, value in as_pairs(items)}
        with self._writing() as boxes:
            _writable(boxes, c_id).set(pairs)

    def delete_container_item(self, c_id: str, key: Any) -> bool:
        return self._delete(c_id, [key])

    def delete_container_items(self, c_id: str, keys: Iterable[Any]) -> None:
        self._delete(c_id, keys)

    def _delete(self, c_id: str, keys: Iterable[Any]) -> bool:
        names = [str(key) for key in keys]
        with self._writing() as boxes:
            return _writable(boxes, c_id).delete(names)

    def check(self) -> list[CorruptionError]:
        """Nothing: there is no medium."""
        self._require_open()
        return []


def _box(boxes: _Boxes, c_id: str) -> _Box:
    box = boxes.get(str(c_id))
    if box is None:
        raise storages.no_container(str(c_id))
    return box


def _writable(boxes: _Boxes, c_id: str) -> _Box:
    """The container, copied first if anybody else may look at it."""
    box = _box(boxes, c_id)
    if box.pins:
        box = boxes[str(c_id)] = box.copy()
    return box
