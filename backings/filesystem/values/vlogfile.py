"""One value file of a value log: how its batches and values are read.

Format: docs/formats/value-log.md.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

from objstore.errors import CorruptionError

from ...checksums import SOUND, SUM, crc32c, extend
from .. import names
from ..io import Files, Opened
from ..log.frames import SECTOR, is_zero
from . import vlogbatch
from .valuefile import HEAD
from .vlogbatch import ENTRY, FRAME_SIZE, OFFSET_MASK, OFFSET_SHIFT, Codec, Header
from .vloglist import Listed

_GLANCE: Final = 1 << 12
_CHUNK: Final = 1 << 20
"""How many bytes are read at once, at first and in the end."""


class Batch(NamedTuple):
    """A frame that is whole; its values are not looked at."""

    offset: int
    header: Header
    operations: bytes
    values: int
    """Where its values begin."""
    end: int


class LogValues:
    """A file, open to be read. It is closed when nobody holds it any more."""

    def __init__(
        self, files: Files, opened: Opened, store: UUID, listed: Listed, slot: int
    ) -> None:
        self._files: Final = files
        self.opened: Final = opened
        self.id: Final = listed.id
        self.number: Final = listed.number
        self.slot: Final = slot
        """What the index calls the file."""
        self.codec: Final = Codec(store, listed.id)
        self.name: Final = files.relative(opened.path)
        if not files.size(opened):
            raise self.corrupted(0, "the file is empty")
        self.map: mmap.mmap = files.map(opened)
        self.entries = 0
        """How many values were written to it."""

    @classmethod
    def open(cls, files: Files, store: UUID, listed: Listed, slot: int) -> LogValues | None:
        """The file; None where it is not there any more."""
        opened = files.open(names.value_file(names.values(files.root), listed.id))
        return None if opened is None else cls(files, opened, store, listed, slot)

    def __del__(self) -> None:
        self._files.close(self.opened)

    def size(self) -> int:
        return self._files.size(self.opened)

    def read(self, offset: int, size: int) -> bytes:
        return self._files.read_at(self.opened, offset, size)

    def map_upto(self, end: int) -> None:
        """See to it that what is before ``end`` is mapped."""
        if end > len(self.map):
            self.map = self._files.map(self.opened)

    def corrupted(self, offset: int, reason: str) -> CorruptionError:
        return CorruptionError(reason, file=self.name, offset=offset)

    def batches(self, offset: int, link: int, upto: int | None = None) -> Iterator[Batch]:
        """The batches from ``offset`` on, up to the first bytes that are no frame in the chain."""
        window = _Window(self, offset)
        while upto is None or offset < upto:
            header = self.codec.header(window.take(offset, FRAME_SIZE), offset)
            if header is None or header.link != link:
                return
            operations = window.take(offset + FRAME_SIZE, header.operations)
            if crc32c(operations) != header.operations_check:
                return
            values = offset + FRAME_SIZE + len(operations)
            end = values + header.values
            yield Batch(offset, header, operations, values, end)
            offset, link = end, header.own

    def sealed_batches(self, size: int, offset: int = 0, link: int = 0) -> Iterator[Batch]:
        """All batches of a file that is sealed. Raises CorruptionError where one is not there."""
        for batch in self.batches(offset, link, size):
            offset = batch.end
            yield batch
        if offset != size:
            raise self.corrupted(offset, f"no frame is here, and the file has {size} bytes")

    def has_values(self, batch: Batch) -> bool:
        """Whether what is behind the frame is what was written."""
        check, offset, end = 0, batch.values, batch.end
        while offset < end:
            upto = min(offset + _CHUNK, end)
            # Mapped memory, as far as it goes, saves a reader beside a writer a call a batch.
            data = (
                self.map[offset:upto] if upto <= len(self.map) else self.read(offset, upto - offset)
            )
            if not data:
                return False
            check = extend(check, data)
            offset += len(data)
        return check == batch.header.values_check

    def is_closed(self) -> bool:
        """Whether the file ends with a mark that all of it was synced."""
        offset = self.size() - HEAD.size - FRAME_SIZE
        if offset < 0:
            return False
        header = self.codec.header(self.read(offset, FRAME_SIZE), offset)
        if header is None or header.kind != vlogbatch.CLOSED or header.synced != offset:
            return False
        return self.read(offset + FRAME_SIZE, HEAD.size) == vlogbatch.padding(0)

    def is_quiet(self, offset: int) -> bool:
        """Whether nothing but space set aside is at ``offset``; the rest of it is not looked at."""
        return self.read(offset, HEAD.size)[-1:] == b"\1"

    def is_torn(self, offset: int) -> bool:
        """Whether at ``offset``, where no batch is, a part of one may be; False for none at all.

        To be asked by who holds the writer's lock: a write looks no different in between. Raises
        CorruptionError for what no crash can have left.
        """
        data = self.read(offset, max(self.size() - offset, 0))
        has_padding = data[HEAD.size - 1 : HEAD.size] == b"\1"
        if has_padding and is_zero(data[HEAD.size :]):
            return False
        if self.codec.is_marked_deleted(data, offset):
            raise self.corrupted(offset, "a frame is marked as deleted")
        if self.codec.is_proven(data, offset):
            raise self.corrupted(offset, "no batch is here, though one was, and others follow it")
        if not has_padding and not self._is_part(data, offset):
            raise self.corrupted(offset, "this is no batch, and no part of one")
        return True

    def _is_part(self, data: bytes, offset: int) -> bool:
        """Whether something is missing of what is written over zeros in one piece."""
        header = self.codec.header(data, offset)
        if header is None:
            # Where a sector ends within the padding's head, what is left of it need not show.
            is_split = SECTOR - offset % SECTOR < HEAD.size
            size, is_cut = FRAME_SIZE, is_split or is_zero(data[FRAME_SIZE:])
        else:
            # The padding behind it is written with it.
            size = header.size
            behind = data[size + HEAD.size - 1 : size + HEAD.size]
            follows = self.codec.header(data, offset + size, size) is not None
            is_cut = behind != b"\1" and not follows
        return is_cut or vlogbatch.is_torn(data[:size], offset, size)

    def value(self, location: int) -> str | bytes:
        """The value at a location. Raises CorruptionError."""
        data = self.value_bytes(location)
        return data if location & 1 else data.decode()

    def length(self, location: int) -> int:
        """How many bytes the value at a location says it has. Raises CorruptionError."""
        return self._size(location >> OFFSET_SHIFT & OFFSET_MASK) - ENTRY

    def value_bytes(self, location: int) -> bytes:
        """The bytes of the value at a location. Raises CorruptionError."""
        start = location >> OFFSET_SHIFT & OFFSET_MASK
        size = self._size(start)
        entry = self.map[start : start + size]
        if size < ENTRY or len(entry) < size or crc32c(entry) != SOUND:
            raise self.corrupted(start, "a value does not fit its checksum")
        return entry[HEAD.size : -SUM.size]

    def _size(self, start: int) -> int:
        """The size of the entry that begins there, as its head says."""
        if start + ENTRY > len(self.map):
            raise self.corrupted(start, "a value should be here, and the file has ended")
        return HEAD.size + int(HEAD.unpack_from(self.map, start)[0])


class _Window:
    """Bytes of a file read ahead, ever more of them."""

    __slots__ = ("_base", "_data", "_file", "_size")

    def __init__(self, file: LogValues, offset: int) -> None:
        self._file: Final = file
        self._base = offset
        self._data = b""
        self._size = _GLANCE

    def take(self, offset: int, size: int) -> bytes:
        """The bytes from ``offset`` on; fewer only where the file ends."""
        at = offset - self._base
        if at + size > len(self._data):
            self._data = self._file.read(offset, max(size, self._size))
            self._base, self._size, at = offset, min(2 * self._size, _CHUNK), 0
        return self._data[at : at + size]
