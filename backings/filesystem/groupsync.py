"""Group commit: threads that wait for the disk at the same time share one sync."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final


class GroupSync:
    """Turns of a sync. Of the threads that wait while one is done, one does the next for all.

    They gather while the turn before is still being done; the slower the disk, the more.
    """

    def __init__(self) -> None:
        self._turn: Final = Lock()
        self._begun = 0
        """How many turns have begun. Changed by who holds _turn, read by all."""

    def join(self, sync: Callable[[], None]) -> None:
        """Return when a ``sync`` is over that began after this call, whether it went well or not.

        Whoever does it gets its errors; the others have to look.
        """
        begun = self._begun
        with self._turn:
            if self._begun == begun:
                self._begun += 1
                sync()
