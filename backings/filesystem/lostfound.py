"""lost+found: bytes that recovery would not throw away."""

from __future__ import annotations

import os

from . import names
from .io import Files
from .temporaries import replace


def keep(files: Files, path: str, data: bytes) -> None:
    """Put bytes that were found at ``path`` there, on the disk when this returns."""
    kept = _place(files, path, data)
    replace(files, kept, data)
    files.sync_folder(os.path.dirname(kept))


def move(files: Files, path: str, data: bytes) -> str:
    """Move a file there that has these bytes, likewise; what it is called then."""
    kept = _place(files, path, data)
    files.rename(path, kept)
    files.sync_folder(os.path.dirname(kept))
    files.sync_folder(os.path.dirname(path))
    return kept


def _place(files: Files, path: str, data: bytes) -> str:
    """Where what was found at ``path`` is to be, in a folder that is on the disk."""
    folder = names.lost_and_found(files.root)
    files.make_folders(folder, [])
    files.sync_folder(os.path.dirname(folder))
    return names.lost(files.root, files.relative(path), data)
