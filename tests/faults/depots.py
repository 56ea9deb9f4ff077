"""What tests of a depot's faults share."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from objstore.backings.filesystem import Depot
from objstore.backings.filesystem.blobs import rangelog
from objstore.backings.filesystem.io import Files
from objstore.depot import Identifier, ObjectStateT


def depot_on(files: Files) -> Depot:
    """A depot on these Files, in their folder."""
    depot = Depot(files.root)
    depot._files = files  # type: ignore[misc]
    return depot


def reboot(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From here on the machine seems to have been started anew."""
    monkeypatch.setattr(rangelog, "this_boot", lambda: f"{number:016x}")


def check_against(depot: Depot, expected: dict[Identifier, bytes]) -> None:
    """Whatever is there is right: readable blobs are whole, and what counts as written is so."""
    for identifier, data in expected.items():
        state = depot.state(identifier)
        if state is ObjectStateT.READABLE:
            assert depot.read(identifier, 0, len(data) + 1) == data
            info = depot.info(identifier)
            assert (info.size, info.sha256) == (len(data), sha256(data).hexdigest())
        elif state is ObjectStateT.WRITABLE:
            _check_writable(depot, identifier, data)
    assert depot.scrub().damaged == ()


def _check_writable(depot: Depot, identifier: Identifier, data: bytes) -> None:
    missing, length = depot.missing_ranges(identifier), depot.info(identifier).size
    with depot.resume(identifier) as blob:
        blob.seek(0)
        found = bytearray(blob.read(length).ljust(length, b"\0"))
        blob.abandon()
    for one in missing:
        found[one.at : one.end] = data[one.at : one.end]
    assert found == data[:length]


def complete(depot: Depot, identifier: Identifier, data: bytes) -> None:
    """Do what is left to be done, as somebody would who comes back after a crash."""
    state = depot.state(identifier)
    if state is ObjectStateT.NONEXISTENT:
        depot.reserve(identifier, len(data))
    if state is not ObjectStateT.READABLE:
        for one in depot.missing_ranges(identifier):
            depot.write(identifier, one.at, data[one.at : one.end])
        length = depot.info(identifier).size
        depot.write(identifier, length, data[length:])
        depot.finalize(identifier)
    assert depot.read(identifier, 0, len(data) + 1) == data


def left(depot: Depot) -> set[str]:
    """The names of the files below the depot."""
    return {path.name for path in Path(depot._files.root).rglob("*") if path.is_file()}
