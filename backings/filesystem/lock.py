"""The writer's lock: one commit at a time, among threads and among processes."""

from __future__ import annotations

import os
from threading import Lock
from types import TracebackType
from typing import Final

from objstore.errors import BackingError

from .io import Files


class WriterLock:
    """A context manager that holds the lock on the store's folder, which it makes if need be.

    Readers take no lock. When the block fails, a folder that was made for it is removed again.
    """

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._threads = Lock()
        self._process = os.getpid()
        # The fields below are guarded by _threads.
        self._descriptor = -1
        self.made: list[str] = []
        """The folders made for the store, outermost first."""

    def __enter__(self) -> WriterLock:
        if self._process != os.getpid():
            # After a fork: whoever held the lock of threads is not in this process.
            self._process, self._threads = os.getpid(), Lock()
        self._threads.acquire()
        self.made = []
        try:
            self._descriptor = self._lock()
        except BaseException as error:
            self._unmake(error)
            self._threads.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._unmake(error)
            self._files.unlock(self._descriptor)
        finally:
            self._threads.release()

    def _lock(self) -> int:
        descriptor = self._files.lock(self._files.root)
        while descriptor is None:
            self._files.make_folders(self._files.root, self.made)
            descriptor = self._files.lock(self._files.root)
        return descriptor

    def _unmake(self, error: BaseException) -> None:
        for folder in reversed(self.made):
            try:
                self._files.remove_folder(folder)
            except BackingError as kept:
                error.add_note(str(kept))
