"""Meetings in memory: between the threads of one process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Condition, RLock
from typing import Final

from objstore.meetings import Meetings, Note


class _Meeting:
    """One meeting; its fields are guarded by the lock of all."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self.turn = RLock()
        self.touched = time.monotonic()


class MemoryMeetings(Meetings):
    """Meetings in a dict, shared by all handles of one store."""

    def __init__(self) -> None:
        # Entered by itself: the Condition's methods are Python's, and may be interrupted amid it.
        self._lock = RLock()
        self._changed = Condition(self._lock)
        self._meetings: Final[dict[str, _Meeting]] = {}  # guarded by _lock

    def begin_in_child(self) -> None:
        """In the child of a fork, where none of the parent's threads is amid anything here."""
        self._lock = RLock()
        self._changed = Condition(self._lock)
        for meeting in self._meetings.values():
            meeting.turn = RLock()

    def put(self, id: str, name: str, note: Note) -> Note:
        with self._lock:
            meeting = self._meetings.setdefault(id, _Meeting())
            meeting.touched = time.monotonic()
            stands = meeting.notes.setdefault(name, note)
            self._changed.notify_all()
            return stands

    def notes(self, id: str) -> Mapping[str, Note]:
        with self._lock:
            meeting = self._meetings.get(id)
            return {} if meeting is None else dict(meeting.notes)

    def wait(self, id: str, seen: int, seconds: float | None) -> None:
        with self._lock:
            self._changed.wait_for(lambda: self._count(id) != seen, seconds)

    def turn(self, id: str) -> RLock:
        with self._lock:
            meeting = self._meetings.get(id)
            return RLock() if meeting is None else meeting.turn

    def remove(self, id: str) -> None:
        with self._lock:
            self._meetings.pop(id, None)
            self._changed.notify_all()

    def sweep(self, seconds: float) -> None:
        with self._lock:
            before = time.monotonic() - seconds
            for id, meeting in list(self._meetings.items()):
                if meeting.touched < before:
                    del self._meetings[id]

    def _count(self, id: str) -> int:
        meeting = self._meetings.get(id)
        return 0 if meeting is None else len(meeting.notes)
