"""What a disk may hold after a crash: every write is recorded at the seam, then states are built.

    files = Recording(folder)               # in the place of Files
    ...                                     # a workload; files.note(what) marks what was reported
    for state in files.crash_states(random, each=10):
        state.build(other_folder)           # then open what is there, and compare with state.notes

Of what was not synced, anything may be there: each 512-byte sector of a file is as some write left
it, or as the last sync did, each by itself; the file's size likewise; and of each folder's changes
the first few. So renames come before the data, later writes without earlier ones, and zeros where a
file grew. A sync of a file is none of its name's: that takes a sync of the folder.

Nothing is really synced, which would take most of the time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any, NamedTuple

from objstore.backings.filesystem.io import Files, Opened

SECTOR = 512


_numbers = count(1)


class Event(NamedTuple):
    """One step: on a file by its number, or on a folder by its path."""

    step: str
    on: int | str
    arguments: tuple[Any, ...] = ()


class Quick(Files):
    """Files that only say that they sync."""

    __slots__ = ()

    def _sync(self, point: str, path: str, descriptor: int, *, only_data: bool = False) -> None:
        self.reached(point, path)


class Recording(Quick):
    """Files that note what was done. What is in the folder at first counts as synced."""

    __slots__ = ("_lock", "_numbers", "_opened", "events", "start")

    def __init__(self, root: str | Path, *, sync: bool = True) -> None:
        super().__init__(str(root), sync=sync)
        self._lock = RLock()
        self._numbers: dict[str, int] = {}
        self._opened: dict[int, int] = {}
        self.events: list[Event] = []
        self.start = Disk()
        for path in sorted(Path(self.root).rglob("*")):
            self._note_existing(path)

    def _note_existing(self, path: Path) -> None:
        name = str(path)
        if path.is_symlink():
            self.start.do(Event("link", os.path.dirname(name), (name, str(path.readlink()))))
        elif path.is_dir():
            self.start.do(Event("mkdir", os.path.dirname(name), (name,)))
        else:
            number = self._number(name)
            self.start.do(Event("name", os.path.dirname(name), (name, number)))
            self.start.do(Event("write", number, (0, path.read_bytes())))
            self.start.do(Event("sync", number))
        self.start.do(Event("sync folder", os.path.dirname(name)))

    def join(self, other: Recording) -> None:
        """Note what is done in the other's record, as another process on the same disk."""
        self.events, self._numbers, self._opened = other.events, other._numbers, other._opened

    def note(self, what: object) -> None:
        """Mark a moment, such as that a commit was reported."""
        with self._lock:
            self.events.append(Event("note", 0, (what,)))

    def crash_states(self, random: Random, each: int, since: int = 0) -> Iterator[CrashState]:
        """``each`` states for a crash after every number of events, from ``since`` on."""
        disk = self.start.copy()
        notes: list[Any] = []
        for happened in range(len(self.events) + 1):
            for _ in range(each if happened >= since else 0):
                yield CrashState(happened, tuple(notes), self.root, disk.after_crash(random))
            if happened < len(self.events):
                event = self.events[happened]
                if event.step == "note":
                    notes += event.arguments
                else:
                    disk.do(event)

    def kill_states(self, since: int = 0) -> Iterator[CrashState]:
        """The state after every number of events, if just the process ends there."""
        disk = self.start.copy()
        notes: list[Any] = []
        for happened in range(len(self.events) + 1):
            if happened >= since:
                yield CrashState(happened, tuple(notes), self.root, disk.now())
            if happened < len(self.events):
                event = self.events[happened]
                if event.step == "note":
                    notes += event.arguments
                else:
                    disk.do(event)

    # What is recorded

    def write(
        self,
        path: str,
        data: bytes,
        becomes: str,
        like: os.stat_result | None = None,
        *,
        sync: bool = True,
    ) -> None:
        with self._lock:
            super().write(path, data, becomes, like, sync=sync)
            number = self._new(path)
            self._did("write", number, 0, data)
            if self.sync and sync:
                self._did("sync", number)

    def exchange(self, path: str, target: str) -> bool:
        with self._lock:
            exchanged = super().exchange(path, target)
            if exchanged:
                numbers = self._numbers
                numbers[path], numbers[target] = self._number(target), self._number(path)
                self._did("exchange", os.path.dirname(target), path, target)
            return exchanged

    def place(self, path: str, target: str) -> bool:
        with self._lock:
            placed = super().place(path, target)
            if placed:
                self._numbers[target] = self._numbers.pop(path)
                self._did("rename", os.path.dirname(target), path, target)
            return placed

    def sync_file(self, path: str, *, sure: bool = False) -> None:
        with self._lock:
            super().sync_file(path, sure=sure)
            if not (self.sync or sure):
                return
            if os.path.isdir(path):
                self._did("sync folder", path)
            elif os.path.exists(path):
                self._did("sync", self._number(path))

    def rename(self, path: str, target: str) -> None:
        with self._lock:
            super().rename(path, target)
            if path in self._numbers:  # a link has none
                self._numbers[target] = self._numbers.pop(path)
            self._did("rename", os.path.dirname(target), path, target)

    def unlink(self, path: str) -> None:
        with self._lock:
            super().unlink(path)
            self._did("unlink", os.path.dirname(path), path)

    def make_link(self, path: str, leads_to: str) -> None:
        with self._lock:
            super().make_link(path, leads_to)
            self._did("link", os.path.dirname(path), path, leads_to)

    def make_folder(self, path: str) -> bool:
        with self._lock:
            made = super().make_folder(path)
            if made:
                self._did("mkdir", os.path.dirname(path), path)
            return made

    def remove_folder(self, path: str) -> None:
        with self._lock:
            super().remove_folder(path)
            self._did("unlink", os.path.dirname(path), path)

    def sync_folder(self, path: str, *, sure: bool = False) -> None:
        with self._lock:
            super().sync_folder(path, sure=sure)
            if self.sync or sure:
                self._did("sync folder", path)

    def open(self, path: str, *, write: bool = False, append: bool = False) -> Opened | None:
        with self._lock:
            opened = super().open(path, write=write, append=append)
            if opened is not None:
                self._opened[opened.descriptor] = self._number(path)
            return opened

    def make(self, path: str, becomes: str, like: os.stat_result | None = None) -> Opened:
        with self._lock:
            opened = super().make(path, becomes, like)
            self._opened[opened.descriptor] = self._new(path)
            return opened

    def lockable(self, path: str, *, make: bool = True) -> Opened | None:
        with self._lock:
            is_new = not os.path.exists(path)
            opened = super().lockable(path, make=make)
            if opened is not None:
                number = self._new(path) if is_new else self._number(path)
                self._opened[opened.descriptor] = number
            return opened

    def write_at(self, opened: Opened, offset: int, data: bytes | memoryview) -> None:
        with self._lock:
            super().write_at(opened, offset, data)
            self._did("write", self._opened[opened.descriptor], offset, bytes(data))

    def append(self, opened: Opened, data: bytes) -> None:
        with self._lock:
            offset = self.size(opened)
            super().append(opened, data)
            self._did("write", self._opened[opened.descriptor], offset, data)

    def allocate(self, opened: Opened, start: int, end: int) -> None:
        with self._lock:
            super().allocate(opened, start, end)
            self._did("allocate", self._opened[opened.descriptor], end)

    def truncate(self, opened: Opened, size: int) -> None:
        with self._lock:
            super().truncate(opened, size)
            self._did("truncate", self._opened[opened.descriptor], size)

    def sync_data(self, opened: Opened, *, sure: bool = False) -> None:
        with self._lock:
            super().sync_data(opened, sure=sure)
            if self.sync or sure:
                self._did("sync", self._opened[opened.descriptor])

    def _did(self, step: str, on: int | str, *arguments: Any) -> None:
        self.events.append(Event(step, on, arguments))

    def _number(self, path: str) -> int:
        return self._numbers.setdefault(path, next(_numbers))

    def _new(self, path: str) -> int:
        number = self._numbers[path] = next(_numbers)
        self._did("name", os.path.dirname(path), path, number)
        return number


