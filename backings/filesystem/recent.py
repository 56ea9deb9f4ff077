"""The bytes of files that were written a moment ago, which need not be read to be changed again."""

from __future__ import annotations

from typing import Final

from .io import Files, signature
from .tree import Content

_MANY: Final = 256
_LARGE: Final = 1 << 14
"""How many files are kept, and up to how many bytes each: 4 MiB at most, in a store of files of
1 KB a quarter of one."""


class Recent:
    """What this handle wrote last. For who holds the writer's lock."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._kept: Final[dict[str, Content]] = {}
        """By path, in the order in which they were written."""

    def keep(self, content: Content) -> None:
        """Keep what was written, where any change of it changes its signature."""
        if len(content.data) <= _LARGE:
            self._kept.pop(content.path, None)
            self._kept[content.path] = content
            if len(self._kept) > _MANY:
                del self._kept[next(iter(self._kept))]

    def find(self, path: str) -> Content | None:
        """The file at a path, if it is what was written there; None where it has to be read."""
        kept = self._kept.get(path)
        if kept is None:
            return None
        found = self._files.lstat(path)
        if found is not None and signature(found) == signature(kept.status):
            return kept
        del self._kept[path]
        return None
