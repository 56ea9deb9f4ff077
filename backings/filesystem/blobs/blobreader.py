"""A readable blob as a raw file object."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from objstore._seeking import sought

from ..io import Files, Opened

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BlobReader(io.RawIOBase):
    """Reads an open file, and closes it."""

    def __init__(self, files: Files, opened: Opened) -> None:
        super().__init__()
        self._files: Final = files
        self.opened: Final = opened
        self._size: Final = files.size(opened)
        self._at = 0
        files.rewind(opened)

    def readinto(self, buffer: Buffer, /) -> int:
        self._checkClosed()
        if self._at >= self._size:
            # Not asked for: the system knows no such offsets.
            return 0
        count = self._files.read_into(self.opened, self._at, memoryview(buffer).cast("B"))
        self._at += count
        return count

    def readall(self) -> bytes:
        self._checkClosed()
        if self._at >= self._size:
            return b""
        data = self._files.read_at(self.opened, self._at, self._size - self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._checkClosed()
        self._at = sought(offset, whence, self._at, lambda: self._size)
        return self._at

    def fileno(self) -> int:
        """The descriptor, for os.sendfile, mmap and subprocesses; its own position is not ours."""
        self._checkClosed()
        return self.opened.descriptor

    def close(self) -> None:
        if not self.closed:
            self._files.close(self.opened)
            super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
