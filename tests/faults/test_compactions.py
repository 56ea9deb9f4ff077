"""Compaction while others compact, and pin."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import BusyError, Commit, Failure, HistoryGone, KeyNotFoundError, Retention, Store
from objstore.backings.filesystem import checking
from objstore.backings.filesystem.committer import Committer
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history.compacting import Compaction
from objstore.backings.filesystem.history.ledger import Ledger
from objstore.backings.filesystem.history.logcheck import failure
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log import logappend
from objstore.backings.filesystem.log.loglock import LogLock

NEWEST = Retention(keep=timedelta(0), every=timedelta(days=10_000), slots=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store[Any]]:
    with objstore.open(tmp_path) as store:
        store["counter"] = {"n": 1}
        for number in range(2, 7):
            store["counter"]["n"] = number
        yield store
        assert store["counter"].contents == {"n": 6}
        assert store.check() == []


@pytest.fixture
def amid_compaction(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Have something done, once, when the next compaction has written its file and not named it."""

    def arrange(act: Callable[[], Any]) -> None:
        write_all, done = logappend.write_all, list[bool]()

        def write_and_act(*args: Any) -> None:
            write_all(*args)
            if not done:
                done.append(True)
                act()

        monkeypatch.setattr(logappend, "write_all", write_and_act)

    return arrange


