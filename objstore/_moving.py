"""Bytes on their way into a depot and out of it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from ._depot_checks import bytes_of
from ._digests import CHUNK, buffers
from ._refusals import require_refusal
from .errors import BackingError, SourceNotFoundError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .blobs import BlobWriter

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes that are done, and how many there are in all; None where unknown."""

Source: TypeAlias = "str | os.PathLike[str] | BinaryIO | Buffer"
Stream: TypeAlias = "BinaryIO | io.RawIOBase | memoryview"


class _SourceFile(io.FileIO):
    """A file to read. Unbuffered, as it is read in chunks that are larger than a buffer."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            super().__init__(path, "r")
        except FileNotFoundError as error:
            reason = "there is no file to put"
            raise SourceNotFoundError(error.errno, reason, error.filename) from error
        except OSError as error:
            raise _unreadable(error, error.filename) from error

    def readinto(self, buffer: Buffer, /) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise _unreadable(error, self.name) from error


def _unreadable(error: OSError, path: object) -> BackingError:
    require_refusal(error)
    return BackingError(error.errno, f"cannot read what is to be put: {error.strerror}", path)


@contextmanager
def opened(source: Source) -> Generator[tuple[Stream, int | None]]:
    """What bytes come from, and how many they are to be; None where that is not known."""
    if isinstance(source, str | os.PathLike):
        with _SourceFile(source) as file:
            try:
                found = os.fstat(file.fileno())
            except OSError as error:
                raise _unreadable(error, source) from error
            # What is no regular file, or lies in /proc, tells no size.
            yield file, (found.st_size or None) if stat.S_ISREG(found.st_mode) else None
    elif hasattr(source, "read"):
        yield cast("BinaryIO", source), None
    else:
        view = bytes_of(cast("Buffer", source))
        yield view, len(view)


def fill(
    blob: BlobWriter,
    source: Stream,
    size: int | None,
    progress: Progress | None,
) -> None:
    """Write all of a source into a new blob."""
    done = 0
    for chunk in _chunks(source):
        # Past the buffer, which would copy them, and without waiting for the digest.
        blob.feed(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, size)
    if not done and progress is not None:
        progress(0, size)


def _chunks(source: Stream) -> Iterator[memoryview]:
    """The bytes of a source. Each chunk stays as it is while AHEAD more are asked for."""
    if isinstance(source, memoryview):
        for at in range(0, len(source), CHUNK):
            yield source[at : at + CHUNK]
        return
    read_into = reading(source)
    for buffer in buffers():
        count = read_into(buffer)
        if not count:
            return
        yield buffer[:count]


def reading(source: BinaryIO | io.RawIOBase) -> Callable[[memoryview], int]:
    """How to read the next bytes into a buffer; 0 is the end."""
    readinto: Callable[[memoryview], int | None] | None = getattr(source, "readinto", None)

    def read_into(buffer: memoryview) -> int:
        if readinto is not None:
            count = readinto(buffer)
        else:
            data = source.read(len(buffer))
            count = None if data is None else len(data)
            buffer[: count or 0] = data or b""
        if count is None:
            raise BlockingIOError("the source has no bytes yet; it must block until it has")
        return count

    return read_into


def copy(source: io.RawIOBase, target: BinaryIO, tell: Callable[[int], object]) -> None:
    """Copy the rest of a source into a file that is open for writing."""
    read_into, buffer, done = reading(source), memoryview(bytearray(CHUNK)), 0
    while count := read_into(buffer):
        _write_all(target, buffer[:count])
        done += count
        tell(done)


def _write_all(target: BinaryIO, chunk: memoryview) -> None:
    write = cast("Callable[[memoryview], int | None]", target.write)
    while chunk:
        count = write(chunk)
        if count is None and not isinstance(target, io.RawIOBase):
            # Who returns nothing has taken all; a raw file says so where it would block.
            return
        if not count:
            raise BlockingIOError(
                f"the target took none of {len(chunk)} bytes; it must block until it has room"
            )
        # A raw file may take less than it is given.
        chunk = chunk[count:]


def read_exactly(source: io.RawIOBase, size: int) -> bytes:
    """The next bytes; fewer only where the source ends."""
    parts: list[bytes] = []
    while size > 0:
        # Not all at once: a size beyond the end may be more than there is memory for.
        part = source.read(min(size, CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
