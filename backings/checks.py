"""What every maker of Documents checks in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from threading import TIMEOUT_MAX
from typing import Final

from objstore.documents import Change
from objstore.errors import FormatError
from objstore.values import JSON, Missing, show

_DURABILITIES: Final = ("full", "os")
_APPLY: Final = ("eager", "lazy")

_LONGEST: Final = TIMEOUT_MAX / 2
"""Seconds that locks can still be told to wait, whatever is added to them: a century."""


def check_options(durability: str, apply: str) -> None:
    """Raises ValueError for an option's word that is none, naming those that are."""
    for name, word, words in (
        ("durability", durability, _DURABILITIES),
        ("apply", apply, _APPLY),
    ):
        if word not in words:
            allowed = " or ".join(f'"{one}"' for one in words)
            raise ValueError(f"{name} must be {allowed}, not {word!r}")


def check_wait(wait: object) -> float:
    """The seconds that a writer waits, as locks take them; infinity is for as long as they can.

    Raises TypeError, ValueError.
    """
    if isinstance(wait, bool) or not isinstance(wait, int | float):
        raise TypeError(f"wait must be a number of seconds, not {wait!r}")
    if not wait >= 0:  # nor is NaN
        raise ValueError(f"wait must be a number of seconds from 0 on, not {wait!r}")
    return min(wait, _LONGEST)


def check_request(changes: Sequence[Change]) -> None:
    """Raises ValueError for a commit of nothing, or of one unit twice."""
    if not changes:
        raise ValueError("a commit needs at least one change")
    if len({change.unit for change in changes}) < len(changes):
        raise ValueError("a commit changes each unit once")


def check_top_level(value: JSON | Missing, source: str, *, line: int | None = None) -> None:
    """Raises FormatError for contents that no file holds: a unit is an object or an array."""
    if not isinstance(value, dict | list | Missing):
        reason = f"expected an object or array at top level, found {show(value)}"
        pointer = None if line is not None else ""
        raise FormatError(reason, source=source, line=line, pointer=pointer)
