"""The seam: every system call on a store's files goes through ``Files``, and no other module makes
one. Tests break it step by step by overriding ``reached``, which is called before every write,
fsync, rename, unlink, mkdir, rmdir, truncation and allocation.

Paths are absolute. What the operating system refuses becomes BackingError, or LayoutError for a
file in a folder's place, here and nowhere else.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from typing import Final, NamedTuple, NoReturn

from objstore.errors import BackingError, LayoutError

Signature = tuple[int, int, int, int]
"""What tells one version of a file from the next without reading it: inode, size, mtime, ctime."""

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a fifo must not block
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC

_PATH_ONLY: Final[int | None] = getattr(os, "O_PATH", None)

# On macOS fsync leaves the data in the drive's cache; this is what flushes that too.
_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"

# What macOS has not, nor some file systems, which then take the space as it is written.
_ALLOCATE: Final = getattr(os, "posix_fallocate", None)
_CANNOT_ALLOCATE: Final = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))

_MAY_NOT_WRITE: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))

# What macOS has not, nor two file systems between each other.
_COPY: Final = getattr(os, "copy_file_range", None)
_CANNOT_COPY: Final = frozenset((errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL))


_HARDLY_ANY: Final = 1 << 16
"""Bytes of a disk on which a write may be cut short."""


class UncertainError(BackingError):
    """What is on the disk is unknown: an fsync failed, or a change could not be taken back.

    Asking fsync again would not tell, as the kernel reports a failure once and may have dropped
    the data (fsync(2)); hence whoever sees this must not write again.
    """


class Entry(NamedTuple):
    """One name in a folder; links are followed to tell what it is."""

    name: str
    is_file: bool
    is_folder: bool


class Snapshot(NamedTuple):
    """A file's bytes with what ``fstat`` said before and after they were read."""

    data: bytes
    before: os.stat_result
    after: os.stat_result


class Opened(NamedTuple):
    """An open file."""

    descriptor: int
    path: str
    """What errors and fault points name."""


