"""A Depot in memory: for tests, and for blobs that need not outlive their process."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from mmap import ACCESS_COPY, mmap
from threading import RLock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from objstore._depot_checks import check_identifier
from objstore._digests import digest_of
from objstore._identifiers import BlobInfo, Identifier, ObjectStateT
from objstore._moving import reading
from objstore._ranges import Range, Ranges
from objstore._seeking import sought
from objstore._writer import Writer
from objstore.depot import Depot, Promise
from objstore.errors import BackingError, ReadOnlyError, StorageError

if TYPE_CHECKING:
    from typing_extensions import Buffer


_SPARSE: Final = 1 << 20
"""From how many bytes on the system is asked for pages, which take memory once they are written."""


def _zeroes(size: int) -> bytearray | mmap:
    """Raises BackingError where the system has not as much."""
    if size < _SPARSE:
        return bytearray(size)
    try:
        # Private: a child of a fork gets its own.
        return mmap(-1, size, access=ACCESS_COPY)
    except OSError as error:
        reason = f"there is no memory for {size} bytes"
        raise BackingError(errno.ENOMEM, reason) from error


class _Contents:
    """One blob."""

    def __init__(self, promise: Promise) -> None:
        self.promise: Final = promise
        # Guarded by the depot's lock.
        self.data: Final = _zeroes(promise.size or 0)
        self.written: Final = Ranges()
        self.writers = 0
        """How many have written to it, or will."""
        self.state = ObjectStateT.WRITABLE
        self.sha256 = promise.sha256
        self.changed = datetime.now(UTC)
        self.open: Final[WeakSet[_MemoryWriter]] = WeakSet()

    def size(self) -> int:
        return len(self.data) if self.promise.size is None else self.promise.size


class _Kept:
    """The blobs of one depot."""

    def __init__(self) -> None:
        self.lock: Final = RLock()
        self.blobs: Final[dict[Identifier, _Contents]] = {}  # Guarded by lock.


class MemoryDepot(Depot):
    """Blobs in a dict, gone with the object, or with the last who ``shares`` it."""

    def __init__(self, shares: MemoryDepot | None = None, *, readonly: bool = False) -> None:
        self._readonly: Final = readonly
        self._kept: Final[_Kept] = _Kept() if shares is None else shares._kept
        self._lock: Final = self._kept.lock
        self._blobs: Final = self._kept.blobs

    def identifiers(self) -> Iterator[Identifier]:
        """Those of all blobs, writable ones too, sorted."""
        with self._lock:
            found = sorted(self._blobs)
        return iter(found)

    def purge(self, identifier: Identifier) -> None:
        """Delete a blob in whatever state it is. Raises StorageError for an unknown one."""
        self._require_writable()
        with self._lock:
            self._require(identifier)
            self._blobs.pop(identifier).state = ObjectStateT.NONEXISTENT

    def _sweep(self, identifier: Identifier, limit: datetime) -> bool:
        with self._lock:
            found = self._in_state(identifier, ObjectStateT.WRITABLE)
            if found is None or found.open or found.changed > limit:
                return False
            self.purge(identifier)
        return True

    def _find(self, identifier: Identifier) -> BlobInfo | None:
        check_identifier(identifier)
        with self._lock:
            found = self._blobs.get(identifier)
            if found is None:
                return None
            return BlobInfo(
                identifier,
                found.state,
                found.size(),
                found.promise.size,
                found.sha256,
                found.promise.part_size,
                deepcopy(found.promise.meta),
                found.changed,
            )

    def _reserve(self, identifier: Identifier, promise: Promise) -> bool:
        check_identifier(identifier)
        self._require_writable()
        with self._lock:
            if identifier in self._blobs:
                return False
            self._blobs[identifier] = _Contents(promise)
            return True

    def _writer(self, identifier: Identifier) -> _MemoryWriter | None:
        found = self._in_state(identifier, ObjectStateT.WRITABLE)
        return None if found is None else _MemoryWriter(identifier, found, self._lock)

    def _reader(self, identifier: Identifier) -> _MemoryReader | None:
        found = self._in_state(identifier, ObjectStateT.READABLE)
        return None if found is None else _MemoryReader(memoryview(found.data).toreadonly())

    def _require_writable(self) -> None:
        if self._readonly:
            raise ReadOnlyError(errno.EROFS, "this depot was opened with readonly=True")

    def _in_state(self, identifier: Identifier, state: ObjectStateT) -> _Contents | None:
        check_identifier(identifier)
        with self._lock:
            found = self._blobs.get(identifier)
            return found if found is not None and found.state is state else None

    def _export(self, source: io.RawIOBase, path: str, tell: Callable[[int], object]) -> None:
        from .filesystem.blobs.export import export

        export(source, path, tell)


class _MemoryWriter(Writer):
    def __init__(self, identifier: Identifier, contents: _Contents, lock: RLock) -> None:
        super().__init__(identifier, contents.promise.size, contents.promise.part_size)
        self._contents: Final = contents
        self._lock: Final = lock
        self._has_written = False
        with lock:
            contents.open.add(self)

    def _write(self, offset: int, data: memoryview) -> None:
        with self._lock:
            self._begin()
            contents, end = self._contents, offset + len(data)
            if isinstance(contents.data, bytearray):
                contents.data.extend(bytes(max(end - len(contents.data), 0)))
            contents.data[offset:end] = data
            contents.written.add(offset, end)

    def _truncate(self, size: int) -> None:
        with self._lock:
            self._begin()
            data = self._contents.data
            before = len(data)
            if isinstance(data, bytearray):  # of no promised size
                del data[size:]
                data.extend(bytes(max(size - before, 0)))
            self._contents.written.cut(size)
            self._contents.written.add(before, size)

    def _begin(self) -> None:
        self._require_writable()
        if not self._has_written:
            self._has_written = True
            self._contents.writers += 1
        self._contents.changed = datetime.now(UTC)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        with self._lock:
            data = self._contents.data[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def length(self) -> int:
        return self._contents.size()

    def missing(self) -> list[Range]:
        with self._lock:
            return self._contents.written.missing(self.length())

    def sync(self) -> None:
        """Nothing survives the machine."""

    def finalize(
        self, sha256: str | None, *, zeroes: bool = False, sought_over: Ranges | None = None
    ) -> None:
        with self._lock:
            self._require_writable()
            is_alone = self._contents.writers == self._has_written
            meant = sought_over if is_alone else None
            self._require_all(self._contents.written, self.length(), meant, zeroes=zeroes)
            if sha256 is None or not is_alone:
                with memoryview(self._contents.data) as view, _MemoryReader(view) as source:
                    sha256 = digest_of(reading(source), lambda done: None)
            self._require_promised(sha256, self._contents.promise.sha256)
            self._contents.sha256 = sha256
            self._contents.state = ObjectStateT.READABLE
            self._contents.changed = datetime.now(UTC)

    def close(self) -> None:
        with self._lock:
            self._contents.open.discard(self)

    def _require_writable(self) -> None:
        state = self._contents.state
        if state is not ObjectStateT.WRITABLE:
            what = "purged" if state is ObjectStateT.NONEXISTENT else "finalized already"
            raise StorageError(f"the blob {self.identifier} was {what}")


class _MemoryReader(io.RawIOBase):
    """Reads a blob; what is purged meanwhile stays as long as it is read."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data: Final = data
        self._at = 0

    def readinto(self, buffer: Buffer, /) -> int:
        self._checkClosed()
        view = memoryview(buffer).cast("B")
        part = self._data[self._at : self._at + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._checkClosed()
        self._at = sought(offset, whence, self._at, lambda: len(self._data))
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
