"""Work that threads bring at the same time, done by one of them for all.

With a lock that all wait for, each would stand behind those that came later, and wait for their
work, and the disk, as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final, Generic, TypeAlias, TypeVar

from objstore.errors import BusyError


class Task:
    """What a thread wants done. Of most little is ever set: the rest is the class's."""

    is_done = False
    """Set by whoever does it, from when it must not be done a second time."""
    # Guarded by the gathering's guard.
    leads = False
    """Whether its thread is the one that works."""
    has_left = False
    """Whether its thread waits no more, as it was interrupted."""
    gate: Lock | None = None
    """Let go to wake its thread."""
    then: Task | None = None
    """Whom its thread wakes, as soon as it is awake itself."""

    def wake(self) -> None:
        """Have its thread go on."""
        if self.gate is not None:
            self.gate.release()


T = TypeVar("T", bound=Task)


Work: TypeAlias = "Callable[[Callable[[], Sequence[T]]], None]"
"""Is given a function that takes those that wait by then, in the order they came."""


class Gathering(Generic[T]):
    """Whoever finds nobody working leads: works for all that wait, and passes that on."""

    def __init__(self) -> None:
        self._guard: Final = Lock()
        # Guarded by _guard.
        self._waiting: list[T] = []
        self._is_led = False
        self._was_shared = False
        self._group: Sequence[T] = ()
        """Whom the one works for that leads; nobody else looks at it."""

    @property
    def is_shared(self) -> bool:
        """Whether more than one thread is likely to need the next turn, as of just now."""
        return self._is_led or self._was_shared

    def join(self, task: T, work: Work[T], limit: float | None = None) -> None:
        """Return when the task is done, by this thread's ``work`` or another's.

        Raises what ``work`` raises in this one; the task may have been done then, or not. Raises
        BusyError where nobody has taken it up after ``limit`` seconds, None for as long as it
        takes; then it was not done, nor will be.
        """
        try:
            with self._guard:
                self._waiting.append(task)
                if self._is_led:
                    task.gate = Lock()
                    task.gate.acquire()
                else:
                    self._is_led = task.leads = True
            while not task.is_done:
                if task.leads:
                    self._lead(task, work)
                else:
                    self._wait(task, limit)
        except BaseException:  # an interrupt may come between any two steps
            with self._guard:
                self._leave(task)
            raise

    def _wait(self, task: T, limit: float | None = None) -> None:
        """Return when it was done, or is to lead."""
        try:
            gate = task.gate
            if gate is not None and not gate.acquire(timeout=-1 if limit is None else limit):
                self._give_up(task)
                gate.acquire()  # somebody is at it
        except BaseException:
            with self._guard:
                self._leave(task)
            raise
        finally:
            # Were all woken by one, they would fight for the interpreter: that takes twice as long
            # as all they do.
            if task.then is not None:
                task.then.wake()

    def _give_up(self, task: T) -> None:
        """Raise BusyError, unless somebody has taken the task up."""
        with self._guard:
            if task not in self._waiting or task.leads:
                return
            self._leave(task)
        raise BusyError("another thread was writing for longer than this one waits")

    def _lead(self, task: T, work: Work[T]) -> None:
        try:
            work(self._take)
        finally:
            group, self._group = self._group, ()
            with self._guard:
                is_alone = len(group) <= 1 and not self._waiting
                self._is_led = task.leads = self._was_shared = not is_alone
            if not is_alone:
                self._pass_on(task, group)

    def _take(self) -> Sequence[T]:
        with self._guard:
            self._group, self._waiting = self._waiting, []
        return self._group

    def _pass_on(self, task: T, group: Sequence[T]) -> None:
        with self._guard:
            # What was not done is done by the next one.
            self._waiting[:0] = [one for one in group if not one.is_done and not one.has_left]
            self._leave(task)
            first = _in_a_row(one for one in group if one.is_done and not one.has_left)
        if first is not None:
            first.wake()

    def _leave(self, task: T) -> None:
        """Have nobody wait for a thread that goes. The guard is held."""
        task.has_left = True
        if task in self._waiting:
            self._waiting.remove(task)
        if task.leads:
            task.leads = False
            self._is_led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake()


def _in_a_row(tasks: Iterable[Task]) -> Task | None:
    """Have each wake the next; the first, None where there is none."""
    first: Task | None = None
    last: Task | None = None
    for task in tasks:
        if last is None:
            first = task
        else:
            last.then = task
        last = task
    return first
