"""Git around a store: whether it is changing files, as a checkout is one change, however long; and
keeping it out of the engine's folder."""

from __future__ import annotations

import os.path
import stat
import time
from secrets import token_hex
from typing import Final

from objstore.errors import BackingError, LayoutError

from . import names
from .io import Files
from .temporaries import removed_on_error

IGNORE_ALL: Final = b"*\n"
"""What the .gitignore in the engine's folder says."""

_ABANDONED: Final = 60.0
"""A lock so many seconds old was left behind, or its owner is at something else by now."""

_LINK: Final = b"gitdir: "


def keep_out(files: Files, root: str) -> None:
    """Have git ignore the engine's folder of the store in ``root``, which is there."""
    ignore = names.ignore(root)
    if files.lstat(ignore) is None:
        temporary = names.own_temporary_path(ignore, token_hex(4))
        with removed_on_error(files, temporary):
            files.write(temporary, IGNORE_ALL, ignore)
            files.rename(temporary, ignore)


def is_at_work(files: Files) -> bool:
    """Whether git holds the index of the work tree that the store lies in."""
    try:
        index = _index_of(files)
        found = None if index is None else files.lstat(f"{index}/index.lock")
    except (BackingError, LayoutError):  # who may not look, or it is replaced now, cannot wait
        return False
    return found is not None and abs(time.time() - found.st_mtime) < _ABANDONED


def _index_of(files: Files) -> str | None:
    """The folder of the index: ``.git`` in the store's folder or the nearest above."""
    folder = files.root
    while not files.exists(path := f"{folder.rstrip('/')}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return _led(files, path)


def _led(files: Files, path: str) -> str:
    """Where ``.git`` leads if it is a file, as in work trees beside the first and in submodules."""
    found = files.lstat(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return path
    snapshot = files.read(path, 1 << 12)
    if snapshot is None or not snapshot.data.startswith(_LINK) or b"\0" in snapshot.data:
        return path  # it says nothing, or a stop of the machine has torn it
    named = snapshot.data.removeprefix(_LINK).strip().decode("utf-8", "surrogateescape")
    return os.path.join(os.path.dirname(path), named)
