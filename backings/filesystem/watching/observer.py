"""What happens to files, on systems other than Linux: watchdog's Observer of the whole tree."""

from __future__ import annotations

import itertools
import os
import stat
from threading import Lock
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from objstore._refusals import require_refusal
from objstore.errors import BackingError

from ..io import Files
from .bursts import Kind
from .eyes import Hear

_KINDS: Final[dict[type[FileSystemEvent], Kind]] = {
    FileClosedEvent: Kind.WHOLE,
    FileCreatedEvent: Kind.OPEN,
    FileDeletedEvent: Kind.GONE,
    FileModifiedEvent: Kind.OPEN,
    DirCreatedEvent: Kind.FOLDER,
    DirDeletedEvent: Kind.FOLDER,
}
_WANTED: Final = [*_KINDS, FileMovedEvent, DirMovedEvent]


class Observed(FileSystemEventHandler):
    """Tells what happens below a store's folder, and in the folders above it one by one."""

    def __init__(self, files: Files, hear: Hear) -> None:
        self._files: Final = files
        self._root: Final = files.root
        self._hear: Final = hear
        self._numbers: Final = itertools.count(1)
        self._lock: Final = Lock()
        self._watches: Final[dict[str, ObservedWatch]] = {}  # guarded by _lock
        self._observer: Final[BaseObserver] = Observer()
        self._observer.start()

    def add(self, folder: str) -> bool:
        """As ``Eyes`` says; what is below the root is told with it."""
        found = self._files.lstat(folder)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return False
        below = folder.startswith(self._files.below)
        with self._lock:
            if below or folder in self._watches:
                return True
            try:
                self._watches[folder] = self._observer.schedule(
                    self, folder, recursive=folder == self._root, event_filter=_WANTED
                )
            except OSError as error:
                require_refusal(error)
                reason = f"cannot watch {folder}: {error.strerror or error}"
                raise BackingError(error.errno, reason, folder) from error
        return True

    def forget(self, folder: str, *, alone: bool = False) -> None:
        with self._lock:
            watch = self._watches.pop(folder, None)
        if watch is not None:
            self._observer.unschedule(watch)

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Pass it on; called by watchdog."""
        path = os.fsdecode(event.src_path)
        if isinstance(event, DirMovedEvent):
            self._hear(path, Kind.FOLDER)
            self._hear(os.fsdecode(event.dest_path), Kind.FOLDER)
        elif isinstance(event, FileMovedEvent):
            move = next(self._numbers)
            self._hear(path, Kind.GONE, move=move)
            self._hear(os.fsdecode(event.dest_path), Kind.WHOLE, move=move)
        else:
            self._hear(path, _KINDS[type(event)])
