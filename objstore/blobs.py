"""Blobs as file objects: binary, seekable, and as good as files to what takes file objects."""

from __future__ import annotations

import io
import sys
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ._digests import CHUNK, Digest
from ._identifiers import Identifier
from ._seeking import sought
from ._writer import Writer

if TYPE_CHECKING:
    from typing_extensions import Buffer

_READ_AHEAD: Final = 1 << 16


class Blob(io.BufferedReader):
    """A readable blob. Made by ``Depot.open``."""

    def __init__(self, identifier: Identifier, raw: io.RawIOBase) -> None:
        super().__init__(raw, _READ_AHEAD)
        self.identifier: Final = identifier

    @property
    def name(self) -> str:
        """The identifier's text."""
        return str(self.identifier)


class BlobWriter(io.BufferedRandom):
    """A blob that is being written; it can be read back meanwhile. Made by ``Depot.create``.

    Closing finalizes the blob, and raises what ``Depot.finalize`` does; the blob then stays
    writable, as it does after ``abandon``, an exception that leaves a ``with`` block, or where the
    object is dropped. Closing in its own ``with`` block while an exception is handled there is
    abandoning; ``finalize`` is not. A write outside what was reserved is told when the buffer is
    written out.
    """

    def __init__(self, identifier: Identifier, writer: Writer, *, is_new: bool) -> None:
        self._writing: Final = RawWriter(writer, is_new=is_new)
        super().__init__(self._writing, CHUNK)
        self.identifier: Final = identifier
        self._is_within = False
        """Whether a ``with`` block of this object has begun."""
        self._handled: BaseException | None = None
        """What was being handled when it did."""

    @property
    def name(self) -> str:
        """The identifier's text."""
        return str(self.identifier)

    def flush(self) -> None:
        """Write the buffer out; others that have the blob open then know of it."""
        super().flush()
        self._writing.note()

    def sync(self) -> None:
        """Return once what was written survives the machine, should the blob be resumed."""
        super().flush()
        self._writing.sync()

    def feed(self, data: memoryview) -> None:
        """Write without a buffer or a copy: ``data`` must not change until AHEAD more calls."""
        super().flush()
        self._writing.feed(data)

    def finalize(self, *, zeroes: bool = False) -> None:
        """Close, and make the blob readable; with ``zeroes`` what was not written is zero."""
        if self.closed:
            return
        try:
            self.flush()
            self._writing.finalize(zeroes=zeroes)
        except BaseException:
            self.abandon()
            raise
        super().close()

    def close(self) -> None:
        """Finalize the blob; abandon it amid an exception of its block. Again it does nothing."""
        handled = sys.exception()
        # A wrapper closes what it wraps before the exception that passes comes to __exit__ here.
        if self._is_within and handled is not None and handled is not self._handled:
            self.abandon()
        else:
            self.finalize()

    def abandon(self) -> None:
        """Close, and leave the blob writable. What is in the buffer is dropped."""
        if not self.closed:
            self._writing.is_dropping = True
            super().close()

    def __enter__(self) -> Self:
        super().__enter__()
        self._is_within, self._handled = True, sys.exception()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_within, self._handled = False, None
        if kind is None:
            self.finalize()
        else:
            self.abandon()

    def __del__(self) -> None:
        # Not by closing, as other files do: what was dropped half-way must not become readable.
        if hasattr(self, "identifier") and not self.closed:
            text = f"the blob {self.identifier} was neither closed nor abandoned"
            self.abandon()
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)


class RawWriter(io.RawIOBase):
    """The unbuffered file beneath a BlobWriter: counts the digest while it is written in order."""

    def __init__(self, writer: Writer, *, is_new: bool) -> None:
        super().__init__()
        self._writer: Final = writer
        self._digest = Digest() if is_new else None
        self._position = 0
        self.is_dropping = False

    def feed(self, data: memoryview) -> None:
        """Write; what was fed is still used until AHEAD more calls, or ``finalize``."""
        if self._digest is not None:
            if self._position == self._digest.length:
                self._digest.start(data)
            elif data:
                self._stop_counting()
        try:
            self._writer.write(self._position, data)
        except BaseException:
            self._stop_counting()
            raise
        self._position += len(data)

    def write(self, data: Buffer, /) -> int:
        self._checkClosed()
        view = memoryview(data).cast("B")
        if self.is_dropping:
            return len(view)
        if self._digest is not None:
            # What is given is used again by who gave it, while the copy is still counted.
            view = memoryview(bytes(view[:CHUNK]))
        self.feed(view)
        return len(view)

    def readinto(self, buffer: Buffer, /) -> int:
        self._checkClosed()
        count = self._writer.read_into(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._checkClosed()
        self._position = sought(offset, whence, self._position, self._writer.length)
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        self._checkClosed()
        size = self._position if size is None else size
        if self._digest is not None and size != self._digest.length:
            self._stop_counting()
        self._writer.truncate(size)
        return size

    def note(self) -> None:
        self._writer.note()

    def sync(self) -> None:
        self._writer.sync()

    def finalize(self, *, zeroes: bool) -> None:
        counted = None
        if self._digest is not None and self._digest.length == self._writer.length():
            counted = self._digest.hexdigest()
        self._writer.finalize(counted, zeroes=zeroes)

    def _stop_counting(self) -> None:
        if self._digest is not None:
            self._digest.close()
            self._digest = None

    def close(self) -> None:
        if not self.closed:
            try:
                self._stop_counting()
                self._writer.close()
            finally:
                super().close()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
