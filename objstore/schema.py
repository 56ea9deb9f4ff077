"""JSON Schemas (draft 2020-12) as classes, and what the vocabulary of directories adds to them.

``load("person.schema.json")`` gives a class, as if somebody had written its annotations. The other
way, every class has its schema as ``Person.__schema__``. The keywords that objstore adds are
described in ``objstore.schemas``: ``backing`` and ``file``, which say how members of a directory
lie on the medium, besides ``mergeKey`` and ``autoid``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast, get_origin
from weakref import WeakKeyDictionary

from . import _codecs
from ._annotations import make_class, shape_of
from ._codecs import Codec
from ._dialect import DATA, SCHEMA_OBJECTS
from ._members import check_members
from ._rebasing import is_plain, quoted, rebased
from ._refusals import require_refusal
from ._shapes import (
    ANY,
    BASES,
    OF_WHOLE_OBJECTS,
    Definitions,
    FileField,
    Info,
    Kind,
    Pattern,
    Shape,
    integral,
    integral_of,
)
from ._vocabulary import check_keyword, check_vocabulary
from .errors import BackingError, LayoutError, SchemaError, SchemaNotFoundError
from .objects import Object
from .pointer import join, split
from .validation import Validator
from .values import JSON, MISSING, show

__all__ = ["file", "from_json", "from_pydantic", "load", "to_json"]


def file(name: str, *, default: Any = MISSING) -> Any:
    """Where a member of a Directory lies: ``reading: List[Entry] = objstore.file("reading.yaml")``.

    For a file its name, whose ending chooses the format. For a Directory its folder's name; with
    ``"people/*.yaml"`` also the ending of new files in it. ``default`` is what the member reads as
    as long as its file is missing; it is not written until something in it is set. Raises
    SchemaError for a name that leads elsewhere than into the Directory's own folder.
    """
    check_keyword("file", name, "objstore.file")
    return FileField(name, default)


def load(path: str) -> type[Object]:
    """The class that a JSON Schema file describes (JSON or YAML).

    A Directory class if the schema's ``backing`` is ``"directory"``, otherwise a Dict or a List.
    Raises SchemaError for a file that is no schema, FormatError for one that does not parse,
    SchemaNotFoundError where nothing is, LayoutError for a folder.
    """
    import os.path

    from .formats import by_ending, ending_of

    name = os.fspath(path)
    data = _read(name)
    schema = by_ending(ending_of(name) or ".json").parse(data, os.path.basename(name))
    stem = os.path.basename(name).split(".")[0]
    return from_json(schema, name=stem)


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise SchemaNotFoundError(error.errno, "there is no schema", name) from error
    except IsADirectoryError as error:
        reason = "a schema is a file, and this is a directory"
        raise LayoutError(error.errno, reason, name) from error
    except OSError as error:
        require_refusal(error)
        raise BackingError(
            error.errno, f"cannot read the schema: {error.strerror}", name
        ) from error


def from_json(schema: JSON, *, name: str = "Schema", kind: Kind | None = None) -> type[Object]:
    """The class that a JSON Schema describes. Raises SchemaError where it is none.

    ``kind`` is what the schema's root stands for where the schema leaves it open: the root of a
    store is a directory.
    """
    return _class_of(schema, name, kind, {})


def _class_of(
    schema: JSON, name: str, kind: Kind | None, enums: Mapping[str, Codec]
) -> type[Object]:
    if not isinstance(schema, dict):
        raise SchemaError(f"a JSON Schema is an object, not {schema!r}")
    if kind == "directory":
        schema = {**schema, "backing": "directory"}
    check_vocabulary(schema, name)
    Validator(schema, source=name)  # raises SchemaError now, not when a first file is read
    document = _Document(schema, name, enums)
    shape = document.shape(document.at(""))
    if not shape.classes:
        return document.class_at("", "dict")
    check_members(shape.classes[0])
    return shape.classes[0]


def to_json(cls: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a class, as a document of its own; the same as ``cls.__schema__``.

    Of a pydantic model, that of the class for it. Raises SchemaError for what is neither.
    """
    found = from_pydantic(cls) if hasattr(cls, "model_json_schema") else cls
    schema: dict[str, Any] | None = getattr(found, "__schema__", None)
    if schema is None:
        expected = "a Dict, List or Directory class or a pydantic model"
        raise SchemaError(f"expected {expected}, not {cls!r}")
    return schema


_from_models: WeakKeyDictionary[type, type[Object]] = WeakKeyDictionary()


