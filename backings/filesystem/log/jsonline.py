"""JSON on one line, as the engine's own files hold it: compact, exact, in UTF-8."""

from __future__ import annotations

import json
from typing import Any, Final, cast

import orjson

from objstore.values import JSON

_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * len(str(2**63))
"""As many digits in a row as the least integer has that orjson takes for a float."""


_NO_MEMORY: Final = "Not enough memory"
"""How orjson begins to say that it has none, as of what is no JSON."""


class Text:
    """A part of a value that is JSON already, as ``dump`` made it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data: Final = data


def dump(value: Any) -> bytes:
    """A value as JSON without a newline; integers of any size.

    Raises TypeError or ValueError for what is no JSON.
    """
    try:
        return orjson.dumps(value, _as_it_is, orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, TypeError):
            raise cause from None  # an interrupt that came amid ``_as_it_is``
        options: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}
        return json.dumps(value, allow_nan=False, default=_parsed, **options).encode()


def _as_it_is(value: object) -> orjson.Fragment:
    if isinstance(value, Text):
        return orjson.Fragment(value.data)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _parsed(value: object) -> JSON:
    if isinstance(value, Text):
        return load(value.data)
    raise TypeError(f"{type(value).__name__} is no JSON")


def load(data: bytes) -> JSON:
    """What ``dump`` was given. Raises ValueError for what is no JSON."""
    if _LONG in data.translate(_ZEROS):
        return cast("JSON", json.loads(data))
    try:
        return cast("JSON", orjson.loads(data))
    except orjson.JSONDecodeError as error:
        if error.msg.startswith(_NO_MEMORY):
            raise MemoryError(error.msg) from error
        raise


def load_object(data: bytes) -> dict[str, Any]:
    """The same for a dict. Raises ValueError for anything else."""
    value = load(data)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, and not {type(value).__name__}")  # noqa: TRY004 - what is wrong is the data
    return value
