"""Up to which commit all are in their files, as the processes of this run of the machine say.

A commit says so of those before it. This is for the newest: somebody who sets its file back by hand
makes the same file as there is before the commit has reached it.
"""

from __future__ import annotations

import stat
from typing import Final

from objstore.errors import BackingError

from .. import names
from ..io import Files, Opened
from ..log.frames import crc32c
from ..temporaries import replace

_LENGTH: Final = 36 + 1 + 20 + 1 + 8 + 1
"""Of the line, always: it is written over, and may be read meanwhile."""

_ATTEMPTS: Final = 3
"""How often a line is read that does not fit its checksum, as somebody is at it."""


class Written:
    """The file that says so. Format: docs/formats/commit-log.md."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._path: Final = names.written(files.root)
        self._opened: Opened | None = None
        self._head = -1
        """The newest commit when this handle wrote it last."""

    def __del__(self) -> None:
        self.close()

    def upto(self, store: str) -> int:
        """The newest commit of which that is said; 0 for none."""
        for _ in range(_ATTEMPTS):
            found = self._files.read(self._path, _LENGTH)
            if found is None:
                break
            number = _parse(found.data, store)
            if number is not None:
                return number
        return 0

    def note(self, store: str, done: int, head: int, *, is_own: bool) -> None:
        """Say it of all up to ``done``, for who holds the writer's lock; ``head`` is the newest,
        and ``is_own`` whether this handle has made it.

        Not synced, it holds as long as the machine runs on. Where it cannot be written, it is
        missed only where somebody sets back a file by hand.
        """
        try:
            opened = self._opened = self._opened or self._files.open(self._path, write=True)
            if opened is None:
                replace(self._files, self._path, _line(store, done), sync=False)
            elif (is_own and head == self._head + 1) or not self._is_said(
                opened, store, done, head
            ):  # where it has made the only commit since, nobody else has said anything
                self._files.write_at(opened, 0, _line(store, done))
            self._head = head
        except BackingError:
            self.close()

    def _is_said(self, opened: Opened, store: str, done: int, head: int) -> bool:
        """Whether others have said as much already. More than there is, is of a longer log."""
        said = _parse(self._files.read_at(opened, 0, _LENGTH), store)
        return said is not None and done <= said <= head

    def forget(self) -> None:
        """Say nothing any more."""
        self.close()
        found = self._files.lstat(self._path)
        if found is not None and not stat.S_ISDIR(found.st_mode):  # which says nothing
            self._files.unlink(self._path)

    def close(self) -> None:
        """Keep no file open, until something is noted once more."""
        opened, self._opened, self._head = self._opened, None, -1
        if opened is not None:
            self._files.close(opened)


def _line(store: str, done: int) -> bytes:
    said = f"{store} {done:020d}"
    return f"{said} {crc32c(said.encode()):08x}\n".encode()


def _parse(data: bytes, store: str) -> int | None:
    """The number in a line; None for a line of another store, or none at all."""
    number = data[37:57]
    is_number = len(data) >= _LENGTH and number.isdigit()
    return int(number) if is_number and data[:_LENGTH] == _line(store, int(number)) else None
