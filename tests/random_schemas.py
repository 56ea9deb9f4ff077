"""Random schemas, documents that mostly fit them, and changes that share what they leave alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from hypothesis import strategies as st

from objstore._dialect import IN_PLACE
from objstore.values import JSON

Draw = st.DrawFn

KEYS = ["a", "b", "c", "x1", "1"]
SCALARS: list[JSON] = [None, True, False, 0, 1, 2, -1, 1.0, 0.5, "", "a", "ab", "x1", "2024-01-31"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]

# From the root's definitions onwards a reference leads on, unless it is about another value: a
# schema that applies itself to the same value means nothing in particular.
REFERENCES = ["#two", "#/$defs/two", "#/$defs/one/properties/a", "#/$defs/one", "#"]

PATTERNS = ["^x", "^[ab]$", "1", "."]

keys = st.sampled_from(KEYS)
scalars = st.sampled_from(SCALARS)
counts = st.integers(0, 3)
some_keys = st.lists(keys, max_size=2, unique=True)
some_types = st.lists(st.sampled_from(TYPES), min_size=2, unique=True)


def _rarely(draw: Draw) -> bool:
    return draw(st.integers(0, 7)) == 7


@st.composite
def _documents(draw: Draw, depth: int = 3) -> JSON:
    kind = draw(st.integers(0, 5)) if depth else 0
    if kind < 2:
        return draw(scalars)
    length = draw(st.integers(0, 4))
    if kind < 4:
        return [draw(_documents(depth - 1)) for _ in range(length)]
    return {key: draw(_documents(depth - 1)) for key in draw(st.permutations(KEYS))[:length]}


documents: st.SearchStrategy[JSON] = _documents()


@st.composite
def schemas(draw: Draw) -> dict[str, Any]:
    """A whole schema document: a root, and definitions that the references lead to."""
    one, two = _composite(draw, 1, REFERENCES[:3]), _composite(draw, 1, [])
    # Last: what stands there may lead back to ``one``, which may lead there.
    one["properties"] = {**one.get("properties", {}), "a": _schema(draw, 0, REFERENCES[:2])}
    root = _composite(draw, 2, REFERENCES[:4])
    return {**root, "$defs": {"one": one, "two": {"$anchor": "two", **two}}}


def _schema(draw: Draw, depth: int, leads: list[str]) -> Any:
    """``leads`` are the references that it may have about the same value."""
    kind = draw(st.integers(0, 9))
    if depth and kind >= 4:
        return _composite(draw, depth, leads)
    if kind >= 7:
        return not _rarely(draw)
    if kind >= 5 and leads:
        return {"$ref": draw(st.sampled_from(leads))}
    if kind >= 3:
        name = draw(st.sampled_from(sorted(_ASSERTIONS)))
        return {name: _ASSERTIONS[name](draw)}
    return {"type": draw(some_types if kind else st.sampled_from(TYPES))}


def _composite(draw: Draw, depth: int, leads: list[str]) -> dict[str, Any]:
    """A schema of several keywords, each with schemas one level less deep."""
    names = list(draw(st.sampled_from(_THEMES)))
    names += draw(st.lists(st.sampled_from(_KEYWORDS), max_size=2))
    schema: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        if name == "$ref":
            schema |= {name: draw(st.sampled_from(leads))} if leads else {}
        elif name in _SHARP and draw(st.booleans()):
            schema[name] = draw(st.sampled_from(_SHARP[name]))
        elif name in _APPLICATORS:
            inner = leads if name in IN_PLACE else REFERENCES
            schema[name] = _APPLICATORS[name](draw, depth - 1, inner)
        else:
            schema[name] = _ASSERTIONS[name](draw)
    return schema


def _several(draw: Draw, depth: int, leads: list[str]) -> list[Any]:
    return [_schema(draw, depth, leads) for _ in range(draw(st.integers(1, 3)))]


def _for_keys(draw: Draw, depth: int, leads: list[str]) -> dict[str, Any]:
    chosen = draw(st.lists(keys, max_size=4, unique=True))
    return {key: _schema(draw, depth, leads) for key in chosen}


def _for_patterns(draw: Draw, depth: int, leads: list[str]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True))
    return {key: _schema(draw, depth, leads) for key in chosen}


_APPLICATORS: dict[str, Callable[[Draw, int, list[str]], Any]] = {
    "additionalProperties": _schema,
    "allOf": _several,
    "anyOf": _several,
    "contains": _schema,
    "dependentSchemas": _for_keys,
    "else": _schema,
    "if": _schema,
    "items": _schema,
    "not": _schema,
    "oneOf": _several,
    "patternProperties": _for_patterns,
    "prefixItems": _several,
    "properties": _for_keys,
    "propertyNames": _schema,
    "then": _schema,
    "unevaluatedItems": _schema,
    "unevaluatedProperties": _schema,
}

_ASSERTIONS: dict[str, Callable[[Draw], Any]] = {
    "const": lambda draw: draw(documents),
    "dependentRequired": lambda draw: draw(st.dictionaries(keys, some_keys, max_size=2)),
    "enum": lambda draw: draw(st.lists(documents, min_size=1, max_size=5)),
    "exclusiveMinimum": lambda draw: draw(st.sampled_from([-2, 0])),
    "format": lambda draw: draw(st.sampled_from(["date", "email"])),
    "maxContains": lambda draw: draw(counts),
    "maxItems": lambda draw: draw(counts) + 1,
    "maxLength": lambda draw: draw(counts),
    "maxProperties": lambda draw: draw(counts) + 1,
    "maximum": lambda draw: draw(st.sampled_from([0, 1, 1.5])),
    "minContains": lambda draw: draw(counts),
    "minItems": lambda draw: draw(counts),
    "minLength": lambda draw: draw(counts),
    "minProperties": lambda draw: draw(counts),
    "minimum": lambda draw: draw(st.sampled_from([0, -1, 0.5])),
    "multipleOf": lambda draw: draw(st.sampled_from([1, 0.5, 2])),
    "pattern": lambda draw: draw(st.sampled_from(["^a", "1$", "."])),
    "required": lambda draw: draw(some_keys),
    "type": lambda draw: draw(some_types),
    "uniqueItems": lambda draw: draw(st.booleans()),
}

# Values that changes get into conflict with, where random ones would hardly ever.
_SHARP: dict[str, list[Any]] = {
    "additionalProperties": [False, {"type": "string"}],
    "contains": [{"type": "integer"}, {"type": "string"}, {"type": "object"}],
    "dependentRequired": [{"a": ["b"]}, {"b": [], "x1": ["c", "a"]}],
    "dependentSchemas": [
        {"a": {"required": ["b"]}},
        {"b": {"properties": {"a": {"type": ["string", "null"]}}}},
        {"c": {"maxProperties": 2}, "a": {"additionalProperties": {"type": ["string", "array"]}}},
    ],
    "if": [{"required": ["a"]}, {"properties": {"a": {"type": "string"}}}, {"minItems": 2}],
    "not": [{"required": ["a", "b"]}, {"contains": {"const": 1}}, {"properties": {"a": False}}],
    "propertyNames": [{"maxLength": 1}, {"pattern": "^[abc]$"}, {"enum": ["a", "b", "x1"]}],
    "then": [{"required": ["b"]}, {"maxProperties": 2}, {"items": {"type": "integer"}}],
    "unevaluatedItems": [False, {"type": "string"}],
    "unevaluatedProperties": [False, {"type": "string"}],
}

_KEYWORDS = sorted({*_APPLICATORS, *_ASSERTIONS, "$ref"})

# What is judged together, and what real schemas consist of.
_THEMES = [
    ("properties", "additionalProperties", "required"),
    ("properties", "patternProperties", "additionalProperties"),
    ("properties", "allOf", "unevaluatedProperties"),
    ("properties", "anyOf", "unevaluatedProperties"),
    ("properties", "$ref", "unevaluatedProperties"),
    ("additionalProperties", "dependentSchemas", "dependentRequired"),
    ("propertyNames", "maxProperties"),
    ("prefixItems", "items"),
    ("prefixItems", "contains", "unevaluatedItems"),
    ("contains", "minContains", "maxContains"),
    ("items", "uniqueItems", "maxItems", "minItems"),
    ("items", "type"),
    ("if", "then", "else", "properties"),
    ("allOf", "$ref"),
    ("anyOf", "oneOf"),
    ("$ref", "not"),
    ("enum",),
]


def fitting(draw: Draw, root: dict[str, Any], schema: Any, depth: int = 4) -> JSON:
    """A document that has a good chance to fit."""
    if not isinstance(schema, dict) or _rarely(draw):
        return draw(_documents(min(depth, 2)))
    merged = _merged(root, cast("dict[str, Any]", schema))
    if "const" in merged or "enum" in merged:
        values: list[JSON] = [merged["const"]] if "const" in merged else merged["enum"]
        return draw(st.sampled_from(values))
    of_arrays = {"contains", "items", "prefixItems", "unevaluatedItems", "uniqueItems"}
    likely = ["array", "string"] if of_arrays & merged.keys() else ["object", "object", "string"]
    types: str | list[str] = merged.get("type", likely)
    name = types if isinstance(types, str) else draw(st.sampled_from(types))
    if name == "object":
        return _fitting_object(draw, root, merged, depth) if depth else {}
    if name == "array":
        return _fitting_array(draw, root, merged, depth) if depth else []
    return _EXAMPLES[name]


_EXAMPLES: dict[str, JSON] = {
    "null": None,
    "boolean": True,
    "integer": 1,
    "number": 0.5,
    "string": "a1",
}


def _merged(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with the keywords of some that apply beside it."""
    beside = [branch for name in ("allOf", "anyOf", "oneOf") for branch in schema.get(name, [])[:1]]
    if "$ref" in schema:
        beside.append(_resolved(root, schema["$ref"]))
    for other in beside:
        schema = {**other, **schema} if isinstance(other, dict) else schema
    return schema


