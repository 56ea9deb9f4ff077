"""What a handle has read of a value log so far: its files, its index, and where the log ends."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from threading import RLock
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from objstore.errors import BackingError, ObjstoreError

from .. import names
from ..io import Files
from ..log.loglock import LogLock
from . import vlogbatch, vloghint, vloglist
from .valuefile import HEAD
from .vlogbatch import DELETE, PUT, Header, Operation
from .vlogfile import Batch, LogValues
from .vloghint import Hint
from .vlogindex import Index, Moment, Table
from .vloglist import FileList, Listed

_TRIES: Final = 100
_GLANCE: Final = 1 << 12


class Bytes(Protocol):
    """Mapped memory, and what stands for it."""

    def __getitem__(self, at: int, /) -> int: ...


SOMETHING: Final[tuple[Bytes, int]] = b"\0", 0
"""A bell that always rings."""


class Position(NamedTuple):
    """The end of a batch."""

    file_id: int
    end: int


class Tail:
    """The file that takes batches, as far as it was read."""

    def __init__(self, file: LogValues) -> None:
        self.file = file
        self.end = 0
        self.link = 0
        self.synced = 0
        """What is known to be on the disk."""
        self.last: bytes = b""
        """The kind of the last frame."""
        self.count = 0
        """How many frames there are."""

    def move(self, end: int, header: Header) -> None:
        """Go on behind a frame that was read."""
        self.follow(end, header.own, header.kind)
        self.synced = max(self.synced, header.synced)

    def follow(self, end: int, own: int, kind: bytes) -> None:
        """Go on behind a frame, which has this checksum of its own."""
        self.end, self.link, self.last = end, own, kind
        self.count += 1


class View:
    """Everything is guarded by ``guard``, but for what says otherwise."""

    def __init__(self, files: Files, lock: LogLock) -> None:
        self.guard: Final = RLock()
        self._files: Final = files
        self._lock: Final = lock
        self._slots = 0
        self.number = 0
        """The last batch's."""
        # Readers look at these without the guard; each is replaced as a whole.
        self.bell: tuple[Bytes, int] = SOMETHING
        """Mapped bytes, and which of them is 1 as long as nothing new is there."""
        self.index = Index(self.guard)
        self.list: FileList
        self.tail: Tail
        self._judged: tuple[UUID, int, bytes] | None = None
        """What was behind the end when that was last found to be a crash's doing."""
        self._is_sound = False
        """Whether what was read is as it was written; an interrupt may come amid reading."""
        with self.guard:
            self.load()

    @property
    def root(self) -> str:
        return self._files.root

    def has_news(self) -> bool:
        mapped, at = self.bell
        return mapped[at] != 1

    def refresh(self) -> None:
        """See what others have written. Raises CorruptionError for what can only be damage."""
        if not self.has_news():
            return
        with self.guard:
            if self.read_on():
                return
            # A writer may be in the middle of it, or may have died there.
            self._judge_end()

    def now(self) -> Moment:
        """What is there now, for as long as it is held."""
        self.refresh()
        return self.index.now()

    def see_list(self) -> None:
        """See the list as it is: who replaced it may have died before others could hear of it."""
        with self.guard:
            if self._read_list() != self.list:
                self.load()

    def close(self, bell: tuple[Bytes, int], file: LogValues) -> None:
        """Let go of the files; whoever still reads from them holds what they need."""
        with self.guard:
            self.bell = bell
            self.index = Index(self.guard)
            self.tail.file = file

    def lose(self) -> None:
        """Have everything read anew, as something came amid a change."""
        self._is_sound = False
        self.bell = SOMETHING

    # While the guard is held

    def in_order(self) -> list[tuple[Listed, LogValues]]:
        """The files of the list."""
        files = {file.id: file for file in self.index.files.values()}
        return [(listed, files[listed.id]) for listed in self.list.files]

    def open_listed(self, listed: Listed) -> LogValues:
        """A file that is there. Raises BackingError where it is not."""
        file = self._open(listed)
        if file is None:
            raise self._lost(f"the file {listed.id} is missing")
        return file

    def check_end(self) -> None:
        """Raise CorruptionError where what is behind the end is no crash's doing."""
        with self.guard:
            self._judged = None
            self._judge_end()

    def _judge_end(self) -> None:
        """Raise CorruptionError where what is behind the end is no crash's doing."""
        tail = self.tail
        if tail.end == tail.file.size() - HEAD.size and tail.file.is_closed():
            return
        # A torn tail stays until somebody writes, and is looked through once, not with each read.
        if self._judged == self._behind_end():
            return
        with self._lock.attempted() as is_alone:
            if is_alone:
                # Somebody may have written meanwhile.
                self.read_on()
                if self.tail.last != vlogbatch.END:
                    found = self._behind_end()
                    self.tail.file.is_torn(self.tail.end)
                    self._judged = found

    def _behind_end(self) -> tuple[UUID, int, bytes]:
        """Where the end is, and the beginning of what is behind it: whoever writes changes that."""
        tail = self.tail
        return tail.file.id, tail.end, tail.file.read(tail.end, _GLANCE)

    def read_on(self) -> bool:
        """Read what was added; False where something is there that is no batch."""
        try:
            if self._is_sound:
                return self._read_on()
            self.load()
            return True
        except ObjstoreError:
            raise
        except BaseException:
            self.lose()
            raise

    def _read_on(self) -> bool:
        while True:
            tail = self.tail
            for batch in tail.file.batches(tail.end, tail.link):
                if not tail.file.has_values(batch):
                    break
                if self._take(batch) == vlogbatch.NOTE:
                    self.load()
                    return True
            if tail.last != vlogbatch.END:
                self.ring_for_more()
                return not self.has_news() or tail.file.is_quiet(tail.end)
            if not self._follow():
                # The next file is being made.
                self.bell = SOMETHING
                return True

    def ring_for_more(self) -> None:
        """Listen for what comes behind the end."""
        tail = self.tail
        tail.file.map_upto(tail.end + HEAD.size)
        at = tail.end + HEAD.size - 1
        is_heard = tail.last != vlogbatch.END and at < len(tail.file.map)
        self.bell = (tail.file.map, at) if is_heard else SOMETHING

    def _take(self, batch: Batch) -> bytes:
        """Apply a batch that is new."""
        tail, header = self.tail, batch.header
        if header.kind == vlogbatch.BATCH:
            tail.file.map_upto(batch.end)
            self.apply(tail.file, vlogbatch.decode_operations(batch.operations), batch.values)
            self.number = header.number
        tail.move(batch.end, header)
        return header.kind

    def apply(self, file: LogValues, operations: Iterable[Operation], offset: int) -> None:
        for operation in operations:
            self.index.apply(operation, file.slot, offset)
            if operation.op == PUT:
                offset += vlogbatch.values_length(operation)
                file.entries += len(operation.keys)

    def _follow(self) -> bool:
        """Go on to the file behind one that has ended; False where the list has none yet."""
        found = self._read_list()
        ids = [one.id for one in found.files]
        if self.tail.file.id not in ids:
            self.load()
            return True
        at = ids.index(self.tail.file.id)
        if at + 1 == len(ids):
            return False
        if ids[: at + 1] != [one.id for one in self.list.files]:
            self.load()
            return True
        file = self._open(found.files[at + 1])
        if file is None:
            self.load()
            return True
        self.list = found
        self.index.files[file.slot] = file
        self.tail = Tail(file)
        for batch in file.batches(0, 0):
            # Its containers are the ones that are known.
            self.tail.move(batch.end, batch.header)
            break
        return True

    def load(self) -> None:
        """Read everything anew."""
        self._is_sound = False
        for _ in range(_TRIES):
            found = self._read_list()
            files = [self._open(one) for one in found.files]
            there = [file for file in files if file is not None]
            if len(there) == len(files):
                self._load(found, there)
                return
            if found == self._read_list():
                break
        raise self._lost("a file of the list is missing")

    def _load(self, found: FileList, files: list[LogValues]) -> None:
        index = Index(self.guard)
        index.files.update((file.slot, file) for file in files)
        for listed, file in zip(found.files[:-1], files[:-1], strict=True):
            self._load_sealed(index, file, listed.size or 0)
        self.tail = Tail(files[-1])
        self._load_newest(index)
        index.tables = {table.serial: table for table in index.names.values()}
        # Before anybody sees the index: it may lead to what was written since the file was opened.
        self.tail.file.map_upto(self.tail.end)
        self.list, self.index, self._is_sound = found, index, True
        if self.tail.last != vlogbatch.END:
            self.ring_for_more()
            self._judge_end()
        elif self._follow():
            self.read_on()
        else:
            self.bell = SOMETHING

    def _load_sealed(self, index: Index, file: LogValues, size: int) -> None:
        offset, link = 0, 0
        hint = vloghint.load(self._files, file)
        if hint is not None and hint.upto <= size:
            offset, link = hint.upto, hint.link
            self._apply_hint(index, file, hint)
        for batch in file.sealed_batches(size, offset, link):
            self._apply_keys(index, file, batch)

    def _apply_hint(self, index: Index, file: LogValues, hint: Hint) -> None:
        file.entries = hint.entries
        for operation in hint.operations:
            if operation.op not in (PUT, DELETE):
                continue
            table = index.tables.setdefault(operation.serial, Table(operation.serial, self.guard))
            if operation.op == PUT:
                index.put(table, operation.keys, vlogbatch.hinted_locations(operation, file.slot))
            else:
                index.delete(table, operation.keys)

    def _apply_keys(self, index: Index, file: LogValues, batch: Batch) -> None:
        """What a batch says of keys; which containers there are, the newest file says."""
        offset = batch.values
        for operation in vlogbatch.decode_operations(batch.operations, cold=True):
            if operation.op in (PUT, DELETE):
                index.load(operation, file.slot, offset)
            if operation.op == PUT:
                offset += vlogbatch.values_length(operation)
                file.entries += len(operation.keys)

    def _load_newest(self, index: Index) -> None:
        """Batches up to the first one that is not there in full."""
        tail = self.tail
        self._begin_by_hint(index)
        batches = list(tail.file.batches(tail.end, tail.link))
        if not batches and not tail.end:
            raise tail.file.corrupted(0, "this is not the beginning of a value log's file")
        proven = max((batch.header.synced for batch in batches), default=0)
        if tail.file.is_closed():
            proven = tail.file.size()
        for batch in batches:
            if batch.offset >= proven and not tail.file.has_values(batch):
                return
            if batch.header.kind in (vlogbatch.START, vlogbatch.BATCH):
                self._apply_names(index, vlogbatch.decode_operations(batch.operations, cold=True))
                self._apply_keys(index, tail.file, batch)
                self.number = batch.header.number
            tail.move(batch.end, batch.header)

    def _begin_by_hint(self, index: Index) -> None:
        tail = self.tail
        hint = vloghint.load(self._files, tail.file)
        if hint is None or hint.upto > tail.file.size():
            return
        self._apply_names(index, hint.operations)
        self._apply_hint(index, tail.file, hint)
        self.number = hint.number
        tail.end, tail.link, tail.synced = hint.upto, hint.link, hint.upto

    def _apply_names(self, index: Index, operations: Iterable[Operation]) -> None:
        for operation in operations:
            if operation.op not in (PUT, DELETE):
                index.apply(operation, 0, 0)

    def _open(self, listed: Listed) -> LogValues | None:
        self._slots += 1
        return LogValues.open(self._files, self._store, listed, self._slots)

    def _read_list(self) -> FileList:
        found = vloglist.read(self._files)
        if found is None:
            raise self._lost("there is no value log any more")
        self._store: UUID = found.store
        return found

    def _lost(self, reason: str) -> BackingError:
        path = names.value_list(self._files.root)
        return BackingError(errno.ENOENT, reason, path)
