"""The JSON Patch (RFC 6902) that leads from one value to another.

Nothing is looked at where both are the same object, so that the cost follows the change. A patch
touches nothing that stayed; where nothing of an object or array stayed, it is replaced whole.
"""

from __future__ import annotations

from itertools import compress, count, islice
from operator import is_not, ne
from typing import Any, TypeAlias, TypeVar, cast

from ._align import edits
from .pointer import escape
from .values import JSON, MISSING, Missing, is_array, is_object, same

_K = TypeVar("_K")

Operation: TypeAlias = dict[str, Any]
"""One step of a patch, as in JSON: ``{"op": "replace", "path": "/a/b", "value": 1}``."""


def diff(old: JSON | Missing, new: JSON | Missing) -> list[Operation]:
    """The operations that make ``new`` out of ``old``: ``add``, ``remove`` and ``replace`` only.

    MISSING stands for no value at all: coming from it is an ``add`` at the root, going to it a
    ``remove`` there. The order of keys is no change, and 1 is not 1.0. The patch shares its values
    with ``new``.
    """
    if old is new:
        return []
    if old is MISSING:
        return [{"op": "add", "path": "", "value": new}]
    if new is MISSING:
        return [{"op": "remove", "path": ""}]
    patch: list[Operation] = []
    _values(old, new, "", patch)
    return patch


def changed_keys(old: dict[_K, Any], new: dict[_K, Any]) -> list[_K]:
    """Keys whose values are not the same object; those that only one has are among them."""
    # As far as the keys are in the same order, nothing has to be looked up.
    together = next(compress(count(), map(ne, old, new)), min(len(old), len(new)))
    changed = list(compress(islice(new, together), map(is_not, old.values(), new.values())))
    others = islice(new, together, None)
    changed += [key for key in others if old.get(key, MISSING) is not new[key]]
    return changed + [key for key in islice(old, together, None) if key not in new]


def _values(old: Any, new: Any, path: str, patch: list[Operation]) -> bool:
    """Add to the patch what makes ``new`` out of ``old``; whether any of ``old`` stayed."""
    start = len(patch)
    if is_object(old) and is_object(new):
        stayed = _objects(old, new, path, patch)
    elif is_array(old) and is_array(new):
        stayed = _arrays(old, new, path, patch)
    elif same(old, new):
        return True
    else:
        patch.append({"op": "replace", "path": path, "value": new})
        return False
    if not stayed and len(patch) > start + 1:
        patch[start:] = [{"op": "replace", "path": path, "value": new}]
    return stayed or len(patch) == start


def _objects(old: dict[str, Any], new: dict[str, Any], path: str, patch: list[Operation]) -> bool:
    changed = changed_keys(old, new)
    stayed = len(new) > len(changed) or not new.keys() <= set(changed)
    for key in changed:
        place = f"{path}/{escape(key)}"
        if key not in new:
            patch.append({"op": "remove", "path": place})
        elif key not in old:
            patch.append({"op": "add", "path": place, "value": new[key]})
        elif _values(old[key], new[key], place, patch):
            stayed = True
    return stayed


def _arrays(old: list[Any], new: list[Any], path: str, patch: list[Operation]) -> bool:
    changes = edits(old, new)
    stayed = len(old) > sum(i is not None for i, _ in changes)
    shift = 0
    for i, j in changes:
        if i is None:
            patch.append({"op": "add", "path": f"{path}/{j}", "value": new[cast("int", j)]})
            shift += 1
        elif j is None:
            patch.append({"op": "remove", "path": f"{path}/{i + shift}"})
            shift -= 1
        elif _values(old[i], new[j], f"{path}/{j}", patch):
            stayed = True
    return stayed
