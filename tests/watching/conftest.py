"""A store that is watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import objstore
from objstore import Store
from tests.conformance.library import Library, fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[Store[Library]]:
    with objstore.open(folder, Library) as store:
        fill(store)
    # Folders that are made in a watch are watched a moment later.
    with objstore.open(folder, Library, watch=True) as store:
        yield store


@pytest.fixture
def ada(folder: Path) -> Path:
    return folder / "people" / "ada.json"
