"""What is there, as a transaction sees it, and whether it may let others see more meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from .values import MISSING

if TYPE_CHECKING:
    from ._units import Unit, View
    from .documents import Documents
    from .transaction import Transaction

_LOOKS: Final = 100
"""How often a place is looked at where somebody commits without a pause."""


def seen_at_once(documents: Documents, path: str, known: Any, head: int) -> tuple[Any, int]:
    """What ``Documents.look`` tells of a path, and the commit that this is as of.

    ``head`` was the newest just now. What is found while others commit may be what was there in
    between: neither what was at some start nor what is newest, though these two may be the same.
    """
    seen: Any = None
    for _ in range(_LOOKS):
        seen, before = documents.look(path, known), head
        head = documents.head()
        if head == before:
            break
    return seen, head


def is_of_start(documents: Documents, unit: Unit, tx: Transaction) -> bool:
    """Whether contents that are what the unit is now, which was just looked at, are also what it
    was as the transaction began: it may have been something else in between, and is that again."""
    if tx._single:
        return True
    changed = documents.changed(unit.pointer)
    if changed != unit.changed and documents.head() == tx.base:
        unit.changed = changed
    return changed == unit.changed


def makes_there(tx: Transaction | None, view: View) -> bool:
    """Whether a transaction makes a directory where it has seen that nothing is, or deleted it."""
    return tx is not None and view.root is MISSING and tx.makes(view.unit.pointer)


def may_share(tx: Transaction) -> bool:
    """Whether a commit may wait for the disk with those of others.

    What rests on more than the units that it changes has to be alone: only those are kept from
    being used meanwhile. And where there is but one thread, letting go of the store helps nobody.
    """
    is_apart = tx.serializable or tx._numbers is not None or tx.id is not None
    return not is_apart and threading.active_count() > 1
