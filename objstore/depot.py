"""The contract of the Depot: large binary blobs, written in pieces and then finalized.

A blob is reserved under an identifier, written at any offsets by any number of threads and
processes, and finalized; from then on it can be read and does not change. The calls and states are
those of seed 000; file objects, digests and the rest are ours.

A maker has the abstract methods and a Writer; everything else follows from them. Nothing here
assumes a file system: a Writer may as well drive the parts of a multipart upload.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from . import _moving
from ._depot_checks import (
    bytes_of,
    check_digest,
    check_meta,
    check_number,
    check_target,
    latest,
)
from ._identifiers import BlobInfo, Damage, Identifier, ObjectStateT, Scrubbed
from ._moving import Progress
from ._ranges import Grid, Range, choose_part_size
from ._scrub import Scrub
from ._writer import Writer
from .blobs import Blob, BlobWriter
from .errors import StorageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Blob",
    "BlobInfo",
    "BlobWriter",
    "Damage",
    "Depot",
    "Grid",
    "Identifier",
    "ObjectStateT",
    "Progress",
    "Promise",
    "Range",
    "Scrubbed",
    "Writer",
]

_DAY: Final = timedelta(days=1)
_FINAL: Final = "was finalized, and can be written no more"


class Promise(NamedTuple):
    """What is said of a blob when it is reserved; see ``Depot.reserve``."""

    size: int | None
    sha256: str | None
    meta: dict[str, Any]
    part_size: int


class Depot(ABC):
    """Blobs by identifier. Safe between threads and, where its medium is, between processes."""

    # What a maker has

    @abstractmethod
    def identifiers(self) -> Iterator[Identifier]:
        """Those of all blobs, writable ones too, sorted."""

    @abstractmethod
    def purge(self, identifier: Identifier) -> None:
        """Delete a blob in whatever state it is. Raises StorageError for an unknown one."""

    @abstractmethod
    def _sweep(self, identifier: Identifier, limit: datetime) -> bool:
        """Delete a blob that is writable, and that nobody has written to since, nor has open.

        False, and the blob stays, where it is not so, or cannot be told.
        """

    @abstractmethod
    def _find(self, identifier: Identifier) -> BlobInfo | None:
        """What is known of a blob; None where there is none."""

    @abstractmethod
    def _reserve(self, identifier: Identifier, promise: Promise) -> bool:
        """Make a writable blob; False where the identifier is taken."""

    @abstractmethod
    def _writer(self, identifier: Identifier) -> Writer | None:
        """None where there is no writable blob."""

    @abstractmethod
    def _reader(self, identifier: Identifier) -> io.RawIOBase | None:
        """A raw, seekable file at its first byte; None where there is no readable blob."""

    @abstractmethod
    def _export(self, source: io.RawIOBase, path: str, tell: Callable[[int], object]) -> None:
        """Copy what ``_reader`` gave into the file at a path: whole and durable, or not at all."""

    # What the seed has

    def exists(self, identifier: Identifier) -> bool:
        """Whether there is a blob, readable or writable."""
        return self.state(identifier) is not ObjectStateT.NONEXISTENT

    def reserve(
        self,
        identifier: Identifier,
        size: int | None,
        *,
        sha256: str | None = None,
        meta: Mapping[str, Any] | None = None,
        part_size: int | None = None,
    ) -> None:
        """Reserve an identifier, and as many bytes, which are zero and take no space yet.

        With None for ``size`` the blob is as long as what is written. ``sha256`` is its digest in
        hexadecimal, if known: finalizing compares. ``meta`` is a JSON object. ``part_size`` is the
        length of a part in bytes, from 5 MiB to 5 GiB, at most 10,000 parts; by default it follows
        from the size.

        Raises StorageError where the identifier exists already, ValueError for numbers out of
        their limits, ValidationError for a ``meta`` that is no JSON object.
        """
        if size is not None:
            check_number("size", size)
        check_digest(sha256)
        if part_size is not None:
            check_number("part_size", part_size)
        part = choose_part_size(size, part_size)
        if not self._reserve(identifier, Promise(size, sha256, check_meta(meta), part)):
            raise StorageError(f"the identifier {identifier} exists already")

    def write(self, identifier: Identifier, offset: int, buf: Buffer) -> None:
        """Write bytes at an offset; threads and processes may do so at once.

        Raises StorageError where the blob is unknown, was finalized, or has not so many bytes.
        """
        check_number("offset", offset)
        with self._open_writer(identifier, _FINAL) as writer:
            writer.write(offset, bytes_of(buf))

    def finalize(self, identifier: Identifier, *, zeroes: bool = False) -> None:
        """Make a blob readable; from then on it does not change. Durable when this returns.

        Raises StorageError where the blob is unknown or was finalized already; where its digest is
        not the one promised; where something was never written, unless ``zeroes`` says that zeroes
        were meant there. The blob then stays writable.
        """
        with self._open_writer(identifier, "was finalized already") as writer:
            writer.finalize(None, zeroes=zeroes)

    def read(self, identifier: Identifier, offset: int, size: int) -> bytes:
        """``size`` bytes from an offset; fewer, or none, where the blob ends.

        Raises StorageError where the blob is unknown, or not finalized yet.
        """
        check_number("offset", offset)
        check_number("size", size)
        with self._open_reader(identifier) as source:
            source.seek(offset)
            return _moving.read_exactly(source, size)

    # What is known of blobs

    def state(self, identifier: Identifier) -> ObjectStateT:
        """What may be done with an identifier."""
        info = self._find(identifier)
        return ObjectStateT.NONEXISTENT if info is None else info.state

    def info(self, identifier: Identifier) -> BlobInfo:
        """Size, digest, metadata. Raises StorageError for an unknown blob, CorruptionError."""
        info = self._find(identifier)
        if info is None:
            raise StorageError(f"there is no blob {identifier}")
        return info

    def blobs(self) -> Iterator[BlobInfo]:
        """What is known of each blob, sorted by identifier. Raises CorruptionError."""
        for identifier in self.identifiers():
            info = self._find(identifier)
            if info is not None:
                yield info

    def missing_ranges(self, identifier: Identifier) -> list[Range]:
        """What of a blob was never written, by anybody; nothing once it is finalized.

        Raises StorageError for an unknown blob.
        """
        state = self.state(identifier)
        writer = self._writer(identifier) if state is ObjectStateT.WRITABLE else None
        if writer is None:
            self._require(identifier)
            return []
        with writer:
            return writer.missing()

    def link(self, identifier: Identifier) -> str:
        """How a document refers to a blob; ``Identifier.parse`` takes it back.

        Raises StorageError where the blob is unknown, or not finalized yet: what refers to it
        could not be read.
        """
        self._require(identifier, readable=True)
        return identifier.link

    # File objects

    def create(
        self,
        size: int | None = None,
        sha256: str | None = None,
        meta: Mapping[str, Any] | None = None,
        *,
        identifier: Identifier | None = None,
        part_size: int | None = None,
    ) -> BlobWriter:
        """A new blob as a file object, which closing finalizes.

        As a context manager it is finalized at the end of the block; an exception that leaves the
        block, or passes through what closes it, leaves the blob writable, to be resumed or swept.
        Arguments and errors are those of ``reserve``; without ``identifier`` it gets a new one.
        """
        identifier = identifier or Identifier.new()
        self.reserve(identifier, size, sha256=sha256, meta=meta, part_size=part_size)
        return BlobWriter(identifier, self._open_writer(identifier, _FINAL), is_new=True)

    def resume(self, identifier: Identifier) -> BlobWriter:
        """A writable blob as a file object, at the first byte that is missing.

        Raises StorageError where the blob is unknown, or finalized.
        """
        writer = self._open_writer(identifier, _FINAL)
        try:
            missing = writer.missing()
            at = missing[0].at if missing else writer.length()
        except BaseException:
            writer.close()
            raise
        blob = BlobWriter(identifier, writer, is_new=False)
        blob.seek(at)
        return blob

    def open(self, identifier: Identifier) -> Blob:
        """A readable blob as a file object. Raises StorageError as ``read`` does."""
        return Blob(identifier, self._open_reader(identifier))

    # From files and to files

    def put(
        self,
        source: str | os.PathLike[str] | BinaryIO | Buffer,
        *,
        progress: Progress | None = None,
        sha256: str | None = None,
        meta: Mapping[str, Any] | None = None,
        identifier: Identifier | None = None,
    ) -> Identifier:
        """A new blob with the bytes of a file, by its path or open for reading, or of a buffer.

        Raises what ``reserve`` and ``finalize`` raise, SourceNotFoundError or another BackingError
        for a path that cannot be read, and what an open file raises. After an error the blob is
        writable, or there is none.
        """
        with (
            _moving.opened(source) as (stream, size),
            self.create(size, sha256, meta, identifier=identifier) as blob,
        ):
            _moving.fill(blob, stream, size, progress)
        return blob.identifier

    def get_to(
        self,
        identifier: Identifier,
        target: str | os.PathLike[str] | BinaryIO,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Copy a blob to a path, or into a file that is open for writing.

        The file at a path is replaced: it has the whole blob, on the disk, or is as before. Raises
        StorageError as ``read`` does, BackingError, BlockingIOError where a file takes nothing. It
        keeps its permission bits and, as far as the process may, its owner.
        """
        check_target(target)
        with self._open_reader(identifier) as source:
            size = source.seek(0, io.SEEK_END)
            source.seek(0)

            def tell(done: int) -> None:
                if progress is not None:
                    progress(done, size)

            if isinstance(target, str | os.PathLike):
                self._export(source, os.path.abspath(os.fspath(target)), tell)
            else:
                _moving.copy(source, target, tell)
            if not size:
                tell(0)

    # Upkeep

    def scrub(self, progress: Progress | None = None) -> Scrubbed:
        """Read all readable blobs, and compare them with the digests that were counted of them.

        What cannot be read is told as damage too. ``progress`` hears of bytes.
        """
        return Scrub(self, progress).run()

    def sweep(self, older_than: timedelta = _DAY) -> list[Identifier]:
        """Delete the writable blobs that nobody has written to for so long; return which.

        Those that somebody in this process has open to write stay, however old they are; so does
        what cannot be read, which ``scrub`` tells.
        """
        limit = latest(older_than)
        return [one for one in self.identifiers() if self._sweep(one, limit)]

    def _open_writer(self, identifier: Identifier, if_readable: str) -> Writer:
        writer = self._writer(identifier)
        if writer is None:
            self._require(identifier)
            raise StorageError(f"the blob {identifier} {if_readable}")
        return writer

    def _open_reader(self, identifier: Identifier) -> io.RawIOBase:
        source = self._reader(identifier)
        if source is None:
            self._require(identifier, readable=True)
            raise StorageError(f"the blob {identifier} was purged just now")
        return source

    def _require(self, identifier: Identifier, *, readable: bool = False) -> None:
        state = self.state(identifier)
        if state is ObjectStateT.NONEXISTENT:
            raise StorageError(f"there is no blob {identifier}")
        if readable and state is not ObjectStateT.READABLE:
            raise StorageError(f"the blob {identifier} is not finalized yet, and cannot be read")
