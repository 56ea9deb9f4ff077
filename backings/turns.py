"""Locks that an interrupt does not leave locked.

The handler of a signal may raise, as that of Ctrl-C does, after any call that the interpreter does:
also after ``lock.acquire()``, before what it returns is looked at. Then nobody knows who has it.
"""

from __future__ import annotations

from threading import Lock
from typing import Final, TypeAlias

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
