"""What a transaction reads is as of its start, whoever commits meanwhile and wherever.

Another store at the same place stands for another process: nothing is told to this one's Objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

import objstore
from objstore import Commit, Store

from .library import ADA, BOB, Library, fill
from .makers import LOGGED, Maker


class Pair:
    """Two stores at one place."""

    def __init__(
        self, url: str, schema: type[Library] | None = Library, *, watch: bool = False
    ) -> None:
        self.ours: Store[Any] = objstore.open(url, schema, watch=watch)
        if schema is not None:
            fill(cast("Store[Library]", self.ours))
        self.theirs: Store[Any] = objstore.open(url, schema)

    def commit(self, act: Callable[[Store[Any]], Any], *, here: bool) -> None:
        """Commit something in another thread, of this store or of the other one."""
        store = self.ours if here else self.theirs
        with ThreadPoolExecutor(1) as pool:
            pool.submit(act, store).result(timeout=20)


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    maker: Maker = request.param
    yield from closing(Pair(maker.url(tmp_path)))


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def untyped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    maker: Maker = request.param
    yield from closing(Pair(maker.url(tmp_path), None))


def closing(both: Pair) -> Iterator[Pair]:
    yield both
    assert both.ours.check() == both.theirs.check() == []
    both.ours.close()
    both.theirs.close()


here = pytest.mark.parametrize("here", [True, False], ids=["thread", "store"])


def put(path: str, value: Any) -> Callable[[Store[Any]], None]:
    return lambda store: store.PUT(path, value)


def delete(path: str) -> Callable[[Store[Any]], None]:
    return lambda store: store.DELETE(path)


@here
def test_a_file_first_used_after_a_commit_is_as_of_the_start(pair: Pair, here: bool) -> None:
    store = pair.ours
    with store.transaction():
        pair.commit(put("/people/ada/email", "later"), here=here)
        ada = store.root.people["ada"]
        assert ada == ADA
        assert ada.email is None
        pair.commit(put("/people/ada/born", 1), here=here)
        assert (ada.born, ada["born"], store["/people/ada/born"]) == (1815, 1815, 1815)
    assert ada == {**ADA, "email": "later", "born": 1}


@here
@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "not loaded"])
def test_a_held_object_is_as_of_the_start(pair: Pair, here: bool, loaded: bool) -> None:
    store = pair.ours
    ada = store.root.people["ada"]
    if loaded:
        assert ada.name == "Ada"
    with store.transaction():
        pair.commit(put("/people/ada/name", "Later"), here=here)
        assert ada.name == "Ada"
        with ThreadPoolExecutor(1) as pool:
            seen = pool.submit(lambda: store.root.people["ada"].name).result(timeout=20)
        assert seen == "Later"
        assert (ada.name, ada.contents) == ("Ada", ADA)
    assert store.root.people["ada"].name == ada.name == "Later"


@here
def test_members_are_those_of_the_start(pair: Pair, here: bool) -> None:
    store = pair.ours
    with store.transaction():
        pair.commit(put("/people/eve", ADA), here=here)
        pair.commit(delete("/people/bob"), here=here)
        people = store.root.people
        assert list(people) == ["ada", "bob"]
        assert "eve" not in people
        assert "bob" in people
        with pytest.raises(KeyError):
            people["eve"]
        assert people["bob"] == BOB
        people["zoe"] = ADA
        assert list(people) == ["ada", "bob", "zoe"]
        assert list(store) == [f"/people/{name}" for name in people] + ["/reading", "/settings"]
    assert list(store.root.people) == ["ada", "eve", "zoe"]


@here
def test_files_and_directories_are_those_of_the_start(untyped: Pair, here: bool) -> None:
    store = untyped.ours
    store["/anything"] = {"a": 1}

    def swap(store: Store[Any]) -> None:
        del store["/anything"]
        store["/anything/below/file"] = {"b": 2}

    with store.transaction():
        untyped.commit(swap, here=here)
        assert store["/anything"] == {"a": 1}
        assert "/anything" in list(store)
        assert store.HEAD("/anything/below") is False
    assert store["/anything"].contents == {"below": {"file": {"b": 2}}}
    with store.transaction():
        untyped.commit(delete("/anything"), here=here)
        assert store["/anything/below/file"] == {"b": 2}
        assert list(store["/anything"]) == ["below"]
    assert store.HEAD("/anything") is False


@here
def test_what_was_nothing_and_became_a_file_or_a_directory_is_nothing(
    untyped: Pair, here: bool
) -> None:
    store = untyped.ours
    store["/doc"] = {"a": 1}
    with store.transaction():
        untyped.commit(put("/folder/file", {"b": 2}), here=here)
        untyped.commit(put("/file", {"b": 2}), here=here)
        for path in ("/folder", "/folder/file", "/file", "/file/below"):
            assert store.HEAD(path) is False
            assert store.is_directory(path) is False
        assert list(store) == ["/doc"]
        assert "folder" not in store.root
    assert list(store) == ["/doc", "/file", "/folder/file"]


@here
def test_several_files_are_seen_together(pair: Pair, here: bool) -> None:
    store = pair.ours

    def both(number: int) -> Callable[[Store[Any]], None]:
        def act(store: Store[Any]) -> None:
            with store.transaction():
                store.root.people["ada"].born = store.root.people["bob"].born = number

        return act

    pair.commit(both(0), here=here)
    for number in range(1, 20):
        with store.transaction():
            first = store.root.people["ada"].born
            pair.commit(both(number), here=here)
            assert store.root.people["bob"].born == first == number - 1


@here
def test_what_was_seen_late_still_merges(pair: Pair, here: bool) -> None:
    store = pair.ours
    with store.transaction():
        pair.commit(put("/people/bob/email", "theirs"), here=here)
        bob = store.root.people["bob"]
        assert bob.email is None
        bob.born = 1971
    assert bob == {**BOB, "email": "theirs", "born": 1971}
    with pytest.raises(objstore.ConflictError) as caught, store.transaction():
        pair.commit(put("/people/bob/born", 1), here=here)
        store.root.people["bob"].born += 1
    error = caught.value
    assert (error.pointer, error.base) == ("/people/bob/born", 1971)
    assert (error.ours, error.theirs) == (1972, 1)


def test_a_commit_of_both_sides_in_between(pair: Pair) -> None:
    """The other store commits, then a thread of ours: a transaction of before sees neither."""
    store = pair.ours
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    with store.transaction():
        pair.commit(put("/people/ada/name", "Theirs"), here=False)
        pair.commit(put("/people/ada/email", "ours"), here=True)
        assert ada == ADA
    assert ada == {**ADA, "name": "Theirs", "email": "ours"}


def test_a_transaction_that_began_between_two_commits_sees_the_first(pair: Pair) -> None:
    store = pair.ours
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    with ThreadPoolExecutor(1) as pool:
        early = store.transaction()
        pool.submit(early.__enter__).result(timeout=20)
        pair.theirs.root.people["ada"].name = "First"
        with store.transaction():
            pair.theirs.root.people["ada"].name = "Second"
            assert ada.name == "First"
            assert pool.submit(lambda: ada.name).result(timeout=20) == "Ada"
        assert pool.submit(lambda: ada.name).result(timeout=20) == "Ada"
        pool.submit(early.__exit__, None, None, None).result(timeout=20)
    assert ada.name == "Second"


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Ours is watched, as files can be, and finds what is new before the watch has told it."""

    def take_in(commit: Commit) -> None:
        """Come too late."""

    pair = Pair(str(tmp_path), watch=True)
    monkeypatch.setattr(pair.ours, "_take_in", take_in)
    yield from closing(pair)


