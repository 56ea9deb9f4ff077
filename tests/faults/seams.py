"""Files that misbehave, put in the place of the seam (``objstore.backings.filesystem.io``)."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Entry, Files, Snapshot
from objstore.backings.filesystem.stamps import TICK_NS
from objstore.documents import Documents
from objstore.layout import ANYTHING, Folder


def documents(files: Files, layout: Folder = ANYTHING) -> Documents:
    return FilesystemDocuments(files, layout)


class Counting(Files):
    """Notes what is read, by the path within the store."""

    __slots__ = ("listed", "looked", "opened")

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), sync=False)
        self.looked: list[str] = []
        self.opened: list[str] = []
        self.listed: list[str] = []

    def clear(self) -> None:
        self.looked.clear()
        self.opened.clear()
        self.listed.clear()

    def lstat(self, path: str) -> os.stat_result | None:
        self.looked.append(self.relative(path))
        return super().lstat(path)

    def exists(self, path: str) -> bool:
        self.looked.append(self.relative(path))
        return super().exists(path)

    def stat(self, path: str) -> os.stat_result | None:
        self.looked.append(self.relative(path))
        return super().stat(path)

    def read(self, path: str, limit: int) -> Snapshot | None:
        self.opened.append(self.relative(path))
        return super().read(path, limit)

    def each_entry(self, folder: str) -> Iterator[Entry]:
        self.listed.append(self.relative(folder))
        return super().each_entry(folder)


class Failing(Files):
    """Fails at a fault point: at its ``nth`` time, and with ``ever`` at each time after too."""

    __slots__ = ("at", "error", "ever", "left", "reached_points")

    def __init__(self, root: Path, *, error: int = errno.EIO) -> None:
        super().__init__(str(root))
        self.error = error
        self.at = ""
        self.left = 0
        self.ever = False
        self.reached_points: list[tuple[str, str]] = []

    def fail(self, point: str, nth: int = 1, *, ever: bool = False) -> None:
        self.at, self.left, self.ever = point, nth, ever

    def mend(self) -> None:
        self.at = ""

    def reached(self, point: str, path: str) -> None:
        self.reached_points.append((point, self.relative(path)))
        if point == self.at:
            self.left -= 1
            if self.left == 0 or (self.ever and self.left < 0):
                raise OSError(self.error, os.strerror(self.error), path)


class CaseBlind(Files):
    """A disk that keeps the case of names and does not tell names apart by it."""

    __slots__ = ()

    def _on_disk(self, path: str) -> str:
        """The path in the case that the disk has it in."""
        if len(path) <= len(self.root):
            return path
        folder, name = os.path.split(path)
        folder = self._on_disk(folder)
        if os.path.isdir(folder):
            for there in os.listdir(folder):
                if there.casefold() == name.casefold():
                    return os.path.join(folder, there)
        return os.path.join(folder, name)

    def lstat(self, path: str) -> os.stat_result | None:
        return super().lstat(self._on_disk(path))

    def exists(self, path: str) -> bool:
        return super().exists(self._on_disk(path))

    def stat(self, path: str) -> os.stat_result | None:
        return super().stat(self._on_disk(path))

    def read(self, path: str, limit: int) -> Snapshot | None:
        return super().read(self._on_disk(path), limit)

    def each_entry(self, folder: str) -> Iterator[Entry]:
        return super().each_entry(self._on_disk(folder))

    def write(
        self,
        path: str,
        data: bytes,
        becomes: str,
        like: os.stat_result | None = None,
        *,
        sync: bool = True,
    ) -> None:
        super().write(self._on_disk(path), data, becomes, like, sync=sync)

    def exchange(self, path: str, target: str) -> bool:
        return super().exchange(self._on_disk(path), self._on_disk(target))

    def place(self, path: str, target: str) -> bool:
        return super().place(self._on_disk(path), self._on_disk(target))

    def rename(self, path: str, target: str) -> None:
        super().rename(self._on_disk(path), self._on_disk(target))

    def unlink(self, path: str) -> None:
        super().unlink(self._on_disk(path))

    def make_folder(self, path: str) -> bool:
        return super().make_folder(self._on_disk(path))

    def remove_folder(self, path: str) -> None:
        super().remove_folder(self._on_disk(path))

    def sync_folder(self, path: str, *, sure: bool = False) -> None:
        super().sync_folder(self._on_disk(path), sure=sure)


class Coarse(Files):
    """A disk whose clock stands at ``now``, and which gives every file the same inode."""

    __slots__ = ("now",)

    def __init__(self, root: Path, now: int) -> None:
        super().__init__(str(root))
        self.now = now

    def _blunt(self, found: os.stat_result) -> os.stat_result:
        return status(found.st_mode, found.st_size, self.now)

    def lstat(self, path: str) -> os.stat_result | None:
        found = super().lstat(path)
        return None if found is None else self._blunt(found)

    def read(self, path: str, limit: int) -> Snapshot | None:
        found = super().read(path, limit)
        if found is None:
            return None
        return Snapshot(found.data, self._blunt(found.before), self._blunt(found.after))


def status(mode: int, size: int, changed: int) -> os.stat_result:
    """What stat says of a file that was changed then, in nanoseconds."""
    return os.stat_result(
        (mode, 7, 1, 1, 0, 0, size, 0, 0, 0), {"st_mtime_ns": changed, "st_ctime_ns": changed}
    )


def settle(path: Path) -> Path:
    """Wait until the clock has moved on from the file's last change."""
    while time.time_ns() - path.stat().st_ctime_ns <= 2 * TICK_NS:
        time.sleep(0.005)
    return path
