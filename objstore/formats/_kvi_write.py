"""Writing KVI: values to lines. See docs/formats/kvi.md."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import FormatError
from ..pointer import join
from ..values import JSON, is_array, is_object, show
from ._text import check_contents


def check(value: JSON, source: str) -> None:
    """Raises FormatError with the pointer of the first thing within that KVI cannot hold."""
    check_contents(value, source)
    if not (is_object(value) or is_array(value)):
        reason = f"a file holds a dict or a list, not {show(value)}"
        raise FormatError(reason, source=source, pointer="")
    if is_array(value) and not value:
        reason = "an empty list would be a file without lines, which is an empty dict"
        raise FormatError(reason, source=source, pointer="")
    _check(value, source, "")


def _check(value: JSON, source: str, pointer: str) -> None:
    if is_object(value):
        for key, part in value.items():
            if not key[:1].isalpha() or any(map(str.isspace, key)):
                reason = f"a key starts with a letter and has no whitespace, unlike {show(key)}"
                raise FormatError(reason, source=source, pointer=join(pointer, key))
            _check(part, source, join(pointer, key))
    elif is_array(value):
        for index, part in enumerate(value):
            _check(part, source, join(pointer, index))
    elif isinstance(value, str) and ("\n" in value or value.endswith("\r")):
        raise FormatError("a string has one line only", source=source, pointer=pointer)
    elif isinstance(value, int):
        _check_digits(value, source, pointer)


def _check_digits(value: int, source: str, pointer: str) -> None:
    try:
        str(value)
    except ValueError as error:  # the interpreter's limit against slow conversions
        raise FormatError(
            "an integer of too many digits", source=source, pointer=pointer
        ) from error


class Layout(NamedTuple):
    """How new lines are written."""

    unit: int = 2
    """How much further than its key's line a container's entries are indented."""
    bare: bool = False
    """Whether containers open with ``:`` alone."""

    def file(self, value: JSON) -> list[str]:
        """The lines of a file with these contents."""
        return self._entries(value, 0)

    def entry(self, key: str | None, value: JSON, indent: int) -> list[str]:
        """The lines of an entry: its own, and those of its own entries."""
        return self.value(" " * indent + ("" if key is None else key + " "), value, indent)

    def value(self, first: str, value: JSON, indent: int) -> list[str]:
        """The lines of a value whose first one starts with ``first`` and is indented like that."""
        if value and (is_object(value) or is_array(value)):
            opening = ":" if self.bare else "{}:" if is_object(value) else "[]:"
            return [first + opening, *self._entries(value, indent + self.unit)]
        return [first + _scalar(value)]

    def _entries(self, value: JSON, indent: int) -> list[str]:
        lines: list[str] = []
        if is_object(value):
            for key, part in value.items():
                lines += self.entry(key, part, indent)
        elif is_array(value):
            for part in value:
                lines += self.entry(None, part, indent)
        return lines


def _scalar(value: JSON) -> str:
    if isinstance(value, str):
        return "|" + value
    if value is None:
        return "-"
    if isinstance(value, bool):
        return ":T" if value else ":F"
    if is_object(value) or is_array(value):
        return "{}" if is_object(value) else "[]"
    return _float(value) if isinstance(value, float) else str(value)


def _float(value: float) -> str:
    """The shortest text that reads as the same float: Python's, with a point, which it needs."""
    text = repr(value)
    if "." in text:
        return text
    digits, _, exponent = text.partition("e")
    return f"{digits}.0e{exponent}"
