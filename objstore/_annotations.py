"""Classes with annotations, as shapes: ``name: str`` is a key, ``get_age`` a defined one."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, Union, cast, get_args, get_origin

from . import _codecs
from ._encode import encode_default
from ._hints import argument, declarations
from ._shapes import (
    ANY,
    BASES,
    OF_WHOLE_OBJECTS,
    Definitions,
    FileField,
    Info,
    Shape,
    integral,
    integral_of,
    standalone,
)
from .errors import SchemaError
from .values import JSON, MISSING, Missing

if TYPE_CHECKING:
    from .objects import Object

_SCALARS: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    None: {"type": "null"},
}
_INTEGRAL: Final[dict[Any, bool]] = {int: True, float: False}
_LISTS: Final = (list, Sequence, MutableSequence)
_DICTS: Final = (dict, Mapping, MutableMapping)

# Of numbers only: a string passes them in JSON Schema, and those of digits have no keyword at all.
_OF_NUMBERS: Final = frozenset(
    ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
)
_OF_DIGITS: Final = ("max_digits", "decimal_places")

# What annotated-types, and whatever speaks its language, calls its constraints.
_KEYWORDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
_LENGTHS: Final = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def class_info(cls: type[Object]) -> Info:
    """What the annotations of a class, and those it inherits, say about its contents."""
    hints, defaults = declarations(cls)
    keys = {n: _declared(cls, n, hint, defaults.get(n, MISSING)) for n, hint in hints.items()}
    rest = _rest(cls, keys)
    return Info(
        Shape(schema_of=lambda definitions: _reference(cls, definitions), classes=(cls,)),
        keys=keys,
        rest=rest,
        items=shape_of(argument(cls, 0, Any)) if cls._kind == "list" else None,
    )


def check_defaults(classes: list[type[Object]]) -> None:
    """Raise SchemaError where a default does not fit: it would be read, and could not be set.

    All are judged by one schema. Classes may be added while it is made, as it asks for the keys of
    those that are mentioned.
    """
    from .validation import Validator

    def schema_of(definitions: Definitions) -> JSON:
        return {"prefixItems": [_schema_of_keys(cls, definitions) for cls in classes]}

    validator = Validator(standalone(schema_of))
    wrong: list[str] = []
    for failure in validator.failures([dict(cls._info.defaults) for cls in classes], ""):
        _, number, place = failure.pointer.split("/", 2)
        source = classes[int(number)].__qualname__
        wrong.append(str(failure._replace(source=source, pointer=f"/{place}")))
    if wrong:
        raise SchemaError(f"the default of {'; the default of '.join(wrong)}")


def _schema_of_keys(cls: type[Object], definitions: Definitions) -> JSON:
    keys = cls._info.keys.items()
    return {
        "properties": {k: s.schema_of(definitions) for k, s in keys if s.default is not MISSING}
    }


def class_schema(cls: type[Object], definitions: Definitions) -> JSON:
    """The schema of an annotated class; classes that it mentions go to the definitions."""
    info = cls._info
    if cls._kind == "list":
        return _titled(cls, {"type": "array", **_schema_at("items", info.items, definitions)})
    schema: dict[str, Any] = {"type": "object"}
    if cls._kind == "directory":
        schema["backing"] = "directory"
    if info.keys:
        schema["properties"] = {
            key: _with_default(shape, definitions) for key, shape in info.keys.items()
        }
    required = [key for key, shape in info.keys.items() if shape.default is MISSING]
    if required and cls._kind == "dict":
        schema["required"] = required
    if info.rest is None:
        schema["additionalProperties"] = False
    else:
        schema.update(_schema_at("additionalProperties", info.rest, definitions))
    return _titled(cls, schema)


def _titled(cls: type[Object], schema: dict[str, Any]) -> JSON:
    return {"title": cls.__name__, **schema} if cls._named else schema


def _schema_at(keyword: str, shape: Shape, definitions: Definitions) -> dict[str, Any]:
    return {} if shape is ANY else {keyword: _with_file(shape, definitions)}


def _with_default(shape: Shape, definitions: Definitions) -> JSON:
    schema = _with_file(shape, definitions)
    if shape.default is MISSING:
        return schema
    return {**(schema if isinstance(schema, dict) else {}), "default": shape.default}


def _with_file(shape: Shape, definitions: Definitions) -> JSON:
    schema = shape.schema_of(definitions)
    if shape.file is None:
        return schema
    return {**(schema if isinstance(schema, dict) else {}), "file": shape.file}


def _reference(cls: type[Object], definitions: Definitions) -> JSON:
    """Named classes are defined once and referred to; ``List[int]`` stands where it is used."""
    if cls._named:
        return definitions.ref(cls, cls._schema_of)
    return cls._schema_of(definitions)


def _rest(cls: type[Object], keys: Mapping[str, Shape]) -> Shape | None:
    if cls._kind == "list":
        return None
    given = argument(cls, -1, None)
    if given is not None:
        return _member_checked(cls, "members", shape_of(given))
    allowed = cls._extra == "allow" if cls._extra else not keys
    return ANY if allowed else None


# --- one key --------------------------------------------------------------------------------------


def _declared(cls: type[Object], name: str, hint: Any, given: Any) -> Shape:
    field = given if isinstance(given, FileField) else None
    try:
        shape = shape_of(hint)
    except SchemaError as error:
        raise SchemaError(f"{cls.__qualname__}.{name}: {error}") from error
    default = field.default if field is not None else given
    file = field.name if field is not None else shape.file
    if default is not MISSING or file != shape.file:
        shape = shape.replace(default=_default(cls, name, default, shape), file=file)
    return _member_checked(cls, name, shape)


def _default(cls: type[Object], name: str, default: Any, shape: Shape) -> JSON | Missing:
    return (
        MISSING if default is MISSING else encode_default(f"{cls.__name__}.{name}", default, shape)
    )


def _member_checked(cls: type[Object], name: str, shape: Shape) -> Shape:
    """Members of a Directory are files and directories, so they must be able to be Objects."""
    if cls._kind == "directory" and not shape.classes and not shape.open:
        raise SchemaError(
            f"{cls.__qualname__}.{name}: the member of a Directory is a Dict, a List or a "
            "Directory; single values are keys of a Dict"
        )
    if cls._kind != "directory" and any(c._kind == "directory" for c in shape.classes):
        raise SchemaError(
            f"{cls.__qualname__}.{name}: a Directory can only be the member of a Directory"
        )
    return shape


# --- annotations to shapes ------------------------------------------------------------------------


def shape_of(hint: Any) -> Shape:
    """The shape that an annotation describes. Raises SchemaError for one that JSON cannot hold."""
    if hint is Any or hint is object:
        return ANY
    if hint is None or (isinstance(hint, type) and hint in _SCALARS):
        schema = _SCALARS[hint]
        return Shape(schema_of=lambda _: dict(schema), integral=_INTEGRAL.get(hint))
    origin = get_origin(hint)
    if origin is not None:
        return _generic(hint, origin)
    if isinstance(hint, typing.NewType):
        return shape_of(hint.__supertype__)
    if isinstance(hint, type):
        return _plain_class(hint)
    alias = getattr(hint, "__value__", None)  # a `type X = …` statement of Python 3.12
    if alias is not None:
        return shape_of(alias)
    raise SchemaError(f"{hint!r} is no type that JSON can hold")


def _plain_class(cls: type) -> Shape:
    if hasattr(cls, "_declares") and hasattr(cls, "_kind"):
        return _of_object(cast("type[Object]", cls))
    if cls in _LISTS or cls in _DICTS:
        return _of_object(BASES["list" if cls in _LISTS else "dict"])
    if hasattr(cls, "model_json_schema"):
        from .schema import from_pydantic

        return _of_object(from_pydantic(cls))
    plain = cast("type[Any]", cls)
    for python, ours in ((dict, "Dict"), (list, "List")):
        if issubclass(plain, python):
            raise SchemaError(
                f"{cls.__qualname__} extends Python's own {python.__name__}; what a store holds "
                f"extends objstore.{ours}"
            )
    codec = _codecs.of_enum(plain) if issubclass(plain, Enum) else _codecs.by_type(plain)
    if codec is None:
        raise SchemaError(f"{cls.__qualname__} is no type that JSON can hold")
    schema = codec.schema
    numbers = integral_of(schema.get("enum", ()))
    return Shape(schema_of=lambda _: dict(schema), codecs=(codec,), integral=numbers)


def _of_object(cls: type[Object]) -> Shape:
    """Like ``cls._info.shape``, without asking for an info that may still be being made."""
    return Shape(schema_of=lambda definitions: _reference(cls, definitions), classes=(cls,))


def _generic(hint: Any, origin: Any) -> Shape:
    arguments = get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments[0], arguments[1:])
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _union([shape_of(argument) for argument in arguments])
    if origin in _LISTS or origin in _DICTS:
        base = BASES["list" if origin in _LISTS else "dict"]
        return _of_object(specialise(base, arguments) if arguments else base)  # typing.List is bare
    if isinstance(origin, type) and hasattr(origin, "_kind"):
        return _of_object(specialise(cast("type[Object]", origin), arguments))
    raise SchemaError(f"{hint!r} is no type that JSON can hold")


def _literal(values: tuple[Any, ...]) -> Shape:
    for value in values:
        if value is not None and type(value) not in (str, int, bool):
            raise SchemaError(f"Literal[{value!r}] is no value that JSON can hold")
    return Shape(schema_of=lambda _: {"enum": list(values)}, integral=integral_of(values))


def _union(shapes: Sequence[Shape]) -> Shape:
    return Shape(
        schema_of=lambda definitions: _any_of([s.schema_of(definitions) for s in shapes]),
        classes=_once(cls for shape in shapes for cls in shape.classes),
        codecs=[codec for shape in shapes for codec in shape.codecs],
        integral=integral(shape.integral for shape in shapes),
        open=any(shape.open for shape in shapes),
    )


def _any_of(schemas: list[JSON]) -> JSON:
    """``anyOf``, or the shorter list of types where that says the same."""
    names: list[str] = []
    for schema in schemas:
        if not isinstance(schema, dict) or set(schema) != {"type"}:
            return {"anyOf": schemas}
        names.append(schema["type"])
    return {"type": names}


def _once(classes: Iterable[type[Object]]) -> tuple[type[Object], ...]:
    return tuple(dict.fromkeys(classes))


def _annotated(hint: Any, metadata: Sequence[Any]) -> Shape:
    shape = shape_of(hint)
    file = next((m.name for m in metadata if isinstance(m, FileField)), None)
    constraints = [_constraint(m, shape) for m in metadata if not isinstance(m, FileField)]
    if not any(constraints):
        return shape.replace(default=MISSING, file=file)
    if any(cls._kind == "directory" for cls in shape.classes):
        said = {name for one in constraints if one is not None for name in one({"object"})}
        for name in said.intersection(OF_WHOLE_OBJECTS):
            raise SchemaError(
                f"{name!r} is said of a directory, whose members are files and folders that are "
                "read and written each by itself: nothing would check it"
            )

    def schema_of(definitions: Definitions) -> JSON:
        return _constrained(shape.schema_of(definitions), constraints)

    return Shape(
        schema_of=schema_of,
        classes=shape.classes,
        codecs=shape.codecs,
        integral=shape.integral,
        open=shape.open,
        file=file,
        merge_key=next((m["mergeKey"] for m in metadata if _names_key(m)), shape.merge_key),
        autoid=any(_asks_for_numbers(m) for m in metadata),
    )


def _names_key(metadata: object) -> bool:
    return isinstance(metadata, dict) and "mergeKey" in metadata


def _asks_for_numbers(metadata: object) -> bool:
    return isinstance(metadata, dict) and cast("dict[Any, Any]", metadata).get("autoid") is True


def _constraint(item: Any, shape: Shape) -> Callable[[set[str]], dict[str, Any]] | None:
    """The keywords that a piece of Annotated metadata stands for; None for one that is not ours
    (PEP 593: others' metadata is passed over).

    Raises SchemaError for one that a schema cannot say of the values of this shape.
    """
    if isinstance(item, dict):
        keywords = dict(cast("dict[str, Any]", item))
        if shape.codecs:
            _refuse({name: keywords[name] for name in _OF_NUMBERS & keywords.keys()}, shape)
        return lambda _: keywords
    parts = [item, *getattr(item, "metadata", ())]  # pydantic's Field keeps its constraints there
    values = {name: _last(parts, name) for name in _KEYWORDS}
    limits = {name: _last(parts, name) for name in ("min_length", "max_length")}
    _refuse({name: _last(parts, name) for name in _OF_DIGITS}, shape)
    if not any(value is not None for value in (*values.values(), *limits.values())):
        return None
    if shape.codecs:
        _refuse(values if _is_bytes(shape) else {**values, **limits}, shape)
        lengths = _codecs.byte_lengths(*limits.values())
        return lambda _: lengths

    def keywords_for(kinds: set[str]) -> dict[str, Any]:
        found = {_KEYWORDS[n]: _plain_pattern(v) for n, v in values.items() if v is not None}
        for kind in sorted(kinds & set(_LENGTHS)):
            bounds = zip(_LENGTHS[kind], limits.values(), strict=True)
            found.update((keyword, limit) for keyword, limit in bounds if limit is not None)
        return found

    return keywords_for


def _refuse(said: Mapping[str, Any], shape: Shape) -> None:
    """Raise SchemaError for constraints that would be passed over, or be about what is stored."""
    given = ", ".join(f"{name}={value!r}" for name, value in said.items() if value is not None)
    if given and shape.codecs:
        raise SchemaError(
            f"{given} is about {shape.codecs[0].name}, and a JSON Schema knows only what it is "
            "stored as"
        )
    if given:
        raise SchemaError(f"{given} is nothing that a JSON Schema can say")


def _is_bytes(shape: Shape) -> bool:
    """Whether bytes are all that can be there, besides null."""
    if shape.classes or [codec.types for codec in shape.codecs] != [(bytes,)]:
        return False
    schema = shape.schema_of(Definitions(None))
    one_of: list[JSON] = schema.get("anyOf", [schema]) if isinstance(schema, dict) else []
    return all(one in (shape.codecs[0].schema, _SCALARS[None]) for one in one_of)


def _last(parts: Sequence[Any], name: str) -> Any:
    found = [getattr(part, name, None) for part in parts]
    return next((value for value in reversed(found) if value is not None), None)


def _plain_pattern(value: Any) -> Any:
    return cast("re.Pattern[str]", value).pattern if isinstance(value, re.Pattern) else value


def _constrained(schema: JSON, constraints: Iterable[Any]) -> JSON:
    parts: list[dict[str, Any]] = [dict(schema) if isinstance(schema, dict) else {}]
    kinds = parts[0].get("type", list(_LENGTHS))
    for constraint in constraints:
        if constraint is not None:
            said = constraint({kinds} if isinstance(kinds, str) else set(kinds))
            if said.keys() & parts[-1].keys():
                parts.append(said)  # both hold
            else:
                parts[-1] = {**parts[-1], **said}
    return {"allOf": parts} if len(parts) > 1 else parts[0]


# --- generic classes ------------------------------------------------------------------------------

_specialised: dict[tuple[Any, ...], type[Object]] = {}


def specialise(cls: type[Object], arguments: Sequence[Any]) -> type[Object]:
    """``List[Entry]`` as a class of its own: the same one for the same arguments.

    Raises SchemaError for a Dict whose keys are not str.
    """
    if cls._kind == "dict" and len(arguments) == 2:
        if arguments[0] is not str:
            raise SchemaError(f"keys of JSON objects are str, not {arguments[0]!r}")
        arguments = arguments[1:]
    if len(arguments) != 1:
        raise SchemaError(f"{cls.__name__} takes one type argument, not {len(arguments)}")
    key = (cls, _cache_key(arguments[0]))
    made = _specialised.get(key)
    if made is None:
        keys = "str, " if cls is BASES["dict"] else ""
        name = f"{cls.__name__}[{keys}{_name_of(arguments[0])}]"
        body = {"_arguments": tuple(arguments), "_named": False, "__module__": cls.__module__}
        made = _specialised.setdefault(key, make_class(name, cls, body))
    return made


class Alias(types.GenericAlias):
    """``List[Entry]`` as it is written: an annotation, a base of classes, and good for calling."""

    def __call__(self, *args: Any, **keys: Any) -> Any:
        cls = cast(Any, self.__origin__)
        if not self.__parameters__:  # a type variable says nothing yet
            cls = specialise(cls, self.__args__)
        return cls(*args, **keys)

    def __getitem__(self, arguments: Any) -> Alias:
        return Alias(cast(Any, self.__origin__), super().__getitem__(arguments).__args__)


def written(cls: type[Object]) -> Any:
    """A class as programs write it; what ``specialise`` made cannot be found by its name."""
    return cls if cls._named else Alias(cls.__bases__[0], vars(cls)["_arguments"])


def make_class(name: str, base: type[Object], body: dict[str, Any]) -> type[Object]:
    """A class made at run time."""
    return types.new_class(name, (base,), exec_body=lambda namespace: namespace.update(body))


def _cache_key(argument: Any) -> Any:
    """The same for the same argument only, of those that are equal or written alike."""
    parts = get_args(argument)
    if parts:
        return (get_origin(argument), *map(_cache_key, parts))
    try:
        hash(argument)
    except TypeError:  # metadata may be a dict
        return repr(argument)
    return (argument, repr(argument))  # Literal[1] == Literal[True]


def _name_of(argument: Any) -> str:
    return (
        argument.__name__ if isinstance(argument, type) else repr(argument).replace("typing.", "")
    )
