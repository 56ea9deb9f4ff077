"""What is annotated ``int`` is an int, though a file may have 2.0 there: JSON Schema allows it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest

import objstore
from objstore import Dict, Directory, List


class Level(enum.Enum):
    LOW = 1
    HIGH = "high"


class Ratio(enum.Enum):
    HALF = 0.5
    WHOLE = 1.0


class Counts(Dict):
    n: int = 0
    maybe: int | None = None
    bounded: Annotated[int, {"minimum": 0}] = 0
    items_: list[int] = []
    by_name: dict[str, int] = {}
    one_of: Literal[1, 2] = 1
    level: Level = Level.LOW
    ratio: Ratio = Ratio.HALF
    number: float = 0.5
    either: int | float = 0
    some: int | str = 0
    ratio_or_count: Ratio | int = 0
    anything: Any = None


class Root(Directory):
    counts: Counts


CONTENTS = """{
  "n": 2.0,
  "maybe": 1e3,
  "bounded": 2.0,
  "items_": [1.0, 2],
  "by_name": {"a": 3.0},
  "one_of": 2.0,
  "level": 1.0,
  "ratio": 1.0,
  "number": 2.0,
  "either": 2.0,
  "some": 2.0,
  "ratio_or_count": 2.0,
  "anything": 2.0
}
"""
READ = {
    "n": 2,
    "maybe": 1000,
    "bounded": 2,
    "one_of": 2,
    "level": Level.LOW,
    "ratio": Ratio.WHOLE,
    "number": 2.0,
    "either": 2.0,
    "some": 2,
    "ratio_or_count": 2.0,
    "anything": 2.0,
}


def test_a_whole_number_with_a_point_is_read_as_an_int(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    file.write_text(CONTENTS)
    with objstore.open(str(tmp_path), Root) as store:
        counts = store.root.counts
        for _ in range(3):  # looked up, and from where values are mirrored
            found = {key: getattr(counts, key) for key in READ}
            assert found == READ
            assert [*map(type, found.values())] == [*map(type, READ.values())]
            assert type(counts.items_[0]) is int
        by_items = dict(counts.items())
        assert all(type(by_items[key]) is type(READ[key]) for key in READ)
        for elements in (list(counts.items_), counts.items_[:], counts.items_ * 1):
            assert [*map(type, elements)] == [int, int]
        assert type(counts.by_name["a"]) is int
        assert [*map(type, counts.by_name.values())] == [int]
        assert (type(counts.contents["n"]), counts.n == 2) == (float, True)
        counts.items_.append(3)
        assert list(range(counts.n)) == [0, 1]
    assert '"n": 2.0,' in file.read_text()
    assert "[1.0, 2, 3]" in file.read_text()


def test_a_fraction_that_is_about_to_be_refused_is_read_as_it_was_set() -> None:
    counts: Any = Counts()
    with pytest.raises(objstore.ValidationError, match="an integer"):
        counts.n = 2.5
    with objstore.open("memory://", Root) as store:
        store.root.counts = {}  # type: ignore[assignment]
        with pytest.raises(objstore.ValidationError), store.transaction():
            held: Any = store.root.counts
            held.n = 2.5
            assert held.n == 2.5


class Model(pydantic.BaseModel):
    n: int
    maybe: int | None = None
    number: float = 0.5


SCHEMAS: dict[str, Any] = {
    "integer": {"type": "integer"},
    "or null": {"type": ["integer", "null"]},
    "any of": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "all of": {"allOf": [{"type": "number"}, {"type": "integer"}]},
    "referred to": {"$ref": "#/$defs/count"},
    "enum": {"enum": [1, 2, "many"]},
    "const": {"const": 2},
}
OTHERS: dict[str, Any] = {
    "number": {"type": "number"},
    "either": {"type": ["integer", "number"]},
    "any of": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
    "enum": {"enum": [2.0, 3]},
    "anything": {},
    "limited": {"minimum": 0},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_that_asks_for_integers(name: str) -> None:
    schema = {"properties": {"n": SCHEMAS[name]}, "$defs": {"count": {"type": "integer"}}}
    made: Any = objstore.schema.from_json(schema)
    assert type(made(n=2.0).n) is int


@pytest.mark.parametrize("name", OTHERS)
def test_a_schema_that_allows_fractions(name: str) -> None:
    made: Any = objstore.schema.from_json({"properties": {"n": OTHERS[name]}})
    assert type(made(n=2.0).n) is float


def test_a_pydantic_model_that_says_int() -> None:
    made: Any = objstore.schema.from_pydantic(Model)
    found = made(n=2.0, maybe=3.0, number=4.0)
    assert [type(found[key]) for key in found] == [int, int, float]


def test_lists_and_dicts_of_integers() -> None:
    assert [*map(type, List[int]([1.0, 2]))] == [int, int]
    assert [*map(type, List[float]([1.0, 2]))] == [float, int]
    assert [*map(type, List[Any]([1.0, 2]))] == [float, int]
    large = List[int]([1e300])[0]
    assert large == int(1e300)
    assert type(Dict[str, int](a=1.0)["a"]) is int
