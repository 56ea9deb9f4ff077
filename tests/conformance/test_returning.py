"""What others change and change back: a file that is as it was is not what it was in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.log.logview import Position

from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

PATIENCE = 20.0

Begin = Callable[[Store[Any]], AbstractContextManager[Any]]


def view(store: Store[Any]) -> AbstractContextManager[Any]:
    return store.snapshot_view()


def transaction(store: Store[Any]) -> AbstractContextManager[Any]:
    return store.transaction()


lazily = pytest.mark.parametrize("apply", ["eager", "lazy"])
within = pytest.mark.parametrize("begin", [view, transaction])


def elsewhere(act: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result(PATIENCE)


@lazily
@within
@pytest.mark.parametrize("in_scope", [False, True], ids=["another store", "its scope"])
def test_a_file_that_is_again_as_it_was_known_is_as_of_the_start(
    reopen_logged: Opener, apply: str, begin: Begin, in_scope: bool
) -> None:
    other = reopen_logged(apply=apply)
    store = other.scope("draft") if in_scope else reopen_logged()
    with other.transaction():
        other["x"], other["y"] = {"v": 100}, {"v": 100}
    if in_scope:
        store["x"]["mine"] = 1
    other.flush()
    held = store["x"]
    assert held["v"] + store["y"]["v"] == 200
    with other.transaction():
        other["x"]["v"], other["y"]["v"] = 90, 110

    def back() -> None:
        with other.transaction():
            other["x"]["v"], other["z"] = 100, {"v": 10}

    with begin(store):
        assert store["y"]["v"] == 110
        elsewhere(back)
        assert (held["v"], held.v, store["x"]["v"]) == (90, 90, 90)
        other.flush()
        assert (held["v"], store["x"]["v"]) == (90, 90)
    assert store["x"]["v"] == 100


def look(store: Store[Any]) -> None:
    assert "x" in store.root


def go_there(store: Store[Any]) -> None:
    assert store["x"]


def read(store: Store[Any]) -> None:
    with store.transaction():
        assert store["x"]["v"] == 100


def change(store: Store[Any]) -> None:
    store["x"]["more"] = 1


@lazily
@within
@pytest.mark.parametrize("do", [look, go_there, read, change])
@pytest.mark.parametrize("in_scope", [False, True], ids=["another store", "its scope"])
def test_what_other_threads_see_again_is_not_what_it_was_at_the_start(
    reopen_logged: Opener,
    apply: str,
    begin: Begin,
    do: Callable[[Store[Any]], object],
    in_scope: bool,
) -> None:
    other = reopen_logged(apply=apply)
    store = other.scope("draft") if in_scope else reopen_logged()
    other["x"] = {"v": 100}
    held = store["x"]
    assert held["v"] == 100
    other["x"]["v"] = 90
    with begin(store):
        other["x"]["v"] = 80
        other["x"]["v"] = 100
        other.flush()
        elsewhere(lambda: do(store))
        assert (held["v"], held.v, store["x"]["v"], held.get("more")) == (90, 90, 90, None)
    assert held["v"] == 100


@within
def test_what_was_read_through_the_log_is_not_what_the_file_had(
    reopen_logged: Opener, begin: Begin
) -> None:
    """A commit makes the contents again what a file holds that is behind."""
    lazy, store = reopen_logged(apply="lazy"), reopen_logged()
    lazy["a"] = {"n": 1}
    lazy["b"] = {}
    lazy.flush()
    assert store["a"]["n"] == 1
    lazy["a"]["n"] = 2
    with begin(store):
        assert store["a"]["n"] == 2
    lazy["a"]["n"] = 1
    with begin(store):
        assert store["a"]["n"] == 1
    with store.transaction():
        store["b"]["n"] = store["a"]["n"]
    assert store["a"]["n"] == store["b"]["n"] == 1

    def add(_: object) -> None:
        store["a"]["n"] += 10

    store.run(add)
    assert reopen_logged()["a"]["n"] == 11


@lazily
def test_a_serializable_transaction_that_only_read_hears_of_others(
    reopen_logged: Opener, apply: str
) -> None:
    store, other = reopen_logged(apply=apply), reopen_logged(apply=apply)
    store["d/one"] = {"k": 1}
    with pytest.raises(objstore.ConflictError), store.transaction(serializable=True):
        assert store["d/one"]["k"] == 1
        elsewhere(lambda: other.PUT("/d/one/k", 2))
    with pytest.raises(objstore.ConflictError), store.transaction(serializable=True):
        assert list(store.root["d"]) == ["one"]
        elsewhere(lambda: other.PUT("/d/two", {}))


@lazily
def test_a_scope_can_be_changed_where_the_file_is_again_as_it_was_known(
    reopen_logged: Opener, apply: str
) -> None:
    store = reopen_logged(apply=apply)
    scope = store.scope("draft")
    store["x"] = {"n": 1}
    assert scope["x"]["n"] == 1
    store["x"]["n"] = 2
    store["x"]["n"] = 1
    store.flush()
    scope["x"]["mine"] = True
    assert scope["x"] == {"n": 1, "mine": True}


def test_a_scope_sees_all_of_a_commit_that_waits_for_the_disk_or_nothing(
    reopen_logged: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reopen_logged()
    scope = store.scope("draft")
    with store.transaction():
        store["x"], store["y"] = {"v": 1}, {"v": 1}
    scope["x"]["mine"] = True
    sync = CommitLog.sync
    waits, may_go = threading.Event(), threading.Event()

    def slow(log: CommitLog, position: Position | None = None) -> None:
        if position is not None:  # not who only wants to see it
            waits.set()
            assert may_go.wait(PATIENCE)
        sync(log, position)

    def commit() -> None:
        with store.transaction():
            store["x"]["v"], store["y"]["v"] = 2, 2

    if not store.url.startswith("memory"):
        monkeypatch.setattr(CommitLog, "sync", slow)
    thread = threading.Thread(target=commit)
    thread.start()
    if not store.url.startswith("memory"):
        assert waits.wait(PATIENCE)
    with scope.snapshot_view():
        first = scope["x"]["v"]
        may_go.set()
        thread.join()
        assert scope["y"]["v"] == first
    assert scope["x"]["v"] == scope["y"]["v"] == 2
