"""Blobs as file objects: binary, seekable, and as good as files to what takes file objects."""

from __future__ import annotations

import io
import logging
import sys
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ._depot_checks import bytes_of
from ._digests import CHUNK, Digest
from ._identifiers import Identifier
from ._ranges import Ranges
from ._seeking import sought
from ._writer import Writer

if TYPE_CHECKING:
    from typing_extensions import Buffer

_logger: Final = logging.getLogger(__name__)

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
    object is dropped. So it does where it is closed while an exception is handled that was not
    when it was made, as on the exception's way out of a wrapper's block, which is logged;
    ``finalize`` is not held back, and its own ``with`` block finalizes at its end, if no exception
    leaves that. A write outside what was reserved is told when the buffer is written out.
    """

    def __init__(self, identifier: Identifier, writer: Writer, *, is_new: bool) -> None:
        self._writing: Final = RawWriter(writer, is_new=is_new)
        super().__init__(self._writing, CHUNK)
        self.identifier: Final = identifier
        self._handled = _handled()
        """What is being handled where it was made: nothing that goes wrong with it."""
        self._is_within = False
        """Whether a ``with`` block of this object has begun, and not ended."""
        self._is_dropped = False
        """Whether what closes it does so because it was dropped."""

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
        if self._writing.is_over:
            return
        try:
            if not self.closed:
                self.flush()
            self._writing.finalize(zeroes=zeroes)
        except BaseException:
            self.abandon()
            raise
        self._end()

    def close(self) -> None:
        """Finalize the blob, unless amid an exception. Again it does nothing."""
        if self.closed:
            return
        error = sys.exception()
        if self._is_dropped:
            self._suspend()
            if not self._is_within:
                text = f"what wraps the blob {self.identifier} was dropped without being closed"
                warnings.warn(text, ResourceWarning, source=self, stacklevel=2)
        elif error is not None and all(error is not one for one in self._handled):
            # On its way it comes through blocks of wrappers, or a ``finally``, before it is known
            # whether it leaves the blob's own block, if there is one.
            self._suspend()
            if not self._is_within:
                _logger.warning(
                    "the blob %s was closed while %s was handled, and is not finalized",
                    self.identifier,
                    type(error).__name__,
                )
        else:
            self.finalize()

    def abandon(self) -> None:
        """Close, and leave the blob writable. What is in the buffer is dropped."""
        if not self._writing.is_over:
            self._writing.is_dropping = True
            self._end()

    def _suspend(self) -> None:
        """Close as a file; whether the blob is finalized is for its own block to tell, if any."""
        self._writing.stays_open = self._is_within
        try:
            super().close()
        except BaseException:
            self.abandon()
            raise
        self._handled = ()

    def _end(self) -> None:
        self._handled = ()
        self._writing.stays_open = False
        super().close()
        self._writing.let_go()  # closed before, it did not

    def __enter__(self) -> Self:
        super().__enter__()
        self._is_within = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_within = False
        if kind is None:
            self.finalize()
        else:
            self.abandon()

    def _dealloc_warn(self, source: object) -> None:
        # What wraps a file calls this before it closes it, if it was dropped itself.
        self._is_dropped = True

    def __del__(self) -> None:
        # Not by closing, as other files do: what was dropped half-way must not become readable.
        if hasattr(self, "identifier") and not self._writing.is_over:
            text = f"the blob {self.identifier} was neither closed nor abandoned"
            self.abandon()
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)


def _handled() -> tuple[BaseException, ...]:
    """The exceptions that are being handled: the last one, and those that it came amid."""
    found: list[BaseException] = []
    error = sys.exception()
    while error is not None and all(error is not one for one in found):
        found.append(error)
        error = error.__context__
    return tuple(found)


class RawWriter(io.RawIOBase):
    """The unbuffered file beneath a BlobWriter: counts the digest while it is written in order."""

    def __init__(self, writer: Writer, *, is_new: bool) -> None:
        super().__init__()
        self._writer: Final = writer
        self._digest = Digest() if is_new else None
        self._sought_over: Final = Ranges() if is_new and writer.size is None else None
        """What lies before what was written behind it; None where it is for others to write."""
        self._end = 0
        """Where what was written here ends."""
        self._position = 0
        self.is_dropping = False
        self.stays_open = False
        """Whether closing keeps the blob open, for ``finalize``."""
        self.is_over = False
        """Whether the blob was let go of."""

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
        if self._position > self._end and self._sought_over is not None and data:
            self._sought_over.add(self._end, self._position)
        self._position += len(data)
        self._end = max(self._end, self._position)

    def write(self, data: Buffer, /) -> int:
        self._checkClosed()
        view = bytes_of(data)
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
        self._end = size
        if self._sought_over is not None:
            self._sought_over.cut(size)
        return size

    def note(self) -> None:
        self._writer.note()

    def sync(self) -> None:
        self._writer.sync()

    def finalize(self, *, zeroes: bool) -> None:
        counted = None
        if self._digest is not None and self._digest.length == self._writer.length():
            counted = self._digest.hexdigest()
        self._writer.finalize(counted, zeroes=zeroes, sought_over=self._sought_over)

    def _stop_counting(self) -> None:
        if self._digest is not None:
            self._digest.close()
            self._digest = None

    def close(self) -> None:
        if not self.closed:
            try:
                if not self.stays_open:
                    self.let_go()
            finally:
                super().close()

    def let_go(self) -> None:
        """Close the blob, finalized or not. Again it does nothing."""
        if not self.is_over:
            self.is_over = True
            try:
                self._stop_counting()
            finally:
                self._writer.close()

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
