"""What is SQLite's alone: files of others, settings, names that never are part of a statement."""

from __future__ import annotations

import contextlib
import errno
import importlib
import sqlite3
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest

from objstore import SqliteStorage
from objstore.backings import sqlite
from objstore.backings.sqlite_links import Link, Links
from objstore.backings.sqlite_tables import checksum
from objstore.errors import (
    BackingError,
    CorruptionError,
    DuplicateStorageError,
    FormatError,
    StorageNotFoundError,
)
from tests.conformance.storages import dump
from tests.faults.machine import in_child, mounted, without_privileges


def test_a_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageNotFoundError, match="there is a file, and it is no storage"):
        SqliteStorage(path)
    with pytest.raises(DuplicateStorageError):
        SqliteStorage(path, create=True)
    assert path.read_bytes() == before


def test_containers_that_were_deleted_are_forgotten(tmp_path: Path) -> None:
    """A program that has ever new ones runs for months."""
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        for n in range(20):
            storage.add_container(f"{n}")
            storage.set_container_item(f"{n}", "k", "v")
            with storage.transaction() if n % 2 else contextlib.nullcontext():
                assert storage.get_container_item(f"{n}", "k") == "v"
                storage.delete_container(f"{n}")
        assert not storage._tables
        storage.add_container("c")
        storage.set_container_item("c", "k", "v")
        storage.clear()
        assert not storage._tables


def test_a_storage_of_a_later_version(tmp_path: Path) -> None:
    SqliteStorage(tmp_path / "s", create=True).close()
    with sqlite3.connect(tmp_path / "s") as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(StorageNotFoundError, match="is of version 2, and this program knows 1"):
        SqliteStorage(tmp_path / "s")


@pytest.mark.parametrize(("durability", "setting"), [("full", 2), ("os", 1)])
def test_durability(tmp_path: Path, durability: str, setting: int) -> None:
    with SqliteStorage(tmp_path / "s", create=True, durability=durability) as storage:
        for write in (False, True):
            link = storage._links.take(write=write)
            ask: Any = link
            assert ask.pragma("synchronous") == setting
            assert ask.pragma("journal_mode") == "wal"
            storage._links.give(link, write=write)


def test_an_option_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="durability must be"):
        SqliteStorage(tmp_path / "s", create=True, durability="some")
    assert list(tmp_path.iterdir()) == []


def test_statements_hold_no_names(tmp_path: Path) -> None:
    """Names and keys are data: no table is called by one."""
    secret = "secret'\"; name"
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        storage.add_container(secret)
        storage.set_container_items(secret, {secret: secret, "b": secret})
        assert list(storage.scan(secret, prefix="s")) == [(secret, secret)]
    with sqlite3.connect(tmp_path / "s") as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL").fetchall()
    connection.close()
    assert len(rows) >= 2
    assert not any("secret" in sql for (sql,) in rows)


def test_a_container_made_and_unmade_leaves_no_number_behind(tmp_path: Path) -> None:
    """A number that was taken back is given again: nobody may take the one for the other."""
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        with pytest.raises(ZeroDivisionError), storage.transaction():
            storage.add_container("first")
            storage.set_container_item("first", "a", "1")
            raise ZeroDivisionError
        storage.add_container("second")
        storage.set_container_item("second", "a", "2")
        with pytest.raises(LookupError):
            storage.get_container_item("first", "a")
        storage.add_container("first")
        assert dump(storage) == {"first": {}, "second": {"a": "2"}}


