"""Group commit: threads that wait for the disk at the same time share one sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .gathering import Gathering, Task


class GroupSync(Gathering[Task]):
    """Turns of a sync. Of the threads that wait while one is done, one does the next for all.

    They gather while the turn before is still being done; the slower the disk, the more.
    """

    def share(self, sync: Callable[[], None]) -> None:
        """Return when a ``sync`` is over that began after this call, whether it went well or not.

        Whoever does it gets its errors; the others have to look.
        """
        self.join(Task(), partial(_sync_for, sync))


def _sync_for(sync: Callable[[], None], take: Callable[[], Sequence[Task]]) -> None:
    group = take()
    try:
        sync()
    finally:
        for one in group:
            one.is_done = True
