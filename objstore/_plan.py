"""What a change below a place of the contents asks of the schema there.

Of the schemas that apply to a container, directly or by way of ``$ref`` and ``allOf``, each keyword
is of one of three kinds. Those of a *layer* give every child schemas of its own (``properties``,
``items``); those of the *shape* judge which children there are, but not what they hold
(``required``, ``maxItems``); all else is judged with the *whole* container (``anyOf``,
``uniqueItems``, ``const``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from ._dialect import ONE_SCHEMA, SCHEMA_ARRAYS, SCHEMA_OBJECTS, Document, subschemas
from ._engine import Judge, Pieces
from .pointer import join

Kind: TypeAlias = Literal["object", "array"]
Layer = TypeVar("Layer", covariant=True)

_CLASSES: Final[dict[Kind, type]] = {"object": dict, "array": list}

# "type" is of no kind: a container that stays one keeps it. Nor are annotations, nor keywords for
# other values; and a key that the standard does not know is an annotation.
_CONDITIONS: Final = frozenset(("$ref", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"))
_ANY_KIND: Final = _CONDITIONS | {"const", "enum", "not"}
_WHOLE: Final[dict[Kind, frozenset[str]]] = {
    "object": _ANY_KIND,
    "array": _ANY_KIND | {"contains", "minContains", "maxContains", "uniqueItems"},
}
_SHAPE: Final[dict[Kind, frozenset[str]]] = {
    "object": frozenset(
        ("required", "minProperties", "maxProperties", "propertyNames", "dependentRequired")
    ),
    "array": frozenset(("minItems", "maxItems")),
}


class Plan(NamedTuple, Generic[Layer]):
    """What to ask when something in a container changed."""

    whole: tuple[Judge, ...]
    """To be asked about the container whatever it was."""
    shape: tuple[Judge, ...]
    """To be asked about the container when children came or went."""
    layers: tuple[Layer, ...]
    """Where the schemas of the changed children are."""


class ObjectLayer(Protocol):
    """What one schema says of the values of keys."""

    def nodes(self, key: str) -> Sequence[Node]:
        """The schemas that apply to the value of ``key``."""
        ...


class ArrayLayer(NamedTuple):
    """What one schema says of the elements of arrays."""

    prefix: tuple[Node, ...]
    rest: Node | None


class Node:
    """A subschema of a document. What is known of it is made when first asked for."""

    def __init__(self, graph: Graph, pointer: str) -> None:
        self._graph = graph
        self._pointer = pointer
        self.takes_all = graph.document.at(pointer) in (True, {})

    @cached_property
    def judge(self) -> Judge:
        """The verdict on a value, all of it."""
        return self._graph.pieces.compile(self._graph.pieces.reference(self._pointer))

    @cached_property
    def objects(self) -> Plan[ObjectLayer]:
        """The plan for an object that fits this schema, and became another."""
        return self._graph.plan_objects(self._pointer)

    @cached_property
    def arrays(self) -> Plan[ArrayLayer]:
        """The plan for an array that fits this schema, and became another."""
        return self._graph.plan_arrays(self._pointer)


class _Properties:
    """``properties``, ``patternProperties`` and ``additionalProperties`` of one schema."""

    def __init__(
        self,
        named: dict[str, Node],
        patterns: Sequence[tuple[Judge, Node]],
        additional: Node | None,
    ) -> None:
        self._named = named
        self._patterns = patterns
        self._additional = additional

    def nodes(self, key: str) -> Sequence[Node]:
        found = [self._named[key]] if key in self._named else []
        if self._patterns:
            found += [node for matches, node in self._patterns if matches(key)]
        if not found and self._additional is not None:
            found.append(self._additional)
        return found


class _Unevaluated:
    """``unevaluatedProperties`` of one schema, where keys alone tell which it is about."""

    def __init__(self, inner: Sequence[ObjectLayer], node: Node) -> None:
        self._inner = inner
        self._node = node

    def nodes(self, key: str) -> Sequence[Node]:
        return () if any(layer.nodes(key) for layer in self._inner) else (self._node,)


class _Member(NamedTuple):
    """One of the schemas that apply in a place."""

    pointer: str
    schema: dict[str, Any]
    whole: frozenset[str]
    """Its keywords that are judged with the whole container."""
    followed: tuple[str, ...]
    """Schemas that apply in the same place because of its other keywords."""


class Graph:
    """The nodes of a document that ``is_static``."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.pieces = Pieces(document)
        self._nodes: dict[str, Node] = {}

    def node(self, pointer: str) -> Node:
        """The node of the subschema at ``pointer``."""
        return self._nodes.get(pointer) or self._nodes.setdefault(pointer, Node(self, pointer))

    def plan_objects(self, pointer: str) -> Plan[ObjectLayer]:
        """How an object in the place of this subschema is judged, key by key where that will do."""
        members = self._members(pointer, "object")
        whole = self._judges((member, member.whole) for member in members)
        layers: list[ObjectLayer] = [self._properties(member) for member in members]
        for member in members:
            if "unevaluatedProperties" in member.schema:
                unevaluated = self._unevaluated(member)
                if unevaluated is None:
                    whole.append(self.node(member.pointer).judge)
                else:
                    layers.append(unevaluated)
        return Plan(tuple(whole), self._shape(members, "object"), tuple(layers))

    def plan_arrays(self, pointer: str) -> Plan[ArrayLayer]:
        """As ``plan_objects``, of an array and its elements."""
        members = self._members(pointer, "array")
        whole = self._judges((member, member.whole) for member in members)
        whole += [
            self.node(member.pointer).judge
            for member in members
            if "unevaluatedItems" in member.schema
        ]
        layers = [
            ArrayLayer(self._nodes_of(member, "prefixItems"), self._child(member, "items"))
            for member in members
        ]
        return Plan(tuple(whole), self._shape(members, "array"), tuple(layers))

    def _members(self, pointer: str, kind: Kind) -> list[_Member]:
        """The schemas that a container of this kind at ``pointer`` has to fit, each once."""
        found: dict[str, _Member] = {}
        todo = [pointer]
        while todo:
            pointer = todo.pop()
            schema = self.document.at(pointer)
            # True asks nothing, and what fitted False is nowhere.
            if pointer not in found and isinstance(schema, dict):
                found[pointer] = self._member(pointer, schema, kind)
                todo += found[pointer].followed
        return list(found.values())

    def _member(self, pointer: str, schema: dict[str, Any], kind: Kind) -> _Member:
        followed = self.document.beside(pointer, ("allOf",))
        whole = _WHOLE[kind] & schema.keys()
        if "$ref" in whole and self.document.target(schema["$ref"]) is not None:
            whole -= {"$ref"}
        for keyword in ("anyOf", "oneOf"):
            branches = [place for place, _ in subschemas(schema, keyword, pointer)]
            possible = [place for place in branches if self._may_fit(place, kind, frozenset())]
            # The one that a container can fit at all is the one that the old container fitted.
            if len(possible) == 1:
                followed += possible
                whole -= {keyword}
        return _Member(pointer, schema, whole, tuple(followed))

    def _may_fit(self, pointer: str, kind: Kind, above: frozenset[str]) -> bool:
        """False where types alone tell that no container of this kind fits."""
        schema = self.document.at(pointer)
        if not isinstance(schema, dict) or pointer in above:
            return schema is not False
        types = schema.get("type", kind)
        if kind not in (types if isinstance(types, list) else [types]):
            return False
        values: list[Any] = [schema["const"]] if "const" in schema else schema.get("enum", [])
        if values and not any(isinstance(value, _CLASSES[kind]) for value in values):
            return False
        beside = self.document.beside(pointer, ("allOf",))
        return all(self._may_fit(place, kind, above | {pointer}) for place in beside)

    def _properties(self, member: _Member) -> _Properties:
        patterns = self._by_key(member, "patternProperties")
        return _Properties(
            self._by_key(member, "properties"),
            [(self.pieces.compile({"pattern": key}), node) for key, node in patterns.items()],
            self._child(member, "additionalProperties"),
        )

    def _unevaluated(self, member: _Member) -> _Unevaluated | None:
        """None where more than the keys themselves decides which of them are evaluated."""
        inner = self._members(member.pointer, "object")
        nested = any("unevaluatedProperties" in other.schema for other in inner[1:])
        if nested or any(_CONDITIONS & other.whole for other in inner):
            return None
        node = self.node(join(member.pointer, "unevaluatedProperties"))
        return _Unevaluated([self._properties(other) for other in inner], node)

    def _shape(self, members: Iterable[_Member], kind: Kind) -> tuple[Judge, ...]:
        return tuple(
            self._judges((member, _SHAPE[kind] & member.schema.keys()) for member in members)
        )

    def _judges(self, parts: Iterable[tuple[_Member, frozenset[str]]]) -> list[Judge]:
        return [
            self.pieces.compile(
                {keyword: self._moved(member, keyword) for keyword in sorted(keywords)}
            )
            for member, keywords in parts
            if keywords
        ]

    def _moved(self, member: _Member, keyword: str) -> Any:
        """The keyword's value for a schema that stands elsewhere: references to its subschemas."""
        value: Any = member.schema[keyword]
        inner = subschemas(member.schema, keyword, member.pointer)
        references = [self.pieces.reference(place) for place, _ in inner]
        if keyword in ONE_SCHEMA:
            return references[0]
        if keyword in SCHEMA_ARRAYS:
            return references
        return dict(zip(value, references, strict=True)) if keyword in SCHEMA_OBJECTS else value

    def _child(self, member: _Member, keyword: str) -> Node | None:
        return self.node(join(member.pointer, keyword)) if keyword in member.schema else None

    def _nodes_of(self, member: _Member, keyword: str) -> tuple[Node, ...]:
        inner = subschemas(member.schema, keyword, member.pointer)
        return tuple(self.node(place) for place, _ in inner)

    def _by_key(self, member: _Member, keyword: str) -> dict[str, Node]:
        return dict(
            zip(member.schema.get(keyword, ()), self._nodes_of(member, keyword), strict=True)
        )
