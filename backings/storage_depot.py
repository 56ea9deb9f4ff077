"""A Depot over any Storage. Format: docs/formats/depot.md, "Over a Storage"."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from objstore._depot_checks import check_identifier
from objstore._digests import digest_of
from objstore._identifiers import BlobInfo, Identifier, ObjectStateT
from objstore._ranges import Range, Ranges
from objstore._seeking import sought
from objstore._writer import Writer
from objstore.depot import Depot, Promise
from objstore.errors import (
    ContainerNotFoundError,
    CorruptionError,
    DuplicateContainerError,
    FormatError,
    KeyNotFoundError,
    StorageError,
)
from objstore.storage import Storage

from . import storage_keys
from .storage_blocks import Blocks

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FORMAT: Final = 1
_BLOBS: Final = "depot"


@dataclass(frozen=True, slots=True)
class _Record:
    """What is stored of a blob beside its bytes."""

    state: ObjectStateT
    size: int | None
    length: int
    part_size: int
    sha256: str | None
    changed: datetime
    meta: dict[str, Any]
    writers: int = 0
    """How many have begun to write."""
    written: list[list[int]] = field(default_factory=list[list[int]])
    """Start and end of each range."""
    token: str | None = None
    """Of whoever reserved it; None in records that were made without."""

    def encode(self) -> str:
        said = {name: getattr(self, name) for name in self.__slots__}
        if self.token is None:
            del said["token"]
        said |= {"format": _FORMAT, "state": self.state.value, "changed": self.changed.isoformat()}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    def ranges(self) -> Ranges:
        found = Ranges()
        for start, end in self.written:
            found.add(start, end)
        return found

    def missing(self) -> list[Range]:
        return self.ranges().missing(self.length)


def _parse(text: object, identifier: Identifier) -> _Record:
    try:
        said = json.loads(str(text))
        version = said.pop("format")
        if version == _FORMAT:
            said["state"] = ObjectStateT(said["state"])
            said["changed"] = datetime.fromisoformat(said["changed"])
            return _Record(**said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptionError("this is no record of a blob", file=str(identifier)) from error
    reason = f"format {version} is not known; this program reads and writes format {_FORMAT}"
    raise FormatError(reason, source=str(identifier))


def _named(key: str) -> Identifier | None:
    """The identifier that a key is; None for one of somebody else's."""
    try:
        found = Identifier.parse(key)
    except ValueError:
        return None
    return found if str(found) == key else None


# Of the process: its depots over one medium may be several. No lock, which the garbage collector
# could come upon held: each use is one call.
_open: Final[set[ref[_StorageWriter]]] = set()


