"""JSON Patch (RFC 6902) on values that never change in place, and the merging of two changes.

    diff(old, new)              the patch that leads from one value to another
    apply(value, patch)         the value that a patch makes
    invert(before, patch)       the patch that leads back
    merge(base, ours, theirs)   two changes of one value together, and where they conflict

What is made shares with what it is made of all that stayed, and what is the same object is not
looked into. So the cost follows the change, not the document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._apply import apply
from ._diff import Operation, diff
from ._merge import Conflict, Merged, merge
from .errors import PatchError
from .values import JSON, Missing

__all__ = ["Conflict", "Merged", "Operation", "PatchError", "apply", "diff", "invert", "merge"]


def invert(before: JSON | Missing, patch: Iterable[Mapping[str, Any]]) -> list[Operation]:
    """The patch that leads back to ``before`` from what ``patch`` makes of it.

    Raises PatchError where ``patch`` does not fit ``before``.
    """
    return diff(apply(before, patch), before)
