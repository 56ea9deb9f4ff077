"""Which commits touch a path: those that changed it, something below it, or what it stood in."""

from __future__ import annotations

from .documents import Change, Commit
from .pointer import index_of, split
from .values import JSON, MISSING, Missing, is_array, is_object, same


def touches(commit: Commit, path: str) -> bool:
    """Whether a commit changed ``path``, something below it, or something above it as a whole.

    As a whole means that it was made, deleted, or became another kind of value. What is beside the
    path does not count: neither other keys of the same object, nor elements behind one that stays
    the same. What a commit made of a unit that nobody knows before may be all of it.
    """
    unknown = commit.unknown
    return not path or any(_touches(one, path, one.unit in unknown) for one in commit.changes)


def _touches(change: Change, path: str, is_unknown: bool) -> bool:
    unit = change.unit
    if unit == path or unit.startswith(path + "/"):
        return True
    if unit and not path.startswith(unit + "/"):
        return False
    return is_unknown or _differ(change.old, change.new, split(path[len(unit) :]))


def _differ(old: JSON | Missing, new: JSON | Missing, tokens: list[str]) -> bool:
    """Whether two contents differ at a place below them, or on the way to it."""
    for token in tokens:
        if old is new:
            return False
        if is_object(old) and is_object(new):
            old, new = old.get(token, MISSING), new.get(token, MISSING)
        elif is_array(old) and is_array(new):
            old, new = _element(old, token), _element(new, token)
        else:
            break
    return not same(old, new)


def _element(array: list[JSON], token: str) -> JSON | Missing:
    index = index_of(token)
    return MISSING if index is None or index >= len(array) else array[index]
