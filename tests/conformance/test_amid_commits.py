"""What other threads see while a commit of the same store is on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from objstore import Dict, Directory, Store
from objstore.documents import Commit, Waiting

from .stores import Opener, reopen

__all__ = ["reopen"]

PATIENCE = 20
"""Seconds."""


class Person(Dict):
    born: int


class Team(Directory):
    people: Directory[Person]


@pytest.fixture
def store(reopen: Opener) -> Store[Team]:
    return reopen(Team)


def pausing(store: Store[Any], there: threading.Event, goes_on: threading.Event) -> None:
    """Have the store's next commit pause when it is on the disk, and its maker not yet told."""
    commit = store._documents.commit

    def slowly(*args: Any, waiting: Waiting | None = None, **options: Any) -> Any:
        @contextmanager
        def pause(made: Commit) -> Generator[None]:
            assert waiting is not None
            with waiting(made):
                yield
                there.set()
                assert goes_on.wait(PATIENCE)

        try:
            return commit(*args, waiting=pause if waiting else None, **options)
        finally:
            there.set()  # also where a maker waits for no disk

    store._documents.commit = slowly  # type: ignore[method-assign]


def create(people: Directory[Person]) -> None:
    people["cy"] = Person(born=1960)


def delete(people: Directory[Person]) -> None:
    del people["ada"]


def clear(people: Directory[Person]) -> None:
    people.clear()


@pytest.mark.parametrize("change", [create, delete, clear])
def test_what_a_directory_lists_can_be_read(
    store: Store[Team], change: Callable[[Directory[Person]], None]
) -> None:
    people = store.root.people
    people.update(ada={"born": 1815}, bob={"born": 1970})
    there, goes_on = threading.Event(), threading.Event()
    pausing(store, there, goes_on)
    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(change, people)
        assert there.wait(PATIENCE)
        seen = {key: person.born for key, person in people.items()}
        is_over = changed.done()
        count = len(people)
        goes_on.set()
        changed.result(PATIENCE)
    after = {key: person.born for key, person in people.items()}
    assert seen in ({"ada": 1815, "bob": 1970}, after)
    assert is_over or count == len(seen)
