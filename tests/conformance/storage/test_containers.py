"""A Container is a mapping, on every maker of Storage."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import objstore
from objstore import Container, Containers, Dict
from objstore.backings.memory_storage import MemoryStorage
from objstore.errors import (
    ContainerNotFoundError,
    CorruptionError,
    KeyNotFoundError,
    SchemaError,
    ValidationError,
)
from objstore.storage import Storage
from objstore.values import same
from tests.conformance.storages import dump

VALUES: list[Any] = [
    "text",
    "",
    "json:",
    'json:{"not": "ours"}',
    b"",
    b"\0\xff",
    b"json:1",
    None,
    True,
    0,
    1,
    1.0,
    -0.5,
    1e300,
    2**63,
    2**64 - 1,
    -(2**200),
    [2**70, 1.5],
    {"large": 12345678901234567890123, "list": [None, {"x": "json:"}]},
    [],
    {},
    "null",
    "é 🦄",
]


@pytest.fixture
def container(storage: Storage) -> Container:
    return Container(storage, "c")


def test_values_come_back_as_they_were(container: Container) -> None:
    for number, value in enumerate(VALUES):
        container[f"{number:02}"] = value
    container.update({f"many {number:02}": value for number, value in enumerate(VALUES)})
    found = [container[f"{number:02}"] for number in range(len(VALUES))]
    listed = list(container.values())
    for number, value in enumerate(VALUES):
        for one in (found[number], listed[number], listed[len(VALUES) + number]):
            assert same(one, value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # no surrogates: no file holds them
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(value=json_values | st.binary())
@settings(max_examples=300, deadline=None)
def test_any_json_value_comes_back(value: Any) -> None:
    with MemoryStorage("", create=True) as storage:
        container = Container(storage, "c")
        container["k"] = value
        assert same(container["k"], value)


def test_text_and_bytes_are_stored_as_such(container: Container, storage: Storage) -> None:
    container.update({"t": "text", "b": b"bytes", "j": {"a": [1]}, "m": "json:1", "n": None})
    assert dump(storage) == {
        "c": {
            "b": b"bytes",
            "j": 'json:{"a":[1]}',
            "m": 'json:"json:1"',
            "n": "json:null",
            "t": "text",
        }
    }


def test_what_is_no_json_is_refused(container: Container) -> None:
    container["a"] = 1
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    no_json = (math.nan, [math.inf], {1: 2}, object(), {"x": b"bytes"}, deep, date(2026, 1, 1))
    for value in (*no_json, bytearray(b"x"), memoryview(b"x"), [memoryview(b"x")]):
        with pytest.raises(ValidationError, match='container "c", "b"'):
            container["b"] = value
        with pytest.raises(ValidationError):
            container.update({"a": 2, "b": value})
    keys: list[Any] = [1, None, b"a"]
    for key in keys:
        with pytest.raises(ValidationError, match="a key that is a string"):
            container[key] = 1
    assert dict(container) == {"a": 1}


def test_it_is_a_mapping(container: Container) -> None:
    assert len(container) == 0
    assert dict(container) == {}
    container["b"] = 1
    container.update([("a", 2)], c=3)
    assert dict(container) == {"b": 1, "a": 2, "c": 3}
    assert list(container) == list(container.keys()) == ["a", "b", "c"]
    assert list(reversed(container)) == ["c", "b", "a"]
    assert list(container.items()) == [("a", 2), ("b", 1), ("c", 3)]
    assert list(reversed(container.items())) == [("c", 3), ("b", 1), ("a", 2)]
    assert list(container.values()) == [2, 1, 3]
    assert list(reversed(container.values())) == [3, 1, 2]
    assert ("a", 2) in container.items()
    assert 3 in container.values()
    assert len(container) == len(container.items()) == 3
    assert "a" in container
    assert "z" not in container
    assert container.get("z", 7) == 7
    assert container == {"a": 2, "b": 1, "c": 3}
    assert container.setdefault("a", 9) == 2
    assert container.setdefault("d", 9) == 9
    assert container.pop("d") == 9
    assert container.pop("d", None) is None
    with pytest.raises(KeyError):
        container.pop("d")
    assert container.popitem() == ("a", 2)
    del container["b"]
    with pytest.raises(KeyNotFoundError, match='the container "c" has no key "b"'):
        del container["b"]
    with pytest.raises(KeyNotFoundError, match='the container "c" has no key "b"'):
        container["b"]
    container.clear()
    assert dict(container) == {}
    with pytest.raises(KeyNotFoundError, match='the container "c" is empty'):
        container.popitem()


def test_keys_that_are_no_text_are_not_there(container: Container) -> None:
    container["1"] = "one"
    keys: list[Any] = [1, None, b"1", 1.0]
    for key in keys:
        assert key not in container
        assert container.get(key) is None
        with pytest.raises(KeyNotFoundError):
            del container[key]
    assert len(container) == 1


def test_a_container_that_is_not_there_is_empty_until_the_first_write(storage: Storage) -> None:
    container = Container(storage, "new")
    assert [*container.items(), *reversed(container)] == []
    assert container.get("a") is None
    assert not container.prefix("a")
    container.clear()
    container.update({})
    with pytest.raises(KeyNotFoundError):
        del container["a"]
    assert dump(storage) == {}
    container["a"] = 1
    assert dump(storage) == {"new": {"a": "json:1"}}


def test_parts(container: Container) -> None:
    container.update({key: key.upper() for key in ("a/1", "a/2", "a0", "b/1", "é", "a")})
    part = container.prefix("a/")
    assert list(part) == ["a/1", "a/2"]
    assert dict(part) == {"a/1": "A/1", "a/2": "A/2"}
    assert list(reversed(part)) == ["a/2", "a/1"]
    assert list(part.values()) == ["A/1", "A/2"]
    assert list(reversed(part.items())) == [("a/2", "A/2"), ("a/1", "A/1")]
    assert len(part) == 2
    assert "a/1" in part
    assert "b/1" not in part
    assert part.get("b/1") is None
    with pytest.raises(KeyNotFoundError, match=r'prefix="a/"> has no key "a"'):
        part["a"]
    container["a/15"] = 1
    assert list(part) == ["a/1", "a/15", "a/2"]
    between = container.range("a/2", "b/1")
    assert list(between) == ["a/2", "a0"]
    assert "b/1" not in between
    assert between["a0"] == "A0"
    assert list(container.range(stop="a/")) == ["a"]
    assert list(container.range(start="b")) == ["b/1", "é"]


def test_a_transaction_is_of_all_containers(storage: Storage) -> None:
    with Containers(storage) as containers:
        with containers.transaction():
            containers["a"]["x"] = 1
            containers["b"]["x"] = 2
        with pytest.raises(ZeroDivisionError), containers.transaction():
            containers["a"]["x"] = 3
            containers["new"]["x"] = 3
            raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), containers["a"].transaction():
            containers["b"].clear()
            raise ZeroDivisionError
        with containers["a"].transaction() as a:
            a["y"] = a["x"] + 1
        assert {name: dict(one) for name, one in containers.items()} == {
            "a": {"x": 1, "y": 2},
            "b": {"x": 2},
        }


def test_containers_by_name(storage: Storage) -> None:
    containers = Containers(storage)
    containers["a"]["x"] = 1
    assert list(containers) == ["a"]
    assert len(containers) == 1
    assert "a" in containers
    assert "b" not in containers
    assert dict(containers["b"]) == {}
    assert "b" not in containers
    assert containers.check() == []
    del containers["a"]
    assert list(containers) == []
    with pytest.raises(ContainerNotFoundError):
        del containers["a"]
    containers.close()
    with pytest.raises(objstore.ClosedError):
        containers["a"]["x"]


def test_a_storage_that_is_made_by_the_first_write() -> None:
    made: list[Storage] = []

    class Lazily:
        def __call__(self, create: bool) -> Storage | None:
            if create and not made:
                made.append(MemoryStorage("", create=True))
            return made[0] if made else None

        def reading(self) -> AbstractContextManager[None]:
            return nullcontext()

        def close(self) -> None:
            for storage in made:
                storage.close()

    containers = Containers(Lazily())
    one = containers["a"]
    assert list(containers) == list(one) == list(one.prefix("x")) == []
    assert "a" not in containers
    assert containers.check() == []
    assert len(one) == 0
    assert "x" not in one
    one.clear()
    with pytest.raises(KeyNotFoundError):
        del one["x"]
    with pytest.raises(ContainerNotFoundError):
        del containers["a"]
    with containers.transaction(write=False):
        assert one.get("x") is None
    assert made == []
    one["x"] = 1
    assert {name: dict(items) for name, items in containers.items()} == {"a": {"x": 1}}
    containers.close()
    with pytest.raises(objstore.ClosedError):
        one["x"] = 2


class Page(Dict):
    title: str
    words: int = 0


def test_values_are_checked_by_a_schema(storage: Storage) -> None:
    pages = Containers(storage).container("pages", Page)
    pages["a"] = {"title": "A"}
    pages["b"] = Page(title="B", words=3)
    assert pages["b"] == {"title": "B", "words": 3}
    with pytest.raises(ValidationError) as caught:
        pages["c"] = {"titel": "C", "words": "many"}
    assert {failure.pointer for failure in caught.value.failures} >= {"/words"}
    assert all('container "pages", "c"' in str(one) for one in caught.value.failures)
    with pytest.raises(ValidationError):
        pages.update({"a": {"title": "new"}, "c": {}})
    with pytest.raises(ValidationError):
        pages["c"] = b"bytes"
    assert list(pages.items()) == [("a", {"title": "A"}), ("b", {"title": "B", "words": 3})]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (list[int], [1, 2], ["1"]),
        (date, date(2026, 11, 20), "yesterday"),
        (bytes, b"\0\xff", 1),
        (str, "json:x", 1),
        (int | None, None, "x"),
        ({"type": "integer", "minimum": 3}, 3, 2),
        ({"type": "object", "required": ["x"]}, {"x": 1}, {}),
    ],
)
def test_values_of_a_type(storage: Storage, schema: Any, good: Any, bad: Any) -> None:
    container = Container(storage, "typed", schema)
    container["k"] = good
    assert same(container["k"], good)
    assert list(container.values()) == [good]
    with pytest.raises(ValidationError):
        container["k"] = bad
    assert same(container["k"], good)


def test_a_schema_that_is_none(storage: Storage) -> None:
    for schema in ({"type": "intege"}, object, int | set[int]):
        if schema is object:
            Container(storage, "c", schema)["k"] = {"anything": [1]}
            continue
        with pytest.raises(SchemaError):
            Container(storage, "c", schema)


def test_a_value_that_is_not_the_json_that_it_says(storage: Storage) -> None:
    container = Container(storage, "c")
    container["a"] = [1]
    storage.set_container_item("c", "b", "json:{")
    with pytest.raises(CorruptionError, match='the value of "b" is not the JSON'):
        container["b"]
    assert container["a"] == [1]


@pytest.mark.parametrize("name", [1, None, b"c", ("c",)], ids=repr)
def test_a_name_that_is_no_text_is_refused(storage: Storage, name: Any) -> None:
    containers = Containers(storage)
    calls: list[Callable[[], object]] = [
        lambda: containers[name],
        lambda: containers.__delitem__(name),
        lambda: containers.container(name, int),
        lambda: Container(storage, name),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="a container's name is text, not "):
            call()
    containers[str(name)]["k"] = 2
    assert name not in containers
    assert list(containers) == [str(name)]
