"""The records of ``data`` as persistent objects of ZODB; imported by ``peers.need`` alone."""

from __future__ import annotations

from typing import Any

from persistent import Persistent
from persistent.mapping import PersistentMapping


class Node(Persistent):
    """A record with attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update({name: as_persistent(value) for name, value in values.items()})


def as_persistent(value: Any) -> Any:
    """Persistent objects at every level."""
    return Node(value) if isinstance(value, dict) else value


def as_mappings(value: Any) -> Any:
    """Persistent mappings at every level."""
    if not isinstance(value, dict):
        return value
    return PersistentMapping({name: as_mappings(part) for name, part in value.items()})
