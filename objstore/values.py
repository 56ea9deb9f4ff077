"""Contents: JSON values, and the one that is not there.

Committed contents are plain ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``
that never change in place: whoever wants a change copies the containers on the way to it. Hence two
values that are the same object are equal, and a change is found by looking only where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from math import copysign
from typing import Any, Final, TypeAlias, TypeGuard, cast

JSON: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
"""A JSON value (RFC 8259). Integers are exact whatever their size; NaN and Infinity are none."""

MAX_DEPTH: Final = 200
"""How deep containers may nest, in files and in contents; orjson writes 254 levels at the most."""


INTEGER_LIMIT: Final = 10**4300
"""Below it, and above its negative, are the integers that Python reads and writes as decimals."""

_MAX_SHOWN_BITS: Final = 1000


class Missing(Enum):
    """The type of MISSING, so that type checkers can tell it from every value."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""What is read where nothing is, and what a deletion leaves. None is a value, this is not."""


def is_object(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether a JSON value is an object."""
    return type(value) is dict


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return type(value) is list


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same: unlike ``==``, 1 is not 1.0 and not True, nor 0.0 -0.0.

    Order of keys counts for nothing, as in JSON.
    """
    if a is b:
        return True
    kind = type(a)  # pyright: ignore[reportUnknownVariableType]
    if kind is not type(b):
        return False
    if kind is dict or kind is list:
        # Most that differ are told apart by the interpreter, in a tenth of the time.
        return a == b and _same_parts(a, b)
    if kind is float and a == 0:
        return bool(b == 0 and copysign(1, a) == copysign(1, b))
    return bool(a == b)


def _same_parts(a: Any, b: Any) -> bool:
    """The same of two objects or two arrays, which are equal."""
    pairs = zip(a, b, strict=True) if is_array(a) else ((a[key], b[key]) for key in a)
    for one, other in pairs:
        if one is other:
            continue
        if type(one) is not type(other):
            return False
        if is_object(one) or is_array(one):
            if not _same_parts(one, other):
                return False
        elif not same(one, other):
            return False
    return True


def copy_of(contents: Any) -> Any:
    """A deep copy of contents."""
    kind = type(contents)  # pyright: ignore[reportUnknownVariableType]
    if kind is dict:
        return {key: copy_of(value) for key, value in contents.items()}
    if kind is list:
        return [copy_of(value) for value in contents]
    return contents


def show(value: Any, limit: int = 60) -> str:
    """A value as error messages show it: JSON, shortened; ``nothing`` for MISSING."""
    if value is MISSING:
        return "nothing"
    size = len(cast("Any", value)) if isinstance(value, Mapping | Sequence) else 0
    if size and isinstance(value, Mapping):
        return f"an object with {size} {'key' if size == 1 else 'keys'}"
    if size and not isinstance(value, str | bytes):
        return f"an array of {size}"
    text = _plain(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"' + value.encode("utf-8", "backslashreplace").decode("utf-8") + '"'
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[]"
    if isinstance(value, int) and value.bit_length() > _MAX_SHOWN_BITS:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write out such ones
    return repr(value)
