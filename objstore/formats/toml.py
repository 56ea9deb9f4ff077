"""TOML (version 1.0): ``.toml``. See docs/formats/toml.md."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from ..errors import FormatError
from ..pointer import join
from ..values import INTEGER_LIMIT, JSON, is_array, is_object, same
from ._text import check_contents, check_size, decode, split_bom
from ._toml_read import read

__all__ = ["dump", "edit", "parse"]


def parse(data: bytes, source: str) -> JSON:
    """The contents of a TOML file; dates and times are strings as of ``isoformat``.

    Raises FormatError with line and column for what TOML does not allow, and for infinity and NaN;
    with the pointer for what is nested deeper than MAX_DEPTH.
    """
    check_size(data, source)
    return read(data, source)


def dump(value: JSON, source: str) -> bytes:
    """A new file: keys in their order, but tables behind all else of their table.

    Needs the extra ``toml``. Raises FormatError with the pointer of what TOML cannot hold: null,
    and anything but an object for the whole file.
    """
    _check(value, source)
    text: str = _writer(source).dumps(value)
    return text.encode()


def edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

    Comments, order and style stay; where they cannot, there is a UserWarning. Needs the extra
    ``toml``. Raises FormatError with the pointer of what TOML cannot hold.
    """
    _check(new, source)
    if same(old, new):
        return data
    mark, body = split_bom(data)
    for text in _writer(source).edited_texts(decode(body, source), old, new):
        result: bytes = mark + text.encode()
        if _holds(result, new, source):
            return result
    if b"#" in data:
        message = f"{source}: comments could not be kept; this change cannot be made in its text"
        warnings.warn(message, UserWarning, stacklevel=2)
    return mark + dump(new, source)


def _writer(source: str) -> Any:
    try:
        return import_module("._toml_write", __package__)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "tomlkit":
            raise
        reason = "to write TOML, pip install objstore[toml]"
        raise FormatError(reason, source=source) from error


def _holds(data: bytes, value: JSON, source: str) -> bool:
    try:
        return same(read(data, source), value)
    except FormatError:
        return False


def _check(value: JSON, source: str) -> None:
    check_contents(value, source)
    if not is_object(value):
        raise FormatError("a TOML file holds an object", source=source, pointer="")
    _check_parts(value, source, ())


def _check_parts(value: Any, source: str, path: tuple[str | int, ...]) -> None:
    if is_object(value):
        for key, part in value.items():
            _check_parts(part, source, (*path, key))
    elif is_array(value):
        for index, part in enumerate(value):
            _check_parts(part, source, (*path, index))
    elif value is None:
        raise FormatError("TOML has no null", source=source, pointer=join("", *path))
    elif isinstance(value, int) and not -INTEGER_LIMIT < value < INTEGER_LIMIT:
        reason = "an integer of too many digits"
        raise FormatError(reason, source=source, pointer=join("", *path))
