"""What the holder of the writer's lock does to the commit log."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from objstore.errors import BackingError, TransactionError
from objstore.values import JSON

from . import frames, jsonline, logappend, names
from .frames import Kind
from .io import Files, UncertainError
from .logappend import Appender
from .logfile import MARK, Start
from .loglock import LogLock
from .logmake import Making
from .logview import Position, Tail, View, Views, read_manifest


class Certainty:
    """Whether a handle may write: never again after an error that leaves the disk unknown."""

    def __init__(self) -> None:
        self._first: UncertainError | None = None  # set once

    @property
    def holds(self) -> bool:
        return self._first is None

    def require(self) -> None:
        """Raises BackingError."""
        first = self._first
        if first is not None:
            reason = f"nothing more is written through this handle, since: {first.strerror}"
            raise BackingError(first.errno, reason, first.filename) from first

    @contextmanager
    def required(self) -> Generator[None]:
        """Required before the block, and lost if it raises UncertainError."""
        self.require()
        try:
            yield
        except UncertainError as error:
            self._first = self._first or error
            raise


class Writer:
    """Appends to the log. To be used within ``CommitLog.writing``, which holds the lock."""

    def __init__(self, files: Files, lock: LogLock, views: Views, certainty: Certainty) -> None:
        self._files: Final = files
        self._lock: Final = lock
        self._views: Final = views
        self._certainty: Final = certainty
        # The fields below are guarded by the writer's lock.
        self._is_holding = False
        self._making: Making | None = None
        """Of a log that has no record yet."""
        self._appender: Appender | None = None
        self._is_whole = False
        """Whether the manifest is there, and with it all that belongs to a log."""

    @property
    def head(self) -> int:
        """The number of the last record; 0 where there is none."""
        view = self._views.get()
        return 0 if view is None else view.number

    @contextmanager
    def holding(self) -> Generator[Writer]:
        """Hold the lock, and see all that was appended. What was made for nothing is removed."""
        with self._certainty.required(), self._lock.held():
            self._is_holding = True
            try:
                self._look()
                yield self
            except BaseException as error:
                self._unmake(error)
                raise
            else:
                self._unmake(None)
            finally:
                self._is_holding = False

    def append(self, payload: bytes) -> tuple[int, Position]:
        """Append a record, a line of JSON; its number, and what ``CommitLog.sync`` needs.

        It is there when this returns, for all processes to see; what may still fail should come
        before. Raises BackingError when nothing was appended, ValueError for what is not one line.
        """
        with self._ready() as view:
            self._add(view, frames.RECORD, payload)
            self._making = None
            return view.number, view.position

    def switch(self, checkpoint: JSON = None) -> None:
        """End the file that takes records and begin another, whose first frame has ``checkpoint``.

        All before is on the disk when this returns, under any durability.
        """
        with self._ready() as view:
            self._sync(view)
            start = Start(view.file.store, view.file.generation + 1, view.number, checkpoint)
            logappend.make(self._files, start)
            self._add(view, frames.END, jsonline.dump({"checkpoint": checkpoint}))
            view.file.sync(sure=True)
            self._begin_next(view)

    def close(self) -> None:
        """Leave the mark of a clean close behind the last frame, and the file no longer than it.

        Under durability "os" there is no telling what is on the disk, hence no mark.
        """
        if self._appender is None or not self._certainty.holds:
            return
        with self.holding(), self._ready() as view:
            if self._files.sync and view.last != frames.CLOSED:
                self._sync(view)
                self._add(view, frames.CLOSED, MARK)
                self._sync(view)
            self._appender_of(view).release(view.end)
        self._appender = None

    def _look(self) -> None:
        view = self._views.get()
        if view is None:
            return
        if self._lock.made or not view.file.is_in_place():
            reason = "the commit log was removed or replaced while it was in use"
            raise BackingError(errno.ENOENT, reason, names.logs(self._files.root))
        view.refresh_alone()

    def _unmake(self, error: BaseException | None) -> None:
        if self._making is not None:
            self._making.undo(error)
            self._making = None
            self._views.forget()
        if self._views.get() is None:
            self._lock.unmake(error)

    @contextmanager
    def _ready(self) -> Generator[View]:
        """The view, its guard held, of a log to which a frame can be added right away."""
        if not self._is_holding:
            raise TransactionError("the log is written to within CommitLog.writing only")
        view = self._views.get() or self._make()
        self._finish_making(view)
        with view.guard:
            if view.last == frames.END:
                self._mend_switch(view)
            if view.tail is Tail.TORN:
                self._appender_of(view).cut(view.end)
                view.tail = Tail.CLEAN
            yield view

    def _make(self) -> View:
        self._making = Making(self._files, self._lock)
        self._making.run()
        self._is_whole = True
        view = self._views.get()
        if view is None:
            reason = "the commit log was removed while it was being made"
            raise BackingError(errno.ENOENT, reason, names.logs(self._files.root))
        view.refresh_alone()
        return view

    def _finish_making(self, view: View) -> None:
        """Do what a process that died in the making has left undone."""
        if not self._is_whole and read_manifest(self._files) is None:
            Making(self._files, self._lock).finish(view.file.store)
        self._is_whole = True

    # While the view's guard is held

    def _add(self, view: View, kind: Kind, payload: bytes) -> None:
        number = view.number + (kind == frames.RECORD)
        frame = view.file.codec.encode(kind, number, view.synced, payload)
        self._appender_of(view).append(view.end, frame)
        view.move(kind, number, len(frame), payload)

    def _sync(self, view: View) -> None:
        if view.synced < view.end:
            view.file.sync(sure=True)
            view.synced = view.end

    def _begin_next(self, view: View) -> None:
        """Go on to the file that was made, from one that has ended."""
        ended, end = self._appender_of(view), view.end
        logappend.put(self._files, view.file.generation + 1)
        view.follow()
        view.tail = Tail.CLEAN
        ended.release(end)

    def _mend_switch(self, view: View) -> None:
        """Make the file that a process which died in a switch did not."""
        checkpoint = jsonline.load_object(view.seal)["checkpoint"]
        start = Start(view.file.store, view.file.generation + 1, view.number, checkpoint)
        logappend.make(self._files, start)
        self._begin_next(view)

    def _appender_of(self, view: View) -> Appender:
        if self._appender is None or self._appender.generation != view.file.generation:
            self._appender = Appender.open(self._files, view.file.generation)
            if self._files.sync:
                self._appender.rewrite(view.synced, view.end)
        return self._appender
