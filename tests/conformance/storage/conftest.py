"""A storage of every maker, which must be whole after the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.storage import Storage
from tests.conformance.storages import STORAGES, StorageMaker, check, dump


@pytest.fixture(params=STORAGES, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> StorageMaker:
    found: StorageMaker = request.param
    return found


@pytest.fixture
def path(maker: StorageMaker, tmp_path: Path) -> str:
    return maker.path(tmp_path)


@pytest.fixture
def storage(maker: StorageMaker, path: str) -> Iterator[Storage]:
    """An empty storage, which must be whole after the test."""
    with maker.make(path, create=True) as made:
        yield made
    with maker.make(path) as opened:
        dump(opened)
        check(opened)


@pytest.fixture
def letters(storage: Storage) -> Storage:
    """A storage with the container "letters": a to e, each with its capital."""
    storage.add_container("letters")
    storage.set_container_items("letters", {letter: letter.upper() for letter in "ecabd"})
    return storage


@pytest.fixture
def another(maker: StorageMaker, path: str, storage: Storage) -> Iterator[Storage]:
    """A second instance on the same storage."""
    with maker.make(path) as opened:
        yield opened


@pytest.fixture
def full(letters: Storage) -> Storage:
    for name in ("cleared", "deleted", "again"):
        letters.add_container(name)
        letters.set_container_item(name, "x", name)
    return letters
