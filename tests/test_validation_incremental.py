"""Validation of a change agrees with validation of the whole, and looks at less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from objstore._dialect import Document
from objstore._engine import Pieces
from objstore.validation import Validator
from objstore.values import JSON, MISSING

from .random_schemas import changed, fitting, neighbours, schemas

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
VALUES: list[JSON] = [None, True, 1, "a", "ab", [], [1, "a"], {}, {"a": 1, "b": "a"}]


def agrees(schema: Any, old: JSON, new: JSON) -> bool:
    """The verdict, which is the same whole and by the change, as is everything said of it."""
    validator = Validator(schema)
    assert validator.failures(old, "f") == []
    whole = validator.failures(new, "f")
    assert validator.failures_of_change(old, new, "f") == whole
    return not whole


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, Any], JSON, list[JSON]]:
    """A schema, a document that fits it if things went well, and what it may become."""
    schema = draw(schemas())
    validator = Validator(schema)
    old: JSON = None
    for _ in range(4):
        old = fitting(draw, schema, schema)
        if old and isinstance(old, dict | list) and not validator.failures(old, "f"):
            break
    return schema, old, [changed(draw, schema, old) for _ in range(3)]


def judge_history(history: tuple[dict[str, Any], JSON, list[JSON]]) -> None:
    """After each change, the verdict by the change is the verdict on the whole."""
    schema, old, changes = history
    validator = Validator(schema)
    if validator.failures(old, "f"):
        return
    locality = validator._locality  # pyright: ignore[reportPrivateUsage]
    for new in [*changes, *neighbours(old, VALUES)]:
        failures = validator.failures(new, "f")
        assert validator.failures_of_change(old, new, "f") == failures
        # A wrong no would go unnoticed above, as the whole is asked again for the words.
        assert locality is None or locality.holds(old, new) == (not failures)
        check_words(new, failures)
    # Nothing was changed in place by looking at it.
    assert not validator.failures(old, "f")


def check_words(value: JSON, failures: list[Any]) -> None:
    """Failures stand where something is, each with its words, and once."""
    assert len(set(failures)) == len(failures)
    for failure in failures:
        assert failure.expected
        assert failure.found
        assert Document(value).at(failure.pointer) is not MISSING


@settings(max_examples=500, deadline=None, suppress_health_check=SLOW)
@given(histories())
def test_a_change_is_judged_as_the_whole_is(
    history: tuple[dict[str, Any], JSON, list[JSON]],
) -> None:
    judge_history(history)


@pytest.mark.torture
@settings(
    max_examples=20_000,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=SLOW,
)
@given(histories())
def test_twenty_thousand_changes_are_judged_as_the_whole_is(
    history: tuple[dict[str, Any], JSON, list[JSON]],
) -> None:
    judge_history(history)


# Each change turns the verdict, and does so below the keyword that notices.
NOTICED: list[tuple[Any, JSON, JSON]] = [
    ({"type": "integer"}, 1, True),
    ({"properties": {"a": {"type": "integer"}}}, {"a": 1}, {"a": True}),
    ({"properties": {"a": {"type": "integer"}}}, {"a": 1}, {"a": 1.5}),
    ({"properties": {"a": {"type": "object"}}}, {"a": {}}, {"a": []}),
    ({"properties": {"a": False}}, {}, {"a": 1}),
    ({"patternProperties": {"^a": {"type": "string"}}}, {"ab": "x"}, {"ab": 1}),
    ({"properties": {"ab": {}}, "patternProperties": {"^a": {"minimum": 1}}}, {}, {"ab": 0}),
    ({"additionalProperties": {"type": "string"}}, {"a": "x"}, {"a": 1}),
    ({"additionalProperties": False}, {}, {"a": 1}),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"a": 1, "b": 1}),
    ({"required": ["a"]}, {"a": 1}, {"b": 1}),
    ({"minProperties": 1}, {"a": 1}, {}),
    ({"maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}),
    ({"propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}),
    ({"propertyNames": {"$ref": "#/$defs/k"}, "$defs": {"k": {"maxLength": 1}}}, {}, {"ab": 1}),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}),
    (
        {"dependentSchemas": {"a": {"properties": {"b": {"type": "null"}}}}},
        {"a": 1},
        {"a": 1, "b": 1},
    ),
    ({"items": {"type": "string"}}, ["a"], ["a", 1]),
    ({"items": {"type": "string"}}, ["a", "b"], [1, "b"]),
    ({"prefixItems": [{"type": "string"}]}, ["a", 1], [1, "a"]),
    ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1, 2], [1, 2]),
    ({"prefixItems": [True, True], "items": False}, [1], [1, 2, 3]),
    ({"minItems": 1}, [1], []),
    ({"maxItems": 1}, [1], [1, 2]),
    ({"uniqueItems": True}, [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 1}]),
    ({"contains": {"const": 1}}, [1, 2], [3, 2]),
    ({"contains": {"const": 1}, "maxContains": 1}, [1, 2], [1, 1]),
    ({"contains": {"const": 1}, "minContains": 2}, [1, 1, 2], [1, 2, 2]),
    ({"enum": [{"a": 1}]}, {"a": 1}, {"a": 2}),
    ({"const": [[1]]}, [[1]], [[2]]),
    ({"allOf": [{"properties": {"a": {"type": "string"}}}]}, {"a": "x"}, {"a": 1}),
    ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1}, {"c": 1}),
    ({"anyOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"]}]}, {"a": 1}, {"a": 2}),
    ({"anyOf": [{"type": "null"}, {"items": {"type": "string"}}]}, ["a"], ["a", 1]),
    ({"oneOf": [{"minItems": 2}, {"maxItems": 2}]}, [1], [1, 2]),
    ({"oneOf": [{"type": "string"}, {"required": ["a"]}]}, {"a": 1}, {"b": 1}),
    ({"not": {"properties": {"a": {"const": 1}}, "required": ["a"]}}, {"a": 2}, {"a": 1}),
    ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {}, {"a": 1}),
    ({"if": {"required": ["a"]}, "else": {"required": ["b"]}}, {"a": 1}, {}),
    ({"unevaluatedProperties": False}, {}, {"a": 1}),
    (
        {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": {"type": "string"}},
        {"a": 1, "b": "x"},
        {"a": 1, "b": 1},
    ),
    (
        {"anyOf": [{"properties": {"a": {"const": 1}}}, True], "unevaluatedProperties": False},
        {"a": 1},
        {"a": 2},
    ),
    ({"prefixItems": [True], "unevaluatedItems": False}, [1], [1, 2]),
    ({"contains": {"const": 1}, "unevaluatedItems": {"const": 2}}, [1, 2], [1, 3]),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"type": "null"}}}}, [None], [1]),
    (
        {"properties": {"a": {"$ref": "#"}}, "maxProperties": 1},
        {"a": {"a": {}}},
        {"a": {"a": {}, "b": 1}},
    ),
    ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"items": {}}, {"items": []}),
    (
        {
            "$id": "https://example.org/s",
            "items": {"$ref": "#here"},
            "$defs": {"a": {"$anchor": "here", "type": "null"}},
        },
        [None],
        [1],
    ),
    # Schemas that mean different things in different places are judged whole.
    ({"items": {"$id": "b", "$ref": "#/$defs/b", "$defs": {"b": {"type": "null"}}}}, [None], [1]),
    (
        {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": "array"},
        [[], []],
        [[], [1]],
    ),
    (
        {
            "$id": "https://example.org/s",
            "items": {"$ref": "s#/$defs/a"},
            "$defs": {"a": {"type": "null"}},
        },
        [None],
        [1],
    ),
    ({"allOf": [{"$ref": "#"}], "properties": {"a": {"type": "null"}}}, {"a": None}, {"a": 1}),
    ({"properties": {"a": {"pattern": "x"}}}, {"a": "x"}, {"a": "\ud800"}),
]


@pytest.mark.parametrize(("schema", "old", "new"), NOTICED, ids=lambda part: ascii(part)[:40])
def test_a_change_is_noticed_by(schema: Any, old: JSON, new: JSON) -> None:
    assert not agrees(schema, old, new)
    below = {"properties": {"x": schema}, "$defs": schema.get("$defs", {})}
    if "$id" not in schema and "#" not in str(schema):
        assert not agrees(below, {"x": old, "y": 1}, {"x": new, "y": 1})


# What fits although something near it changed.
UNHARMED: list[tuple[Any, JSON, JSON]] = [
    (True, {"a": 1}, {"a": 2}),
    ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1, 2], ["b", 2]),
    (
        {
            "unevaluatedProperties": False,
            "allOf": [{"unevaluatedProperties": {"type": "string"}}],
        },
        {"a": "x"},
        {"b": "y"},
    ),
    ({"oneOf": [{"type": "null"}, {"required": ["a"]}]}, {"a": 1}, {"a": 2, "b": 3}),
    ({"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"required": ["z"]}}}, {"a": 1}, {"b": 1}),
]


@pytest.mark.parametrize(("schema", "old", "new"), UNHARMED, ids=lambda part: str(part)[:40])
def test_a_change_may_fit(schema: Any, old: JSON, new: JSON) -> None:
    assert agrees(schema, old, new)


DEFS = {
    "person": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "home": {"$ref": "#/$defs/place"}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "place": {
        "allOf": [{"$ref": "#/$defs/base"}],
        "properties": {"city": {"type": "string"}, "notes": {"items": {"type": "string"}}},
        "unevaluatedProperties": False,
    },
    "base": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
}
LIBRARY: dict[str, Any] = {
    "$id": "https://example.org/library",
    "type": "object",
    "properties": {
        "people": {"additionalProperties": {"$ref": "#/$defs/person"}},
        "log": {"items": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]}},
    },
    "required": ["people"],
    "$defs": DEFS,
}


def library() -> dict[str, Any]:
    place = {"id": 1, "city": "Paris", "notes": ["a", "b"]}
    return {
        "people": {"ada": {"name": "Ada", "home": dict(place)}, "bob": {"name": "Bob"}},
        "log": [dict(place), None, dict(place)],
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every value that a part of the schema is asked about, in turn."""
    values: list[Any] = []
    compile_piece = Pieces.compile

    def compile_and_record(self: Pieces, schema: dict[str, Any]) -> Callable[[JSON], bool]:
        judge = compile_piece(self, schema)

        def recorded(value: JSON) -> bool:
            values.append(value)
            return judge(value)

        return recorded

    monkeypatch.setattr(Pieces, "compile", compile_and_record)
    return values


