"""The depots that the suites of this folder run on. A new one gets its tests by standing here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import objstore.backings.filesystem
from objstore.backings.lmdb import LmdbStorage
from objstore.backings.memory_depot import MemoryDepot
from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.sqlite import SqliteStorage
from objstore.backings.storage_depot import StorageDepot
from objstore.depot import Depot, Identifier, ObjectStateT
from objstore.storage import Storage


class DepotMaker(NamedTuple):
    """One maker of Depots."""

    name: str
    make: Callable[[Path], Depot]
    """A depot in a test's folder, with nothing in it."""
    close: Callable[[Depot], None]
    """Lets go of what ``make`` opened."""
    peek: Callable[[Depot, Path, Identifier], bytes | None]
    """The bytes of a readable blob, read by other means; None where there is none."""


def _filesystem(folder: Path) -> Depot:
    return objstore.backings.filesystem.Depot(folder / "parent", durability="os")


def _file(depot: Depot, folder: Path, identifier: Identifier) -> bytes | None:
    digits = "/".join(str(identifier.uuid)[:3])
    path = folder / "parent/depot" / digits / f"{identifier.uuid}.{identifier.version}"
    return path.read_bytes() if path.exists() else None


def _memory(folder: Path) -> Depot:
    return MemoryDepot()


def _entry(depot: Depot, folder: Path, identifier: Identifier) -> bytes | None:
    assert isinstance(depot, MemoryDepot)
    found = depot._blobs.get(identifier)
    return bytes(found.data) if found is not None and found.state.name == "READABLE" else None


def _storage(make: Callable[[str, bool], Storage], folder: Path) -> Depot:
    return StorageDepot(make(str(folder / "storage"), True))


def _blocks(depot: Depot, folder: Path, identifier: Identifier) -> bytes | None:
    assert isinstance(depot, StorageDepot)
    if depot.state(identifier) is not ObjectStateT.READABLE:
        return None
    found = bytearray(depot.info(identifier).size)
    for key, block in depot._storage.get_container_items("depot blocks"):
        name, _, number = key.partition("/")
        if name == str(identifier):
            assert isinstance(block, bytes)
            at = int(number) << 16
            found[at : at + len(block)] = block
    return bytes(found)


def _close_storage(depot: Depot) -> None:
    assert isinstance(depot, StorageDepot)
    depot._storage.close()


def _nothing(depot: Depot) -> None:
    """Holds nothing."""


DEPOTS = [
    DepotMaker("filesystem", _filesystem, _nothing, _file),
    DepotMaker("memory", _memory, _nothing, _entry),
    DepotMaker("sqlite", partial(_storage, SqliteStorage), _close_storage, _blocks),
    DepotMaker("lmdb", partial(_storage, LmdbStorage), _close_storage, _blocks),
    DepotMaker("memory storage", partial(_storage, MemoryStorage), _close_storage, _blocks),
]

OVER_STORAGES = [maker for maker in DEPOTS if maker.close is _close_storage]
"""Those whose blobs are values of a Storage."""
