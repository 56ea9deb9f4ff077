"""The seam: every system call on a store's files goes through ``Files``, and no module makes one
but this and those it uses for that, ``openio`` and ``exchange``. Tests break it step by step by
overriding ``reached``, which is called before every write, fsync, rename, unlink, mkdir, rmdir,
truncation and allocation.

Paths are absolute. What the operating system refuses becomes BackingError, or LayoutError for a
file in a folder's place, here and nowhere else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Final, NamedTuple

from objstore._refusals import require_refusal
from objstore.errors import BackingError, LayoutError

from .openio import FOLDER, READ, OpenFiles
from .openio import LockedFolder as LockedFolder
from .openio import Opened as Opened
from .openio import UncertainError as UncertainError
from .openio import real_path as real_path

Signature = tuple[int, int, int, int]
"""What tells one version of a file from the next without reading it: inode, size, mtime, ctime."""

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"

_HARDLY_ANY: Final = 1 << 16
"""Bytes of a disk on which a write may be cut short."""


class Entry(NamedTuple):
    """One name in a folder; links are followed to tell what it is.

    A link that cannot be followed is given as a file, so that its use can say why.
    """

    name: str
    is_file: bool
    is_folder: bool


class Snapshot(NamedTuple):
    """A file's bytes with what ``fstat`` said before and after they were read."""

    data: bytes
    before: os.stat_result
    after: os.stat_result


def signature(found: os.stat_result) -> Signature:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Files(OpenFiles):
    """The files below one folder. Safe between threads, as it holds no state but its options."""

    __slots__ = ()

    # Reading

    def lstat(self, path: str) -> os.stat_result | None:
        """What is at ``path``, a link itself rather than its target; None where nothing is."""
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refused("look at", path, error)

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
        return real_path(path)

    def is_readonly_medium(self, path: str) -> bool:
        """Whether what ``path`` is on is mounted so that nobody writes to it."""
        try:
            return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError as error:
            self._refused("look at", path, error)

    def is_full(self) -> bool:
        """Whether the disk that the folder is on has hardly any room left, or none for names."""
        try:
            found = os.statvfs(self.root)
        except OSError as error:
            self._refused("look at", self.root, error)
        has_names = found.f_favail > 0 or not found.f_files  # some file systems do not count them
        return found.f_bavail * found.f_frsize < _HARDLY_ANY or not has_names

    def may_write(self, path: str) -> bool:
        """Whether this process has the permission to change what is at ``path``."""
        return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)

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
            descriptor = os.open(path, READ | os.O_NOFOLLOW)
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
        require_refusal(error)
        found = self.lstat(path)
        if found is None or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            self._refused("read", path, error)
        return Snapshot(b"", found, found)

    def entries(self, folder: str) -> list[Entry]:
        """What a folder holds, in no order; empty where no folder is."""
        return list(self.each_entry(folder))

    def each_entry(self, folder: str) -> Iterator[Entry]:
        """The same, one by one, for who may not need them all."""
        try:
            with os.scandir(folder) as found:
                yield from map(_entry, found)
        except FileNotFoundError:
            return
        except OSError as error:
            self._refused("list", folder, error)

    def run(self) -> bytes | None:
        """What tells this run of the machine from others; None where the system does not say."""
        return boot_id()

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
        error a part of the file may be there. Where nothing is synced, the disk begins with it at
        once: the name would be there long before the bytes, with an empty file in a good one's
        place should the machine stop then.
        """
        try:
            self.reached("write", becomes)
            descriptor = self._make(path)
        except OSError as error:
            self._refused("write", becomes, error)
        try:
            self._dress(descriptor, like)
            self._fill(descriptor, data)
            if not self.sync:
                self._begin(descriptor, 0, 0)
            elif sync:
                self._sync("sync file", becomes, descriptor)
        except OSError as error:
            self._refused("write", becomes, error)
        finally:
            os.close(descriptor)

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
        renames = _renames()
        try:
            self.reached("exchange", target)
            renames.exchange(path, target)
            return True
        except OSError as error:
            if error.errno in renames.CANNOT:
                return False
            self._refused("replace", target, error)

    def place(self, path: str, target: str) -> bool:
        """Rename to a name that is free, a folder also over an empty one; False where it is not."""
        try:
            self.reached("place", target)
            _renames().place(path, target)
        except FileExistsError:
            return False
        except OSError as error:
            self._refused("make", target, error)
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
            found = self.stat(path)
            if found is None or not stat.S_ISDIR(found.st_mode):
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

    def sync_file(self, path: str, *, sure: bool = False) -> None:
        """Return once a file or folder is on the disk, whoever wrote it.

        What is gone is no error, be it with a folder that became a file; and of what is neither
        file nor folder, such as a link or a fifo, its folder has all there is. ``sure``, here and
        below: even if this object was made not to sync.
        """
        try:
            found = self.lstat(path) if self.sync or sure else None
        except LayoutError:
            return
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            self.sync_folder(path, sure=sure)
            return
        if not stat.S_ISREG(found.st_mode):
            return
        opened = self.open(path)
        if opened is not None:
            try:
                self._sync("sync file", path, opened.descriptor)
            finally:
                self.close(opened)

    def sync_folder(self, path: str, *, sure: bool = False) -> None:
        """Return once the names in a folder are on the disk."""
        if not (self.sync or sure):
            return
        try:
            descriptor = os.open(path, FOLDER)
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


@cache
def _renames() -> ModuleType:
    """What renames in ways that Python does not: loaded when it is needed, as ctypes takes 5 ms."""
    from . import exchange

    return exchange


def boot_id() -> bytes | None:
    """The line that the system has for this run of the machine; None where it tells none."""
    try:
        with open(_BOOT_ID, "rb") as file:
            return file.read()
    except (FileNotFoundError, PermissionError):
        return None
    except OSError as error:
        require_refusal(error)
        reason = f"cannot read {_BOOT_ID}: {error.strerror}"
        raise BackingError(error.errno, reason, _BOOT_ID) from error


def _entry(found: os.DirEntry[str]) -> Entry:
    try:
        return Entry(found.name, found.is_file(), found.is_dir())
    except OSError as error:  # it leads in a circle, or to where this process may not look
        require_refusal(error)
        return Entry(found.name, is_file=True, is_folder=False)


def _read(descriptor: int, limit: int) -> Snapshot:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode) or before.st_size > limit:
        return Snapshot(b"", before, before)
    data = os.read(descriptor, before.st_size + 1)
    return Snapshot(data, before, os.fstat(descriptor))
