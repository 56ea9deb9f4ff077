"""What a program says about a commit, before it is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .documents import AUTOID
from .errors import Failure, ValidationError
from .values import show


def given_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of it. Raises TypeError for what is no mapping, and ValidationError where it says
    which numbers were given, as commits alone do."""
    if not isinstance(meta, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"meta is a mapping of text to JSON values, not {show(meta)}")
    copy = dict(meta)
    if AUTOID in copy:
        expected = f"no key {AUTOID!r}, under which a commit says which numbers it gave"
        raise ValidationError([Failure("meta", "", expected, show(copy[AUTOID]), "propertyNames")])
    return copy