def _fitting_object(draw: Draw, root: dict[str, Any], schema: dict[str, Any], depth: int) -> JSON:
    named: dict[str, Any] = schema.get("properties", {})
    wanted = [*schema.get("required", ()), *draw(st.permutations([*named, *KEYS]))]
    other = schema.get("additionalProperties", True)
    chosen = dict.fromkeys(wanted[: draw(st.integers(0, 4))])
    return {
        key: fitting(draw, root, named.get(key, other), depth - 1)
        for key in chosen
        if named.get(key, other) is not False
    }


def _fitting_array(draw: Draw, root: dict[str, Any], schema: dict[str, Any], depth: int) -> JSON:
    prefix: list[Any] = schema.get("prefixItems", [])
    rest = schema.get("items", True)
    wanted = [*prefix, *([] if rest is False else [rest] * 4)]
    return [fitting(draw, root, s, depth - 1) for s in wanted[: draw(st.integers(0, 5))]]


def _resolved(root: dict[str, Any], reference: str) -> Any:
    return {
        "#": root,
        "#/$defs/one": root["$defs"]["one"],
        "#/$defs/one/properties/a": root["$defs"]["one"]["properties"]["a"],
    }.get(reference, root["$defs"]["two"])


def changed(draw: Draw, root: dict[str, Any], old: JSON) -> JSON:
    """``old`` after a few edits, each of which copies only the containers on its way."""
    new = old
    for _ in range(draw(st.integers(1, 3))):
        new = _edited(draw, root, old, new)
    return new