def test_a_held_object_of_a_watched_store_is_as_of_the_start(watched: Pair) -> None:
    ada = watched.ours.root.people["ada"]
    assert ada.name == "Ada"
    with watched.ours.snapshot_view():
        watched.commit(put("/people/ada/name", "Later"), here=False)
        assert ada.name == "Ada"
    assert ada.name == "Later"


def test_a_member_of_a_watched_store_is_as_of_the_start(
    watched: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is written in another style, and is changed as it is loaded for that."""
    store = watched.ours
    assert store.root.people["ada"].name == "Ada"
    load, later = store._documents.load, iter(["Later"])

    def change_and_load(unit: str, *, at: int | None = None) -> Any:
        for name in later if at is None else ():
            watched.commit(put("/people/ada/name", name), here=False)
        return load(unit, at=at)

    with store.snapshot_view():
        (tmp_path / "people/ada.json").write_text(json.dumps(ADA))
        monkeypatch.setattr(store._documents, "load", change_and_load)
        ada = store.root.people["ada"]
        assert list(later) == []
        assert ada.name == "Ada"
    assert store.root.people["ada"].name == "Later"


@here
@pytest.mark.parametrize("early", [True, False])
def test_what_is_made_in_a_directory_that_another_makes_is_there(
    untyped: Pair, here: bool, early: bool
) -> None:
    def make(store: Store[Any]) -> None:
        store["people/eve"] = {"name": "Eve"}

    store = untyped.ours
    with store.transaction():
        if early:
            store["people/ada"] = {"name": "Ada"}
            assert [*store] == ["/people/ada"]
            untyped.commit(make, here=here)
        else:
            assert "people" not in store
            untyped.commit(make, here=here)
            assert "people" not in store
            store["people/ada"] = {"name": "Ada"}
        for _ in range(2):
            assert store["people/ada"].contents == {"name": "Ada"}
            assert "people/ada" in store
            assert "people" in store.root
            assert [*store] == ["/people/ada"]
            assert [*store.root] == ["people"]
            assert [*store.root["people"]] == ["ada"]
    assert [*store] == ["/people/ada", "/people/eve"]


def test_what_is_there_only_in_between_is_not_seen(untyped: Pair) -> None:
    store, look = untyped.ours, untyped.ours._documents.look
    store["pair/other"] = {}
    left = {"/x": 1, "/pair/y": 2}

    def look_amid(path: str, known: Any = None, *, sure: bool = True) -> Any:
        if not left.get(path):
            return look(path, known, sure=sure)
        left[path] -= 1
        untyped.theirs[path] = {}
        try:
            return look(path, known, sure=sure)
        finally:
            del untyped.theirs[path]

    with store.snapshot_view():
        assert "x" not in store
        store._documents.look = look_amid  # type: ignore[method-assign]
        assert "pair/y" not in store
        assert "x" not in store
        assert store.get("x", None) is None
    assert left == {"/x": 0, "/pair/y": 0}


def test_a_directory_that_becomes_a_file_is_listed_as_it_was(untyped: Pair) -> None:
    store = untyped.ours
    store["d/u"] = {"n": 1}
    with store.snapshot_view():
        del untyped.theirs["d/u"]
        untyped.theirs["d"] = {"n": 2}
        assert [*store] == ["/d/u"]
        assert [*store.root["d"]] == ["u"]
        assert store["d/u"].contents == {"n": 1}
    assert [*store] == ["/d"]
