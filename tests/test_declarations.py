"""What classes cannot declare, and what they are called."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal, TypedDict, cast
from typing import Dict as TypingDict  # noqa: UP035 - the one that is confused with ours

import pytest

import objstore
from objstore import Dict, Directory, List


def test_a_key_is_declared_or_computed() -> None:
    with pytest.raises(
        objstore.SchemaError, match="'x' is declared as a key and computed by get_x"
    ):

        class Both(Dict):  # pyright: ignore[reportUnusedClass]
            x: int = 0

            def get_x(self) -> int:
                return 5

    class Computed(Dict):
        def get_x(self) -> int:
            return 5

        def get_y(self, more: int) -> int:
            return more

    with pytest.raises(objstore.SchemaError, match="computed by get_x"):

        class Below(Computed):  # pyright: ignore[reportUnusedClass]
            x: int

    class Other(Computed):
        y: int  # get_y takes an argument: it computes no key

    assert Other(y=1).items() == {"y": 1, "x": 5}.items()


def test_methods_of_the_class_compute_no_keys() -> None:
    class Person(Dict):
        name: str

        @classmethod
        def get_fields(cls) -> list[str]:
            return [*cls.__annotations__]

        @staticmethod
        def get_greeting(name: str) -> str:
            return f"Hello {name}"

        def get_size(self) -> int:
            return len(self.name)

    ada = Person(name="Ada")
    assert dict(ada) == {"name": "Ada", "size": 3}
    assert (Person.get_fields(), Person.get_greeting("Ada")) == (["name"], "Hello Ada")
    ada_as_any: Any = ada
    with pytest.raises(AttributeError, match="fields"):
        ada_as_any.fields


def test_generic_dicts_are_called_as_they_are_written() -> None:
    assert repr(Dict[str, int](a=1)) == "Dict[str, int]({'a': 1})"


def test_classes_of_one_name_are_told_apart_within_generics() -> None:
    def define(kind: Any) -> Any:
        class P(Dict):
            n: kind  # pyright: ignore[reportInvalidTypeForm]

        class Team(Directory):
            plain: Directory[P]
            groups: Directory[list[P]]
            maybe: Directory[P | None]
            deep: Directory[Directory[Annotated[dict[str, P], {"maxProperties": 1}]]]

        return Team, P

    for kind, value in ((int, 1), (str, "one")):  # as a cell of a notebook is run again
        team, person = define(kind)
        with objstore.open("memory://", team) as store:
            store["plain/x"] = store["maybe/x"] = {"n": value}
            store["groups/x"] = [{"n": value}]
            store["deep/x/y"] = {"z": {"n": value}}
            people = (store["plain/x"], store["maybe/x"], store["groups/x/0"], store["deep/x/y/z"])
            assert [type(one) for one in people] == [person] * 4


def test_generics_of_the_same_are_the_same() -> None:
    def made(hint: Any) -> Any:
        found: Any = cast("Any", List)[hint]()
        return found.__class__

    hints: list[Any] = [Literal[1], Literal[True], Annotated[int, {"minimum": 1}], dict[str, int]]
    assert len({made(hint) for hint in hints}) == len(hints)
    assert made(Annotated[int, {"minimum": 1}]) is made(Annotated[int, {"minimum": 1}])
    assert made(list[dict[str, int]]) is made(list[dict[str, int]])


def test_dicts_of_python_are_told_from_ours() -> None:
    class Plain(TypingDict[str, int]):  # noqa: UP006
        pass

    class Typed(TypedDict):
        x: int

    class Listed(list[int]):
        pass

    for cls, ours in ((Plain, "Dict"), (Typed, "Dict"), (Listed, "List")):
        with pytest.raises(
            objstore.SchemaError, match=f"{cls.__name__} extends .* objstore.{ours}$"
        ):
            List[cls]()  # type: ignore[valid-type]


def test_a_class_of_a_schema_is_called_as_its_definition() -> None:
    schema = {
        "properties": {
            "people": {"backing": "directory", "additionalProperties": {"$ref": "#/$defs/Person"}},
            "boss": {"$ref": "#/$defs/Person"},
            "titled": {"title": "Chief", "$ref": "#/$defs/Person"},
            "also": {"allOf": [{"$ref": "#/$defs/Person"}]},
        },
        "$defs": {
            "Person": {
                "type": "object",
                "properties": {"tags": {"type": "array"}, "self": {"$ref": "#/$defs/a~1b"}},
            },
            "a/b": {"type": "object"},
        },
    }
    with objstore.open("memory://", schema) as store:
        root: Any = store.root
        root.people["ada"] = {"tags": [], "self": {}}
        root.update(boss={}, titled={}, also={})
        ada = root.people["ada"]
        found: list[Any] = [ada, ada.tags, ada.self, root.boss, root.titled, root.also, root.people]
        names = [type(one).__name__ for one in found]
        assert names == ["Person", "tags", "a_b", "Person", "Chief", "Person", "people"]
        del root.people["ada"]
        with pytest.raises(objstore.DetachedError, match="the Person of /people/ada"):
            _ = ada.tags


class Unhashable(Enum):
    PAIR = [1, 2]


def test_members_of_an_enum_are_scalars() -> None:
    with pytest.raises(objstore.SchemaError, match=r"Unhashable has the value \[1, 2\]"):

        class Bad(Dict):
            pair: Unhashable

        Bad(pair=Unhashable.PAIR)
