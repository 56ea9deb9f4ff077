"""JSON (RFC 8259): ``.json``. See docs/formats/json.md."""

from __future__ import annotations

import json
from typing import Final

import orjson

from ..errors import FormatError
from ..values import JSON, MAX_DEPTH, same
from ._json_edit import NotAsExpectedError, edit_text, rewrite_text
from ._json_read import LARGE, collector_paused, read
from ._text import MAX_SIZE, check_contents, decode, is_array, is_object, split_bom

__all__ = ["MAX_SIZE", "dump", "edit", "parse"]

_OPTIONS: Final = (
    orjson.OPT_INDENT_2
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_SUSPECT_INDENT: Final = b" " * (2 * MAX_DEPTH)


def parse(data: bytes, source: str) -> JSON:
    """The contents of a JSON file, exact: integers of any size, keys in their order.

    Raises FormatError with line and column for what RFC 8259 does not allow, and for keys that come
    twice, numbers out of a float's range, halves of surrogate pairs, containers nested deeper than
    MAX_DEPTH, and files above MAX_SIZE.
    """
    return read(data, source)


def dump(value: JSON, source: str) -> bytes:
    """A new file: indented by two spaces, keys in their order, a newline at the end.

    Raises FormatError with the pointer of what JSON cannot hold.
    """
    try:
        data = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        check_contents(value, source)
        # All is well but for an integer beyond 64 bits.
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    # orjson writes NaN as null, and nests deeper than we read.
    if b"null" in data or _SUSPECT_INDENT in data:
        check_contents(value, source)
    return data


def edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

    Only the lines of what changed are others, and they are in the file's own style. Raises
    FormatError with the pointer of what JSON cannot hold.
    """
    check_contents(new, source, known=old)
    if data == _dump_known(old):
        return _dump_known(new)
    if len(data) < LARGE:
        return _edit(data, old, new, source)
    with collector_paused():
        return _edit(data, old, new, source)


def _dump_known(value: JSON) -> bytes:
    """The same as ``dump``, of contents that were checked."""
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    bom, body = split_bom(data)
    text = decode(body, source)
    result = _try_edit(text, old, new, source)
    if result is None:
        # Perhaps ``old`` has its keys in another order than the file.
        result = _try_edit(text, read(data, source), new, source)
    return bom + (rewrite_text(text, new).encode() if result is None else result)


def _try_edit(text: str, old: JSON, new: JSON, source: str) -> bytes | None:
    """The edited text, once it was found to have the contents ``new``."""
    try:
        result = edit_text(text, old, new).encode()
        return result if _is_identical(read(result, source), new) else None
    except (NotAsExpectedError, FormatError):
        return None


def _is_identical(value: JSON, other: JSON) -> bool:
    """Whether two values are the same, order of keys included."""
    try:
        if orjson.dumps(value) == orjson.dumps(other):
            return True
    except TypeError:
        pass  # An integer beyond 64 bits; otherwise 0.0 and -0.0, which are the same.
    return same(value, other) and _in_order(value, other)


def _in_order(value: object, other: object) -> bool:
    if is_object(value) and is_object(other):
        return list(value) == list(other) and all(map(_in_order, value.values(), other.values()))
    if is_array(value) and is_array(other):
        return all(map(_in_order, value, other))
    return True
