"""How a value log is made in its folder. Order of steps: docs/formats/value-log.md."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from objstore.errors import BackingError

from .. import names
from ..io import Files
from ..log.loglock import LogLock
from . import vloglist
from .vloglist import FileList, Listed, remove_empty
from .vlogwriter import make_file


def make(files: Files, lock: LogLock, capacity: int, wait: float | None) -> bool:
    """Make an empty value log; False where something is there already, and nothing is changed.

    Of several that try at once, one succeeds.
    """
    if not _is_free(files):
        return False
    lock.acquire(wait)
    try:
        return _make(files, capacity, lock.made) if _is_free(files) else False
    except BaseException as error:
        lock.unmake(error)
        raise
    finally:
        lock.release()


def _is_free(files: Files) -> bool:
    """Whether there is nothing but what a process left that died in the making."""
    found = files.lstat(files.root)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        return False
    own = {
        os.path.basename(path)
        for path in (
            names.values_lock(files.root),
            names.values(files.root),
            names.temporary_path(names.value_list(files.root)),
        )
    }
    return all(entry.name in own for entry in files.entries(files.root))


def _make(files: Files, capacity: int, made: Sequence[str]) -> bool:
    listed = Listed(1, uuid4())
    found = FileList(uuid4(), capacity, (listed,))
    try:
        make_file(files, found, listed, (), 0)
        vloglist.write(files, found)
        for above in dict.fromkeys(map(os.path.dirname, (files.root, *reversed(made)))):
            files.sync_folder(above, sure=True)
    except BaseException:
        _unmake(files, listed)
        raise
    return True


def _unmake(files: Files, listed: Listed) -> None:
    path = names.value_list(files.root)
    file = names.value_file(names.values(files.root), listed.id)
    with suppress(BackingError):
        for one in (path, file):
            files.unlink(one)
        remove_empty(files, os.path.dirname(file))
