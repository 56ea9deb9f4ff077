"""How a Storage of one file or folder is made: whole, or not at all, whoever else makes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

from . import storages
from .filesystem import names
from .filesystem.io import Files

Step = Callable[[Files, str], None]
"""Something done to a path."""


@contextmanager
def placed(
    target: str, path: str, make: Step, clear: Step, umask: int | None = None
) -> Generator[str]:
    """What the block fills becomes ``target``, on the disk; ``make`` begins it, beside that.

    ``clear`` removes what is left of it, also of a process that died. Raises DuplicateStorageError
    for ``path`` where something is at the target, and nothing is there that was not.
    """
    folder, name = os.path.split(target)
    files = Files(folder, umask=umask)
    made: list[str] = []
    files.make_folders(folder, made)
    if files.lstat(target) is not None:
        raise storages.duplicate_storage(path)
    with files.locked(folder):  # what a dead one left is cleared away, and nobody's who lives
        temporary = f"{folder}/{names.temporary(name)}"
        clear(files, temporary)
        try:
            make(files, temporary)
            yield temporary
            files.sync_file(temporary)
            if not files.place(temporary, target):
                raise storages.duplicate_storage(path)
            for changed in (folder, *map(os.path.dirname, reversed(made))):
                files.sync_folder(changed)
        finally:
            clear(files, temporary)
