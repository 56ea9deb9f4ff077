"""Reading TOML: what the standard library's tomllib reads, as JSON values."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from datetime import date, time
from typing import Any, Final

from ..errors import FormatError
from ..pointer import join
from ..values import MAX_DEPTH, is_array, is_object
from ._text import decode, fault_at, position, split_bom

_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")
_PART: Final = re.compile(
    r"""(?P<string>"{3}(?:\\.|[^\\])*?"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
    r"|#[^\n]*|\n|[\w.+-]+|\S",
    re.DOTALL,
)
_BEHIND_KEY: Final = re.compile(r"[ \t]*[=.]")


def read(data: bytes, source: str) -> dict[str, Any]:
    """The contents of a TOML file.

    Raises FormatError with line and column, or with the pointer of what is nested too deep.
    """
    _, body = split_bom(data)
    text = decode(body, source)
    # For keys of many parts, tomllib takes time that grows with the square of their number.
    if any(line.count(".") >= MAX_DEPTH for line in text.splitlines()):
        _check_depth(text, source)
    try:
        document = tomllib.loads(text, parse_float=_finite)
    except _NotFiniteError as error:
        reason = f"JSON has no number {error}"
        raise fault_at(text, _find(text, str(error)), reason, source) from error
    except RecursionError as error:
        _check_depth(text, source)
        raise FormatError("nested too deep", source=source) from error
    except ValueError as error:
        raise _format_error(str(error), text, source) from error
    try:
        return {key: _contents(part, source, (key,)) for key, part in document.items()}
    except FormatError:
        _check_depth(text, source)  # which knows the line, in most cases
        raise


class _NotFiniteError(Exception):
    """The text of a float that is infinite or no number."""


def _finite(text: str) -> float:
    value = float(text.replace("_", ""))
    if not math.isfinite(value):
        raise _NotFiniteError(text)
    return value


def _contents(value: Any, source: str, path: tuple[str | int, ...]) -> Any:
    if is_object(value) or is_array(value):
        if len(path) >= MAX_DEPTH:
            raise FormatError(_TOO_DEEP, source=source, pointer=join("", *path))
        if is_object(value):
            return {key: _contents(part, source, (*path, key)) for key, part in value.items()}
        return [_contents(part, source, (*path, index)) for index, part in enumerate(value)]
    return value.isoformat() if isinstance(value, date | time) else value


_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"


def _format_error(message: str, text: str, source: str) -> FormatError:
    found = _PLACE.search(message)
    reason = message[: found.start()] if found else message
    if found and found[1]:
        return FormatError(reason, source=source, line=int(found[1]), column=int(found[2]))
    line, column = position(text, len(text))
    return FormatError(reason, source=source, line=line, column=column)


def _parts(text: str) -> Iterator[re.Match[str]]:
    """Keys, values and signs, without strings and comments."""
    return (part for part in _PART.finditer(text) if part[0][0] != "#")


def _find(text: str, number: str) -> int:
    """Where a number stands, as a value."""
    for part in _parts(text):
        if part[0] == number and not _BEHIND_KEY.match(text, part.end()):
            return part.start()
    return 0


def _check_depth(text: str, source: str) -> None:
    """Raises FormatError for brackets or keys that nest too deep by themselves."""
    brackets = dots = 0
    for part in _parts(text):
        if part[0] in ("\n", "=", ","):
            dots = 0
        elif not part["string"]:
            brackets += (part[0] in "[{") - (part[0] in "]}")
            dots += part[0].count(".")
        if max(brackets, dots) >= MAX_DEPTH:
            raise fault_at(text, part.start(), _TOO_DEEP, source)
