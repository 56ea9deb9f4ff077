"""What is LMDB's alone: maps that grow, one environment a process, keys that are cut."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import lmdb
import pytest

from objstore import LmdbStorage
from objstore.backings.filesystem import names
from objstore.errors import (
    BackingError,
    BusyError,
    CorruptionError,
    StorageError,
    StorageNotFoundError,
)
from tests.conformance.storages import check, dump

SMALL = 2**17


def batch(number: int, size: int = 100) -> dict[str, str]:
    return {f"{number:03} {n:04}": "x" * 500 for n in range(size)}


def test_the_map_grows_under_a_transaction(tmp_path: Path) -> None:
    """What was done before is done again, savepoints that were taken back left out."""
    with LmdbStorage(tmp_path / "s", create=True, map_size=SMALL) as storage:
        storage.add_container("c")
        expected: dict[str, str] = {}
        with storage.transaction():
            for number in range(20):
                storage.set_container_items("c", batch(number))
                expected.update(batch(number))
                with pytest.raises(ZeroDivisionError), storage.savepoint():
                    storage.set_container_items("c", batch(100 + number))
                    storage.delete_container_item("c", "000 0001")
                    raise ZeroDivisionError
                assert storage.get_container_len("c") == len(expected)
        assert dump(storage) == {"c": expected}
        check(storage)
    assert (tmp_path / "s/data.mdb").stat().st_size > 5 * SMALL


def test_the_map_grows_between_calls(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "s", create=True, map_size=SMALL) as storage:
        storage.add_container("c")
        for number in range(10):
            storage.set_container_items("c", batch(number))
        storage.set_container_item("c", "large", b"x" * 5_000_000)
        assert storage.get_container_len("c") == 1001
        check(storage)


def test_the_map_waits_for_readers_before_it_grows(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "s", create=True, map_size=SMALL, wait=0.1) as storage:
        storage.add_container("c")
        storage.set_container_items("c", batch(0))
        items = storage.get_container_items("c")
        first = next(items)
        with pytest.raises(BusyError, match="the file has to grow, and this process has been"):
            for number in range(1, 10):
                storage.set_container_items("c", batch(number))
        assert [first, *items] == list(dump_of(storage, 100))
        storage.set_container_items("c", batch(20, 1000))
        check(storage)


def dump_of(storage: LmdbStorage, count: int) -> list[tuple[str, str | bytes | None]]:
    return list(storage.get_container_items("c"))[:count]


def test_the_map_follows_another_process(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with LmdbStorage(path, create=True, map_size=SMALL) as storage:
        storage.add_container("c")
        program = (
            "from objstore import LmdbStorage\n"
            f"with LmdbStorage({path!r}, map_size={SMALL}) as s:\n"
            "    s.set_container_items('c', {str(n): 'x' * 1000 for n in range(3000)})\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)
        assert storage.get_container_item("c", "7") == "x" * 1000
        assert len(list(storage.get_container_items("c"))) == 3000
        storage.set_container_item("c", "new", "x")
        check(storage)


def test_storages_of_one_file_share_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "s"
    one = LmdbStorage(path, create=True)
    one.add_container("c")
    other = LmdbStorage(tmp_path / "." / "s", readonly=True)
    with pytest.raises(ValueError, match="durability is 'full' for all that use"):
        LmdbStorage(path, durability="os")
    one.close()
    assert other.get_container_len("c") == 0
    other.close()
    with LmdbStorage(path, durability="os") as again:
        again.set_container_item("c", "a", "1")
        assert dump(again) == {"c": {"a": "1"}}


def test_a_lock_that_was_removed_keeps_nobody_waiting(tmp_path: Path) -> None:
    # LMDB's own lock keeps writers apart all the same.
    with LmdbStorage(tmp_path / "s", create=True, wait=0.1) as storage:
        storage.add_container("c")
        Path(names.lmdb_turn(str(tmp_path / "s"))).unlink()
        storage.set_container_item("c", "a", "1")
        with LmdbStorage(tmp_path / "s") as other:
            other.set_container_item("c", "b", "2")
        assert dict(storage.get_container_items("c")) == {"a": "1", "b": "2"}


def test_a_file_of_another_program(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "s")) as env, env.begin(write=True) as txn:
        txn.put(b"a", b"1")
    with pytest.raises(StorageNotFoundError, match="there is an LMDB file, and it is no storage"):
        LmdbStorage(tmp_path / "s")


def test_missing_items_are_noticed(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": "2"})
    with lmdb.open(str(tmp_path / "s")) as env, env.begin(write=True) as txn:
        assert txn.delete(b"\0\0\0\1a")
    with LmdbStorage(tmp_path / "s") as storage:
        items = storage.get_container_items("c")
        assert next(items) == ("b", "2")
        with pytest.raises(CorruptionError, match='container "c" has 1 items of 2'):
            next(items)


def test_of_long_values_no_more_are_read_than_are_wanted(tmp_path: Path) -> None:
    large = 1 << 16
    with LmdbStorage(tmp_path / "s", create=True) as storage:
        for name in ("before", "small", "large"):
            storage.add_container(name)
            storage.set_container_items(name, {"a": "A", "b": "B"})
            if name != "small":
                values = {f"{n:04}": b"x" * large for n in range(600)}
                storage.set_container_items(name, values)
        for reverse in (False, True):
            expected = [("a", "A"), ("b", "B")]
            small = partial(storage.scan, "small", reverse=reverse)
            assert peak_of(lambda: list(small())) < 3 * large  # noqa: B023
            assert list(small()) == expected[:: -1 if reverse else 1]
            one = partial(storage.scan, "large", prefix="0300", reverse=reverse)
            assert peak_of(lambda: list(one())) < 5 * large  # noqa: B023
            assert [key for key, _ in one()] == ["0300"]
        assert peak_of(lambda: next(storage.get_container_keys("large"))) < 40 * large
        assert len(list(storage.get_container_keys("large"))) == 602


def peak_of(work: Callable[[], object]) -> int:
    """How much memory it takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_readers_of_processes_that_are_gone_are_cleared(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with LmdbStorage(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "a", "1")
    program = (
        "import os, signal\nfrom objstore import LmdbStorage\n"
        f"items = LmdbStorage({path!r}).get_container_items('c')\n"
        "next(items)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=False)
    with LmdbStorage(path) as storage, storage._environment.opened() as env:
        assert "no active readers" in env.readers()


def test_a_read_that_races_with_close_is_the_last(tmp_path: Path) -> None:
    """What it found out is not kept by what is closed."""
    storage = LmdbStorage(tmp_path / "s", create=True)
    storage.add_container("c")
    storage.set_container_item("c", "a", "1")
    racing = storage._prefixes
    [entry] = list(racing.items())
    storage.close()
    racing[entry[0]] = entry[1]
    with pytest.raises(StorageError, match="closed"):
        storage.get_container_item("c", "a")
    with LmdbStorage(tmp_path / "s") as again:
        assert again.get_container_item("c", "a") == "1"


def test_containers_that_were_deleted_are_forgotten(tmp_path: Path) -> None:
    """A program that has ever new ones runs for months."""
    with LmdbStorage(tmp_path / "s", create=True) as storage:
        for n in range(20):
            storage.add_container(f"{n}")
            storage.set_container_item(f"{n}", "k", "v")
            with storage.transaction() if n % 2 else nullcontext():
                assert storage.get_container_item(f"{n}", "k") == "v"
                storage.delete_container(f"{n}")
        assert not storage._prefixes
        storage.add_container("c")
        storage.set_container_item("c", "k", "v")
        storage.clear()
        assert not storage._prefixes


def test_a_handle_that_lmdb_refuses_is_told_from_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a write of the page failed that says what is committed."""

    def panic(**_: object) -> None:
        raise lmdb.PanicError(
            "MDB_PANIC: Update of meta page failed or environment had fatal error"
        )

    with LmdbStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "k", "v")
        calls: list[Callable[[], object]] = [
            lambda: storage.get_container_item("c", "k"),
            lambda: storage.set_container_item("c", "k", "new"),
            storage.check,
            storage.begin,
        ]
        with monkeypatch.context() as patch:
            patch.setattr(storage._environment, "begin", panic)
            for call in calls:
                with pytest.raises(BackingError, match="open it anew") as caught:
                    call()
                assert caught.value.errno == errno.EIO
        assert storage.check() == []


def test_a_fifo_is_no_storage(tmp_path: Path) -> None:
    """LMDB would wait for somebody to write to it."""
    (tmp_path / "s").mkdir()
    os.mkfifo(tmp_path / "s/data.mdb")
    with pytest.raises(StorageNotFoundError, match="no storage of this kind"):
        LmdbStorage(tmp_path / "s")
