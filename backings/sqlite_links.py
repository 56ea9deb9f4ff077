"""Connections to an SQLite database, pooled and kept through forks; what SQLite's errors mean.

SQLite's locks are the process's: a forked child inherits the library's belief that it holds them,
without the locks (https://www.sqlite.org/howtocorrupt.html, section 2.6). Hence connections are
closed before every fork. One that is in the middle of a transaction or an iteration then cannot be;
the child is refused that database, in words, rather than given a chance to damage it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, RLock
from typing import Final
from urllib.parse import quote
from weakref import WeakSet, ref

import apsw

from objstore.errors import BackingError, CorruptionError, FormatError, StorageError

from . import storages
from .filesystem.io import Files, Opened, real_path
from .inherited import keep_for_ever

_SYNCHRONOUS: Final = {"full": "FULL", "os": "NORMAL"}

_READ_WAIT: Final = 5.0
"""Seconds that a reader waits while somebody mends what a killed process left, which is short."""

_FORK_WAIT: Final = 2.0
"""Seconds that a fork waits for calls of other threads that are under way."""

_WAL_KEPT: Final = 4 * 2**20
"""Bytes that the log keeps of its file once everything in it is in the database."""

_STATEMENTS: Final = 512

_IDLE: Final = 16
"""How many connections are kept that nobody uses: two descriptors each."""

_FLAGS: Final = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE

_ERRNO: Final = {
    apsw.SQLITE_FULL: errno.ENOSPC,
    apsw.SQLITE_PERM: errno.EACCES,
    apsw.SQLITE_NOMEM: errno.ENOMEM,
}
_NEEDS_FOLDER: Final = (
    apsw.SQLITE_READONLY_DIRECTORY,
    apsw.SQLITE_READONLY_CANTINIT,
    apsw.SQLITE_READONLY_RECOVERY,
)
_DESCRIPTORS: Final = 3
"""How many files a connection opens."""

_UNWRITABLE: Final = (apsw.SQLITE_READONLY, apsw.SQLITE_CANTOPEN)
_UNLIKE_WRITTEN: Final = (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB)
_BUSY: Final = (apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED)
_UNKNOWN: Final = apsw.SQLITE_IOERR_FSYNC


ERRORS: Final = (apsw.Error, UnicodeDecodeError)
"""What a call of SQLite's may raise: the second where damage is in a text that it gives."""

_CLOSED: Final = (apsw.ConnectionClosedError, apsw.CursorClosedError)


class Link(apsw.Connection):
    """A connection, used by whoever took it and nobody else."""

    is_held = False
    """Whether it stays with its taker beyond the call."""
    known: ref[Link]
    """How its Links know it."""
    is_parents = False
    """Whether it is that of the process that forked this one."""


def primary(error: BaseException | None) -> int:
    """SQLite's code for an error without its refinement; 0 where it is not one of SQLite's."""
    return getattr(error, "result", 0)


def _refined(error: Exception) -> int:
    return getattr(error, "extendedresult", 0)


def is_busy(error: BaseException) -> bool:
    return primary(error) in _BUSY


def is_overtaken(error: Exception) -> bool:
    """Whether a reader may not write as somebody else has written since it read."""
    return _refined(error) == apsw.SQLITE_BUSY_SNAPSHOT


def is_missing_table(error: BaseException) -> bool:
    return isinstance(error, apsw.SQLError) and "no such table: " in str(error)


def is_unwritable(error: BaseException | None) -> bool:
    """Whether SQLite could open a file for reading at most, or not at all.

    Its connection takes the file for such from then on, whatever the reason was, as do those that
    share what it has open.
    """
    return primary(error) in _UNWRITABLE


def mapped(error: Exception, path: str, wait: float = _READ_WAIT) -> StorageError | FormatError:
    """What a caller is told instead of SQLite's error."""
    code = primary(error)
    if isinstance(error, _CLOSED):
        return storages.closed(path)
    if code in _BUSY:
        return storages.busy(path, wait)
    if isinstance(error, UnicodeDecodeError) or code in _UNLIKE_WRITTEN:
        return CorruptionError(str(error), file=path)
    if code == apsw.SQLITE_TOOBIG:
        return FormatError("the value is larger than SQLite stores", source=path)
    name = _name(error)
    number = _number(error, path)
    if number:
        reason = f"{path}: {error} ({name}): {os.strerror(number)}"
        if _refined(error) in _NEEDS_FOLDER:
            reason += "; SQLite has to write in the folder, to read it as well"
        if _refined(error) == _UNKNOWN:
            reason += "; whether the commit is stored shows when the storage is next opened"
        return BackingError(number, reason, path)
    return StorageError(f"{path}: {error} ({name})")


