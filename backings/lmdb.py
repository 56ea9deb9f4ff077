"""Storage in an LMDB file: the fastest reads, by any number of processes.

The format is described in docs/formats/lmdb.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import add
from typing import Any, Final, TypeAlias, TypeVar, cast

import lmdb

from objstore.errors import CorruptionError
from objstore.storage import Items, Progress, Value, as_text, as_value

from . import lmdb_files, storages
from . import lmdb_records as records
from .checks import check_options, check_wait
from .checksums import SOUND, SUM, crc32c
from .filesystem.io import real_path
from .lmdb_env import Txn, leave, mapped, shared, storages_of_all
from .lmdb_work import Work, begin, chunks, chunks_of, write_alone
from .pairs import Pairs
from .scanning import Scan
from .transacting import Threads, TransactingStorage

T = TypeVar("T")

_TEXT: Final = records.TEXT
_BYTES: Final = ord("b")


class LmdbStorage(TransactingStorage[Work]):
    """Containers in an LMDB file in the folder ``path``; any number of processes may use it.

    ``durability`` is ``"full"`` (a commit that returned survives a power cut) or ``"os"`` (it
    survives the program; a power cut may take the last ones). ``wait`` is how many seconds a writer
    waits for others before BusyError. ``map_size`` is how many bytes of address space to begin
    with; it grows when it must. Every item has a checksum, which every read verifies.

    A process may fork at any time but in the middle of a transaction or an iteration of its own:
    the child is then refused this file. A transaction or an iteration that lasts keeps the space of
    what was deleted meanwhile from being used again.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        create: bool = False,
        readonly: bool = False,
        *,
        durability: str = "full",
        wait: float = storages.WAIT,
        map_size: int | None = None,
    ) -> None:
        super().__init__(path, create, readonly)
        check_options(durability, "eager")
        self._wait: Final = check_wait(wait)
        folder = real_path(self.path)
        if create:
            lmdb_files.create(folder, self.path)
        else:
            lmdb_files.require(folder, self.path)
        self._environment: Final = shared(folder, durability, map_size)
        self._closed = False
        self.forget()
        try:
            with self._reading() as txn:
                lmdb_files.require_own(txn, self.path)
        except BaseException:
            self.close()
            raise
        storages_of_all.add(self)

    def forget(self) -> None:
        """Have nothing begun, as in a process that was forked just now."""
        self._threads = Threads()
        self._prefixes: dict[str, bytes] = {}
        """Of containers of committed states. A number is given once, so that there are no items
        where an entry is out of date."""

    # --- transactions -----------------------------------------------------------------------------

    def begin(self) -> None:
        self._begin(write=False)

    def _begin(self, *, write: bool) -> None:
        self._require_none()
        work = Work(self._environment, self._wait)
        try:
            if write:
                work.reserve()
            else:
                work.read()
        except BaseException:
            work.end()
            raise
        self._threads.transaction = work

    def _commit(self, transaction: Work) -> None:
        transaction.commit()

    def _require_open(self) -> None:
        if self._closed:
            self._drop()
            raise storages.closed(self.path)

    def _drop(self) -> None:
        if self._threads.transaction is not None:
            self._take_back(self._threads.transaction)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """As the contract says: what came before is done again, without what came since."""
        work = self._running()
        count = len(work.done)
        try:
            yield
        except BaseException:
            if self._threads.transaction is work and not work.is_lost:
                was_over = work.is_over
                work.is_over = work.is_lost = True  # where this is interrupted, or fails
                work.back_to(count)
                work.is_over, work.is_lost = was_over, False
            raise

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._prefixes = {}
        self._drop()
        leave(self._environment)

    # --- how a call is done -----------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Generator[Txn]:
        """A transaction of LMDB's for what one call reads."""
        work = self._current()
        try:
            if work is not None:
                work.has_read = True
                yield work.txn
                return
            with begin(self._environment, self._wait) as txn:
                yield txn
        except lmdb.Error as error:
            raise mapped(error, self.path) from error

    def _write(self, step: Callable[[Txn], T]) -> T:
        """Do what one call writes; in a transaction of its own if in no other."""
        work: Work | None = self._threads.transaction
        if self._closed or work is not None:
            work = self._current()
        if self.readonly:
            raise storages.readonly(self.path)
        if work is None:
            return write_alone(self._environment, self._wait, step)
        self._require_writing(work)
        try:
            work.reserve()
            return work.do(step)
        except BaseException as error:
            if not storages.goes_on(error):
                self._lose(work)
                work.end()
            raise

    def _find(self, txn: Txn, c_id: object) -> records.Entry:
        """A container's entry. Raises ContainerNotFoundError."""
        name = str(c_id)
        if storages.is_storable(name):
            stored = records.stored_key(records.CATALOGUE, name.encode())
            record = txn.get(stored)
            if record is not None:
                try:
                    return records.read_entry(stored, record)
                except ValueError:
                    raise records.corrupt(stored, self.path) from None
        raise storages.no_container(name)

    # --- containers -------------------------------------------------------------------------------

    def add_container(self, c_id: str) -> None:
        """As the contract says: an entry of the catalogue, with the next number."""
        name = as_text(c_id, "container")

        def step(txn: Txn) -> None:
            number = records.following(txn.get(records.HEADER_KEY) or b"") or 1
            if not txn.put(*records.entry(name, number, 0), overwrite=False):
                raise storages.duplicate_container(name)
            txn.put(records.HEADER_KEY, records.header(number + 1))

        self._write(step)

    def clear(self) -> None:
        def step(txn: Txn) -> None:
            header = txn.get(records.HEADER_KEY)
            txn.drop(self._environment.main(txn), delete=False)
            txn.put(records.HEADER_KEY, cast("bytes", header))

        self._write(step)
        self._prefixes.clear()

    def clear_container(self, c_id: str) -> None:
        def step(txn: Txn) -> None:
            entry = self._find(txn, c_id)
            _empty(txn, entry)
            txn.put(*records.entry(entry.name, entry.number, 0))

        self._write(step)

    def delete_container(self, c_id: str) -> None:
        def step(txn: Txn) -> None:
            entry = self._find(txn, c_id)
            _empty(txn, entry)
            txn.delete(records.stored_key(records.CATALOGUE, entry.name.encode()))

        self._write(step)
        self._prefixes.pop(str(c_id), None)

    def get_container_len(self, c_id: str) -> int:
        with self._reading() as txn:
            return self._find(txn, c_id).size

    def get_containers(self) -> Iterator[str]:
        with self._reading() as txn:
            rows = chain.from_iterable(chunks_of(txn, records.CATALOGUE, records.HEADER_KEY))
            try:
                return iter(sorted(records.read_entry(*row).name for row in rows))
            except ValueError as error:
                raise CorruptionError(str(error), file=self.path) from None

    # --- reading items ----------------------------------------------------------------------------

    def get_container_item(self, c_id: str, key: Any) -> Value:
        """As the contract says. Raises CorruptionError where the checksum is another."""
        if type(key) is not str or type(c_id) is not str:
            return self._get(c_id, str(key))
        try:
            stored = self._prefixes[c_id] + key.encode()
            work = self._threads.transaction
            if work is None:
                with self._environment.begin() as txn:
                    record = txn.get(stored)
            elif work.is_over:
                return self._get(c_id, str(key))
            else:
                work.has_read = True
                record = work.txn.get(stored)
            # The same as _get, written out, as reads come by the million.
            if record is not None and crc32c(stored + record) == SOUND:
                if record[0] == _TEXT:
                    return record[1:-4].decode()
                if record[0] == _BYTES:
                    return record[1:-4]
        except (AttributeError, KeyError, TypeError, UnicodeEncodeError, lmdb.Error):
            pass  # what is not as usual is done in the usual order
        return self._get(c_id, str(key))

    def _get(self, c_id: object, key: str) -> Value:
        prefixes = self._prefixes  # others, once this is closed
        with self._reading() as txn:
            entry = self._find(txn, c_id)
            value = self._value(txn, entry, key)
        self._note_prefix(prefixes, entry)
        if value is None:
            raise storages.no_key(str(c_id), key)
        return value

    def _note_prefix(self, prefixes: dict[str, bytes], entry: records.Entry) -> None:
        """Know a container by its name, unless this transaction may have made it."""
        work = self._threads.transaction
        if work is None or not work.done:
            prefixes[entry.name] = entry.prefix

    def _value(self, txn: Txn, entry: records.Entry, key: str) -> Value | None:
        if not storages.is_storable(key):
            return None
        stored = records.stored_key(entry.prefix, key.encode())
        record = txn.get(stored)
        if record is None:
            return None
        try:
            return records.value_of(records.opened(stored, record))
        except ValueError:
            raise records.corrupt(stored, self.path) from None

    def get_container_items(
        self, c_id: str, keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[str, Value | None]]:
        """As the contract says; with ``keys``, all are looked up at the call."""
        if keys is None:
            return self.scan(c_id)
        names = [str(key) for key in keys]
        with self._reading() as txn:
            entry = self._find(txn, c_id)
            return iter([(name, self._value(txn, entry, name)) for name in names])

    def get_container_keys(self, c_id: str) -> Iterator[str]:
        return (key for key, _ in self.scan(c_id))

    def scan(
        self,
        c_id: str,
        prefix: str = "",
        start: str | None = None,
        stop: str | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[str, Value]]:
        """As the contract says; a transaction of LMDB's keeps the state until all have come."""
        low, high = storages.bounds(prefix, start, stop)
        work = self._current()
        if work is not None:
            work.has_read = True
            with self._reading() as txn:
                entry = self._find(txn, c_id)
            return Scan.of(self._items(work.seen(), entry, low, high, reverse))
        return Scan.of(self._kept(c_id, low, high, reverse))

    def _kept(
        self, c_id: object, low: str, high: str | None, reverse: bool
    ) -> Generator[Iterable[tuple[str, Value]]]:
        """The items of a state that is kept until all have come."""
        work = Work(self._environment, self._wait)
        try:
            work.read()
            entry = self._find(work.txn, c_id)
            yield ()  # the call that made the generator is over
            size = None if low or high is not None else entry.size
            yield from self._items(work.seen(), entry, low, high, reverse, size)
        finally:
            work.end()

    def _items(
        self,
        seen: Callable[[], Txn],
        entry: records.Entry,
        low: str,
        high: str | None,
        reverse: bool,
        size: int | None = None,
    ) -> Generator[Iterable[tuple[str, Value]]]:
        first, end = records.span(entry.prefix, low, high)
        yield ()  # nothing is read at the call
        rows = chunks(seen, first, end, reverse=reverse, folder=self._environment.folder)
        yield from records.items(
            rows, low, high, reverse=reverse, file=self.path, name=entry.name, size=size
        )

    # --- writing items ----------------------------------------------------------------------------

    def set_container_item(self, c_id: str, key: Any, value: Any) -> None:
        """As the contract says; of a key that is there, its container is not looked up."""
        name, kept = as_text(key), as_value(value)
        prefixes = self._prefixes

        def step(txn: Txn) -> None:
            prefix = prefixes.get(str(c_id))
            if prefix is not None:
                stored, record = records.item(prefix, name, kept)
                if txn.get(stored) is not None:
                    txn.put(stored, record)
                    return
            entry = self._find(txn, c_id)
            self._note_prefix(prefixes, entry)
            stored, record = records.item(entry.prefix, name, kept)
            if txn.put(stored, record, overwrite=False):
                _recount(txn, entry, 1)
            else:
                txn.put(stored, record)

        self._write(step)

    def set_container_items(self, c_id: str, items: Items) -> None:
        """As the contract says; stored in the order of keys, whatever order they come in."""
        batch = _Batch(items)

        def step(txn: Txn) -> None:
            entry = self._find(txn, c_id)
            before = txn.stat()["entries"]
            txn.cursor().putmulti(batch.rows(entry.prefix))
            _recount(txn, entry, txn.stat()["entries"] - before)

        self._write(step)

    def delete_container_item(self, c_id: str, key: Any) -> bool:
        return self._delete(c_id, [key]) == 1

    def delete_container_items(self, c_id: str, keys: Iterable[Any]) -> None:
        self._delete(c_id, keys)

    def _delete(self, c_id: str, keys: Iterable[Any]) -> int:
        names = [name for key in keys if storages.is_storable(name := str(key))]

        def step(txn: Txn) -> int:
            entry = self._find(txn, c_id)
            stored = [records.stored_key(entry.prefix, name.encode()) for name in names]
            gone = sum(map(txn.delete, stored))
            _recount(txn, entry, -gone)
            return gone

        return self._write(step)

    # --- as a whole -------------------------------------------------------------------------------

    def backup(self, target: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the newest commit to a new folder. Raises DuplicateStorageError."""
        self._current()
        path = os.fsdecode(target)
        with self._environment.opened() as env:
            lmdb_files.copy(env, real_path(path), path, progress)

    def check(self) -> list[CorruptionError]:
        """Everything that is wrong: order, every checksum, every count."""
        with self._reading() as txn:
            return lmdb_files.check(txn, self.path)


class _Batch:
    """Items to be set together, made ready but for the prefix of their container."""

    def __init__(self, items: Items) -> None:
        self._parts: Final = [_part(keys, values) for keys, values in Pairs(items).parts()]

    def rows(self, prefix: bytes) -> Iterable[records.Raw]:
        return chain.from_iterable(_rows(prefix, part) for part in self._parts)


_Part: TypeAlias = tuple[list[bytes], list[bytes]] | list[tuple[str, Value]]
"""Short keys and the bodies of their records, all text; or keys and values of any kind."""


def _part(keys: list[str], values: list[Any]) -> _Part:
    try:
        names = list(map(str.encode, keys))
        if set(map(type, values)) == {str}:
            bodies = list(map(b"s".__add__, map(str.encode, values)))
            if records.NUMBER.size + max(map(len, names)) < records.CUT_AT:
                return names, bodies
    except UnicodeEncodeError:
        pass
    return [(as_text(key), as_value(value)) for key, value in zip(keys, values, strict=True)]


def _rows(prefix: bytes, part: _Part) -> Iterable[records.Raw]:
    if isinstance(part, list):
        return [records.item(prefix, key, value) for key, value in part]
    # Without a loop in Python, for what most batches are.
    names, bodies = part
    stored = list(map(prefix.__add__, names))
    sums = map(SUM.pack, map(crc32c, map(add, stored, bodies)))
    return zip(stored, map(add, bodies, sums), strict=True)


def _recount(txn: Txn, entry: records.Entry, by: int) -> None:
    if by:
        txn.put(*records.entry(entry.name, entry.number, entry.size + by))


def _empty(txn: Txn, entry: records.Entry) -> None:
    cursor = txn.cursor()
    left = cursor.set_range(entry.prefix)
    while left and cursor.key().startswith(entry.prefix):
        left = cursor.delete() and bool(cursor.key())
