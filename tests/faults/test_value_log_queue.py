"""Puts of several threads on a value log, which one of them writes for all."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct

import pytest

from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.openio import Opened, UncertainError
from objstore.backings.filesystem.values import vlogbatch
from objstore.backings.filesystem.values.vlogput import Additions
from objstore.backings.filesystem.values.vlogview import Position
from objstore.errors import (
    BackingError,
    BusyError,
    CapacityExceeded,
    ClosedError,
    ContainerNotFoundError,
    StorageError,
)
from tests.faults.crash_states import Quick
from tests.faults.value_logs import OverFiles, contents


class Held(Quick):
    """Files whose first sync, once they are armed, goes on when it is told to."""

    __slots__ = ("armed", "error", "reached_it", "refused", "syncs", "told")

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.armed = False
        self.error: Exception | None = None
        self.refused: bytes | None = None
        self.reached_it = threading.Event()
        self.told = threading.Event()
        self.syncs = 0

    def reached(self, point: str, path: str) -> None:
        if not self.armed or point != "sync data":
            return
        self.syncs += 1
        if self.syncs == 1:
            self.reached_it.set()
            assert self.told.wait(30)
        elif self.error is not None:
            raise self.error

    def write_at(self, opened: Opened, offset: int, data: bytes | memoryview) -> None:
        if self.refused is not None and self.refused in bytes(data):
            raise BackingError(errno.ENOSPC, "no space is left", opened.path)
        super().write_at(opened, offset, data)


class Crowd:
    """Threads that put together: the first is held in its sync while the others come."""

    def __init__(self, storage: OverFiles, files: Held) -> None:
        self._storage = storage
        self._files = files
        self._threads: list[threading.Thread] = []
        self.errors: dict[str, BaseException] = {}

    def _start(self, name: str, step: Callable[[], object]) -> None:
        def run() -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - a thread's errors are looked at
                self.errors[name] = error

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def put(self, *puts: tuple[str, str, str]) -> None:
        """Each is (container, key, value), by a thread of its own."""
        self._files.armed = True
        self._start("first", lambda: self._storage.set_container_item("c", "first", "1"))
        assert self._files.reached_it.wait(30)
        for c_id, key, value in puts:
            self._start(
                key,
                lambda one=(c_id, key, value): self._storage.set_container_item(*one),  # type: ignore[misc]
            )
        while len(self._storage._puts._gathering._waiting) < len(puts):
            time.sleep(0.001)

    def finish(self) -> None:
        self._files.told.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def crowded(folder: Path, *, wait: float = 30.0) -> Generator[tuple[OverFiles, Held, Crowd]]:
    files = Held(folder)
    with OverFiles(files, create=True, wait=wait) as storage:
        storage.add_container("c")
        yield storage, files, Crowd(storage, files)
        files.armed = False
    with OverFiles(Quick(str(folder))) as storage:
        assert storage.check() == []


def test_all_that_wait_share_one_batch_and_one_sync(tmp_path: Path) -> None:
    with crowded(tmp_path) as (storage, files, crowd):
        number = storage._view.number
        crowd.put(*(("c", f"{n}", "x" * n) for n in range(8)))
        crowd.finish()
        assert crowd.errors == {}
        assert files.syncs == 2
        assert storage._view.number == number + 2
        known = {"first": "1", **{f"{n}": "x" * n for n in range(8)}}
        assert contents(storage) == {"c": known}
        with OverFiles(Quick(str(tmp_path)), readonly=True) as other:
            assert contents(other) == {"c": known}


def test_of_one_key_the_last_one_stays(tmp_path: Path) -> None:
    with crowded(tmp_path) as (storage, _, crowd):
        crowd.put(("c", "k", "1"), ("c", "k", "22"))
        last = storage._puts._gathering._waiting[-1].put.values
        crowd.finish()
        value = storage.get_container_item("c", "k")
        assert str(value).encode() in last
        with OverFiles(Quick(str(tmp_path)), readonly=True) as other:
            assert other.get_container_item("c", "k") == value


def test_an_error_is_for_whom_it_is_about(tmp_path: Path) -> None:
    with crowded(tmp_path) as (storage, files, crowd):
        files.refused = b"x" * 3000
        crowd.put(("c", "a", "1"), ("none", "b", "2"), ("c", "large", "x" * 3000), ("c", "d", "4"))
        crowd.finish()
        assert isinstance(crowd.errors.pop("b"), ContainerNotFoundError)
        assert isinstance(crowd.errors.pop("large"), BackingError)
        assert crowd.errors == {}
        assert contents(storage) == {"c": {"first": "1", "a": "1", "d": "4"}}


def test_no_group_is_longer_than_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from objstore.backings.filesystem.values import vlogwriter

    with crowded(tmp_path) as (storage, _, crowd):
        monkeypatch.setattr(vlogwriter, "OFFSET_BITS", 11)
        crowd.put(("c", "a", "1" * 1500), ("c", "b", "2" * 1500), ("c", "large", "x" * 3000))
        crowd.finish()
        assert isinstance(crowd.errors.pop("large"), CapacityExceeded)
        assert crowd.errors == {}
        assert set(contents(storage)["c"]) == {"first", "a", "b"}


def test_a_value_that_no_entry_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OverFiles(Quick(str(tmp_path)), create=True) as storage:
        storage.add_container("c")
        # As of 4 GiB, with the 4 bytes that an entry's size has.
        monkeypatch.setattr(vlogbatch, "HEAD", Struct(">HB"))
        for value in ("x" * 2**16, bytes(2**16)):
            with pytest.raises(CapacityExceeded, match="a value may have 4294967291 bytes"):
                storage.set_container_item("c", "k", value)
            with pytest.raises(CapacityExceeded):
                storage.set_container_items("c", {"a": "1", "k": value})
            with pytest.raises(CapacityExceeded), storage.transaction():
                storage.set_container_item("c", "k", value)
            assert not storage.in_transaction
        monkeypatch.undo()
        storage.set_container_item("c", "k", "v")
        assert contents(storage) == {"c": {"k": "v"}}


def test_whoever_waits_too_long_stores_nothing(tmp_path: Path) -> None:
    with crowded(tmp_path, wait=0.2) as (storage, _, crowd):
        crowd.put(("c", "late", "1"))
        while "late" not in crowd.errors:
            time.sleep(0.01)
        crowd.finish()
        assert isinstance(crowd.errors.pop("late"), BusyError)
        assert crowd.errors == {}
        assert contents(storage) == {"c": {"first": "1"}}
        storage.set_container_item("c", "later", "2")


def test_no_put_is_reported_that_the_disk_did_not_confirm(tmp_path: Path) -> None:
    with crowded(tmp_path) as (storage, files, crowd):
        files.error = UncertainError(errno.EIO, "the disk is gone", str(tmp_path))
        crowd.put(("c", "a", "1"), ("c", "b", "2"), ("c", "d", "3"))
        crowd.finish()
        assert set(crowd.errors) == {"a", "b", "d"}
        assert all(isinstance(error, BackingError) for error in crowd.errors.values())
        assert len({id(error) for error in crowd.errors.values()}) == 3
        with pytest.raises(BackingError, match="nothing more is written"):
            storage.set_container_item("c", "later", "1")


def test_others_go_on_when_the_one_that_writes_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crowded(tmp_path) as (storage, _, crowd):
        append, interrupted = storage._writer.append, list[bool]()

        def interrupt(made: Additions, *, alone: bool) -> Position:
            if not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            return append(made, alone=alone)

        crowd.put(("c", "a", "1"), ("c", "b", "2"), ("c", "d", "3"))
        monkeypatch.setattr(storage._writer, "append", interrupt)
        crowd.finish()
        [gone] = crowd.errors
        assert isinstance(crowd.errors[gone], KeyboardInterrupt)
        assert set(contents(storage)["c"]) == {"first", "a", "b", "d"} - {gone}


def test_puts_beside_transactions_and_other_handles(tmp_path: Path) -> None:
    """What is set by many is all there, and each thread sees its own at once."""
    with (
        OverFiles(Quick(str(tmp_path)), create=True, capacity=20_000) as storage,
        OverFiles(Quick(str(tmp_path))) as other,
    ):
        storage.add_container("c")
        failed: list[StorageError | AssertionError] = []

        def work(who: int) -> None:
            own = other if who % 3 == 2 else storage
            try:
                for n in range(60):
                    if who % 3 == 1 and n % 5 == 0:
                        with own.transaction():
                            own.set_container_item("c", f"{who}", str(n))
                    else:
                        own.set_container_item("c", f"{who}", str(n))
                    assert own.get_container_item("c", f"{who}") == str(n)
            except (StorageError, AssertionError) as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert contents(storage) == {"c": {f"{who}": "59" for who in range(9)}}
        assert storage.check() == []


class Closing(Files):
    """Files with something to do amid their next sync."""

    __slots__ = ("act",)

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.act: Callable[[], None] | None = None

    def reached(self, point: str, path: str) -> None:
        if point == "sync data" and self.act is not None:
            act, self.act = self.act, None
            act()


def test_a_file_stays_open_until_its_sync_is_over(tmp_path: Path) -> None:
    """Whoever waits for the disk may find the storage closed by another thread meanwhile."""
    files = Closing(tmp_path)
    storage = OverFiles(files, create=True)
    storage.add_container("c")
    storage._writer._opened = None  # as a close leaves it, which then lets go of all else
    files.act = storage.close
    storage._writer._sync_newest()
    with pytest.raises(ClosedError):
        storage._writer._sync_newest()