def test_a_value_changed_by_another_program_is_noticed(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": "2", "d": "3"})
        for change in (
            "UPDATE c1 SET value = '9' WHERE key = 'a'",
            "UPDATE c1 SET value = X'32' WHERE key = 'b'",
        ):
            with sqlite3.connect(tmp_path / "s") as connection:
                connection.execute(change)
            connection.close()
        for key in "ab":
            with pytest.raises(CorruptionError, match=f'the item "{key}" of container "c" is not'):
                storage.get_container_item("c", key)
            with pytest.raises(CorruptionError):
                list(storage.get_container_items("c", [key]))
        with pytest.raises(CorruptionError):
            list(storage.get_container_items("c"))
        assert len(storage.check()) == 2


def test_missing_items_are_noticed(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": "2"})
        with sqlite3.connect(tmp_path / "s") as connection:
            connection.execute("DELETE FROM c1 WHERE key = 'a'")
        connection.close()
        items = storage.get_container_items("c")
        assert next(items) == ("b", "2")
        with pytest.raises(CorruptionError, match='container "c" has 1 items of 2'):
            next(items)
        assert [error.reason for error in storage.check()] == [
            'container "c" has 1 items, and its count is 2'
        ]


def test_a_check_is_of_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        for name in "ab":
            storage.add_container(name)

        def beside(key: object, value: object) -> int:
            monkeypatch.undo()
            if storage.get_container_len("b") == 0:
                storage.set_container_item("b", "k", "v")
                storage.delete_container("a")
            return checksum(key, value)

        monkeypatch.setattr(sqlite, "checksum", beside)
        assert storage.check() == []
        assert dump(storage) == {"b": {"k": "v"}}, "written amid the check"
        assert storage.check() == []


def test_a_value_that_is_too_large_leaves_the_transaction(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        with storage.transaction():
            storage.set_container_item("c", "a", "1")
            work: Any = storage._current()
            work.link.limit(apsw.SQLITE_LIMIT_LENGTH, 1000)
            with pytest.raises(FormatError, match="larger than SQLite stores"):
                storage.set_container_item("c", "b", "x" * 2000)
            assert storage.in_transaction
        assert dict(storage.get_container_items("c")) == {"a": "1"}


def test_an_interrupt_amid_a_commit_lets_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Link, statement: str, *arguments: Any) -> Any:
        connection: Any = apsw.Connection
        found = connection.execute(self, statement, *arguments)
        if statement == "COMMIT":
            raise KeyboardInterrupt
        return found

    with SqliteStorage(tmp_path / "s", create=True, wait=0.2) as storage:
        storage.add_container("c")
        with monkeypatch.context() as patch:
            patch.setattr(Link, "execute", interrupted)
            storage.begin()
            storage.set_container_item("c", "a", "1")
            with pytest.raises(KeyboardInterrupt) as held:
                storage.commit()
        storage.set_container_item("c", "b", "2")
        assert held.traceback
        assert dict(storage.get_container_items("c")) == {"a": "1", "b": "2"}


def test_connections_that_nobody_needs_are_closed(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {str(n): "x" for n in range(100)})
        many = [storage.get_container_items("c") for _ in range(100)]
        assert len([next(one) for one in many]) == 100
        del many
        assert len(storage._links._all) <= 2 * 16


@pytest.mark.parametrize("begins", [False, True])
def test_a_scan_in_a_transaction_misses_no_damage(tmp_path: Path, begins: bool) -> None:
    path = tmp_path / "s"
    with SqliteStorage(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {f"{n:05}": "v" * 50 for n in range(2000)})
    data = bytearray(path.read_bytes())
    leaves = [at for at in range(0, len(data), 4096) if data[at] == 10 and data[at + 4] > 20]
    data[leaves[9] + 4] ^= 4  # of the number of cells in it
    path.write_bytes(data)
    with SqliteStorage(path) as storage:
        if begins:
            storage.begin()
        with pytest.raises(CorruptionError):
            dict(storage.get_container_items("c"))
        if begins:
            storage.rollback()


class Flawed(apsw.VFS):
    """Opens the next log for reading alone, as SQLite does where it cannot be opened otherwise."""

    left = 0

    def __init__(self) -> None:
        super().__init__("flawed", "", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if self.left and flags[0] & apsw.SQLITE_OPEN_WAL:
            self.left -= 1
            flags[0] &= ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            flags[0] |= apsw.SQLITE_OPEN_READONLY
        return super().xOpen(name, flags)


def put(storage: SqliteStorage) -> None:
    storage.set_container_item("c", "k", "v")


def put_in_a_transaction(storage: SqliteStorage) -> None:
    with storage.transaction():
        put(storage)


def put_after_a_begin(storage: SqliteStorage) -> None:
    storage.begin()
    put(storage)
    storage.commit()


def put_after_a_read(storage: SqliteStorage) -> None:
    storage.begin()
    assert list(storage.get_containers()) == ["c"]
    put(storage)
    storage.commit()


WRITES = [put, put_in_a_transaction, put_after_a_begin, put_after_a_read]


@pytest.mark.parametrize("write", WRITES)
def test_a_file_that_could_not_be_opened_once_is_written_to_later(
    tmp_path: Path, write: Callable[[SqliteStorage], None]
) -> None:
    """As where too many files are open, for a moment."""

    def run() -> None:
        flawed = Flawed()
        with SqliteStorage(tmp_path / "s", create=True) as storage:
            storage.add_container("c")
        storage = SqliteStorage(tmp_path / "s")
        flawed.left = 1
        with pytest.raises(BackingError, match="SQLITE_READONLY") as caught:
            write(storage)
        assert caught.value.errno == errno.EAGAIN
        assert not storage.in_transaction
        write(storage)
        assert dict(storage.get_container_items("c")) == {"k": "v"}

    assert in_child(run) == 0


@pytest.mark.parametrize("write", WRITES)
def test_a_file_that_may_be_written_again_is(write: Callable[[SqliteStorage], None]) -> None:
    # Not by tmp_path, which only its owner may enter; what is loaded late, nobody may read then.
    importlib.import_module("objstore.backings.filesystem.exchange")
    with without_privileges(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        with SqliteStorage(path, create=True) as storage:
            storage.add_container("c")
            put(storage)
        path.chmod(0o444)
        with SqliteStorage(path) as storage:
            for _ in range(2):
                with pytest.raises(BackingError) as caught:
                    write(storage)
                assert caught.value.errno == errno.EACCES
            assert storage.get_container_item("c", "k") == "v"
            for one in Path(folder).iterdir():  # SQLite's own have the mode of the file
                one.chmod(0o644)
            write(storage)


def test_a_disk_that_has_no_room_for_names(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=4m,nr_inodes=20"):
        with SqliteStorage(tmp_path / "s", create=True) as storage:
            storage.add_container("c")
        with contextlib.suppress(OSError):
            for n in count():
                (tmp_path / str(n)).touch()
        with pytest.raises(BackingError, match="No space left on device") as caught:
            SqliteStorage(tmp_path / "s")
        assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt])
def test_a_transaction_that_cannot_begin_keeps_nobody_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise kind

    with SqliteStorage(tmp_path / "s", create=True, wait=0.2) as storage:
        storage.add_container("c")
        with monkeypatch.context() as patch:
            patch.setattr("objstore.backings.sqlite.Work", fail)
            patch.setattr(Links, "drop", fail)
            with pytest.raises(kind), storage.transaction():
                raise AssertionError("it has begun")
        put(storage)
