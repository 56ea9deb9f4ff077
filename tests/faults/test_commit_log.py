"""The commit log after crashes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.errors import CorruptionError
from tests.faults.crash_states import CrashState, Mortal, Quick, Recording
from tests.faults.logs import append, end_of, log_file, payload, payloads, small_steps, stopped
from tests.faults.seams import Failing

pytestmark = pytest.mark.damage

LONG = 1500
"""A payload of so many bytes lies in several sectors."""


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


class Workload:
    """Records that are appended, as a recorded disk sees it; what was reported is noted."""

    def __init__(self, files: Recording, seed: int = 0) -> None:
        self.files = files
        self.random = random.Random(seed)  # noqa: S311
        self.appended: list[bytes] = payloads(CommitLog.open(files))

    def append(self, log: CommitLog, *, and_sync: bool = True) -> None:
        size = self.random.choice((0, 10, 100, 300, LONG))
        with log.writing() as writer:
            data = payload(writer.head + 1, size)
            number, position = writer.append(data)
        self.appended[number - 1 :] = [data]
        if and_sync:
            log.sync(position)
            self.report(number)

    def report(self, number: int) -> None:
        if self.files.sync:
            self.files.note(number)

    def run(self) -> None:
        """Two handles take turns, one leaves syncs to the other, files end, handles close."""
        one, two = CommitLog.open(self.files), CommitLog.open(self.files)
        for turn in range(4):
            self.append(one)
            self.append(two, and_sync=False)
            self.append(one, and_sync=False)
            self.append(two)
            if turn % 2:
                with one.writing() as writer:
                    writer.switch({"turn": turn})
                self.report(writer.head)
        one.close()
        self.append(two)
        self.append(two, and_sync=False)
        two.close()
        self.append(CommitLog.open(self.files))

    def states(self, each: int, since: int = 0) -> Iterator[CrashState]:
        return self.files.crash_states(self.random, each, since)


def check(state: CrashState, appended: list[bytes], folder: Path) -> int:
    """The store opens, has what was reported and nothing else, and goes on; the records it has."""
    root = state.build(folder)
    reported = max(state.notes, default=0)
    files = Quick(str(root))
    log = CommitLog.open(files)
    found = payloads(log)
    assert reported <= len(found)
    assert found == appended[: len(found)]
    assert CommitLog.open(files).head == len(found), "opening changes nothing"
    fresh = payload(-1, state.happened)
    assert append(log, fresh) == len(found) + 1
    assert payloads(log) == [*found, fresh]
    assert payloads(CommitLog.open(files)) == [*found, fresh], "a torn tail is cut once"
    log.close()
    assert payloads(CommitLog.open(files)) == [*found, fresh]
    assert log_is_tidy(root)
    return len(found)


def log_is_tidy(root: Path) -> bool:
    manifest = json.loads((root / ".objstore/manifest.json").read_text())
    return (root / ".objstore/.gitignore").exists() and manifest["format"] == 1


def check_all(workload: Workload, folder: Path, each: int, since: int = 0) -> int:
    """How many states were checked."""
    checked = 0
    for state in workload.states(each, since):
        check(state, workload.appended, folder)
        shutil.rmtree(folder)
        checked += 1
    return checked


@pytest.mark.parametrize("seed", range(2))
def test_whatever_a_crash_leaves_nothing_reported_is_lost(tmp_path: Path, seed: int) -> None:
    workload = Workload(Recording(tmp_path / "store"), seed)
    workload.run()
    assert check_all(workload, tmp_path / "state", each=6) > 500


def test_under_durability_os_what_a_crash_leaves_is_whole(tmp_path: Path) -> None:
    workload = Workload(Recording(tmp_path / "store", sync=False))
    workload.run()
    assert check_all(workload, tmp_path / "state", each=6) > 400


def crashes_after_kills(folder: Path, seed: int, every: int, each: int) -> int:
    """The machine stops some time after a process was killed; how many states were checked."""
    checked, died = 0, True
    nth = 1 + seed % every
    while died:
        files = Mortal(folder / f"store-{nth}")
        workload = Workload(files, seed)
        died = files.kills(nth, workload.run)
        since = len(files.events)
        for _ in range(2):
            log = CommitLog.open(files)
            workload.append(log, and_sync=False)
            workload.append(log)
        checked += check_all(workload, folder / "state", each, since)
        nth += every
    return checked


def test_a_crash_after_a_killed_process(tmp_path: Path) -> None:
    assert crashes_after_kills(tmp_path, seed=0, every=4, each=2) > 800


def crashes_twice(folder: Path, seed: int, each: int) -> int:
    """Crashes amid what is done after a crash; how many were checked."""
    workload = Workload(Recording(folder / "store"), seed)
    workload.run()
    states = list(workload.states(each=1))
    checked = 0
    for state in workload.random.sample(states, len(states) // 3):
        root = state.build(folder / "first")
        again = Workload(Recording(root), seed)
        assert again.appended == workload.appended[: len(again.appended)]
        again.append(CommitLog.open(again.files))
        again.append(CommitLog.open(again.files))
        checked += check_all(again, folder / "second", each)
        shutil.rmtree(root)
    return checked


def test_a_crash_after_a_crash(tmp_path: Path) -> None:
    assert crashes_twice(tmp_path, seed=0, each=1) > 400


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(100, 106))
def test_many_crashes(tmp_path: Path, seed: int) -> None:
    workload = Workload(Recording(tmp_path / "store", sync=seed % 5 > 0), seed)
    workload.run()
    assert check_all(workload, tmp_path / "state", each=20) > 1200
    assert crashes_twice(tmp_path / "twice", seed, each=2) > 600
    assert crashes_after_kills(tmp_path / "kills", seed, every=1, each=2) > 2000


# Each bug of the original


@pytest.mark.parametrize("lost", [1, 5, 20, 33, 40])
def test_a_torn_tail_is_cut_before_the_next_record_and_once(tmp_path: Path, lost: int) -> None:
    data = stopped(tmp_path)
    log_file(tmp_path).write_bytes(data[: end_of(data) - lost] + bytes(2000))
    files = Failing(tmp_path)
    log = CommitLog.open(files)
    assert payloads(log) == [payload(1), payload(2)]
    assert files.reached_points == [], "opening changes nothing"
    append(log, payload(-3))
    steps = [point for point, _ in files.reached_points]
    assert steps[-5:] == ["truncate", "sync data", "allocate", "write at", "sync data"]
    files = Failing(tmp_path)
    log = CommitLog.open(files)
    assert payloads(log) == [payload(1), payload(2), payload(-3)]
    append(log, payload(4))
    assert payloads(CommitLog.open(files)) == [payload(n) for n in (1, 2, -3, 4)]
    assert "truncate" not in dict(files.reached_points)


def test_lost_side_files_never_lead_to_a_number_used_twice(tmp_path: Path) -> None:
    stopped(tmp_path)
    engine = Path(names.engine(str(tmp_path)))
    before = CommitLog.open(Quick(str(tmp_path)))
    append(before, payload(4))
    with before.writing() as writer:
        writer.switch()
    before.close()
    for path in ("manifest.json", "lock", ".gitignore"):
        (engine / path).unlink()
    log = CommitLog.open(Quick(str(tmp_path)))
    assert append(log, payload(5)) == 5
    assert payloads(log) == [payload(n) for n in range(1, 6)]
    assert (engine / "manifest.json").exists()


def test_a_lost_log_is_no_new_store(tmp_path: Path) -> None:
    stopped(tmp_path)
    shutil.rmtree(names.logs(str(tmp_path)))
    with pytest.raises(CorruptionError, match="the manifest is there, the log is not") as caught:
        CommitLog.open(Files(str(tmp_path)))
    assert (caught.value.file, caught.value.offset) == (".objstore/log", None)


def test_a_lost_file_among_others(tmp_path: Path) -> None:
    log = CommitLog.open(Quick(str(tmp_path)))
    for n in range(1, 4):
        append(log, payload(n))
        with log.writing() as writer:
            writer.switch()
    log_file(tmp_path, 2).unlink()
    log = CommitLog.open(Quick(str(tmp_path)))
    assert [record.number for record in log.records(after=2)] == [3]
    with pytest.raises(CorruptionError, match="record 2 is missing before 3") as caught:
        list(log.records())
    assert caught.value.file == ".objstore/log/00000003-a.log"
