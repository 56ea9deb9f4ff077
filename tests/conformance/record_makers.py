"""The record keepers that the suites run on. A new one gets its tests by standing here."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from objstore.backings.filesystem.events.eventlog import SegmentRecordKeeper
from objstore.backings.filesystem.events.records import RecordKeeper as TreeRecordKeeper
from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.records import MemoryRecordKeeper
from objstore.backings.sqlite import SqliteStorage
from objstore.backings.storage_records import StorageRecordKeeper
from objstore.errors import StorageNotFoundError
from objstore.events import RecordKeeper
from tests.faults.crash_states import Quick


class Maker(NamedTuple):
    """One maker of record keepers."""

    name: str
    open: Callable[[Path], RecordKeeper]
    """A handle on the log in a folder."""
    is_shared: bool = True
    """Whether another handle, or another process, sees the same log."""


def _segments(folder: Path) -> RecordKeeper:
    return SegmentRecordKeeper(Quick(str(folder / "store/.objstore/events")))


def _tree(folder: Path) -> RecordKeeper:
    return TreeRecordKeeper(Quick(str(folder)))


def _sqlite(folder: Path) -> RecordKeeper:
    path = folder / "events.db"
    storage = SqliteStorage(path, create=not path.exists(), durability="os")
    keeper = StorageRecordKeeper(storage)
    weakref.finalize(keeper, storage.close).atexit = False  # as a keeper does not close it
    return keeper


def _memory_storage(folder: Path) -> RecordKeeper:
    return StorageRecordKeeper(MemoryStorage(folder / "events", create=not _is_open(folder)))


def _is_open(folder: Path) -> bool:
    try:
        MemoryStorage(folder / "events")
    except StorageNotFoundError:
        return False
    return True


def _memory(folder: Path) -> RecordKeeper:
    return MemoryRecordKeeper()


MAKERS = [
    Maker("segments", _segments),
    Maker("tree", _tree),
    Maker("memory", _memory, is_shared=False),
    Maker("sqlite", _sqlite),
    Maker("memory storage", _memory_storage),
]

ON_FILES = MAKERS[:2]

SHARED = [maker for maker in MAKERS if maker.is_shared]