class Killed(BaseException):
    """In the place of SIGKILL: nothing is cleaned up after it."""


class Mortal(Recording):
    """Its process dies at a fault point. The machine goes on."""

    left = 10**9

    def reached(self, point: str, path: str) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def kills(self, nth: int, work: Callable[[], None]) -> bool:
        """Whether the process died at the ``nth`` step of its work."""
        self.left = nth
        try:
            work()
        except Killed:
            return True
        finally:
            self.left = 10**9
        return False


class Deadly(Quick):
    """Really kills its process at a fault point, the one numbered ``left``."""

    __slots__ = ("left",)

    def __init__(self, root: Path, left: int) -> None:
        super().__init__(str(root))
        self.left = left

    def reached(self, point: str, path: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Entry(NamedTuple):
    """What a name leads to."""

    is_folder: bool = False
    file: int = 0
    link: str = ""


class CrashState(NamedTuple):
    """What may be on the disk after a crash."""

    happened: int
    """How many events had."""
    notes: tuple[Any, ...]
    """What had been noted."""
    root: str
    entries: dict[str, bytes | str | None]
    """By path: a file's bytes, where a link leads, None for a folder."""

    def build(self, folder: Path) -> Path:
        """Put it into a folder that is empty or missing, in the place of the recorded one."""
        if self.root not in self.entries:
            return folder
        for path in sorted(self.entries):
            if path != self.root and not path.startswith(f"{self.root}/"):
                continue
            entry = self.entries[path]
            target = folder / os.path.relpath(path, self.root)
            if isinstance(entry, bytes):
                # Most of a log is zeros, which need not be written.
                target.write_bytes(entry.rstrip(b"\0"))
                os.truncate(target, len(entry))
            elif entry is None:
                target.mkdir(parents=path == self.root, exist_ok=path == self.root)
            else:
                target.symlink_to(entry)
        return folder


class Disk:
    """Files and folders, each as it was when it was last synced, and what was done since."""

    def __init__(self) -> None:
        self.files: dict[int, Contents] = {}
        self.folders: dict[str, Names] = {}
        self.made: set[str] = set()
        """The folders that are in another one, if anywhere."""

    def copy(self) -> Disk:
        twin = Disk()
        twin.made = set(self.made)
        twin.files = {number: file.copy() for number, file in self.files.items()}
        twin.folders = {path: folder.copy() for path, folder in self.folders.items()}
        return twin

    def do(self, event: Event) -> None:
        if isinstance(event.on, int):
            self.files.setdefault(event.on, Contents()).do(event)
            return
        if event.step == "mkdir":
            self.folders[event.arguments[0]] = Names()
            self.made.add(event.arguments[0])
        self.folders.setdefault(event.on, Names()).do(event)

    def now(self) -> dict[str, bytes | str | None]:
        """What is there as long as the machine runs."""
        return self.after_crash(_AllHappened())

    def after_crash(self, random: Random) -> dict[str, bytes | str | None]:
        """One of the states that a crash may leave: whatever is reachable by then."""
        kept: dict[str, bytes | str | None] = {}
        for top in (path for path in self.folders if path not in self.made):
            self._keep(top, random, kept)
        return kept

    def _keep(self, path: str, random: Random, kept: dict[str, bytes | str | None]) -> None:
        kept[path] = None
        for name, entry in self.folders[path].after_crash(random).items():
            if entry.is_folder:
                self._keep(name, random, kept)
            elif entry.link:
                kept[name] = entry.link
            else:
                file = self.files.get(entry.file)
                kept[name] = b"" if file is None else file.after_crash(random)


class _AllHappened(Random):
    """Chooses what is newest."""

    def choice(self, seq: Any) -> Any:
        return 1 if seq == (0, 1, None) else max(seq)


class Names:
    """A folder's."""

    def __init__(self, events: Sequence[Event] = (), synced: int = 0) -> None:
        self.events = list(events)
        self.synced = synced

    def copy(self) -> Names:
        return Names(self.events, self.synced)

    def do(self, event: Event) -> None:
        if event.step == "sync folder":
            self.synced = len(self.events)
        else:
            self.events.append(event)

    def after_crash(self, random: Random) -> dict[str, Entry]:
        names: dict[str, Entry] = {}
        most = len(self.events)
        some = random.choice((self.synced, most, random.randint(self.synced, most)))
        for event in self.events[:some]:
            path, *more = event.arguments
            if event.step == "unlink":
                names.pop(path, None)
            elif event.step == "rename":
                names[more[0]] = names.pop(path)
            elif event.step == "exchange":
                names[path], names[more[0]] = names[more[0]], names[path]
            elif event.step == "name":
                names[path] = Entry(file=more[0])
            elif event.step == "link":
                names[path] = Entry(link=more[0])
            else:
                names[path] = Entry(is_folder=True)
        return names


class Contents:
    """A file's bytes: as they were synced, and after each step since."""

    def __init__(self) -> None:
        self.versions = [b""]
        self.touched: set[int] = set()
        """The sectors that may differ between them."""

    def copy(self) -> Contents:
        twin = Contents()
        twin.versions, twin.touched = list(self.versions), set(self.touched)
        return twin

    def do(self, event: Event) -> None:
        now = self.versions[-1]
        if event.step == "sync":
            self.versions, self.touched = [now], set()
            return
        if event.step == "write":
            offset, data = event.arguments
            new = now[:offset].ljust(offset, b"\0") + data + now[offset + len(data) :]
            start, end = min(offset, len(now)), offset + len(data)
        else:
            size = event.arguments[0]
            new = now.ljust(size, b"\0")
            if event.step == "truncate":
                new = new[:size]
            start, end = sorted((len(now), len(new)))
        self.versions.append(new)
        self.touched.update(range(start // SECTOR, -(-end // SECTOR)))

    def after_crash(self, random: Random) -> bytes:
        old, new = self.versions[0], self.versions[-1]
        luck = random.choice((0, 1, None))
        if luck is not None or len(self.versions) == 1:
            return new if luck else old
        data = bytearray(new.ljust(max(map(len, self.versions)), b"\0"))
        newest = random.choice((0.1, 0.5, 0.9))
        for sector in self.touched:
            version = new if random.random() < newest else random.choice(self.versions)
            start = sector * SECTOR
            data[start : start + SECTOR] = version[start : start + SECTOR].ljust(SECTOR, b"\0")
        return bytes(data[: len(random.choice(self.versions))])
