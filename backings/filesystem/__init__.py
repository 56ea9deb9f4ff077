"""Plain files as a backing."""

from __future__ import annotations

from .documents import open_documents

__all__ = ["open_documents"]
