"""Locks of the commit log: one writer at a time, among threads and among processes."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from types import TracebackType
from typing import Final

from objstore.errors import BackingError

from . import names
from .io import Files


class ThreadLock:
    """A lock of threads that is free in a forked child, whatever the parent's threads held."""

    __slots__ = ("_lock", "_process")

    def __init__(self) -> None:
        self._lock = Lock()
        self._process = os.getpid()

    def acquire(self, *, wait: bool = True) -> bool:
        if self._process != os.getpid():
            self._lock, self._process = Lock(), os.getpid()
        return self._lock.acquire(wait)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class LogLock:
    """The writer's lock: flock(2) on a file in the engine's folder, let go when a process dies."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._path: Final = names.lock(files.root)
        self._threads: Final = ThreadLock()
        # The fields below are guarded by _threads.
        self._descriptor = -1
        self.made: list[str] = []
        """The folders that were made so that there is something to lock, outermost first."""

    @contextmanager
    def held(self) -> Generator[None]:
        """Wait for the lock, and hold it; its file and folder are made if they are missing."""
        with self._threads:
            self.made = []
            descriptor = self._wait()
            try:
                yield
            finally:
                self._files.unlock(descriptor)

    @contextmanager
    def attempted(self) -> Generator[bool]:
        """Hold the lock if nobody else does, and say whether; nothing is made.

        Where there is no file to lock nobody writes, which is as good.
        """
        if not self._threads.acquire(wait=False):
            yield False
            return
        try:
            there = self._files.exists(self._path)
            descriptor = self._files.lock_file(self._path, make=False, wait=False)
            try:
                yield descriptor is not None or not there
            finally:
                if descriptor is not None:
                    self._files.unlock(descriptor)
        finally:
            self._threads.release()

    def unmake(self, error: BaseException | None) -> None:
        """While it is held: remove the lock's file and the folders, if they were made for it.

        What cannot be removed is noted on ``error``.
        """
        if not self.made:
            return
        steps = [(self._files.unlink, self._path)]
        steps += [(self._files.remove_folder, folder) for folder in reversed(self.made)]
        for step, path in steps:
            try:
                step(path)
            except BackingError as failure:
                if error is not None:
                    error.add_note(str(failure))
                return

    def _wait(self) -> int:
        try:
            while (descriptor := self._files.lock_file(self._path)) is None:
                self._files.make_folders(os.path.dirname(self._path), self.made)
            return descriptor
        except BaseException as error:
            self.unmake(error)
            raise
