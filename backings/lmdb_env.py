"""LMDB environments: one a process and file, however many Storages use it.

LMDB's locks are POSIX locks, which are the process's: a file must not be opened twice in it, and
what a process has open is no use to a forked child. Hence Storages share an environment; a child
closes its parent's, and opens its own when it is first used. Where a transaction or an iteration is
under way at the fork that would end the parent's too, and the child is refused the file instead.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any, Final, Protocol, TypeAlias, cast
from weakref import WeakSet

import lmdb

from objstore._turns import Taken, take
from objstore.errors import BackingError, BusyError, CorruptionError, StorageError

from . import storages
from .filesystem import names
from .filesystem.io import Files, Opened
from .inherited import keep_for_ever

_LARGEST: Final = 2**40
"""Bytes of address space that a map is given at first, if the machine has them to give: they cost
nothing, and where all processes begin with them a map need not grow under anybody's reading."""

_SMALLEST: Final = 2**26
_READERS: Final = 1024
_FIRST_PAUSE: Final = 0.0002
_LONGEST_PAUSE: Final = 0.01
_FORK_WAIT: Final = 2.0

Txn: TypeAlias = "lmdb.Transaction[bytes]"
Begin = Callable[..., Txn]


def mapped(error: lmdb.Error, path: str) -> StorageError:
    """What a caller is told instead of LMDB's error."""
    reason = f"{path}: {error}"
    if isinstance(error, _UNLIKE_WRITTEN):
        return CorruptionError(str(error), file=path)
    if isinstance(error, lmdb.PanicError):
        reason += "; close each storage of this file in this process, and open it anew"
        return BackingError(errno.EIO, reason, path)
    if "closed" in str(error):
        return storages.closed(path)
    number = _number(error, path)
    if number == errno.EIO and Files(path).is_full():
        # LMDB's word for a write that was cut short.
        number = errno.ENOSPC
        reason = f"{path}: {os.strerror(number)} ({error})"
    return BackingError(number, reason, path) if number else StorageError(reason)


def _number(error: lmdb.Error, path: str) -> int:
    """The operating system's number in an error; LMDB's own are negative."""
    if isinstance(error, lmdb.ReadonlyError):
        return errno.EROFS if Files(path).is_readonly_medium(path) else errno.EACCES
    code = getattr(error, "code", 0)
    return code if code > 0 and type(error) not in _NUMBERS else _NUMBERS.get(type(error), 0)


_UNLIKE_WRITTEN: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
)

_NUMBERS: Final[dict[type[lmdb.Error], int]] = {
    lmdb.MapFullError: errno.ENOMEM,
    lmdb.LockError: errno.EACCES,
    lmdb.MemoryError: errno.ENOMEM,
}


