"""The bugs that seed 001's original has, each by the line of what it promises."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Barrier, Thread
from typing import Any

import pytest

import objstore
from objstore.backings.filesystem import later, names
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.documents import Change
from objstore.errors import (
    CommitNotFoundError,
    CommitNumberError,
    ConflictError,
    CorruptionError,
    HistoryGone,
    KeyNotFoundError,
)
from objstore.layout import ANYTHING
from objstore.retention import Retention
from objstore.values import MISSING
from tests.faults.crash_states import Quick
from tests.faults.logs import end_of, log_file
from tests.faults.machine import start_child
from tests.faults.seams import Failing
from tests.faults.store_states import Before, Run


@pytest.fixture(autouse=True)
def _no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)


def opened(folder: Path) -> FilesystemDocuments:
    return FilesystemDocuments(Quick(str(folder)), ANYTHING)


def put(store: FilesystemDocuments, unit: str, new: Any) -> int:
    base = store.head()
    old, stamp = store.load(unit)
    return store.commit([Change(unit, old, new, stamp)], base=base).number


def filled(folder: Path, count: int = 5) -> FilesystemDocuments:
    store = opened(folder)
    for n in range(1, count + 1):
        put(store, "/a", {"n": n})
    return store


def compete_once(store: FilesystemDocuments, n: int) -> list[int]:
    """Two threads set what both have read; who has won."""
    put(store, "/a", {"n": n})
    old, stamp = store.load("/a")
    won: list[int] = []
    begin = Barrier(2)

    def compete(who: int) -> None:
        begin.wait()
        try:
            store.commit([Change("/a", old, {"who": who}, stamp)], base=store.head())
        except ConflictError:
            return
        won.append(who)

    threads = [Thread(target=compete, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_line_8_of_two_that_compare_and_set_exactly_one_wins(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for n in range(30):
        [winner] = compete_once(store, n)
        assert store.load("/a").value == {"who": winner}


def test_line_8_between_processes(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", 1)

    def compete(who: int) -> None:
        mine = opened(tmp_path / "store")
        for _ in range(40):
            mine.head()
            old, stamp = mine.load("/a")
            assert isinstance(old, dict)
            try:
                mine.commit([Change("/a", old, {"n": old["n"] + 1}, stamp)], base=mine.head())
            except ConflictError:
                continue
            with (tmp_path / str(who)).open("a") as notes:
                notes.write("won\n")

    children = [start_child(lambda who=who: compete(who)) for who in range(3)]  # type: ignore[misc]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0, 0]
    won = sum(len((tmp_path / str(who)).read_text().split()) for who in range(3))
    store.head()
    assert store.load("/a").value == {"n": 1 + won}


def test_line_11_a_deleted_scope_stays_deleted_when_the_index_is_rebuilt(tmp_path: Path) -> None:
    store = filled(tmp_path)
    old = store.load("/a").value
    store.commit([Change("/a", old, {"n": 0})], base=5, scope="draft")
    store.delete_scope("draft")
    store.switch_and_snapshot()
    store.close()
    Path(names.index(str(tmp_path))).unlink()
    again = opened(tmp_path)
    assert again.scopes() == []
    assert again.overlays("draft") == {}
    assert again.load("/a").value == {"n": 5}


def test_line_14_commits_that_are_not_there_are_errors_each_its_own(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
    for number, error in ((6, CommitNotFoundError), (-1, CommitNumberError), (2, HistoryGone)):
        with pytest.raises(error):
            store.load("/a", at=number)


def test_line_14_read_at_gives_the_node_and_not_the_document_around_it(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["/a"] = {"b": {"c": 1}, "d": 2}
        store["/a/b/c"] = 3
        for number, value in ((1, 1), (2, 3)):
            assert store.read_at("/a/b", number) == {"c": value}
            assert store.read_at("/a/b/c", number) == value
        with pytest.raises(KeyError):
            store.read_at("/a/b/e", 2)


def test_line_17_a_store_opens_after_compaction_and_restart(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
    store.close()
    again = opened(tmp_path)
    assert put(again, "/a", {"n": 6}) == 6
    assert [commit.number for commit in again.commits()] == [5, 6]
    assert again.load("/a", at=5).value == {"n": 5}


@pytest.mark.damage
def test_line_17_a_crash_between_any_two_steps_of_the_swap_loses_nothing(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    class Stopping(Failing):
        def reached(self, point: str, path: str) -> None:
            self.reached_points.append((point, self.relative(path)))
            self.left -= 1
            if self.left == 0:
                raise Stopped

        def sync_folder(self, path: str, *, sure: bool = False) -> None:
            self.reached("sync folder", path)

    whole = tmp_path / "whole"
    filled(whole).close()
    nth, stopped = 0, True
    while stopped:
        nth, stopped = nth + 1, False
        folder = shutil.copytree(whole, tmp_path / str(nth))
        files = Stopping(folder)
        store = FilesystemDocuments(files, ANYTHING)
        assert store.head() == 5
        files.left = nth
        try:
            store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
        except Stopped:
            stopped = True
        for run in (1, 2):
            again = FilesystemDocuments(Run(folder, run), ANYTHING)
            assert again.head() == 4 + run
            assert again.load("/a").value == {"n": 4 + run}
            assert again.load("/a", at=5).value == {"n": 5}
            put(again, "/a", {"n": 5 + run})
    assert nth > 15


@pytest.mark.parametrize("damage", ["cut", "missing", "foreign", "empty"])
def test_line_19_an_index_that_is_none_is_made_anew(tmp_path: Path, damage: str) -> None:
    store = filled(tmp_path / "store")
    store.switch_and_snapshot()
    store.close()
    other = filled(tmp_path / "other", 9)
    other.switch_and_snapshot()
    other.close()
    index = Path(names.index(str(tmp_path / "store")))
    data = index.read_bytes()
    if damage == "missing":
        index.unlink()
    else:
        foreign = Path(names.index(str(tmp_path / "other"))).read_bytes()
        index.write_bytes({"cut": data[:-7], "foreign": foreign, "empty": b""}[damage])
    again = opened(tmp_path / "store")
    assert [again.load("/a", at=n).value for n in range(1, 6)] == [{"n": n} for n in range(1, 6)]
    assert put(again, "/a", {"n": 6}) == 6
    again.switch_and_snapshot()
    assert index.read_bytes() != data


def test_line_20_entries_of_any_size_in_both_logs_are_read_in_the_order_of_commits(
    tmp_path: Path,
) -> None:
    sizes = (0, 1, 511, 512, 4096, 70_000, 2_000_000)
    store = opened(tmp_path)
    for n, size in enumerate(sizes, 1):
        put(store, "/a", {"n": n, "text": "é" * size})
        store.switch_and_snapshot()
    assert {path.name[9] for path in (tmp_path / ".objstore/log").iterdir()} == {"a", "b"}
    store.close()
    again = opened(tmp_path)
    assert [commit.number for commit in again.commits()] == [1, 2, 3, 4, 5, 6, 7]
    for n, size in enumerate(sizes, 1):
        assert again.load("/a", at=n).value == {"n": n, "text": "é" * size}


def test_line_20_an_offset_that_is_none_is_told_and_gives_no_other_entry(tmp_path: Path) -> None:
    filled(tmp_path).close()
    log = CommitLog.open(Files(str(tmp_path)))
    for offset in (0, 17, 10**9):
        assert log.find(3, 1, offset).number == 3
    for number in (0, 6):
        with pytest.raises(KeyNotFoundError):
            log.find(number, 1, 17)


def test_line_21_a_torn_tail_is_cut_and_the_store_opens_every_time_after(tmp_path: Path) -> None:
    filled(tmp_path)
    data = log_file(tmp_path).read_bytes()
    log_file(tmp_path).write_bytes(data[: end_of(data) - 20] + bytes(2000))
    (tmp_path / "a.json").write_text('{"n": 4}')  # its file is written after the record
    for n in range(5, 9):
        again = FilesystemDocuments(Run(tmp_path, n), ANYTHING)
        assert again.head() == n - 1
        assert put(again, "/a", {"n": n}) == n


@pytest.mark.damage
def test_line_21_a_flipped_bit_is_detected(tmp_path: Path) -> None:
    filled(tmp_path).close()
    data = bytearray(log_file(tmp_path).read_bytes())
    data[data.index(b'"value":3') + 8] ^= 1
    log_file(tmp_path).write_bytes(data)
    again = opened(tmp_path)
    with pytest.raises(CorruptionError, match=r"^\.objstore/log/00000001-a\.log, byte \d+: "):
        list(again.commits())
    assert again.load("/a").value == {"n": 5}


def test_line_21_lost_side_files_never_lead_to_a_number_used_twice(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.switch_and_snapshot()
    store.close()
    for path in (tmp_path / ".objstore").iterdir():
        if path.is_file():
            path.unlink()
    again = opened(tmp_path)
    assert put(again, "/a", {"n": 6}) == 6
    assert [commit.number for commit in again.commits()] == [1, 2, 3, 4, 5, 6]


def test_line_21_a_commit_that_was_reported_is_on_the_disk(tmp_path: Path) -> None:
    files = Failing(tmp_path / "deep/store")
    store = FilesystemDocuments(files, ANYTHING)
    store.commit([Change("/a", MISSING, {"n": 1})], base=0)
    points = [point for point, _ in files.reached_points]
    synced = {path for point, path in files.reached_points if point == "sync folder"}
    assert {".objstore/log", ".objstore", ".", str(tmp_path / "deep"), str(tmp_path)} <= synced
    last_write = len(points) - 1 - points[::-1].index("write at")
    assert points[last_write + 1] == "sync data", "the record, before anything else is done"
    assert json.loads((tmp_path / "deep/store/a.json").read_text()) == {"n": 1}


def test_what_a_switch_has_synced_is_in_its_files(tmp_path: Path) -> None:
    """An edit that makes a file what it was before the last commit is an edit all the same."""
    filled(tmp_path, 1).close()
    store = opened(tmp_path)
    store.switch_and_snapshot()
    store.close()
    (tmp_path / "a.json").unlink()
    again = opened(tmp_path)
    assert again.head() == 1
    assert again.load("/a").value is MISSING


@pytest.mark.damage
def test_files_of_the_dead_are_synced_before_the_log_lets_go_of_them(tmp_path: Path) -> None:
    disk = Before(tmp_path / "store")
    dead = FilesystemDocuments(disk, ANYTHING)
    for n in range(1, 4):
        put(dead, f"/deep/{n}", {"n": n})
    store = FilesystemDocuments(disk, ANYTHING)
    put(store, "/last", {"n": 4})
    store.close()
    states = disk.crash_states(Random(1), 40, since=len(disk.events))  # noqa: S311
    for number, state in enumerate(states):
        root = state.build(tmp_path / str(number))
        again = FilesystemDocuments(Run(root, 2), ANYTHING)
        assert [again.load(f"/deep/{n}").value for n in (1, 2, 3)] == [{"n": n} for n in (1, 2, 3)]


@pytest.mark.damage
@pytest.mark.parametrize("sync", [True, False], ids=["full", "os"])
@pytest.mark.parametrize("compacts", [False, True], ids=["switch", "compact"])
def test_what_an_ended_file_of_the_log_says_is_in_the_users_files_under_any_durability(
    tmp_path: Path, sync: bool, compacts: bool
) -> None:
    """After a stop nobody looks at what is older than the newest file of the log."""
    disk = Before(tmp_path / "store", sync=sync)
    store, units = FilesystemDocuments(disk, ANYTHING), ("/deep/1", "/deep/2", "/made", "/gone")
    for unit in units:
        put(store, unit, {"n": 0})
    for n in (1, 2):
        put(store, units[0], {"n": n})
    put(store, units[1], {"n": 1})
    put(store, units[3], MISSING)
    if compacts:
        store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
    else:
        store.switch_and_snapshot()
    states = disk.crash_states(Random(1), 40, since=len(disk.events))  # noqa: S311
    for number, state in enumerate(states):
        again = FilesystemDocuments(Run(state.build(tmp_path / str(number)), 2), ANYTHING)
        now = [again.load(unit).value for unit in units]
        assert now == [{"n": 2}, {"n": 1}, {"n": 0}, MISSING]
        put(again, "/after", {})
        assert not any(commit.external for commit in again.commits())


@pytest.mark.damage
def test_a_neighbour_that_leaves_all_to_the_system_takes_nothing_back_that_was_reported(
    tmp_path: Path,
) -> None:
    disk = Before(tmp_path / "store")
    store = FilesystemDocuments(disk, ANYTHING)
    for n in range(3):
        put(store, "/a", {"n": n})
    careless = Before(tmp_path / "store", sync=False)
    careless.join(disk)
    neighbour = FilesystemDocuments(careless, ANYTHING)
    put(neighbour, "/b", {"n": 1})
    neighbour.switch_and_snapshot()
    states = disk.crash_states(Random(1), 40, since=len(disk.events))  # noqa: S311
    for number, state in enumerate(states):
        again = FilesystemDocuments(Run(state.build(tmp_path / str(number)), 2), ANYTHING)
        assert again.load("/a").value == {"n": 2}


def test_a_run_is_noted_only_when_nothing_is_left_undone(tmp_path: Path) -> None:
    """Who looks after a crash and dies before it has mended all leaves it to the next."""
    store = FilesystemDocuments(Run(tmp_path, 1), ANYTHING)
    for n in range(1, 4):
        put(store, f"/{n}", {"n": n})
    (tmp_path / "1.json").write_bytes(bytes(10))  # the machine stopped
    dies = FilesystemDocuments(Run(tmp_path, 2), ANYTHING, lazy=True)
    with pytest.raises(ConflictError):
        dies.commit([Change("/2", MISSING, {"n": 0})], base=3)
    assert (tmp_path / "1.json").read_bytes() == bytes(10)
    again = FilesystemDocuments(Run(tmp_path, 2), ANYTHING)
    assert again.load("/1").value == {"n": 1}
    put(again, "/3", {"n": 4})
    assert json.loads((tmp_path / "1.json").read_bytes()) == {"n": 1}