def put(node: Any, path: list[str | int], value: JSON | None = None) -> Any:
    """A copy with another value at the path, that shares the rest."""
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = put(copy[path[0]] if path[1:] else MISSING, path[1:], value)
    return copy


LOCAL: list[tuple[list[str | int], JSON, list[Any]]] = [
    (["people", "ada", "name"], "Ida", ["Ida"]),
    (["people", "ada", "home", "city"], "Rome", ["Rome"]),
    (["people", "ada", "home", "notes", 1], "c", ["c"]),
    (["people", "ada", "home", "notes"], [], []),
    (["log", 0, "city"], "Rome", ["Rome"]),
    (["log", 2, "notes"], ["z", "y"], ["y", "z"]),
    (["log", 1], {"id": 2}, [{"id": 2}]),
    (["people", "eve"], {"name": "Eve"}, [{"name": "Eve"}]),
    (["unknown"], 1, []),
]


@pytest.mark.parametrize(("path", "value", "judged"), LOCAL, ids=str)
def test_only_what_a_change_touches_is_asked_about(
    asked: list[Any], path: list[str | int], value: JSON, judged: list[Any]
) -> None:
    old = library()
    new = put(old, path, value)
    assert Validator(LIBRARY).failures_of_change(old, new, "f") == []
    # The shape of an object that got another key is asked for once; it is not gone into.
    assert [item for item in asked if item not in (new, new["people"])] == judged