def signature(found: os.stat_result) -> Signature:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Files:
    """The files below one folder. Safe between threads, as it holds no state but its options."""

    __slots__ = ("below", "root", "sync", "umask")

    def __init__(self, root: str, *, sync: bool = True, umask: int | None = None) -> None:
        self.root: Final = _real(root)
        self.below: Final = self.root.rstrip("/") + "/"
        """What the path of everything in the folder begins with."""
        self.sync: Final = sync
        self.umask: Final = umask

    def reached(self, point: str, path: str) -> None:
        """A fault point: called before the step that it names is taken on ``path``."""

    def relative(self, path: str) -> str:
        """The path as messages show it: within the store, ``.`` for the store's own folder."""
        if path == self.root:
            return "."
        return path.removeprefix(self.below)

    # Reading

    def lstat(self, path: str) -> os.stat_result | None:
        """What is at ``path``, a link itself rather than its target; None where nothing is."""
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("look at", path, error)

    def exists(self, path: str) -> bool:
        """Whether ``lstat`` finds something, in half the time; False as well where it fails."""
        return os.access(path, os.F_OK, follow_symlinks=False)

    def stat(self, path: str) -> os.stat_result | None:
        """As ``lstat``, through links; None for a link whose target is missing."""
        try:
            return os.stat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("look at", path, error)

    def real(self, path: str) -> str:
        """The path with all links resolved, as far as it exists."""
        try:
            return os.path.realpath(path)
        except OSError as error:
            self._refused("follow", path, error)

    def is_readonly_medium(self, path: str) -> bool:
        """Whether what ``path`` is on is mounted so that nobody writes to it."""
        try:
            return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError as error:
            self._refused("look at", path, error)

    def is_full(self) -> bool:
        """Whether the disk that the folder is on has hardly any room left."""
        try:
            found = os.statvfs(self.root)
        except OSError as error:
            self._refused("look at", self.root, error)
        return found.f_bavail * found.f_frsize < _HARDLY_ANY

    def may_write(self, path: str) -> bool:
        """Whether this process has the permission to change what is at ``path``."""
        return os.access(path, os.W_OK)

    def read_link(self, path: str) -> str:
        try:
            return os.readlink(path)
        except OSError as error:
            self._refused("follow", path, error)

    def read(self, path: str, limit: int) -> Snapshot | None:
        """The bytes of a regular file; None where nothing is.

        A file longer than ``limit``, and anything else than a regular file, a link included, gives
        no bytes: ``before`` tells.
        """
        try:
            descriptor = os.open(path, _READ | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unopened(path, error)
        try:
            return _read(descriptor, limit)
        except OSError as error:
            self._refused("read", path, error)
        finally:
            os.close(descriptor)

    def _unopened(self, path: str, error: OSError) -> Snapshot | None:
        # A link (ELOOP) or a socket (ENXIO) is told by its type; what else fails is a refusal.
        found = self.lstat(path)
        if found is None or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            self._refused("read", path, error)
        return Snapshot(b"", found, found)

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, in no order; empty where no folder is."""
        try:
            with os.scandir(folder) as found:
                return [Entry(entry.name, entry.is_file(), entry.is_dir()) for entry in found]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._refused("list", folder, error)

    def run(self) -> bytes | None:
        """What tells this run of the machine from others; None where the system does not say."""
        try:
            descriptor = os.open(_BOOT_ID, _READ)
        except FileNotFoundError:
            return None
        try:
            return os.read(descriptor, 64)
        finally:
            os.close(descriptor)

    # Writing

    def write(
        self,
        path: str,
        data: bytes,
        becomes: str,
        like: os.stat_result | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Make a new file with these bytes, with ``sync`` on the disk when this returns.

        ``becomes`` is what it is to be renamed to: the file that errors and fault points name.
        It gets the permission bits and, as far as the process may, the owner of ``like``; without
        it what ``umask`` leaves of 0666. What stands at ``path`` already is removed first. After an
        error a part of the file may be there.
        """
        try:
            self.reached("write", becomes)
            descriptor = self._make(path)
        except OSError as error:
            self._refused("write", becomes, error)
        try:
            self._dress(descriptor, like)
            self._fill(descriptor, data)
            if self.sync and sync:
                self._sync("sync file", becomes, descriptor)
        except OSError as error:
            self._refused("write", becomes, error)
        finally:
            os.close(descriptor)

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

    def _fill(self, descriptor: int, data: bytes) -> None:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])

    def rename(self, path: str, target: str) -> None:
        try:
            self.reached("rename", target)
            os.rename(path, target)
        except OSError as error:
            self._refused("replace", target, error)

    def exchange(self, path: str, target: str) -> bool:
        """Give two files each other's name in one step; False where that cannot be done.

        What was at ``target`` is not lost whatever it was, unlike by ``rename``, which also makes
        ext4 write the new file out at once, for five times the cost. Raises BackingError, with
        ENOENT where one of them is gone.
        """
        from .exchange import CANNOT, exchange  # ctypes takes 5 ms to import

        try:
            self.reached("exchange", target)
            exchange(path, target)
            return True
        except OSError as error:
            if error.errno in CANNOT:
                return False
            self._refused("replace", target, error)

    def place(self, path: str, target: str) -> bool:
        """Rename a file to a name that nothing has; False where something has it."""
        from .exchange import CANNOT, place

        try:
            self.reached("place", target)
            try:
                place(path, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in CANNOT:
                    raise
                return self._link_to(path, target)
            return True
        except OSError as error:
            self._refused("make", target, error)

    def _link_to(self, path: str, target: str) -> bool:
        """``place`` in two steps, for systems that have it not in one."""
        try:
            os.link(path, target)
        except FileExistsError:
            return False
        os.unlink(path)
        return True

    def unlink(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        try:
            self.reached("unlink", path)
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._refused("remove", path, error)

    def make_link(self, path: str, leads_to: str) -> None:
        try:
            self.reached("link", path)
            os.symlink(leads_to, path)
        except OSError as error:
            self._refused("make the link", path, error)

    def make_folders(self, path: str, made: list[str]) -> None:
        """Make a folder and the parents that are missing; each is added to ``made`` once it is."""
        if self.lstat(path) is None:
            self.make_folders(os.path.dirname(path), made)
            if self.make_folder(path):
                made.append(path)

    def make_folder(self, path: str) -> bool:
        """Make a folder whose parent exists; False where one stands already."""
        try:
            self.reached("mkdir", path)
            os.mkdir(path, 0o777)
            if self.umask is not None:
                inherited = stat.S_IMODE(os.stat(path).st_mode) & ~0o777
                os.chmod(path, inherited | 0o777 & ~self.umask)
            return True
        except FileExistsError as error:
            if not os.path.isdir(path):
                raise self.not_a_folder(path) from error
            return False
        except OSError as error:
            self._refused("make the folder", path, error)

    def remove_folder(self, path: str) -> None:
        """Remove an empty folder. Raises BackingError for one that is not empty, or is in use."""
        try:
            self.reached("rmdir", path)
            os.rmdir(path)
        except OSError as error:
            self._refused("remove the folder", path, error)

    def sync_file(self, path: str) -> None:
        """Return once a file or folder is on the disk, whoever wrote it; one that is gone is no
        error, and a link is in its folder."""
        found = self.lstat(path) if self.sync else None
        if found is None or stat.S_ISLNK(found.st_mode):
            return
        if stat.S_ISDIR(found.st_mode):
            self.sync_folder(path)
            return
        opened = self.open(path)
        if opened is not None:
            try:
                self._sync("sync file", path, opened.descriptor)
            finally:
                self.close(opened)

    def sync_folder(self, path: str, *, sure: bool = False) -> None:
        """Return once the names in a folder are on the disk.

        ``sure``, here and below: even if this object was made not to sync.
        """
        if not (self.sync or sure):
            return
        try:
            descriptor = os.open(path, _FOLDER)
        except PermissionError:
            self._sync_everything(path)
            return
        except OSError as error:
            self._refused("sync", path, error)
        try:
            self._sync("sync folder", path, descriptor)
        finally:
            os.close(descriptor)

    def _sync_everything(self, path: str) -> None:
        """For a folder whose names this process may change, and not list: it cannot be synced by
        itself."""
        self.reached("sync everything", path)
        os.sync()

    def _sync(self, point: str, path: str, descriptor: int, *, only_data: bool = False) -> None:
        try:
            self.reached(point, path)
            if _FULL_SYNC is not None:
                fcntl.fcntl(descriptor, _FULL_SYNC)
            elif only_data:
                os.fdatasync(descriptor)
            else:
                os.fsync(descriptor)
        except OSError as error:
            raise UncertainError(*self._reason("sync", path, error)) from error

    # Files that stay open

    def open(self, path: str, *, write: bool = False, append: bool = False) -> Opened | None:
        """A file that is there already, to be read, and written with ``write``; None for none.

        With ``append`` it is for ``append`` too, and every write goes behind the end.
        """
        flags = _WRITE if write or append else _READ | os.O_NOFOLLOW
        try:
            return Opened(os.open(path, flags | (os.O_APPEND if append else 0)), path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("open", path, error)

    def make(self, path: str, becomes: str) -> Opened:
        """A new, empty file in the place of what is at ``path``; the rest is as for ``write``."""
        try:
            self.reached("make", becomes)
            opened = Opened(self._make(path), becomes)
        except OSError as error:
            self._refused("make", becomes, error)
        try:
            self._dress(opened.descriptor, None)
        except OSError as error:
            self.close(opened)
            self._refused("make", becomes, error)
        return opened

    def close(self, opened: Opened) -> None:
        os.close(opened.descriptor)

    def size(self, opened: Opened) -> int:
        # Not by fstat: Linux from 6.13 on gives a file whose times were asked for a new one at the
        # next write, and a sync then takes 70 us longer.
        return os.lseek(opened.descriptor, 0, os.SEEK_END)

    def rewind(self, opened: Opened) -> None:
        """Put the file's own position at its first byte, for who is given the descriptor."""
        os.lseek(opened.descriptor, 0, os.SEEK_SET)

    def is_at(self, opened: Opened) -> bool:
        """Whether the file is still the one at its path."""
        return _is_at(opened.descriptor, opened.path)

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
            return Opened(self._lockable(path, make), path)
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
            return os.open(path, _READ)
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
            if _is_at(opened.descriptor, opened.path):
                return True
            fcntl.flock(opened.descriptor, fcntl.LOCK_UN)
        except BlockingIOError:
            return False
        except OSError as error:
            self._refused("lock", opened.path, error)
        return False

    def unlock_opened(self, opened: Opened) -> None:
        fcntl.flock(opened.descriptor, fcntl.LOCK_UN)

    def lock(self, folder: str) -> int | None:
        """Wait for the lock on a folder, which is no file in it; None where no folder is.

        Returns a descriptor for ``unlock``. The lock is flock(2): between processes and between
        descriptors, let go when the process dies.
        """
        try:
            descriptor = os.open(folder, _FOLDER)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("lock", folder, error)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, folder):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            self._refused("lock", folder, error)
        os.close(descriptor)
        return None

    def unlock(self, descriptor: int) -> None:
        # Not left to close(2): a child forked meanwhile has the descriptor too.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _refused(self, action: str, path: str, error: OSError) -> NoReturn:
        if isinstance(error, BackingError):
            raise error
        if error.errno == errno.ENOTDIR:
            raise self.not_a_folder(path) from error
        raise BackingError(*self._reason(action, path, error)) from error

    def not_a_folder(self, path: str) -> LayoutError:
        """The error that names the file in a folder's place, which is ``path`` or on the way."""
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        reason = f"{self.relative(path)} is a file where a directory should be"
        return LayoutError(errno.ENOTDIR, reason, path)

    def _reason(self, action: str, path: str, error: OSError) -> tuple[int | None, str, str]:
        reason = error.strerror or os.strerror(error.errno or errno.EIO)
        return error.errno, f"cannot {action} {self.relative(path)}: {reason}", path


def boot_id() -> str | None:
    """Which run of the machine this is; None where the system does not tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip().replace("-", "")
    except OSError:
        return None


def _real(path: str) -> str:
    """``os.path.realpath``, which asks about every name on the way, in three system calls."""
    if _PATH_ONLY is not None:
        try:
            descriptor = os.open(path, _PATH_ONLY | os.O_CLOEXEC)
        except OSError:
            return os.path.realpath(path)
        try:
            found = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # nothing is mounted there
            found = ""
        finally:
            os.close(descriptor)
        if found.startswith("/") and not found.endswith(" (deleted)"):
            return found
    return os.path.realpath(path)


def _give(descriptor: int, like: os.stat_result) -> None:
    """Keep a file's owner and group where the process may: root may, others only their groups."""
    for owner, group in ((like.st_uid, like.st_gid), (-1, like.st_gid)):
        try:
            os.fchown(descriptor, owner, group)
        except PermissionError:
            continue
        return


def _read(descriptor: int, limit: int) -> Snapshot:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode) or before.st_size > limit:
        return Snapshot(b"", before, before)
    data = os.read(descriptor, before.st_size + 1)
    return Snapshot(data, before, os.fstat(descriptor))


def _is_at(descriptor: int, path: str) -> bool:
    # While we waited, it may have been removed, and made again under the same name.
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
