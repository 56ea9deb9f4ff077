"""The making of a log, with the first record; and its taking back, should that fail.

A crash at any step leaves either nothing that counts or a log that opens: the log's first file says
all that it takes to read it. The manifest is last. Where it is, all else is on the disk, or was.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from objstore.errors import BackingError

from .. import git, names
from ..io import Files
from . import logappend
from .logfile import Start
from .loglock import LogLock
from .manifest import Manifest


class Making:
    """One attempt, by who holds the writer's lock."""

    def __init__(self, files: Files, lock: LogLock) -> None:
        self._files: Final = files
        self._lock: Final = lock
        self._root: Final = files.root
        self._made: Final[list[tuple[Callable[[str], None], str]]] = []

    def run(self) -> None:
        """Make all, on the disk when this returns. Raises BackingError."""
        store = uuid4()
        folders: list[str] = []
        try:
            self._files.make_folders(names.logs(self._root), folders)
        finally:
            self._made.extend((self._files.remove_folder, folder) for folder in folders)
        self._put(names.log(self._root, 1), Start(store, 1, 0, None).encode())
        self.finish(store)

    def finish(self, store: UUID) -> None:
        """Do what is left where a log is and no manifest: that comes last."""
        self._put(names.ignore(self._root), git.IGNORE_ALL)
        made = (names.logs(self._root), names.engine(self._root), self._root)
        above = map(os.path.dirname, (*made, *reversed(self._lock.made)))
        for folder in dict.fromkeys((names.logs(self._root), *above)):
            self._files.sync_folder(folder, sure=True)
        self._put(names.manifest(self._root), Manifest(store, {}).encode())

    def undo(self, error: BaseException | None) -> None:
        """Remove what was made, the last first; what cannot be removed is noted on ``error``."""
        while self._made:
            remove, path = self._made.pop()
            try:
                remove(path)
            except BackingError as failure:
                if error is not None:
                    error.add_note(str(failure))

    def _put(self, path: str, data: bytes) -> None:
        self._made.append((self._files.unlink, path))
        logappend.replace(self._files, path, data)