class StorageDepot(Depot):
    """Blobs in two containers of a Storage: ``depot`` and ``depot blocks``.

    Every write is a transaction of the Storage, or a part of the one that the thread has begun.
    Errors of the Storage come through: BackingError, BusyError, ClosedError, ConflictError.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage: Final = storage
        self._blocks: Final = Blocks(storage)

    def identifiers(self) -> Iterator[Identifier]:
        """Those of all blobs, writable ones too, sorted."""
        try:
            keys = self._keys()
        except ContainerNotFoundError:
            keys = []
        return iter(sorted(one for key in keys if (one := _named(key)) is not None))

    def _keys(self) -> list[str]:
        try:
            return list(self._storage.get_container_keys(_BLOBS))
        except CorruptionError:
            return list(storage_keys.keys(self._storage, _BLOBS, ""))

    def purge(self, identifier: Identifier) -> None:
        """Delete a blob in whatever state it is. Raises StorageError for an unknown one."""
        with self._storage.transaction():
            self._purge(identifier)

    def _purge(self, identifier: Identifier) -> None:
        """The same within a transaction."""
        try:
            record = self._record(identifier)
        except (CorruptionError, FormatError):
            self._blocks.delete_all(identifier)
        else:
            if record is None:
                raise StorageError(f"there is no blob {identifier}")
            self._blocks.delete(identifier, 0, record.length)
        self._storage.delete_container_item(_BLOBS, str(identifier))

    def _sweep(self, identifier: Identifier, limit: datetime) -> bool:
        # Most are finalized, or new: only for one that is neither others have to wait.
        if not self._is_left(identifier, limit):
            return False
        with self._storage.transaction():
            if not self._is_left(identifier, limit):  # finalized or written to meanwhile
                return False
            self._purge(identifier)
        return True

    def _is_left(self, identifier: Identifier, limit: datetime) -> bool:
        try:
            record = self._record(identifier)
        except (CorruptionError, FormatError):
            return False
        if record is None or record.state is not ObjectStateT.WRITABLE or record.changed > limit:
            return False
        writers = [found() for found in list(_open)]
        blob = (identifier, record.token)
        return all(writer is None or writer.opened != blob for writer in writers)

    def _find(self, identifier: Identifier) -> BlobInfo | None:
        record = self._record(identifier)
        if record is None:
            return None
        return BlobInfo(
            identifier,
            record.state,
            record.length,
            record.size,
            record.sha256,
            record.part_size,
            record.meta,
            record.changed,
        )

    def _reserve(self, identifier: Identifier, promise: Promise) -> bool:
        check_identifier(identifier)
        size, sha256, meta, part_size = promise
        now, writable = datetime.now(UTC), ObjectStateT.WRITABLE
        token = token_hex(8)
        record = _Record(writable, size, size or 0, part_size, sha256, now, meta, token=token)
        with self._storage.transaction():
            for name in (_BLOBS, self._blocks.container):
                self._add_container(name)
            if self._record(identifier) is not None:
                return False
            self._keep(identifier, record)
        return True

    def _add_container(self, name: str) -> None:
        try:
            self._storage.get_container_len(name)
        except ContainerNotFoundError:
            try:
                self._storage.add_container(name)
            except DuplicateContainerError:  # another thread was faster
                return

    def _writer(self, identifier: Identifier) -> _StorageWriter | None:
        record = self._record(identifier)
        if record is None or record.state is not ObjectStateT.WRITABLE:
            return None
        return _StorageWriter(self, identifier, record)

    def _reader(self, identifier: Identifier) -> _StorageReader | None:
        record = self._record(identifier)
        if record is None or record.state is not ObjectStateT.READABLE:
            return None
        return _StorageReader(self, identifier, record)

    def _export(self, source: io.RawIOBase, path: str, tell: Callable[[int], object]) -> None:
        from .filesystem.blobs.export import export

        export(source, path, tell)

    def _record(self, identifier: Identifier) -> _Record | None:
        check_identifier(identifier)
        try:
            text = self._storage.get_container_item(_BLOBS, str(identifier))
        except (ContainerNotFoundError, KeyNotFoundError):
            return None
        return _parse(text, identifier)

    def _keep(self, identifier: Identifier, record: _Record) -> None:
        self._storage.set_container_item(_BLOBS, str(identifier), record.encode())

    def _same(self, identifier: Identifier, token: str | None) -> _Record:
        """The record of a blob that is open. Raises StorageError where it was purged meanwhile."""
        record = self._record(identifier)
        # Another token: somebody has reserved the identifier again.
        if record is None or record.token != token:
            raise StorageError(f"the blob {identifier} was purged")
        return record

    @contextmanager
    def _changing(self, identifier: Identifier, token: str | None) -> Generator[_Record]:
        """A transaction that changes a writable blob."""
        with self._storage.transaction():
            record = self._same(identifier, token)
            if record.state is not ObjectStateT.WRITABLE:
                raise StorageError(f"the blob {identifier} was finalized already")
            yield record


class _StorageWriter(Writer):
    def __init__(self, depot: StorageDepot, identifier: Identifier, record: _Record) -> None:
        super().__init__(identifier, record.size, record.part_size)
        self._depot: Final = depot
        self._blocks: Final = depot._blocks
        self._promised: Final = record.sha256
        self._token: Final = record.token
        self._has_written = False
        self._ref: Final = ref(self, _open.discard)
        _open.add(self._ref)

    @property
    def opened(self) -> tuple[Identifier, str | None]:
        """Which blob it writes."""
        return self.identifier, self._token

    def _write(self, offset: int, data: memoryview) -> None:
        end = offset + len(data)
        with self._depot._changing(self.identifier, self._token) as record:
            self._blocks.write(self.identifier, offset, data)
            ranges = record.ranges()
            ranges.add(offset, end)
            self._note(record, ranges, max(record.length, end))
        self._has_written = True

    def _truncate(self, size: int) -> None:
        with self._depot._changing(self.identifier, self._token) as record:
            self._blocks.delete(self.identifier, size, record.length)
            ranges = record.ranges()
            ranges.cut(size)
            ranges.add(record.length, size)
            self._note(record, ranges, size)
        self._has_written = True

    def _note(self, record: _Record, ranges: Ranges, length: int) -> None:
        changed = replace(
            record,
            length=length,
            written=[[start, end] for start, end in ranges.pairs()],
            writers=record.writers + (not self._has_written),
            changed=datetime.now(UTC),
        )
        self._depot._keep(self.identifier, changed)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        size = max(min(self.length() - offset, len(buffer)), 0)
        self._blocks.read_into(self.identifier, offset, buffer[:size])
        self._depot._same(self.identifier, self._token)
        return size

    def length(self) -> int:
        return self._depot._same(self.identifier, self._token).length

    def missing(self) -> list[Range]:
        return self._depot._same(self.identifier, self._token).missing()

    def sync(self) -> None:
        """Each write was a transaction, which is durable."""

    def finalize(
        self, sha256: str | None, *, zeroes: bool = False, sought_over: Ranges | None = None
    ) -> None:
        with self._depot._changing(self.identifier, self._token) as record:
            is_alone = record.writers == self._has_written
            meant = sought_over if is_alone else None
            self._require_all(record.ranges(), record.length, meant, zeroes=zeroes)
            if sha256 is None or not is_alone:
                with _StorageReader(self._depot, self.identifier, record) as source:
                    sha256 = digest_of(source.readinto, lambda done: None)
            self._require_promised(sha256, self._promised)
            done = replace(
                record,
                state=ObjectStateT.READABLE,
                sha256=sha256,
                written=[],
                changed=datetime.now(UTC),
            )
            self._depot._keep(self.identifier, done)

    def close(self) -> None:
        _open.discard(self._ref)


class _StorageReader(io.RawIOBase):
    """Reads blocks. Raises StorageError where the blob is purged meanwhile."""

    def __init__(self, depot: StorageDepot, identifier: Identifier, record: _Record) -> None:
        super().__init__()
        self._depot: Final = depot
        self._identifier: Final = identifier
        self._size: Final = record.length
        self._token: Final = record.token
        self._at = 0

    def readinto(self, buffer: Buffer, /) -> int:
        self._checkClosed()
        view = memoryview(buffer).cast("B")
        part = view[: max(min(self._size - self._at, len(view)), 0)]
        self._depot._blocks.read_into(self._identifier, self._at, part)
        # Afterwards: what was read is of this blob if it is there even now.
        self._depot._same(self._identifier, self._token)
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._checkClosed()
        self._at = sought(offset, whence, self._at, lambda: self._size)
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
