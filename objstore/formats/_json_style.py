"""How a JSON text is laid out, and new values in the same style."""

from __future__ import annotations

import re
from functools import cached_property
from json.encoder import encode_basestring, encode_basestring_ascii
from math import isfinite
from operator import itemgetter
from typing import Any, Final

import orjson

from ..values import is_array, is_object
from ._text import newline_of

# A text's habits are looked for without telling its strings apart, so all of these ask for what no
# string holds (a line's end, a quote), or hardly one. A wrong guess costs nothing but looks.
_FIRST_KEY: Final = re.compile(r'\{\s*"[^"\\]*(?:\\.[^"\\]*)*"([ \t]*:[ \t]*)')
_FIRST_INDENT: Final = re.compile(r"[\[{][ \t]*\r?\n([ \t]*)[^\s\]}]")
_FIRST_ARRAY: Final = re.compile(r'"(?<!\\")[ \t]*:[ \t]*\[[ \t]*(\r?\n\s*)?[^\s\]]')
_BROKEN_EMPTY: Final = re.compile(r"\[[ \t]*\r?\n\s*\]|\{[ \t]*\r?\n\s*\}")
_ESCAPE: Final = re.compile(r"\\(?:u(?!00[0-7])([0-9a-fA-F]{4})|.)")


class Style:
    """The habits of one text, each found when first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def newline(self) -> str:
        return newline_of(self.text)

    @cached_property
    def unit(self) -> str:
        """The whitespace that one level of nesting adds."""
        match = _FIRST_INDENT.search(self.text)
        return match[1] if match else "  "

    @cached_property
    def colon(self) -> str:
        """What stands between a key and its value."""
        match = _FIRST_KEY.search(self.text)
        return match[1] if match else ": "

    @cached_property
    def gap(self) -> str:
        """What stands behind a comma on the same line."""
        return " " if self.colon.endswith(" ") else ""

    @cached_property
    def _escapes(self) -> bool:
        text = self.text
        return text.isascii() and "\\u" in text and any(map(itemgetter(1), _ESCAPE.finditer(text)))

    @cached_property
    def _escapes_slashes(self) -> bool:
        text = self.text
        if "\\/" not in text:
            return False
        escaped = sum(match[0] == "\\/" for match in _ESCAPE.finditer(text))
        return 0 < escaped == text.count("/")

    @cached_property
    def _breaks_empty(self) -> bool:
        return _BROKEN_EMPTY.search(self.text) is not None

    @cached_property
    def _flat_arrays(self) -> bool:
        """Whether arrays of scalars stay on one line in a text that has several."""
        match = _FIRST_ARRAY.search(self.text)
        return match is not None and match[1] is None

    def write(self, value: object, indent: str | None) -> str:
        """The text of a value that starts on a line with that indentation; None keeps it flat."""
        if isinstance(value, str):
            return self.quote(value)
        flat = is_array(value) and bool(value) and is_flat(value) and self._flat_arrays
        indent = None if flat else indent
        inner = None if indent is None else indent + self.unit
        parts: list[str] = []
        if is_object(value):
            for key, part in value.items():
                parts.append(self.quote(key) + self.colon + self.write(part, inner))
            return self._enclose("{", parts, "}", indent)
        if is_array(value):
            parts.extend([self.write(part, inner) for part in value])
            return self._enclose("[", parts, "]", indent)
        return scalar(value)

    def quote(self, text: str) -> str:
        """A string or a key."""
        quoted = encode_basestring_ascii(text) if self._escapes else encode_basestring(text)
        return quoted.replace("/", "\\/") if "/" in text and self._escapes_slashes else quoted

    def _enclose(self, opening: str, parts: list[str], closing: str, indent: str | None) -> str:
        if indent is None or not (parts or self._breaks_empty):
            return opening + ("," + self.gap).join(parts) + closing
        outer = self.newline + indent
        inner = outer + self.unit
        return opening + inner + ("," + inner).join(parts) + outer + closing


def is_flat(value: Any) -> bool:
    """Whether a container holds no container that holds anything."""
    parts = value.values() if is_object(value) else value
    return not any(part for part in parts if is_object(part) or is_array(part))


def scalar(value: object) -> str:
    """A number, a boolean or null; numbers as orjson writes them. Raises ValueError for NaN."""
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer beyond 64 bits
        return str(value)