def _number(error: Exception, path: str) -> int:
    """The operating system's number for what it refused; 0 where it refused nothing."""
    code = primary(error)
    if code == apsw.SQLITE_IOERR:
        return errno.EIO
    if not is_unwritable(error):
        return _ERRNO.get(code, 0)
    file = real_path(path)
    folder = os.path.dirname(file)
    files = Files(folder)
    if files.stat(file) is None:
        return errno.ENOENT
    if code == apsw.SQLITE_READONLY and files.is_readonly_medium(file):
        return errno.EROFS
    return _why_unopened(files, folder, file)


def _why_unopened(files: Files, folder: str, file: str) -> int:
    """What SQLite does not tell where it cannot open a file: whether too many are open, or there
    is no room for another.

    The folder is opened instead, as often: to close the database would let go of its locks.
    """
    opened: list[Opened | None] = []
    try:
        opened.extend(files.open(folder) for _ in range(_DESCRIPTORS))
    except BackingError as error:
        return error.errno or errno.EACCES
    finally:
        for one in filter(None, opened):
            files.close(one)
    if files.is_full():
        return errno.ENOSPC
    # If it may write them all, what was in the way is over, as where too many were open.
    return errno.EAGAIN if _may_write(files, file) else errno.EACCES


def _may_write(files: Files, file: str) -> bool:
    """Whether this process has the permission to write to all that SQLite opens."""
    paths = (os.path.dirname(file), file, f"{file}-wal", f"{file}-shm")
    return all(map(files.may_write, filter(files.exists, paths)))


def _name(error: Exception) -> str:
    """What SQLite's documentation calls an error."""
    refined = apsw.mapping_extended_result_codes.get(_refined(error))
    plain = apsw.mapping_result_codes.get(primary(error), type(error).__name__)
    return str(refined or plain)


class Links:
    """The connections to one database. What is idle is anybody's; what is taken is one thread's."""

    def __init__(
        self, path: str, *, readonly: bool, durability: str, in_child: Callable[[], None]
    ) -> None:
        self.path: Final = path
        self._in_child: Final = in_child
        """Told when this is a forked child, where nothing that was begun goes on."""
        self._readonly: Final = readonly
        self._synchronous: Final = _SYNCHRONOUS[durability]
        # Lists, as append and pop are one step each, so that no lock is needed for them.
        self._idle: Final[tuple[list[Link], list[Link]]] = ([], [])
        """By whether they write: those that do never wait within SQLite, but for their turn."""
        self._gate = Lock()
        """Held by whoever makes a connection, and during a fork."""
        # Its steps are one each as well. Weak, so that what an interrupted taker leaves behind is
        # closed. A link leaves it when its closing is over, which takes locks too.
        self._all: Final[set[ref[Link]]] = set()
        self._through_fork: list[Link] = []
        self.closed = self._keeps_none = False
        with no_fork:
            _databases.add(self)  # of which a fork under way would not know

    def take(self, *, write: bool = False) -> Link:
        try:
            return self._idle[write].pop()
        except IndexError:
            return self._make(write)

    def give(self, link: Link, *, write: bool = False) -> None:
        """Take back a connection that is in no transaction."""
        idle = self._idle[write]
        if link.is_parents or (self.closed and link.known not in self._all):
            return  # or one that was closed meanwhile
        if len(idle) < _IDLE:
            idle.append(link)
        else:
            self._close(link)
        if self._keeps_none:
            self._close_idle()

    def give_failed(self, link: Link, error: BaseException) -> None:
        """Take back a connection whose first statement raised this, and began nothing."""
        if is_busy(error) or is_missing_table(error):
            self.give(link, write=True)
        else:
            self.drop(link, error)

    def finish(self, link: Link) -> None:
        """Take back a connection that was reading one state."""
        link.is_held = False
        if link.is_parents or link.known not in self._all:
            return  # as in ``give``
        try:
            link.execute("ROLLBACK")
        except ERRORS:
            self._close(link)
        else:
            self.give(link)

    def close(self) -> None:
        """Close all but what is within a call just now, which follows when that is over."""
        self.closed = self._keeps_none = True
        self._close_idle()
        for link in self._there():
            if link.is_held:
                self._close(link)

    def drop(self, link: Link, error: BaseException | None = None) -> None:
        """Close a taken connection that something is wrong with, or that nobody will give back."""
        link.is_held = False
        if link.known in self._all:
            self._close(link)
        # What is idle may share a file that could be opened for reading alone. It is as good as
        # ever where that is how it is: some of it may have been open before.
        if is_unwritable(error) and _may_write(Files(os.path.dirname(self.path)), self.path):
            self._close_idle()

    def _close_idle(self) -> None:
        for idle in self._idle:
            while idle:
                with suppress(IndexError):  # another thread was faster
                    self._close(idle.pop())

    def _close(self, link: Link) -> None:
        # SQLite rolls back what was not committed. What it could not move from the log into the
        # database at this occasion stays in the log, durable: it is no error.
        try:  # noqa: SIM105 - suppress takes memory, and there may be none
            link.close()
        except ERRORS:
            pass
        self._all.discard(link.known)

    def _make(self, write: bool) -> Link:
        with self._gate:
            if self.closed:
                raise storages.closed(self.path)
            _require_own(self.path)
            try:
                link = connect(self.path, readonly=self._readonly)
                self._set_up(link, write)
            except ERRORS as error:
                raise mapped(error, self.path) from error
            link.known = ref(link, self._all.discard)
            self._all.add(link.known)
            return link

    def _set_up(self, link: Link, write: bool) -> None:
        try:
            link.execute(f"PRAGMA synchronous = {self._synchronous}")
            link.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
            if write:
                link.set_busy_timeout(0)
        except BaseException:
            link.close()
            raise

    # --- forks ------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close what is idle, wait for calls under way, for a while, and let none begin."""
        self._gate.acquire()
        self._keeps_none = True  # or another thread would take what it gives, again and again
        end = time.monotonic() + _FORK_WAIT
        self._close_idle()
        while self._under_way() and time.monotonic() < end:
            time.sleep(0.0005)
            self._close_idle()
        # Kept, as their last reference may go in the child, where they must not be closed.
        self._through_fork = self._there()

    def _under_way(self) -> bool:
        return any(not link.is_held for link in self._there())

    def _there(self) -> list[Link]:
        return [link for known in list(self._all) if (link := known()) is not None]

    def after_fork_in_parent(self) -> None:
        self._through_fork = []
        self._keeps_none = self.closed
        self._gate.release()

    def after_fork_in_child(self) -> None:
        """Have no connection, and refuse the file where the parent was using one."""
        if self._through_fork:
            for link in self._through_fork:
                link.is_parents = True
                keep_for_ever(link)
            found = Files(os.path.dirname(self.path)).stat(self.path)
            if found is not None:
                _foreign.add((found.st_dev, found.st_ino))
        self._through_fork = []
        self._keeps_none = self.closed
        self._all.clear()
        for idle in self._idle:
            idle.clear()
        self._gate = Lock()
        self._in_child()


