"""Storage in an SQLite database.

The format is described in docs/formats/sqlite.md: a table for each container, named by a number;
the containers' own names, and keys and values, are only ever bound to statements.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, Final, TypeVar, cast
from weakref import ref

import apsw

from objstore._turns import Taken, take
from objstore.errors import CorruptionError
from objstore.storage import Items, Progress, Value, as_text, as_value
from objstore.values import show

from . import sqlite_files, storages
from .checks import check_options, check_wait
from .checksums import crc32c
from .filesystem.io import real_path
from .scanning import Scan
from .sqlite_links import ERRORS, Link, Links, is_busy, is_missing_table, is_overtaken, mapped
from .sqlite_tables import (
    FIRST_ROWS,
    ROWS,
    Row,
    Table,
    batch,
    begin_reading,
    checksum,
    fetch,
    get,
    put,
    put_all,
    remove,
    replace,
    table_size,
    texts,
    touched,
)
from .sqlite_work import Work, begin_to_read, begin_writing, patiently
from .transacting import Threads, TransactingStorage

T = TypeVar("T")

_FIND: Final = "SELECT id FROM containers WHERE name = ?"
_TOUCH: Final = "UPDATE containers SET count = 0 WHERE id < 0"


class SqliteStorage(TransactingStorage[Work]):
    """Containers in the SQLite file ``path``; any number of processes may use it at once.

    ``durability`` is ``"full"`` (a commit that returned survives a power cut) or ``"os"`` (it
    survives the program, not the machine). ``wait`` is how many seconds a writer waits for others
    before BusyError. ``umask`` overrides the process's for new files. Every item has a checksum,
    which every read verifies.

    A process may fork at any time but in the middle of a transaction or an iteration of its own:
    the child is then refused this file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        create: bool = False,
        readonly: bool = False,
        *,
        durability: str = "full",
        wait: float = storages.WAIT,
        umask: int | None = None,
    ) -> None:
        super().__init__(path, create, readonly)
        check_options(durability, "eager")
        self._wait: Final = check_wait(wait)
        self._umask: Final = umask
        self._file: Final = real_path(self.path)
        self._forget()
        if create:
            sqlite_files.create(self._file, self.path, umask)
        else:
            sqlite_files.require(self._file, self.path)
        self._links: Final = Links(
            self._file, readonly=readonly, durability=durability, in_child=self._forget
        )
        try:
            with self._reading() as link:
                sqlite_files.require_own(link, self.path)
        except BaseException:
            self._links.close()
            raise

    def _forget(self) -> None:
        """Have nothing begun, as in the beginning."""
        self._threads = Threads()
        self._turn = Lock()
        """Held by the one thread that writes, or waits for other processes to let it."""
        self._tables: dict[str, Table] = {}
        """Containers of committed states. A number is given once, so that the table of an entry
        that is out of date is missing."""

    # --- transactions -----------------------------------------------------------------------------

    def begin(self) -> None:
        self._begin(write=False)

    def _begin(self, *, write: bool) -> None:
        self._require_none()
        taken: Taken = []
        link = None
        try:
            if write:
                self._take_turn(taken)
            begin = begin_writing if write else begin_to_read
            link = begin(self._links, self._wait, self.path)
            self._threads.transaction = Work(self._links, link, self._turn, taken)
        except BaseException:
            try:
                if link is not None:
                    self._links.drop(link)
            finally:
                if taken:
                    del taken[:]
                    self._turn.release()
            raise

    def _commit(self, transaction: Work) -> None:
        try:
            transaction.link.execute("COMMIT")
        except BaseException as error:  # an interrupt comes when SQLite has ended, either way
            transaction.leave(whole=False)
            if isinstance(error, ERRORS):
                raise mapped(error, self.path) from error
            raise
        transaction.leave()

    def _require_open(self) -> None:
        if self._links.closed:
            raise storages.closed(self.path)

    def _take_turn(self, taken: Taken) -> None:
        if self.readonly:
            raise storages.readonly(self.path)
        if not take(self._turn, self._wait, taken):
            raise storages.busy(self.path, self._wait)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """As the contract says, by one of SQLite's own."""
        with self._running().savepoint():
            yield

    def close(self) -> None:
        self._links.close()
        self._threads.transaction = None

    # --- how a call is done -----------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Generator[Link]:
        """A connection for what one call reads."""
        transaction = self._current()
        try:
            if transaction is not None:
                transaction.has_read = True
                yield transaction.link
                return
            link = self._links.take()
            try:
                yield link
            finally:
                self._links.give(link)
        except ERRORS as error:
            raise mapped(error, self.path) from error

    def _write(self, step: Callable[[Link], T]) -> T:
        """Do what one call writes; in a transaction of its own if in no other."""
        transaction = self._current()
        if transaction is None:
            return self._write_alone(step)
        self._reserve(transaction)
        before = transaction.link.total_changes()
        try:
            return step(transaction.link)
        except BaseException as error:
            found = mapped(error, self.path) if isinstance(error, ERRORS) else error
            if not storages.goes_on(found) or transaction.link.total_changes() != before:
                self._lose(self._running())
                transaction.fail(error)
            if found is error:
                raise
            raise found from error

    def _write_alone(self, step: Callable[[Link], T]) -> T:
        taken: Taken = []
        try:
            self._take_turn(taken)
            link = begin_writing(self._links, self._wait, self.path)
            try:
                result = step(link)
                link.execute("COMMIT")
            except BaseException as error:
                self._links.drop(link, error)
                if isinstance(error, ERRORS):
                    raise mapped(error, self.path) from error
                raise
            self._links.give(link, write=True)
            return result
        finally:
            if taken:
                self._turn.release()

    def _reserve(self, transaction: Work) -> None:
        """Wait until a transaction that has only read until now may write."""
        self._require_writing(transaction)
        if transaction.writes:
            return
        link = transaction.link
        try:
            self._take_turn(transaction.taken)
            transaction.writes = True
            if transaction.has_read:
                patiently(lambda: link.execute(_TOUCH), self._wait, self.path)
            else:
                link.execute("ROLLBACK")
                patiently(lambda: link.execute("BEGIN IMMEDIATE"), self._wait, self.path)
                transaction.again_within_savepoints()
        except BaseException as error:
            if self.readonly:
                raise
            self._lose(transaction)
            cause = error.__cause__
            transaction.fail(cause)
            if isinstance(cause, ERRORS) and is_overtaken(cause):
                raise storages.overtaken(self.path) from cause
            raise

    def _on_table(self, link: Link, c_id: object, use: Callable[[Table], T]) -> T:
        """Do the first statement on a container. Raises ContainerNotFoundError."""
        name = str(c_id)
        table = self._tables.get(name)
        if table is not None:
            try:
                return use(table)
            except apsw.SQLError as error:
                if not is_missing_table(error):
                    raise
                self._tables.pop(name, None)
        return use(self._found(link, name))

    def _found(self, link: Link, name: str) -> Table:
        try:
            row = link.execute(_FIND, (name,)).fetchone()
        except UnicodeEncodeError:  # no stored name has such text
            row = None
        if row is None:
            raise storages.no_container(name)
        table = Table.numbered(row[0])
        transaction = self._threads.transaction
        if transaction is None or not transaction.has_new_tables:
            self._tables[name] = table
        return table

    # --- containers -------------------------------------------------------------------------------

    def add_container(self, c_id: str) -> None:
        """As the contract says: a table of a new number, and a row with its name."""
        name = as_text(c_id, "container")

        def step(link: Link) -> None:
            if link.execute(_FIND, (name,)).fetchone() is not None:
                raise storages.duplicate_container(name)
            sqlite_files.add_table(link, name, checksum)

        self._write_tables(step)

    def clear(self) -> None:
        def step(link: Link) -> None:
            for (number,) in link.execute("SELECT id FROM containers").fetchall():
                sqlite_files.drop_table(link, cast(int, number))

        self._write_tables(step)
        self._tables.clear()

    def clear_container(self, c_id: str) -> None:
        def step(link: Link) -> None:
            table = self._found(link, str(c_id))
            link.execute(f"DELETE FROM c{table.id:d}")  # noqa: S608 - a number of ours
            link.execute("UPDATE containers SET count = 0 WHERE id = ?", (table.id,))

        self._write_tables(step)

    def delete_container(self, c_id: str) -> None:
        self._write_tables(
            lambda link: sqlite_files.drop_table(link, self._found(link, str(c_id)).id)
        )
        self._tables.pop(str(c_id), None)

    def _write_tables(self, step: Callable[[Link], None]) -> None:
        """Do what makes or unmakes containers."""

        def noted(link: Link) -> None:
            transaction = self._threads.transaction
            if transaction is not None:
                transaction.has_new_tables = True
            step(link)

        self._write(noted)

    def get_container_len(self, c_id: str) -> int:
        """As the contract says; the container's row has it."""
        find = "SELECT count FROM containers WHERE name = ?"
        with self._reading() as link:
            try:
                row = link.execute(find, (str(c_id),)).fetchone()
            except UnicodeEncodeError:
                row = None
        if row is None:
            raise storages.no_container(str(c_id))
        if type(row[0]) is not int:
            reason = f"the count of container {show(str(c_id))} is not what was written"
            raise CorruptionError(reason, file=self.path)
        return row[0]

    def get_containers(self) -> Iterator[str]:
        with self._reading() as link:
            found = link.execute("SELECT name, sum FROM containers ORDER BY name").fetchall()
        rows = cast("list[tuple[str, int]]", found)
        for name, expected in rows:
            if checksum(name, "") != expected:
                raise CorruptionError(f"the name of a container, now {show(name)}", file=self.path)
        return iter([name for name, _ in rows])

    # --- reading items ----------------------------------------------------------------------------

    def get_container_item(self, c_id: str, key: Any) -> Value:
        """As the contract says. Raises CorruptionError where the checksum is another."""
        name = str(key)
        row = self._row(c_id, name)
        if row is None:
            raise storages.no_key(str(c_id), name)
        value, found = row
        # The same as checksum, written out, as reads come by the million.
        if type(value) is str:
            if crc32c((name + value).encode()) != found:
                raise self._corrupt(c_id, name)
        elif checksum(name, value) != found:
            raise self._corrupt(c_id, name)
        return value

    def _row(self, c_id: object, name: str) -> tuple[Value, int] | None:
        """An item's value and checksum; the same as by ``_reading``, in a third of the time."""
        transaction = self._current()
        if transaction is None:
            link = self._links.take()
        else:
            link = transaction.link
            transaction.has_read = True
        try:
            return self._on_table(link, c_id, lambda table: get(link, table, name))
        except ERRORS as error:
            raise mapped(error, self.path) from error
        finally:
            if transaction is None:
                self._links.give(link)

    def get_container_items(
        self, c_id: str, keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[str, Value | None]]:
        """As the contract says; a connection of its own keeps the state until all have come."""
        if keys is None:
            return self.scan(c_id)
        names = [str(key) for key in keys]
        if self._current() is None:
            return Scan.of(self._kept(c_id, partial(self._picks, c_id, names)))
        with self._reading() as link:
            table = self._on_table(link, c_id, lambda table: touched(link, table))
            return iter([*self._picked(c_id, link, table, names)])

    def _picks(
        self, c_id: object, names: list[str], link: Link, table: Table
    ) -> Iterator[Iterable[tuple[str, Value | None]]]:
        for at in range(0, len(names), ROWS):
            yield [*self._picked(c_id, link, table, names[at : at + ROWS])]

    def _picked(
        self, c_id: object, link: Link, table: Table, names: list[str]
    ) -> Iterator[tuple[str, Value | None]]:
        for name in names:
            row = get(link, table, name)
            if row is not None and checksum(name, row[0]) != row[1]:
                raise self._corrupt(c_id, name)
            yield name, None if row is None else row[0]

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
        """As the contract says; fetched by the hundred, and verified together."""
        low, high = storages.bounds(prefix, start, stop)
        if self._current() is None:
            return Scan.of(self._kept(c_id, partial(self._rows, c_id, low, high, reverse)))
        return self._steps(c_id, low, high, reverse)

    def _rows(
        self, c_id: object, low: str, high: str | None, reverse: bool, link: Link, table: Table
    ) -> Iterator[Iterable[tuple[str, Value]]]:
        upto = high is not None
        cursor = link.execute(
            table.scan(upto=upto, reverse=reverse), (low, high) if upto else (low,)
        )
        size = None if low or upto else table_size(link, table)
        count, fetched = 0, FIRST_ROWS
        while rows := list(islice(cursor, fetched)):
            count, fetched = count + len(rows), min(2 * fetched, ROWS)
            yield self._verified(c_id, rows)
        if size is not None and count != size:
            raise storages.miscounted(str(c_id), count, size, self.path)

    def _verified(self, c_id: object, rows: list[Row]) -> Iterable[tuple[str, Value]]:
        return texts(rows) or self._verified_each(c_id, rows)

    def _verified_each(self, c_id: object, rows: list[Row]) -> Iterator[tuple[str, Value]]:
        for key, value, found in rows:
            if checksum(key, value) != found:
                raise self._corrupt(c_id, key)
            yield key, value

    def _kept(
        self, c_id: object, chunks: Callable[[Link, Table], Iterator[Iterable[T]]]
    ) -> Generator[Iterable[T]]:
        """What comes of a state that is kept, on a connection of its own, until all has come."""
        link = self._links.take()
        try:
            begin_reading(link)
            table = self._on_table(link, c_id, lambda table: touched(link, table))
            link.is_held = True
            yield ()  # the call that made the generator is over
            yield from chunks(link, table)
        except ERRORS as error:
            raise mapped(error, self.path) from error
        finally:
            self._links.finish(link)

    def _steps(
        self, c_id: object, low: str, high: str | None, reverse: bool
    ) -> Iterator[tuple[str, Value]]:
        """What a transaction sees, fetched bit by bit, as it may change meanwhile."""
        transaction = self._running()
        with self._reading() as link:
            rows = self._on_table(link, c_id, lambda t: fetch(link, t, low, high, reverse, False))
            size = None
            if not low and high is None:
                size = self._on_table(link, c_id, lambda t: table_size(link, t))
            changes = link.total_changes()
        return Scan.of(
            self._more(c_id, ref(transaction), rows, (low, high, reverse), (size, changes))
        )

    def _more(
        self,
        c_id: object,
        known: ref[Work],
        rows: list[Row],
        bounds: tuple[str, str | None, bool],
        expected: tuple[int | None, int],
    ) -> Generator[Iterable[tuple[str, Value]]]:
        low, high, reverse = bounds
        size, changes = expected
        count = 0
        while rows:
            count += len(rows)
            yield self._verified(c_id, rows)
            if len(rows) < ROWS:
                break
            if reverse:
                high = rows[-1][0]
            else:
                low = rows[-1][0]
            rows = self._next_rows(c_id, known, (low, high, reverse))
        transaction = known()
        if size is None or transaction is None or transaction.ended:
            return
        # What the transaction has changed meanwhile it may have come past, or not.
        if transaction.link.total_changes() == changes and count != size:
            raise storages.miscounted(str(c_id), count, size, self.path)

    def _next_rows(
        self, c_id: object, known: ref[Work], bounds: tuple[str, str | None, bool]
    ) -> list[Row]:
        transaction = known()  # which ends with its thread, whoever keeps the iteration
        if transaction is None or transaction.ended:
            raise storages.over()
        link, (low, high, reverse) = transaction.link, bounds
        try:
            return self._on_table(
                link, c_id, lambda t: fetch(link, t, low, high, reverse, not reverse)
            )
        except ERRORS as error:
            raise mapped(error, self.path) from error

    def _corrupt(self, c_id: object, key: str) -> CorruptionError:
        where = f"the item {show(key)} of container {show(str(c_id))}"
        return CorruptionError(f"{where} is not what was written", file=self.path)

    # --- writing items ----------------------------------------------------------------------------

    def set_container_item(self, c_id: str, key: Any, value: Any) -> None:
        name, kept = as_text(key), as_value(value)
        row = (name, kept, checksum(name, kept))
        if self._current() is not None or not self._replace(str(c_id), row):
            self._write_items(c_id, lambda link, table: put(link, table, row))

    def _replace(self, name: str, row: Row) -> bool:
        """Set the value of a key that is there, by one statement, which is a transaction itself.

        False where nothing was done, as it is not there, or somebody else is writing.
        """
        table = self._tables.get(name)
        if table is None:
            return False
        taken: Taken = []
        try:
            self._take_turn(taken)
            link = self._links.take(write=True)
            try:
                is_there = replace(link, table, row)
            except BaseException as error:
                self._links.give_failed(link, error)
                if is_busy(error) or is_missing_table(error):
                    return False
                if isinstance(error, ERRORS):
                    raise mapped(error, self.path) from error
                raise
            self._links.give(link, write=True)
            return is_there
        finally:
            if taken:
                self._turn.release()

    def set_container_items(self, c_id: str, items: Items) -> None:
        rows = batch(items)
        self._write_items(c_id, lambda link, table: put_all(link, table, rows))

    def delete_container_item(self, c_id: str, key: Any) -> bool:
        return self._delete(c_id, [key]) == 1

    def delete_container_items(self, c_id: str, keys: Iterable[Any]) -> None:
        self._delete(c_id, keys)

    def _delete(self, c_id: str, keys: Iterable[Any]) -> int:
        names = [name for key in keys if storages.is_storable(name := str(key))]
        return self._write_items(c_id, lambda link, table: remove(link, table, names))

    def _write_items(self, c_id: object, step: Callable[[Link, Table], T]) -> T:
        return self._write(lambda link: self._on_table(link, c_id, lambda t: step(link, t)))

    # --- as a whole -------------------------------------------------------------------------------

    def backup(self, target: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the newest commit to a new file. Raises DuplicateStorageError."""
        link, path = self._links.take(), os.fsdecode(target)
        try:
            begin_reading(link)
            sqlite_files.copy(link, real_path(path), path, self._umask, progress)
        except ERRORS as error:
            raise mapped(error, self.path) from error
        finally:
            self._links.finish(link)

    def check(self) -> list[CorruptionError]:
        """Everything that is wrong in the newest commit: by SQLite, every checksum, every count."""
        link = self._links.take()
        try:
            return sqlite_files.check(link, self.path, checksum)
        except ERRORS as error:
            raise mapped(error, self.path) from error
        finally:
            self._links.finish(link)
