"""What the holder of the writer's lock does to the commit log."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from threading import get_ident
from types import TracebackType
from typing import Final

from objstore._turns import Block, Exit, Taken, is_over, reentered
from objstore.errors import BackingError, ObjstoreError, TransactionError
from objstore.values import JSON

from .. import names
from ..io import Files, UncertainError
from . import frames, jsonline, logappend
from .frames import Kind
from .groupsync import GroupSync
from .logappend import Appender
from .logfile import MARK, Start
from .loglock import LogLock, log_removed
from .logmake import Making
from .logview import Position, Tail, View, Views, read_manifest


class Certainty:
    """Whether a handle may write: never again after an error that leaves the disk unknown."""

    def __init__(self) -> None:
        self._lost: UncertainError | None = None  # set once

    @property
    def holds(self) -> bool:
        return self._lost is None

    def require(self) -> None:
        """Raises BackingError."""
        first = self._lost
        if first is not None:
            reason = f"nothing more is written through this handle, since: {first.strerror}"
            raise BackingError(first.errno, reason, first.filename) from first

    def lose(self, error: UncertainError) -> None:
        self._lost = self._lost or error


class Writing:
    """A block in which the writer's lock is held."""

    __slots__ = "__weakref__", "_writer", "block", "is_new"

    def __init__(self, writer: Writer) -> None:
        self._writer: Final = writer
        self.block: Block | None = None
        self.is_new = True

    def __enter__(self) -> Writer:
        self.is_new = False
        self._writer.begin_block(self.block)
        return self._writer

    __exit__ = Exit()

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """``__exit__``."""
        self._writer.end_block(error)


