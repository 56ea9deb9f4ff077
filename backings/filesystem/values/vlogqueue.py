"""Puts outside of transactions: of the threads that wait, one writes for all.

Their puts become one batch with one sync. Each thread is woken when its own is on the disk; with a
lock that all wait for, it would stand behind those that came later, and wait for their sync too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from objstore.errors import StorageError

from ..io import UncertainError
from ..log.gathering import Gathering, Task
from .vlogput import Additions, Put
from .vlogview import Position, View
from .vlogwriter import Writer


class _Waiting(Task):
    """A put that waits to be written."""

    def __init__(self, name: str, put: Put) -> None:
        self.name: Final = name
        self.put: Final = put

    is_there = False
    """Whether there is a container of that name."""
    position: Position | None = None
    """Where it was written, if anything had to be that is not on the disk yet."""
    error: StorageError | None = None


class PutQueue:
    """Whoever finds nobody writing writes for all that wait."""

    def __init__(self, view: View, writer: Writer, wait: float) -> None:
        self._view: Final = view
        self._writer: Final = writer
        self._wait: Final = wait
        self._gathering: Final = Gathering[_Waiting]()

    def put(self, name: str, put: Put) -> bool:
        """Set keys of a container, durably; False where there is none of that name.

        Raises BusyError where others were writing for longer than this one waits, BackingError.
        """
        one = _Waiting(name, put)
        self._gathering.join(one, self._write, self._wait)
        if one.error is not None:
            raise one.error
        if one.position is not None:
            self._writer.sync(one.position)  # that of who wrote it failed
        return one.is_there

    def _write(self, take: Callable[[], Sequence[_Waiting]]) -> None:
        held = self._writer.acquire()
        try:
            group = take()
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
            self._writer.release()
        except BaseException:
            if held:
                self._writer.release()
            raise
        written = [each.position for each in group if each.position is not None]
        if written:
            self._writer.sync(written[-1])
        for each in group:
            each.position = None

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
        position = None
        if made.operations:
            position = self._writer.append(made, alone=len(group) == 1)
        for each in group:
            each.position, each.is_done = position, True
