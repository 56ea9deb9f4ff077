"""Writing JSON the way people keep it in git."""

from __future__ import annotations

import json
from math import isfinite
from typing import Final

import orjson

from ..values import JSON, MAX_DEPTH, MISSING, is_array, is_object
from ._text import check_contents

_OPTIONS: Final = (
    orjson.OPT_INDENT_2
    | orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)

_SUSPECT: Final = frozenset((dict, list, float))
_DEEP: Final = b" " * (2 * MAX_DEPTH)
_DEEP_SIZE: Final = MAX_DEPTH * MAX_DEPTH


def dump(value: JSON, source: str, known: object = MISSING) -> bytes:
    """A file with these contents. Raises FormatError with the pointer of what JSON cannot hold.

    Parts that are the same object as in ``known`` are known to be numbers where they are floats.
    """
    try:
        data = dump_quickly(value)
    except TypeError:
        check_contents(value, source)
        return _dump_exactly(value)
    # Where little has changed, looking there is quicker than searching all that was written.
    suspect = known is not MISSING or b"null" in data
    if (suspect and _has_nonfinite(value, known)) or is_maybe_deep(data):
        check_contents(value, source)
    return data


def dump_known(value: JSON) -> bytes:
    """The same as ``dump`` for contents that were read."""
    try:
        return dump_quickly(value)
    except TypeError:
        return _dump_exactly(value)


def dump_quickly(value: object) -> bytes:
    """What ``dump`` writes, but NaN and infinities as null, and nested deeper than MAX_DEPTH.

    Raises TypeError for integers beyond 64 bits and for what is no JSON.
    """
    return orjson.dumps(value, option=_OPTIONS)


def _dump_exactly(value: JSON) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def is_maybe_deep(data: bytes) -> bool:
    """Whether the contents that ``dump_quickly`` wrote may nest deeper than MAX_DEPTH.

    One level deeper a container's line starts with 2 * MAX_DEPTH spaces, and the lines of those
    around it alone make more than MAX_DEPTH squared.
    """
    return len(data) > _DEEP_SIZE and _DEEP in data


def _has_nonfinite(value: object, known: object) -> bool:
    if value is known:
        return False
    if is_object(value):
        before = known if is_object(known) else {}
        for key, part in value.items():
            # Most parts are other scalars, and to call for each would take most of the time.
            if type(part) in _SUSPECT:
                was = before.get(key)
                if part is not was and _has_nonfinite(part, was):
                    return True
        return False
    if is_array(value):
        # Elements move when others come and go, so an unchanged one is looked for anywhere.
        seen = set(map(id, known)) if is_array(known) else ()
        suspects = [part for part in value if type(part) in _SUSPECT and id(part) not in seen]
        return any(_has_nonfinite(part, None) for part in suspects)
    return isinstance(value, float) and not isfinite(value)
