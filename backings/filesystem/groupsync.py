"""Group commit: threads that wait for the disk at the same time share one sync."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Event
from typing import Final

from .loglock import ThreadLock


class GroupSync:
    """Turns of a sync. The first thread that waits for the next turn does it, for all that do.

    They gather while the turn before is still being done; the slower the disk, the more.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync: Final = sync
        self._turn: Final = ThreadLock()
        self._guard: Final = ThreadLock()
        # Guarded by _guard.
        self._next: Event | None = None
        """Set when the turn that nobody has begun yet is over; None while nobody waits for it."""
        self._process = os.getpid()

    def join(self) -> None:
        """Return when a turn is over that began after this call, whether it went well or not.

        Whoever does the sync gets its errors; the others have to look.
        """
        with self._guard:
            if self._process != os.getpid():
                # The thread that was to do the next turn is in the parent process.
                self._process, self._next = os.getpid(), None
            over, leads = self._next or Event(), self._next is None
            self._next = over
        if leads:
            self._lead(over)
        else:
            over.wait()

    def _lead(self, over: Event) -> None:
        try:
            with self._turn:
                self._begin(over)
                self._sync()
        finally:
            # Also when an interrupt came while it waited for its turn.
            self._begin(over)
            over.set()

    def _begin(self, over: Event) -> None:
        with self._guard:
            if self._next is over:
                self._next = None
