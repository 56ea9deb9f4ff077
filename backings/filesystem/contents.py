"""Contents: a file's bytes turned into a value and back, by the format of its ending."""

from __future__ import annotations

import os.path
from functools import lru_cache

from objstore.errors import FormatError
from objstore.formats import ENDINGS, Format, by_ending
from objstore.values import JSON, Missing

from ..checks import check_top_level
from .tree import MAX_FILE_SIZE


def parse(data: bytes, source: str) -> JSON:
    """The contents of a file called ``source``. Raises FormatError with line and column."""
    value = _format(source).parse(data, source)
    if type(value) is not dict and type(value) is not list:
        check_top_level(value, source, line=1)
    return value


def render(data: bytes | None, old: JSON | Missing, new: JSON | Missing, source: str) -> bytes:
    """The bytes of the file once its contents are ``new``; ``data`` hold ``old``, None no file.

    Where it is not known what they hold (MISSING), they are parsed. Raises FormatError with the
    pointer of what the format cannot hold.
    """
    check_top_level(new, source)
    if isinstance(new, Missing):
        raise ValueError(f"{source} is to have no contents, and so no bytes")  # noqa: TRY004 - a value, not a type
    if data is None:
        written = _format(source).dump(new, source)
    else:
        before = parse(data, source) if isinstance(old, Missing) else old
        written = _format(source).edit(data, before, new, source)
    if len(written) > MAX_FILE_SIZE:
        reason = f"the file would have {len(written)} bytes, and {MAX_FILE_SIZE} are the limit"
        raise FormatError(reason, source=source, pointer="")
    return written


def is_same_format(source: str, other: str) -> bool:
    """Whether the bytes of one file can be edited as those of the other. Raises FormatError."""
    return _format(source) is _format(other)


@lru_cache(maxsize=256)
def _of_ending(ending: str) -> Format:
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise ValueError(f'no format is known for the ending "{ending}"; known are {known}')
    return by_ending(ending)


def _format(source: str) -> Format:
    try:
        return _of_ending(os.path.splitext(source)[1])
    except ValueError as error:
        raise FormatError(str(error), source=source) from error


def is_json(path: str) -> bool:
    """Whether a file holds JSON, in which any contents fit."""
    return path.endswith(".json")
