"""Group commit: threads that wait for the disk at the same time share one sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from .gathering import Gathering, Task


class GroupSync:
    """Turns of a sync. Of the threads that wait while one is done, one does the next for all.

    They gather while the turn before is still being done; the slower the disk, the more.
    """

    def __init__(self) -> None:
        self._all: Final = Gathering[Task]()

    @property
    def is_shared(self) -> bool:
        """Whether the next one is likely to be for more than one thread."""
        return self._all.is_shared

    def join(self, sync: Callable[[], None]) -> None:
        """Return when a ``sync`` is over that began after this call, whether it went well or not.

        Whoever does it gets its errors; the others have to look.
        """

        def work(take: Callable[[], Sequence[Task]]) -> None:
            group = take()
            try:
                sync()
            finally:
                for one in group:
                    one.is_done = True

        self._all.join(Task(), work)
