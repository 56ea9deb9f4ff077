"""Group commit: threads that wait for the disk at the same time share one sync."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Final


class GroupSync:
    """Turns of a sync. The first thread that waits for the next turn does it, for all that do.

    They gather while the turn before is still being done; the slower the disk, the more.
    """

    def __init__(self) -> None:
        self._turn: Final = Lock()
        self._guard: Final = Lock()
        self._next: Event | None = None  # guarded by _guard
        """Set when the turn that nobody has begun yet is over; None while nobody waits for it."""

    def join(self, sync: Callable[[], None]) -> None:
        """Return when a ``sync`` is over that began after this call, whether it went well or not.

        Whoever does it gets its errors; the others have to look.
        """
        with self._guard:
            over, leads = self._next or Event(), self._next is None
            self._next = over
        if leads:
            self._lead(over, sync)
        else:
            over.wait()

    def _lead(self, over: Event, sync: Callable[[], None]) -> None:
        try:
            with self._turn:
                self._begin(over)
                sync()
        finally:
            # Also when an interrupt came while it waited for its turn.
            self._begin(over)
            over.set()

    def _begin(self, over: Event) -> None:
        with self._guard:
            if self._next is over:
                self._next = None
