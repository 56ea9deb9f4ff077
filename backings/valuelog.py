"""Storage in value files, with all keys in memory. Format: docs/formats/value-log.md."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, NoReturn, cast
from uuid import UUID
from weakref import WeakSet

from objstore._turns import NOT_TAKEN, Taken
from objstore.errors import (
    BusyError,
    ClosedError,
    CorruptionError,
    ObjstoreError,
    ReadOnlyError,
)
from objstore.storage import Items, Progress, Value, as_pairs, as_text, as_value

from . import storages
from .checks import check_options, check_wait
from .checksums import SOUND, SUM, crc32c
from .filesystem import names
from .filesystem.io import Files
from .filesystem.log.loglock import LogLock
from .filesystem.log.logwriter import Certainty
from .filesystem.values import (
    vlogbackup,
    vlogchanges,
    vlogcheck,
    vlogcompact,
    vloglist,
    vlogmake,
    vlogput,
    vlogscan,
)
from .filesystem.values.valuefile import HEAD, ValueFileInfo
from .filesystem.values.vlogbatch import OFFSET_MASK, OFFSET_SHIFT, SIZE_MASK, SLOT_SHIFT
from .filesystem.values.vlogchanges import Change, Changed, Changes
from .filesystem.values.vlogfile import LogValues
from .filesystem.values.vlogindex import Moment
from .filesystem.values.vlogput import Put
from .filesystem.values.vlogqueue import PutQueue
from .filesystem.values.vlogview import SOMETHING, View
from .filesystem.values.vlogwriter import Writer
from .transacting import Ending, Threads, TransactingStorage

CAPACITY: Final = 1 << 27
"""How long a value file may become, in bytes, before the next one is begun."""

_IN: Final = HEAD.size
_OUT: Final = -SUM.size
"""Where a value is in its entry."""


class _Transaction(Ending):
    """A thread's transaction."""

    held: Taken = NOT_TAKEN
    """Whether the writer is held for it, from the first write on."""

    def __init__(self, writer: Writer, moment: Moment, number: int) -> None:
        self.changes = Changes(moment)
        self.number = number
        """The last batch's that it sees."""
        self.has_read = False
        self._writer: Final = writer

    def end(self) -> None:
        """As the class says."""
        if self.held:
            self._writer.release()
        self.ended = True

    def __del__(self) -> None:
        # The thread ended in the middle of its transaction.
        self.end()


class _Closed:
    """What a closed storage listens to, and has in the place of its newest file."""

    def __init__(self, path: str, id: UUID) -> None:
        self._path = path
        self.id = id

    def __getitem__(self, at: int) -> NoReturn:
        raise storages.closed(self._path)

    def __getattr__(self, name: str) -> NoReturn:
        raise storages.closed(self._path)


