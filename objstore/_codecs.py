"""Typed values: Python types that JSON has not, stored as strings and read as themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple, cast

from .errors import SchemaError
from .values import JSON


class Codec(NamedTuple):
    """How one Python type is stored."""

    name: str
    """What error messages call a value of it: ``a date``."""
    types: tuple[type, ...]
    """Exactly the types that ``encode`` takes; a datetime is no date."""
    schema: dict[str, Any]
    """The JSON Schema of the stored form."""
    encode: Callable[[Any], JSON]
    decode: Callable[[Any], Any]
    accepts: Callable[[Any], bool]
    """Whether a stored value is of this codec, where a union leaves the choice."""


def _date() -> Codec:
    from datetime import date

    return _string("a date", date, "date", date.isoformat, date.fromisoformat)


def _datetime() -> Codec:
    from datetime import datetime

    return _string("a datetime", datetime, "date-time", datetime.isoformat, datetime.fromisoformat)


def _time() -> Codec:
    from datetime import time

    return _string("a time", time, "time", time.isoformat, time.fromisoformat)


def _uuid() -> Codec:
    from uuid import UUID

    return _string("a UUID", UUID, "uuid", str, UUID)


def _decimal() -> Codec:
    from decimal import Decimal

    return _string("a Decimal", Decimal, "decimal", str, Decimal)


def _bytes() -> Codec:
    from base64 import b64decode, b64encode

    def encode(value: bytes) -> str:
        return b64encode(value).decode("ascii")

    codec = _string("bytes", bytes, "base64", encode, b64decode)
    return codec._replace(schema={**codec.schema, **_ENCODED})


_ENCODED: Final = {"contentEncoding": "base64"}


def _string(
    name: str, cls: type, form: str, encode: Callable[[Any], str], decode: Callable[[Any], Any]
) -> Codec:
    from .checks import CHECKS

    checker = CHECKS[form]

    def accepts(value: Any) -> bool:
        return isinstance(value, str) and checker(value)

    return Codec(
        name,
        (cls,),
        {"type": "string", "format": form},
        encode,
        decode,
        accepts,
    )


# Keyed by name, not by type: uuid and decimal take milliseconds to import and most programs have
# neither.
_BY_TYPE: Final = {
    ("datetime", "date"): "date",
    ("datetime", "datetime"): "date-time",
    ("datetime", "time"): "time",
    ("uuid", "UUID"): "uuid",
    ("decimal", "Decimal"): "decimal",
    ("builtins", "bytes"): "base64",
}
_MAKERS: Final[dict[str, Callable[[], Codec]]] = {
    "date": _date,
    "date-time": _datetime,
    "time": _time,
    "uuid": _uuid,
    "decimal": _decimal,
    "base64": _bytes,
}
_made: dict[str, Codec] = {}


def by_format(form: str) -> Codec | None:
    """The codec of a JSON Schema ``format``, if it is one of ours."""
    if form not in _made and form in _MAKERS:
        _made[form] = _MAKERS[form]()
    return _made.get(form)


def by_type(cls: type) -> Codec | None:
    """The codec that stores values of exactly this type, Enums aside."""
    form = _BY_TYPE.get((cls.__module__, cls.__qualname__))
    return None if form is None else by_format(form)


def of_enum(cls: type[Enum]) -> Codec:
    """The codec of an Enum: its members are stored by value.

    Raises SchemaError where a member's value is not a JSON scalar.
    """
    for value in (member.value for member in cls):
        if value is not None and type(value) not in (str, int, float, bool):
            raise SchemaError(f"{cls.__qualname__} has the value {value!r}, which JSON cannot hold")
    members = {member.value: member for member in cls}

    def encode(member: Any) -> JSON:
        return cast(JSON, member.value)

    def accepts(value: Any) -> bool:
        return _is_one_of(value, members)

    return Codec(f"a {cls.__name__}", (cls,), {"enum": list(members)}, encode, cls, accepts)


def byte_lengths(least: int | None, most: int | None) -> dict[str, Any]:
    """The keywords for base64 text of so many bytes.

    Four characters hold three bytes, and "=" stands for each that is missing in the last four: so
    the length says it nearly, and where it is the outermost, the end of the text does.
    """
    found: dict[str, Any] = {}
    ends: list[JSON] = []
    if least:
        found["minLength"], unused = _room_for(least)
        if unused < _MOST_UNUSED:
            end = {"pattern": "[^=]" + "=?" * unused + "$"}
            ends.append({"anyOf": [{"minLength": found["minLength"] + 1}, end]})
    if most is not None:
        found["maxLength"], unused = _room_for(most)
        if unused:
            end = {"pattern": "=" * unused + "$"}
            ends.append({"anyOf": [{"maxLength": found["maxLength"] - 1}, end]})
    return {**found, "allOf": ends} if ends else found


_MOST_UNUSED: Final = 2


def bytes_asked(
    schema: Mapping[str, Any], beside: Iterable[JSON] = ()
) -> tuple[int | None, int | None] | None:
    """How many bytes a schema with the keywords of ``byte_lengths`` asks for; None without them.

    That it is about bytes, it says itself, its alternatives do, or those that stand ``beside`` it.
    """
    kinds = (schema, *schema.get("anyOf", ()), *beside)
    if not any(isinstance(kind, dict) and _ENCODED.items() <= kind.items() for kind in kinds):
        return None
    said = {name: schema[name] for name in ("minLength", "maxLength", "allOf") if name in schema}
    for least in _might_be(said.get("minLength")):
        for most in _might_be(said.get("maxLength")):
            if byte_lengths(least, most) == said:
                return least, most
    return None


def _might_be(length: int | None) -> list[int | None]:
    """The numbers of bytes that base64 text of this length may have."""
    return [None] if length is None else [length // 4 * 3 - unused for unused in (2, 1, 0)]


def bytes_in(text: str) -> int | None:
    """How many bytes base64 text stands for; None where it is none."""
    codec = by_format("base64")
    if codec is None or not codec.accepts(text):
        return None
    return len(text) // 4 * 3 - text.count("=", -2)


def _room_for(count: int) -> tuple[int, int]:
    """How long the base64 text of ``count`` bytes is, and how many more would have room in it."""
    unused = -count % 3
    return (count + unused) // 3 * 4, unused


def _is_one_of(value: Any, members: Iterable[Any]) -> bool:
    return any(type(value) is type(member) and value == member for member in members)
