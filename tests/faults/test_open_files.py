"""A process that may open no more files: it is told, nothing is lost, and later it goes on."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.errors import ObjstoreError
from objstore.store import Store


@contextmanager
def few(more: int) -> Generator[None]:
    """Let this process open so many files more than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    spare: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + more, hard))
    try:
        try:
            while True:
                spare.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(more):
                os.close(spare.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in spare:
            os.close(one)


def set_all(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name]["n"] = 5


def make(store: Store[Any]) -> None:
    store["made/deep"] = {"n": 5}


def delete(store: Store[Any]) -> None:
    del store["gone"]


def append(store: Store[Any]) -> None:
    store.events.append("note", {"n": 5})


def put(store: Store[Any]) -> None:
    store.depot.purge(store.depot.put(b"x" * 1000))


def set_item(store: Store[Any]) -> None:
    store.containers["c"]["k"] = 5


def snapshot(store: Store[Any]) -> None:
    store["a"]["n"] = 5
    store.switch_and_snapshot()


def compact(store: Store[Any]) -> None:
    store.switch_and_snapshot()
    store.compact(objstore.Retention(keep=timedelta(0), every=timedelta(days=1)))


def read(store: Store[Any]) -> None:
    assert store.at(1)["a"] == {"n": 0}
    assert [store[name]["n"] for name in store] == [0] * 4


def undo(store: Store[Any]) -> None:
    store.undo(store.head)


def flush(store: Store[Any]) -> None:
    store["a"]["n"] = 5
    store.flush()


CALLS = [set_all, make, delete, append, put, set_item, snapshot, compact, read, undo, flush]


def fill(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name] = {"n": 0}
    store["gone"] = {"n": 0}
    append(store)
    put(store)
    set_item(store)


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported at the first call is imported: Python says itself that it cannot."""
    for call in CALLS:
        with objstore.open(tmp_path_factory.mktemp("warm")) as store:
            fill(store)
            call(store)


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_when_files_can_be_opened_again(
    call: Callable[[Store[Any]], None], apply: Any, tmp_path: Path
) -> None:
    refused = 0
    for more in (0, 1, 2, 7):
        folder = tmp_path / str(more)
        with objstore.open(folder, apply=apply) as store:
            fill(store)
            try:
                with few(more):
                    call(store)
            except ObjstoreError:
                refused += 1
                assert call is not set_all or [store[name]["n"] for name in "abc"] == [0] * 3
                call(store)
            store["after"] = {"n": 1}
            assert store.check() == []
            seen = {key: store[key].contents for key in store.root}
        with objstore.open(folder) as store:
            assert {key: store[key].contents for key in store.root} == seen
            assert store.events.verify().position == (2 if call is append else 1)
            assert store.check() == []
    assert refused < 4
