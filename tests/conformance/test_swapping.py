"""Objects as values: assigned elsewhere they are what a dict or list would be (lines 8 and 11)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Dict, Directory, List, Store
from objstore._left import EVERYBODYS

from .stores import Opener, reopen

__all__ = ["reopen"]


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


# --- what was replaced from further up, or from elsewhere -----------------------------------------


def test_a_part_is_set_back_in_what_its_file_was_replaced_by(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["ada"] = {"name": "Ada", "tags": ["maths"]}
    ada = store["ada"]
    with block:
        tags = ada["tags"]
        store["ada"] = {"name": "Ada Lovelace"}
        ada["tags"] = tags
    assert ada == {"name": "Ada Lovelace", "tags": ["maths"]}


def test_a_part_is_set_back_in_what_it_was_cleared_from(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["dict"] = {"a": {"b": {"n": 1}}, "list": [{"n": 2}]}
    found = store["dict"]
    with block:
        inner, element = found["a"]["b"], found["list"][0]
        found["a"] = {}
        found["a"]["b"] = inner
        found.clear()
        found["a"] = inner
        found["list"] = [element]
    assert found == {"a": {"n": 1}, "list": [{"n": 2}]}


def test_what_was_got_is_kept_however_often_its_place_is_replaced(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["dict"] = {"a": {"b": {"n": 1}}}
    found = store["dict"]
    with block:
        outer, inner = found["a"], found["a"]["b"]
        for number in (2, 3):
            found["a"] = {"b": {"n": number}}
            assert dict(found.items())["a"]["b"] == {"n": number}  # which gets it anew
        del found["a"]
        found["outer"], found["inner"] = outer, inner
    assert found == {"outer": {"b": {"n": 1}}, "inner": {"n": 1}}


def test_what_was_replaced_by_an_equal_one_is_another(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["dict"] = {"a": {"n": 1}}
    found = store["dict"]
    with block:
        before = found["a"]
        found["a"] = {"n": 1}
        found["a"]["n"] = 2
        found["b"] = before
    assert found == {"a": {"n": 2}, "b": {"n": 1}}


def test_what_a_transaction_replaced_is_nobody_elses(store: Store[Any]) -> None:
    store["dict"] = {"a": {"n": 1}}
    found = store["dict"]
    held = found["a"]

    def elsewhere() -> None:
        found["b"] = held

    with pytest.raises(ZeroDivisionError), store.transaction():
        held["n"] = 2
        found["a"] = {"n": 3}
        with ThreadPoolExecutor(1) as threads:
            threads.submit(elsewhere).result()
        raise ZeroDivisionError
    found["c"] = held
    assert found == {"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}}


def test_who_began_before_it_was_replaced_goes_on_with_what_is_there(store: Store[Any]) -> None:
    store["dict"], store["other"] = {"a": {"n": 1}}, {}
    found = store["dict"]
    held = found["a"]

    def elsewhere() -> None:
        with store.transaction():
            held["n"] = 2
            found["a"] = {"n": 3}

    with store.transaction():
        assert held["n"] == 1
        with ThreadPoolExecutor(1) as threads:
            threads.submit(elsewhere).result()
        assert found["a"] is held
        store["other"]["a"] = held
    store["other"]["b"] = held
    assert store["other"] == {"a": {"n": 1}, "b": {"n": 2}}


def test_what_a_savepoint_made_is_gone_with_it(store: Store[Any]) -> None:
    store["dict"] = {"b": {"n": 1}}
    found = store["dict"]
    with store.transaction():
        kept = made = found["b"]
        with pytest.raises(ZeroDivisionError), store.transaction():
            found["a"], found["b"] = {"n": 9}, {}
            made = found["a"]
            raise ZeroDivisionError
        with pytest.raises(objstore.DetachedError):
            found["a"] = made
        kept["n"] = 2
        found["c"] = kept
    assert found == {"b": {"n": 2}, "c": {"n": 2}}


def test_what_another_handle_deleted_is_no_value(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    store["ada"], store["part"] = {"name": "Ada"}, {"x": {"n": 1}}
    ada, part = store["ada"], store["part"]["x"]
    assert (ada["name"], part["n"]) == ("Ada", 1)
    del other["ada"]
    del other["part"]["x"]
    with pytest.raises(objstore.DetachedError):
        store["ada"] = ada
    with pytest.raises(objstore.DetachedError):
        store["part"]["x"] = part


class _Defaults(Dict):
    x: list[int] = []
    y: list[int] = []


class _WithDefaults(Directory[Any]):
    d: _Defaults
    p: List[int] = objstore.file("p.json", default=[])
    q: List[int] = objstore.file("q.json", default=[])


def test_a_default_is_swapped(reopen: Opener) -> None:
    store = reopen(_WithDefaults)
    store.root["d"], store.root["p"] = {"x": [1]}, [2]
    found, root = store.root.d, store.root
    found["y"], found["x"] = found["x"], found["y"]
    root["q"], root["p"] = root["p"], root["q"]
    assert (found, root.p, root.q) == ({"x": [], "y": [1]}, [], [2])


def test_an_element_of_a_list_that_was_replaced_is_gone(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["file"] = {"rows": [{"n": 0}, {"n": 1}]}
    found = store["file"]
    first = found["rows"][0]
    with block:
        found["rows"] = [row for row in found["rows"] if row["n"] == 1]
        with pytest.raises(objstore.DetachedError):
            first["n"] = 5
    with pytest.raises(objstore.DetachedError):
        first["n"] = 5
    assert found == {"rows": [{"n": 1}]}


def test_elements_that_a_slice_is_given_stay_what_they_are(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["list"] = records(4)
    found = store["list"]
    held = list(found)
    with block:
        found[:] = [row for row in reversed(list(found)) if row["n"] != 2]
        found *= 2
    assert found == [{"n": 3}, {"n": 1}, {"n": 0}] * 2
    for row, number in ((held[0], 2), (held[1], 1), (held[3], 0)):
        assert found[number] is row
    with pytest.raises(objstore.DetachedError):
        held[2]["n"]


# --- directories ----------------------------------------------------------------------------------


def test_directories_are_swapped(store: Store[Any], block: AbstractContextManager[Any]) -> None:
    store["a/one"], store["b/two"], store["b/below/three"] = {"n": 1}, {"n": 2}, [3]
    root = store.root
    with block:
        root["a"], root["b"] = root["b"], root["a"]
    assert dict(store) == {"/a/two": {"n": 2}, "/a/below/three": [3], "/b/one": {"n": 1}}


def test_a_directory_is_replaced_by_one_in_it(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["x/sub/a"], store["x/sub/b"], store["x/c"] = {"n": 1}, {"n": 2}, {"n": 3}
    with block:
        store.root["x"] = store.root["x"]["sub"]
    assert dict(store) == {"/x/a": {"n": 1}, "/x/b": {"n": 2}}


def test_a_directory_is_moved_and_put_in_itself(
    store: Store[Any], block: AbstractContextManager[Any]
) -> None:
    store["m/k/deep"] = {"n": 1}
    root = store.root
    with block:
        moved = root["m"]
        del root["m"]
        root["moved"] = moved
        root["moved"] = {"in": root["moved"]["k"]}
        moved = root["moved"]
        moved["again"] = moved
    assert dict(store) == {"/moved/in/deep": {"n": 1}, "/moved/again/in/deep": {"n": 1}}


class _Shelf(Directory[Any]):
    a: Directory[Dict]
    b: Directory[Dict]


def test_declared_directories_are_swapped(reopen: Opener) -> None:
    store = reopen(_Shelf)
    store["a/one"], store["b/two"] = {"n": 1}, {"n": 2}
    root: Any = store.root
    root.a, root.b = root.b, root.a
    assert root.contents == {"a": {"two": {"n": 2}}, "b": {"one": {"n": 1}}}
    root.a = root.b
    assert root.contents == {"a": {"one": {"n": 1}}, "b": {"one": {"n": 1}}}


# --- others at the same time ----------------------------------------------------------------------


def test_who_began_before_an_equal_one_replaced_it_goes_on_with_what_is_there(
    store: Store[Any],
) -> None:
    store["dict"], store["other"] = {"a": {"n": 1}}, {}
    found = store["dict"]
    held = found["a"]

    def elsewhere() -> None:
        found["a"] = {"n": 1}

    with store.transaction():
        held["n"] = 2
        with ThreadPoolExecutor(1) as threads:
            threads.submit(elsewhere).result()
        store["other"]["a"] = held
    assert store["other"] == {"a": {"n": 2}}


def test_who_begins_after_an_equal_one_replaced_it_knows(store: Store[Any]) -> None:
    store["dict"] = {"a": {"n": 1}}
    found = store["dict"]
    held = found["a"]
    found["a"] = {"n": 1}
    with store.transaction():
        found["a"]["n"] = 2
        found["b"] = held
    assert found == {"a": {"n": 2}, "b": {"n": 1}}


def test_what_others_set_back_meanwhile_is_one_or_the_other() -> None:
    class Changing:
        asked = 0

        @property
        def _before(self) -> Any:
            """As another thread leaves it between two looks."""
            self.asked += 1
            return ({"n": 1}, 1) if self.asked == 1 else None

    changing: Any = Changing()
    assert (EVERYBODYS.by(changing), EVERYBODYS.by(changing)) == ({"n": 1}, None)


class _SpiedLock:
    """The lock of a store; it notes when it is asked for by who has another store's."""

    def __init__(self, store: Store[Any], other: Store[Any]) -> None:
        self._lock: Any = store.lock
        self._other: Any = other.lock
        self.asked: list[bool] = []

    def acquire(self, *arguments: Any) -> Any:
        self.asked.append(self._other._is_owned())
        return self._lock.acquire(*arguments)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