def _edited(draw: Draw, root: dict[str, Any], old: JSON, node: JSON) -> JSON:
    if isinstance(node, dict):
        return _edited_object(draw, root, old, node)
    if isinstance(node, list):
        return _edited_array(draw, root, old, node)
    return _value(draw, root, old)


def _edited_object(draw: Draw, root: dict[str, Any], old: JSON, node: dict[str, Any]) -> JSON:
    copy = dict(node)
    kind = draw(st.integers(0, 5))
    if node and kind < 4:
        key = draw(st.sampled_from(sorted(node)))
        if kind == 0:
            del copy[key]
        else:
            copy[key] = _edited(draw, root, old, node[key])
    elif kind == 5 and _rarely(draw):
        return _value(draw, root, old)
    else:
        copy[draw(keys)] = _value(draw, root, old)
    return copy


def _edited_array(draw: Draw, root: dict[str, Any], old: JSON, node: list[Any]) -> JSON:
    copy = list(node)
    kind = draw(st.integers(0, 6))
    index = draw(st.integers(0, len(copy)))
    if kind == 0:
        copy.insert(index, _value(draw, root, old))
    elif kind == 1:
        copy = draw(st.permutations(copy))
    elif kind == 2:
        copy += copy[index:]
    elif kind == 3 and _rarely(draw):
        return _value(draw, root, old)
    elif index < len(copy):
        if kind == 4:
            del copy[index]
        else:
            copy[index] = _edited(draw, root, old, node[index])
    return copy


def _value(draw: Draw, root: dict[str, Any], old: JSON) -> JSON:
    """Something new, something that a schema asks for, or a part of what is there."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(documents)
    if kind == 1:
        return draw(scalars)
    if kind == 2:
        return fitting(draw, root, draw(st.sampled_from([root, *root["$defs"].values()])), 2)
    return draw(st.sampled_from(parts(old)))


def neighbours(node: JSON, values: list[JSON]) -> Iterator[JSON]:
    """``node`` after every single edit in it, of which there are few kinds, with these values."""
    if isinstance(node, dict):
        for key in node:
            yield {other: value for other, value in node.items() if other != key}
            yield from ({**node, key: inner} for inner in neighbours(node[key], values))
        yield from ({**node, key: value} for key in KEYS for value in values)
    elif isinstance(node, list):
        for index, element in enumerate(node):
            before, after = node[:index], node[index + 1 :]
            yield before + after
            yield [*before, element, element, *after]
            yield from ([*before, inner, *after] for inner in neighbours(element, values))
            yield from ([*before, value, *after] for value in values)
        yield from ([*node, value] for value in values)
        yield node[::-1]


def parts(value: JSON) -> list[JSON]:
    """A value and everything in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for child in inner for part in parts(child))]
