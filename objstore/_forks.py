"""Stores in programs that fork.

A fork copies locks as they are, and no thread but its own. So that none is held in the child by a
thread that is not there, nobody is amid anything of a store when it happens; and in the child a
store forgets what other threads were at.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Collection
from typing import Any, Final, Protocol

_PATIENCE: Final = 1.0
"""How long a fork waits for a lock in seconds: who has it may wait for the thread that forks, or
for another process."""


class Resting(Protocol):
    """What a fork waits for."""

    def resting_locks(self) -> Collection[Any]:
        """The locks to hold during a fork, in the order in which they are taken."""
        ...

    def begin_in_child(self, held: Collection[Any]) -> None:
        """In the child; the forking thread had got the locks that were ``held``."""
        ...


_stores: Final[weakref.WeakSet[Resting]] = weakref.WeakSet()
_media: Final[weakref.WeakSet[Resting]] = weakref.WeakSet()
_guard: Final = threading.Lock()
"""Of what is known; held during a fork."""
_forking: Final = threading.local()


def rest(one: Resting, *, is_medium: bool = False) -> None:
    """Have forks wait for it from now on, as long as it is there; for a medium after stores, as its
    locks are taken by who holds a store's."""
    with _guard:
        (_media if is_medium else _stores).add(one)


def _known() -> list[Resting]:
    return [*sorted(_stores, key=id), *sorted(_media, key=id)]


def _before() -> None:
    _guard.acquire()
    held: list[Any] = []
    _forking.held = held
    for one in _known():
        held += [lock for lock in one.resting_locks() if lock.acquire(timeout=_PATIENCE)]


def _after() -> None:
    while _forking.held:
        _forking.held.pop().release()
    _guard.release()


def _in_child() -> None:
    held = list(_forking.held)
    _after()
    for one in _known():
        one.begin_in_child(held)


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