def from_pydantic(model: type) -> type[Object]:
    """The class for a pydantic model: the same one each time."""
    if model not in _from_models:
        _from_models[model] = _class_of_model(model, None)
    return _from_models[model]


def _class_of_model(model: type, kind: Kind | None) -> type[Object]:
    from ._pydantic import described

    schema, enums = described(model)
    return _class_of(schema, model.__name__, kind, enums)


def root_class(schema: object) -> type[Object]:
    """The Directory class of a store, from whatever ``objstore.open`` was given as its schema."""
    if schema is None:
        return BASES["directory"]
    if not isinstance(schema, type) and hasattr(get_origin(schema), "_kind"):
        schema = shape_of(schema).only_class  # Directory[Person] is no class by itself
    if isinstance(schema, type):
        cls: Any = schema if issubclass(cast("type[Any]", schema), Object) else None
        if cls is None and hasattr(schema, "model_json_schema"):
            cls = _class_of_model(schema, "directory")
        if cls is not None and cls._kind == "directory":
            check_members(cls)
            return cast("type[Object]", cls)
    elif isinstance(schema, Mapping):
        return from_json(dict(cast("Mapping[str, Any]", schema)), kind="directory")
    elif isinstance(schema, str) or hasattr(schema, "__fspath__"):
        loaded = load(cast(str, schema))
        given = loaded._given_schema
        return from_json(given.document.root, name=loaded.__name__, kind="directory")
    raise SchemaError(
        "the schema of a store is a Directory class, a JSON Schema (a dict or the path of a file) "
        f"or a pydantic model, not {schema!r}"
    )


# --- a schema document ----------------------------------------------------------------------------


class Node(NamedTuple):
    """A subschema and its place in its document."""

    document: _Document
    pointer: str
    schema: JSON


class _Document:
    """A JSON Schema document and the classes of its places."""

    def __init__(
        self, root: dict[str, Any], name: str, enums: Mapping[str, Codec] | None = None
    ) -> None:
        self.root = rebased(root)
        self.name = name
        self.enums = enums
        """The Enums of the pydantic model that it is of, by their ``enum_key``."""
        self._classes: dict[tuple[str, Kind], type[Object]] = {}

    def relocated(self, name: str) -> JSON:
        """The document as it reads below ``$defs`` of another."""
        moved = relocated(self.root, f"/$defs/{quoted(name)}")
        return {key: value for key, value in moved.items() if key not in ("$schema", "$id")}

    def at(self, pointer: str) -> Node:
        """The subschema at a JSON Pointer. Raises SchemaError where there is none."""
        found: Any = self.root
        for token in split(pointer):
            try:
                found = found[int(token) if type(found) is list else token]
            except (KeyError, IndexError, ValueError, TypeError):
                raise SchemaError(f"{self.name} has nothing at {pointer!r}") from None
        return Node(self, pointer, found)

    def class_at(self, pointer: str, kind: Kind) -> type[Object]:
        """The class of what stands at a subschema: made once, so that schemas may be recursive."""
        cls = self._classes.get((pointer, kind))
        if cls is None:
            node = self.at(pointer)
            nodes = list(_applying(node))
            title = _first(nodes, "title") or _name_in_defs(nodes)
            name = _identifier(title or pointer.rpartition("/")[2] or self.name)
            base = BASES[kind]
            body = {"__module__": base.__module__, "_given_schema": node, "__slots__": ()}
            cls = make_class(name, base, body)
            self._classes[pointer, kind] = cls
        return cls

    def shape(self, node: Node) -> Shape:
        """What is known of the values that a subschema describes."""
        nodes = list(_applying(node))
        if not any(isinstance(n.schema, dict) and n.schema for n in nodes):
            return ANY
        kinds = _kinds(nodes)
        classes = [self.class_at(node.pointer, kind) for kind in kinds] if _tells(nodes) else []
        alternatives = [self.shape(n) for n in _alternatives(nodes)]
        codecs = [*_codecs_of(nodes), *(c for a in alternatives for c in a.codecs)]
        if alternatives and not _has_members(nodes):
            classes = [cls for shape in alternatives for cls in shape.classes]
        return Shape(
            schema_of=lambda definitions: embed(node, definitions),
            classes=dict.fromkeys(classes),
            codecs=codecs,
            integral=_integral(nodes, alternatives),
            open=not classes and kinds != () and _typeless(nodes),
            default=_first(nodes, "default"),
            file=cast("str | None", _first(nodes, "file") or None),
            merge_key=cast("str | None", _first(nodes, "mergeKey") or None),
            autoid=_first(nodes, "autoid") is True,
        )