class Writer:
    """Appends to the log. To be used within ``CommitLog.writing``, which holds the lock."""

    def __init__(
        self, files: Files, lock: LogLock, views: Views, certainty: Certainty, group: GroupSync
    ) -> None:
        self._files: Final = files
        self._lock: Final = lock
        self._views: Final = views
        self._certainty: Final = certainty
        self._group: Final = group
        # The fields below are guarded by the writer's lock.
        self._held: tuple[int, Taken, Block | None] = 0, [], None
        """The thread that was the last to take the lock, what tells as long as it holds it, and for
        which block."""
        self._is_amid = False
        """Whether a block has begun and not come to an end that leaves all as it should be."""
        self.interruptions = 0
        """How many blocks had not: what was learned in one may be half of it."""
        self._met_others = False
        """Whether others had appended something when this handle last took the lock."""
        self._left = 0
        """The newest record's number when it let go of it before."""
        self._tenure = 0
        """The lock's, when this handle had seen all there was."""
        self._times_opened = 0
        """The lock's, when the log was last seen to be the one at its path."""
        self._making: Making | None = None
        """Of a log that this block has made, and put nothing into so far."""
        self._appender: Appender | None = None
        self._is_whole = False
        """Whether the manifest is there, and with it all that belongs to a log."""
        self._named = 0
        """The generation whose file's name this handle has synced."""

    @property
    def head(self) -> int:
        """The number of the last record; 0 where there is none."""
        view = self._views.get()
        return 0 if view is None else view.number

    @property
    def is_alone(self) -> bool:
        """Whether nobody has come in between since this handle last held the lock, nor waits now.

        Others may all the same be about to.
        """
        return not (self._met_others or self._lock.is_awaited or self._group.is_shared)

    def begin_block(self, block: Block | None) -> None:
        """Wait for the lock, and see all there is. For ``Writing``."""
        self.let_go()
        self._certainty.require()
        self._held = get_ident(), self._lock.acquire(knows_log=self._views.has_one), block
        try:
            was_amid, self._is_amid = self._is_amid, True
            self._look(sure=not was_amid)
        except BaseException as error:
            self._leave(error)
            raise

    def end_block(self, error: BaseException | None) -> None:
        """Let go of the lock, after what went wrong if anything did."""
        _, taken, _ = self._held
        try:
            self._leave(error)
        finally:
            if taken:
                self._lock.release()  # once more, as that was interrupted

    def let_go(self) -> None:
        """Of the lock, if the end of this thread's last block was interrupted before it began.

        Raises TransactionError while that block is still on: this was called by the handler of a
        signal, or by a finalizer, and what is below it is half done.
        """
        holder, taken, block = self._held
        if taken and holder == get_ident():
            if not is_over(block):
                raise reentered()
            self._lock.release()

    def doubt(self) -> None:
        """Whoever calls was interrupted at what was left to do after the block."""
        self.interruptions += 1

    def _leave(self, error: BaseException | None) -> None:
        try:
            if isinstance(error, UncertainError):
                self._certainty.lose(error)
            self._unmake(error)
            self._is_amid = not (error is None or isinstance(error, ObjstoreError))
            self._left = self.head
        finally:
            self._lock.release()

    def begin(self) -> int:
        """The generation whose file takes the next record; it is there when this returns."""
        return self._ready().file.generation

    def append(self, payload: bytes, *, alone: bool = True) -> tuple[int, Position]:
        """Append a record, a line of JSON; its number, and what ``CommitLog.sync`` needs.

        It is there when this returns, for all processes to see; what may still fail should come
        before. ``alone`` tells that no other thread waits for the sync to come: the disk begins
        with it at once, while this one gets there. Raises BackingError when nothing was appended,
        ValueError for what is not one line.
        """
        view = self._ready()
        with view.guard:
            self._add(view, frames.RECORD, payload, push=alone and not self._group.is_shared)
            self._making = None
            return view.number, view.position

    def append_all(self, payloads: Sequence[bytes], *, alone: bool) -> list[Position]:
        """The same for many, in one write: all of them, or none if it raises.

        A crash may leave the first of them.
        """
        if len(payloads) == 1:
            return [self.append(payloads[0], alone=alone)[1]]
        view = self._ready()
        with view.guard:
            made = [
                view.file.codec.encode(frames.RECORD, number, view.synced, payload)
                for number, payload in enumerate(payloads, view.number + 1)
            ]
            self._appender_of(view).append(view.end, b"".join(made))
            ends: list[Position] = []
            for frame in made:
                view.move(frames.RECORD, view.number + 1, len(frame), b"")
                ends.append(view.position)
            self._making = None
            return ends

    def switch(self, checkpoint: JSON = None) -> None:
        """End the file that takes records and begin another, whose first frame has ``checkpoint``.

        All before is on the disk when this returns, under any durability.
        """
        view = self._ready()
        with view.guard, logappend.taken_back(self._files, self._path_of_next(view)):
            self._sync(view)
            self._write_next(view, checkpoint)
            self._add(view, frames.END, jsonline.dump({"checkpoint": checkpoint}))
            self._making = None
            self._begin_next(view)

    def finish(self) -> None:
        """Leave the mark of a clean close behind the last frame, and the file no longer than it.

        Under durability "os" there is no telling what is on the disk, hence no mark.
        """
        view = self._ready()
        with view.guard:
            if self._files.sync and view.last != frames.CLOSED:
                self._sync(view)
                self._add(view, frames.CLOSED, MARK)
                self._sync(view)
            self._appender_of(view).release(view.end)
        self._appender = None

    def close(self, *, in_order: bool) -> None:
        """``finish`` if all is in order; otherwise give up no more than the space set aside."""
        if self._appender is None or not self._certainty.holds:
            return
        try:
            with Writing(self):
                if in_order:
                    self.finish()
                else:
                    view = self._ready()
                    with view.guard:
                        self._appender_of(view).release(view.end)
        finally:
            self._appender = None  # and its file is open no more

    def _look(self, *, sure: bool) -> None:
        """See all that is there, which who kept the lock for this thread has.

        Not ``sure``: it was interrupted, by Ctrl-C or for want of memory, and left anything half
        done, as a process that dies does.
        """
        view = self._views.get()
        if not sure:
            self.interruptions += 1
            self._appender, self._times_opened, self._is_whole = None, 0, False
            if view is not None:
                view.refresh_alone(sure=False)
                self._files.unlink(names.temporary_path(self._path_of_next(view)))
        elif view is None or self._tenure == self._lock.tenure:
            return
        if view is None:
            return
        if self._appender is not None:
            self._appender.forget_size()
        view.refresh_alone()
        self._met_others = view.number != self._left
        if self._times_opened != self._lock.times_opened or not view.file.is_named():
            # Now, as the file that was the newest before may have been compacted since.
            self._check_in_place(view)
            self._times_opened = self._lock.times_opened
        self._tenure = self._lock.tenure

    def _check_in_place(self, view: View) -> None:
        if not view.file.is_in_place():
            error = log_removed(self._files)
            try:
                self._lock.unmake(error)
                raise error
            finally:
                del error  # a cycle with its traceback, which has the log's file in it

    def _unmake(self, error: BaseException | None) -> None:
        if self._making is not None:
            view = self._views.get()
            if view is not None:
                view.refresh_alone(sure=False)
            if view is None or not view.number:  # else it was interrupted once a record was there
                self._making.undo(error)
                self._views.forget()
                # What is open is of a file without a name, and the next log is another one.
                self._appender, self._is_whole, self._named = None, False, 0
            self._making = None
        if self._views.get() is None:
            self._lock.unmake(error)

    def _ready(self) -> View:
        """The view of a log to which a frame can be added right away."""
        if not self._held[1]:
            raise TransactionError("the log is written to within CommitLog.writing only")
        view = self._views.get() or self._make()
        if not self._is_whole:
            self._finish_making(view)
        if view.last == frames.END or view.tail is not Tail.CLEAN:
            self._mend(view)
        return view

    def _make(self) -> View:
        self._making = Making(self._files, self._lock)
        self._making.run()
        self._is_whole, self._named = True, 1
        view = self._views.get()
        if view is None:
            reason = "the commit log was removed while it was being made"
            raise BackingError(errno.ENOENT, reason, names.logs(self._files.root))
        view.refresh_alone()
        return view

    def _finish_making(self, view: View) -> None:
        """Do what a process that died in the making has left undone."""
        if read_manifest(self._files) is None:
            Making(self._files, self._lock).finish(view.file.store)
            self._named = view.file.generation
        self._is_whole = True

    def _mend(self, view: View) -> None:
        """Do what a process that died in a switch, or in an append, has left undone."""
        with view.guard:
            if view.last == frames.END:
                checkpoint = jsonline.load_object(view.seal)["checkpoint"]
                with logappend.taken_back(self._files, self._path_of_next(view)):
                    self._write_next(view, checkpoint)
                    self._begin_next(view)
            if view.tail is Tail.TORN:
                self._appender_of(view).cut(view.end)
                view.tail = Tail.CLEAN

    # While the view's guard is held

    def _add(self, view: View, kind: Kind, payload: bytes, *, push: bool = False) -> None:
        number = view.number + (kind == frames.RECORD)
        frame = view.file.codec.encode(kind, number, view.synced, payload)
        self._appender_of(view).append(view.end, frame, push=push)
        view.move(kind, number, len(frame), payload)

    def _sync(self, view: View) -> None:
        if view.synced < view.end:
            view.file.sync(sure=True)
            view.synced = view.end

    def _write_next(self, view: View, checkpoint: JSON) -> None:
        start = Start(view.file.store, view.file.generation + 1, view.number, checkpoint)
        logappend.write_new(self._files, self._path_of_next(view), start.encode())

    def _begin_next(self, view: View) -> None:
        """Go on to the file that was written, from one that has ended, and is sure to have."""
        ended, end = self._appender_of(view), view.end
        view.file.sync(sure=True)
        logappend.put_new(self._files, self._path_of_next(view))
        self._files.sync_folder(names.logs(self._files.root), sure=True)
        self._named = view.file.generation + 1
        view.follow()
        view.tail = Tail.CLEAN
        ended.release(end)

    def _path_of_next(self, view: View) -> str:
        return names.log(self._files.root, view.file.generation + 1)

    def _appender_of(self, view: View) -> Appender:
        if self._appender is None or self._appender.generation != view.file.generation:
            self._appender = Appender.open(self._files, view.file.generation)
            if self._files.sync:
                self._take_over(view, self._appender)
        return self._appender

    def _take_over(self, view: View, appender: Appender) -> None:
        """Make sure that what others may have left undone is done by this handle's next sync."""
        if view.synced <= view.file.begin and self._named != appender.generation:
            # Nobody has synced a record in it: who made it may have died before its name was.
            self._files.sync_folder(names.logs(self._files.root))
        appender.rewrite(view.synced, view.end)
