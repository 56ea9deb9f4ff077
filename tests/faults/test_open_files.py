"""A process that may open no more files: it is told, nothing is lost, and later it goes on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import objstore
from objstore.backings.filesystem.blobs.depot import Depot
from objstore.backings.filesystem.blobs.rangelog import RangeLog
from objstore.backings.filesystem.events import eventindex
from objstore.backings.filesystem.log import logfiles
from objstore.errors import BackingError, ClosedError, CorruptionError, ObjstoreError
from objstore.store import Store


@contextmanager
def few(more: int) -> Generator[None]:
    """Let this process open so many files more than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    spare: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, hard))
    try:
        try:
            while True:
                spare.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(more):
                os.close(spare.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in spare:
            os.close(one)


def set_all(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name]["n"] = 5


def make(store: Store[Any]) -> None:
    store["made/deep"] = {"n": 5}


def delete(store: Store[Any]) -> None:
    del store["gone"]


def append(store: Store[Any]) -> None:
    store.events.append("note", {"n": 5})


def put(store: Store[Any]) -> None:
    store.depot.purge(store.depot.put(b"x" * 1000))


def set_item(store: Store[Any]) -> None:
    store.containers["c"]["k"] = 5


def snapshot(store: Store[Any]) -> None:
    store["a"]["n"] = 5
    store.switch_and_snapshot()


def compact(store: Store[Any]) -> None:
    store.switch_and_snapshot()
    store.compact(objstore.Retention(keep=timedelta(0), every=timedelta(days=1)))


def read(store: Store[Any]) -> None:
    assert store.at(1)["a"] == {"n": 0}
    assert [store[name]["n"] for name in store] == [0] * 4


def undo(store: Store[Any]) -> None:
    store.undo(store.head)


def flush(store: Store[Any]) -> None:
    store["a"]["n"] = 5
    store.flush()


CALLS = [set_all, make, delete, append, put, set_item, snapshot, compact, read, undo, flush]


def fill(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name] = {"n": 0}
    store["gone"] = {"n": 0}
    append(store)
    put(store)
    set_item(store)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported at the first call is imported: Python says itself that it cannot."""
    for call in CALLS:
        with objstore.open(tmp_path_factory.mktemp("warm")) as store:
            fill(store)
            call(store)


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_when_files_can_be_opened_again(
    call: Callable[[Store[Any]], None], apply: Any, tmp_path: Path
) -> None:
    refused = 0
    for more in (0, 1, 2, 7):
        folder = tmp_path / str(more)
        with objstore.open(folder, apply=apply) as store:
            fill(store)
            try:
                with few(more):
                    call(store)
            except ObjstoreError:
                refused += 1
                assert call is not set_all or [store[name]["n"] for name in "abc"] == [0] * 3
                call(store)
            store["after"] = {"n": 1}
            assert store.check() == []
            seen = {key: store[key].contents for key in store.root}
        with objstore.open(folder) as store:
            assert {key: store[key].contents for key in store.root} == seen
            assert store.events.verify().position == (2 if call is append else 1)
            assert store.check() == []
    assert refused < 4


MANY = 20
"""More files than the store then keeps open of its log."""

NEWEST = objstore.Retention(keep=timedelta(0), every=timedelta(days=1))


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(logfiles, "_KEPT", 4)
    with objstore.open(tmp_path, durability="os") as store:
        for number in range(MANY):
            store["a"] = {"n": number}
            store["b"] = {"n": number}
            store.switch_and_snapshot()
    return tmp_path


def test_a_log_may_have_more_files_than_may_be_open(many: Path) -> None:
    with few(16), objstore.open(many) as store:
        store["a"]["n"] = MANY
        assert [store.at(2 * n)["b"]["n"] for n in range(1, MANY + 1)] == [*range(MANY)]
        assert [commit.number for commit in store.log()] == [*range(1, 2 * MANY + 2)]
        assert store.check() == []
        assert len(store.compact(NEWEST)) == 2 * MANY
        assert [commit.number for commit in store.log()] == [2 * MANY + 1]
        assert store.check() == []
        assert len(open_files(many / ".objstore/log")) < 5


def test_who_goes_over_a_long_log_goes_on_with_what_a_compaction_leaves(many: Path) -> None:
    with objstore.open(many) as store, objstore.open(many) as other:
        store.pin(3)
        store.pin(30)
        commits = store.log()
        assert next(commits).number == 1
        other.compact(NEWEST)
        there = [commit.number for commit in commits]
        assert there[:2] == [2, 3]
        assert there[-2:] == [30, 2 * MANY], "behind the files that were still open"
        assert there == sorted(set(there))


@pytest.mark.damage
def test_of_a_long_log_a_file_that_is_missing_is_told(many: Path) -> None:
    (many / ".objstore/log/00000005-a.log").unlink()
    with objstore.open(many) as store:
        commits = store.log()
        assert [next(commits).number for _ in range(8)] == [*range(1, 9)]
        with pytest.raises(CorruptionError):
            next(commits)
        assert store.check() != []


def test_files_that_compaction_removes_are_not_kept_open(tmp_path: Path) -> None:
    logs = tmp_path / ".objstore/log"
    with objstore.open(tmp_path, durability="os") as store:
        for number in range(4):
            store["a"] = {"n": number}
            store.switch_and_snapshot()
        commits = store.log()
        assert next(commits).number == 1
        for number in range(4, 8):
            store["a"] = {"n": number}
            compact(store)
            assert len(list(store.log())) == 1
        assert [commit.number for commit in commits] == [2, 3, 4], "it has its own files open"
        del commits
        store["a"] = {"n": 8}
        assert {one for one in open_files(logs) if not one.exists()} == set()
        assert len(open_files(logs)) < 6


def test_a_store_that_is_closed_has_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long somebody refers to it: its disk can be unmounted."""
    monkeypatch.setattr(eventindex, "_FULL", 20)
    store = objstore.open(tmp_path)
    events = store.events
    for number in range(30):
        store["a"] = {"n": number}
        events.append("n", number)
    assert events[events[7].uuid].data == 7
    assert any((tmp_path / ".objstore/events/index").iterdir())
    store.close()
    assert open_files(tmp_path) == []
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    with pytest.raises(ClosedError):
        events.exists(uuid4())


def test_a_feed_that_is_closed_has_no_file_open(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        for number in range(3):
            store["a"] = {"n": number}
        feed = store.changes(after=0)
        assert next(feed).number == 1  # type: ignore[union-attr]
        assert feed._replay is not None
        replay = weakref.ref(feed._replay)
        feed.close()
        assert replay() is None, "which has a file of the log open"
        assert next(feed, None) is None


def test_what_reads_the_log_of_a_closed_store_has_no_file_open(tmp_path: Path) -> None:
    store = objstore.open(tmp_path)
    for number in range(3):
        store["a"] = {"n": number}
    feed = store.changes(after=0)
    logs = [store.log(), store.at(2).log(), store.scope("s").log(), store.log(newest_first=True)]
    for one in (feed, *logs):
        next(one)
    store.close()
    assert open_files(tmp_path) == []
    assert list(feed) == []
    for one in logs[:3]:
        with pytest.raises(ClosedError):
            next(one)


def test_a_close_that_fails_leaves_no_file_open(tmp_path: Path) -> None:
    store = objstore.open(tmp_path)
    store["a"] = {"n": 1}
    store.depot.put(b"blob")
    store.events.append("sold", 1)
    store.containers["c"]["k"] = 1
    shutil.rmtree(tmp_path / ".objstore/log")
    with pytest.raises(BackingError, match="the commit log was removed"):
        store.close()
    store.close()
    assert open_files(tmp_path) == []


def test_a_blob_that_cannot_be_written_to_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: RangeLog) -> None:
        raise BackingError(errno.ENOLCK, "no locks available", "blob")

    monkeypatch.setattr(RangeLog, "hold", fail)
    depot = Depot(tmp_path)
    with pytest.raises(BackingError, match="no locks available") as caught:
        depot.create()
    assert caught.traceback, "which keeps what was being made"
    assert open_files(tmp_path) == []


def open_files(folder: Path) -> list[Path]:
    """Those below a folder that this process has open."""
    found: list[Path] = []
    for one in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(Path(os.readlink(f"/proc/self/fd/{one}")))
    return [one for one in found if one.is_relative_to(folder)]
