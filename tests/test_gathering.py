"""Work that threads bring at the same time, done by one of them for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Thread
from time import sleep

import pytest

from objstore.backings.filesystem.log.gathering import Gathering, Task
from objstore.errors import BusyError


class Number(Task):
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value


class Work:
    """Notes what it has done. It waits until it may go on, and fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.has_begun, self.may_go_on = Event(), Event()
        self.failing: set[int] = set()
        self.leaving: Number | None = None
        """Whose thread is interrupted while this works."""
        self.gathering = Gathering[Number]()

    def __call__(self, take: Callable[[], Sequence[Number]]) -> None:
        group = take()
        self.has_begun.set()
        self.may_go_on.wait()
        self.groups.append([one.value for one in group])
        for one in group:
            if self.leaving is not None and self.leaving in group:
                with pytest.raises(KeyboardInterrupt):
                    self.gathering._wait(self.leaving)
                self.leaving = None
            if one.value in self.failing:
                self.failing.remove(one.value)
                raise InterruptedError
            one.is_done = True

    def wait_for(self, count: int) -> None:
        """Until so many wait behind the one who works."""
        while len(self.gathering._waiting) < count:
            self.has_begun.wait(0.001)


@pytest.fixture
def work() -> Work:
    return Work()


def begin(work: Work, pool: ThreadPoolExecutor, count: int) -> list[Future[None]]:
    """Have one work, and the others wait behind it, one after the other."""
    futures: list[Future[None]] = []
    for value in range(count):
        futures.append(pool.submit(work.gathering.join, Number(value), work))
        if value == 0:
            work.has_begun.wait()
        work.wait_for(value)
    return futures


def test_who_waits_is_done_together_in_the_order_they_came(work: Work) -> None:
    with ThreadPoolExecutor(8) as pool:
        futures = begin(work, pool, 8)
        work.may_go_on.set()
        for future in futures:
            assert future.result() is None
    assert work.groups == [[0], [1, 2, 3, 4, 5, 6, 7]]


def test_who_fails_leaves_the_rest_to_the_next(work: Work) -> None:
    work.failing = {0, 3}
    with ThreadPoolExecutor(8) as pool:
        futures = begin(work, pool, 6)
        work.may_go_on.set()
        failed = [value for value, future in enumerate(futures) if future.exception()]
    # The second is the one who does it when 3 fails, and is done by then.
    assert failed == [0, 1]
    assert work.groups == [[0], [1, 2, 3, 4, 5], [3, 4, 5]]


def test_one_thread_after_the_other_works_for_itself(work: Work) -> None:
    work.may_go_on.set()
    for value in range(3):
        work.gathering.join(Number(value), work)
    assert work.groups == [[0], [1], [2]]


def test_whoever_waits_too_long_is_not_done_at_all(work: Work) -> None:
    with ThreadPoolExecutor(2) as pool:
        [first] = begin(work, pool, 1)
        with pytest.raises(BusyError, match="another thread was writing"):
            work.gathering.join(Number(1), work, 0.01)
        work.may_go_on.set()
        first.result()
    work.gathering.join(Number(2), work, 0.01)
    assert work.groups == [[0], [2]]


def test_whoever_waits_too_long_for_one_that_is_at_it_waits_on(work: Work) -> None:
    with ThreadPoolExecutor(3) as pool:
        futures = begin(work, pool, 1)
        futures.append(pool.submit(work.gathering.join, Number(1), work, 0.2))
        futures.append(pool.submit(work.gathering.join, Number(2), work))
        work.wait_for(2)
        with work.gathering._guard:
            group, work.gathering._waiting = work.gathering._waiting, []
        sleep(0.5)
        with work.gathering._guard:
            work.gathering._waiting = group
        work.may_go_on.set()
        for future in futures:
            assert future.result() is None
    assert sorted(map(sorted, work.groups)) == [[0], [1, 2]]


class Gate:
    """In place of a lock: is let go only to raise."""

    def __init__(self, let_go: Event) -> None:
        self.let_go = let_go

    def acquire(self, timeout: float) -> None:
        assert timeout == -1
        self.let_go.wait()
        raise KeyboardInterrupt

    def release(self) -> None:
        """Whoever wakes it finds nobody."""


@pytest.mark.parametrize("value", [1, 2, 3])
def test_nobody_waits_for_one_that_was_interrupted(work: Work, value: int) -> None:
    let_go, left = Event(), Event()

    def leave() -> None:
        task = Number(value)
        with work.gathering._guard:
            task.gate = Gate(let_go)  # type: ignore[assignment]
            work.gathering._waiting.append(task)
        with pytest.raises(KeyboardInterrupt):
            work.gathering._wait(task)
        left.set()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(work.gathering.join, Number(0), work)]
        work.has_begun.wait()
        thread = Thread(target=leave)
        for one in (1, 2, 3):
            if one == value:
                thread.start()
            else:
                futures.append(pool.submit(work.gathering.join, Number(one), work))
            work.wait_for(one)
        let_go.set()
        left.wait()
        work.may_go_on.set()
        for future in futures:
            assert future.result() is None
        thread.join()
    assert work.groups == [[0], [one for one in (1, 2, 3) if one != value]]


def test_one_that_is_interrupted_as_it_is_to_lead_passes_that_on(work: Work) -> None:
    done = Number(0)
    task, other = Number(1), Number(2)
    work.may_go_on.set()
    with work.gathering._guard:
        work.gathering._waiting += [task, other]
        work.gathering._is_led = done.leads = True
        let_go = Event()
        let_go.set()
        task.gate = Gate(let_go)  # type: ignore[assignment]
        work.gathering._leave(done)
    assert task.leads
    with pytest.raises(KeyboardInterrupt):
        work.gathering._wait(task)
    assert other.leads
    work.gathering._lead(other, work)
    assert (other.is_done, work.groups, work.gathering._is_led) == (True, [[2]], False)


@pytest.mark.parametrize("is_late", [False, True])
def test_one_that_is_interrupted_when_it_is_done_by_another_wakes_the_next(
    work: Work, is_late: bool
) -> None:
    let_go = Event()
    with ThreadPoolExecutor(8) as pool:
        futures = begin(work, pool, 2)
        gone = Number(2)
        gone.gate = Gate(let_go)  # type: ignore[assignment]
        with work.gathering._guard:
            work.gathering._waiting.append(gone)
        futures.append(pool.submit(work.gathering.join, Number(3), work))
        work.wait_for(3)
        work.has_begun.clear()
        work.may_go_on.set()
        let_go.set()
        if is_late:
            while not gone.is_done:
                work.has_begun.wait(0.001)
        with pytest.raises(KeyboardInterrupt):
            work.gathering._wait(gone)
        for future in futures:
            assert future.result() is None
    assert sorted(value for group in work.groups for value in group) in ([0, 1, 3], [0, 1, 2, 3])


def test_one_that_has_left_is_not_done_by_the_next(work: Work) -> None:
    let_go = Event()
    let_go.set()
    work.failing = {1}
    with ThreadPoolExecutor(8) as pool:
        futures = begin(work, pool, 2)
        gone = Number(2)
        gone.gate = Gate(let_go)  # type: ignore[assignment]
        with work.gathering._guard:
            work.gathering._waiting.append(gone)
        futures.append(pool.submit(work.gathering.join, Number(3), work))
        work.wait_for(3)
        work.leaving = gone
        work.may_go_on.set()
        assert [type(future.exception()) for future in futures] == [
            type(None),
            InterruptedError,
            type(None),
        ]
    assert work.groups == [[0], [1, 2, 3], [3]]