# All databases of this process; and the files that its parent was using when it was forked.
_databases: Final[WeakSet[Links]] = WeakSet()
_foreign: Final[set[tuple[int, int]]] = set()


def connect(path: str, *, readonly: bool = False) -> Link:
    """A connection to the database at ``path``, which is there. Raises apsw.Error."""
    mode = "ro" if readonly else "rw"
    if _is_at_rest(path):
        mode = "ro&immutable=1"
    link = Link(
        f"file:{quote(os.fsencode(path))}?mode={mode}", flags=_FLAGS, statementcachesize=_STATEMENTS
    )
    link.set_busy_timeout(round(1000 * _READ_WAIT))
    return link


def _is_at_rest(path: str) -> bool:
    """Whether nobody can be writing: the medium is read-only, and no log is left on it.

    SQLite would make files beside the database for readers, which cannot be there.
    """
    files = Files(os.path.dirname(path))
    log = files.stat(f"{path}-wal")
    return files.is_readonly_medium(path) and (log is None or log.st_size == 0)


def _require_own(path: str) -> None:
    if not _foreign:
        return
    found = Files(os.path.dirname(path)).stat(path)
    if found is not None and (found.st_dev, found.st_ino) in _foreign:
        raise StorageError(
            f"{path} cannot be used in this process: it was forked in the middle of a transaction "
            "or an iteration; fork before it or after it"
        )


no_fork: Final = RLock()
"""Held during a fork, and by who uses a connection that no Links knows of, which is to be short."""
copying_to: Final[set[str]] = set()
"""The files of backups that are being made, which a fork waits for as for calls."""
_forking: Final[list[Links]] = []
"""The databases that the fork under way was told to; guarded by no_fork."""


def _before_fork() -> None:
    end = time.monotonic() + _FORK_WAIT
    while copying_to and time.monotonic() < end:
        time.sleep(0.0005)
    no_fork.acquire()
    _forking.extend(_databases)
    for links in _forking:
        links.before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    no_fork.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()
    no_fork.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
