"""What every text format needs: decoding, positions for error messages, contents JSON can hold."""

from __future__ import annotations

import codecs
from math import isfinite
from typing import Final

from ..errors import FormatError
from ..pointer import join
from ..values import MAX_DEPTH, is_array, is_object

BOM: Final = codecs.BOM_UTF8
"""The byte order mark that some editors put before UTF-8: accepted, and kept on edits."""

MAX_SIZE: Final = 1 << 30
"""Files above this many bytes (1 GiB) are refused unread."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def fault_at(text: str, offset: int, reason: str, source: str) -> FormatError:
    """The error that says what is wrong at a character of the text."""
    line, column = position(text, offset)
    return FormatError(reason, source=source, line=line, column=column)


def split_bom(data: bytes) -> tuple[bytes, bytes]:
    """The byte order mark, or nothing, and the rest."""
    return (BOM, data[len(BOM) :]) if data.startswith(BOM) else (b"", data)


def check_size(data: bytes, source: str) -> None:
    """Raises FormatError for more than MAX_SIZE bytes."""
    if len(data) > MAX_SIZE:
        raise FormatError(f"{len(data)} bytes are more than {MAX_SIZE}", source=source)


def decode(data: bytes, source: str) -> str:
    """The text of UTF-8 without a byte order mark. Raises FormatError with the place."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        reason = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise fault_at(before, len(before), reason, source) from error


def newline_of(text: str) -> str:
    """How the text ends its lines: as it ends the first."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def check_contents(value: object, source: str) -> None:
    """Raises FormatError with the pointer of the first thing within that is no JSON."""
    _check(value, source, ())


def _check(value: object, source: str, path: tuple[str | int, ...]) -> None:
    if is_object(value):
        _check_depth(path, source)
        for key, part in value.items():
            if type(key) is not str:
                raise _refusal(f"the key {key!r} is no string", source, path)
            _check_text(key, source, path)
            _check(part, source, (*path, key))
    elif is_array(value):
        _check_depth(path, source)
        for index, part in enumerate(value):
            _check(part, source, (*path, index))
    else:
        _check_scalar(value, source, path)


def _check_depth(path: tuple[str | int, ...], source: str) -> None:
    if len(path) >= MAX_DEPTH:
        raise _refusal(f"containers are nested deeper than {MAX_DEPTH}", source, path)


def _check_scalar(value: object, source: str, path: tuple[str | int, ...]) -> None:
    if type(value) not in _SCALARS:
        raise _refusal(f"a {type(value).__name__} is no JSON value", source, path)
    if isinstance(value, str):
        _check_text(value, source, path)
    elif isinstance(value, float) and not isfinite(value):
        raise _refusal(f"{value} is no JSON number", source, path)


def _check_text(text: str, source: str, path: tuple[str | int, ...]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refusal("half of a surrogate pair is no text", source, path) from error


def _refusal(reason: str, source: str, path: tuple[str | int, ...]) -> FormatError:
    return FormatError(reason, source=source, pointer=join("", *path))
