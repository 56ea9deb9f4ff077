"""Objects of elements stand for them whatever becomes of the elements (line 11)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import pytest

from objstore import DetachedError, Dict, Directory

from .stores import Opener, reopen

__all__ = ["reopen"]


class _Row(Dict, extra="allow"):
    id: str


class _File(Dict, extra="allow"):
    rows: Annotated[list[_Row], {"mergeKey": "id"}]


class _Rows(Directory[Any]):
    f: _File


@pytest.mark.parametrize("used", ["before", "within"])
def test_a_savepoint_that_is_taken_back_leaves_them_where_others_moved_them(
    reopen: Opener, used: str
) -> None:
    """Others give elements new tokens, by which the savepoint's start knows them as well."""
    store = reopen(_Rows)
    store.root["f"] = {"rows": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}
    file: Any = store.root["f"]
    a, b, c = file["rows"]

    def elsewhere() -> None:
        file["rows"].insert(0, {"id": "new"})

    with store.transaction():
        if used == "before":
            file["other"] = 1
        with pytest.raises(ZeroDivisionError), store.transaction():
            file["x"] = 2
            del file["rows"][1]
            with ThreadPoolExecutor(1) as threads:
                threads.submit(elsewhere).result()
            raise ZeroDivisionError
        assert (a["id"], b["id"], c["id"]) == ("a", "b", "c")
        a["mark"] = True
    assert file["rows"] == [{"id": "new"}, {"id": "a", "mark": True}, {"id": "b"}, {"id": "c"}]
    assert (a["id"], b["id"], c["id"]) == ("a", "b", "c")


@pytest.mark.parametrize("change", ["assigned", "spliced", "moved"])
def test_elements_that_equal_ones_were_replaced_by_stay(reopen: Opener, change: str) -> None:
    """There is nothing to commit then; what was got within the transaction is used behind it."""
    store = reopen(_Rows)
    store.root["f"] = {"rows": [{"id": "a"}, {"id": "b"}]}
    file: Any = store.root["f"]
    with store.transaction():
        if change == "assigned":
            file["rows"] = [{"id": "a"}, {"id": "b"}]
        elif change == "spliced":
            file["rows"][:] = [{"id": "a"}, {"id": "b"}]
        else:
            file["rows"].insert(0, {"id": "a"})
            del file["rows"][1]
        first = file["rows"][0]
    assert store.head == 1
    first["mark"] = True
    assert file["rows"] == [{"id": "a", "mark": True}, {"id": "b"}]
    assert file["rows"][0] is first


class _Cat(Dict):
    kind: Literal["cat"]
    name: str
    toys: list[dict[str, int]] = []


class _Dog(Dict):
    kind: Literal["dog"]
    name: str
    toys: list[dict[str, float]] = []


class _Home(Dict):
    pets: list[_Cat | _Dog] = []
    anything: Any = None


class _Homes(Directory[Any]):
    home: _Home


def test_an_element_that_became_of_another_class(reopen: Opener) -> None:
    store = reopen(_Homes)
    store.root["home"] = {
        "pets": [{"kind": "cat", "name": name, "toys": [{"n": 1}, {"n": 2}]} for name in "ab"]
    }
    pets = store.root.home.pets
    cat = pets[1]
    toys, toy = cat.toys, cat.toys[1]
    cat.kind = "dog"
    dog = pets[1]
    assert (type(cat), type(dog)) == (_Cat, _Dog)
    pets.insert(0, {"kind": "cat", "name": "new"})
    dog.toys.insert(0, {"n": 0})
    with store.transaction():
        toys.insert(0, {"n": -1})
        assert toy["n"] == dog.toys[3]["n"] == 2
        assert dog.toys[1] == {"n": 0}
    assert (cat.name, dog.name, toy["n"]) == ("b", "b", 2)
    cat.name, toy["n"] = "B", 3
    assert pets.contents[2] == {
        "kind": "dog",
        "name": "B",
        "toys": [{"n": -1}, {"n": 0}, {"n": 1}, {"n": 3}],
    }
    dog.kind = "cat"
    assert pets[2] is cat


def test_a_key_and_a_file_that_were_of_another_kind_for_a_while(reopen: Opener) -> None:
    store = reopen()
    store["/file"] = {"rows": [{"n": "a"}, {"n": "b"}]}
    file: Any = store.root["file"]
    rows, row = file["rows"], file["rows"][1]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), store.transaction():
            file["rows"] = {"x": 1}
            assert file["rows"]["x"] == 1
            store.root["file"] = [1]
            assert store.root["file"][0] == 1
            raise ZeroDivisionError
        assert store.root["file"] is file
        assert file["rows"] is rows
        rows.insert(0, {"n": "new"})
    row["n"] = "B"
    assert rows == [{"n": "new"}, {"n": "new"}, {"n": "a"}, {"n": "B"}]


def test_one_that_became_of_another_class_stands_for_it_when_nobody_has_the_new_one(
    reopen: Opener,
) -> None:
    store, other = reopen(_Homes), reopen()
    store.root["home"] = {"pets": [{"kind": "cat", "name": name} for name in "abc"]}
    pets = store.root.home.pets
    cat = pets[1]
    cat.kind = "dog"
    assert type(pets[1]) is _Dog
    pets.insert(0, {"kind": "cat", "name": "new"})
    assert cat.name == "b"
    other["/home/pets"].insert(0, {"kind": "cat", "name": "newer"})
    assert (len(store.root.home.pets), cat.name) == (5, "b")
    pets[3] = {"kind": "cat", "name": "in its place"}
    with pytest.raises(DetachedError):
        cat.name = "nobody"
    pets[0] = cat
    assert pets.contents[0] == {"kind": "dog", "name": "b"}
