"""Two changes of one value, merged: what does not overlap is kept from both.

Objects merge key by key. Arrays merge where each side only appended and changed elements in place,
or by key where the schema names one; any other pair of changes to one array is a conflict. So is
one side's removal of what the other changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ._align import Edit, edits
from ._diff import changed_keys
from ._merge_keyed import Keyed, by_key, merged_order
from .pointer import join
from .values import JSON, MISSING, Missing, is_array, is_object, same

KeyOf: TypeAlias = Callable[[str], str | None]
"""The key that tells the elements of the array at a pointer apart, if the schema names one."""

DefaultOf: TypeAlias = "Callable[[str], JSON | Missing]"
"""What is read at a pointer where nothing is; MISSING where the schema gives no default."""


def _no_key(_: str) -> str | None:
    return None


def _no_default(_: str) -> JSON | Missing:
    return MISSING


class Rules(NamedTuple):
    """What a schema says about the merging of one value."""

    key_of: KeyOf = _no_key
    default_of: DefaultOf = _no_default


Lineage: TypeAlias = dict[int, tuple[Any, Any]]
"""By a container's identity, the container, and the one that it was copied from."""

_K = TypeVar("_K")
_C = TypeVar("_C", dict[Any, Any], list[Any])
_Place: TypeAlias = Callable[[_K], str]


class Conflict(NamedTuple):
    """What both changed, each in another way; MISSING is what one removed or nobody had."""

    pointer: str
    base: JSON | Missing
    ours: JSON | Missing
    theirs: JSON | Missing


class Merged(NamedTuple):
    """Two changes together."""

    value: JSON | Missing
    """Where the changes conflict, it has theirs."""
    conflicts: tuple[Conflict, ...]
    """By pointer, whichever side is which."""


def merge(
    base: JSON | Missing,
    ours: JSON | Missing,
    theirs: JSON | Missing,
    *,
    agree: bool = True,
    schema_keys: KeyOf | None = None,
    schema_defaults: DefaultOf | None = None,
    lineage: Lineage | None = None,
) -> Merged:
    """What both sides made of ``base``, theirs first: as if our change had come after theirs.

    Appends to one array are kept from both, even equal ones, theirs before ours. ``schema_keys`` is
    given an array's pointer, and tells the key by which its elements are merged, or None;
    ``schema_defaults`` what was read where ``base`` has nothing, or MISSING: two objects or arrays
    that were made there are two changes of that. The order of keys is no change. With
    ``agree=False`` it is a conflict as well where both sides made the same change of one place.
    ``lineage`` is told of every container of theirs that was copied.
    """
    rules = Rules(schema_keys or _no_key, schema_defaults or _no_default)
    merger = _Merger(rules, agree=agree, lineage=lineage)
    value = merger.values("", base, ours, theirs)
    return Merged(value, tuple(sorted(merger.conflicts, key=lambda conflict: conflict.pointer)))


def overlaid(
    base: JSON | Missing, ours: JSON | Missing, theirs: JSON | Missing, rules: Rules
) -> JSON | Missing:
    """The same, but that where the changes conflict it has ours."""
    merger = _Merger(rules, agree=True, ours_wins=True)
    merged: JSON | Missing = merger.values("", base, ours, theirs)
    return merged


class _Merger:
    def __init__(
        self,
        rules: Rules,
        *,
        agree: bool,
        ours_wins: bool = False,
        lineage: Lineage | None = None,
    ) -> None:
        self.conflicts: list[Conflict] = []
        self._ours_wins = ours_wins
        self._agree = agree
        self._lineage = lineage
        self._rules = rules

    def values(self, pointer: str, base: Any, ours: Any, theirs: Any) -> Any:
        """What two changes of the value at a pointer come to; conflicts are noted."""
        if theirs is base:
            return ours
        if ours is base:
            return theirs
        if base is MISSING:
            base = self._base_of_both(pointer, ours, theirs)
        if is_object(base) and is_object(ours) and is_object(theirs):
            return self._entries(base, ours, theirs, lambda key: join(pointer, key))
        if is_array(base) and is_array(ours) and is_array(theirs):
            return self._arrays(pointer, base, ours, theirs)
        if same(theirs, base):
            return ours
        if same(ours, base) or (self._agree and same(ours, theirs)):
            return theirs
        return self._conflict(pointer, base, ours, theirs)

    def _base_of_both(self, pointer: str, ours: Any, theirs: Any) -> Any:
        """What both made of nothing was made of: the default, if it is a container as theirs."""
        default = self._rules.default_of(pointer)
        of_one_kind = all(map(is_object, (default, ours, theirs))) or all(
            map(is_array, (default, ours, theirs))
        )
        return default if of_one_kind else MISSING

    def _conflict(self, pointer: str, base: Any, ours: Any, theirs: Any) -> Any:
        self.conflicts.append(Conflict(pointer, base, ours, theirs))
        return ours if self._ours_wins else theirs

    def _entries(
        self, base: dict[_K, Any], ours: dict[_K, Any], theirs: dict[_K, Any], place: _Place[_K]
    ) -> dict[_K, Any]:
        merged = theirs
        for key in changed_keys(base, ours):
            other = theirs.get(key, MISSING)
            value = self.values(place(key), base.get(key, MISSING), ours.get(key, MISSING), other)
            if value is other:
                continue
            if merged is theirs:
                merged = self._copy(theirs)
            if value is MISSING:
                del merged[key]
            else:
                merged[key] = value
        return merged

    def _copy(self, theirs: _C) -> _C:
        copy = theirs.copy()
        if self._lineage is not None:
            self._lineage[id(copy)] = (copy, theirs)
        return copy

    def _arrays(self, pointer: str, base: list[Any], ours: list[Any], theirs: list[Any]) -> Any:
        name = self._rules.key_of(pointer)
        keyed = by_key(name, base, ours, theirs) if name is not None else None
        merged = (
            self._by_index(pointer, base, ours, theirs)
            if keyed is None
            else self._by_key(pointer, *keyed)
        )
        return self._conflict(pointer, base, ours, theirs) if merged is None else merged

    def _by_key(self, pointer: str, base: Keyed, ours: Keyed, theirs: Keyed) -> list[Any] | None:
        order = merged_order(base, ours, theirs)
        if order is None:
            return None
        # An element's pointer has its index in base, or that in theirs where base has none.
        indices = {key: index for side in (theirs, base) for index, key in enumerate(side)}
        merged = self._entries(base, ours, theirs, lambda key: join(pointer, indices.get(key, "-")))
        return [merged[key] for key in order if key in merged]

    def _by_index(
        self, pointer: str, base: list[Any], ours: list[Any], theirs: list[Any]
    ) -> list[Any] | None:
        size = len(base)
        our_edits, their_edits = edits(base, ours), edits(base, theirs)
        if not our_edits or not their_edits:
            return theirs if their_edits else ours
        if not (_only_grew(our_edits, size) and _only_grew(their_edits, size)):
            return theirs if self._agree and same(ours, theirs) else None
        merged = self._copy(theirs)
        for index, _ in our_edits:
            if index is not None:
                place = join(pointer, index)
                merged[index] = self.values(place, base[index], ours[index], theirs[index])
        merged += ours[size:]
        return merged


def _only_grew(changes: list[Edit], size: int) -> bool:
    """Whether all elements of the array are where they were, and what is new comes after them."""
    return all(j is not None and (i == j or (i is None and j >= size)) for i, j in changes)
