"""Locks of the commit log: one writer at a time, among threads and among processes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from objstore._turns import Taken, take
from objstore.errors import BackingError, BusyError

from .. import names
from ..io import Files, Opened

_POLL: Final = 0.0005
"""How many seconds pass between two looks at a lock, where one waits for so long and no longer."""

_HANDOVERS: Final = 64
"""At 50 us each, other processes wait a few milliseconds longer."""


class LogLock:
    """The writer's lock: flock(2) on a file in the engine's folder, let go when a process dies.

    A thread that lets it go while another one of the process waits leaves the file locked for that
    one, up to _HANDOVERS times in a row; then other processes have their chance.
    """

    def __init__(self, files: Files, path: str | None = None) -> None:
        self._files: Final = files
        self._path: Final = names.lock(files.root) if path is None else path
        self._process: Final = os.getpid()
        self.threads: Final = Lock()
        """Who of this process has it, or waits for other processes."""
        self._waiting: Final[set[object]] = set()
        """A token for each thread that waits for it. To add and to take back one is one step each,
        which an interrupt comes before or behind."""
        # Guarded by threads.
        self._taken: Taken = []
        self._opened: Opened | None = None
        self._is_locked = False
        self._handovers = 0
        self.tenure = 0
        """How often the file was locked: as long as it stays the same, nobody else was there."""
        self.times_opened = 0
        """How often the file was opened: as long as it stays the same, it is the same file."""
        self.made: list[str] = []
        """The folders that were made to have something to lock, outermost first."""

    def __del__(self) -> None:
        self._close()

    @property
    def is_awaited(self) -> bool:
        """Whether another thread of this process waits for it, as of just now."""
        return bool(self._waiting)

    def acquire(self, limit: float | None = None, *, knows_log: Callable[[], bool] = bool) -> Taken:
        """Wait for the lock, and hold it; its file and folder are made if they are missing.

        What is returned tells as long as it is held: also to whom ``release`` was interrupted.
        Raises BusyError after ``limit`` seconds, None for as long as it takes; BackingError where
        the folder is gone, and ``knows_log`` says that there was a log in it.
        """
        until = None if limit is None else time.monotonic() + limit
        taken: Taken = []
        has_made: list[str] | None = None
        try:
            if not take(self.threads, 0, taken):
                self._wait_for_threads(until, taken)
            self._taken = taken
            self.made = has_made = []
            opened = self._opened
            if self._is_locked:
                return taken
            # Most often nobody has it, and its file is there.
            if opened is not None and self._files.lock_opened(opened, wait=False):
                self._locked(True)
            else:
                self._wait_for_processes(until, knows_log)
            return taken
        except BaseException as error:
            if has_made:
                self.unmake(error)
            if taken:
                self._taken = taken
                self.release()
            raise

    def release(self) -> None:
        """Let the next thread have it, of this process if one waits."""
        # Without the guard: who begins to wait just now might as well have begun a moment later.
        hands_over = bool(self._waiting) and self._is_locked and self._handovers < _HANDOVERS
        try:
            if hands_over:
                self._handovers += 1
            else:
                self._let_go()
        except BaseException:
            self._let_go()  # once more, as that was interrupted
            raise
        finally:
            del self._taken[:]
            self.threads.release()
        if hands_over and not self._waiting:
            # Whoever waited may have given up meanwhile.
            with self._if_free():
                pass

    @contextmanager
    def attempted(self) -> Generator[bool]:
        """Hold the lock if nobody else does, and say whether; nothing is made.

        Where there is no file to lock nobody writes, which is as good.
        """
        with self._if_free() as is_mine:
            if not is_mine:
                yield False
                return
            opened = self._reopened(make=False)
            if opened is not None and not self._is_locked:
                self._locked(self._files.lock_opened(opened, wait=False))
            yield self._is_locked or opened is None

    @contextmanager
    def _if_free(self) -> Generator[bool]:
        """Be the thread that has the lock if no other one of the process is, and say whether."""
        taken: Taken = []
        try:
            if take(self.threads, 0, taken):
                self._taken = taken
            yield bool(taken)
        finally:
            if taken:
                self.release()

    def close(self) -> None:
        """Close the file, unless somebody holds the lock or waits for it; it may be used again."""
        with self.threads:
            if not self._is_locked:
                self._close()

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

    def _wait_for_threads(self, until: float | None, taken: Taken) -> None:
        token = object()
        try:
            self._waiting.add(token)
            self._take_turn(until, taken)
            self._waiting.discard(token)
        except BaseException:
            self._waiting.discard(token)
            # The file may have been left locked for this thread.
            take(self.threads, 0, taken)
            raise

    def _take_turn(self, until: float | None, taken: Taken) -> None:
        if not take(self.threads, _left(until), taken):
            raise BusyError("another thread was writing for longer than this one waits")

    def _wait_for_processes(self, until: float | None, knows_log: Callable[[], bool]) -> None:
        while not self._is_locked:
            opened = self._reopened(make=True)
            if opened is None and knows_log():
                # Not even for a moment: whoever watches takes it for the folder that comes back.
                raise log_removed(self._files)
            if opened is None:
                self._files.make_folders(os.path.dirname(self._path), self.made)
            elif until is None:
                self._locked(self._files.lock_opened(opened))
            elif self._files.lock_opened(opened, wait=False):
                self._locked(True)
            elif not self._files.is_at(opened):
                self._locked(False)
            else:
                # flock(2) knows no limit.
                if time.monotonic() > until:
                    raise BusyError("another process was writing for longer than this one waits")
                time.sleep(_POLL)

    def _reopened(self, *, make: bool) -> Opened | None:
        if self._opened is None:
            self._opened = self._files.lockable(self._path, make=make)
            self.times_opened += 1
        return self._opened

    def _locked(self, is_locked: bool) -> None:
        self._is_locked = is_locked
        if is_locked:
            self.tenure += 1
        else:
            # It may be the wrong file by now.
            self._close()

    def _let_go(self) -> None:
        self._is_locked, self._handovers = False, 0
        # A child that was forked while its parent held the lock shares it, and must not end it.
        if self._opened is not None and self._process == os.getpid():
            self._files.unlock_opened(self._opened)

    def _close(self) -> None:
        if self._opened is not None:
            self._files.close(self._opened)
            self._opened = None


def _left(until: float | None) -> float:
    """The seconds until then, as a lock takes them: -1 for no limit."""
    return -1 if until is None else max(until - time.monotonic(), 0)


def log_removed(files: Files) -> BackingError:
    """The error for a handle whose log is not the one at its path any more."""
    reason = "the commit log was removed or replaced while it was in use"
    return BackingError(errno.ENOENT, reason, names.logs(files.root))


@contextmanager
def alone(files: Files, otherwise: str, path: str | None = None) -> Generator[None]:
    """Hold a lock that nobody else has. Raises BusyError, which says ``otherwise``, if one has."""
    lock = LogLock(files, path)
    try:
        lock.acquire(0)
    except BusyError:
        raise BusyError(errno.ETIMEDOUT, otherwise, files.root) from None
    try:
        yield
    finally:
        lock.release()
        lock.close()
