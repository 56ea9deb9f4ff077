"""The part of the seam that has files open: to read and write at any place, and to lock.

It also makes new files and syncs, and says what the operating system refuses, for all of the seam.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import time
from typing import Final, NamedTuple, NoReturn

from objstore._refusals import require_refusal
from objstore.errors import BackingError, LayoutError

READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a fifo must not block
FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC

_PATH_ONLY: Final[int | None] = getattr(os, "O_PATH", None)

# On macOS fsync leaves the data in the drive's cache; this is what flushes that too.
_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_CANNOT_SYNC_FULLY: Final = frozenset((errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY))
"""What disks of other systems, and on a network, say to it."""

# What macOS has not, nor some file systems, which then take the space as it is written.
_ALLOCATE: Final = getattr(os, "posix_fallocate", None)
_CANNOT_ALLOCATE: Final = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))

_MAY_NOT_WRITE: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))

# What macOS has not, nor two file systems between each other.
_COPY: Final = getattr(os, "copy_file_range", None)
_CANNOT_COPY: Final = frozenset((errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))

# A file without a name, on Linux.
_NAMELESS: Final[int | None] = getattr(os, "O_TMPFILE", None)
_CHANGES: Final = 4
_TICK_NS: Final = 1_000_000
"""The least between two ticks of a coarse clock: no kernel has more than 1000 a second."""

_ADVISE: Final = getattr(os, "posix_fadvise", None)


class UncertainError(BackingError):
    """What is on the disk is unknown: an fsync failed, or a change could not be taken back.

    Asking fsync again would not tell, as the kernel reports a failure once and may have dropped
    the data (fsync(2)); hence whoever sees this must not write again.
    """


class Opened(NamedTuple):
    """An open file."""

    descriptor: int
    path: str
    """What errors and fault points name."""
    identity: tuple[int, int] | None = None
    """Device and inode, of a file that is locked again and again."""


class OpenFiles:
    """What ``Files`` does with files that it has open."""

    __slots__ = ("below", "root", "sync", "umask", "was_folder")

    def __init__(self, root: str, *, sync: bool = True, umask: int | None = None) -> None:
        real = _real(root)
        self.root: Final = real[0]
        self.was_folder: Final = real[1]
        """Whether a folder was there when this was made. True is sure, at no cost; if not, ask."""
        self.below: Final = self.root.rstrip("/") + "/"
        """What the path of everything in the folder begins with."""
        self.sync: Final = sync
        self.umask: Final = umask

    def reached(self, point: str, path: str) -> None:
        """A fault point: called before the step that it names is taken on ``path``."""

    def exists(self, path: str) -> bool:
        """Whether ``lstat`` finds something, in half the time; False as well where it fails."""
        return os.access(path, os.F_OK, follow_symlinks=False)

    def relative(self, path: str) -> str:
        """The path as messages show it: within the store, ``.`` for the store's own folder."""
        if path == self.root:
            return "."
        return path.removeprefix(self.below)

    # Files that stay open

    def open(self, path: str, *, write: bool = False, append: bool = False) -> Opened | None:
        """A file that is there already, to be read, and written with ``write``; None for none.

        With ``append`` it is for ``append`` too, and every write goes behind the end.
        """
        flags = _WRITE if write or append else READ | os.O_NOFOLLOW
        try:
            return Opened(os.open(path, flags | (os.O_APPEND if append else 0)), path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("open", path, error)

    def make(self, path: str, becomes: str, like: os.stat_result | None = None) -> Opened:
        """A new, empty file in the place of what is at ``path``; the rest is as for ``write``."""
        try:
            self.reached("make", becomes)
            opened = Opened(self._make(path), becomes)
        except OSError as error:
            self._refused("make", becomes, error)
        try:
            self._dress(opened.descriptor, like)
        except OSError as error:
            self.close(opened)
            self._refused("make", becomes, error)
        return opened

    def close(self, opened: Opened) -> None:
        os.close(opened.descriptor)

    def size(self, opened: Opened) -> int:
        # Not by fstat: Linux from 6.13 on gives a file whose times were asked for a new one at the
        # next write, and a sync then takes 70 us longer.
        try:
            return os.lseek(opened.descriptor, 0, os.SEEK_END)
        except OSError as error:  # it is a pipe
            self._refused("read", opened.path, error)

    def rewind(self, opened: Opened) -> None:
        """Put the file's own position at its first byte, for who is given the descriptor."""
        try:
            os.lseek(opened.descriptor, 0, os.SEEK_SET)
        except OSError as error:
            self._refused("read", opened.path, error)

    def is_at(self, opened: Opened) -> bool:
        """Whether the file is still the one at its path."""
        try:
            if opened.identity is None:
                return _is_at(opened.descriptor, opened.path)
            found = os.stat(opened.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self._refused("look at", opened.path, error)
        return (found.st_dev, found.st_ino) == opened.identity

    def read_at(self, opened: Opened, offset: int, size: int) -> bytes:
        """The bytes from ``offset`` on; fewer than ``size`` only where the file ends."""
        try:
            data = os.pread(opened.descriptor, size, offset)
            while data and len(data) < size:
                more = os.pread(opened.descriptor, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
            return data
        except OSError as error:
            self._refused("read", opened.path, error)

    def read_into(self, opened: Opened, offset: int, buffer: memoryview) -> int:
        """Fill a buffer from ``offset`` on; returns how much, less only where the file ends."""
        done = 0
        try:
            while done < len(buffer):
                count = os.preadv(opened.descriptor, [buffer[done:]], offset + done)
                if not count:
                    break
                done += count
        except OSError as error:
            self._refused("read", opened.path, error)
        return done

    def copy_range(self, source: Opened, target: Opened, offset: int, size: int) -> int | None:
        """Copy bytes within the kernel, to the same place; None where it cannot.

        Returns how many, which is 0 where the source ends.
        """
        if _COPY is None:
            return None
        try:
            self.reached("copy", target.path)
            return int(_COPY(source.descriptor, target.descriptor, size, offset, offset))
        except OSError as error:
            if error.errno in _CANNOT_COPY:
                return None
            self._refused("write", target.path, error)

    def append(self, opened: Opened, data: bytes) -> None:
        """Write behind the end in one piece, whoever else does so. After an error a part may be."""
        try:
            self.reached("append", opened.path)
            if os.write(opened.descriptor, data) == len(data):
                return
        except OSError as error:
            self._refused("write", opened.path, error)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._refused("write", opened.path, full)

    def map(self, opened: Opened) -> mmap.mmap:
        """The file as it is now, to be read like bytes; what is written to it shows.

        Whoever reads where it was cut short since ends with SIGBUS.
        """
        try:
            return mmap.mmap(opened.descriptor, 0, prot=mmap.PROT_READ)
        except (OSError, ValueError) as error:
            reason = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
            self._refused("map", opened.path, reason)

    def write_at(self, opened: Opened, offset: int, data: bytes | memoryview) -> None:
        """Write over what is there, and on behind the end. After an error a part may be done."""
        try:
            self.reached("write at", opened.path)
            written = os.pwrite(opened.descriptor, data, offset)
            while written < len(data):
                rest = memoryview(data)[written:]
                written += os.pwrite(opened.descriptor, rest, offset + written)
        except OSError as error:
            self._refused("write", opened.path, error)

    def allocate(self, opened: Opened, start: int, end: int) -> None:
        """Make the file at least ``end`` long, its new part zero, and its space set aside."""
        if _ALLOCATE is None:
            return
        try:
            self.reached("allocate", opened.path)
            _ALLOCATE(opened.descriptor, start, end - start)
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                self._refused("make room in", opened.path, error)

    def push(self, opened: Opened, offset: int, size: int) -> None:
        """Have the disk begin with bytes that were written, if they are to be synced."""
        if self.sync:
            self._begin(opened.descriptor, offset, size)

    def _begin(self, descriptor: int, offset: int, size: int) -> None:
        """Have the disk begin with bytes that were written; nothing is sure by it.

        The kernel begins to write what it is told will not be needed, and keeps it meanwhile. It
        is advice: what the kernel has to say of it, the sync tells that has to come, if one has.
        """
        if _ADVISE is not None:
            try:
                _ADVISE(descriptor, offset, size, os.POSIX_FADV_DONTNEED)
            except OSError as error:
                require_refusal(error)

    def tells_changes(self, folder: str) -> int | None:
        """The device of a folder where every change gives a file other times; None elsewhere.

        Linux from 6.13 on gives a file whose times were asked for a time of its own at the next
        change, on most of its file systems (its documentation, filesystems/multigrain-ts). It is
        tried, on a file without a name: changes that all fall between two ticks have two different
        times at most where those come of a coarse clock.
        """
        if _NAMELESS is None:
            return None
        try:
            descriptor = os.open(folder, _NAMELESS | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:  # not to be had here, or the disk is full: nothing is known then
            require_refusal(error)
            return None
        try:
            begun, found = time.monotonic_ns(), list[os.stat_result]()
            for n in range(_CHANGES):
                os.pwrite(descriptor, b"\0", n)
                found.append(os.fstat(descriptor))
            is_quick = time.monotonic_ns() - begun < _TICK_NS
        except OSError as error:
            require_refusal(error)
            return None
        finally:
            os.close(descriptor)
        differ = len({one.st_ctime_ns for one in found}) == _CHANGES
        return found[0].st_dev if is_quick and differ else None

    def truncate(self, opened: Opened, size: int) -> None:
        try:
            self.reached("truncate", opened.path)
            os.ftruncate(opened.descriptor, size)
        except OSError as error:
            self._refused("shorten", opened.path, error)

    def sync_data(self, opened: Opened, *, sure: bool = False) -> None:
        """Return once the file's bytes are on the disk, and as much else as it takes to read them.

        They are all of the file's, whoever wrote them (fdatasync(2)).
        """
        if self.sync or sure:
            self._sync("sync data", opened.path, opened.descriptor, only_data=True)

    # Locking

    def lockable(self, path: str, *, make: bool = True) -> Opened | None:
        """A file for ``lock_opened``; None where it is missing, and with ``make`` its folder."""
        try:
            descriptor = self._lockable(path, make)
            found = os.fstat(descriptor)
            return Opened(descriptor, path, (found.st_dev, found.st_ino))
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("open", path, error)

    def _lockable(self, path: str, make: bool) -> int:
        try:
            return os.open(path, _WRITE)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno not in _MAY_NOT_WRITE:
                raise
            # Who may not write may see whether somebody does.
            return os.open(path, READ)
        self.reached("make", path)
        try:
            descriptor = os.open(path, _NEW, 0o666)
        except FileExistsError:
            return self._lockable(path, make)
        self._dress(descriptor, None)
        return descriptor

    def lock_opened(self, opened: Opened, *, wait: bool = True, shared: bool = False) -> bool:
        """Wait for the lock on an open file, as on a folder; False where its path leads elsewhere.

        Without ``wait`` it is False as well where the lock is held by somebody else; with
        ``shared`` others may hold it so too.
        """
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(opened.descriptor, how | (0 if wait else fcntl.LOCK_NB))
            if self.is_at(opened):
                return True
            fcntl.flock(opened.descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            return False
        except OSError as error:
            self._refused("lock", opened.path, error)
        return False

    def try_lock(self, opened: Opened) -> bool:
        """Take the lock on an open file, wherever its path leads; False where others hold it."""
        try:
            fcntl.flock(opened.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            self._refused("lock", opened.path, error)
        return True

    def unlock_opened(self, opened: Opened) -> None:
        try:
            fcntl.flock(opened.descriptor, fcntl.LOCK_UN)
        except OSError as error:
            self._refused("unlock", opened.path, error)

    def locked(self, folder: str) -> LockedFolder:
        """A block with the lock on a folder, which is no file in it; False where no folder is."""
        return LockedFolder(self, folder)

    def _make(self, path: str) -> int:
        try:
            return os.open(path, _NEW, 0o666)
        except FileExistsError:
            os.unlink(path)
            return os.open(path, _NEW, 0o666)

    def _dress(self, descriptor: int, like: os.stat_result | None) -> None:
        """Give a new file its owner and mode, before anything that they protect is in it."""
        now = os.fstat(descriptor)
        mode = None if self.umask is None else 0o666 & ~self.umask
        if like is not None:
            mode = stat.S_IMODE(like.st_mode)
            if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
                _give(descriptor, like)
        if mode is not None and stat.S_IMODE(now.st_mode) != mode:
            os.fchmod(descriptor, mode)

    def _sync(self, point: str, path: str, descriptor: int, *, only_data: bool = False) -> None:
        try:
            self.reached(point, path)
            if _FULL_SYNC is not None:
                _sync_fully(descriptor, _FULL_SYNC)
            elif only_data:
                os.fdatasync(descriptor)
            else:
                os.fsync(descriptor)
        except OSError as error:
            require_refusal(error)
            raise UncertainError(*self._reason("sync", path, error)) from error

    def _refused(self, action: str, path: str, error: OSError) -> NoReturn:
        try:
            if isinstance(error, BackingError):
                raise error
            require_refusal(error)
            if error.errno == errno.ENOTDIR:
                raise self.not_a_folder(path) from error
            raise BackingError(*self._reason(action, path, error)) from error
        finally:
            del error  # as in require_refusal

    def not_a_folder(self, path: str) -> LayoutError:
        """The error that names the file in a folder's place, which is ``path`` or on the way."""
        while not self.exists(path):
            path = os.path.dirname(path)
        reason = f"{self.relative(path)} is a file where a directory should be"
        return LayoutError(errno.ENOTDIR, reason, path)

    def _reason(self, action: str, path: str, error: OSError) -> tuple[int | None, str, str]:
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        return error.errno, f"cannot {action} {self.relative(path)}: {reason}", path


class LockedFolder:
    """See ``OpenFiles.locked``. The lock is flock(2), between processes and between descriptors.

    It ends with the block, and with the process, and where this is freed without either, as an
    interrupt may come before there is a block to leave.
    """

    def __init__(self, files: OpenFiles, folder: str) -> None:
        self._files: Final = files
        self._folder: Final = folder
        self._descriptors: Final[list[int]] = []

    def __enter__(self) -> bool:
        folder = self._folder
        try:
            self._descriptors.extend(map(os.open, (folder,), (FOLDER,)))
            descriptor = self._descriptors[0]
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_there = _is_at(descriptor, folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._end()
            self._files._refused("lock", folder, error)
        except BaseException:
            self._end()
            raise
        if not is_there:
            self._end()
        return is_there

    def __exit__(self, *_: object) -> None:
        self._end()

    def __del__(self) -> None:
        if hasattr(self, "_descriptors"):  # else it was interrupted in the making
            self._end()

    def _end(self) -> None:
        if self._descriptors:
            # Not left to close(2): a child forked meanwhile has the descriptor too.
            try:
                fcntl.flock(self._descriptors[0], fcntl.LOCK_UN)
            except OSError as error:
                self._files._refused("unlock", self._folder, error)
            finally:
                os.close(self._descriptors.pop())


def _real(path: str) -> tuple[str, bool]:
    """``os.path.realpath``, which asks about every name on the way, in three system calls.

    Where a folder is there, and the system tells; and whether that is so.
    """
    if _PATH_ONLY is not None:
        try:
            descriptor = os.open(path, _PATH_ONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            require_refusal(error)
            return real_path(path), False
        try:
            found = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError as error:  # nothing is mounted there
            require_refusal(error)
            found = ""
        finally:
            os.close(descriptor)
        if found.startswith("/") and not found.endswith(" (deleted)"):
            return found, True
    return real_path(path), False


def real_path(path: str) -> str:
    """The path with all links resolved, as far as it exists."""
    try:
        return os.path.realpath(path)
    except OSError as error:
        require_refusal(error)
        # Of the working directory, which a relative path is in, the system gives no name.
        what = "find the working directory" if error.filename is None else f"follow {path}"
        raise BackingError(error.errno, f"cannot {what}: {error.strerror}", path) from error


def _sync_fully(descriptor: int, how: int) -> None:
    try:
        fcntl.fcntl(descriptor, how)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC_FULLY:
            raise
        os.fsync(descriptor)


def _give(descriptor: int, like: os.stat_result) -> None:
    """Keep a file's owner and group where the process may: root may, others only their groups."""
    for owner, group in ((like.st_uid, like.st_gid), (-1, like.st_gid)):
        try:
            os.fchown(descriptor, owner, group)
        except PermissionError:
            continue
        return


def _is_at(descriptor: int, path: str) -> bool:
    # While we waited, it may have been removed, and made again under the same name.
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
