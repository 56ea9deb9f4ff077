"""Classes as JSON Schemas and JSON Schemas as classes, in code and on disk."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast
from uuid import UUID

import annotated_types
import jsonschema
import pydantic
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import objstore
from objstore import Dict, Directory, List, Store, schemas
from objstore._rebasing import rebased
from objstore._vocabulary import _CHECKS, check_vocabulary
from objstore.formats import ENDINGS
from objstore.validation import Validator
from objstore.values import JSON
from tests.folders import users

from .conformance.library import ADA, Library, Person
from .random_schemas import fitting
from .random_schemas import schemas as random_schemas


def test_a_class_is_a_json_schema() -> None:
    schema = Person.__schema__
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Person"
    assert schema["required"] == ["name", "born"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["email"] == {"type": ["string", "null"], "default": None}
    assert schema["properties"]["friends"]["items"] == {"$ref": "#/$defs/Address"}
    assert schema["$defs"]["Address"]["required"] == ["street"]
    assert objstore.schema.to_json(Person) == schema


def test_a_directory_class_is_a_schema_with_its_layout() -> None:
    schema = Library.__schema__
    assert schema["backing"] == "directory"
    people = schema["properties"]["people"]
    assert people["backing"] == "directory"
    assert people["additionalProperties"] == {"$ref": "#/$defs/Person"}
    assert schema["properties"]["reading"]["file"] == "reading.yaml"
    check_vocabulary(schema, "Library")


def test_a_recursive_class_refers_to_itself() -> None:
    class Tree(Dict):
        value: int = 0
        below: list["Tree"] = []  # noqa: UP037

    assert Tree.__schema__["properties"]["below"]["items"] == {"$ref": "#"}
    with pytest.raises(objstore.ValidationError, match="/below/0/below/0/value"):
        Tree(below=[{"below": [{"value": "x"}]}])  # type: ignore[list-item]


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump])
def test_from_class_to_file_to_class(tmp_path: Path, dump: Any) -> None:
    ending = "json" if dump is json.dumps else "yaml"
    path = tmp_path / f"person.schema.{ending}"
    path.write_text(dump(Person.__schema__))
    loaded: Any = objstore.schema.load(str(path))
    assert loaded.__name__ == "Person"
    assert loaded.__schema__ == Person.__schema__
    ada = loaded(name="Ada", born=1815, friends=[{"street": "a"}])
    assert ada.friends[0].city == "London"
    assert ada.tags == []
    wrong: list[dict[str, Any]] = [
        {"name": "x"},
        {"name": 1, "born": 1},
        {"name": "x", "born": 1, "other": 2},
    ]
    for bad in wrong:
        with pytest.raises(objstore.ValidationError):
            loaded(**bad)
        with pytest.raises(objstore.ValidationError):
            Person(**bad)


LAYOUT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Team",
    "type": "object",
    "properties": {
        "people": {
            "backing": "directory",
            "patternProperties": {"^x-": True},
            "additionalProperties": {"$ref": "#/$defs/person"},
        },
        "plan": {"type": "array", "items": {"$ref": "#/$defs/task"}, "file": "plan.yaml"},
        "team": {"backing": "directory", "file": "crew/*.yaml", "additionalProperties": {}},
    },
    "additionalProperties": False,
    "$defs": {
        "person": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "born": {"type": "string", "format": "date"},
                "boss": {"$ref": "#/$defs/person"},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        "task": {
            "allOf": [
                {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}}},
                {"properties": {"done": {"type": "boolean", "default": False}}},
            ],
            "required": ["id"],
        },
    },
}
ID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


@pytest.fixture(params=["dict", "json", "yaml"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store[Directory[Any]]]:
    schema: Any = LAYOUT
    if request.param != "dict":
        schema = tmp_path / f"team.schema.{request.param}"
        schema.write_text(json.dumps(LAYOUT) if request.param == "json" else yaml.safe_dump(LAYOUT))
    with objstore.open(tmp_path / "data", schema) as store:
        yield store


def test_a_schema_is_enough_to_open_a_store(team: Store[Directory[Any]], tmp_path: Path) -> None:
    root: Any = team.root
    root.people["ada"] = {"name": "Ada", "born": date(1815, 12, 10), "boss": {"name": "Bob"}}
    root.PUT("plan", [{"id": UUID(ID)}])
    root.team["eve"] = {"any": "thing"}
    files = {str(p.relative_to(tmp_path / "data")) for p in users((tmp_path / "data").rglob("*.*"))}
    assert files == {"people/ada.json", "plan.yaml", "crew/eve.yaml"}
    assert root.people["ada"].born == date(1815, 12, 10)
    assert root.people["ada"].boss.name == "Bob"
    assert root.plan[0].id == UUID(ID)
    assert root.plan[0].done is False
    assert root.people.ada.contents["born"] == "1815-12-10"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("people/eve", {"name": "Eve", "born": "yesterday"}, "people/eve.json at /born"),
        ("people/eve", {"name": "Eve", "boss": {"name": 1}}, "people/eve.json at /boss/name"),
        ("plan", [{"id": "x"}], "plan.yaml at /0/id"),
        ("plan", [{"done": True}], 'plan.yaml at /0: expected key "id"'),
        ("plan", {}, "plan.yaml: expected an array"),
        ("other", {}, "no member 'other'"),
    ],
)
def test_a_schema_refuses_what_it_should(
    team: Store[Directory[Any]], path: str, value: Any, words: str
) -> None:
    with pytest.raises(objstore.ValidationError, match=re.escape(words)):
        team.PUT(path, value)
    assert list(team) == []


def test_a_class_may_bring_its_own_schema() -> None:
    class Point(Dict):
        __schema__: ClassVar[Any] = {
            "type": "object",
            "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0}},
            "required": ["x"],
        }

        def get_norm(self) -> float:
            return abs(complex(self.x, self.y))

    point: Any = cast(Any, Point)(x=3)
    point.y = 4
    assert point.norm == 5
    assert set(point) == {"x", "y", "norm"}
    with pytest.raises(objstore.ValidationError):
        point.x = "left"
    assert Point.__schema__["required"] == ["x"]


def test_a_class_of_a_given_schema_declares_no_keys() -> None:
    person: Any = objstore.schema.from_json({"properties": {"name": {"type": "string"}}})
    given: dict[str, Any] = {"__schema__": {"properties": {"x": {"type": "number"}}}}
    declared: dict[str, Any] = {"__annotations__": {"email": str, "age": int}, "email": "none"}
    by_hand: Any = type("ByHand", (Dict,), declared | {"__module__": __name__})
    for bases, body in [
        ((person,), declared),
        ((type("Between", (person,), {"__module__": __name__}),), declared),
        ((Dict,), given | declared),
        ((by_hand,), given),
        ((by_hand, person), {}),
    ]:
        words = "Both: 'age', 'email' cannot be declared, .*; add them to the schema's properties"
        with pytest.raises(objstore.SchemaError, match=words):
            type("Both", bases, body | {"__module__": __name__})


def test_schema_classes_within_annotated_ones(tmp_path: Path) -> None:
    task: Any = objstore.schema.from_json(LAYOUT["$defs"]["person"] | {"$defs": LAYOUT["$defs"]})

    # As a class would be written by hand; type checkers want no variables in annotations.
    body = {"__annotations__": {"tasks": Directory[task], "first": task}, "__module__": __name__}
    board: Any = type("Board", (Directory,), body | {"first": objstore.file("1.json")})

    with objstore.open(tmp_path, board) as store:
        root: Any = store.root
        root.tasks["a"] = {"name": "x", "boss": {"name": "y"}}
        with pytest.raises(objstore.ValidationError, match=r"tasks/b.json at /boss/name"):
            root.tasks["b"] = {"name": "x", "boss": {"name": 1}}
        assert root.tasks["a"].boss.name == "y"
        root.first = {"name": "one"}
        assert (tmp_path / "1.json").exists()


# --- pydantic -------------------------------------------------------------------------------------


class Engine(pydantic.BaseModel):
    power: Annotated[int, pydantic.Field(gt=0)]
    built: date | None = None


class Car(pydantic.BaseModel):
    name: str
    engine: Engine
    kind: Literal["car", "van"] = "car"
    spare: list[Engine] = []


class Garage(pydantic.BaseModel):
    best: Car
    all: Annotated[dict[str, Car], pydantic.Field(json_schema_extra={"backing": "directory"})] = {}


def test_to_json_takes_models_and_nothing_that_has_no_schema() -> None:
    assert objstore.schema.to_json(Engine) == objstore.schema.from_pydantic(Engine).__schema__
    for wrong in (int, 3, None):
        with pytest.raises(objstore.SchemaError, match="expected a Dict, List or Directory class"):
            objstore.schema.to_json(cast(Any, wrong))


class Labelled(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    label: int = pydantic.Field(default=1, alias="theLabel")


def test_pydantic_aliases_are_the_keys() -> None:
    with objstore.open("memory://", Directory[Labelled]) as store:
        store.root["a"] = Labelled(theLabel=5)
        contents = store["a"].contents
    assert contents == {"theLabel": 5}
    assert Labelled.model_validate(contents).label == 5


def test_pydantic_models_are_schemas(tmp_path: Path) -> None:
    class Cars(Directory):
        cars: Directory[Car]
        engine: Engine

    with objstore.open(tmp_path, Cars) as store:
        root: Any = store.root
        root.cars["a"] = Car(name="A", engine=Engine(power=5, built=date(1999, 1, 2)))
        root.cars["b"] = {"name": "B", "engine": {"power": 7}}
        assert root.cars["a"].engine.built == date(1999, 1, 2)
        assert root.cars["b"].kind == "car"
        with pytest.raises(objstore.ValidationError, match=r"cars/c.json at /engine/power"):
            root.cars["c"] = {"name": "C", "engine": {"power": 0}}
        Car.model_validate(root.cars["a"].contents)


def test_a_pydantic_model_as_the_whole_store(tmp_path: Path) -> None:
    with objstore.open(tmp_path, Garage) as store:
        root: Any = store.root
        root.best = {"name": "B", "engine": {"power": 7}}
        root.all["x"] = {"name": "X", "engine": {"power": 7}}
        assert root.all["x"].engine.power == 7
        assert (tmp_path / "all" / "x.json").exists()
        assert (tmp_path / "best.json").exists()


# --- references -----------------------------------------------------------------------------------


TEXT = {"type": "string"}
NAMED = {"type": "object", "properties": {"x": {"$ref": "#/$defs/s"}}, "$defs": {"s": TEXT}}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"$ref": "#A"}}, "$defs": {"q": {"$anchor": "A", **TEXT}}},
        {"$ref": "#/$defs/q", "$defs": {"q": {"$id": "https://example.org/q", **NAMED}}},
        {
            "$ref": "https://example.org/q",
            "$defs": {"q": {"$id": "https://example.org/q", **NAMED}},
        },
        {
            "$id": "https://example.org/whole.json",
            "properties": {"x": {"$ref": "part.json#A"}},
            "$defs": {"q": {"$id": "part.json", "$defs": {"s": {"$anchor": "A", **TEXT}}}},
        },
        {
            "$id": "https://example.org/a.json",
            "allOf": [{"$ref": "a.json#/$defs/q"}],
            "$defs": {"q": NAMED, "s": TEXT},
        },
        {"$id": "urn:example:a", **NAMED},
        {
            "allOf": [{"$ref": "#/$defs/a~1b%20c"}],
            "$defs": {
                "a/b c": {
                    "$id": "urn:example:b",
                    "properties": {"x": {"$ref": "#/$defs/s"}},
                    "$defs": {"s": TEXT},
                },
                "s": {"type": "integer"},
            },
        },
    ],
)
def test_references_lead_where_the_standard_says(schema: dict[str, Any]) -> None:
    cls: Any = objstore.schema.from_json(schema)
    part: Any = Directory[cls]
    assert cls(x="a").x == "a"
    again: Any = objstore.schema.from_json(cls.__schema__)
    for made in (cls, again):
        with pytest.raises(objstore.ValidationError, match=r"at /x: expected a string, found 1"):
            made(x=1)
    with objstore.open("memory://", part) as store:
        store["a"] = {"x": "a"}
        with pytest.raises(objstore.ValidationError, match=r"at /x: expected a string, found 1"):
            store["a"] = {"x": 1}


@given(st.data())
def test_a_document_with_other_references_says_the_same(data: st.DataObject) -> None:
    schema = data.draw(random_schemas())
    parts: JSON = {key: {"$id": key, **schema} for key in ("urn:example:a", "b.json")}
    whole: dict[str, Any] = {
        "$id": "https://example.org/c.json",
        "allOf": [{"$ref": "urn:example:a"}, {"$ref": "b.json#"}],
        "$defs": parts,
    }
    value = fitting(cast(Any, data.draw), schema, schema)
    moved = rebased(whole)
    assert not [key for key in moved["$defs"] if "$id" in moved["$defs"][key]]
    assert bool(Validator(moved).failures(value, "")) is bool(Validator(whole).failures(value, ""))


@pytest.mark.parametrize("reference", ["#none", "#/$defs/none", "other.json", "urn:example:none"])
def test_references_that_lead_nowhere_are_named(reference: str) -> None:
    with pytest.raises(objstore.SchemaError, match=re.escape(reference.lstrip("#"))):
        objstore.schema.from_json({"properties": {"x": {"$ref": reference}}})


# --- bad schemas ----------------------------------------------------------------------------------


WHOLE: dict[str, Any] = {
    "propertyNames": {"pattern": "^[a-z]+$"},
    "maxProperties": 3,
    "minProperties": 3,
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {}},
    "anyOf": [{}],
    "oneOf": [{}],
    "not": {"required": ["a"]},
    "if": {},
    "enum": [{}],
    "const": {},
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (
            {"properties": {"a": {"backing": "folder"}}},
            '/properties/a/backing: expected "directory"',
        ),
        ({"properties": {"a": {"file": 5}}}, "/properties/a/file"),
        *(
            (
                {"properties": {"a": {"type": "object", "file": file}}},
                f'/properties/a/file: expected the name of a file or folder, "*.yaml" or '
                f'"team/*.yaml", found "{file}"',
            )
            for file in ("../a.json", "a/b.json", "/a.json", "..", ".", "a/*", "../*.json")
        ),
        *(
            (
                {"properties": {"a": {"type": "object", "file": file}}},
                f'the file of Schema.a: expected {expected}, found "{file}"',
            )
            for file, expected in (
                ("a.txt", f"an ending that a format is known for ({', '.join(ENDINGS)})"),
                ("a", f"an ending that a format is known for ({', '.join(ENDINGS)})"),
                ("*.txt", f"an ending that a format is known for ({', '.join(ENDINGS)})"),
                ("a/*.yaml", "the name of a file in the directory's own folder"),
            )
        ),
        (
            {"properties": {"a": {"backing": "directory", "file": "*.yaml"}}},
            'the file of Schema.a: expected the name of a folder, or one with "/*" and an ending',
        ),
        (
            {"properties": {"a": {"backing": "directory", "file": "b/*.txt"}}},
            "the file of Schema.a: expected an ending that a format is known for",
        ),
        (
            {"properties": {key: {"type": "object", "file": "c.json"} for key in "ab"}},
            'Schema: a and b would both be in "c.json"',
        ),
        (
            {
                "properties": {
                    "a": {"type": "object", "file": "b.json"},
                    "b": {"type": "object", "file": "*.json"},
                }
            },
            'Schema: a and b would both be in "b.json"',
        ),
        (
            {
                "properties": {
                    "a": {"backing": "directory", "file": "b"},
                    "b": {"backing": "directory"},
                }
            },
            'Schema: a and b would both be in "b"',
        ),
        (
            {"additionalProperties": {"type": "object", "file": "a.json"}},
            'the file of Schema, members by any key: expected "*" and an ending, found "a.json"',
        ),
        (
            {
                "properties": {
                    "a": {
                        "backing": "directory",
                        "additionalProperties": {"type": "object", "file": "a.txt"},
                    }
                }
            },
            "the file of a, members by any key: expected an ending that a format is known for",
        ),
        *(
            (
                {"properties": {"a": {"allOf": [{"backing": "directory", keyword: value}]}}},
                f"/properties/a/allOf/0/{keyword}: a directory has no '{keyword}', as its members",
            )
            for keyword, value in WHOLE.items()
        ),
        ({"propertyNames": {"maxLength": 3}}, "Schema at /propertyNames: a directory has no"),
        (
            {"properties": {"a": {"backing": "directory", "type": "array"}}},
            'Schema at /properties/a/type: expected "object", as a directory is one, found "array"',
        ),
        ({"properties": {"a": {"type": "objekt"}}}, "objekt"),
        ({"properties": {"a": {"$ref": "https://example.org/s.json"}}}, "example.org"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "none"),
        ({"properties": {"a": {"type": "string", "pattern": "("}}}, "pattern"),
    ],
)
def test_bad_schemas_are_named(schema: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(objstore.SchemaError, match=re.escape(words)):
        objstore.open(tmp_path, schema)


def test_a_bad_file_of_a_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(objstore.SchemaError, match=r'objstore\.file: expected .*, found "\.\./x"'):
        objstore.file("../x")

    class Deep(Directory):
        ok: Dict = objstore.file("fine.yaml")
        bad: Dict = objstore.file("bad.txt")

    class Twice(Directory):
        one: Dict = objstore.file("one.yaml")
        two: Dict = objstore.file("one.yaml")
        deep: Directory[Deep]

    for words in ("Twice: one and two would both be in", r"Deep\.bad: expected an ending"):
        for _ in range(2):
            with pytest.raises(objstore.SchemaError, match=words):
                objstore.open(tmp_path, Twice if "Twice" in words else Directory[Deep])


def test_a_directory_has_what_its_schema_requires_in_the_end() -> None:
    schema: dict[str, Any] = {
        "required": ["a", "b", "c", "d"],
        "properties": {
            "a": {"type": "object"},
            "b": {"default": {}},
            "d": {"backing": "directory"},
        },
    }
    with objstore.open("memory://", schema) as store:
        store["c"] = {}
        assert [str(one) for one in store.check()] == ['/a: expected key "a", found nothing']
        store["a"] = {}
        assert store.check() == []


@pytest.mark.parametrize("schema", [5, "no-such-file.json", Dict, List[int], int, ["a"]])
def test_what_is_no_schema_of_a_store(schema: Any, tmp_path: Path) -> None:
    with pytest.raises((objstore.SchemaError, FileNotFoundError)):
        objstore.open(tmp_path, schema)


def test_a_schema_file_that_does_not_parse(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"type": }')
    with pytest.raises(objstore.FormatError, match=r"broken.json, line 1, column 10"):
        objstore.schema.load(str(path))


def test_a_schema_file_that_is_none(tmp_path: Path) -> None:
    missing = tmp_path / "none.schema.json"
    for use in (
        lambda: objstore.open(tmp_path, missing),
        lambda: objstore.schema.load(str(missing)),
    ):
        with pytest.raises(objstore.SchemaNotFoundError, match=r"none\.schema\.json") as caught:
            use()
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.filename == str(missing)
    with pytest.raises(objstore.LayoutError, match="this is a directory") as folder:
        objstore.open(tmp_path, tmp_path)
    assert folder.value.errno == errno.EISDIR
    with pytest.raises(objstore.BackingError, match="cannot read the schema"):
        objstore.schema.load(str(tmp_path / ("x" * 300)))


def test_the_vocabulary_is_the_one_that_is_checked() -> None:
    vocabulary = schemas.load("vocabulary")
    assert set(vocabulary["properties"]) == set(_CHECKS)
    for name in ("vocabulary", "dialect"):
        jsonschema.Draft202012Validator.check_schema(schemas.load(name))
    for keyword, (_, fits) in _CHECKS.items():
        judge: Any = jsonschema.Draft202012Validator(vocabulary["properties"][keyword])
        values: list[Any] = ["directory", "file", "x", "", 1, True, None, [], {}]
        values += ["..", "a/b", "a/*.yaml", "*.yaml", "../*.yaml", "a/*.b/c", ".x", "...", "a\0"]
        for value in values:
            assert fits(value) == judge.is_valid(value), (keyword, value)


def test_assigning_across_stores(tmp_path: Path) -> None:
    with objstore.open("memory://", Library) as one, objstore.open(tmp_path, Library) as other:
        one.root.people["ada"] = ADA
        other.root.people["ada"] = one.root.people["ada"]
        other.PUT("people", one.root.people)
        assert other.root.people == {"ada": ADA}


def test_defaults_of_untyped_keys_survive(tmp_path: Path) -> None:
    class Loose(Dict):
        any: Any = None
        more: object = 5

    assert Loose.__schema__["properties"] == {"any": {"default": None}, "more": {"default": 5}}
    loaded: Any = objstore.schema.from_json(Loose.__schema__)
    assert (loaded().any, loaded().more) == (None, 5)


def test_a_schema_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    bad: list[Any] = [{"type": 3}, {"properties": []}, {"pattern": "("}]
    for schema in bad:
        with pytest.raises(objstore.SchemaError):
            objstore.schema.from_json(schema)
        with pytest.raises(objstore.SchemaError):
            objstore.open(tmp_path, schema)


@pytest.mark.parametrize(
    "metadata",
    [annotated_types.Len(1, 2), {"maxProperties": 3}, {"propertyNames": {"maxLength": 1}}],
)
def test_what_nothing_would_check_of_a_directory_is_refused(metadata: Any) -> None:
    kind = Annotated[Directory[Person], metadata]
    made = type("Rooms", (Directory,), {"__annotations__": {"rooms": kind}})
    with pytest.raises(objstore.SchemaError, match="is said of a directory"):
        objstore.open("memory://", made)
