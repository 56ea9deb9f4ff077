"""Reading JSON exactly, at the speed of orjson.

orjson is fast and strict but for two things: of keys that come twice it keeps the last in silence,
and integers beyond 64 bits become floats. So what it read is checked against the text, cheaply, and
read again by the standard library where the check does not settle the matter.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from math import isinf
from typing import Any, Final

import orjson

from ..errors import FormatError
from ..values import JSON, MAX_DEPTH, is_array, is_object
from . import _json_faults
from ._json_write import dump_quickly, is_maybe_deep
from ._text import check_size, decode, split_bom

LARGE: Final = 1 << 16
"""From this many bytes on it pays to pause the garbage collector."""


def read(data: bytes, source: str) -> JSON:
    """The contents of a JSON file. Raises FormatError with line and column."""
    check_size(data, source)
    _, body = split_bom(data)
    if len(body) < LARGE:
        return _read(body, source)
    with collector_paused():
        return _read(body, source)


@contextmanager
def collector_paused() -> Generator[None]:
    """Without the cyclic garbage collector, which finds nothing in new contents, again and again.

    A thread that comes second finds it disabled and leaves it so; the first one enables it, which
    costs the second some speed and nothing else.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def has_contents(data: bytes, value: JSON) -> bool:
    """Whether the file's contents are ``value``, with the keys in that order.

    False means as well that it takes a closer look.
    """
    _, body = split_bom(data)
    try:
        written = dump_quickly(orjson.loads(body))
        return written == dump_quickly(value) and _is_exact(body, written)
    except (orjson.JSONDecodeError, TypeError):
        return False


def _read(body: bytes, source: str) -> JSON:
    try:
        value: JSON = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _read_exactly(body, source, error)
    try:
        written = dump_quickly(value)
    except TypeError:  # nested deeper than orjson writes
        return _read_exactly(body, source)
    return value if _is_exact(body, written) else _read_exactly(body, source)


def _is_exact(body: bytes, written: bytes) -> bool:
    """Whether a value is known to be all that ``body`` says; False where it is not known.

    ``written`` is what orjson writes of the value that it read. If the two are equal, so are their
    contents. Otherwise:

    No key was dropped if both have as many colons. For: a colon in valid JSON stands behind a key,
    one each, or in a string (or key). orjson writes those in strings as they are. If ``body``
    escapes none (a colon is U+003A), its strings show all of theirs, so that both counts are the
    number of keys plus the colons in strings, over all entries that each has. The value's entries
    are those of ``body`` without the dropped ones, and dropping one takes a colon away at least,
    its own. Hence the counts are equal exactly if none was dropped.

    No integer became a float if there is none of so many digits.
    """
    if is_maybe_deep(written):
        return False
    return body == written or (
        body.count(b":") == written.count(b":")
        and not (b"\\" in body and b"\\u003" in body)
        and not _has_long_integer(body)
    )


_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_STRIDE: Final = 4
_LEAST: Final = len(str(2**63))
"""How many digits an integer has at least that orjson cannot hold."""
_DIGITS: Final = re.compile(rb"[0-9]+")
_BEFORE_INTEGER: Final = frozenset((b"", b"[", b":", b",", b" ", b"\t", b"\r", b"\n", b"-"))


def _has_long_integer(body: bytes) -> bool:
    """Whether something looks like an integer beyond 64 bits; it may still be text in a string.

    Of _LEAST digits in a row, every fourth byte shows four at least, so that a quarter of the bytes
    tells for nearly every file that there are none.
    """
    if b"0" * (_LEAST // _STRIDE) not in body[::_STRIDE].translate(_ZEROS):
        return False
    digits = body.translate(_ZEROS)
    at = digits.find(b"0" * _LEAST)
    while at >= 0:
        match = _DIGITS.match(body, at)
        if match is None or _is_long_integer(body, match):
            return True
        at = digits.find(b"0" * _LEAST, match.end())
    return False


def _is_long_integer(body: bytes, digits: re.Match[bytes]) -> bool:
    start, end = digits.span()
    before = body[start - 1 : start]
    # An integer follows a bracket, a colon, a comma, whitespace or its sign, or starts the file.
    if before not in _BEFORE_INTEGER or body[end : end + 1] in (b".", b"e", b"E"):
        return False
    return end - start > _LEAST + 1 or int(digits[0]) > (2**63 if before == b"-" else 2**64 - 1)


def _read_exactly(body: bytes, source: str, refusal: Exception | None = None) -> JSON:
    text = decode(body, source)
    try:
        value: JSON = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise _fault(text, source, error) from error
    # What the standard library takes and we do not.
    if _MAYBE_SURROGATE.search(text) or _is_deeper(value, MAX_DEPTH):
        fault = _json_faults.find(text, source)
        if fault is not None:
            raise fault from refusal
    return value


def _fault(text: str, source: str, error: Exception) -> FormatError:
    return _json_faults.find(text, source) or FormatError(str(error), source=source)


_MAYBE_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def _is_deeper(value: JSON, depth: int) -> bool:
    """Whether containers nest deeper than ``depth``."""
    if is_object(value):
        return not depth or any(_is_deeper(part, depth - 1) for part in value.values())
    if is_array(value):
        return not depth or any(_is_deeper(part, depth - 1) for part in value)
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("a key comes twice")
    return entries


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text} is out of the range of a float")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)
