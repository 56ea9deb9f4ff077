"""JSON texts in many styles: regular ones, and ones that no program would write."""

from __future__ import annotations

import json
from random import Random
from typing import Any, NamedTuple

import orjson

from objstore.values import is_array, is_object


class Regular(NamedTuple):
    """A style as programs write it: the same layout everywhere."""

    unit: str | None = "  "
    """None puts all on one line."""
    colon: str = ": "
    newline: str = "\n"
    end: str = "\n"
    ascii: bool = False
    broken_empty: bool = False

    def write(self, value: Any) -> bytes:
        return (self._value(value, "") + self.end).encode()

    def _value(self, value: Any, indent: str) -> str:
        inner = indent + (self.unit or "")
        if is_object(value):
            entries = [
                quote(key, self.ascii) + self.colon + self._value(part, inner)
                for key, part in value.items()
            ]
            return self._enclose("{", entries, "}", indent)
        if is_array(value):
            return self._enclose("[", [self._value(part, inner) for part in value], "]", indent)
        return scalar(value, self.ascii)

    def _enclose(self, opening: str, parts: list[str], closing: str, indent: str) -> str:
        if self.unit is None:
            return opening + (", " if self.colon.endswith(" ") else ",").join(parts) + closing
        if not parts and not self.broken_empty:
            return opening + closing
        line = self.newline + indent
        inner = line + self.unit
        return opening + inner + ("," + inner).join(parts) + line + closing


class Messy:
    """A style of none: any whitespace, any escapes, anywhere."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def write(self, value: Any) -> bytes:
        text = self._space() + self._value(value) + self._space()
        return (b"\xef\xbb\xbf" if self.random.random() < 0.1 else b"") + text.encode()

    def _value(self, value: Any) -> str:
        if is_object(value):
            entries = [
                self._space() + self._string(key) + self._space() + ":" + self._padded(part)
                for key, part in value.items()
            ]
            return "{" + (",".join(entries) or self._space()) + "}"
        if is_array(value):
            return "[" + (",".join(map(self._padded, value)) or self._space()) + "]"
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, float) and value == 1.0:
            return self.random.choice(["1.0", "1.00", "10E-1", "1.0e+0"])
        return scalar(value, False)

    def _padded(self, value: Any) -> str:
        return self._space() + self._value(value) + self._space()

    def _string(self, text: str) -> str:
        quoted = quote(text, self.random.random() < 0.3)
        quoted = quoted.replace("/", self.random.choice(["/", "\\/"]))
        return quoted.replace(":", self.random.choice([":", ":", "\\u003a", "\\u003A"]))

    def _space(self) -> str:
        return self.random.choice(["", "", "", " ", "\n", "\n  ", "\n    ", "\r\n", "\t", "\n\n "])


def quote(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)


def scalar(value: Any, ascii_only: bool) -> str:
    if isinstance(value, str):
        return quote(value, ascii_only)
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)


NO_JSON: list[tuple[Any, str]] = [
    ({"a": [1, float("nan")]}, "/a/1"),
    ({"null": None, "x": {"y/z": float("-inf")}}, "/x/y~1z"),
    (float("inf"), ""),
    ({"a": {"b": "\ud800"}}, "/a/b"),
    ({"a": {"\udfff": 1}}, "/a"),
    ([2**70, {1: 2}], "/1"),
    ([0, [object()]], "/1/0"),
    ({"a": {1, 2}}, "/a"),
    ({"a": b"bytes"}, "/a"),
]
"""What JSON cannot hold, and the pointer of where."""
