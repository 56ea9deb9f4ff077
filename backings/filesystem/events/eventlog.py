"""The event log in segments: a RecordKeeper on the commit log's files. See docs/formats/events.md.

One call of ``extend`` is one record, so that it is there as a whole or not at all, and one sync.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from threading import RLock
from typing import Any, Final, NamedTuple
from uuid import UUID
from weakref import WeakSet

from objstore import eventlines, sealing
from objstore.errors import BackingError, CorruptionError, ObjstoreError, ReadOnlyError
from objstore.event import Event, check_uuid
from objstore.eventlog import EventLog
from objstore.keeper import Place, RecordKeeper, Stored, known_place, missing
from objstore.sealing import EMPTY, Batch, Drafts, Head, Signer

from .. import names
from ..io import Files, UncertainError
from ..log import frames
from ..log.commitlog import CommitLog, Writer
from ..log.gathering import Gathering, Task
from ..log.logfile import LogFile, generations
from ..log.logview import Position, View
from . import eventread
from .eventindex import EventIndex, Proof, Run
from .eventread import Chunk

SEGMENT_SIZE: Final = 1 << 30
"""How long a file gets before the next one is begun, in bytes."""

_AGAIN: Final = 1 << 24
"""How much longer it gets before that is tried again, where it failed."""

_NEAR: Final = 1 << 20

_MARKS: Final = 64

_logger: Final = logging.getLogger(__name__)


class Tail(NamedTuple):
    """How far a record keeper has seen."""

    end: Position
    """Of the log."""
    head: Head
    text: bytes
    """The last event's UUID; empty where there is none."""

    @property
    def uuid(self) -> UUID | None:
        return UUID(self.text.decode()) if self.text else None


class _End(NamedTuple):
    """How far the log's view has come."""

    number: int
    """The last record's."""
    position: Position
    is_ended: bool
    """Whether that is behind the frame that ends a file, and the next one was not there yet."""


_NOTHING: Final = Tail(Position(0, 0), EMPTY, b"")


def open_events(
    root: str | os.PathLike[str],
    *,
    readonly: bool = False,
    sync: bool = True,
    umask: int | None = None,
    signer: Signer | None = None,
) -> EventLog:
    """The event log of the folder ``root``; nothing is written before the first event."""
    files = Files(names.events(Files(os.fspath(root)).root), sync=sync, umask=umask)
    return EventLog(SegmentRecordKeeper(files, readonly=readonly), signer=signer)


class _Looked:
    """A record, one line or a batch, in which events are looked for."""

    def __init__(self, start: Position, payload: bytes) -> None:
        self.start: Final = start
        self._payload: Final = payload
        self._lines: dict[bytes, bytes] | None = None
        """By the UUID's text."""
        self._is_first = True

    def find(self, text: bytes) -> bytes | None:
        """The line of the event with that UUID; None where none has it.

        The second time all lines are told apart, which costs as much as going through the batch for
        some dozens of events: who appends a batch again asks for each of them.
        """
        if self._is_first:
            self._is_first = False
            return eventlines.find(self._payload, text)
        if self._lines is None:
            self._lines = {eventlines.uuid_in(one): one for one in eventlines.split(self._payload)}
        return self._lines.get(text)


class _Call(Task):
    """A call of ``extend``."""

    def __init__(self, drafts: Drafts, expect: UUID | int | None, signer: Signer | None) -> None:
        self.drafts: Final = drafts
        self.expect: Final = expect
        self.signer: Final = signer

    batch: Batch | None = None
    end: Position | None = None
    """Of what was appended, or was there already."""
    is_durable = False
    error: Exception | None = None


