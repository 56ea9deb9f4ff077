"""Seeking, for raw files that keep their position themselves."""

from __future__ import annotations

import io
from collections.abc import Callable


def sought(offset: int, whence: int, at: int, end: Callable[[], int]) -> int:
    """The position that ``seek(offset, whence)`` leads to. Raises ValueError where none is."""
    if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
        raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
    if whence == io.SEEK_CUR:
        offset += at
    elif whence == io.SEEK_END:
        offset += end()
    if offset < 0:
        raise ValueError(f"cannot seek to {offset}, which is before the first byte")
    return offset
