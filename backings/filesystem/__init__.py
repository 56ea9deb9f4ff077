"""Plain files as a backing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .documents import open_documents

if TYPE_CHECKING:
    from .depot import Depot
    from .eventlog import open_events
    from .records import RecordKeeper

__all__ = ["Depot", "RecordKeeper", "open_documents", "open_events"]

# Loaded when first asked for: a program that opens a store need not wait for what it does not use.
_LATER: Final = {"Depot": ".depot", "RecordKeeper": ".records", "open_events": ".eventlog"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name], __name__), name)
