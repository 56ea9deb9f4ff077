"""Finding what is wrong with a text that is not quite JSON (RFC 8259), and where.

Slow, for it runs only on files that are refused. It keeps its own stack, so that no nesting is too
deep for it.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import Final

from ..errors import FormatError
from ..values import MAX_DEPTH, show
from ._text import fault_at

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(
    r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD: Final = re.compile(r"[-+\w.]+")
_STRING_PART: Final = re.compile(r'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
# A whole surrogate pair, or half of one (captured), or any other escape.
_ESCAPE: Final = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)")


def find(text: str, source: str) -> FormatError | None:
    """The first fault of the text, as an error that names its place; None where there is none."""
    try:
        _Walk(text).document()
    except _FaultError as fault:
        return fault_at(text, fault.offset, fault.reason, source)
    return None


class _FaultError(Exception):
    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class _Walk:
    """One walk over a text; ``at`` is where it stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        # A container that is open: the keys of an object so far, None for an array.
        self.open: list[set[str] | None] = []

    def document(self) -> None:
        """Go over all of the text; raises _FaultError at the first place that is wrong."""
        self._space()
        if self.at == len(self.text):
            raise _FaultError(self.at, "the file is empty")
        self._value()
        while self.open:
            self._after_value()
        if self.at < len(self.text):
            raise _FaultError(self.at, f"expected the end of the file, found {self._found()}")

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _value(self) -> None:
        """Read a scalar or open a container, and go on to what follows."""
        first = self.text[self.at : self.at + 1]
        if first in ("{", "["):
            self._open(first)
            return
        if first == '"':
            self._string()
        elif first.isdigit() or first == "-":
            self._number()
        elif not self._take("true", "false", "null"):
            raise _FaultError(self.at, f"expected a value, found {self._found()}")
        self._space()

    def _open(self, bracket: str) -> None:
        if len(self.open) == MAX_DEPTH:
            raise _FaultError(self.at, f"containers are nested deeper than {MAX_DEPTH}")
        self.at += 1
        self.open.append(set() if bracket == "{" else None)
        self._space()
        if not self._closed():
            self._element()

    def _closed(self) -> bool:
        if self.text[self.at : self.at + 1] != self._closing():
            return False
        self.at += 1
        self.open.pop()
        self._space()
        return True

    def _closing(self) -> str:
        return "]" if self.open[-1] is None else "}"

    def _after_value(self) -> None:
        if self._closed():
            return
        closing = self._closing()
        comma = self.at
        if not self._take(","):
            raise _FaultError(self.at, f'expected "," or "{closing}", found {self._found()}')
        self._space()
        if self.text[self.at : self.at + 1] == closing:
            raise _FaultError(comma, f'a comma before the closing "{closing}"')
        self._element()

    def _element(self) -> None:
        keys = self.open[-1]
        if keys is not None:
            self._key(keys)
        self._value()

    def _key(self, keys: set[str]) -> None:
        start = self.at
        if self.text[start : start + 1] != '"':
            raise _FaultError(start, f"expected a key in double quotes, found {self._found()}")
        key = self._string()
        if key in keys:
            raise _FaultError(start, f"the key {show(key)} comes twice")
        keys.add(key)
        self._space()
        if not self._take(":"):
            raise _FaultError(self.at, f'expected ":" after the key, found {self._found()}')
        self._space()

    def _string(self) -> str:
        start = self.at
        match = _STRING.match(self.text, start)
        if match is None:
            raise self._broken_string(start)
        self._surrogates(match[0])
        self.at = match.end()
        return str(json.loads(match[0]))

    def _broken_string(self, start: int) -> _FaultError:
        at = start + 1
        while match := _STRING_PART.match(self.text, at):
            at = match.end()
        if at == len(self.text):
            return _FaultError(start, "a string without its closing quote")
        if self.text[at] == "\\":
            return _FaultError(at, f"no such escape: {show(self.text[at : at + 2])}")
        if self.text[at] in "\r\n":
            return _FaultError(at, "a line ends within a string")
        return _FaultError(at, f"a control character, U+{ord(self.text[at]):04X}, in a string")

    def _surrogates(self, string: str) -> None:
        for match in _ESCAPE.finditer(string):
            if match[1]:
                raise _FaultError(self.at + match.start(), "half of a surrogate pair")

    def _number(self) -> None:
        start = self.at
        word = _WORD.match(self.text, start)
        number = _NUMBER.match(self.text, start)
        if number is None or word is None or number.end() < word.end():
            raise _FaultError(start, f"expected a value, found {self._found()}")
        self.at = number.end()
        if not number[0].lstrip("-").isdigit():
            if isinf(float(number[0])):
                raise _FaultError(start, f"{number[0]} is out of the range of a float")
            return
        try:
            int(number[0])
        except ValueError as error:  # the interpreter's limit against slow conversions
            raise _FaultError(start, f"an integer of {len(number[0])} digits") from error

    def _take(self, *words: str) -> bool:
        for word in words:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return True
        return False

    def _found(self) -> str:
        if self.at >= len(self.text):
            return "the end of the file"
        if self.text[self.at] == '"':
            return "a string"
        match = _WORD.match(self.text, self.at)
        return show(match[0] if match else self.text[self.at], 30)
