"""Contents against JSON Schema 2020-12: the verdict, and in words what is wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.checks import CHECKS
from objstore.errors import Failure, SchemaError
from objstore.validation import Validator
from objstore.values import JSON

from .random_schemas import fitting, schemas

BIG = 10**30


def fits(schema: Any, value: Any) -> bool:
    return not Validator(schema).failures(value, "f.json")


def said(schema: Any, value: Any) -> list[tuple[str, str, str, str]]:
    """The failures without their source, which is always the same."""
    failures = Validator(schema).failures(value, "f.json")
    assert {failure.source for failure in failures} <= {"f.json"}
    return [failure[1:5] for failure in failures]


def reference_fits(schema: Any, value: Any) -> bool:
    """What jsonschema says, given the same formats."""
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("date")(is_date)
    validator: Any = jsonschema.Draft202012Validator(schema, format_checker=checker)
    return bool(validator.is_valid(value))


def is_date(value: object) -> bool:
    return not isinstance(value, str) or CHECKS["date"](value)


KEYWORDS: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [None, {}, "x"], []),
    (False, [], [None, {}, "x"]),
    ({}, [None, [1]], []),
    ({"type": "string"}, ["", "x"], [1, None, [], {}]),
    ({"type": "integer"}, [1, -1, 1.0, BIG], [1.5, "1", True]),
    ({"type": "number"}, [1, 1.5, BIG], ["1", True]),
    ({"type": "boolean"}, [True, False], [0, 1, "true"]),
    ({"type": "null"}, [None], [0, "", False]),
    ({"type": "array"}, [[], [1]], [{}, "x"]),
    ({"type": "object"}, [{}, {"a": 1}], [[], "x"]),
    ({"type": ["string", "null"]}, ["x", None], [1, []]),
    ({"enum": ["a", 1, None, [0]]}, ["a", 1, 1.0, None, [0]], ["b", True, [False], 2]),
    ({"const": {"a": [1]}}, [{"a": [1]}, {"a": [1.0]}], [{"a": [True]}, {"a": [1], "b": 0}]),
    ({"const": False}, [False], [0, None, ""]),
    ({"minimum": 1.5}, [1.5, 2, BIG, "x"], [1, 1.4]),
    ({"exclusiveMinimum": 1}, [1.1, "x"], [1, 0]),
    ({"maximum": 3}, [3, 3.0, -BIG], [3.1, BIG]),
    ({"exclusiveMaximum": 3}, [2.9], [3, 3.0]),
    ({"multipleOf": 3}, [0, 9, 9.0, 3 * BIG, "x"], [10, 4.5, 3 * BIG + 1]),
    ({"multipleOf": 0.1}, [0.3, 1.1, 19.9, 1], [0.35]),
    ({"minLength": 2}, ["ab", "👍👍", 1], ["a", "👍", ""]),
    ({"maxLength": 1}, ["a", "👍", ""], ["ab", "e\u0301"]),
    ({"pattern": "b"}, ["abc", 1], ["ac"]),
    ({"pattern": "^a$"}, ["a"], ["a\n", "ba"]),
    ({"pattern": r"^\d+$"}, ["12"], ["\u0661", ""]),
    ({"pattern": r"^\w+$"}, ["aZ_9"], ["é"]),
    ({"pattern": r"^(?!x)(?=a)"}, ["ab"], ["xa", "b"]),
    ({"pattern": r"^\p{Letter}+$"}, ["é"], ["1"]),
    (
        {"prefixItems": [{"type": "string"}, {"type": "integer"}]},
        [[], ["a"], ["a", 1, None]],
        [[1]],
    ),
    ({"items": {"type": "integer"}}, [[], [1, 2.0], "x"], [[1, "x"]]),
    ({"prefixItems": [True], "items": False}, [[], [1]], [[1, 2]]),
    ({"contains": {"type": "integer"}}, [[1], ["a", 1], "x"], [[], ["a"]]),
    ({"contains": {"type": "integer"}, "minContains": 2}, [[1, 2]], [[1, "a"]]),
    ({"contains": {"type": "integer"}, "maxContains": 1}, [[1, "a"]], [[1, 2], []]),
    ({"contains": {"type": "integer"}, "minContains": 0}, [[], ["a"]], []),
    ({"minItems": 1}, [[1], {}], [[]]),
    ({"maxItems": 1}, [[], [1]], [[1, 2]]),
    ({"uniqueItems": True}, [[1, True], [0, False], ["1", 1]], [[1, 1.0], [{"a": 1}, {"a": 1.0}]]),
    ({"uniqueItems": True}, [[{"a": 1, "b": 2}, {"a": 2, "b": 1}]], [[{"a": 1, "b": 2}] * 2]),
    ({"uniqueItems": False}, [[1, 1]], []),
    ({"unevaluatedItems": False}, [[]], [[1]]),
    ({"prefixItems": [True], "unevaluatedItems": {"type": "string"}}, [[1, "a"]], [[1, 2]]),
    ({"contains": {"const": 1}, "unevaluatedItems": False}, [[1, 1]], [[1, 2]]),
    ({"properties": {"a": {"type": "string"}}}, [{}, {"a": "x", "b": 1}, []], [{"a": 1}]),
    ({"properties": {"a": False}}, [{"b": 1}], [{"a": 1}]),
    ({"patternProperties": {"^x": {"type": "string"}}}, [{"x1": "a", "y": 1}], [{"x1": 1}]),
    ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}]),
    ({"additionalProperties": {"type": "string"}}, [{"a": "x"}], [{"a": 1}]),
    ({"required": ["a"]}, [{"a": None}, "x"], [{}]),
    ({"dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
    (
        {"dependentSchemas": {"a": {"maxProperties": 1}}},
        [{"a": 1}, {"b": 1, "c": 1}],
        [{"a": 1, "b": 1}],
    ),
    ({"propertyNames": {"maxLength": 1}}, [{"a": 1}, {}], [{"ab": 1}]),
    ({"minProperties": 1}, [{"a": 1}, []], [{}]),
    ({"maxProperties": 1}, [{"a": 1}], [{"a": 1, "b": 1}]),
    ({"properties": {"a": {}}, "unevaluatedProperties": False}, [{"a": 1}], [{"b": 1}]),
    (
        {"anyOf": [{"properties": {"a": {"const": 1}}}, {}], "unevaluatedProperties": False},
        [{}, {"a": 1}],
        [{"a": 2}, {"b": 1}],
    ),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1, 2], [0, 3]),
    ({"anyOf": [{"type": "string"}, {"minimum": 2}]}, ["x", 2, None], [1]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, [1, 2.5], [2, 1.5]),
    ({"not": {"type": "integer"}}, ["x", 1.5], [1]),
    (
        {"if": {"minimum": 10}, "then": {"multipleOf": 5}, "else": {"multipleOf": 2}},
        [10, 15, 4],
        [11, 5],
    ),
    ({"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "null"}}}, [None], [1]),
    ({"$ref": "#here", "$defs": {"a": {"$anchor": "here", "type": "null"}}}, [None], [1]),
    ({"$ref": "#/$defs/a", "minimum": 2, "$defs": {"a": {"maximum": 3}}}, [2, 3], [1, 4]),
    (
        {"properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
        [{"a": {"a": {}}}],
        [{"a": {"b": 1}}],
    ),
    (
        {"$id": "https://example.org/a", "$ref": "b", "$defs": {"b": {"$id": "b", "type": "null"}}},
        [None],
        [1],
    ),
    ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, [{"type": "null"}], [{"type": 1}]),
    (
        {
            "$id": "https://example.org/tree",
            "$dynamicAnchor": "node",
            "properties": {"kids": {"items": {"$dynamicRef": "#node"}}},
            "additionalProperties": False,
        },
        [{"kids": [{"kids": []}]}],
        [{"kids": [{"kid": []}]}],
    ),
]


@pytest.mark.parametrize(("schema", "good", "bad"), KEYWORDS, ids=lambda part: str(part)[:40])
def test_the_verdict_is_the_standards(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(schema, value)] == []
    assert [value for value in bad if fits(schema, value)] == []


@pytest.mark.parametrize("keyword", ["backing", "file", "mergeKey", "autoid", "x-own", "title"])
def test_keywords_that_are_not_of_the_standard_ask_nothing(keyword: str) -> None:
    assert fits({keyword: "false", "properties": {"a": {keyword: "x"}}}, {"a": 1})
    assert fits({"contentEncoding": "base64", "contentMediaType": "image/png"}, "@")


# Where jsonschema and jsonschema-rs differ, the rule is what jsonschema-rs says.
DIFFERENCES: list[tuple[Any, Any, bool]] = [
    ({"multipleOf": 0.1}, 0.3, True),  # as decimals, as they are written
    ({"multipleOf": 0.01}, 19.99, True),
    ({"multipleOf": 1.5}, BIG, False),
    ({"const": BIG}, float(BIG), True),  # beyond 2**53 a float equals the integer it is read from
    ({"enum": [BIG]}, float(BIG), True),
    ({"maximum": BIG}, float(BIG), True),
    ({"uniqueItems": True}, [BIG, float(BIG)], False),
    ({"pattern": r"^\d$"}, "\u0661", False),  # ECMA-262: ASCII only
    ({"pattern": r"^\w$"}, "é", False),
    ({"pattern": r"^\s$"}, "\ufeff", True),
    ({"pattern": "^a$"}, "a\n", False),
    ({"patternProperties": {r"^\d$": False}}, {"\u0661": 1}, True),
]


@pytest.mark.parametrize(("schema", "value", "verdict"), DIFFERENCES, ids=str)
def test_one_engine_gives_both_verdict_and_words(schema: Any, value: Any, verdict: bool) -> None:
    assert fits(schema, value) is verdict
    assert reference_fits(schema, value) is not verdict


def test_integers_beyond_64_bits_are_exact() -> None:
    for number in (2**63, 2**64 + 1, BIG, -BIG, 10**400):
        assert fits({"type": "integer", "const": number}, number)
        assert not fits({"const": number}, number + 1)
        assert fits({"minimum": number}, number)
        assert said({"minimum": number}, number - 1)[0][1] == f"at least {number}"
        assert fits({"multipleOf": 2, "maximum": number}, number - number % 2)


def test_an_integer_that_python_cannot_write_is_shown_all_the_same() -> None:
    shown = "an integer of 16610 bits"
    assert said({"items": {"type": "string"}}, [10**5000]) == [("/0", "a string", shown, "type")]
    assert said({"minimum": 3}, 10**5000) == [("", "at least 3", shown, "minimum")]


FORMATS: list[tuple[str, list[str], list[str]]] = [
    (
        "date",
        ["2024-02-29"],
        ["2023-02-29", "20240229", "2024-W01-1", "٢٠٢٤-01-01", "2024-01-01\n"],
    ),
    (
        "date-time",
        ["2024-02-29T10:00", "2024-02-29 10:00:00.5+02:00", "2024-02-29T10:00:00Z"],
        ["2024-02-29", "2024-02-29T25:00", "x", ""],
    ),
    ("time", ["10:00", "10:00:00.25+01:00"], ["25:00", "", "x"]),
    (
        "uuid",
        ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"],
        ["f81d4fae7dec11d0a76500a0c91e6bf6", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}", "x"],
    ),
    (
        "decimal",
        ["1", "-1.50", ".5", "5.", "1E+5"],
        ["NaN", "Infinity", "1_0", " 1", "\u0661", "", "1e9999999999999999999"],
    ),
    ("base64", ["", "YQ==", "YWJj", "+/+/"], ["YQ", "YQ=", "YWJj\n", "_-8=", "YQ==YQ==", "é"]),
]


@pytest.mark.parametrize(("name", "good", "bad"), FORMATS, ids=lambda part: str(part)[:12])
def test_formats_are_asserted(name: str, good: list[str], bad: list[str]) -> None:
    assert {text: fits({"format": name}, text) for text in good} == dict.fromkeys(good, True)
    assert {text: fits({"format": name}, text) for text in bad} == dict.fromkeys(bad, False)
    assert fits({"format": name}, 1)
    assert sorted(CHECKS) == sorted(name for name, _, _ in FORMATS)


@pytest.mark.parametrize("name", ["email", "ipv4", "uri", "regex", "hostname", "duration", "own"])
def test_other_formats_are_annotations(name: str) -> None:
    assert fits({"format": name}, "(")
    assert fits({"properties": {"format": {"format": name}}}, {"format": "("})


CIRCLE = {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["r"]}
SQUARE = {"properties": {"kind": {"const": "square"}, "a": {"type": "number"}}, "required": ["a"]}
SHAPES = {"items": {"oneOf": [{"type": "object", **CIRCLE}, {"type": "object", **SQUARE}]}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "born": {"type": "integer"}},
    "additionalProperties": False,
    "required": ["name", "born"],
}

WORDS: list[tuple[Any, Any, list[tuple[str, str, str, str]]]] = [
    ({"type": "string"}, 42, [("", "a string", "42", "type")]),
    (
        {"type": ["null", "integer", "string"]},
        [],
        [("", "a string, an integer or null", "[]", "type")],
    ),
    ({"type": "boolean"}, "x" * 99, [("", "true or false", '"' + "x" * 58 + "…", "type")]),
    ({"const": {"a": 1}}, [], [("", '{"a": 1}', "[]", "const")]),
    ({"enum": ["a", None, BIG]}, 1, [("", f'one of "a", null, {BIG}', "1", "enum")]),
    ({"enum": ["a"]}, "b", [("", '"a"', '"b"', "enum")]),
    ({"minimum": 0}, -1, [("", "at least 0", "-1", "minimum")]),
    ({"maximum": 0.5}, 1, [("", "at most 0.5", "1", "maximum")]),
    ({"exclusiveMinimum": 0}, 0, [("", "more than 0", "0", "exclusiveMinimum")]),
    ({"exclusiveMaximum": 0}, 0, [("", "less than 0", "0", "exclusiveMaximum")]),
    ({"multipleOf": 0.25}, 0.3, [("", "a multiple of 0.25", "0.3", "multipleOf")]),
    ({"minLength": 1}, "", [("", "at least 1 character", '""', "minLength")]),
    ({"maxLength": 2}, "abc", [("", "at most 2 characters", '"abc"', "maxLength")]),
    ({"pattern": "^a"}, "b", [("", 'text that matches "^a"', '"b"', "pattern")]),
    ({"format": "date"}, "x", [("", "a date (YYYY-MM-DD)", '"x"', "format")]),
    ({"minItems": 1}, [], [("", "at least 1 item", "[]", "minItems")]),
    ({"maxItems": 1}, [1, 2], [("", "at most 1 item", "an array of 2", "maxItems")]),
    ({"uniqueItems": True}, [1, 1], [("", "no item twice", "an array of 2", "uniqueItems")]),
    (
        {"minProperties": 2},
        {"a": 1},
        [("", "at least 2 keys", "an object with 1 key", "minProperties")],
    ),
    (
        {"maxProperties": 0},
        {"a": 1},
        [("", "at most 0 keys", "an object with 1 key", "maxProperties")],
    ),
    ({"not": {"type": "null"}}, None, [("", "anything but null", "null", "not")]),
    (False, 1, [("", "no value at all", "1", "")]),
    ({"properties": {"a": False}}, {"a": 1}, [("/a", 'no key "a"', "1", "properties")]),
    ({"items": False}, [1], [("/0", "no item here", "1", "items")]),
    (
        {"propertyNames": False},
        {"a": 1},
        [("", "no keys", "an object with 1 key", "propertyNames")],
    ),
    (
        {"contains": {"type": "integer"}},
        ["x"],
        [("", "at least 1 item that is an integer", "an array of 1", "contains")],
    ),
    (
        {"contains": {"$ref": "#/$defs/a"}, "maxContains": 2, "$defs": {"a": {"minimum": 1}}},
        [1, 2, 3],
        [("", "at most 2 items that are at least 1", "an array of 3", "contains")],
    ),
    (
        {"propertyNames": {"maxLength": 1, "pattern": "^a"}},
        {"a": 0, "bb": 1},
        [
            ("/bb", "a key that is at most 1 character", '"bb"', "propertyNames"),
            ("/bb", 'a key that is text that matches "^a"', '"bb"', "propertyNames"),
        ],
    ),
    ({"required": ["a"]}, {}, [("", 'key "a"', "nothing", "required")]),
    (
        {"dependentRequired": {"a": ["b"]}},
        {"a": 1},
        [("", 'key "b"', "nothing", "dependentRequired")],
    ),
    (
        PERSON,
        {"x/y": 1, "born": "1970", "z": {}},
        [
            ("", 'key "name"', "nothing", "required"),
            ("/x~1y", 'no key "x/y" (known keys: name, born)', "1", "additionalProperties"),
            ("/born", "an integer", '"1970"', "type"),
            ("/z", 'no key "z" (known keys: name, born)', "{}", "additionalProperties"),
        ],
    ),
    (
        {"additionalProperties": False},
        {"a": 1},
        [("/a", 'no key "a"', "1", "additionalProperties")],
    ),
    (
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"a": 1},
        [("", 'key "b"', "nothing", "required")],
    ),
    ({"if": True, "then": False}, 1, [("", "no value at all", "1", "then")]),
    (
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        3,
        [("", "a string or null", "3", "anyOf")],
    ),
    (
        {"anyOf": [{"type": "null"}, {"format": "date", "type": "string"}, {"const": "never"}]},
        "x",
        [("", 'a date (YYYY-MM-DD), "never" or null', '"x"', "anyOf")],
    ),
    (
        {"anyOf": [PERSON, {"type": "null"}]},
        {"name": 1, "born": 1970},
        [("/name", "a string", "1", "type")],
    ),
    (
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        [("", 'key "a" or key "b"', "nothing", "anyOf")],
    ),
    (
        {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
        3,
        [("", "a value that fits only one of 2 alternatives", "3", "oneOf")],
    ),
    (
        SHAPES,
        [{"kind": "circle", "r": "x"}, {"kind": "square"}, {"kind": "oval"}, 3],
        [
            ("/0/r", "a number", '"x"', "type"),
            ("/1", 'key "a"', "nothing", "required"),
            ("/2/kind", '"circle" or "square"', '"oval"', "oneOf"),
            ("/3", "an object", "3", "oneOf"),
        ],
    ),
    (
        {"allOf": [{"properties": {"a": {"type": "string"}}}], "unevaluatedProperties": False},
        {"a": 1, "b": 2},
        [("/a", "a string", "1", "type"), ("/b", 'no key "b"', "2", "unevaluatedProperties")],
    ),
    (
        {"unevaluatedProperties": {"type": "string"}},
        {"a": 1},
        [("/a", "a string", "1", "unevaluatedProperties")],
    ),
    (
        {"unevaluatedProperties": {"type": "object", "maxProperties": 0}},
        {"a": {"b": 1}},
        [("/a", "what the schema asks for", "an object with 1 key", "unevaluatedProperties")],
    ),
    (
        {"prefixItems": [True], "unevaluatedItems": False},
        [1, 2],
        [("", "no further items", "an array of 2", "unevaluatedItems")],
    ),
    (
        {"allOf": [{"type": "string"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string"}}},
        1,
        [("", "a string", "1", "type")],
    ),
]


@pytest.mark.parametrize(("schema", "value", "words"), WORDS, ids=lambda part: str(part)[:40])
def test_failures_say_what_was_expected_and_what_stood_there(
    schema: Any, value: Any, words: list[tuple[str, str, str, str]]
) -> None:
    assert said(schema, value) == words


def test_failures_come_in_the_order_of_the_contents() -> None:
    schema = {
        "properties": {"a": {"items": {"type": "string"}}, "b": {"type": "string"}},
        "additionalProperties": {"required": ["x"]},
    }
    value: JSON = {"c": {}, "b": 1, "a": ["", *range(11)], "d": {}}
    pointers = [failure.pointer for failure in Validator(schema).failures(value, "f")]
    assert pointers == ["/c", "/b", *(f"/a/{index}" for index in range(1, 12)), "/d"]


def test_keys_that_read_as_numbers_are_told_apart() -> None:
    value: JSON = {"1": {"01": "x", "1": 0, "+1": 0}, "01": [0, "y"], "2": {}, "02": ""}
    inner = {"additionalProperties": {"type": "integer"}, "items": {"type": "integer"}}
    schema = {"additionalProperties": {"type": ["object", "array"], **inner}, "maxProperties": 2}
    assert [failure.pointer for failure in Validator(schema).failures(value, "f")] == [
        *("", "/1/01", "/01/1", "/02")
    ]
    schema = {"properties": {"1": {"additionalProperties": False}, "01": False, "02": True}}
    assert [failure.pointer for failure in Validator(schema).failures(value, "f")] == [
        *("/1/01", "/1/1", "/1/+1", "/01")
    ]


def test_a_failure_is_told_once_however_many_schemas_say_so() -> None:
    schema = {"anyOf": [{"type": "string"}], "allOf": [{"type": "string"}] * 3, "type": "string"}
    assert Validator(schema).failures([], "f") == [
        Failure("f", "", "a string", "[]", "type"),
        Failure("f", "", "a string", "[]", "anyOf"),
    ]


def test_a_pattern_that_takes_for_ever_is_a_failure() -> None:
    ((_, expected, _, keyword),) = said({"pattern": "^(?:(?=a)|(a|a?)+)+$"}, "a" * 40 + "!")
    assert (keyword, expected.split()[-2:]) == ("pattern", ["reasonable", "time"])


def test_what_is_not_json_is_a_failure_and_no_error_of_the_engine() -> None:
    schema = {"properties": {"a": {"pattern": "x"}}}
    assert said(schema, {"a": "\ud800", "b": [b"x"]}) == [
        ("/a", "text that UTF-8 can hold", '"\\ud800"', ""),
        ("/b/0", "a JSON value", "b'x'", ""),
    ]
    assert said({"minProperties": 1}, {"\ud800": 1}) == []
    assert said({}, {1: 2}) == [("", "keys of text that UTF-8 can hold", "1", "")]


WRONG_SCHEMAS: list[tuple[Any, str]] = [
    ({"properties": {"a": {"type": "nope"}}}, "/properties/a/type: expected one of "),
    ({"minLength": -1}, "/minLength: expected at least 0, found -1"),
    ({"required": "a"}, "/required: expected an array"),
    ({"items": [True]}, "/items: expected true or false or an object, found an array of 1"),
    ({"pattern": "("}, '/pattern: expected a regular expression (ECMA-262), found "("'),
    ({"pattern": r"\Z"}, "expected a regular expression"),
    ({"patternProperties": {"(": True}}, 'expected a regular expression (ECMA-262), found "("'),
    ({"$ref": "http://example.org/x"}, "http://example.org/x"),
    ({"$defs": {"a": {"$ref": "https://example.org/x#/a"}}}, "https://example.org/x"),
    ({"$ref": "other.json"}, "other.json"),
    ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
    ({"$dynamicRef": "http://example.org/x#a"}, "http://example.org/x"),
    ({"$ref": "#/$defs/none"}, "/$defs/none"),
    ({"$ref": "#none"}, "none"),
    ({"$ref": 1}, "/$ref: expected a string"),
    ({"$schema": "http://json-schema.org/draft-07/schema#"}, "draft-07"),
    ({"const": b"x"}, "/const: expected a JSON value, found b'x'"),
    ({"title": {"\ud800": 1}}, "UTF-8"),
    ("{}", 'not "{}"'),
    (None, "not null"),
    ([], "not []"),
]


@pytest.mark.parametrize(("schema", "part"), WRONG_SCHEMAS, ids=lambda part: ascii(part)[:40])
def test_a_wrong_schema_is_refused_and_named(schema: Any, part: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Validator(schema, source="person.schema.json")
    assert str(caught.value).startswith("person.schema.json")
    assert part in str(caught.value)


def test_a_reference_is_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(SchemaError, match=url):
            Validator({"properties": {"a": {"$ref": url}}})
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_importing_validation_imports_no_engine() -> None:
    program = """
import sys
import objstore.validation as validation
assert not {"jsonschema", "jsonschema_rs"} & sys.modules.keys()
assert validation.Validator({"anyOf": [{"type": "string"}]}).failures(1, "f")
assert "jsonschema" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@st.composite
def judged(draw: st.DrawFn) -> tuple[dict[str, Any], list[JSON]]:
    schema = draw(schemas())
    return schema, [fitting(draw, schema, schema) for _ in range(3)]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(judged())
def test_the_verdict_is_that_of_the_reference_implementation(
    example: tuple[dict[str, Any], list[JSON]],
) -> None:
    schema, values = example
    for value in values:
        assert fits(schema, value) == reference_fits(schema, value)