class Environment:
    """One file's environment in this process, the turn to write to it, and who is reading."""

    def __init__(self, folder: str, durability: str, map_size: int | None) -> None:
        self.folder: Final = folder
        self.durability: Final = durability
        self.users = 0  # guarded by shared_lock
        self.turn = Lock()
        """Held by the one thread that writes, or waits for other processes to let it."""
        self.begin: Begin = self._begin_first
        """Begins a transaction; as quick as LMDB is, and replaced where it has to wait."""
        self.held: set[object] = set()
        """Transactions and iterations that last longer than a call."""
        self._map_size: Final = map_size
        self._gate = Lock()
        """Held by whoever opens, closes, grows or forks. Guards the fields below."""
        self._env: lmdb.Environment | None = None
        self._lock: Opened | None = None
        self._files: Final = Files(folder)
        self._foreign = self._is_closed = False
        self._has_turn = self._is_quiet = False

    # --- opening ----------------------------------------------------------------------------------

    def _begin_first(self, **options: Any) -> Txn:
        """Begin a transaction after opening, or when those are done who must be alone."""
        with self._gate:
            env = self._opened()
            self.begin = env.begin
        return cast("Txn", env.begin(**options))

    def _opened(self) -> lmdb.Environment:
        if self._is_closed:
            raise storages.closed(self.folder)
        if self._foreign:
            raise StorageError(
                f"{self.folder} cannot be used in this process: it was forked in the middle of a "
                "transaction or an iteration; fork before it or after it"
            )
        if self._env is None:
            self._env = self._open()
            self._require_whole(self._env)
            self._env.reader_check()
        return self._env

    def _require_whole(self, env: lmdb.Environment) -> None:
        """Raise CorruptionError where the file lost its end, as to read there ends the process."""
        data = names.lmdb_data(self.folder)
        size = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        found = self._files.stat(data)
        if found is None or found.st_size < size:
            env.close()
            self._env = None
            there = 0 if found is None else found.st_size
            raise CorruptionError(f"the file has {there} bytes of {size}", file=data)

    def _open(self) -> lmdb.Environment:
        data = names.lmdb_data(self.folder)
        readonly = self._files.is_readonly_medium(data) or not self._files.may_write(data)
        lock = not self._files.is_readonly_medium(data)
        size = self._map_size or _LARGEST
        while True:
            try:
                return open_environment(
                    self.folder,
                    size=size,
                    readonly=readonly,
                    lock=lock,
                    metasync=self.durability == "full",
                )
            except (lmdb.MemoryError, lmdb.Error) as error:
                if isinstance(error, lmdb.ReadonlyError):
                    notes = names.lmdb_lock(self.folder)
                    reason = f"{error}; LMDB has to write to {notes}, to read as well"
                    raise BackingError(errno.EACCES, reason, self.folder) from error
                # Address space is scarce in some containers.
                if getattr(error, "code", 0) != errno.ENOMEM or size <= _SMALLEST:
                    raise mapped(error, self.folder) from error
                size //= 4

    @contextmanager
    def opened(self) -> Generator[lmdb.Environment]:
        """LMDB's environment, for what is about it as a whole."""
        with self._gate:
            env = self._opened()
        try:
            yield env
        except lmdb.Error as error:
            raise mapped(error, self.folder) from error

    def main(self, txn: Txn) -> Any:
        """LMDB's name for all of the file, where it wants one."""
        with self._gate:
            return self._opened().open_db(None, txn=txn)

    def close(self) -> None:
        """Close what is open; who comes too late gets ClosedError."""
        with self._gate:
            self._is_closed = True
            self.begin = self._begin_first
            if self._env is not None:
                self._env.close()
                self._env = None
            if self._lock is not None:
                self._files.close(self._lock)
                self._lock = None

    # --- the turn to write ------------------------------------------------------------------------

    def take_turn(self, wait: float, taken: Taken) -> None:
        """Wait until nobody else writes, in this process or another.

        Raises BusyError. ``taken`` tells whether ``end_turn`` is to follow, after an error too.
        """
        lock = self._lock
        if take(self.turn, 0, taken) and lock is not None and self._files.try_lock(lock):
            return
        end = time.monotonic() + wait
        if not (taken or take(self.turn, wait, taken)):
            raise storages.busy(self.folder, wait)
        self._lock_out(end, wait)

    def _lock_out(self, end: float, wait: float) -> None:
        # LMDB has a lock of its own, which it waits for without a limit; who has ours has that,
        # unless somebody has removed our file.
        pause = _FIRST_PAUSE
        lock = self._lock
        if lock is None:
            lock = self._lock = self._files.lockable(names.lmdb_turn(self.folder))
            if lock is None:
                raise storages.no_storage(self.folder)
        while not self._files.try_lock(lock):
            left = end - time.monotonic()
            if left <= 0:
                raise storages.busy(self.folder, wait)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def end_turn(self, taken: Taken) -> None:
        """Let others write, if it was taken."""
        if taken:
            if self._lock is not None:
                self._files.unlock_opened(self._lock)
            del taken[:]
            self.turn.release()

    # --- being alone ------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, wait: float) -> Generator[bool]:
        """Keep others from beginning anything; whether all that was begun has ended in time."""
        with self._gate:
            self.begin = self._begin_first
            try:
                yield self._is_quiet_within(wait)
            finally:
                if self._env is not None:
                    self.begin = self._env.begin

    def _is_quiet_within(self, wait: float) -> bool:
        end = time.monotonic() + wait
        while self._env is not None and self._readers(self._env):
            if time.monotonic() > end:
                return False
            time.sleep(0.0005)
        return True

    def _readers(self, env: lmdb.Environment) -> int:
        """How many readers of this process LMDB knows of: those that see a state, not the spare."""
        own = str(os.getpid())
        found = [line.split() for line in env.readers().splitlines()]
        return sum(line[:1] == [own] and line[-1] != "-" for line in found)

    def grow(self, wait: float, *, full: bool) -> None:
        """Double a map that is full, or make it as large as another process has made it.

        No transaction of this thread may run. Raises BusyError where this process goes on reading
        for longer than ``wait`` seconds.
        """
        with self._alone(wait) as quiet:
            if not quiet:
                reason = (
                    "the file has to grow, and this process has been reading it for longer than "
                    f"this writer waits ({wait:g} s)"
                )
                raise BusyError(errno.ETIMEDOUT, reason, self.folder)
            env = self._opened()
            try:
                env.set_mapsize(2 * env.info()["map_size"] if full else 0)
            except lmdb.Error as error:
                self._env = None
                raise mapped(error, self.folder) from error

    # --- forks ------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until nothing is under way, for a while, and let nothing begin."""
        # Whoever has the turn within a call ends it soon; a child cannot use the file in any case
        # where somebody has it for longer.
        self._has_turn = not self.held and self.turn.acquire(timeout=_FORK_WAIT)
        self._gate.acquire()
        self.begin = self._begin_first
        self._is_quiet = not self.held and self._has_turn and self._is_quiet_within(_FORK_WAIT)
        if self._is_quiet and self._env is not None:
            # Drops the spare reader too, which the child would otherwise end for the parent.
            self._env.set_mapsize(self._env.info()["map_size"])

    def after_fork_in_parent(self) -> None:
        if self._env is not None:
            self.begin = self._env.begin
        self._gate.release()
        if self._has_turn:
            self.turn.release()

    def after_fork_in_child(self) -> None:
        """Have nothing open, and leave alone what is the parent's."""
        if self._lock is not None:
            # Another descriptor of the parent's lock; to unlock it would unlock the parent's.
            self._files.close(self._lock)
            self._lock = None
        if not self._is_quiet:
            self._foreign = True
            keep_for_ever(self._env)
        elif self._env is not None:
            self._env.close()
        self._env = None
        self.held = set()
        self.turn = Lock()
        self._gate = Lock()


