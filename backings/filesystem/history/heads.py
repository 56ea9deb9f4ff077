"""Heads: the newest change of every unit that the log has.

A unit's changes are a chain, newest first. Each one points to the change before, and to the one
whose ordinal is its own with the lowest bit cleared; so any change is found in a few dozen steps,
however many there are, and no index of the log is needed but this one. Disposable: made again from
the log where its file is missing, torn or another store's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple, TypeAlias

from objstore.documents import Overlay
from objstore.patch import apply
from objstore.pointer import aboves
from objstore.values import JSON, MISSING, Missing

from ..contents import parse
from ..log.logview import Link
from .record import NO_FILE, Entry, Said, patch_text

Key: TypeAlias = "str | tuple[str, str]"
"""A unit, or a scope and a unit in it."""

SCOPED_FILE: Final = "scope.json"
"""What the image of a unit in a scope is called: its contents, as JSON."""


_NO_OVERLAYS: Final[Mapping[str, Overlay]] = {}


class Head(NamedTuple):
    """The newest change of a unit."""

    link: Link
    nth: int
    after: str | None
    """The digest that it left; NO_FILE for a deletion, None where it is not known yet."""
    file: str | None
    """The file's path within the store, as far as the log says."""
    weight: int
    """The bytes of the patches since the last image, with the one that it stands with; or since the
    file was made."""
    size: int
    """The bytes of that image, or of the patch that made the file; the weight never exceeds it."""
    marks: tuple[tuple[int, Link], ...]
    """The changes that jumps to come lead to, oldest first; the last one is this change."""
    is_found: bool = False
    """Whether somebody else left the file as it is: the log has its contents, not its bytes."""

    def jump(self) -> Link | None:
        """Where the jump of the next change leads."""
        target = (self.nth + 1) & self.nth
        for nth, link in reversed(self.marks):
            if nth == target:
                return link
        return None


def _after(head: Head | None, entry: Entry, link: Link, *, external: bool) -> Head:
    """The head once ``entry`` is the newest change."""
    weight = len(patch_text(entry))
    kept = entry.nth & (entry.nth - 1)
    marks = () if head is None else tuple([mark for mark in head.marks if mark[0] <= kept])
    file = entry.file or (None if head is None else head.file)
    size, before = (0, 0) if head is None else (head.size, head.weight)
    if entry.image is not None:
        size, before = len(entry.image), 0
    elif entry.is_base or entry.is_lone or head is None:
        # The patch has all there is, as an image would.
        size, before, weight = weight, 0, 0
    marks = (*marks, (entry.nth, link))
    is_found = external and entry.after != NO_FILE
    return Head(link, entry.nth, entry.after, file, before + weight, size, marks, is_found)


class Heads:
    """The heads of a store, as of a commit; and what its scopes hold."""

    def __init__(self) -> None:
        self.number = 0
        """The last record that was taken in."""
        self.learned = 0
        """How many changes were taken in since these were written down."""
        self.units: Final[dict[Key, Head]] = {}
        self.overlays: Final[dict[str, dict[str, Overlay]]] = {}
        self.ended: Final[dict[str, int]] = {}
        """By unit, up to which commit scopes have changed it that were deleted since: ``units`` has
        nothing of these."""
        self._lent: Final[set[str]] = set()
        """The scopes whose overlays somebody was given, so that they must not change any more."""
        self._below: dict[str, set[str]] | None = None
        """By place, what is right below it and leads to units of the base; once asked for."""

    def take(self, said: Said, link: Link) -> None:
        """Take in the next record."""
        for scope in said.drops:
            self._drop(scope)
        for entry in said.entries:
            key = key_of(said.scope, entry.unit)
            if self._below is not None and said.scope is None and key not in self.units:
                _lead_to(entry.unit, self._below)
            self.units[key] = _after(self.units.get(key), entry, link, external=said.external)
            if said.scope is not None:
                self._lay(said.scope, entry, link)
        if said.deletes and said.scope is not None:
            self._drop(said.scope)
        self.number = link.number
        self.learned += len(said.entries) or 1

    def below(self, path: str) -> Iterator[str]:
        """The units of the base that are below a place; others may come meanwhile."""
        if self._below is None:
            self._below = {}
            for key in self.units:
                if isinstance(key, str):
                    _lead_to(key, self._below)
        return self._walk(path, self._below)

    def near(self, path: str) -> Iterator[Key]:
        """What commits that touch a path have changes of: units there, above it and below, of the
        base and of the scopes that there are."""
        for unit in chain((path, *aboves(path)), self.below(path)):
            if unit in self.units:
                yield unit
        for scope, units in self.overlays.items():
            yield from ((scope, unit) for unit in units if _is_near(unit, path))

    @property
    def unplaced(self) -> int:
        """How many units ``below`` has to look at first."""
        return 0 if self._below is not None else len(self.units)

    def ended_near(self, path: str) -> int:
        """The newest commit that changed any of these in a scope that was deleted since."""
        return max((n for unit, n in self.ended.items() if _is_near(unit, path)), default=0)

    def _walk(self, path: str, below: Mapping[str, set[str]]) -> Iterator[str]:
        waiting = [path]
        while waiting:
            for place in list(below.get(waiting.pop(), ())):
                if place in self.units:
                    yield place
                waiting.append(place)

    def lend(self, scope: str) -> Mapping[str, Overlay]:
        """What a scope holds now, and will have held then; nothing where there is none."""
        if scope in self.overlays:
            self._lent.add(scope)
        return self.overlays.get(scope, _NO_OVERLAYS)

    def _lay(self, scope: str, entry: Entry, link: Link) -> None:
        units = self.overlays.setdefault(scope, {})
        if scope in self._lent:
            units = self.overlays[scope] = units.copy()
            self._lent.remove(scope)
        there = units.get(entry.unit)
        is_told = entry.is_base or entry.is_lone
        before = image_of(entry) if there is None or is_told else there.value
        base = before if there is None else there.base
        if entry.base is not None:
            base = entry.base[0] if entry.base else MISSING
        units[entry.unit] = Overlay(base, apply(before, entry.patch), link.number)

    def _drop(self, scope: str) -> None:
        self._lent.discard(scope)
        for unit in self.overlays.pop(scope, {}):
            head = self.units.pop((scope, unit), None)
            if head is not None:
                self.ended[unit] = max(head.link.number, self.ended.get(unit, 0))


def _is_near(unit: str, path: str) -> bool:
    return f"{unit}/".startswith(f"{path}/") or path.startswith(f"{unit}/")


def _lead_to(unit: str, below: dict[str, set[str]]) -> None:
    place = unit
    for above in aboves(unit):
        there = below.setdefault(above, set())
        if place in there:
            break
        there.add(place)
        place = above


def key_of(scope: str | None, unit: str) -> Key:
    return unit if scope is None else (scope, unit)


def image_of(entry: Entry) -> JSON | Missing:
    """What was before an entry that tells it by itself. Raises FormatError for an image that does
    not parse."""
    if entry.image is None:
        return MISSING
    return parse(entry.image, entry.was or entry.file or SCOPED_FILE)


def is_file(digest: str | None) -> bool:
    """Whether a digest is that of a file."""
    return digest is not None and digest != NO_FILE
