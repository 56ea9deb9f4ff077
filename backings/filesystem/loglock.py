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
from .io import Files, Opened


_HANDOVERS: Final = 64
"""At 50 us each, other processes wait a few milliseconds longer."""


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
    """The writer's lock: flock(2) on a file in the engine's folder, let go when a process dies.

    A thread that lets it go while another one of the process waits leaves the file locked for that
    one, up to _HANDOVERS times in a row; then other processes have their chance.
    """

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._path: Final = names.lock(files.root)
        self._threads: Final = ThreadLock()
        self._guard: Final = ThreadLock()
        # Guarded by _guard.
        self._waiting = 0
        self._process = os.getpid()
        # Guarded by _threads.
        self._opened: Opened | None = None
        self._handovers = 0
        self._is_kept = False
        """Whether the file is still locked, by the thread that let go before."""
        self.tenure = 0
        """How often the file was locked: the same number as before, and nobody else was there."""
        self.made: list[str] = []
        """The folders that were made to have something to lock, outermost first."""
        self.times_opened = 0
        """Greater than before where the file that is locked may be another one."""

    def __del__(self) -> None:
        self._close()

    def acquire(self) -> None:
        """Wait for the lock, and hold it; its file and folder are made if they are missing."""
        self._wait_for_threads()
        try:
            self.made = []
            if not self._is_kept:
                self._wait_for_processes()
                self.tenure += 1
        except BaseException as error:
            self.unmake(error)
            self.release()
            raise

    def release(self) -> None:
        with self._guard:
            self._is_kept = self._waiting > 0 and self._handovers < _HANDOVERS
        try:
            if self._is_kept:
                self._handovers += 1
            else:
                self._handovers = 0
                if self._opened is not None:
                    self._files.unlock_opened(self._opened)
        finally:
            self._threads.release()

    @contextmanager
    def attempted(self) -> Generator[bool]:
        """Hold the lock if nobody else does, and say whether; nothing is made.

        Where there is no file to lock nobody writes, which is as good.
        """
        self._renew()
        if not self._threads.acquire(wait=False):
            yield False
            return
        try:
            opened = self._reopened(make=False)
            is_held = self._is_kept or opened is None or self._files.lock_opened(opened, wait=False)
            if not self._is_kept:
                self.tenure += 1
            yield is_held
        finally:
            self.release()

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

    def _wait_for_threads(self) -> None:
        self._renew()
        with self._guard:
            self._waiting += 1
        try:
            self._threads.acquire()
        except BaseException:
            self._count_out()
            if self._threads.acquire(wait=False):
                # The file may have been left locked for this thread.
                self.release()
            raise
        self._count_out()

    def _count_out(self) -> None:
        with self._guard:
            self._waiting -= 1

    def _wait_for_processes(self) -> None:
        while True:
            opened = self._reopened(make=True)
            if opened is None:
                self._files.make_folders(os.path.dirname(self._path), self.made)
            elif self._files.lock_opened(opened):
                return
            else:
                self._close()

    def _reopened(self, *, make: bool) -> Opened | None:
        if self._opened is None:
            self._opened = self._files.lockable(self._path, make=make)
            self.times_opened += 1
        return self._opened

    def _renew(self) -> None:
        """In a forked child: forget the parent's threads, and share no lock with it."""
        with self._guard:
            if self._process != os.getpid():
                self._process, self._waiting, self._is_kept = os.getpid(), 0, False
                self._close()

    def _close(self) -> None:
        if self._opened is not None:
            self._files.close(self._opened)
            self._opened = None
