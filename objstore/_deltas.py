"""What changed between two commits, as JSON Patch over the pointers of a whole store.

A store's document has an object for each directory that something is in. So a patch that makes the
first unit of a directory makes the directory too, and one that deletes the last one deletes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from ._past import nested, node_at
from .documents import Commit, Documents
from .errors import HistoryGone, KeyNotFoundError, LayoutError
from .patch import Operation, diff
from .pointer import aboves, join, split
from .values import JSON, MISSING, Missing, copy_of


class Delta(NamedTuple):
    """A unit before and after."""

    old: JSON | Missing
    new: JSON | Missing


Deltas: TypeAlias = dict[str, Delta]


def gather(commits: Iterable[Commit], path: str) -> Deltas:
    """The units at, below or around a path that commits changed: before them and after them.

    Raises HistoryGone where nobody knows what one was before.
    """
    found: Deltas = {}
    for commit in commits:
        for unit, old, new, _ in commit.changes:
            if is_within(unit, path) or is_within(path, unit):
                first = found.get(unit)
                if first is None:
                    require_old(commit, unit)
                found[unit] = Delta(old if first is None else first.old, new)
    return {unit: delta for unit, delta in found.items() if delta.old is not delta.new}


def require_old(commit: Commit, unit: str) -> None:
    """Raise HistoryGone where nobody knows what a unit was before a commit of it."""
    if unit in commit.unknown:
        raise HistoryGone(f"what {unit} was before commit {commit.number} is not known")


def turned(deltas: Deltas) -> Deltas:
    """The same in the other direction."""
    return {unit: Delta(delta.new, delta.old) for unit, delta in deltas.items()}


def patch_of(deltas: Deltas, path: str, documents: Documents, at: int) -> list[Operation]:
    """The patch that the deltas are; no operation of it names a place above ``path``.

    ``at`` is a commit at one end of them: it tells what else is in their directories.
    """
    operations = _Maker(deltas, path, documents, at).operations()
    return [copy_of(operation) for operation in operations]


def is_within(pointer: str, path: str) -> bool:
    """Whether a pointer is ``path`` or leads below it."""
    return pointer == path or pointer.startswith(path + "/")


class _Maker:
    def __init__(self, deltas: Deltas, path: str, documents: Documents, at: int) -> None:
        self._deltas: Final = deltas
        self._path: Final = path
        self._documents: Final = documents
        self._at: Final = at
        self._below: Final[dict[str, list[Delta]]] = {}
        """By directory, the deltas of what is in and below it."""
        for unit, delta in deltas.items():
            for directory in aboves(unit):
                self._below.setdefault(directory, []).append(delta)
        self._was_there: Final = cache(self._find_was_there)
        self._has_others: Final = cache(self._find_has_others)

    def operations(self) -> Iterator[Operation]:
        """Removals first: a directory may take the place of a unit, and the reverse."""
        made: dict[str, dict[str, JSON]] = {}
        removed: dict[str, None] = {}
        edits: list[Operation] = []
        for unit, (old, new) in sorted(self._deltas.items()):
            if not is_within(unit, self._path):
                edits += self._part(unit, old, new)
            elif new is MISSING:
                removed[self._highest(unit, after=True)] = None
            elif isinstance(old, Missing):
                made.setdefault(self._highest(unit, after=False), {})[unit] = new
            else:
                edits += _below(unit, diff(old, new))
        yield from ({"op": "remove", "path": place} for place in removed)
        yield from edits
        for place, units in made.items():
            value = units.get(place, MISSING)
            whole = nested(units, place) if value is MISSING else value
            yield {"op": "add", "path": place, "value": whole}

    def _part(self, unit: str, old: JSON | Missing, new: JSON | Missing) -> list[Operation]:
        """The change of a place within a unit."""
        tokens = split(self._path[len(unit) :])
        return _below(self._path, diff(node_at(old, tokens), node_at(new, tokens)))

    def _highest(self, unit: str, *, after: bool) -> str:
        """The highest directory above a unit that is made or deleted with it; or the unit."""
        directory = self._path
        for token in split(unit[len(directory) :]):
            if directory and not self._was_there(directory, after):
                return directory
            directory = join(directory, token)
        return unit

    def _find_was_there(self, directory: str, after: bool) -> bool:
        below = self._below.get(directory, ())
        states = (delta.new if after else delta.old for delta in below)
        return any(state is not MISSING for state in states) or self._has_others(directory)

    def _find_has_others(self, directory: str) -> bool:
        """Whether a unit is in the directory that no delta is of."""
        for member in self._members(directory):
            if member not in self._deltas and (
                member not in self._below or self._has_others(member)
            ):
                return True
        return False

    def _members(self, directory: str) -> list[str]:
        try:
            return [join(directory, key) for key in self._documents.keys(directory, at=self._at)]
        except (LayoutError, KeyNotFoundError):  # a file, or nothing, by today's schema
            return []


def _below(place: str, patch: list[Operation]) -> list[Operation]:
    return [{**operation, "path": place + operation["path"]} for operation in patch]