class ValueLogStorage(TransactingStorage[_Transaction]):
    """Containers in a folder of value files; each process that has it open holds all its keys.

    ``durability="full"`` has every commit on the disk when it returns, ``"os"`` leaves that to the
    operating system. ``wait`` is how many seconds a writer waits for others. ``capacity`` is given
    when it is made: how long a file may become, in bytes. Threads and processes may share the
    folder; a child that was forked may go on with what its parent had open.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        create: bool = False,
        readonly: bool = False,
        *,
        wait: float = storages.WAIT,
        durability: str = "full",
        capacity: int = CAPACITY,
        umask: int | None = None,
    ) -> None:
        super().__init__(path, create, readonly)
        check_options(durability, "eager")
        if capacity <= 0:
            raise ValueError(f"capacity must be a number of bytes above 0, not {capacity}")
        self._wait: Final = check_wait(wait)
        self._is_stale = False
        self._files: Final = self._make_files(sync=durability == "full", umask=umask)
        self._certainty: Final = Certainty()
        self._is_closed = False
        if create and not vlogmake.make(self._files, self._new_lock(), capacity, self._wait):
            raise storages.duplicate_storage(self.path)
        self._require_own()
        self._set_up()
        _handles.add(self)

    def _make_files(self, *, sync: bool, umask: int | None) -> Files:
        """The seam, for tests to put another one in its place."""
        return Files(self.path, sync=sync, umask=umask)

    def _require_own(self) -> None:
        found = self._files.stat(self._files.root)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            reason = "there is something, and it is no storage of this kind"
            raise storages.no_storage(self.path, reason)
        if vloglist.read(self._files) is None:
            raise storages.no_storage(self.path)

    def _new_lock(self) -> LogLock:
        return LogLock(self._files, names.values_lock(self._files.root))

    def _set_up(self) -> None:
        lock = self._new_lock()
        self._threads = Threads()
        self._ending = Lock()
        # Guarded by _ending.
        self._transactions: WeakSet[_Transaction] = WeakSet()
        self._has_begun = False
        """Whether any thread may have one; what a thread reads of its own is true at once."""
        self._view = View(self._files, lock)
        self._writer = Writer(self._files, lock, self._view, self._certainty, self._wait)
        self._puts = PutQueue(self._view, self._writer, self._wait)

    # --- transactions -----------------------------------------------------------------------------

    def begin(self) -> None:
        self._require_none()
        transaction = _Transaction(self._writer, *self._now())
        with self._ending:
            self._transactions.add(transaction)
            self._has_begun = True
        self._threads.transaction = transaction

    def _begin(self, *, write: bool) -> None:
        self.begin()
        if write:
            self._reserve()

    def _now(self) -> tuple[Moment, int]:
        with self._view.guard:
            return self._view.now(), self._view.number

    def _commit(self, transaction: _Transaction) -> None:
        """As the contract says: one batch, with one sync that other threads may share."""
        self._note_end(transaction)
        try:
            if not transaction.held:
                return
            made = vlogchanges.batch(transaction.changes, self._view.index)
            if not made.operations:
                return
            position = self._writer.append(made)
        finally:
            transaction.end()
        self._writer.sync(position)

    def _take_back(self, transaction: _Transaction) -> None:
        transaction.is_over = True  # where this is interrupted
        try:
            self._note_end(transaction)
        finally:
            super()._take_back(transaction)

    def _note_end(self, transaction: _Transaction) -> None:
        """Have it known, before this thread ends it, that ``close`` is not to."""
        with self._ending:
            self._require_open()
            self._transactions.discard(transaction)
            self._has_begun = bool(self._transactions)

    def _reserve(self) -> None:
        transaction = self._running()
        self._require_writing(transaction)
        if transaction.held:
            return
        try:
            transaction.held = self._take_turn()
            with self._ending:
                self._require_open()
            self._catch_up(transaction)
        except BaseException as error:
            transaction.end()
            if not isinstance(error, ClosedError | ReadOnlyError):
                self._lose(transaction)
            raise

    def _catch_up(self, transaction: _Transaction) -> None:
        if transaction.number != self._view.number:
            if transaction.has_read:
                raise storages.overtaken(self.path)
            moment, transaction.number = self._now()
            transaction.changes = Changes(moment)

    def _take_turn(self) -> Taken:
        if self.readonly:
            raise storages.readonly(self.path)
        try:
            return self._writer.acquire()
        except BusyError:
            raise storages.busy(self.path, self._wait) from None

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """As the contract says; kept as what there was before each change since."""
        transaction = self._running()
        changes = transaction.changes
        changes.mark()
        take_back = True
        try:
            yield
            take_back = False
        finally:
            was = transaction.is_over, transaction.is_lost
            transaction.is_over = transaction.is_lost = True  # where this is interrupted
            # A first write may have begun the transaction anew, and there was nothing before.
            if transaction.changes is changes:
                changes.forget_mark(take_back=take_back)
            elif take_back and self._threads.transaction is transaction:
                transaction.changes = Changes(transaction.changes.moment)
            transaction.is_over, transaction.is_lost = was

    @contextmanager
    def _changing(self) -> Generator[Changes]:
        """What to change: this thread's transaction, or one of this call alone."""
        transaction = self._current()
        if transaction is not None:
            self._reserve()
            try:
                yield transaction.changes
            except ObjstoreError:
                raise
            except BaseException:
                transaction.end()
                self._lose(transaction)  # a part of a call may be in it
                raise
            return
        held = self._take_turn()
        try:
            changes = Changes(self._view.now())
            yield changes
            made = vlogchanges.batch(changes, self._view.index)
            del changes
            position = self._writer.append(made) if made.operations else None
            self._writer.release()
        except BaseException:
            if held:
                self._writer.release()
            raise
        if position is not None:
            self._writer.sync(position)

    def _seen(self) -> Changes:
        """What this thread sees."""
        transaction = self._current()
        if transaction is None:
            return Changes(self._view.now())
        transaction.has_read = True
        return transaction.changes

    def close(self) -> None:
        """As the contract says; what was written ends with the mark of a clean close."""
        if self._is_stale:
            self._leave()
            return
        with self._ending:
            if self._is_closed:
                return
            self._is_closed = True
            # Other threads' too, but for those that are about to be committed.
            for transaction in self._transactions:
                transaction.end()
        self._threads.transaction = None
        _handles.discard(self)
        try:
            if not self.readonly:
                self._writer.close()
        except BusyError:
            raise storages.busy(self.path, self._wait) from None
        finally:
            closed = _Closed(self.path, self._view.tail.file.id)
            self._view.close((closed, 0), cast("LogValues", closed))

    def _leave(self) -> None:
        """Close it in a child that has not used it: all there is, the lock too, is its parent's."""
        self._is_closed, self._is_stale = True, False
        _handles.discard(self)
        closed: Any = _Closed(self.path, self._view.tail.file.id)
        self._view = self._writer = self._puts = closed

    def _require_open(self) -> None:
        if self._is_closed:
            raise storages.closed(self.path)
        if self._is_stale:
            self._set_up()
            self._is_stale = False

    def _forked(self) -> None:
        """Begin anew in a child, with the next call: its parent's threads may have been amid
        anything."""
        self._threads = Threads()
        self._ending = Lock()
        self._is_stale = True
        self._view.bell = SOMETHING

    # --- containers -------------------------------------------------------------------------------

    def add_container(self, c_id: str) -> None:
        name = as_text(c_id, "container")
        with self._changing() as changes:
            if changes.find(name) is not None:
                raise storages.duplicate_container(name)
            changes.set_container(name, Changed(None))

    def clear(self) -> None:
        with self._changing() as changes:
            for name in changes.all_names():
                changes.set_container(name, None)

    def clear_container(self, c_id: str) -> None:
        with self._changing() as changes:
            _found(changes, c_id)
            changes.set_container(str(c_id), Changed(None))

    def delete_container(self, c_id: str) -> None:
        with self._changing() as changes:
            _found(changes, c_id)
            changes.set_container(str(c_id), None)

    def get_container_len(self, c_id: str) -> int:
        seen = self._seen()
        return seen.length(_found(seen, c_id))

    def get_containers(self) -> Iterator[str]:
        return iter(self._seen().all_names())

    # --- items ------------------------------------------------------------------------------------

    def get_container_item(self, c_id: str, key: Any) -> Value:
        """As the contract says: one slice of mapped memory, and its checksum."""
        # What the slow way does, in one piece, where nothing is in its way.
        if type(key) is not str or type(c_id) is not str:
            return self._get(c_id, key)
        moment = None
        if not self._has_begun or (transaction := self._threads.transaction) is None:
            view = self._view
            bell, at = view.bell
            if bell[at] != 1:
                self._require_open()
                view = self._view  # which a forked child makes anew
                view.refresh()
            index = view.index
        else:
            changes = transaction.changes
            if changes.names or self._is_closed or transaction.is_over:
                return self._get(c_id, key)
            moment, transaction.has_read = changes.moment, True
            index = moment.index
        try:
            table = index.names[c_id]
            location = table.at[key] if table.cold is None else table.find(key)
            # In this order: whoever replaces a value notes it first.
            if moment is None or (
                moment.names is None and not moment.before and moment.next is None
            ):
                at = location >> OFFSET_SHIFT & OFFSET_MASK
                mapped = index.files[location >> SLOT_SHIFT].map
                entry = mapped[at : at + (location >> 1 & SIZE_MASK)]
                if crc32c(entry) == SOUND:
                    return entry[_IN:_OUT] if location & 1 else entry[_IN:_OUT].decode()
        except (KeyError, TypeError):
            pass
        return self._get(c_id, key)

    def _get(self, c_id: str, key: Any) -> Value:
        seen, name = self._seen(), str(key)
        value = seen.value(_found(seen, c_id), name)
        if value is None:
            raise storages.no_key(str(c_id), name)
        return value

    def get_container_items(
        self, c_id: str, keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[str, Value | None]]:
        """As the contract says; what was replaced since the call is noted for who began before."""
        if keys is None:
            return self.scan(c_id)
        wanted = [str(key) for key in keys]
        seen = self._seen()
        found = _found(seen, c_id)
        return ((key, seen.value(found, key)) for key in wanted)

    def get_container_keys(self, c_id: str) -> Iterator[str]:
        seen = self._seen()
        return iter(seen.sorted_keys(_found(seen, c_id)))

    def scan(
        self,
        c_id: str,
        prefix: str = "",
        start: str | None = None,
        stop: str | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[str, Value]]:
        """As the contract says; values that lie behind each other are read at once."""
        low, high = storages.bounds(prefix, start, stop)
        seen = self._seen()
        found = _found(seen, c_id)
        keys = seen.sorted_keys(found, low, high)
        if reverse:
            keys = keys[::-1]
        if found.base is not None and not found.keys:
            return vlogscan.pairs(seen.moment.index, seen.moment, found.base, keys)
        return _pairs(seen, found, _own(found, keys), keys)

    def set_container_item(self, c_id: str, key: Any, value: Any) -> None:
        self._require_open()
        if self._threads.transaction is not None:
            self._change(c_id, {as_text(key): as_value(value)})
        else:
            self._put(str(c_id), vlogput.of_one(key, value))

    def set_container_items(self, c_id: str, items: Items) -> None:
        if self.in_transaction:
            self._change(c_id, _coerced(items))
        else:
            self._put(str(c_id), vlogput.of_many(items))

    def delete_container_item(self, c_id: str, key: Any) -> bool:
        name = str(key)
        with self._changing() as changes:
            found = _found(changes, c_id)
            was_there = changes.has(found, name)
            if was_there:
                changes.change(str(c_id), found, {name: None})
        return was_there

    def delete_container_items(self, c_id: str, keys: Iterable[Any]) -> None:
        gone: dict[str, Change] = dict.fromkeys(map(str, keys))
        with self._changing() as changes:
            changes.change(str(c_id), _found(changes, c_id), gone)

    def _change(self, c_id: str, pairs: dict[str, Any]) -> None:
        with self._changing() as changes:
            changes.change(str(c_id), _found(changes, c_id), pairs)

    def _put(self, name: str, put: Put) -> None:
        """What ``_change`` does, outside of a transaction, in a fraction of its time."""
        if self.readonly:
            raise storages.readonly(self.path)
        try:
            is_there = self._puts.put(name, put)
        except BusyError:
            raise storages.busy(self.path, self._wait) from None
        if not is_there:
            self._require_open()
            raise storages.no_container(name)

    # --- upkeep -----------------------------------------------------------------------------------

    def compact(self, wasted: float = 0.0) -> None:
        """Give back the space of values that were replaced or deleted; readers and writers go on.

        Files are rewritten of which at least the share ``wasted`` is dead, with 0 all that have
        anything dead in them. Raises BusyError where another compaction is running.
        """
        self._require_open()
        if self.readonly:
            raise storages.readonly(self.path)
        try:
            vlogcompact.compact(self._files, self._view, self._writer, wasted)
        except BusyError as error:
            if error.errno is not None:
                raise  # another compaction
            raise storages.busy(self.path, self._wait) from None

    def get_file_infos(self) -> list[ValueFileInfo]:
        """What each value file holds, in order; ``deleted`` counts what was replaced, too."""
        self._require_open()
        self._view.refresh()
        return vlogcompact.infos(self._view)

    def backup(self, target: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the newest commit to the folder ``target``; see ``Backups``."""
        self._require_open()
        path = os.fsdecode(target)
        if not vlogbackup.copy(self._files, self._view, path, progress):
            raise storages.duplicate_storage(path)

    def check(self) -> list[CorruptionError]:
        """Everything that is wrong with what is stored; reads all of it."""
        self._require_open()
        self._view.refresh()
        return vlogcheck.check(self._files, self._view)


_handles: Final[WeakSet[ValueLogStorage]] = WeakSet()


def _forked() -> None:
    for handle in list(_handles):
        handle._forked()


os.register_at_fork(after_in_child=_forked)


def _found(changes: Changes, c_id: str) -> Changed:
    found = changes.find(str(c_id))
    if found is None:
        raise storages.no_container(str(c_id))
    return found


def _own(found: Changed, keys: list[str]) -> dict[str, Change]:
    """What was changed of some keys, as it is now."""
    own = found.keys
    if len(own) <= len(keys):
        return dict(own)
    return {key: own[key] for key in keys if key in own}


def _pairs(
    changes: Changes, found: Changed, own: dict[str, Change], keys: list[str]
) -> Iterator[tuple[str, Value]]:
    for key in keys:
        value = own[key] if key in own else changes.value(found, key)
        if value is not None:
            yield key, value


def _coerced(items: Items) -> dict[str, Value]:
    """The pairs as they are stored. Raises FormatError."""
    return {as_text(key): as_value(value) for key, value in as_pairs(items)}
