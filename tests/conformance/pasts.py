"""Stores with a past, for tests of history."""

from __future__ import annotations

from typing import Any

import pytest

from objstore import Commit, Directory, Store

from .aftermaths import KEEPING_THE_PAST, name_of
from .library import Library, fill
from .stores import Opener


@pytest.fixture(params=KEEPING_THE_PAST, ids=name_of)
def store(request: pytest.FixtureRequest, reopen_logged: Opener) -> Store[Library]:
    """Commits: 1 fills, 2 and 3 change Ada, 4 deletes Bob, 5 changes the settings."""
    store: Store[Library] = reopen_logged(Library)
    fill(store)
    store.root.people["ada"].email = "ada@example.org"
    with store.transaction(meta={"author": "me"}):
        store.root.people["ada"].name = "Ada King"
    del store.root.people["bob"]
    store.root.settings.size = 14
    found: Store[Library] = request.param(store, lambda: reopen_logged(Library))
    return found


@pytest.fixture
def anything(reopen_logged: Opener) -> Store[Directory[Any]]:
    return reopen_logged()


def numbers(blamed: dict[str, Commit | None]) -> dict[str, int | None]:
    return {leaf: commit and commit.number for leaf, commit in blamed.items()}
