"""Writers of one store that are killed at any moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.documents import Change
from objstore.errors import ConflictError, TransactionError
from objstore.layout import ANYTHING
from objstore.values import JSON, MISSING, Missing
from tests.faults.crash_states import Quick
from tests.faults.logs import small_steps
from tests.faults.machine import start_child

WRITERS = 4


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


def opened(folder: Path, *, lazy: bool = False) -> FilesystemDocuments:
    return FilesystemDocuments(Quick(str(folder)), ANYTHING, lazy=lazy)


def commit_for_ever(folder: Path, told: Path, who: int) -> None:
    """Counts in two files of its own and in one of all, and notes what it was told."""
    luck = random.Random(f"{who} {os.getpid()}")  # noqa: S311
    store = opened(folder, lazy=who % 2 == 1)
    with told.open("ab", buffering=0) as notes:
        while True:
            number, count = count_up(store, who, luck.choice((0, 300)))
            notes.write(b"%d %d\n" % (number, count))
            if luck.random() < 0.05:
                with contextlib.suppress(TransactionError):  # another one is to write a file yet
                    store.switch_and_snapshot()
            if luck.random() < 0.05:
                store.close()
                store = opened(folder, lazy=who % 2 == 1)


def count_up(store: FilesystemDocuments, who: int, size: int) -> tuple[int, int]:
    """The commit, and how far this writer has counted with it."""
    while True:
        base = store.head()
        units = (f"/own/{who}", f"/deep/er/{who}", "/all")
        loaded = [store.load(unit) for unit in units]
        counts = [count_of(one.value) + 1 for one in loaded]
        changes = [
            Change(unit, old, {"count": count, "fill": "x" * size}, stamp)
            for unit, count, (old, stamp) in zip(units, counts, loaded, strict=True)
        ]
        try:
            return store.commit(changes, base=base).number, counts[0]
        except ConflictError:
            continue


def count_of(value: JSON | Missing) -> int:
    if value is MISSING:
        return 0
    assert isinstance(value, dict)
    count = value["count"]
    assert isinstance(count, int)
    return count


def told_of(path: Path) -> list[list[int]]:
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [list(map(int, line.split())) for line in lines]


def check(store: FilesystemDocuments, told: list[list[list[int]]], since: list[int]) -> None:
    """Nothing that was told is lost, nothing is there by half, counters add up."""
    counts: list[int] = []
    for who in range(WRITERS):
        own = count_of(store.load(f"/own/{who}").value)
        assert count_of(store.load(f"/deep/er/{who}").value) == own
        counts.append(own)
        for number, count in told[who][since[who] :]:
            for unit in (f"/own/{who}", f"/deep/er/{who}"):
                assert count_of(store.load(unit, at=number).value) == count
        assert not told[who] or told[who][-1][1] <= own
    assert sum(counts) == count_of(store.load("/all").value) == store.head()


def kill_writers(folder: Path, rounds: int) -> None:
    folder.mkdir(exist_ok=True)
    root, notes = folder / "store", [folder / f"told-{who}" for who in range(WRITERS)]
    moments = random.Random(rounds)  # noqa: S311
    since = [0] * WRITERS
    for _ in range(rounds):
        known = sum(path.stat().st_size for path in notes if path.exists())
        children = [
            start_child(lambda who=who: commit_for_ever(root, notes[who], who))  # type: ignore[misc]
            for who in range(WRITERS)
        ]
        while sum(path.stat().st_size for path in notes if path.exists()) == known:
            time.sleep(0.001)
        time.sleep(moments.random() * 0.05)
        moments.shuffle(children)
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        told = [told_of(path) for path in notes]
        check(opened(root), told, since)
        since = [len(one) for one in told]
    told = [told_of(path) for path in notes]
    store = opened(root)
    count_up(store, 0, 0)
    store.close()
    check(opened(root), told, [0] * WRITERS)
    numbers = [commit.number for commit in opened(root).commits()]
    assert numbers == list(range(1, len(numbers) + 1)), "nobody has edited a file"


@pytest.mark.damage
def test_killed_writers_lose_nothing_that_was_reported(tmp_path: Path) -> None:
    kill_writers(tmp_path, rounds=30)


@pytest.mark.damage
@pytest.mark.torture
def test_many_killed_writers(tmp_path: Path) -> None:
    for part in range(20):
        kill_writers(tmp_path / str(part), rounds=25)