def _integral(nodes: list[Node], alternatives: list[Shape]) -> bool | None:
    """Whether numbers here are integers; None where none are."""
    types = [_get(node, "type") for node in nodes]
    for named in types:
        if named is not None and "number" not in named:
            return True if "integer" in named else None
    for node in _dicts(nodes):
        if "enum" in node.schema or "const" in node.schema:
            return integral_of([*node.schema.get("enum", ()), node.schema.get("const")])
    if any(types) or not alternatives:
        return False
    return integral(shape.integral for shape in alternatives)


def _name_in_defs(nodes: list[Node]) -> str:
    """What the first of these that stands among definitions is called there."""
    for node in nodes:
        *above, name = ["", *split(node.pointer)]
        if above[-1:] == ["$defs"]:
            return name
    return ""


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text).strip("_")
    return name if name[:1].isalpha() or name[:1] == "_" else f"Schema_{name}"


def _applying(node: Node, seen: tuple[str, ...] = ()) -> Iterator[Node]:
    """The subschema and those that apply beside it, by ``$ref`` and ``allOf``."""
    if node.pointer in seen:
        return
    yield node
    if isinstance(node.schema, dict):
        ref = node.schema.get("$ref")
        if isinstance(ref, str) and is_plain(ref):
            yield from _applying(node.document.at(_unquoted(ref[1:])), (*seen, node.pointer))
        for index, _ in enumerate(node.schema.get("allOf", ())):
            part = node.document.at(join(node.pointer, "allOf", index))
            yield from _applying(part, (*seen, node.pointer))


def _unquoted(fragment: str) -> str:
    from urllib.parse import unquote

    return unquote(fragment) if "%" in fragment else fragment