@pytest.mark.parametrize(("path", "value", "judged"), LOCAL, ids=str)
def test_siblings_of_a_change_are_not_looked_at(
    path: list[str | int], value: JSON, judged: list[Any]
) -> None:
    # Nobody would keep contents like these: what is wrong in them shows who looks.
    old = library()
    old["people"]["bob"] = {"wrong": 1}
    old["people"]["ada"]["home"]["id"] = "wrong"
    old["log"] += ["wrong", {"id": "wrong"}]
    old["log"][0]["id"] = old["log"][2]["id"] = "wrong"
    new = put(old, path, value)
    validator = Validator(LIBRARY)
    assert validator.failures(new, "f")
    assert validator.failures_of_change(old, new, "f") == []


def list_changes() -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Ways to change a list of ten, and the elements that have to be judged after each."""
    old = [{"n": index} for index in range(10)]
    new, other = {"n": 10}, {"n": 11}
    yield "nothing", old, []
    yield "insert first", [new, *old], [new]
    yield "insert in the middle", [*old[:5], new, *old[5:]], [new]
    yield "append", [*old, new, other], [new, other]
    yield "remove", old[:3] + old[4:], []
    yield "remove all", [], []
    yield "reverse", old[::-1], []
    yield "move", [*old[1:5], old[0], *old[5:]], []
    yield "double", old + old, old
    yield "replace", [*old[:3], new, *old[4:]], [10]
    yield "replace and move", [old[9], *old[1:5], new, *old[6:9], old[0]], [10]
    yield "replace two", [new, *old[1:9], other], [10, 11]


@pytest.mark.parametrize("name", [name for name, _, _ in list_changes()])
def test_elements_of_a_list_that_were_in_it_are_not_asked_about(
    asked: list[Any], name: str
) -> None:
    old = [{"n": index} for index in range(10)]
    change = next(change for change in list_changes() if change[0] == name)
    # The same changes, of the list that is the old one here.
    new = [next((element for element in old if element == item), item) for item in change[1]]
    schema = {"items": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    assert Validator(schema).failures_of_change(old, new, "f") == []
    assert sorted(asked, key=str) == change[2]
    assert not agrees(schema, old, [*new, {"n": "wrong"}])


def test_elements_that_move_into_the_fixed_part_are_asked_about(asked: list[Any]) -> None:
    schema = {"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}
    old: list[Any] = ["a", 1, 2]
    assert Validator(schema).failures_of_change(old, ["b", 2, 1, 3], "f") == []
    assert sorted(map(str, asked)) == ["3", "b"]
    assert not agrees(schema, old, [1, 2])


def test_the_words_about_a_change_are_those_about_the_whole() -> None:
    old = library()
    new = put(put(old, ["people", "ada", "n"], 1), ["log", 2, "id"], "x")
    failures = Validator(LIBRARY).failures_of_change(old, new, "library.json")
    assert [str(failure) for failure in failures] == [
        'library.json at /people/ada/n: expected no key "n" (known keys: name, home), found 1',
        'library.json at /log/2/id: expected an integer, found "x"',
    ]


def test_documents_may_be_deep() -> None:
    schema = {"properties": {"a": {"$ref": "#"}, "n": {"type": "integer"}}}
    old: dict[str, Any] = {"n": 1}
    new: dict[str, Any] = {"n": 2}
    for _ in range(2000):
        old, new = {"a": old}, {"a": new}
    assert agrees(schema, old, new)
