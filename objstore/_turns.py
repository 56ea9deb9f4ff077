"""Locks that an interrupt does not leave locked, and what else it must not come amid.

The handler of a signal may raise, as that of Ctrl-C does, after any call that the interpreter does:
also after ``lock.acquire()``, before what it returns is looked at. Then nobody knows who has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from operator import methodcaller
from threading import Lock, RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast
from weakref import ReferenceType, ref

from .errors import TransactionError

if TYPE_CHECKING:
    from .documents import Commit

T = TypeVar("T")

Taken: TypeAlias = list[bool]
"""Not empty while a lock is held for its owner, who empties it and releases the lock::

    if taken:
        del taken[:]
        lock.release()

Written out like that nothing can come between these two; from a function of its own it could.
"""


NOT_TAKEN: Final[Taken] = []
"""Of who never asked for it."""


def take(lock: Lock, wait: float, taken: Taken) -> bool:
    """Acquire ``lock`` within ``wait`` seconds, -1 for any time, and note it in the same call."""
    taken.extend(filter(None, map(lock.acquire, (True,), (wait,))))
    return bool(taken)


def take_again(lock: RLock, taken: Taken) -> None:
    """The same for a lock that a thread may hold more than once, for as long as it takes."""
    taken.extend(map(lock.acquire, (True,)))


def one_for_all(turn: Lock, left: Callable[[], object], work: Callable[[], object]) -> None:
    """Do ``work`` as long as anything is ``left``, or leave it to the thread that is at it.

    Nobody waits for ``turn``, as whoever has it may wait for what this thread holds. That one looks
    once more when it has let it go, so that nothing stays undone which was left to it.
    """
    while left():
        taken: Taken = []
        try:
            if not take(turn, 0, taken):
                break
            work()
        finally:
            if taken:
                turn.release()


class Listener:
    """One who is told of commits, each once; but once more where it was interrupted amid one."""

    def __init__(self, hear: Callable[[Commit], object], told: int) -> None:
        self._hear: Final = hear
        self._told = told
        """The last commit that it need not hear of any more."""

    def tell(self, commit: Commit) -> None:
        """Tell of a commit, unless it was."""
        if commit.number > self._told:
            self._hear(commit)
            self._told = commit.number


_first: Final = methodcaller("popleft")


def take_first(some: deque[T], taken: list[T]) -> None:
    """Move the first of ``some`` to ``taken``, in one call. Raises IndexError."""
    taken.extend(map(_first, (some,)))


def require_first(lock: RLock) -> None:
    """Raise TransactionError where this thread is amid what ``lock`` guards, and was interrupted by
    the handler of a signal, or a finalizer, that calls for the same."""
    if cast("Any", lock)._is_owned():
        raise reentered()


def reentered() -> TransactionError:
    """The error for a thread that is amid a commit, or learning of one, and begins it again."""
    return TransactionError(
        "this thread is amid the same already: a signal's handler, or a finalizer, cannot use a "
        "store that it interrupted; have it set a flag, or leave it to a thread"
    )


_release: Final = methodcaller("_release_save")


class Released:
    """Lets go of a lock in a block, however often this thread holds it, as a Condition does."""

    def __init__(self, lock: RLock) -> None:
        self._lock: Final[Any] = lock
        self._state: Final[list[Any]] = []

    def __enter__(self) -> None:
        self._state.extend(map(_release, (self._lock,)))

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Hold the lock again, as often as before. Also for the caller, around the block: what is
        interrupted at its ends has not done so."""
        if self._state and not self._lock._is_owned():
            self._lock._acquire_restore(self._state[0])


Leave: TypeAlias = Callable[
    [type[BaseException] | None, BaseException | None, TracebackType | None], None
]

Block: TypeAlias = "ReferenceType[Leave]"
"""Alive as long as a ``with`` block has yet to leave it, or is at it."""


def is_over(block: Block | None) -> bool:
    """Whether there was one and it has ended."""
    return block is not None and block() is None


class Exit:
    """``__exit__`` as ``leave``, of a context manager that can tell by its ``block`` whether the
    ``with`` that it was entered by is still on.

    An interrupt may come after a block has begun to call ``__exit__`` and before that does
    anything: then it never will. What a block calls in the end it gets before it enters, and it
    alone holds on to that: the end of the one is the end of the other.
    """

    def __get__(self, manager: Any, owner: type[Any]) -> Leave:
        leave: Leave
        if manager is None:  # as contextlib.ExitStack looks it up
            leave = owner.leave
        else:
            leave = manager.leave
            if manager.is_new:
                manager.block = ref(leave)
        return leave


class EndingExit(Exit):
    """An Exit of a manager that cannot wait until somebody asks whether its block is over: it is
    told to ``give_up`` in the moment in which nobody will leave it any more."""

    def __get__(self, manager: Any, owner: type[Any]) -> Leave:
        if manager is None:
            leave: Leave = owner.leave
            return leave
        # Unlike a method it is held by its caller until it has returned, and not by what it calls.
        leave = partial(owner.leave, manager)
        if manager.is_new:
            manager.block = ref(leave, manager.give_up)
        return leave
