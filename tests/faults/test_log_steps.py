"""Every step of what the commit log does failing, one by one, through the seam."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.backings.filesystem.io import Files, Opened
from objstore.backings.filesystem.log.commitlog import CommitLog, Position
from objstore.errors import BackingError
from tests.faults.crash_states import Quick, Recording
from tests.faults.logs import append, log_file, payload, payloads, small_steps, stopped
from tests.faults.seams import Failing

pytestmark = pytest.mark.damage


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


def points(folder: Path, work: Callable[[CommitLog], object]) -> list[tuple[str, int]]:
    """The fault points that some work passes, each with how often it was passed before."""
    files = Failing(folder)
    log = CommitLog.open(files)
    work(log)
    reached = [point for point, _ in files.reached_points]
    return [(point, reached[: n + 1].count(point)) for n, point in enumerate(reached)]


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_first_record_that_fails_leaves_nothing(tmp_path: Path) -> None:
    every = points(tmp_path / "count", lambda log: append(log, payload(1)))
    assert [point for point, _ in every] == [
        # Only who makes the folder knows that there is no lock in it.
        *("make", "mkdir", "mkdir", "make", "mkdir"),
        *("make", "write at", "sync data", "rename"),
        *("make", "write at", "sync data", "rename"),
        *("sync folder", "sync folder", "sync folder", "sync folder"),
        *("make", "write at", "sync data", "rename"),
        *("allocate", "write at", "sync data"),
    ]
    for point, nth in every[1:-1]:
        files = Failing(tmp_path / "store")
        log = CommitLog.open(files)
        files.fail(point, nth)
        with pytest.raises(BackingError, match="Input/output error"):
            append(log, payload(1))
        assert contents(tmp_path / "store") == []
        assert log.head == 0


def test_nothing_is_left_of_a_block_that_appends_nothing(tmp_path: Path) -> None:
    log = CommitLog.open(Files(str(tmp_path / "deep/store")))
    with log.writing() as writer:
        assert writer.head == 0
    with pytest.raises(ZeroDivisionError), log.writing():
        raise ZeroDivisionError
    assert contents(tmp_path) == []


def append_and_close(log: CommitLog) -> None:
    append(log, payload(4))
    log.close()


WORKS: dict[str, Callable[[CommitLog], object]] = {
    "append": lambda log: append(log, payload(4)),
    "append and grow": lambda log: append(log, payload(4, 5000)),
    "switch": lambda log: switch(log, {"any": "thing"}),
    "close": lambda log: append_and_close(log),
}


def switch(log: CommitLog, checkpoint: dict[str, str]) -> None:
    with log.writing() as writer:
        writer.switch(checkpoint)


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_whatever_step_fails_the_log_goes_on(tmp_path: Path, work: str, error: int) -> None:
    stopped(tmp_path / "count")
    every = points(tmp_path / "count", WORKS[work])
    for number, (point, nth) in enumerate(every):
        folder = tmp_path / str(number)
        stopped(folder)
        files = Failing(folder, error=error)
        log = CommitLog.open(files)
        files.fail(point, nth)
        ahead = work == "append and grow" and (point, nth) in (("allocate", 1), ("write at", 2))
        if error == errno.ENOSPC and ahead:
            # The record may fit where the space ahead of it does not.
            WORKS[work](log)
        else:
            with pytest.raises(BackingError) as caught:
                WORKS[work](log)
            assert caught.value.errno == error
        files.mend()
        other = CommitLog.open(Quick(str(folder)))
        found = payloads(other)
        assert found[:3] == [payload(n) for n in (1, 2, 3)]
        assert append(other, payload(9)) == len(found) + 1
        assert payloads(CommitLog.open(Quick(str(folder)))) == [*found, payload(9)]
        if point.startswith("sync"):
            continue
        if work != "close":
            assert append(log, payload(10)) == len(found) + 2


def test_a_refused_write_is_taken_back(tmp_path: Path) -> None:
    stopped(tmp_path)
    files = Failing(tmp_path, error=errno.ENOSPC)
    log = CommitLog.open(files)
    files.fail("write at", ever=True)
    with pytest.raises(BackingError, match="No space left on device"):
        append(log, payload(4))
    files.mend()
    assert append(log, payload(-4)) == 4
    assert payloads(log)[3:] == [payload(-4)]


def test_what_cannot_be_taken_back_ends_the_handle(tmp_path: Path) -> None:
    class Half(Failing):
        is_half = False

        def write_at(self, opened: Opened, offset: int, data: bytes | memoryview) -> None:
            super().write_at(opened, offset, data[:40] if self.is_half else data)
            if self.is_half:
                raise BackingError(errno.EIO, "half of it", opened.path)

    files = Half(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(1))
    files.is_half = True
    files.fail("truncate")
    with pytest.raises(BackingError, match=r"half of it.*could not be taken back"):
        append(log, payload(2))
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        append(log, payload(2))
    assert payloads(log) == [payload(1)]
    # The half is a torn tail to others.
    assert append(CommitLog.open(Quick(str(tmp_path))), payload(-2)) == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_after_a_failed_sync_a_handle_appends_no_more(tmp_path: Path, is_first: bool) -> None:
    files = Failing(tmp_path)
    log = CommitLog.open(files)
    if not is_first:
        append(log, payload(1))
    with log.writing() as writer:
        number, position = writer.append(payload(2))
    files.fail("sync data")
    with pytest.raises(
        BackingError, match=r"cannot sync .*00000001-a\.log: Input/output"
    ) as caught:
        log.sync(position)
    assert caught.value.errno == errno.EIO
    files.mend()
    again = "nothing more is written through this handle, since: cannot sync"
    for use in (
        lambda: log.sync(position),
        lambda: append(log, payload(3)),
        lambda: log.writing().__enter__(),
    ):
        with pytest.raises(BackingError, match=again):
            use()
    # Reading goes on, also of what others append.
    assert log.read(number).payload == payload(2)
    other = CommitLog.open(Files(str(tmp_path)))
    assert append(other, payload(3)) == number + 1
    assert log.refresh() == number + 1
    log.close()


def test_threads_that_wait_for_a_sync_that_fails_all_hear_of_it(tmp_path: Path) -> None:
    files = Failing(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(0))
    positions: list[Position] = []
    for n in range(8):
        with log.writing() as writer:
            positions.append(writer.append(payload(n))[1])
    files.fail("sync data", ever=True)
    failed: list[BackingError] = []

    def wait(n: int) -> None:
        try:
            log.sync(positions[n])
        except BackingError as error:
            failed.append(error)

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 8


def test_what_another_handle_failed_to_sync_is_written_again(tmp_path: Path) -> None:
    """The kernel may take for written what it failed to write, and sync it no more."""
    stopped(tmp_path)
    with CommitLog.open(Quick(str(tmp_path))).writing() as writer:
        writer.append(payload(4))
    # Here the sync would fail. Whoever comes next appends and syncs:
    files = Recording(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(5))
    append(log, payload(6))
    again, added, first, last, second = (e for e in files.events if e.step in ("write", "sync"))
    offset, data = again.arguments
    assert data == log_file(tmp_path).read_bytes()[offset:][: len(data)]
    assert payload(4) in data
    assert payload(5) in added.arguments[1]
    assert payload(6) in last.arguments[1]
    assert first.step == second.step == "sync"
