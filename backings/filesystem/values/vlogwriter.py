"""What the holder of the writer's lock does to a value log. Order of steps:
docs/formats/value-log.md."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

from objstore._turns import Taken
from objstore.errors import BackingError, CapacityExceeded, ObjstoreError

from .. import names
from ..io import Files, Opened, UncertainError
from ..log.groupsync import GroupSync
from ..log.loglock import LogLock
from ..log.logwriter import Certainty
from . import vlogbatch, vloghint, vloglist
from .valuefile import HEAD
from .vlogbatch import OFFSET_BITS, Kind, Operation
from .vloglist import FileList, Listed
from .vlogput import Additions
from .vlogview import Position, View

_FIRST_STEP: Final = 1 << 16
_LAST_STEP: Final = 1 << 22
"""How much space is set aside ahead, at first and after doubling each time."""

_PIECE: Final = 1 << 14
_CHUNK: Final = 1 << 20


class Writer:
    """Appends batches. A context manager that holds the lock, having seen all there is."""

    def __init__(
        self, files: Files, lock: LogLock, view: View, certainty: Certainty, wait: float | None
    ) -> None:
        self._files: Final = files
        self._lock: Final = lock
        self._view: Final = view
        self._certainty: Final = certainty
        self._wait: Final = wait
        self._group: Final = GroupSync()
        # The fields below are guarded by the writer's lock.
        self._times_opened = 0
        self._step = _FIRST_STEP
        self._opened: tuple[int, _Writable] | None = None
        """The newest file by its id, once this handle has written to it."""

    def acquire(self) -> Taken:
        """Wait for the lock; what is returned tells whether it is still held.

        Raises BusyError, BackingError where this handle writes no more.
        """
        self._certainty.require()
        held = self._lock.acquire(self._wait)
        try:
            self._look()
        except BaseException as error:
            self._note(error)
            self._lock.unmake(error)
            self._lock.release()
            raise
        return held

    def release(self) -> None:
        self._lock.release()

    @contextmanager
    def writing(self) -> Generator[Writer]:
        """Hold the lock."""
        held = self.acquire()
        try:
            yield self
            self.release()
        except BaseException as error:
            if held:
                self._note(error)
                self.release()
            raise

    def _note(self, error: BaseException) -> None:
        """End this handle's writing where it became unknown what is on the disk.

        Read what is there anew where something came amid a change.
        """
        if isinstance(error, UncertainError):
            self._certainty.lose(error)
        elif not isinstance(error, ObjstoreError):
            self._opened = None
            self._view.lose()

    def append(self, made: Additions, *, alone: bool = True) -> Position:
        """Append a batch; it is there for all to see when this returns, and durable after ``sync``.

        ``alone`` tells that no other thread waits for that: the disk begins with it at once.
        Raises BackingError when nothing was appended, CapacityExceeded for what no file holds.
        """
        said, values = made.said(), made.values()
        size = vlogbatch.FRAME_SIZE + len(said) + len(values) + HEAD.size
        view = self._view
        with view.guard:
            try:
                self._make_room(size)
                tail = view.tail
                offset = tail.end + vlogbatch.FRAME_SIZE + len(said)
                push = alone and not self._group.is_shared
                self._add(vlogbatch.BATCH, said, values, push=push)
                tail.file.map_upto(tail.end + HEAD.size)
                view.apply(tail.file, made.operations, offset)
                view.number += 1
                view.ring_for_more()
                return Position(tail.file.id.int, tail.end)
            except BaseException as error:
                self._note(error)
                raise

    def sync(self, position: Position) -> None:
        """Return once a batch is on the disk. Threads that wait at the same time share one sync.

        Raises BackingError where the disk does not confirm; then this handle writes no more.
        """
        while self._files.sync and not self._is_synced(position):
            self._certainty.require()
            self._group.share(self._sync_newest)

    def begin_next(self) -> None:
        """Seal the newest file, and begin another."""
        with self._view.guard:
            self._roll()

    def replace_list(self, changed: FileList) -> None:
        """Replace the list by one that has the same newest file."""
        with self._view.guard:
            vloglist.write(self._files, changed)
            self._view.list = changed

    def announce(self) -> None:
        """Have others notice that the list was replaced."""
        with self._view.guard:
            self._add(vlogbatch.NOTE)
            self._view.ring_for_more()

    def close(self) -> None:
        """Leave the mark of a clean close, and give back the space set aside."""
        try:
            if self._opened is not None and self._certainty.holds:
                with self.writing(), self._view.guard:
                    self._leave_mark()
        finally:
            self._opened = None
            self._lock.close()

    def _leave_mark(self) -> None:
        tail = self._view.tail
        if self._files.sync and tail.last != vlogbatch.CLOSED:
            self._sync_now()
            self._add(vlogbatch.CLOSED)
            self._sync_now()
        self._give_back()
        if self._files.sync and vloghint.is_worth_it(tail.count, tail.end):
            vloghint.write(self._files, tail.file, self._start(), tail.end)

    # While the lock is held

    def _look(self) -> None:
        view = self._view
        with view.guard:
            if self._times_opened != self._lock.times_opened:
                self._check_in_place()
                self._times_opened = self._lock.times_opened
            if view.has_news() and not view.read_on():
                self._opened = None
                self._writable()
                view.ring_for_more()
            if view.tail.last == vlogbatch.END:
                self._roll()

    def _check_in_place(self) -> None:
        found = vloglist.read(self._files)
        if found is None or found.store != self._view.list.store:
            reason = "the storage was removed or replaced while it was in use"
            raise BackingError(errno.ENOENT, reason, names.value_list(self._files.root))

    # While the lock and the view's guard are held

    def _make_room(self, size: int) -> None:
        view = self._view
        if size > 1 << OFFSET_BITS:
            raise CapacityExceeded(f"a batch of {size} bytes is longer than any file may be")
        is_full = view.tail.end + size > view.list.capacity
        if is_full and view.tail.last != vlogbatch.START:
            self._roll()

    def _add(
        self, kind: Kind, said: bytes = b"", values: bytes = b"", *, push: bool = False
    ) -> None:
        """Write a batch behind the last one, and padding behind it."""
        view, tail = self._view, self._view.tail
        writable = self._writable()
        number = view.number + (kind == vlogbatch.BATCH)
        # What a mark of a clean close says of itself is made true by the sync behind it.
        synced = tail.end if kind == vlogbatch.CLOSED else tail.synced
        place = (tail.end, tail.link)
        frame, own = tail.file.codec.encode(kind, place, number, synced, said, values)
        end = tail.end + len(frame) + len(values)
        size = self._files.size(writable.opened)
        upto = max(end + HEAD.size, size)
        if kind == vlogbatch.BATCH and upto != size:
            upto = self._space_for(upto, end, end - tail.end)
        try:
            writable.put(tail.end, frame, values, size, upto)
        except BackingError as error:
            if error.errno != errno.ENOSPC or upto == end + HEAD.size:
                raise
            # It may do without the space ahead.
            writable.put(tail.end, frame, values, size, end + HEAD.size)
        if push:
            self._files.push(writable.opened, tail.end, end - tail.end)
        tail.follow(end, own, kind)
        tail.synced = synced

    def _space_for(self, size: int, end: int, length: int) -> int:
        """How long the file is to be. What is long itself gains nothing by space ahead."""
        if size > end + HEAD.size or length > self._step:
            return size
        ahead, self._step = self._step, min(2 * self._step, _LAST_STEP)
        return max(size, min(size + ahead, self._view.list.capacity))

    def _writable(self) -> _Writable:
        file = self._view.tail.file
        if self._opened is not None and self._opened[0] == file.id.int:
            return self._opened[1]
        path = names.value_file(names.values(self._files.root), file.id)
        opened = self._files.open(path, write=True)
        if opened is None:
            reason = f"{file.name} was removed while it was in use"
            raise BackingError(errno.ENOENT, reason, path)
        writable = _Writable(self._files, opened)
        self._take_over(writable)
        self._opened = file.id.int, writable
        return writable

    def _take_over(self, writable: _Writable) -> None:
        """Do what others may have left undone that wrote to the file, and died."""
        tail = self._view.tail
        if tail.file.is_torn(tail.end):
            # Zeros, so that nothing of it is ever taken for something else.
            size = max(writable.size() - tail.end, HEAD.size)
            writable.write(tail.end, vlogbatch.padding(size - HEAD.size).ljust(size, b"\0"))
            self._files.sync_data(writable.opened, sure=True)
        if self._files.sync:
            writable.rewrite(tail.synced, tail.end)

    def _roll(self) -> None:
        """Seal the newest file and begin another; also to finish what somebody died in."""
        self._sync_now()
        tail, found = self._view.tail, self._list_now()
        next_file = Listed(found.newest.number + 1, uuid4())
        try:
            make_file(self._files, found, next_file, self._start(), self._view.number)
            sealed = found.newest._replace(size=tail.end)
            if tail.last != vlogbatch.END:
                self._add(vlogbatch.END)
                self._give_back()
            files = (*found.files[:-1], sealed, next_file)
            vloglist.write(self._files, found._replace(files=files))
        except BaseException:
            # Tried again with each write, as to a full disk, they would be many.
            vloglist.remove_unlisted(self._files, [next_file.id])
            raise
        if vloghint.is_worth_it(tail.count, tail.end):
            vloghint.write(self._files, tail.file, self._start(), sealed.size or 0)
        self._view.read_on()

    def _start(self) -> list[Operation]:
        index = self._view.index
        named = ((name, table.serial) for name, table in index.names.items())
        return vloghint.containers(named, index.highest)

    def _list_now(self) -> FileList:
        found = vloglist.read(self._files)
        if found is None or found.newest.id != self._view.tail.file.id:
            reason = "the list of files was replaced while it was in use"
            raise BackingError(errno.ENOENT, reason, names.value_list(self._files.root))
        return found

    def _give_back(self) -> None:
        tail = self._view.tail
        writable = self._writable()
        writable.write(tail.end, vlogbatch.padding(0))
        writable.cut(tail.end + HEAD.size)
        self._view.ring_for_more()

    def _sync_now(self) -> None:
        tail = self._view.tail
        self._files.sync_data(self._writable().opened, sure=True)
        tail.synced = tail.end

    # Syncing; the lock need not be held

    def _is_synced(self, position: Position) -> bool:
        # A file is synced before the next one is begun.
        tail = self._view.tail
        return tail.synced >= position.end or tail.file.id.int != position.file_id

    def _sync_newest(self) -> None:
        with self._view.guard:
            tail, opened = self._view.tail, self._opened
            file, reached = tail.file, tail.end  # which a close would close but for who holds it
        if opened is not None and opened[0] != file.id.int:
            return  # it was synced before the next one was begun
        try:
            self._files.sync_data(file.opened if opened is None else opened[1].opened)
        except UncertainError as error:
            self._note(error)
            raise
        with self._view.guard:
            tail.synced = max(tail.synced, reached)


class _Writable:
    """A file, open to be written. It is closed when nobody holds it any more."""

    def __init__(self, files: Files, opened: Opened) -> None:
        self._files: Final = files
        self.opened: Final = opened

    def __del__(self) -> None:
        self._files.close(self.opened)

    def size(self) -> int:
        return self._files.size(self.opened)

    def write(self, offset: int, data: bytes) -> None:
        self._files.write_at(self.opened, offset, data)

    def put(self, offset: int, frame: bytes, values: bytes, size: int, upto: int) -> None:
        """Write a batch, and make a file of ``size`` bytes ``upto`` long.

        After an error nothing is there. Raises UncertainError where that is not sure.
        """
        start = offset + len(frame)
        end = start + len(values)
        if upto > size:
            self._files.allocate(self.opened, size, upto)
        padding = vlogbatch.padding(max(upto, size) - end - HEAD.size)
        try:
            if upto > size:
                self._fill(max(size, end + HEAD.size), upto)
            if len(values) < _PIECE:
                self.write(offset, b"".join((frame, values, padding)))
            else:
                # Not put together, which for megabytes takes longer than to write them. The frame
                # comes last, as it says what is behind it.
                self.write(end, padding)
                self.write(start, values)
                self.write(offset, frame)
        except BaseException as error:
            self._take_back(offset, size, error)
            raise

    def _fill(self, start: int, end: int) -> None:
        """Write zeros where space was only allocated, which a sync would have to note each time.

        Piece by piece: Linux caches what is written at once in one piece, and every small write
        into a large one, and its sync, take 5 us longer each.
        """
        for offset in range(start, end, _PIECE):
            self.write(offset, bytes(min(_PIECE, end - offset)))

    def _take_back(self, offset: int, size: int, error: BaseException) -> None:
        try:
            zeros = max(self.size(), size) - offset - HEAD.size
            self.write(offset, vlogbatch.padding(zeros))
            # As little as that was there before; the rest may not be allocated.
            self.write(offset + HEAD.size, bytes(size - offset - HEAD.size))
            self._files.truncate(self.opened, size)
            self._files.sync_data(self.opened, sure=True)
        except BackingError as failure:
            reason = f"{error}; and what was written of it could not be taken back: {failure}"
            raise UncertainError(failure.errno, reason, failure.filename) from error

    def cut(self, size: int) -> None:
        self._files.truncate(self.opened, size)

    def rewrite(self, start: int, end: int) -> None:
        """Write what is there once more, so that the next sync is sure to take it along."""
        for offset in range(start, end, _CHUNK):
            data = self._files.read_at(self.opened, offset, min(_CHUNK, end - offset))
            self._files.write_at(self.opened, offset, data)


class Growing:
    """A file that is being made, and that nobody else knows of yet."""

    def __init__(self, files: Files, store: UUID, file_id: UUID) -> None:
        self._files: Final = files
        self._path: Final = names.value_file(names.values(files.root), file_id)
        self._codec: Final = vlogbatch.Codec(store, file_id)
        self._link = 0
        self.end = 0
        files.make_folders(os.path.dirname(self._path), [])
        self._writable: Final = _Writable(files, files.make(self._path, self._path))

    def append(self, number: int, said: bytes, values: bytes, kind: Kind = vlogbatch.BATCH) -> int:
        """Write a batch; where its values begin."""
        place = (self.end, self._link)
        frame, self._link = self._codec.encode(kind, place, number, 0, said, values)
        self._writable.write(self.end, frame + values)
        offset = self.end + len(frame)
        self.end = offset + len(values)
        return offset

    def finish(self) -> int:
        """Return once the file is on the disk, with its name; its length without the padding."""
        self._writable.write(self.end, vlogbatch.padding(0))
        self._files.sync_data(self._writable.opened, sure=True)
        folder = os.path.dirname(self._path)
        while len(folder) >= len(self._files.root):
            self._files.sync_folder(folder, sure=True)
            folder = os.path.dirname(folder)
        return self.end


def make_file(
    files: Files, found: FileList, listed: Listed, said: Sequence[Operation], number: int
) -> None:
    """Make a file with its start batch, on the disk when this returns."""
    growing = Growing(files, found.store, listed.id)
    operations = b"".join(map(vlogbatch.encode_operation, said))
    growing.append(number, operations, b"", vlogbatch.START)
    growing.finish()
