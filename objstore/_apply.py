"""Carrying out a JSON Patch (RFC 6902) on a value that never changes in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any, Final

from ._merge import Lineage
from .errors import PatchError
from .pointer import build, split
from .values import JSON, MISSING, Missing, is_array, is_object, show


def apply(
    value: JSON | Missing,
    patch: Iterable[Mapping[str, Any]],
    *,
    first: int = 1,
    lineage: Lineage | None = None,
) -> JSON | Missing:
    """The value that the patch makes of ``value``, which itself stays as it is.

    All operations of RFC 6902. ``add`` at the root of MISSING makes a value, ``remove`` at the root
    leaves MISSING; ``test`` takes 1 for 1.0, as section 4.6 has it, but not for true. What the
    patch does not touch is shared with ``value``, and what it adds with the patch. Errors count
    operations from ``first``; ``lineage`` is told of every container that was copied. Raises
    PatchError where an operation is malformed or does not fit, or a test fails.
    """
    draft = _Draft(value, lineage)
    for number, operation in enumerate(patch, first):
        draft.step = step = _Step(number, operation)
        step.perform(draft)
    patched: JSON | Missing = draft.root
    return patched


def require_patch(patch: Iterable[Mapping[str, Any]]) -> None:
    """Raise PatchError for the first operation that is malformed, whatever the patch is for."""
    for number, operation in enumerate(patch, 1):
        step = _Step(number, operation)
        step.check()


def require_tests(operations: Iterable[Mapping[str, Any]]) -> None:
    """Raise PatchError for the first operation that is malformed, or changes something."""
    for number, operation in enumerate(operations, 1):
        step = _Step(number, operation)
        step.check()
        if step.name() != "test":
            raise step.refusal('an "op" of test', show(step.name()))


def are_operations(value: object) -> bool:
    """Whether a value reads as a patch, well-formed or not: objects with an ``op`` of RFC 6902."""
    if not is_array(value) or not value:
        return False
    return all(is_object(one) and one.get("op") in [*_OPERATIONS] for one in value)


class _Step:
    """An operation, its parts checked as they are asked for."""

    def __init__(self, number: int, operation: object) -> None:
        self.number = number
        self.operation: Mapping[str, Any] = {}
        if not isinstance(operation, Mapping):
            raise self.refusal("an object", show(operation))
        self.operation = operation

    def perform(self, draft: _Draft) -> None:
        _OPERATIONS[self.name()](draft, self)

    def check(self) -> None:
        """Ask for every part."""
        name = self.name()
        self.place()
        if name in ("move", "copy"):
            self.place("from")
        elif name != "remove":
            self.value()

    def name(self) -> str:
        name = self.operation.get("op", MISSING)
        if not isinstance(name, str) or name not in _OPERATIONS:
            raise self.refusal(f'an "op" of {", ".join(_OPERATIONS)}', show(name))
        return name

    def value(self) -> Any:
        value = self.operation.get("value", MISSING)
        if value is MISSING:
            raise self.refusal('a "value"', "nothing")
        return value

    def place(self, member: str = "path") -> list[str]:
        """The tokens of a pointer. RFC 6901 is stricter about ``~`` than reading it would need."""
        text = self.operation.get(member, MISSING)
        if not isinstance(text, str) or not _is_pointer(text):
            raise self.refusal(f'a "{member}" that is a JSON Pointer', show(text))
        return split(text)

    def refusal(self, expected: str, found: str, place: str | None = None) -> PatchError:
        name, path = self.operation.get("op"), self.operation.get("path")
        title = f" ({name} {path or 'the root'})" if isinstance(path, str) else ""
        where = f" at {place or 'the root'}" if place not in (None, path) else ""
        message = f"operation {self.number}{title}: expected {expected}{where}, found {found}"
        return PatchError(
            message, number=self.number, pointer=place, expected=expected, found=found
        )


class _Draft:
    """A value on its way through a patch. A container is copied before it is first written to."""

    step: _Step
    """The operation under way, for it knows how to tell what is wrong."""

    def __init__(self, value: JSON | Missing, lineage: Lineage | None) -> None:
        self.root: Any = value
        self._lineage = lineage
        # The copies, by identity; kept alive, so that no other object takes over an identity.
        self._own: dict[int, Any] = {}

    def find(self, place: list[str]) -> Any:
        node = self.root
        if node is MISSING:
            raise self.step.refusal("a value", "nothing", "")
        for depth in range(len(place)):
            node = node[self._key(node, place, depth)]
        return node

    def add(self, place: list[str], value: Any) -> None:
        """Put a value where nothing is, or instead of what is there; in an array, before it."""
        if not place:
            self.root = value
            return
        parent, end = self._writable(place), place[-1]
        if is_array(parent):
            size = len(parent)
            parent.insert(size if end == "-" else self._index(place, size + 1), value)
        elif is_object(parent):
            parent[end] = value
        else:
            raise self._no_container(parent, place[:-1])

    def replace(self, place: list[str], value: Any) -> None:
        if place:
            parent, key = self._entry(place)
            parent[key] = value
        else:
            self.find(place)
            self.root = value

    def remove(self, place: list[str]) -> Any:
        if place:
            parent, key = self._entry(place)
            return parent.pop(key)
        removed = self.find(place)
        self.root = MISSING
        return removed

    def share(self) -> None:
        """Let no container be written to that is in the value by now: it may be there twice."""
        self._own.clear()

    def _entry(self, place: list[str]) -> tuple[Any, Any]:
        """An existing place, to be written: its container and its key or index there."""
        parent = self._writable(place)
        return parent, self._key(parent, place, len(place) - 1)

    def _writable(self, place: list[str]) -> Any:
        """The container that the place is in, it and those above it copied."""
        node = self.root = self._owned(self.root)
        for depth in range(len(place) - 1):
            key = self._key(node, place, depth)
            child = node[key] = self._owned(node[key])
            node = child
        return node

    def _owned(self, value: Any) -> Any:
        if id(value) in self._own or not (is_object(value) or is_array(value)):
            return value
        copy = value.copy()
        self._own[id(copy)] = copy
        if self._lineage is not None:
            self._lineage[id(copy)] = (copy, value)
        return copy

    def _key(self, node: Any, place: list[str], depth: int) -> Any:
        """The key or index in ``node`` of the existing value that the place leads to or through."""
        if is_object(node):
            if place[depth] not in node:
                raise self.step.refusal("a value", "nothing", build(place[: depth + 1]))
            return place[depth]
        if is_array(node):
            return self._index(place[: depth + 1], len(node))
        raise self._no_container(node, place[:depth])

    def _index(self, place: list[str], limit: int) -> int:
        index = int(place[-1]) if _INDEX.fullmatch(place[-1]) else limit
        if index >= limit:
            expected = f"an index below {limit}" if limit else "no index of an empty array"
            raise self.step.refusal(expected, show(place[-1]), build(place))
        return index

    def _no_container(self, node: Any, place: list[str]) -> PatchError:
        return self.step.refusal("an object or array", show(node), build(place))


_INDEX: Final = re.compile("0|[1-9][0-9]{0,17}")
"""RFC 6901, section 4: no leading zeros. More digits than this are no list's length."""

