"""How often a commit takes the log's lock, and what is left to be done later."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.backings.filesystem import committer, later
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history.ledger import Ledger
from objstore.backings.filesystem.io import Files, Opened
from objstore.backings.filesystem.pending import Pending
from objstore.backings.filesystem.recovery import Recovery

from .counting import calls_of
from .news import PATIENCE


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the file that writers lock was locked since the last call."""
    taken = list[str]()
    lock_opened = Files.lock_opened

    def count(self: Files, opened: Opened, **how: Any) -> bool:
        taken.append(opened.path)
        return lock_opened(self, opened, **how)

    def since() -> int:
        number = len(taken)
        taken.clear()
        return number

    monkeypatch.setattr(Files, "lock_opened", count)
    # Other tests may have left threads, as killed processes would not.
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    return since


def test_who_is_alone_keeps_the_lock_for_the_files(
    tmp_path: Path, locks: Callable[[], int]
) -> None:
    with objstore.open(tmp_path) as store:
        store["counter"] = {"n": 0}
        locks()
        for number in range(1, 6):
            store["counter"]["n"] = number
            assert locks() == 1
            assert f'"n": {number}' in (tmp_path / "counter.json").read_text()


def test_who_meets_others_does_not(tmp_path: Path, locks: Callable[[], int]) -> None:
    with objstore.open(tmp_path) as store, objstore.open(tmp_path) as other:
        store["counter"] = {"n": 0}
        store["counter"]["n"] = 1
        other["elsewhere"] = {"n": 0}
        locks()
        store["counter"]["n"] = 2
        assert locks() == 2, "the other waits for the disk at the same time, or will"
        store["counter"]["n"] = 3
        assert locks() == 1, "it has not been there since"


