"""The commit log: a durable sequence of numbered records, for any number of threads and processes.

Format, guarantees and limits: docs/formats/commit-log.md. What a record says is its caller's.

    log = CommitLog.open(files)
    with log.writing() as writer:               # one at a time; sees all that others appended
        number, position = writer.append(b'{"any": "json"}')
    log.sync(position)                          # on the disk; threads that wait share one fdatasync
    for record in log.records(after=number): ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Final
from weakref import WeakSet

from objstore.errors import ClosedError, CorruptionError, KeyNotFoundError
from objstore.values import JSON

from .. import names
from ..io import Files, UncertainError
from . import frames
from .groupsync import GroupSync
from .heldlog import HeldLog
from .logfile import LogFile, Start
from .logfiles import LogFiles, Ranges
from .loglock import LogLock
from .logrecords import Record, record_at, record_of, records_of
from .logview import Position, Tail, View, Views
from .logwriter import Certainty, Writer, Writing

__all__ = ["CommitLog", "Position", "Record", "Writer"]


class CommitLog:
    """A handle on the log of one store. Its methods may be called by any thread, and after a fork.

    Durable is what ``sync`` was called for, and all before. With ``Files(sync=False)`` records are
    left to the operating system, unless it is to be ``sure``. Making a log, ``Writer.switch`` and
    cutting a torn tail are not, as the order of all else rests on them.
    """

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._certainty: Final = Certainty()
        self._is_closed = False
        self._set_up()
        _handles.add(self)

    def _set_up(self) -> None:
        """Also in a forked child, as the parent's threads may have been amid anything."""
        self._lock = LogLock(self._files)
        self._views = Views(self._files, self._lock)
        self._group = GroupSync()
        self._writer = Writer(self._files, self._lock, self._views, self._certainty, self._group)
        self._all = LogFiles(self._files)

    @classmethod
    def open(cls, files: Files) -> CommitLog:
        """A handle on the log in the store's folder; nothing is made, nothing is written.

        After a clean close it takes one frame to know the head; otherwise all of the newest file is
        read. Raises CorruptionError for damage in there, FormatError for a format to come.
        """
        log = cls(files)
        log.refresh()
        return log

    @property
    def head(self) -> int:
        """The number of the newest record that this handle has seen; 0 before the first."""
        view = self._view()
        return 0 if view is None else view.number

    @property
    def generation(self) -> int:
        """Which file takes records: 1 before the first ``Writer.switch``; 0 for no log."""
        view = self._view()
        return 0 if view is None else view.file.generation

    @property
    def store(self) -> str:
        """The store's id; empty for no log."""
        view = self._view()
        return "" if view is None else str(view.file.store)

    @property
    def end(self) -> int:
        """How long the newest file is, in bytes, without the space ahead."""
        view = self._view()
        return 0 if view is None else view.end

    @property
    def begins_after(self) -> int:
        """The number of the last record before the newest file."""
        view = self._view()
        return 0 if view is None else view.file.start.after

    @property
    def was_closed(self) -> bool:
        """Whether nothing was appended since a handle was closed that left all in order."""
        view = self._view()
        return view is not None and view.last == frames.CLOSED

    @property
    def is_torn(self) -> bool:
        """Whether a crash has left a part of a record at the end; the next writer cuts it off."""
        view = self._view()
        return view is not None and view.tail is Tail.TORN

    @property
    def checkpoint(self) -> JSON:
        """What the last ``Writer.switch`` was given."""
        view = self._view()
        return None if view is None else view.file.start.checkpoint

    def refresh(self) -> int:
        """See what other handles have appended; the new head. Waits for nobody.

        Raises CorruptionError where something can only be damage.
        """
        view = self._view()
        if view is None:
            return 0
        view.refresh()
        return view.number

    @property
    def turn(self) -> Lock:
        """What a thread holds from when it waits for other processes to let it write until it is
        done."""
        return self._lock.threads

    def writing(self) -> Writing:
        """Wait for the writer's lock and hold it, with all seen that others appended.

        Raises BackingError where this handle may not write any more, see ``sync``, TransactionError
        where this thread holds it already.
        """
        self._require_open()
        return Writing(self._writer)

    def sync(self, position: Position | None = None, *, sure: bool = False) -> None:
        """Return once all up to ``position``, which ``Writer.append`` gave, is on the disk.

        None is the newest that this handle has seen; ``sure`` is under any durability. Threads that
        wait at the same time share one sync. Raises BackingError where the disk does not confirm;
        then nothing is known of it any more, and this handle appends no more.

        What was appended may be synced after another thread has closed the log.
        """
        try:
            view = self._view()
        except ClosedError:
            if position is None:
                raise
            self._certainty.require()
            self._files.sync_file(names.log(self._files.root, position.generation))
            return
        if view is not None and position is None:
            position = view.reached()[1]
        if view is None or position is None or not (self._files.sync or sure):
            return
        if not self._files.sync:
            self._certainty.require()
            self._sync(view)
            return
        while not view.is_synced(position):
            self._certainty.require()
            self._group.share(partial(self._sync, view))

    def is_synced(self, position: Position) -> bool:
        """Whether all up to there is known to be on the disk, or need not be."""
        view = self._views.get()
        return not self._files.sync or (view is not None and view.is_synced(position))

    def records(self, after: int = 0, end: Position | None = None) -> Iterator[Record]:
        """The records behind the one numbered ``after``, up to the head as it is now.

        ``end`` is where that one ends, if it is known. Those that compaction removed are passed
        over. Raises CorruptionError where one cannot be read.
        """
        view = self._view()
        if view is None or after >= view.number:
            return iter(())
        file, reached = view.reached()
        if end is not None and end.generation == reached.generation:
            return records_of(file, after + 1, view.number, end.offset)
        return self._records(max(after, 0), view.number)

    def read(self, number: int) -> Record:
        """The record of that number. Raises as ``records`` does, KeyNotFoundError for none."""
        view = self._view()
        if view is None or not 0 < number <= view.number:
            raise KeyNotFoundError(f"the log has no record {number}; its last is {self.head}")
        return next(self._records(number - 1, number))

    def find(self, number: int, generation: int, offset: int) -> Record:
        """The record of that number, which is or was at ``offset`` of that generation's file.

        Where compaction removed it, the next one that is there. Raises CorruptionError for none.
        """
        view = self._view()
        file = self._all.file(generation)
        found = None if file is None else record_at(file, number, offset)
        if found is not None:
            return found
        if view is None or not 0 < number <= view.number:
            raise KeyNotFoundError(f"the log has no record {number}; its last is {self.head}")
        return next(self._records(number - 1, view.number))

    def held(self) -> HeldLog | None:
        """The log as it is now, whatever compaction does to it; None where its files are too many
        to be held open."""
        view = self._view()
        files = self._all.held()
        return HeldLog(files, view.number) if view is not None and files else None

    def files(self) -> list[Start]:
        """What all of the log's files that count say at their start, oldest first."""
        self._require_open()
        return self._all.all()

    def is_compacted(self, generation: int) -> bool:
        """Whether a generation's file holds what compaction has left of it and those before."""
        file = self._all.file(generation)
        return file is not None and file.start.removed is not None

    def opened(self, starts: Sequence[Start]) -> Iterator[LogFile]:
        """The files of these starts, one by one, as there may be too many to be open at once.

        Raises CorruptionError where one is there no more: somebody has compacted the log.
        """
        for start in starts:
            file = self._all.of(start)
            if file is None:
                name = self.name(start.generation)
                raise CorruptionError("this file of the log was removed since", file=name)
            yield file

    def records_of(self, ended: Sequence[Start]) -> Iterator[Record]:
        """The records of files that have ended. Raises as ``opened``."""
        for file in self.opened(ended):
            for frame in file.frames(file.begin):
                if frame.header.kind == frames.RECORD:
                    yield record_of(file, frame)

    def having(self, text: bytes, after: int) -> Iterator[Record]:
        """The records behind the one numbered ``after`` that have these bytes; those of the newest
        file first. Files that have them nowhere are not taken apart."""
        head = self.head
        for start in reversed(self.files()):
            file = self._all.of(start)
            if file is None:  # somebody has compacted the log just now
                yield from self.having(text, after)
                return
            wanted = max(after, start.after) + 1
            offset = file.place(wanted) if wanted <= head else None
            if offset is not None and file.has(text, offset):
                found = records_of(file, wanted, head, offset)
                yield from (one for one in found if text in one.payload)
            if start.after <= after:
                return

    def removed(self) -> Ranges:
        """The numbers of the records that compaction has removed, or damage."""
        self._require_open()
        return self._all.removed()

    def lost(self) -> Ranges:
        """Those that damage has."""
        self._require_open()
        return self._all.lost()

    def name(self, generation: int) -> str:
        """What errors call a generation's file."""
        return self._files.relative(names.log(self._files.root, generation))

    def let_go(self) -> None:
        """After an interrupt: see to it that this thread keeps nobody from writing."""
        self._writer.let_go()

    def doubt(self) -> None:
        """Have who writes next take nothing for done that this handle left to itself: whoever was
        at it has been interrupted. See ``Writer.interruptions``."""
        self._writer.doubt()

    def lose(self, error: UncertainError) -> None:
        """Write nothing more through this handle, as a sync has failed of what it rests on."""
        self._certainty.lose(error)

    @property
    def is_certain(self) -> bool:
        """Whether this handle may still write."""
        return self._certainty.holds

    def close(self, *, in_order: bool = True) -> None:
        """Mark the end of what was appended, so that the next open need not look for it; not so
        where all is not ``in_order`` for it. Closing again does nothing; any other call but
        ``sync`` of a position raises ClosedError.

        Raises BackingError where the mark cannot be written; the log is none the worse.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._writer.close(in_order=in_order)
        finally:
            # Else the disk could not be unmounted as long as somebody refers to this.
            self._lock.close()
            self._views.forget()
            self._all = LogFiles(self._files)

    def _sync(self, view: View) -> None:
        file, reached = view.reached()
        try:
            file.sync(sure=True)
        except UncertainError as error:
            self._certainty.lose(error)
            raise
        if self._files.sync:  # else nobody has done what others left, and no frame may say so
            view.note_synced(reached)

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this log was closed")

    def _view(self) -> View | None:
        self._require_open()
        return self._views.get()

    def _records(self, after: int, head: int) -> Iterator[Record]:
        wanted, before = after + 1, 0
        while wanted != before:
            self._require_open()  # or this handle had files open once more
            before = wanted
            for file in self._all.from_number(wanted):
                for record in records_of(file, wanted, head, file.place(wanted)):
                    yield record
                    wanted = record.number + 1
                if wanted > head:
                    return
        names_of_all = self._files.relative(names.logs(self._files.root))
        raise CorruptionError(f"record {wanted} is in none of the files", file=names_of_all)


_handles: Final[WeakSet[CommitLog]] = WeakSet()


def _set_up_all() -> None:
    for handle in list(_handles):
        handle._set_up()


os.register_at_fork(after_in_child=_set_up_all)
