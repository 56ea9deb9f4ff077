"""One generation's file of the commit log: how it is made, and how frames are added to it.

All of this is for who holds the writer's lock.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Final

from objstore.errors import BackingError

from .. import names
from ..io import Files, Opened, UncertainError
from ..temporaries import removed_on_error

_FIRST_STEP: Final = 1 << 16
_LAST_STEP: Final = 1 << 22
"""How much space is set aside ahead, at first and after doubling each time."""

_CHUNK: Final = 1 << 20


def write_new(files: Files, path: str, data: bytes) -> None:
    """Write what is to be ``path`` under its temporary name, on the disk when this returns."""
    opened = files.make(names.temporary_path(path), path)
    try:
        files.write_at(opened, 0, data)
        files.sync_data(opened, sure=True)
    finally:
        files.close(opened)


def write_all(files: Files, path: str, frames: Iterable[bytes]) -> None:
    """The same for as many frames as there are."""
    opened = files.make(names.temporary_path(path), path)
    try:
        offset, chunk = 0, bytearray()
        for frame in frames:
            chunk += frame
            if len(chunk) >= _CHUNK:
                files.write_at(opened, offset, bytes(chunk))
                offset, chunk = offset + len(chunk), bytearray()
        files.write_at(opened, offset, bytes(chunk))
        files.sync_data(opened, sure=True)
    finally:
        files.close(opened)


def put_new(files: Files, path: str) -> None:
    """Give what was written its name."""
    files.rename(names.temporary_path(path), path)


def replace(files: Files, path: str, data: bytes) -> None:
    """Both, for what has no step in between: as ``temporaries.replace``, on the disk for sure."""
    with taken_back(files, path):
        write_new(files, path, data)
        put_new(files, path)


def taken_back(files: Files, path: str) -> AbstractContextManager[None]:
    """A block that leaves nothing of what is to be ``path`` where it fails before that is."""
    return removed_on_error(files, names.temporary_path(path))


class Appender:
    """A generation's file, open to be written. It is closed when nobody holds it any more."""

    def __init__(self, files: Files, opened: Opened, generation: int) -> None:
        self._files: Final = files
        self._opened: Final = opened
        self._step = _FIRST_STEP
        self._size: int | None = None
        self.generation: Final = generation

    @classmethod
    def open(cls, files: Files, generation: int) -> Appender:
        """Raises BackingError, also where the file is gone."""
        path = names.log(files.root, generation)
        opened = files.open(path, write=True)
        if opened is None:
            reason = f"{files.relative(path)} was removed while it was in use"
            raise BackingError(errno.ENOENT, reason, path)
        return cls(files, opened, generation)

    def __del__(self) -> None:
        self._files.close(self._opened)

    def append(self, offset: int, frame: bytes, *, push: bool = False) -> None:
        """Write a frame at ``offset``, behind which there is nothing. After an error nothing is.

        With ``push`` the disk begins with it at once: whoever does something else before they sync
        then waits less.

        Space is zeroed ahead, so that most frames change no size of a file: to sync an overwrite is
        less than half the work of syncing growth. Zeros and frame are one write, and need no sync
        of their own. Raises UncertainError where what was written could not be taken back.
        """
        end = offset + len(frame)
        if self._size is None:
            self._size = self._files.size(self._opened)
        if end <= self._size:
            self._write(offset, frame)
            if push:
                self._files.push(self._opened, offset, len(frame))
            return
        try:
            self._write(offset, frame, end + self._step)
            self._step = min(2 * self._step, _LAST_STEP)
        except BackingError as error:
            if error.errno != errno.ENOSPC:
                raise
            # It may do without the space ahead.
            self._write(offset, frame, end)

    def forget_size(self) -> None:
        """The file may have been made longer or shorter by others."""
        self._size = None

    def _write(self, offset: int, frame: bytes, upto: int = 0) -> None:
        try:
            if upto:
                # Some file systems would show what was on the disk before where a crash comes
                # between growing and writing; in space set aside there are zeros.
                self._files.allocate(self._opened, offset, upto)
                frame = frame.ljust(upto - offset, b"\0")
            self._files.write_at(self._opened, offset, frame)
            self._size = max(self._size or 0, upto)
        except BackingError as error:
            # Not where it is interrupted: all of it may be there, and others have read it.
            try:
                self.cut(offset)
            except BackingError as failure:
                reason = f"{error}; and what was written of it could not be taken back: {failure}"
                raise UncertainError(failure.errno, reason, failure.filename) from error
            raise

    def cut(self, offset: int) -> None:
        """Remove what is behind ``offset``, on the disk when this returns.

        Were it left to the next sync, a crash could show some of it between frames to come.
        """
        self.release(offset)
        self._files.sync_data(self._opened, sure=True)

    def rewrite(self, start: int, end: int) -> None:
        """Write what is there once more, so that the next sync is sure to take it along.

        When a sync fails, the kernel may keep what it failed to write as if it had been written;
        later syncs then pass over it, and a reader sees it until the machine stops.
        """
        for offset in range(start, end, _CHUNK):
            data = self._files.read_at(self._opened, offset, min(_CHUNK, end - offset))
            self._files.write_at(self._opened, offset, data)

    def release(self, offset: int) -> None:
        """Give back the space behind ``offset``, in which nothing was written."""
        self._size = None
        self._files.truncate(self._opened, offset)