def open_environment(
    folder: str, *, size: int, readonly: bool = False, lock: bool = True, metasync: bool = True
) -> lmdb.Environment:
    """LMDB's environment of a folder, with our settings. Raises lmdb.Error."""
    return lmdb.open(
        os.fsencode(folder),
        map_size=size,
        readonly=readonly,
        lock=lock,
        metasync=metasync,
        create=False,
        max_readers=_READERS,
        readahead=False,
        mode=0o644,
    )


# Guarded by shared_lock, which is held during a fork.
_shared: Final[dict[tuple[int, int], Environment]] = {}
shared_lock: Final = RLock()


def shared(folder: str, durability: str, map_size: int | None) -> Environment:
    """The environment of a folder, for one more user. Raises ValueError for other durability."""
    found = Files(folder).stat(names.lmdb_data(folder))
    if found is None:
        raise storages.no_storage(folder)
    with shared_lock:
        key = (found.st_dev, found.st_ino)
        environment = _shared.get(key)
        if environment is None:
            environment = _shared[key] = Environment(folder, durability, map_size)
        elif environment.durability != durability:
            raise ValueError(
                f"durability is {environment.durability!r} for all that use {folder} in this "
                f"process, not {durability!r}"
            )
        environment.users += 1
        return environment


def leave(environment: Environment) -> None:
    """One user less; the last one closes it."""
    with shared_lock:
        environment.users -= 1
        close_unused(environment)


def close_unused(environment: Environment) -> None:
    """Close what the last user has left."""
    with shared_lock:
        if environment.users == 0:
            for key in [key for key, one in _shared.items() if one is environment]:
                del _shared[key]
            environment.close()


def _before_fork() -> None:
    shared_lock.acquire()
    for environment in _shared.values():
        environment.before_fork()


def _after_fork_in_parent() -> None:
    for environment in _shared.values():
        environment.after_fork_in_parent()
    shared_lock.release()


def _after_fork_in_child() -> None:
    for environment in _shared.values():
        environment.after_fork_in_child()
    shared_lock.release()
    for storage in list(storages_of_all):
        storage.forget()


class Forgets(Protocol):
    """What begins anew in a forked child."""

    def forget(self) -> None: ...


storages_of_all: Final[WeakSet[Forgets]] = WeakSet()

os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
