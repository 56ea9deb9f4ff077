"""What schemas ask for, as phrases for error messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ._dialect import Document
from .values import JSON, Missing, show

_TYPES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

_FORMATS: Final = {
    "base64": "base64 text",
    "date": "a date (YYYY-MM-DD)",
    "date-time": "a date and time (ISO 8601)",
    "decimal": "a decimal number as text",
    "regex": "a regular expression (ECMA-262)",
    "time": "a time of day (ISO 8601)",
    "uuid": "a UUID",
}

_LENGTH: Final = 60
_UNSAID: Final = "what the schema asks for"


def either(choices: Iterable[str]) -> str:
    """``a``; ``a or b``; ``a, b or c``. Each once, and null last."""
    *others, last = sorted(dict.fromkeys(choices), key=lambda choice: choice == "null")
    return f"{', '.join(others)} or {last}" if others else last


def count(number: Any, noun: str) -> str:
    """``1 item``; ``2 items``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def typed(value: Any, form: Any = None) -> str:
    """What the keyword ``type`` asks for, beside a ``format`` or not."""
    names = [value] if isinstance(value, str) else value
    phrases = {**_TYPES, "string": _FORMATS.get(form, _TYPES["string"])}
    return either(phrase for name, phrase in phrases.items() if name in names)


def _exactly(value: Any) -> str:
    # Unlike what stood there, what would be right is of little use without what is in it.
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else show(value)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def _one_of(values: list[Any]) -> str:
    exactly = ", ".join(map(_exactly, values))
    return exactly if len(values) == 1 else f"one of {exactly}"


_PHRASES: Final[Mapping[str, Callable[[Any], str]]] = {
    "type": typed,
    "const": _exactly,
    "enum": _one_of,
    "format": lambda name: _FORMATS.get(name, f"text in the format {name}"),
    "minimum": lambda limit: f"at least {limit}",
    "maximum": lambda limit: f"at most {limit}",
    "exclusiveMinimum": lambda limit: f"more than {limit}",
    "exclusiveMaximum": lambda limit: f"less than {limit}",
    "multipleOf": lambda divisor: f"a multiple of {divisor}",
    "minLength": lambda limit: f"at least {count(limit, 'character')}",
    "maxLength": lambda limit: f"at most {count(limit, 'character')}",
    "pattern": lambda pattern: f"text that matches {show(pattern)}",
    "minItems": lambda limit: f"at least {count(limit, 'item')}",
    "maxItems": lambda limit: f"at most {count(limit, 'item')}",
    "uniqueItems": lambda _: "no item twice",
    "minProperties": lambda limit: f"at least {count(limit, 'key')}",
    "maxProperties": lambda limit: f"at most {count(limit, 'key')}",
}


_TEXTS: Final = frozenset((_TYPES["string"], *_FORMATS.values()))


def advice(value: JSON | Missing, choices: Iterable[str]) -> str:
    """Advice for the reader of a YAML file that has a number or a boolean where text should be."""
    texts = _TEXTS.intersection(choices)
    if not texts or not isinstance(value, int | float):
        return ""
    if _FORMATS["time"] in texts and type(value) is int and 600 <= value < 24 * 3600:
        minutes, seconds = divmod(value, 60)
        hours, minutes = divmod(minutes, 60)
        parts = (hours, minutes, seconds) if hours >= 10 else (minutes + 60 * hours, seconds)
        clock = ":".join(f"{part:02}" for part in parts)
        return f"YAML 1.1 reads {clock} as this number, in base 60, unless it is in quotes"
    return "in YAML, text that looks like this is in quotes"


def phrase(keyword: str, value: Any) -> str | None:
    """What a keyword with this value asks for; None for a keyword that needs its context."""
    make = _PHRASES.get(keyword)
    return make(value) if make is not None else None


def describe(document: Document, schema: JSON | Missing) -> str:
    """What a schema asks for, where that can be said in a few words."""
    if schema is True or schema == {}:
        return "anything"
    if schema is False:
        return "nothing"
    if not isinstance(schema, dict):
        return _UNSAID
    if isinstance(schema.get("$ref"), str):
        target = document.target(schema["$ref"])
        referred = document.at(target) if target is not None else None
        if isinstance(referred, dict) and "$ref" not in referred:
            schema = {**referred, **schema}
    phrases = (phrase(keyword, value) for keyword, value in schema.items())
    said = ", ".join(text for text in phrases if text is not None)
    return said or _UNSAID