def test_other_threads_go_on_while_one_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = threading.Event(), threading.Event()
    sync_data = Files.sync_data

    def wait(self: Files, opened: Opened, **how: Any) -> None:
        waits.set()
        assert goes_on.wait(10)
        sync_data(self, opened, **how)

    with objstore.open(tmp_path) as store:
        store["first"], store["second"] = {"n": 0}, {"n": 0}
        first, second = store["first"], store["second"]
        monkeypatch.setattr(Files, "sync_data", wait)
        thread = threading.Thread(target=lambda: first.__setitem__("n", 1))
        thread.start()
        assert waits.wait(10)
        with store.transaction():  # takes what a commit holds, and would wait for it
            assert second["n"] == 0
        goes_on.set()
        thread.join()
        assert first["n"] == 1


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def _timers() -> list[threading.Timer]:
    return [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


def test_flush_leaves_nothing_to_be_done_later(tmp_path: Path) -> None:
    file = tmp_path / "counter.json"
    with objstore.open(tmp_path, apply="lazy") as store:
        before = set(_timers())
        store["counter"] = {"n": 0}
        [timer] = set(_timers()) - before
        store.flush()
        assert '"n": 0' in file.read_text()
        until(lambda: not timer.is_alive())
        store["counter"]["n"] = 1
        until(lambda: '"n": 1' in file.read_text())


def test_what_flush_cannot_write_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "counter.json"

    def refuse(self: Files, path: str, target: str) -> bool:
        raise objstore.BackingError(5, "not now", target)

    with objstore.open(tmp_path, apply="lazy") as store:
        store["counter"] = {"n": 0}
        store.flush()
        store["counter"]["n"] = 1
        with monkeypatch.context() as patch:
            patch.setattr(Files, "exchange", refuse)
            with pytest.raises(objstore.BackingError, match="not now"):
                store.flush()
        until(lambda: '"n": 1' in file.read_text())


def test_where_no_thread_can_be_had_files_are_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "counter.json"

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with objstore.open(tmp_path, apply="lazy") as store:
        store["counter"] = {"n": 0}
        store.flush()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            store["counter"]["n"] = 1
        assert '"n": 1' in file.read_text()
        store["counter"]["n"] = 2
        until(lambda: '"n": 2' in file.read_text())


@pytest.mark.parametrize("what", ["commit", "read"])
def test_what_is_due_already_costs_a_commit_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(later, "_DELAY", 60)  # nothing is written meanwhile
    with objstore.open(tmp_path, apply="lazy") as store:
        store["counter"], store["other"] = {"n": 0}, {"n": 0}
        counter, other = store["counter"], store["other"]
        store.flush()
        numbers = itertools.count(1)

        def work() -> None:
            if what == "commit":
                counter["n"] = next(numbers)
            else:
                with store.transaction():
                    assert other["n"] == 0

        def fewest() -> int:
            work()
            return min(calls_of(work) for _ in range(3))

        before = fewest()
        with store.transaction():
            for number in range(300):
                store[f"more{number}"] = {"n": number}
        assert fewest() < 2 * before


def test_objects_that_are_held_cost_a_transaction_nothing(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["counter"] = {"n": 0}
        counter = store["counter"]

        def work() -> None:
            with store.transaction():
                assert counter.n == 0

        work()
        before = min(calls_of(work) for _ in range(3))
        for number in range(300):
            store[f"more{number}"] = {"n": number}
        held = [store[f"more{number}"] for number in range(300)]
        for _ in range(3):  # until attribute access finds them without asking
            assert sum(one.n for one in held) == 299 * 150
            work()
        assert min(calls_of(work) for _ in range(3)) < 2 * before


def test_elements_that_nobody_holds_cost_a_change_of_their_list_nothing(tmp_path: Path) -> None:
    def cost() -> int:
        return min(calls_of(lambda: numbers.append(0)) for _ in range(3))

    (tmp_path / "file.json").write_text('{"numbers": [0]}')
    with objstore.open(tmp_path, apply="lazy", durability="os") as store:
        numbers = store["file/numbers"]
        numbers.append(0)
        before = cost()
        numbers.extend(range(3000))
        assert cost() < before + 50


def test_a_transaction_looks_at_each_file_when_it_is_first_used_and_once_more_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    lstat = Files.lstat

    def look(self: Files, path: str) -> os.stat_result | None:
        looked.append(self.relative(path))
        return lstat(self, path)

    (tmp_path / "people").mkdir()
    names = [f"people/p{number}" for number in range(5)]
    with objstore.open(tmp_path, apply="lazy") as store:
        for name in names:
            store[name] = {"n": 0}
        people = [store[name] for name in names]
        store.flush()
        monkeypatch.setattr(Files, "lstat", look)
        with store.transaction():
            for one in people:
                one.n += 1
        assert [looked.count(f"{name}.json") for name in names] == [2] * 5
        assert looked.count("people") == 1


def test_a_commit_is_shown_with_all_before_it_though_their_threads_still_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next transaction of who made it would begin before it, and be overtaken by it."""
    entered, may_go_on = threading.Event(), threading.Event()
    apply_due = committer.Committer._apply_or_defer

    def held(self: committer.Committer, writer: Any = None, **options: Any) -> None:
        if threading.current_thread() is theirs:
            entered.set()
            assert may_go_on.wait(PATIENCE)
        apply_due(self, writer, **options)

    with objstore.open(tmp_path, apply="lazy") as store:
        store["ada"], store["bob"] = {"n": 0}, {"n": 0}
        theirs = threading.Thread(target=lambda: setattr(store["bob"], "n", 1))
        monkeypatch.setattr(committer.Committer, "_apply_or_defer", held)
        theirs.start()
        assert entered.wait(PATIENCE)
        with store.transaction():
            assert store["bob"].n == 0
            store["ada"].n += 1
        with store.transaction():
            assert (store["ada"].n, store["bob"].n) == (1, 1)
            store["ada"].n += 1
            store["bob"].n += 1
        may_go_on.set()
        theirs.join()
        assert (store["ada"].n, store["bob"].n) == (2, 2)
        assert [len(list(store.log(name))) for name in ("ada", "bob")] == [3, 3]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("apply", ["lazy", "eager"])
@pytest.mark.parametrize("durability", ["full", "os"])
@pytest.mark.parametrize("step", ["_confirm", "_apply_or_defer"])
def test_a_commit_that_was_shown_stands_though_another_thread_closes_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apply: str, durability: str, step: str
) -> None:
    entered, may_go_on = threading.Event(), threading.Event()
    original = getattr(committer.Committer, step)

    def held(self: committer.Committer, *args: Any, **options: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            assert may_go_on.wait(PATIENCE)
        original(self, *args, **options)

    store = objstore.open(tmp_path, apply=apply, durability=durability)
    store["ada"], store["bob"] = {"n": 0}, {"n": 0}
    bob = store["bob"]
    monkeypatch.setattr(committer.Committer, step, held)
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(setattr, bob, "n", 1)
        assert entered.wait(PATIENCE)
        store["ada"].n = 1
        assert bob.n == 1
        store.close()
        may_go_on.set()
        theirs.result()
    with objstore.open(tmp_path) as store:
        assert (store["ada"].n, store["bob"].n, store.head) == (1, 1, 4)


@pytest.mark.parametrize("apply", ["lazy", "eager"])
def test_threads_that_change_different_files_never_conflict(tmp_path: Path, apply: str) -> None:
    names = [f"p{number}" for number in range(4)]
    with objstore.open(tmp_path, apply=apply) as store:
        for name in names:
            store[name] = {"n": 0}

        def count_up(name: str) -> None:
            for expected in range(100):
                with store.transaction():
                    assert store[name].n == expected
                    store[name].n += 1

        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(count_up, names))
        assert [store[name].n for name in names] == [100] * 4


@pytest.mark.parametrize("apply", ["eager", "lazy"])
def test_nothing_is_kept_of_files_that_came_and_went(tmp_path: Path, apply: Any) -> None:
    with objstore.open(tmp_path, durability="os", apply=apply) as store:
        for number in range(20):
            store[f"d{number}/{number % 2}/x"] = {"n": number}
            store.flush()
            del store[f"d{number}/{number % 2}/x"]
            store.flush()
        documents = store._documents
        assert isinstance(documents, FilesystemDocuments)
        pending = documents._engine.committer.pending
        assert pending._above == {}
        store.switch_and_snapshot()  # until then they are to be synced
        assert pending.dirty == {}


def ledger_of(store: objstore.Store[Any]) -> Ledger:
    documents = store._documents
    assert isinstance(documents, FilesystemDocuments)
    return documents._engine.ledger


def test_one_at_a_time_notes_the_run_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that holds the lock: two that do it at once take away each other's file."""
    note_run = Ledger.note_run
    locked = list[bool]()

    def noted(self: Ledger) -> None:
        locked.append(self.log._writer._held[1] != [])
        note_run(self)

    monkeypatch.setattr(Ledger, "note_run", noted)
    with objstore.open(tmp_path) as store, ThreadPoolExecutor(4) as pool:

        def put(number: int) -> None:
            store[f"/{number}"] = {"n": number}

        list(pool.map(put, range(40)))
        assert ledger_of(store).run.is_same()
    assert locked
    assert all(locked)


def test_who_reads_while_a_handle_begins_anew_sees_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the thread that writes files later does, once another one was interrupted."""
    seen = list[Any]()
    with objstore.open(tmp_path, apply="lazy") as store, ThreadPoolExecutor(1) as pool:
        store["a"] = {"n": 0}
        store.flush()
        store["a"]["n"] = 1
        documents = store._documents
        for owner in (Pending, Recovery, Ledger):

            def begin(self: Any, original: Callable[[Any], None] = owner.start_anew) -> None:
                original(self)
                seen.append(pool.submit(documents.load, "/a").result(PATIENCE).value)

            monkeypatch.setattr(owner, "start_anew", begin)
        ledger_of(store).log.doubt()
        store.flush()
        assert seen == [{"n": 1}] * 3
    assert (tmp_path / "a.json").read_text() == '{\n  "n": 1\n}\n'
