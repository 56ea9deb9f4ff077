"""Several processes on one store, and processes that die."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import open_documents
from objstore.backings.filesystem.io import Files
from objstore.documents import Change, Documents
from objstore.errors import ConflictError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.machine import in_child, start_child
from tests.faults.seams import documents


def opened(folder: Path, **options: Any) -> Documents:
    return open_documents(str(folder), layout=ANYTHING, **options)


def change(store: Documents, unit: str, new: Any) -> Change:
    loaded = store.load(unit)
    return Change(unit, loaded.value, new, loaded.stamp)


def count_up(store: Documents, times: int) -> None:
    while times:
        loaded = store.load("/counter")
        assert isinstance(loaded.value, list)
        new = [loaded.value[0] + 1]
        try:
            store.commit([Change("/counter", loaded.value, new, loaded.stamp)], base=0)
        except ConflictError:
            continue
        times -= 1


def join(processes: list[int]) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    assert codes == [0] * len(processes)


def test_processes_lose_no_update(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.commit([change(first, "/counter", [0])], base=0)
    join([start_child(lambda: count_up(opened(tmp_path, durability="os"), 50)) for _ in range(3)])
    assert json.loads((tmp_path / "counter.json").read_text()) == [150]


def test_a_handle_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    store = opened(tmp_path, durability="os")
    store.commit([change(store, "/counter", [0])], base=0)
    processes = [start_child(lambda: count_up(store, 30)) for _ in range(2)]
    count_up(store, 30)
    join(processes)
    assert store.load("/counter").value == [90]


def test_processes_that_make_one_store_at_once_make_it_once(tmp_path: Path) -> None:
    root = tmp_path / "deep/store"

    def make(n: int) -> None:
        store = opened(root)
        store.commit([change(store, f"/{n}", [n])], base=0)

    join([start_child(lambda n=n: make(n)) for n in range(4)])  # type: ignore[misc]
    assert opened(root).keys("") == ["0", "1", "2", "3"]


# Killed


class Deadly(Files):
    """Kills its process at the ``nth`` fault point."""

    __slots__ = ("left",)

    def __init__(self, root: Path, nth: int) -> None:
        super().__init__(str(root))
        self.left = nth

    def reached(self, point: str, path: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


UNITS = ("/ada", "/people/bob", "/people/new/eve")


def three_commits(store: Documents) -> None:
    """Makes, changes, and deletes and changes."""
    for turn in range(1, 3):
        text = str(turn) * 3000
        store.commit([change(store, unit, [turn, text]) for unit in UNITS], base=0)
    last = [change(store, unit, [3, "3" * 3000]) for unit in UNITS[:2]]
    store.commit([*last, change(store, UNITS[2], MISSING)], base=0)


def turn_of(folder: Path) -> int:
    """The turn that a store is of; 0 before the first. Fails for one that is half of two."""
    store = opened(folder, readonly=True)
    values = [store.load(unit).value for unit in UNITS]
    keys = store.keys("")
    for turn in range(4):
        there = [turn, str(turn) * 3000] if turn else MISSING
        if values[0] == there:
            assert values[1:] == [there, MISSING if turn == 3 else there]
            # A folder may be made for a commit that never came.
            assert keys == ["ada", "people"] if turn else keys in ([], ["people"])
            return turn
    raise AssertionError(values)


def whole(folder: Path) -> list[int]:
    """Which turn each unit's file is of; 0 for none. Fails for a torn one."""
    turns: list[int] = []
    for unit in UNITS:
        path = folder / f"{unit[1:]}.json"
        if not path.exists():
            turns.append(0)
            continue
        turn, text = json.loads(path.read_text())
        assert text == str(turn) * 3000
        turns.append(turn)
    return turns


def files_of(turn: int) -> list[int]:
    return [turn, turn, 0 if turn == 3 else turn]


def check_after_death(folder: Path) -> list[int]:
    """The store is readable, of one commit, writable, and clean once it was written to.

    Returns the turns of the files: one or none behind the store's.
    """
    turns, turn = whole(folder), turn_of(folder)
    latest = files_of(turn)
    before = [files_of(one) for one in ((0, 3) if turn == 1 else (turn - 1,))]
    assert all(one in there for one, *there in zip(turns, latest, *before, strict=True))
    store = opened(folder, durability="os")
    numbers = [commit.number for commit in store.commits()]
    assert numbers == list(range(1, store.head() + 1))
    store.commit([change(store, "/last", [turn])], base=0)
    assert whole(folder) == latest, "whoever commits next writes what was left undone"
    three_commits(store)
    assert whole(folder) == [3, 3, 0]
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert [name for name in left if name.endswith("tmp")] == []
    return turns


def points_of_three_commits(folder: Path) -> int:
    files = Deadly(folder, -1)
    three_commits(documents(files))
    return -1 - files.left


def test_killed_at_any_step_every_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    points = points_of_three_commits(tmp_path / "count")
    assert points > 30
    seen: list[list[int]] = []
    for nth in range(1, points + 1):
        folder = tmp_path / str(nth)
        folder.mkdir()
        ended_by = in_child(lambda: three_commits(documents(Deadly(folder, nth))))  # noqa: B023
        assert ended_by == signal.SIGKILL
        seen.append(check_after_death(folder))
    # Each unit only ever moves on, and some deaths left some files new and some old.
    for unit in (0, 1):
        turns = [state[unit] for state in seen]
        assert turns == sorted(turns)
    assert len({tuple(state) for state in seen}) > 4


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_moment_every_file_is_whole(tmp_path: Path, seed: int) -> None:
    def write_for_ever() -> None:
        store = opened(tmp_path)
        while True:
            three_commits(store)

    process = start_child(write_for_ever)
    while not (tmp_path / "ada.json").exists():
        time.sleep(0.001)
    time.sleep(random.Random(seed).random() * 0.02)  # noqa: S311
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status)
    assert whole(tmp_path)[0] in (1, 2, 3)
    check_after_death(tmp_path)


def test_a_killed_writer_holds_no_lock(tmp_path: Path) -> None:
    # The third point is the rename: the lock is held there.
    assert in_child(lambda: three_commits(documents(Deadly(tmp_path, 3)))) == signal.SIGKILL
    store = opened(tmp_path)
    store.commit([change(store, "/ada", [1])], base=0)
    assert store.load("/ada").value == [1]
