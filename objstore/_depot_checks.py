"""What every Depot checks of its arguments, in the same words."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ._encode import encode
from ._identifiers import Identifier
from ._shapes import ANY
from .errors import Failure, ValidationError
from .values import show

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def check_identifier(identifier: Identifier) -> None:
    if not isinstance(identifier, Identifier):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"expected an Identifier, found {show(identifier)}; see Identifier.parse")


def check_number(name: str, number: int) -> None:
    if type(number) is not int:
        raise TypeError(f"{name} must be an int, not {show(number)}")
    if number < 0:
        raise ValueError(f"{name} must be 0 or more, not {number}")


def latest(older_than: timedelta) -> datetime:
    """The last time that is so long ago."""
    if not isinstance(older_than, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"older_than must be a timedelta, not {show(older_than)}")
    try:
        return datetime.now(UTC) - older_than
    except OverflowError:  # before, or after, all that there are dates for
        if older_than > timedelta(0):
            return datetime.min.replace(tzinfo=UTC)
        return datetime.max.replace(tzinfo=UTC)


def check_target(target: object) -> None:
    if not isinstance(target, str | os.PathLike) and not hasattr(target, "write"):
        raise TypeError(f"expected a path, or a file open for writing, found {show(target)}")


def bytes_of(data: Buffer) -> memoryview:
    """The bytes of a buffer of whatever shape."""
    view = memoryview(data)
    # What has no elements cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"")


def check_digest(sha256: str | None) -> None:
    if sha256 is not None and not isinstance(sha256, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"sha256 must be text, not {show(sha256)}")
    if sha256 is not None and _SHA256.fullmatch(sha256) is None:
        raise ValueError(f"sha256 must be 64 hexadecimal digits in lower case, not {show(sha256)}")


def check_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata as JSON. Raises ValidationError where it is none."""
    contents = encode({} if meta is None else meta, ANY, source="meta")
    if not isinstance(contents, dict):
        raise ValidationError([Failure("meta", "", "an object", show(contents), "type")])
    return contents
