"""Objects as values: assigned elsewhere they are what a dict or list would be (lines 8 and 11)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import List, Store


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store[Any]]:
    with objstore.open(tmp_path if request.param == "file" else "memory://") as opened:
        yield opened
        assert not opened.check()


@pytest.fixture(params=["one by one", "together"])
def block(request: pytest.FixtureRequest, store: Store[Any]) -> AbstractContextManager[Any]:
    return store.transaction() if request.param == "together" else nullcontext()


def records(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


def test_elements_of_a_list(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["list"] = records(3)
    found = store["list"]
    first, second = found[0], found[1]
    with block:
        found[0], found[1] = found[1], found[0]
    assert found == [{"n": 1}, {"n": 0}, {"n": 2}]
    for gone in (first, second):
        with pytest.raises(objstore.DetachedError):
            gone["n"]


def test_a_list_is_shuffled(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["list"] = records(20)
    found, plain = store["list"], records(20)
    with block:
        random.Random(3).shuffle(found)  # noqa: S311 - no secret
    random.Random(3).shuffle(plain)  # noqa: S311
    assert found == plain


def test_lists_in_a_list(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["list"] = [[1], [2], [3]]
    found = store["list"]
    with block:
        found[0], found[2] = found[2], found[0]
    assert found == [[3], [2], [1]]


def test_an_element_is_moved_by_hand(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["list"] = records(4)
    found = store["list"]
    with block:
        element = found[0]
        del found[0]
        found.append(element)
        some = found[1:3]
        del found[1:3]
        found[0:0] = some
    assert found == [{"n": 2}, {"n": 3}, {"n": 1}, {"n": 0}]


def test_an_unattached_list() -> None:
    found: Any = List(records(3))
    found[0], found[1] = found[1], found[0]
    assert found == [{"n": 1}, {"n": 0}, {"n": 2}]


def test_keys_of_a_dict(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["dict"] = {"a": {"x": 1}, "b": {"y": 2}}
    found = store["dict"]
    with block:
        found["a"], found["b"] = found["b"], found["a"]
    assert found == {"a": {"y": 2}, "b": {"x": 1}}


def test_a_key_is_set_back(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["dict"] = {"a": {"x": 1}}
    found = store["dict"]
    with block:
        before = found["a"]
        found["a"] = {"other": 2}
        found["a"] = before
    assert found == {"a": {"x": 1}}


def test_a_key_is_renamed(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["dict"] = {"a": {"x": 1}}
    found = store["dict"]
    with block:
        value = found["a"]
        del found["a"]
        found["b"] = value
    assert found == {"b": {"x": 1}}


def test_files(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["x"], store["y"] = {"n": 1}, [2]
    root = store.root
    with block:
        root["x"], root["y"] = root["y"], root["x"]
    assert (store["x"], store["y"]) == ([2], {"n": 1})


def test_a_file_is_renamed(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["x"] = {"n": 1}
    with block:
        value = store["x"]
        del store["x"]
        store["z"] = value
    assert dict(store) == {"/z": {"n": 1}}


def test_what_is_changed_by_an_object_counts(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    """It stands for its place: who changes something by it has seen what is there now."""
    store["dict"] = {"a": {"x": 1}, "b": 0}
    found = store["dict"]
    with block:
        held = found["a"]
        found["a"] = {"x": 2}
        held["y"] = 3
        found["b"] = held
    assert found == {"a": {"x": 2, "y": 3}, "b": {"x": 2, "y": 3}}


def test_what_was_taken_back_is_forgotten(store: Store[Any]) -> None:
    store["x"] = {"n": 1}
    held = store["x"]
    with pytest.raises(ZeroDivisionError), store.transaction():
        store["x"] = {"n": 2}
        raise ZeroDivisionError
    held["n"] = 3
    store["y"] = held
    assert store["y"] == {"n": 3}


def test_pop_gives_what_can_be_stored_again(store: Store[Any]) -> None:
    store["x"], store["folder/y"] = {"n": 1, "part": {"m": 2}}, [3]
    store["moved"] = store.pop("x")
    assert store["moved"] == {"n": 1, "part": {"m": 2}}
    assert "x" not in store
    assert store.pop("moved/part") == {"m": 2}
    assert store.pop("moved/n") == 1
    assert store.pop("folder") == {"y": [3]}
    assert store.pop("nowhere", 5) == 5
    with pytest.raises(KeyError):
        store.pop("nowhere")
    path, contents = store.popitem()
    assert (path.lstrip("/"), contents) == ("moved", {})
    with pytest.raises(KeyError):
        store.popitem()
    assert list(store) == []


def test_a_pathname_does_not_lead_into_a_value(store: Store[Any]) -> None:
    store["a"] = {"x": 1, "list": [2]}
    refused = r"'y' leads into [12], which has no keys"
    for path in ("/a/x/y", "/a/list/0/y"):
        with pytest.raises(objstore.KeyNotFoundError, match=refused):
            store.GET(path)
        with pytest.raises(objstore.KeyNotFoundError, match=refused):
            store.DELETE(path)
        with pytest.raises(objstore.KeyNotFoundError, match=refused):
            store.PUT(path, 3)
        assert path not in store
    assert store["a"] == {"x": 1, "list": [2]}


def test_several_pathnames_are_set_in_one_commit_or_not_at_all(store: Store[Any]) -> None:
    with pytest.raises(objstore.ValidationError):
        store.update({"a": {"n": 1}, "folder/b": {"n": 2}, "c": 5})
    assert (store.head, list(store)) == (0, [])
    store.update({"a": {"n": 1}}, b={"n": 2})
    store.update([("folder/c", {"n": 3})])
    store.update()
    assert store.head == 2
    assert store.root.contents == {"a": {"n": 1}, "b": {"n": 2}, "folder": {"c": {"n": 3}}}
    store.clear()
    assert (store.head, list(store)) == (3, [])
    store.clear()
    assert store.head == 3