def test_the_index_is_written_by_who_may_write(
    store: Store[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write it as well, under the same temporary name."""
    is_free: list[tuple[str, bool]] = []
    reached, others = Files.reached, LogLock(Files(str(tmp_path)))

    def note(self: Files, point: str, path: str) -> None:
        if path.endswith("/index"):
            with others.attempted() as attempted:
                is_free.append((point, attempted))
        reached(self, point, path)

    store.switch_and_snapshot()
    monkeypatch.setattr(Files, "reached", note)
    store.compact(NEWEST)
    others.close()
    assert [free for _, free in is_free] == [False] * len(is_free)
    assert {"write", "rename"} <= {point for point, _ in is_free}


def test_one_compacts_at_a_time(
    store: Store[Any], tmp_path: Path, amid_compaction: Callable[[Callable[[], Any]], None]
) -> None:
    def compact_too() -> None:
        with objstore.open(tmp_path) as other:
            for one in (other, store):
                with pytest.raises(BusyError):
                    one.compact(NEWEST)
            assert other.check() == [], "what is being written is left over by nobody"
            (tmp_path / ".objstore/pins.json").write_text("damaged")
            with pytest.raises(BusyError):
                objstore.repair(tmp_path)
            (tmp_path / ".objstore/pins.json").unlink()

    amid_compaction(compact_too)
    assert store.compact(NEWEST) == [1, 2, 3, 4, 5]


def test_a_commit_that_is_pinned_meanwhile_stays(
    store: Store[Any], tmp_path: Path, amid_compaction: Callable[[Callable[[], Any]], None]
) -> None:
    def pin() -> None:
        with objstore.open(tmp_path) as other:
            other.pin(3)

    amid_compaction(pin)
    assert store.compact(NEWEST) == [1, 2, 4, 5]
    assert store.at(3)["counter"].contents == {"n": 3}


def test_a_commit_that_is_gone_is_not_pinned(store: Store[Any], tmp_path: Path) -> None:
    with objstore.open(tmp_path) as other:
        assert other.head == 6
        store.compact(NEWEST)
        with pytest.raises(HistoryGone):
            other.pin(3)
        assert store.pins() == other.pins() == frozenset()


def test_what_a_crash_has_left_goes_with_the_next_one(store: Store[Any], tmp_path: Path) -> None:
    logs = tmp_path / ".objstore/log"
    store.switch_and_snapshot()
    [old, _] = sorted(logs.iterdir())
    kept = shutil.copy(old, tmp_path / "kept")
    store["counter"]["n"] = 7
    store["counter"]["n"] = 6
    assert store.compact(NEWEST) == [1, 2, 3, 4, 5, 6, 7]
    shutil.move(kept, old)
    assert [one.source for one in store.check()] == [f".objstore/log/{old.name}"]
    assert store.compact(NEWEST) == []
    assert not old.exists()


def test_what_came_and_went_again_hides_nothing_before_it(
    store: Store[Any], amid_compaction: Callable[[Callable[[], Any]], None]
) -> None:
    store["doc"] = {"n": 1}
    store["doc"]["n"] = 2
    changed = store.head
    store.DELETE("doc")
    deleted = store.head
    store["doc"] = {"n": 3}
    with store.transaction():  # a commit that stays, and of which this is nothing any more
        store.DELETE("doc")
        store["other"] = {"n": 1}
    went = store.head
    for number in (changed, deleted, went):
        store.pin(number)
    # Its change leads to that commit.
    amid_compaction(lambda: store.__setitem__("doc", {"n": 4}))
    assert went - 1 in store.compact(NEWEST)
    assert store.check() == []
    assert store.read_at("doc/n", changed) == 2
    for number in (deleted, went):
        with pytest.raises(KeyNotFoundError):
            store.read_at("doc", number)
    assert store.read_at("doc/n", store.head) == 4
    assert [one.number for one in store.log("doc")] == [changed, deleted, store.head]


def test_who_asks_for_blame_amid_a_compaction_is_told_what_is_left(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store["list"] = []
    for number in range(60):
        store["list"].insert(0, number)
        if number in (10, 30):
            store.pin(store.head)
    read, times = store._documents.commits, 0

    def read_and_compact(*args: Any) -> Iterator[Commit]:
        nonlocal times
        times += 1
        found = list(read(*args))
        if times == 1:  # the newest are read, and those before them are about to be
            store.compact(NEWEST)
        return iter(found)

    monkeypatch.setattr(store._documents, "commits", read_and_compact)
    blame = store.blame("list")
    assert times > 2
    assert len(blame) == 60
    left = [one.number for one in read()]
    assert {one.number for one in blame.values() if one is not None} == {*left}
    assert None not in blame.values()


def test_files_that_a_crash_has_left_mislead_no_check(
    store: Store[Any], tmp_path: Path, amid_compaction: Callable[[Callable[[], Any]], None]
) -> None:
    log = tmp_path / ".objstore/log"
    store["other"] = {"n": 1}
    store["brief"] = {}
    del store["brief"]
    store.switch_and_snapshot()

    def commit() -> None:
        store["other"]["n"] = 2  # which leads into a file that is about to go
        store["brief"] = {}  # to what compaction leaves nothing of, too
        shutil.copytree(log, tmp_path / ".objstore/before")

    amid_compaction(commit)
    store.compact(NEWEST)
    left: list[str] = []
    for path in (tmp_path / ".objstore/before").glob("0*"):
        if not (log / path.name).exists():
            left.append(f".objstore/log/{path.name}")
            path.rename(log / path.name)
    shutil.rmtree(tmp_path / ".objstore/before")
    assert left
    with objstore.open(tmp_path) as other:
        found = other.check()
        assert sorted(one.source for one in found) == sorted(left)
        assert {one.found for one in found} == {"an older file of it"}
        other["other"]["n"] = 3
        other.compact(NEWEST)
        assert other.check() == []


def test_a_scope_that_is_deleted_as_a_compaction_begins(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = store.scope("draft")
    scope["counter"]["n"] = 10
    store["other"] = {"n": 1}
    run = Compaction.run

    def delete_and_run(compaction: Compaction, retention: Retention) -> list[int]:
        store.delete_scope("draft")
        return run(compaction, retention)

    monkeypatch.setattr(Compaction, "run", delete_and_run)
    assert 7 in store.compact(NEWEST), "a deleted scope's commits follow the retention alone"
    assert store.check() == []
    assert store.scopes() == []
    with pytest.raises(HistoryGone):
        scope.read_at("counter/n", store.head - 1)


def test_a_file_that_was_half_written_goes_with_the_next_one(
    store: Store[Any], tmp_path: Path
) -> None:
    left = tmp_path / ".objstore/log/.00000004-b.log.objstore-tmp"
    left.write_bytes(b"a part of a log")
    assert [one.source for one in store.check()] == [f".objstore/log/{left.name}"]
    store.compact(NEWEST)
    assert not left.exists()


def test_nothing_is_made_where_nothing_was_committed(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        assert store.compact(NEWEST) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compacts", [True, False])
def test_what_a_check_finds_amid_a_compaction_is_looked_at_again(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch, compacts: bool
) -> None:
    """It had read one file of the log before, and the next one after."""
    run, runs = checking._Check.run, list[bool]()

    def find(self: checking._Check) -> list[Failure]:
        runs.append(True)
        if len(runs) > 1:
            return run(self)
        if compacts:
            store.compact(NEWEST)
        return [failure("the log", "a record", "another one")]

    with monkeypatch.context() as patch:
        patch.setattr(checking._Check, "run", find)
        found = store.check()
    assert len(found) == (not compacts)
    assert len(runs) == 1 + compacts


def test_a_commit_that_is_doubted_and_is_in_its_file_is_doubted_no_more(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["counter"] = {"n": 1}
    ledger = Ledger(Files(str(tmp_path)))
    ledger.doubt("/counter", 2)
    assert ledger.strangers() == []
    ledger.doubt("/counter", 1)
    assert ledger.strangers() == ["/counter"]


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("acts", ["commits", "flushes", "refreshes"])
def test_what_came_and_went_while_it_was_not_looking_does_not_come_back(
    store: Store[Any], tmp_path: Path, acts: str, is_alone: bool
) -> None:
    """Where compaction has left nothing of either."""
    lazy = objstore.open(tmp_path, apply="lazy")
    lazy["new"] = {"n": 1}
    lazy["counter"]["n"] = 0
    if is_alone:
        committer_of(lazy)._later.stop()
    else:
        lazy.flush()
    store["tick"] = {}  # sees to what is behind
    with store.transaction():
        store["counter"]["n"] += 6
        del store["new"]
    store["tock"] = {}
    store.switch_and_snapshot()
    removed = store.compact(NEWEST)
    assert removed[-1] == store.head - 1
    if acts == "commits":
        lazy["other"] = {}
    elif acts == "flushes":
        lazy.flush()
    assert lazy.head == store.head
    assert "new" not in lazy.root
    assert lazy["counter"]["n"] == 6
    lazy.flush()
    assert not (tmp_path / "new.json").exists()
    assert not any(commit.external for commit in store.log())
    assert [*store.log("new")] == []
    lazy.close()


def deleted_and_made_again(store: Store[Any], _: Path) -> None:
    del store["u"]
    store["u"] = [3]


def renamed(store: Store[Any], folder: Path) -> None:
    (folder / "u.yaml").unlink()
    (folder / "u.json").write_text("[1,   2]")
    store["u"].append(3)


@pytest.mark.parametrize("change", [deleted_and_made_again, renamed])
@pytest.mark.parametrize("kept", [(), (2,), (2, 3), (3,)])
def test_a_file_that_becomes_one_of_another_format(
    tmp_path: Path, change: Callable[[Store[Any], Path], None], kept: tuple[int, ...]
) -> None:
    """Its past is read by the format that it had then, whichever commits are left."""
    (tmp_path / "u.yaml").write_text("# a note\n- 1\n")
    with objstore.open(tmp_path) as store:
        store["other"] = {"n": 1}
        store["u"].append(2)
        store["u"][0] = 0
        store["u"][0] = 1
        change(store, tmp_path)
        store["u"].append(4)
        newest = store.head
        past = {number: store.read_at("u", number) for number in (0, *kept, newest)}
        for number in kept:
            store.pin(number)
        store.compact(NEWEST)
    with objstore.open(tmp_path) as store:
        assert store.check() == []
        assert {number: store.read_at("u", number) for number in past} == past
        changes = [one for commit in store.log("u") for one in commit.changes if one.unit == "/u"]
        assert [one.old for one in changes] == [*past.values()][:-1]
        assert [one.new for one in changes] == [*past.values()][1:]
        (tmp_path / "u.json").write_text("[5]")
        store["u"].append(6)
        assert newest in store.compact(NEWEST)
        assert store.check() == []
        assert {number: store.read_at("u", number) for number in (0, *kept)} == {
            number: past[number] for number in (0, *kept)
        }
        assert store.read_at("u", store.head) == [5, 6]


def committer_of(store: Store[Any]) -> Committer:
    documents = store._documents
    assert isinstance(documents, FilesystemDocuments)
    return documents._engine.committer


@pytest.mark.parametrize("keep", [timedelta(days=1), timedelta(0)])
def test_a_compaction_takes_the_memory_of_what_it_joins(tmp_path: Path, keep: timedelta) -> None:
    retention = Retention(keep=keep, every=timedelta(days=10_000), slots=1)
    peaks: list[int] = []
    for size in (30, 150):
        with objstore.open(tmp_path / str(size), durability="os") as store:
            store["long"] = {"n": ""}
            for n in range(size):
                store["long/n"] = f"{n}" * 10_000
            tracemalloc.start()
            store.compact(retention)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000