_BAD_ESCAPE: Final = re.compile("~(?![01])")


def _is_pointer(text: str) -> bool:
    return not text or (text[0] == "/" and not ("~" in text and _BAD_ESCAPE.search(text)))


# --- the operations, RFC 6902 section 4 -----------------------------------------------------------


def _add(draft: _Draft, step: _Step) -> None:
    draft.add(step.place(), step.value())


def _remove(draft: _Draft, step: _Step) -> None:
    draft.remove(step.place())


def _replace(draft: _Draft, step: _Step) -> None:
    draft.replace(step.place(), step.value())


def _move(draft: _Draft, step: _Step) -> None:
    source, target = step.place("from"), step.place()
    if source == target:
        draft.find(source)
    elif target[: len(source)] == source:
        raise step.refusal("a place outside of what is moved", show(build(target)), build(target))
    else:
        draft.add(target, draft.remove(source))


def _copy(draft: _Draft, step: _Step) -> None:
    target, copied = step.place(), draft.find(step.place("from"))
    draft.share()  # first, as the target may be within what is copied
    draft.add(target, copied)


def _test(draft: _Draft, step: _Step) -> None:
    place = step.place()
    difference = _difference(step.value(), draft.find(place))
    if difference is not None:
        within, expected, found = difference
        raise step.refusal(show(expected), show(found), build([*place, *within]))


_OPERATIONS: Final[dict[str, Callable[[_Draft, _Step], None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _difference(wanted: Any, found: Any) -> tuple[list[str | int], Any, Any] | None:
    """Where the two first differ, and how; None where they are equal by RFC 6902, section 4.6."""
    if wanted is found:
        return None
    if is_object(wanted) and is_object(found):
        parts = ((key, wanted.get(key, MISSING), found.get(key, MISSING)) for key in wanted | found)
    elif is_array(wanted) and is_array(found):
        pairs = zip_longest(wanted, found, fillvalue=MISSING)
        parts = ((index, one, other) for index, (one, other) in enumerate(pairs))
    else:
        equal = isinstance(wanted, bool) is isinstance(found, bool) and wanted == found
        return None if equal else ([], wanted, found)
    for key, one, other in parts:
        if difference := _difference(one, other):
            return [key, *difference[0]], difference[1], difference[2]
    return None


def differs(wanted: Any, found: Any) -> bool:
    """Whether a ``test`` for ``wanted`` would fail."""
    return _difference(wanted, found) is not None
