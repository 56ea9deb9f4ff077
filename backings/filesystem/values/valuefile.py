"""Value files: values one after another in a file that only grows. Source: seed 003.

Format and limits: docs/formats/value-file.md.

    vfile = ValueFile.create("values", max_size=1 << 30)
    value = vfile.write(b"hello")
    vfile.read(value.offset).data       # b"hello"
    vfile.delete(value)
    vfile.close()
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast
from uuid import UUID, uuid4

from objstore._depot_checks import check_number
from objstore.errors import (
    BackingError,
    CapacityExceeded,
    ClosedError,
    CorruptionError,
    KeyNotFoundError,
)
from objstore.values import show

from .. import names
from ..io import Files, Opened

if TYPE_CHECKING:
    from typing_extensions import Buffer

value_size_bits: Final = 32
"""How many bits a value's size has on disk; so a value has less than 4 GiB."""

HEAD: Final = Struct(">IB")
"""What stands before a value: its size, and whether it was deleted."""

MAX_VALUE: Final = 2**value_size_bits - 1

_CHUNK: Final = 1 << 20


class Value(NamedTuple):
    """A value in a file, or to be written to one."""

    offset: int
    """Where its entry begins, in bytes."""
    deleted: bool
    data: bytes | None
    """None where it was not read."""
    file_id: int


class ValueFileInfo(NamedTuple):
    """What a value file holds."""

    file_id: int
    size: int
    """In bytes."""
    max_size: int
    entries: int
    """How many values were written, deleted ones included."""
    deleted: int


