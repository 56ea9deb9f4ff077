"""JSON on one line, as the engine's own files hold it: compact, exact, in UTF-8."""

from __future__ import annotations

import json
from typing import Any, Final, cast

import orjson

from objstore.values import JSON

_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * len(str(2**63))
"""As many digits in a row as the least integer has that orjson takes for a float."""


def dump(value: Any) -> bytes:
    """A value as JSON without a newline; integers of any size.

    Raises TypeError or ValueError for what is no JSON.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()


def load(data: bytes) -> JSON:
    """What ``dump`` was given. Raises ValueError for what is no JSON."""
    if _LONG in data.translate(_ZEROS):
        return cast("JSON", json.loads(data))
    return cast("JSON", orjson.loads(data))


def load_object(data: bytes) -> dict[str, Any]:
    """The same for a dict. Raises ValueError for anything else."""
    value = load(data)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, and not {type(value).__name__}")  # noqa: TRY004 - what is wrong is the data
    return value
