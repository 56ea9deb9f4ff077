"""What is there, as a transaction sees it, and whether it may let others see more meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from .documents import DIRECTORY
from .errors import LayoutError
from .pointer import aboves
from .values import MISSING

if TYPE_CHECKING:
    from ._shapes import Shape
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


def past_at(documents: Documents, path: str, shape: Shape, number: int) -> Any:
    """What a commit left at ``path``: contents, MISSING or DIRECTORY."""
    # What is there now may be of another kind, and says nothing about then.
    with suppress(LayoutError):
        value = documents.load(path, at=number).value
        if value is not MISSING or shape.directory is None:
            return value
    with suppress(LayoutError):
        return DIRECTORY if documents.has_keys(path, at=number) else MISSING
    return MISSING


def renew(documents: Documents, unit: Unit) -> None:
    """Note that a unit's contents, which a look has just found there again, are of its newest
    commit: they may have been others in between, and who began then is to see those."""
    if documents.changed(unit.pointer) > unit.changed:
        documents.head()  # there may be more that is not known yet
        unit.changed = unit.since = documents.changed(unit.pointer)


def units_below(tx: Transaction, path: str) -> Sequence[Unit]:
    """The units in and below a directory that a transaction has views of; call with ``host.lock``
    held."""
    new = len(tx._views) - len(tx._below.get("", ()))  # which has all that were asked about
    for unit in reversed([*islice(reversed(tx._views), new)]):
        for above in aboves(unit.pointer):
            tx._below.setdefault(above, []).append(unit)
    return tx._below.get(path, ())


def makes(tx: Transaction, path: str) -> bool:
    """Whether a transaction has a directory at ``path``, by a file in or below it; call with
    ``host.lock`` held."""
    return any(tx._views[unit].root is not MISSING for unit in units_below(tx, path))


def makes_there(tx: Transaction | None, view: View) -> bool:
    """Whether a transaction makes a directory where it has seen that nothing is, or deleted it."""
    return tx is not None and view.root is MISSING and makes(tx, view.unit.pointer)


def may_share(tx: Transaction) -> bool:
    """Whether a commit may wait for the disk with those of others.

    What rests on more than the units that it changes has to be alone: only those are kept from
    being used meanwhile. And where there is but one thread, letting go of the store helps nobody.
    """
    gives = tx._numbers is not None and tx._numbers.are_given
    is_apart = tx.serializable or gives or tx.id is not None
    return not is_apart and threading.active_count() > 1