class ValueFile:
    """A value file, open to be read and written by one thread at a time.

    What was written is on the disk after ``sync`` or ``close``. Every call may raise BackingError,
    and ClosedError after ``close``.
    """

    def __init__(self, files: Files, handler: Opened, file_id: UUID, max_size: int) -> None:
        self._files: Final = files
        self._is_open = True
        self.handler: Final = handler
        """The open file."""
        self.id: Final = file_id.int
        self.max_size: Final = max_size
        """What ``size`` may be at most, in bytes."""
        self.file_path: Final = handler.path
        self.size = 0
        self._entries = 0
        self._deleted = 0

    @classmethod
    def create(cls, base_path: str | os.PathLike[str], max_size: int) -> Self:
        """A new file, below ``base_path``, where its new id says.

        Raises TypeError and ValueError for a ``max_size`` that is none.
        """
        return cls.open(base_path, uuid4().int, max_size)

    @classmethod
    def open(cls, path: str | os.PathLike[str], file_id: int | UUID, max_size: int) -> Self:
        """The file of that id below the folder ``path``; made where it is missing.

        What a crash has left of a last value is cut off. Raises CorruptionError for a file that no
        crash has left so, TypeError and ValueError for a ``max_size`` that is none.
        """
        check_number("max_size", max_size)
        known = file_id if isinstance(file_id, UUID) else UUID(int=file_id)
        files = Files(os.fsdecode(path))
        handler = open_or_make(files, names.value_file(files.root, known))
        try:
            found = cls(files, handler, known, max_size)
            found._look()
        except BaseException:
            files.close(handler)
            raise
        return found

    def read(self, offset: int) -> Value:
        """The value whose entry begins at ``offset``; a deleted one is marked as such.

        Raises KeyNotFoundError where the file ends before, CorruptionError where none can be.
        """
        size, deleted = self._head(offset)
        data = self._files.read_at(self.handler, offset + HEAD.size, size)
        if len(data) < size:
            raise self._corrupted(offset, f"a value of {size} bytes would go beyond the end")
        return Value(offset, deleted, data, self.id)

    def write(self, value: bytes) -> Value:
        """Append a value, of bytes or another buffer.

        Raises CapacityExceeded, TypeError for what is none; then nothing is written.
        """
        return self.write_value(Value(self.size, False, value, self.id))

    def write_value(self, value: Value) -> Value:
        """Append a value's data and its mark of deletion; the value as it is here.

        Raises CapacityExceeded, ValueError for a value without data, TypeError for other data than
        a buffer's.
        """
        self._require_open()
        if value.data is None:
            raise ValueError("a value is written with its data, and this one has None")
        data = _bytes(value.data)
        entry = HEAD.size + len(data)
        if len(data) > MAX_VALUE or self.size + entry > self.max_size:
            raise CapacityExceeded(
                f"a value of {len(data)} bytes does not fit: the file has {self.size} of"
                f" {self.max_size} bytes, and a value may have {MAX_VALUE}"
            )
        deleted = bool(value.deleted)
        self._append(HEAD.pack(len(data), deleted) + data)
        written = Value(self.size, deleted, data, self.id)
        self.size += entry
        self._entries += 1
        self._deleted += deleted
        return written

    def delete(self, value: Value) -> Value:
        """Mark a value as deleted, in its place; deleting it again changes nothing.

        Raises ValueError for a value of another file.
        """
        if value.file_id != self.id:
            raise ValueError(f"the value is of the file {UUID(int=value.file_id)}, not of this one")
        _, deleted = self._head(value.offset)
        if not deleted:
            self._files.write_at(self.handler, value.offset + HEAD.size - 1, b"\x01")
            self._deleted += 1
        return value._replace(deleted=True)

    def values(self) -> Iterator[Value]:
        """All values in the order in which they were written, deleted ones too, without data."""
        known = self._deleted
        for offset, _, mark in self._walk():
            # The walk has read ahead.
            deleted = mark if self._deleted == known else self._head(offset)[1]
            yield Value(offset, deleted, None, self.id)

    def get_file_info(self) -> ValueFileInfo:
        """How large the file is, and how much is in it."""
        return ValueFileInfo(self.id, self.size, self.max_size, self._entries, self._deleted)

    def sync(self) -> None:
        """Return once everything that was written is on the disk."""
        self._require_open()
        self._files.sync_data(self.handler)

    def close(self) -> None:
        """Sync and close the file. Closing again does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._files.sync_data(self.handler)
        finally:
            self._files.close(self.handler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, entry: bytes) -> None:
        try:
            self._files.write_at(self.handler, self.size, entry)
        except BaseException as error:
            try:
                self._files.truncate(self.handler, self.size)
            except BackingError as failure:
                # It is cut off when the file is opened again.
                error.add_note(f"a part of the value may have been written: {failure}")
            raise

    def _look(self) -> None:
        """Find all whole entries, and cut off what follows them."""
        for offset, size, deleted in self._walk():
            self.size = offset + HEAD.size + size
            self._entries += 1
            self._deleted += deleted
        if self._files.size(self.handler) > self.size:
            self._files.truncate(self.handler, self.size)

    def _walk(self) -> Iterator[tuple[int, int, bool]]:
        """Offset, size and mark of every entry that is whole."""
        self._require_open()
        offset, base, data, end = 0, 0, b"", self._files.size(self.handler)
        while offset + HEAD.size <= end:
            at = offset - base
            if not 0 <= at <= len(data) - HEAD.size:
                data, base, at = self._files.read_at(self.handler, offset, _CHUNK), offset, 0
            size, deleted = self._checked(offset, HEAD.unpack_from(data, at))
            if offset + HEAD.size + size > end:
                return
            yield offset, size, deleted
            offset += HEAD.size + size

    def _head(self, offset: int) -> tuple[int, bool]:
        self._require_open()
        data = self._files.read_at(self.handler, offset, HEAD.size) if offset >= 0 else b""
        if len(data) < HEAD.size:
            raise KeyNotFoundError(f"no value begins at {offset}: the file has {self.size} bytes")
        return self._checked(offset, HEAD.unpack(data))

    def _checked(self, offset: int, head: tuple[int, int]) -> tuple[int, bool]:
        size, deleted = head
        if deleted not in (0, 1):
            raise self._corrupted(offset, f"the mark of deletion is {deleted}, and not 0 or 1")
        return size, deleted == 1

    def _corrupted(self, offset: int, reason: str) -> CorruptionError:
        return CorruptionError(reason, file=self._files.relative(self.file_path), offset=offset)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ClosedError("this value file was closed")


def _bytes(given: object) -> bytes:
    """What a buffer has; of other things ``bytes`` would make some, of 5 as many zeroes."""
    try:
        return memoryview(cast("Buffer", given)).tobytes()
    except TypeError:
        raise TypeError(f"a value must be bytes, not {show(given)}") from None


def open_or_make(files: Files, path: str) -> Opened:
    """The file at ``path``, to be read and written; a new one's name is on the disk."""
    opened = files.open(path, write=True)
    if opened is not None:
        return opened
    folder = os.path.dirname(path)
    made: list[str] = []
    files.make_folders(folder, made)
    files.close(files.make(path, path))
    # Also folders that stood there: whoever made them may not have synced them.
    while len(folder) >= len(files.root):
        files.sync_folder(folder)
        folder = os.path.dirname(folder)
    for above in {os.path.dirname(one) for one in made if len(one) <= len(files.root)}:
        files.sync_folder(above)
    found = files.open(path, write=True)
    if found is None:
        reason = f"{files.relative(path)} was removed while it was being made"
        raise BackingError(errno.ENOENT, reason, path)
    return found
