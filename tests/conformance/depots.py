"""The depots that the suites of this folder run on. A new one gets its tests by standing here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import objstore.backings.filesystem
from objstore.backings.memory_depot import MemoryDepot
from objstore.depot import Depot, Identifier


class DepotMaker(NamedTuple):
    """One maker of Depots."""

    name: str
    make: Callable[[Path], Depot]
    """A depot in a test's folder, with nothing in it."""
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


DEPOTS = [
    DepotMaker("filesystem", _filesystem, _file),
    DepotMaker("memory", _memory, _entry),
]
