"""References from documents to blobs: which lead nowhere, and which blobs have none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from ._identifiers import Identifier, ObjectStateT, linked
from .depot import Depot
from .pointer import join
from .values import JSON, is_array, is_object

__all__ = ["Dangling", "Reference", "find_dangling", "find_references"]


class Reference(NamedTuple):
    """A place in a document that refers to a blob."""

    pointer: str
    """Its JSON Pointer in the store."""
    identifier: Identifier


class Dangling(NamedTuple):
    """A reference without a blob that can be read, or a readable blob without a reference."""

    identifier: Identifier
    pointer: str | None
    """Where the reference is; None for a blob that nothing refers to."""
    scope: str | None = None
    """The scope that it is in; None for one in the store itself."""


def find_references(unit: str, contents: JSON) -> Iterator[Reference]:
    """The links in a unit's contents; ``unit`` is its pointer."""
    pending: list[tuple[str, Any]] = [(unit, contents)]
    while pending:
        pointer, value = pending.pop()
        if is_object(value):
            pending += reversed([(join(pointer, key), item) for key, item in value.items()])
        elif is_array(value):
            pending += reversed([(join(pointer, at), item) for at, item in enumerate(value)])
        elif (identifier := linked(value)) is not None:
            yield Reference(pointer, identifier)


def find_lost(unit: str, contents: JSON, depot: Depot) -> Iterator[Reference]:
    """The links in a unit's contents to blobs that cannot be read."""
    for reference in find_references(unit, contents):
        if depot.state(reference.identifier) is not ObjectStateT.READABLE:
            yield reference


def find_dangling(
    units: Iterable[tuple[str, JSON]],
    depot: Depot,
    scoped: Iterable[tuple[str, str, JSON]] = (),
) -> Iterator[Dangling]:
    """What dangles both ways, given every unit's pointer and contents.

    ``scoped`` are the units that scopes have changed: each one's scope, pointer and contents there.
    References first, in the order of the units; then blobs, by identifier. A blob that is still
    being written may have its reference yet to come, and is not told of. Memory is for the
    identifiers of all references.
    """
    referred: set[Identifier] = set()
    of_store = ((None, unit, contents) for unit, contents in units)
    for scope, unit, contents in chain(of_store, scoped):
        for reference in find_references(unit, contents):
            referred.add(reference.identifier)
            if depot.state(reference.identifier) is not ObjectStateT.READABLE:
                yield Dangling(reference.identifier, reference.pointer, scope)
    for identifier in depot.identifiers():
        if identifier not in referred and depot.state(identifier) is ObjectStateT.READABLE:
            yield Dangling(identifier, None)
