"""What a transaction's changes come to beside what others have committed meanwhile."""

from __future__ import annotations

from typing import Any

from ._units import UNLOADED, View
from .errors import ConflictError, ValidationError
from .patch import merge
from .values import same


def reconcile(view: View, *, merges: bool) -> None:
    """Take in what was committed to the unit since the transaction began.

    Changes to different places merge; raises ConflictError where both changed the same one, be it
    to the same value: whoever counts up must not count once for two. Without ``merges`` any change
    is a conflict: a serializable transaction has read the unit as a whole.
    """
    unit, base = view.unit, view.base
    if unit.value is UNLOADED:
        unit.host.load(unit)
    now: Any = unit.value
    if now is base or same(now, base):
        return
    if not merges:
        source = unit.host.source(unit)
        raise read_conflict(source, unit.pointer, base, ours=view.root, theirs=now)
    merged = merge(base, view.root, now, agree=False, schema_keys=unit.shape.merge_key_at)
    if not merged.conflicts:
        view.rebase(merged.value, now)
        return
    first = merged.conflicts[0]
    place = f" at {first.pointer}" if first.pointer else ""
    raise ConflictError(
        f"{unit.host.source(unit)}{place} was changed by somebody else "
        "since this transaction began",
        pointer=unit.pointer + first.pointer,
        base=first.base,
        ours=first.ours,
        theirs=first.theirs,
    )


def read_conflict(
    what: str, pointer: str, base: object, *, ours: object, theirs: object
) -> ConflictError:
    """The error of a serializable transaction that has read what is another by now."""
    return ConflictError(
        f"{what} was changed by somebody else since this serializable transaction read it",
        pointer=pointer,
        base=base,
        ours=ours,
        theirs=theirs,
    )


def require_valid(views: list[View]) -> None:
    """Raise ValidationError with every failure of every unit that is to be written."""
    failures = [failure for view in views for failure in view.unit.host.failures_of(view)]
    if failures:
        raise ValidationError(failures)
