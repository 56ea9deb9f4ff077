"""The makers of Storage that the suites run on. A new one gets its tests by standing here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from objstore.backings.lmdb import LmdbStorage
from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.sqlite import SqliteStorage
from objstore.backings.valuelog import ValueLogStorage
from objstore.storage import Backups, Checks, Lists, Savepoints, Scans, Storage


class FullStorage(Lists, Scans, Savepoints, Checks, Protocol):
    """What all of our makers can do besides what the contract asks for."""


class MakeStorage(Protocol):
    def __call__(
        self, path: str, create: bool = False, readonly: bool = False, *, wait: float = 30.0
    ) -> Storage: ...


class StorageMaker(NamedTuple):
    """One maker of Storage."""

    name: str
    make: MakeStorage
    on_disk: bool = True
    """Whether what it keeps outlives the process, and other processes see it."""

    def path(self, folder: Path) -> str:
        """Where a test's storage is, and nothing yet."""
        return str(folder / "storage")


STORAGES = [
    StorageMaker("memory", MemoryStorage, on_disk=False),
    StorageMaker("sqlite", SqliteStorage),
    StorageMaker("lmdb", LmdbStorage),
    StorageMaker("valuelog", ValueLogStorage),
]

ON_DISK = [maker for maker in STORAGES if maker.on_disk]


def check(storage: Storage) -> None:
    """Fails where anything that is stored is not what was written."""
    assert isinstance(storage, Checks)
    assert storage.check() == []


def dump(storage: Storage) -> dict[str, dict[str, str | bytes]]:
    """Everything that is stored."""
    assert isinstance(storage, Lists)
    found: dict[str, dict[str, str | bytes]] = {}
    with storage.transaction(write=False):
        for c_id in storage.get_containers():
            items = list(storage.get_container_items(c_id))
            found[c_id] = {key: value for key, value in items if value is not None}
            assert storage.get_container_len(c_id) == len(found[c_id]) == len(items)
            assert [key for key, _ in items] == sorted(found[c_id])
            assert list(storage.get_container_keys(c_id)) == sorted(found[c_id])
    return found


__all__ = ["ON_DISK", "STORAGES", "Backups", "StorageMaker", "check", "dump"]
