"""Judging a change by what it touches (docs/decisions/0002-incremental-validation.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress, count, islice, repeat
from operator import is_not
from typing import Any, TypeAlias

from ._dialect import Document
from ._engine import Judge
from ._plan import ArrayLayer, Graph, Node, ObjectLayer, Plan
from .values import JSON, MISSING, Missing

_Step: TypeAlias = tuple[Node, "JSON | Missing", JSON]
"""A schema, a value that fits it, and what this became; MISSING in its place if it is new."""


class Locality:
    """Follows a change through a document that ``is_static``."""

    def __init__(self, document: Document) -> None:
        self._root = Graph(document).node("")

    def holds(self, old: JSON, new: JSON) -> bool:
        """Whether ``new`` fits, as ``old`` is known to; False also where that cannot be told."""
        todo: list[_Step] = [(self._root, old, new)]
        try:
            while todo:
                if not _holds_here(*todo.pop(), todo):
                    return False
        except ValueError:
            # The engine met what is not JSON. Judging the whole will say what and where.
            return False
        return True


def _holds_here(node: Node, old: JSON | Missing, new: JSON, todo: list[_Step]) -> bool:
    """Ask what is to be asked of this place, and add what is to be asked below it."""
    if node.takes_all or old is new:
        return True
    if isinstance(new, dict) and isinstance(old, dict):
        return _object_holds(node.objects, old, new, todo)
    if isinstance(new, list) and isinstance(old, list):
        return _array_holds(node.arrays, old, new, todo)
    return node.judge(new)


def _object_holds(
    plan: Plan[ObjectLayer], old: dict[str, Any], new: dict[str, Any], todo: list[_Step]
) -> bool:
    keys, reshaped = _changed_keys(old, new)
    for key in keys:
        before, after = old.get(key, MISSING), new[key]
        for layer in plan.layers:
            todo += [(node, before, after) for node in layer.nodes(key)]
    if reshaped and not _all_hold(plan.shape, new):
        return False
    return not (reshaped or keys) or _all_hold(plan.whole, new)


def _all_hold(judges: Sequence[Judge], value: JSON) -> bool:
    return not judges or all(judge(value) for judge in judges)


def _changed_keys(old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], bool]:
    """The keys of ``new`` whose value is another or is new; and whether keys came or went."""
    # A copy keeps its keys in their order, so that most changes are found without a look-up.
    if len(old) == len(new) and list(old) == list(new):
        return list(compress(new, map(is_not, old.values(), new.values()))), False
    changed = [key for key, value in new.items() if old.get(key, MISSING) is not value]
    return changed, old.keys() != new.keys()


def _array_holds(plan: Plan[ArrayLayer], old: list[Any], new: list[Any], todo: list[_Step]) -> bool:
    for layer in plan.layers:
        todo += _changed_elements(layer, old, new)
    if len(old) != len(new) and not _all_hold(plan.shape, new):
        return False
    return _all_hold(plan.whole, new)


def _changed_elements(layer: ArrayLayer, old: list[Any], new: list[Any]) -> Iterator[_Step]:
    fixed = len(layer.prefix)
    for index, (node, after) in enumerate(zip(layer.prefix, new, strict=False)):
        yield node, old[index] if index < len(old) else MISSING, after
    if layer.rest is None or layer.rest.takes_all:
        return
    before, after = _middles(old[fixed:], new[fixed:])
    # An element that was in the array fits wherever it is now.
    known = set(map(id, before)) if len(after) > 1 else set[int]()
    paired = before if len(before) == len(after) else repeat(MISSING)
    for was, now in zip(paired, after, strict=False):
        if id(now) not in known:
            yield layer.rest, was, now


def _middles(old: list[Any], new: list[Any]) -> tuple[list[Any], list[Any]]:
    """Both without what they share at the start and at the end."""
    shorter = min(len(old), len(new))
    start = next(compress(count(), map(is_not, old, new)), shorter)
    ends = map(is_not, reversed(old), islice(reversed(new), shorter - start))
    end = next(compress(count(), ends), shorter - start)
    return old[start : len(old) - end], new[start : len(new) - end]
