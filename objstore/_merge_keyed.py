"""Arrays whose elements a key tells apart, seen as objects that keep their order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

from .values import MISSING, is_object

Key: TypeAlias = str | int
Keyed: TypeAlias = dict[Key, Any]


def by_key(name: str, *arrays: list[Any]) -> list[Keyed] | None:
    """The elements of each array by their value of ``name``.

    None where an element is no object, or has no text or integer there, or another's.
    """
    keyed = [_by_key(name, array) for array in arrays]
    whole = [one for one in keyed if one is not None]
    return whole if len(whole) == len(keyed) else None


def _by_key(name: str, elements: list[Any]) -> Keyed | None:
    keyed: Keyed = {}
    for element in elements:
        key = element.get(name, MISSING) if is_object(element) else MISSING
        # The exact types: True is no integer here, and 1.0 none that could be taken for 1.
        if type(key) is not str and type(key) is not int:
            return None
        keyed[key] = element
    return keyed if len(keyed) == len(elements) else None


def merged_order(base: Keyed, ours: Keyed, theirs: Keyed) -> list[Key] | None:
    """The keys of ours and theirs in one order; None where both sides changed it, differently.

    What one side added stays behind what it was put behind; where both added, theirs is first.
    """
    stayed = base.keys() & ours.keys() & theirs.keys()
    before, mine, other = ([key for key in side if key in stayed] for side in (base, ours, theirs))
    if mine == before:
        return _woven(theirs, ours, theirs.keys() - base.keys())
    if other in (before, mine):
        return _woven(ours, theirs, ())
    return None


def _woven(order: Keyed, other: Keyed, first: Collection[Key]) -> list[Key]:
    """The keys of ``order``, and those that only ``other`` has behind the one they follow there.

    Where keys of ``first`` follow the same one, they stay before them.
    """
    known = set(order)
    followers: dict[Key | None, list[Key]] = {}
    last: Key | None = None
    for key in other:
        if key in known:
            last = key
        else:
            followers.setdefault(last, []).append(key)
    woven: list[Key] = []
    waiting = [*followers.get(None, ())]
    for key in order:
        if key not in first:
            woven += waiting
            waiting = []
        woven.append(key)
        waiting += followers.get(key, ())
    return woven + waiting
