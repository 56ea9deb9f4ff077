"""What a transaction's changes come to beside what others have committed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._refusals import merge_conflict
from ._units import UNLOADED, View
from .documents import Change
from .errors import ConflictError, ValidationError
from .patch import merge
from .values import same

if TYPE_CHECKING:
    from .transaction import Transaction


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
    merged = merge(
        base,
        view.root,
        now,
        agree=False,
        schema_keys=unit.shape.merge_key_at,
        schema_defaults=unit.shape.default_at,
    )
    if not merged.conflicts:
        view.rebase(merged.value, now)
        return
    first = merged.conflicts[0]
    place = f" at {first.pointer}" if first.pointer else ""
    what = f"{unit.host.source(unit)}{place}"
    message = f"{what} was changed by somebody else since this transaction began"
    raise merge_conflict(message, unit.pointer, first)


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


def asked_by(tx: Transaction, views: list[View]) -> tuple[list[Change], dict[str, Any]]:
    """What a commit is asked for: its changes, and what they rest on."""
    changes = [Change(v.unit.pointer, v.base, v.root, v.unit.stamp) for v in views]
    return changes, _rests_on(tx, views) if tx.serializable or tx._numbers else {}


def _rests_on(tx: Transaction, views: list[View]) -> dict[str, Any]:
    """What a transaction read and does not change, if it is serializable; what it counted."""
    changed = {view.unit for view in views}
    read = tx._read if tx.serializable else ()
    units: dict[str, Any] = {u.pointer: u.stamp for u in read if u not in changed}
    counted = {} if tx._numbers is None else tx._numbers.listed
    return units | tx._listed | counted