@pytest.mark.parametrize("together", [False, True])
def test_nobody_waits_for_a_store_with_the_lock_of_another(
    store: Store[Any], together: bool
) -> None:
    """Two threads that copy there and back would wait for each other for ever."""
    store["dict"], store["list"], store["folder/x"] = {}, [0], {}
    with objstore.open("memory://") as other:
        other["dict"], other["folder/x"] = {"n": 1}, {"n": 2}
        spied: Any = _SpiedLock(other, store)
        other.lock = spied

        def anew() -> Any:
            other["dict"] = {"n": len(spied.asked)}
            return other["dict"]

        with store.transaction() if together else nullcontext():
            store["dict"] = anew()
            store["dict"]["key"] = anew()
            store["list"][0] = anew()
            store["list"].append(anew())
            store["list"][1:] = [anew()]
            store["folder"] = other["folder"]
            store["list"].append(other["folder"])
            store["folder/x/key"] = other.root
        assert spied.asked
        assert not any(spied.asked)
        other.lock = spied._lock
    assert store["folder"].contents["x"]["n"] == 2


class _Box(Directory[Any]):
    inner: Directory[Dict]


class _Boxes(Directory[Any]):
    box: _Box
    other: Directory[Dict]


def test_a_directory_in_one_that_was_replaced_is_got_anew(reopen: Opener) -> None:
    store = reopen(_Boxes)
    box: Any = store.root.box
    box.inner["old"] = {"n": 1}
    before = box.inner
    store.root.box = {"inner": {"new": {"n": 2}}}
    store.root.other = box.inner
    assert store.root.other.contents == {"new": {"n": 2}}
    store.root.other = before
    assert store.root.other.contents == {"old": {"n": 1}}
