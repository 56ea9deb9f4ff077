"""Eyes: what tells of events in folders, by what the system has for it."""

from __future__ import annotations

import sys
from typing import Final, Protocol

from ..io import Files
from .bursts import Kind

_PLATFORM: Final[str] = sys.platform


class Hear(Protocol):
    """Told of every event, on a thread that must not be kept; ``move`` is of both ends of one."""

    def __call__(self, path: str, kind: Kind, *, move: int = 0) -> None: ...


class Eyes(Protocol):
    """Tell what happens in folders."""

    def add(self, folder: str) -> bool:
        """Tell what happens in a folder from now on; False where no folder is, or only a link.

        Raises BackingError where the system allows no more.
        """
        ...

    def forget(self, folder: str, *, alone: bool = False) -> None:
        """Tell no more of a folder, nor, unless ``alone``, of what was in it."""
        ...

    def close(self) -> None: ...


def open_eyes(files: Files, hear: Hear) -> Eyes:
    """What this system has. Raises BackingError where it allows no more."""
    # Either is imported where it is needed: the one asks for what only Linux has.
    if _PLATFORM == "linux":
        from .inotify import Inotify

        return Inotify(hear)
    from .observer import Observed

    return Observed(files, hear)
