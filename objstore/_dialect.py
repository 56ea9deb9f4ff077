"""JSON Schema 2020-12 as a document: which keywords hold schemas, and where a reference leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final
from urllib.parse import unquote

from .pointer import index_of, join, split
from .values import JSON, MISSING, Missing

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# Keywords whose value is a schema, an array of schemas, an object of schemas (2020-12 Core,
# sections 8.2.4 and 10; "definitions" is the older name of "$defs").
ONE_SCHEMA: Final = frozenset(
    (
        *("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames"),
        *("then", "unevaluatedItems", "unevaluatedProperties"),
    )
)
SCHEMA_ARRAYS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
SCHEMA_OBJECTS: Final = frozenset(
    ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
)
APPLICATORS: Final = (ONE_SCHEMA | SCHEMA_ARRAYS | SCHEMA_OBJECTS) - {"$defs", "definitions"}

# Keywords whose value is no schema, whatever it looks like. What unknown ones hold may be some: a
# reference may lead there.
DATA: Final = frozenset(("const", "default", "enum", "examples"))

# Applicators whose schemas judge the same value as the schema that holds them.
IN_PLACE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")

_META_SCHEMAS: Final = "https://json-schema.org/draft/"


class Document:
    """A JSON Schema and the ways through it. It must not change afterwards."""

    def __init__(self, schema: JSON) -> None:
        self.schema = schema

    def at(self, pointer: str) -> JSON | Missing:
        """The node at a JSON Pointer."""
        node: JSON | Missing = self.schema
        for token in split(pointer):
            index = index_of(token)
            if isinstance(node, dict):
                node = node.get(token, MISSING)
            elif isinstance(node, list) and index is not None and index < len(node):
                node = node[index]
            else:
                return MISSING
        return node

    def target(self, reference: str) -> str | None:
        """The pointer that a ``$ref`` within this document leads to; None where it leads out."""
        if not reference.startswith("#"):
            return None
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(fragment)
        return fragment if self.at(fragment) is not MISSING else None

    @cached_property
    def is_static(self) -> bool:
        """Whether a subschema means the same wherever validation comes to it from.

        Not so where a reference depends on the way taken ($dynamicRef) or on an embedded base URI,
        and where a schema applies itself to the same value, which the standard leaves undefined
        (2020-12 Core, section 9.4.1). May say no too often: it looks at all nodes, even at those
        that are no schemas.
        """
        return (
            all(
                "$dynamicRef" not in node
                and "$dynamicAnchor" not in node
                and (node is self.schema or not isinstance(node.get("$id"), str))
                and _is_local(node.get("$ref"))
                for node in self._objects()
            )
            and not self._turns_in_place()
        )

    def formats(self) -> set[str]:
        """Every name that may be meant as a ``format``."""
        names = (node.get("format") for node in self._objects())
        return {name for name in names if isinstance(name, str)}

    def beside(self, pointer: str, keywords: Iterable[str]) -> list[str]:
        """Where the schemas are that the one there applies by its $ref and by ``keywords``."""
        schema = self.at(pointer)
        if not isinstance(schema, dict):
            return []
        places = [place for name in keywords for place, _ in subschemas(schema, name, pointer)]
        reference = schema.get("$ref")
        target = self.target(reference) if isinstance(reference, str) else None
        return places if target is None else [*places, target]

    def _turns_in_place(self) -> bool:
        edges: dict[str, list[str]] = {}
        todo = [pointer for pointer, _ in self._schemas()]
        while todo:
            pointer = todo.pop()
            if pointer not in edges:
                edges[pointer] = self.beside(pointer, IN_PLACE)
                todo += edges[pointer]
        try:
            TopologicalSorter(edges).prepare()
        except CycleError:
            return True
        return False

    @cached_property
    def _anchors(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for pointer, schema in self._schemas():
            name = schema.get("$anchor")
            if isinstance(name, str):
                found.setdefault(name, pointer)
        return found

    def _schemas(self) -> Iterator[tuple[str, dict[str, Any]]]:
        todo: list[tuple[str, JSON]] = [("", self.schema)]
        while todo:
            pointer, schema = todo.pop()
            if isinstance(schema, dict):
                yield pointer, schema
                for keyword in schema:
                    todo += subschemas(schema, keyword, pointer)

    def _objects(self) -> Iterator[dict[str, Any]]:
        todo: list[JSON] = [self.schema]
        while todo:
            node = todo.pop()
            if isinstance(node, dict):
                yield node
                todo += node.values()
            elif isinstance(node, list):
                todo += node


def subschemas(schema: dict[str, Any], keyword: str, pointer: str) -> list[tuple[str, JSON]]:
    """The schemas that a keyword of ``schema``, itself at ``pointer``, holds, with theirs."""
    value: JSON = schema.get(keyword)
    place = join(pointer, keyword)
    if keyword in ONE_SCHEMA and keyword in schema:
        return [(place, value)]
    if keyword in SCHEMA_ARRAYS and isinstance(value, list):
        return [(join(place, index), item) for index, item in enumerate(value)]
    if keyword in SCHEMA_OBJECTS and isinstance(value, dict):
        return [(join(place, key), item) for key, item in value.items()]
    return []


def _is_local(reference: object) -> bool:
    return not isinstance(reference, str) or reference.startswith(("#", _META_SCHEMAS))
