"""The commit log shared by threads, by processes, and by both sides of a fork."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objstore._turns import Taken
from objstore.backings.filesystem.io import Files, Opened, UncertainError
from objstore.backings.filesystem.log.commitlog import CommitLog, Position
from objstore.backings.filesystem.log.groupsync import GroupSync
from objstore.backings.filesystem.log.loglock import LogLock
from objstore.errors import BackingError, ClosedError

from .faults.crash_states import Quick, Recording
from .faults.interruptions import Interruption
from .faults.logs import append, payload, payloads
from .faults.machine import in_child, start_child

pytestmark = pytest.mark.damage


def opened(folder: Path) -> CommitLog:
    return CommitLog.open(Quick(str(folder)))


def test_threads_share_syncs_and_lose_nothing(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(0))
    told: dict[int, bytes] = {1: payload(0)}

    def work(who: int) -> None:
        for n in range(20):
            data = payload(100 * who + n)
            told[append(log, data)] = data

    threads = [threading.Thread(target=work, args=(who,)) for who in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [told[n] for n in range(1, 162)] == payloads(log) == payloads(opened(tmp_path))


def test_threads_that_come_while_one_syncs_share_the_next_sync(tmp_path: Path) -> None:
    class Slow(Quick):
        syncs = 0
        is_slow = False
        gate = threading.Event()

        def sync_data(self, opened: Opened, *, sure: bool = False) -> None:
            if self.is_slow:
                self.syncs += 1
                self.gate.wait()

    files = Slow(str(tmp_path))
    log = CommitLog.open(files)
    append(log, payload(9))
    files.is_slow = True
    threads = [threading.Thread(target=append, args=(log, payload(n))) for n in range(9)]
    threads[0].start()
    while not files.syncs:
        time.sleep(0.001)
    for thread in threads[1:]:
        thread.start()
    while log.refresh() < 10:
        time.sleep(0.001)
    files.gate.set()
    for thread in threads:
        thread.join()
    assert files.syncs in (2, 3), "all had appended before the second began"


def test_a_sync_serves_all_that_came_before_it(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    log = CommitLog.open(files)
    positions: list[Position] = []
    for n in range(1, 6):
        with log.writing() as writer:
            positions.append(writer.append(payload(n))[1])
    log.sync(positions[2])
    before = len(files.events)
    for position in positions:
        log.sync(position)
    assert files.events[before:] == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("amid", [False, True])
def test_what_was_appended_is_synced_though_another_thread_closes_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, amid: bool
) -> None:
    share = GroupSync.share

    def close_and_share(self: GroupSync, sync: Callable[[], None]) -> None:
        log.close(in_order=False)
        share(self, sync)

    files = Recording(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(1))
    with log.writing() as writer:
        _, position = writer.append(payload(2))
    if amid:
        monkeypatch.setattr(GroupSync, "share", close_and_share)
    else:
        log.close(in_order=False)
    before = len(files.events)
    log.sync(position)
    assert "sync" in [event.step for event in files.events[before:]]
    with pytest.raises(ClosedError):
        log.sync()


def test_after_a_failed_sync_a_closed_log_confirms_nothing(tmp_path: Path) -> None:
    log = CommitLog.open(Quick(str(tmp_path)))
    with log.writing() as writer:
        _, position = writer.append(payload(1))
    log.lose(UncertainError(errno.EIO, "Input/output error", "log"))
    log.close()
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        log.sync(position)


def test_what_another_handle_is_known_to_have_synced_is_not_synced_again(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    one, two = CommitLog.open(files), CommitLog.open(files)
    append(one, payload(0))
    with one.writing() as writer:
        _, position = writer.append(payload(1))
    append(two, payload(2))
    append(two, payload(3))
    one.refresh()
    before = len(files.events)
    one.sync(position)
    assert files.events[before:] == [], "the record of two says that all before it was synced"


def append_some(folder: Path, who: int) -> None:
    log = opened(folder)
    for n in range(50):
        append(log, b'{"who":%d,"n":%d}' % (who, n))
        if n % 20 == who:
            with log.writing() as writer:
                writer.switch()
    log.close()


def test_processes_that_begin_and_append_at_once(tmp_path: Path) -> None:
    store = tmp_path / "deep/store"
    children = [start_child(lambda who=who: append_some(store, who)) for who in range(4)]  # type: ignore[misc]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 4
    found = payloads(opened(store))
    assert Counter(found) == Counter(
        b'{"who":%d,"n":%d}' % (who, n) for who in range(4) for n in range(50)
    )
    for who in range(4):
        mine = [data for data in found if data.startswith(b'{"who":%d' % who)]
        assert mine == [b'{"who":%d,"n":%d}' % (who, n) for n in range(50)]


def test_a_handle_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))

    def work() -> None:
        for n in range(100, 120):
            append(log, payload(n))

    children = [start_child(work) for _ in range(2)]
    for n in range(2, 30):
        append(log, payload(n))
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    log.refresh()
    assert Counter(payloads(log)) == Counter(
        payload(n) for n in (*range(1, 30), *range(100, 120), *range(100, 120))
    )


def test_a_fork_while_the_lock_is_held(tmp_path: Path) -> None:
    """The child gives up nothing of its parent's, and waits as everybody does."""
    log = opened(tmp_path)
    append(log, payload(1))
    with log.writing() as writer:

        def leave() -> None:
            writer.end_block(None)

        assert in_child(leave) == 0
        other = opened(tmp_path)
        with other._lock.attempted() as alone:
            assert not alone
        writer.append(payload(2))
    assert payloads(log) == [payload(1), payload(2)]


def test_one_thread_at_a_time_writes(tmp_path: Path) -> None:
    """Also where threads are switched between as often as can be."""
    log = opened(tmp_path)
    append(log, payload(0))
    inside: list[int] = []
    seen: list[int] = []
    end = time.monotonic() + 2

    def write(number: int) -> None:
        while time.monotonic() < end:
            with log.writing():
                inside.append(number)
                seen.append(len(inside))
                time.sleep(0)  # others wait for it
                inside.remove(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
    finally:
        sys.setswitchinterval(interval)
    assert set(seen) == {1}
    assert len(seen) > 100


@pytest.mark.timeout(60)
def test_who_is_interrupted_waiting_keeps_the_file_locked_for_nobody(tmp_path: Path) -> None:
    """Where it went on to count as one who waits, the next to let go left the file to it."""
    mine, others = LogLock(Files(str(tmp_path))), LogLock(Files(str(tmp_path)))
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        mine.acquire()
        held.set()
        while not (mine.is_awaited or over.is_set()):
            time.sleep(0.0001)
        mine.release()

    def wait(at: int) -> int:
        held.clear()
        over.clear()
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        taken: Taken = []
        with Interruption(at) as interruption:
            taken = mine.acquire()
            mine.release()
        if taken:  # it was interrupted before it did
            mine.release()
        over.set()
        holder.join()
        return interruption.seen

    for at in range(wait(0) + 5):
        wait(at)
        assert not mine.is_awaited
        others.acquire(5)
        others.release()