class SegmentRecordKeeper(RecordKeeper):
    """The event log in a folder of its own, ``files.root``.

    Threads that append at the same time share one write and one sync. With ``Files(sync=False)``
    events are left to the operating system.
    """

    def __init__(self, files: Files, *, readonly: bool = False) -> None:
        self._files: Final = files
        self._readonly: Final = readonly
        self._log: Final = CommitLog(files)
        with suppress(CorruptionError):  # raised by whatever needs it; what is before can be read
            self._log.refresh()
        self._is_secure = False
        self._switch_from = 0
        """How long a file gets after a switch that failed. Guarded by the log's lock."""
        self._set_up()
        _keepers.add(self)

    def _set_up(self) -> None:
        """Also in a forked child, as the parent's threads may have been amid anything."""
        self._gathering = Gathering[_Call]()
        self._guard = RLock()
        # Guarded by _guard. Who needs the log's lock as well takes that first.
        self._tail = _NOTHING
        self._marks: dict[int, Position] = {}
        """By how many events there were: the end of the log then. Who follows it goes on there."""
        self._index: EventIndex | None = None
        """Taken away while it is changed: who is interrupted at that leaves none, and not half."""
        self._segments: dict[int, LogFile] = {}
        self._last: _Looked | None = None
        """The batch that was read last, as the next one asked for is mostly in it."""

    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        """Append events as one record, durably; threads that do so share writes and syncs."""
        if self._readonly:
            raise ReadOnlyError("this event log was opened with readonly=True")
        call = _Call(sealing.drafts(added), expect, signer)
        try:
            self._gathering.join(call, self._write)
        except BaseException:
            self._log.let_go()
            raise
        if call.error is not None:
            raise call.error
        if call.batch is None or call.end is None:
            reason = "the thread that was writing it was interrupted: it may be there, or not"
            raise BackingError(errno.EINTR, reason, self._files.root)
        if not call.is_durable:
            self._log.sync(call.end)
        self._secure()
        index = self._index
        if index is not None and index.is_full:
            with self._guard:
                if self._index is index:
                    self._roll(index)
        return Stored(call.batch.stored, call.batch.lines)

    def read(self, uuid_: UUID) -> Event:
        """The event with that UUID: its place is in the index."""
        line = self._look_up(uuid_)
        if line is None:
            raise missing(uuid_)
        return eventlines.decode(line)

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """The UUID of the event behind that one, or of the first; None for the tail."""
        after = None if uuid_ is None else check_uuid(uuid_)
        return next((eventlines.place_in(some[0])[2] for some in self.lines(after)), None)

    def tail(self) -> UUID | None:
        """The UUID of the last event that any process has appended; None for none."""
        return self._refresh().uuid

    def head(self) -> Head:
        """How many events any process has appended, and the last one's hash."""
        return self._refresh().head

    def batches(self, after: Place = None) -> Iterator[bytes]:
        """The events behind a place, up to the tail as it is now, many at a time.

        Where the end of the log is damaged: up to there, and then that is raised.
        """
        try:
            self._log.refresh()
        except CorruptionError as damage:
            position = known_place(after)
            if isinstance(position, UUID):  # there is no telling where, without the rest
                raise
            return self._before(damage, position)
        position = self.locate(after)
        if position:
            with suppress(CorruptionError):  # whoever goes on comes to a damaged tail in its turn
                if position >= self._seen().head.position:
                    return iter(())
        return self._batches(position, self._end().position)

    def locate(self, place: Place) -> int:
        """The position of a place; that of a UUID is in its line."""
        self._view()  # raises ClosedError
        known = known_place(place)
        if isinstance(known, int):
            return known
        line = self._look_up(known)
        if line is None:
            raise missing(known)
        return eventlines.place_in(line)[0]

    def __repr__(self) -> str:
        return f"<SegmentRecordKeeper {self._files.root}>"

    def close(self) -> None:
        """Mark the end of the log, so that who opens it next need not look for it."""
        try:
            self._log.close()
        finally:
            with self._guard:
                self._index = self._last = None
                self._segments.clear()

    def _secure(self) -> None:
        """Have the names of the folders above on the disk, whoever made them: once for a handle.

        The log sees to its own folder's.
        """
        if not self._is_secure:
            engine = os.path.dirname(self._files.root)
            self._files.sync_folder(os.path.dirname(engine))
            self._files.sync_folder(os.path.dirname(os.path.dirname(engine)))
            self._is_secure = True

    # Appending

    def _write(self, take: Callable[[], Sequence[_Call]]) -> None:
        """Append what threads wait for, each call's for itself, with one write and one sync."""
        with self._log.writing() as writer:
            calls = take()
            self._append(writer, calls)
        # Those that were there already as well, as who added them may have died before its sync.
        self._log.sync(max(call.end or _NOTHING.end for call in calls))
        for call in calls:
            call.is_durable = True

    def _append(self, writer: Writer, calls: Sequence[_Call]) -> None:
        """Append what is new of calls. What goes wrong with one is left in it; an interrupt is
        raised, also if it is an Exception, as the TimeoutError of a signal's handler."""
        first = calls[0]
        try:
            self._append_all(writer, calls)
        except Exception as error:
            is_refusal = isinstance(error, ObjstoreError | TypeError | ValueError)
            if len(calls) > 1 and not first.is_done:
                # It may be about one of them alone.
                for call in calls:
                    self._append(writer, [call])
                if is_refusal or any(call.error is not None for call in calls):
                    return
                raise
            if not is_refusal and (first.is_done or first.leads):
                raise  # or it is of the signer, whose call is this thread's own
            for call in calls:
                call.error, call.is_done = error, True
            if isinstance(error, UncertainError):
                raise

    def _append_all(self, writer: Writer, calls: Sequence[_Call]) -> None:
        """The same; when it raises, nothing was appended of any that is not done."""
        tail = before = self._seen()
        found = partial(self._find, made := list[tuple[Tail, bytes]]())
        for call in calls:
            batch = call.batch = sealing.batch(call.drafts, tail.head, found, call.signer)
            if batch.lines:
                if call.expect is not None:
                    sealing.check_expected(call.expect, tail.head, tail.uuid)
                tail = Tail(tail.end, batch.head, eventlines.uuid_in(batch.lines[-1]))
                made.append((tail, eventlines.join(batch.lines)))
        for call in calls:
            # From here on it may be there, and must not be appended again, whatever comes.
            call.is_done = True
        if made:
            try:
                ends = writer.append_all([one for _, one in made], alone=len(calls) == 1)
            except (BackingError, ValueError) as error:
                for call in calls:
                    call.is_done = isinstance(error, UncertainError)
                raise
            tail = self._note(before, made, ends)
            if SEGMENT_SIZE <= tail.end.offset >= self._switch_from:
                self._switch(writer, tail)
        for call in calls:
            call.end = tail.end

    def _switch(self, writer: Writer, tail: Tail) -> None:
        """Begin the next file. Where that fails the events are there, and a later call tries again.

        But for UncertainError: then they may not be on the disk.
        """
        try:
            writer.switch(_checkpoint(tail))
        except UncertainError:
            raise
        except BackingError as error:
            self._switch_from = tail.end.offset + _AGAIN
            _logger.warning("the event log could not begin its next file: %s", error)
        else:
            self._switch_from = 0

    # The end of the log

    def _require_open(self) -> None:
        self._log._require_open()

    def _view(self) -> View | None:
        return self._log._view()

    def _refresh(self) -> Tail:
        self._log.refresh()
        return self._seen()

    def _seen(self) -> Tail:
        """The end of what the log's view has come to."""
        with self._guard:
            number, end, is_ended = self._end()
            if end != self._tail.end:
                self._move(self._read_tail(number, end), is_ended=is_ended)
            return self._tail

    def _end(self) -> _End:
        """Where the view ends; nothing where there is no log."""
        view = self._view()
        if view is None:
            return _End(0, _NOTHING.end, is_ended=False)
        with view.guard:
            return _End(view.number, view.position, view.last == frames.END)

    def _move(self, tail: Tail, *, is_ended: bool = False) -> None:
        self._tail = tail
        # Behind the frame that ends a file no record ever comes: nobody can go on there.
        if not is_ended:
            self._marks[tail.head.position] = tail.end
        if len(self._marks) > _MARKS:
            del self._marks[next(iter(self._marks))]

    def _read_tail(self, number: int, end: Position) -> Tail:
        known = self._tail
        if known.end.generation == end.generation and 0 <= end.offset - known.end.offset < _NEAR:
            payload = b""
            for _, records in self._chunks(known.end, end):
                payload = records[-1].payload
        else:
            payload = self._log.read(number).payload if number else b""
        if not payload:
            return known._replace(end=end)
        position, hash, uuid = eventlines.place_in(eventlines.split(payload)[-1])
        return Tail(end, Head(position, hash), eventlines.text_of(uuid))

    def _note(
        self, tail: Tail, made: Sequence[tuple[Tail, bytes]], ends: Sequence[Position]
    ) -> Tail:
        """Go over what was just appended behind ``tail``; what is the tail now."""
        with self._guard:
            for (after, payload), end in zip(made, ends, strict=True):
                before, tail = tail, after._replace(end=end)
                self._move(tail)
                index = self._index
                if index is not None and index.count == before.head.position:
                    start = end.offset - frames.HEADER_SIZE - len(payload) - 1
                    # What is made of it now is never written before this is on the disk.
                    self._add(index, Position(end.generation, start), end, payload)
            return tail

    # Reading

    def _look_up(self, uuid: UUID) -> bytes | None:
        """The line of an event that any process has appended."""
        end = self._end()
        line = self._find_line(uuid)
        if line is None:
            self._log.refresh()
            if self._end() != end:
                line = self._find_line(uuid)
        return line

    def _find(self, made: Sequence[tuple[Tail, bytes]], uuid: UUID) -> Event | None:
        """An event that was seen already, as who appends has just looked, or is about to be."""
        text = eventlines.text_of(uuid)
        lines = (eventlines.find(payload, text) for _, payload in made)
        line = next(filter(None, lines), None) or self._find_line(uuid)
        return None if line is None else eventlines.decode(line)

    def _find_line(self, uuid: UUID) -> bytes | None:
        text = eventlines.text_of(check_uuid(uuid))
        with self._guard:
            try:
                return self._find_in(self._indexed(), text)
            except CorruptionError:
                line = self._find_in(self._index, text)
                if line is None:
                    raise  # it may be behind the damage
                return line

    def _find_in(self, index: EventIndex | None, text: bytes) -> bytes | None:
        for start in () if index is None else index.find(text):
            line = self._find_at(start, text)
            if line is not None:
                return line
        return None

    def _find_at(self, start: Position, text: bytes) -> bytes | None:
        """The line of the event with that UUID in the record there."""
        last = self._last
        if last is None or last.start != start:
            file = self._segment(start.generation)
            last = self._last = _Looked(start, eventread.payload_at(file, start.offset))
        return last.find(text)

    def _batches(self, after: int, end: Position) -> Iterator[bytes]:
        """Those behind ``after``, which there are."""
        if end == _NOTHING.end:
            return
        with self._guard:
            place, start = self._start(after)
        yield from self._behind(after, place, start, end)

    def _before(self, damage: CorruptionError, after: int) -> Iterator[bytes]:
        """Those behind ``after`` and before a damage in the newest file, which is raised then."""
        newest = max(generations(self._files), default=0)
        if damage.file == self._log.name(newest):
            end = Position(newest, damage.offset or 0)
            yield from self._behind(after, 1, self._begin(), end)
        raise damage

    def _behind(self, after: int, place: int, start: Position, end: Position) -> Iterator[bytes]:
        """Those behind ``after`` of the records between two places, the first being ``place``."""
        for _, records in self._chunks(start, end):
            if place > after:
                yield from eventlines.portions([record.payload for record in records])
                continue
            for record in records:
                some = eventlines.split(record.payload)
                if place + len(some) > after + 1:
                    yield from eventlines.portions(some[max(after + 1 - place, 0) :])
                place += len(some)

    def _start(self, after: int) -> tuple[int, Position]:
        """An event not behind the one after ``after``, and where a record begins with it."""
        if after == 0:
            return 1, self._begin()
        mark = self._marks.get(after)
        if mark is not None:
            return after + 1, mark
        try:
            index = self._indexed()
        except CorruptionError:
            index = self._index
            if index is None or index.count <= after:
                raise  # it is behind the damage
        return (1, self._begin()) if index is None else index.before(after + 1)

    def _chunks(self, start: Position, end: Position) -> Iterator[Chunk]:
        for chunk in eventread.read(self._segment, start, end):
            self._require_open()  # as the file stays open for who is reading it
            yield chunk

    def _segment(self, generation: int) -> LogFile:
        with self._guard:
            self._require_open()  # or this would open it once more
            if generation not in self._segments:
                file = LogFile.open(self._files, generation)
                if file is None:
                    path = self._files.relative(names.log(self._files.root, generation))
                    raise CorruptionError("this file of the event log is missing", file=path)
                self._segments[generation] = file
            return self._segments[generation]

    def _begin(self) -> Position:
        return Position(1, self._segment(1).begin)

    # The index

    def _indexed(self) -> EventIndex | None:
        """The index with all that was seen; None while there is no log.

        Where a damage hinders that, ``_index`` has all before it.
        """
        upto = self._end().position
        if upto == _NOTHING.end:
            return None
        index = self._index
        if index is None:
            index = self._index = self._load(upto)
        for generation, records in self._chunks(index.end, upto):
            for record in records:
                start, end = Position(generation, record.start), Position(generation, record.end)
                self._add(index, start, end, record.payload)
                self._roll(index)
        self._roll(index)
        return index

    def _add(self, index: EventIndex, start: Position, end: Position, payload: bytes) -> None:
        self._index = None
        index.add(start, end, payload)
        self._index = index

    def _roll(self, index: EventIndex) -> None:
        if index.is_full:
            self._log.sync(index.end)
            self._index = None
            index.roll()
            self._index = index

    def _load(self, upto: Position) -> EventIndex:
        begin = self._begin()
        store = self._segment(1).store
        index = EventIndex(self._files, store, begin, writes=not self._readonly)
        index.load(upto, self._is_sound)
        return index

    def _is_sound(self, run: Run) -> bool:
        """Whether a run is of this log: the last frame of one has a hash of all before."""
        generation, offset = run.proof.start
        frame = next(self._segment(generation).frames(offset), None)
        return frame is not None and Proof.of(run.proof.start, frame.payload) == run.proof


_keepers: Final[WeakSet[SegmentRecordKeeper]] = WeakSet()


def _set_up_all() -> None:
    for keeper in list(_keepers):
        keeper._set_up()


os.register_at_fork(after_in_child=_set_up_all)


def _checkpoint(tail: Tail) -> dict[str, Any]:
    return {"events": tail.head.position, "hash": tail.head.hash}
