"""The commit log of processes that die."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from objstore.backings.filesystem.log.commitlog import CommitLog
from tests.faults.crash_states import Quick
from tests.faults.logs import append, payload, payloads, small_steps
from tests.faults.machine import in_child, killed_amid

pytestmark = pytest.mark.damage


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


def append_for_ever(folder: Path, told: Path, who: int) -> None:
    """Appends, and notes each number and payload once it was told that the record is durable."""
    log = CommitLog.open(Quick(str(folder)))
    with told.open("ab", buffering=0) as notes:
        for count in range(10**9):
            data = b'{"who":%d,"count":%d,"fill":"%s"}' % (who, count, b"x" * (count % 700))
            number = append(log, data)
            notes.write(b"%d %s\n" % (number, data))
            if count % 40 == 39:
                with log.writing() as writer:
                    writer.switch(count)
            if count % 25 == 24:
                log.close()
                log = CommitLog.open(Quick(str(folder)))


def told_of(path: Path) -> dict[int, bytes]:
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return {int(line.split(b" ", 1)[0]): line.split(b" ", 1)[1] for line in lines}


def kill_writers(folder: Path, rounds: int) -> None:
    """Four processes append, and are killed at some moment, again and again."""
    folder.mkdir(exist_ok=True)
    store, told = folder / "store", [folder / f"told-{who}" for who in range(4)]
    moments = random.Random(rounds)  # noqa: S311
    reader = CommitLog.open(Quick(str(store)))
    for _ in range(rounds):
        works = [partial(append_for_ever, store, told[who], who) for who in range(4)]
        killed_amid(works, told, moments, within=0.03)
        reader.refresh()
        found = payloads(CommitLog.open(Quick(str(store))))
        assert payloads(reader) == found, "all readers see the same"
        for path in told:
            for number, data in told_of(path).items():
                assert found[number - 1] == data


def test_killed_writers_lose_nothing_that_was_reported(tmp_path: Path) -> None:
    kill_writers(tmp_path, rounds=15)


@pytest.mark.torture
def test_many_killed_writers(tmp_path: Path) -> None:
    for part in range(20):
        kill_writers(tmp_path / str(part), rounds=25)


def test_killed_at_every_step(tmp_path: Path) -> None:
    class Deadly(Quick):
        __slots__ = ("left",)
        left: int

        def reached(self, point: str, path: str) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def work(folder: Path, nth: int) -> None:
        files = Deadly(str(folder))
        files.left = nth
        log = CommitLog.open(files)
        append(log, payload(1))
        append(log, payload(2, 1500))
        with log.writing() as writer:
            writer.switch()
        append(log, payload(3))
        log.close()

    ended_by, nth = int(signal.SIGKILL), 0
    while ended_by:
        nth += 1
        folder = tmp_path / str(nth)
        ended_by = in_child(lambda: work(folder, nth))  # noqa: B023
        assert ended_by in (0, signal.SIGKILL)
        found = payloads(CommitLog.open(Quick(str(folder))))
        assert found == [payload(1), payload(2, 1500), payload(3)][: len(found)]
        append(CommitLog.open(Quick(str(folder))), payload(9))
        assert payloads(CommitLog.open(Quick(str(folder)))) == [*found, payload(9)]
    assert nth > 40
