"""Where JSON Pointers lead in a store, and patches of what lies there.

A store is one JSON document: an operation may be about a part of a file, about a file, or about a
directory with everything in it. All is read as one transaction sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ._apply import apply, differs
from ._merge import Lineage
from .directories import Directory
from .errors import PatchError
from .paths import below
from .pointer import build, join, split
from .values import JSON, MISSING, Missing, is_object, show

if TYPE_CHECKING:
    from ._units import Unit
    from .store import Store
    from .transaction import Transaction


class Within(NamedTuple):
    """A place in a unit."""

    unit: Unit
    rest: list[str]
    """The way to it from the unit's root."""


class Sites:
    """The places of a store, as one transaction sees them. To be used with the store's lock."""

    def __init__(self, store: Store[Any], tx: Transaction) -> None:
        self.store = store
        self._tx = tx

    def at(self, pointer: str) -> Within | Directory[Any]:
        """Where a pointer leads. Raises ValidationError where the schema has no place for it."""
        directory = cast("Directory[Any]", self.store.root)
        tokens = split(pointer)
        for depth, token in enumerate(tokens):
            shape, path = directory._require_shape(token), join(directory._path, token)
            folder, rest = directory._subdirectory(token), tokens[depth + 1 :]
            unit = None if folder is not None and not shape.anything else self._unit(path, shape)
            if unit is not None and (folder is None or not self._is_folder(unit, rest)):
                return Within(unit, rest)
            directory = cast("Directory[Any]", folder)
        return directory

    def _unit(self, path: str, shape: Any) -> Unit:
        return self.store._unit(path, shape)

    def _is_folder(self, unit: Unit, rest: list[str]) -> bool:
        """Whether what nothing is known of is a directory; what is missing is one for more."""
        if self.store.is_directory(unit.pointer):
            return True
        return bool(rest) and self.contents(unit) is MISSING

    def contents(self, unit: Unit) -> JSON | Missing:
        """A unit's contents, or the default in their place."""
        found = self._tx.contents(unit)
        return unit.shape.default if found is MISSING else found


class Scratch:
    """A patch at work: units as it has them so far, seen by nobody."""

    def __init__(self, sites: Sites, lineage: Lineage | None = None) -> None:
        self._sites = sites
        self._lineage = lineage
        self.units: dict[Unit, JSON | Missing] = {}

    def read(self, pointer: str) -> JSON | Missing:
        """What is at a pointer; MISSING where nothing is. Raises ValidationError for no place."""
        site = self._sites.at(pointer)
        if isinstance(site, Directory):
            members = {key: self.read(join(pointer, key)) for key in self._keys(site)}
            return {key: one for key, one in members.items() if one is not MISSING} or MISSING
        node = self._contents(site.unit)
        for token in site.rest:
            node = below(node, token)
        return node

    def perform(self, base: str, patch: Iterable[Mapping[str, Any]]) -> None:
        """Carry out a patch whose pointers are relative to ``base``. Raises PatchError."""
        for number, operation in enumerate(patch, 1):
            step = _Step(number, operation, base)
            move = step.name in ("move", "copy")
            source = self._sites.at(step.source) if move else None
            target = self._sites.at(step.target)
            if isinstance(target, Within) and (
                not move or (isinstance(source, Within) and source.unit is target.unit)
            ):
                changed = {**operation, "path": build(target.rest)}
                if isinstance(source, Within):
                    changed["from"] = build(source.rest)
                self._apply(step, target.unit, changed)
            else:
                self._across(step)

    def _across(self, step: _Step) -> None:
        """What is about a directory, or leads from one unit to another."""
        if step.name in ("move", "copy"):
            value = self._require(step, step.source)
            if step.name == "move":
                if step.target.startswith(f"{step.source}/"):
                    expected = "a place outside of what is moved"
                    raise step.refusal(expected, show(step.target), step.target)
                self._remove(step, step.source)
            self._add(step, step.target, value)
        elif step.name == "add":
            self._add(step, step.target, step.value)
        else:
            found = self._require(step, step.target)
            if step.name == "remove":
                self._remove(step, step.target)
            elif step.name == "replace":
                self._add(step, step.target, step.value)
            elif differs(step.value, found):
                raise step.refusal(show(step.value), show(found), step.target)

    def _require(self, step: _Step, pointer: str) -> JSON:
        found = self.read(pointer)
        if found is MISSING:
            raise step.refusal("a value", "nothing", pointer)
        return found

    def _add(self, step: _Step, pointer: str, value: JSON) -> None:
        site = self._sites.at(pointer)
        if isinstance(site, Within):
            operation = {"op": "add", "path": build(site.rest), "value": value}
            self._apply(step, site.unit, operation)
            return
        if not is_object(value):
            raise step.refusal("an object, as a directory is one", show(value), pointer)
        for key in self._keys(site):
            if key not in value:
                self._remove(step, join(pointer, key))
        for key, member in value.items():
            self._add(step, join(pointer, key), member)

    def _remove(self, step: _Step, pointer: str) -> None:
        site = self._sites.at(pointer)
        if isinstance(site, Within):
            self._apply(step, site.unit, {"op": "remove", "path": build(site.rest)})
        else:
            for key in list(self._keys(site)):
                self._remove(step, join(pointer, key))

    def _apply(self, step: _Step, unit: Unit, operation: Mapping[str, Any]) -> None:
        self.units[unit] = apply(
            self._contents(unit), [operation], first=step.number, lineage=self._lineage
        )

    def _contents(self, unit: Unit) -> JSON | Missing:
        return self.units[unit] if unit in self.units else self._sites.contents(unit)

    def _keys(self, directory: Directory[Any]) -> Iterator[str]:
        """The keys of a directory's members, with what the patch has made and removed."""
        path = directory._path
        keys = dict.fromkeys(self._sites.store.keys_of(path))
        for unit, value in self.units.items():
            if unit.pointer.startswith(f"{path}/"):
                first, *deeper = split(unit.pointer[len(path) :])
                if value is not MISSING:
                    keys[first] = None
                elif not deeper:
                    keys.pop(first, None)
        return iter(keys)


class _Step:
    """One operation, its pointers those of the store."""

    def __init__(self, number: int, operation: Mapping[str, Any], base: str) -> None:
        self.number = number
        self.name: str = operation["op"]
        self.target = base + operation["path"]
        self.source = base + operation.get("from", "")
        self.value: Any = operation.get("value")

    def refusal(self, expected: str, found: str, pointer: str) -> PatchError:
        message = (
            f"operation {self.number} ({self.name} {self.target or 'the root'}): expected"
            f" {expected} at {pointer or 'the root'}, found {found}"
        )
        return PatchError(
            message, number=self.number, pointer=pointer, expected=expected, found=found
        )