def _alternatives(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        for keyword in ("anyOf", "oneOf"):
            for index, _ in enumerate(_get(node, keyword) or ()):
                yield node.document.at(join(node.pointer, keyword, index))


def _get(node: Node, keyword: str) -> Any:
    return node.schema.get(keyword) if isinstance(node.schema, dict) else None


def _first(nodes: list[Node], keyword: str) -> Any:
    for node in nodes:
        if isinstance(node.schema, dict) and keyword in node.schema:
            return node.schema[keyword]
    return MISSING


_OBJECT_KEYWORDS = frozenset(
    ("properties", "patternProperties", "additionalProperties", "required", "backing")
)
_ARRAY_KEYWORDS = frozenset(("items", "prefixItems"))


def _has_members(nodes: list[Node]) -> bool:
    return any(set(n.schema) & (_OBJECT_KEYWORDS | _ARRAY_KEYWORDS) for n in _dicts(nodes))


def _tells(nodes: list[Node]) -> bool:
    """Whether the schema says anything of containers here."""
    return _has_members(nodes) or not _typeless(nodes)


def _typeless(nodes: list[Node]) -> bool:
    return not any({"type", "enum", "const"} & set(n.schema) for n in _dicts(nodes))


def _dicts(nodes: list[Node]) -> Iterator[Any]:
    return (node for node in nodes if isinstance(node.schema, dict))


def _kinds(nodes: list[Node]) -> tuple[Kind, ...]:
    """Which containers may stand here."""
    if any(_get(node, "backing") == "directory" for node in nodes):
        return ("directory",)
    types = {"object", "array"}
    for node in nodes:
        named = _get(node, "type")
        if named is not None:
            types &= {named} if isinstance(named, str) else set(named)
    if _typeless(nodes) and _has_members(nodes):
        keywords = {keyword for node in _dicts(nodes) for keyword in node.schema}
        types = {"object"} if keywords & _OBJECT_KEYWORDS else {"array"}
    kinds: list[Kind] = []
    if "object" in types:
        kinds.append("dict")
    if "array" in types:
        kinds.append("list")
    return tuple(kinds)


def _codecs_of(nodes: list[Node]) -> Iterator[Codec]:
    for node in nodes:
        form = _get(node, "format")
        if form is None and _get(node, "contentEncoding") == "base64":
            form = "base64"
        codec = _codecs.by_format(form) if isinstance(form, str) else None
        if codec is not None:
            yield codec
        if node.document.enums and _get(node, "enum"):
            from ._pydantic import enum_key

            enum = node.document.enums.get(enum_key(cast("dict[str, Any]", node.schema)))
            if enum is not None:
                yield enum


# --- classes of subschemas ------------------------------------------------------------------------


def info_of_given(cls: type[Object]) -> Info:
    """What a class's given schema says about its contents."""
    node = _given(cls)
    nodes = list(_applying(node))
    document = node.document
    own = Shape(schema_of=lambda definitions: embed(node, definitions), classes=(cls,))
    if cls._kind == "list":
        prefix = [document.shape(n) for n in _members(nodes, "prefixItems")]
        items = next((document.shape(n) for n in _nodes(nodes, "items")), None)
        return Info(own, prefix=prefix, items=items)
    if cls._kind == "directory":
        _check_directory(nodes)
    keys: dict[str, Shape] = {}
    for key, member in _named(nodes, "properties"):
        keys.setdefault(key, document.shape(member))
    patterns = [
        Pattern(re.compile(key), document.shape(n)) for key, n in _named(nodes, "patternProperties")
    ]
    return Info(own, keys=keys, patterns=patterns, rest=_rest(document, nodes))


def required_of(cls: type[Object]) -> list[str]:
    """The members that the given schema of a Directory class wants to be there in the end."""
    nodes = [] if cls._given_schema is None else list(_applying(_given(cls)))
    return list(dict.fromkeys(key for n in _dicts(nodes) for key in n.schema.get("required", ())))


def _check_directory(nodes: list[Node]) -> None:
    for document, pointer, schema in _dicts(nodes):
        for keyword in OF_WHOLE_OBJECTS:
            if keyword in schema:
                raise SchemaError(
                    f"{document.name} at {join(pointer, keyword)}: a directory has no "
                    f"{keyword!r}, as its members are files and folders that are read and "
                    "written each by itself; which keys there may be is said by properties, "
                    "patternProperties and additionalProperties"
                )
        types = schema.get("type", "object")
        if types != "object" and "object" not in types:
            raise SchemaError(
                f'{document.name} at {join(pointer, "type")}: expected "object", as a directory '
                f"is one, found {show(types)}"
            )


def _rest(document: _Document, nodes: list[Node]) -> Shape | None:
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        for node in _nodes(nodes, keyword):
            return None if node.schema is False else document.shape(node)
    return ANY


def _nodes(nodes: list[Node], keyword: str) -> Iterator[Node]:
    for node in nodes:
        if _get(node, keyword) is not None:
            yield node.document.at(join(node.pointer, keyword))


def _members(nodes: list[Node], keyword: str) -> Iterator[Node]:
    for node in _nodes(nodes, keyword):
        for index, _ in enumerate(cast("list[Any]", node.schema)):
            yield node.document.at(join(node.pointer, index))


def _named(nodes: list[Node], keyword: str) -> Iterator[tuple[str, Node]]:
    for node in _nodes(nodes, keyword):
        for key in cast("dict[str, Any]", node.schema):
            yield key, node.document.at(join(node.pointer, key))


def _given(cls: type[Object]) -> Node:
    """The place of the class's schema; a schema written in the class body is a document."""
    given = cls._given_schema
    if not isinstance(given, Node):
        if not isinstance(given, dict):
            raise SchemaError(f"{cls.__qualname__}.__schema__ is an object, not {given!r}")
        root = cast("dict[str, Any]", given)
        given = cls._given_schema = _Document(root, cls.__name__).at("")
        given.document._classes["", cls._kind] = cls
    return given


def given_schema_of(cls: type[Object], definitions: Definitions) -> JSON:
    """The schema of a class that came as a schema, for use within a document of another."""
    return embed(_given(cls), definitions)


def embed(node: Node, definitions: Definitions) -> JSON:
    """A reference to a subschema, whose whole document goes to the definitions."""
    document = node.document
    root = definitions.root
    if root is not None and root._given_schema is not None:
        top = _given(root)
        if top.document is document and top.pointer == "":
            return {"$ref": f"#{quoted(node.pointer)}"} if node.pointer else document.root
    name = definitions.document(document, document.name, document.relocated)
    return {"$ref": f"#/$defs/{quoted(name + node.pointer)}"}


def relocated(schema: Any, prefix: str) -> Any:
    """A schema document with its local references led below ``prefix``, where it now stands."""
    if isinstance(schema, list):
        return [relocated(item, prefix) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    moved: dict[str, Any] = {}
    value: Any
    for key, value in cast("dict[str, Any]", schema).items():
        if key == "$ref" and isinstance(value, str) and is_plain(value):
            moved[key] = f"#{prefix}{value[1:]}"
        elif key in DATA:
            moved[key] = value
        elif key in SCHEMA_OBJECTS and isinstance(value, dict):
            named = cast("dict[str, Any]", value)
            moved[key] = {name: relocated(item, prefix) for name, item in named.items()}
        else:
            moved[key] = relocated(value, prefix)
    return moved
