"""lost+found: bytes that recovery would not throw away."""

from __future__ import annotations

from . import names
from .io import Files
from .temporaries import replace


def keep(files: Files, path: str, data: bytes) -> None:
    """Put bytes that were found at ``path`` there, on the disk when this returns."""
    folder = names.lost_and_found(files.root)
    files.make_folders(folder, [])
    kept = names.lost(files.root, files.relative(path), data)
    replace(files, kept, data)
    files.sync_folder(folder)
