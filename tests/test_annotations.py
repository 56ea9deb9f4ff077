"""Annotations that Python evaluates: in modules without ``from __future__ import annotations``."""

import sys
from datetime import date
from typing import Any, ClassVar

import pytest

import objstore
from objstore import Dict, Directory, List


class Address(Dict):
    street: str
    number: int = 1


class Person(Dict):
    name: str
    born: date | None = None
    address: Address | None = None
    children: "list[Person]" = []
    planet: ClassVar[str] = "Earth"


class Town(Directory):
    people: Directory[Person]


def test_keys_are_declared_by_them() -> None:
    ada = Person(name="Ada", born=date(1815, 12, 10), address=Address(street="Main"))
    assert ada.contents == {
        "name": "Ada",
        "born": "1815-12-10",
        "address": {"street": "Main"},
    }
    assert ada.address is not None
    assert (ada.address.number, ada.children, Person.planet) == (1, [], "Earth")
    ada.children.append(Person(name="Byron"))
    assert type(ada.children[0]) is Person
    wrong: Any = {"nmae": "Ada"}
    with pytest.raises(objstore.ValidationError, match='"nmae"'):
        Person(**wrong)


def test_a_store_is_made_of_them(tmp_path: Any) -> None:
    with objstore.open(tmp_path, Town) as store:
        store.root.people["ada"] = Person(name="Ada")
        assert store.root.people.ada.name == "Ada"
        assert isinstance(store.root.people.ada, Person)


EVALUATED_LATER = bool(sys.version_info >= (3, 14))
LATER = """
class Tree(Dict):
    leaves: List[Leaf] = []
    trees: Dict[Tree] = {}
    first: Leaf | None = None

class Leaf(Dict):
    n: int
    date: date | None = None
"""


def test_classes_to_come_are_named_as_python_allows_it() -> None:
    names: dict[str, Any] = {"Dict": Dict, "List": List, "date": date, "__name__": "later"}
    if not EVALUATED_LATER:
        with pytest.raises(NameError, match="Leaf"):
            exec(LATER, names)  # noqa: S102
        return
    exec(LATER, names)  # noqa: S102
    tree = names["Tree"](leaves=[{"n": 1}], trees={"x": {"first": {"n": 2}}})
    assert type(tree.leaves[0]) is names["Leaf"]
    assert type(tree.trees.x) is names["Tree"]
    assert tree.trees.x.first.n == 2
    assert names["Leaf"](n=1, date=date(2026, 1, 2)).contents["date"] == "2026-01-02"
    with pytest.raises(
        objstore.ValidationError, match='/leaves/0/n: expected an integer, found "1"'
    ):
        names["Tree"](leaves=[{"n": "1"}])
