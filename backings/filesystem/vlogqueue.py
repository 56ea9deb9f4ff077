"""Puts outside of transactions: of the threads that wait, one writes for all.

Their puts become one batch with one sync. Each thread is woken when its own is on the disk; with a
lock that all wait for, it would stand behind those that came later, and wait for their sync too.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

from objstore.errors import BusyError, StorageError

from .io import UncertainError
from .vlogput import Additions, Put
from .vlogview import Position, View
from .vlogwriter import Writer


class _Waiting:
    """A put that waits to be written."""

    __slots__ = ("error", "gate", "is_done", "is_there", "leads", "name", "position", "put")

    def __init__(self, name: str, put: Put) -> None:
        self.name: Final = name
        self.put: Final = put
        self.gate: Lock | None = None
        """Let go to wake its thread."""
        self.leads = False
        """Whether its thread is the one that writes."""
        self.is_done = False
        self.is_there = False
        """Whether there is a container of that name."""
        self.position: Position | None = None
        """Where it was written, if anything had to be."""
        self.error: StorageError | None = None


class PutQueue:
    """Whoever finds nobody writing leads: writes for all that wait, and passes that on."""

    def __init__(self, view: View, writer: Writer, wait: float) -> None:
        self._view: Final = view
        self._writer: Final = writer
        self._wait: Final = wait
        self._guard: Final = Lock()
        # Guarded by _guard.
        self._waiting: list[_Waiting] = []
        self._is_led = False

    def put(self, name: str, put: Put) -> bool:
        """Set keys of a container, durably; False where there is none of that name.

        Raises BusyError where others were writing for longer than this one waits, BackingError.
        """
        one = _Waiting(name, put)
        self._join(one)
        while not one.is_done:
            if one.leads or one.gate is None:
                self._lead(one)
            else:
                self._wait_for(one.gate, one)
        if one.error is not None:
            raise one.error
        if one.position is not None and one.gate is not None:
            self._writer.sync(one.position)
        return one.is_there

    def _join(self, one: _Waiting) -> None:
        with self._guard:
            self._waiting.append(one)
            if self._is_led:
                one.gate = Lock()
                one.gate.acquire()
            else:
                self._is_led = one.leads = True

    def _wait_for(self, gate: Lock, one: _Waiting) -> None:
        """Return when it was written, or is to lead."""
        try:
            is_woken = gate.acquire(timeout=self._wait)
        except BaseException:
            self._leave(one)
            raise
        if is_woken:
            return
        with self._guard:
            is_late = one in self._waiting and not one.leads
            if is_late:
                self._waiting.remove(one)
        if is_late:
            raise BusyError("another thread was writing for longer than this one waits")
        gate.acquire()

    def _leave(self, one: _Waiting) -> None:
        """Wait no longer, as this thread was interrupted."""
        with self._guard:
            if one in self._waiting:
                self._waiting.remove(one)
            if one.leads:
                self._choose()

    def _lead(self, one: _Waiting) -> None:
        group: Sequence[_Waiting] = ()
        try:
            self._writer.acquire()
            try:
                with self._guard:
                    group, self._waiting = self._waiting, []
                try:
                    self._append(group)
                except UncertainError:
                    raise
                except StorageError:
                    if len(group) == 1:
                        raise
                    # Each by itself: one may be too large for what is left of the disk.
                    for each in group:
                        self._append_one(each)
            finally:
                self._writer.release()
            if one.position is not None:
                self._writer.sync(one.position)
        finally:
            self._pass_on(one, group)

    def _pass_on(self, one: _Waiting, group: Sequence[_Waiting]) -> None:
        with self._guard:
            # Those that were not written are so by the next one.
            left = [each for each in group if not each.is_done] + self._waiting
            self._waiting = [each for each in left if each is not one]
            one.leads = False
            self._choose()
        for each in group:
            if each.is_done and each.gate is not None and each is not one:
                each.gate.release()

    def _choose(self) -> None:
        """Have the first of those that wait lead."""
        self._is_led = bool(self._waiting)
        if self._is_led:
            first = self._waiting[0]
            first.leads = True
            if first.gate is not None:
                first.gate.release()

    # While the writer's lock is held

    def _append_one(self, one: _Waiting) -> None:
        try:
            self._append((one,))
        except StorageError as error:
            one.error, one.is_done = error, True

    def _append(self, group: Sequence[_Waiting]) -> None:
        index, made = self._view.index, Additions()
        for each in group:
            table = index.names.get(each.name)
            each.is_there = table is not None
            if table is not None and each.put.keys:
                made.put(index, table, each.put)
        position = self._writer.append(made) if made.operations else None
        for each in group:
            each.position, each.is_done = position, True
