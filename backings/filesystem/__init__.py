"""Plain files as a backing.

What is where, from below: ``io`` is the seam that all files go through, and ``names`` makes their
names; ``log`` is the commit log, ``history`` what its records say of units; ``places``, ``tree``
and ``reading`` find and read a store's files; ``committer`` makes commits out of a ``plan`` (begin
with its method ``commit``); ``engine`` is all of that together, and ``documents`` what the core
sees. ``watching`` follows edits. ``events``, ``blobs`` and ``values`` keep what lies beside the
objects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .documents import open_documents

if TYPE_CHECKING:
    from .blobs.depot import Depot
    from .events.eventlog import open_events
    from .events.records import RecordKeeper

__all__ = ["Depot", "RecordKeeper", "open_documents", "open_events"]

# Loaded when first asked for: a program that opens a store need not wait for what it does not use.
_LATER: Final = {
    "Depot": ".blobs.depot",
    "RecordKeeper": ".events.records",
    "open_events": ".events.eventlog",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
