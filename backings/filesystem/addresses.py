"""Addresses: which unit or directory a path is, the inverse of places."""

from __future__ import annotations

import os.path
from typing import Final

from objstore.errors import KeyNameError, KeyNotFoundError
from objstore.pointer import join

from .io import Entry, Files
from .listing import key_of
from .places import Places

_KEPT: Final = 1 << 15


class Addresses:
    """The addresses of paths below a store's folder. Safe between threads."""

    def __init__(self, files: Files, places: Places) -> None:
        self._files: Final = files
        self._places: Final = places
        # By path. Cleared when it has grown: whoever reads meanwhile makes an entry anew.
        self._folders: Final[dict[str, str | None]] = {}

    def folder(self, path: str) -> str | None:
        """The pointer of the directory whose folder this is; None for a folder that is no key's."""
        if path == self._files.root:
            return ""
        if path in self._folders:
            return self._folders[path]
        found = self._member(path, is_folder=True) if path.startswith(self._files.below) else None
        if len(self._folders) >= _KEPT:
            self._folders.clear()
        self._folders[path] = found
        return found

    def unit(self, path: str) -> str | None:
        """The pointer of the unit whose file this is, or would be; None for what is no key's.

        So are temporary files, hidden ones, and the backups that editors make.
        """
        return self._member(path, is_folder=False)

    def _member(self, path: str, *, is_folder: bool) -> str | None:
        parent, name = os.path.split(path)
        above = self.folder(parent)
        if above is None:
            return None
        try:
            layout, declared = self._places.at(above).layout, self._places.declared(above)
            key = key_of(Entry(name, not is_folder, is_folder), layout, declared)
            if key is None:
                return None
            self._places.at(join(above, key))  # raises for what would be too deep
        except (KeyNameError, KeyNotFoundError):
            return None
        return join(above, key)
