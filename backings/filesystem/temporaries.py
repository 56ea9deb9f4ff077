"""Files that are made under a temporary name: they get their own, or nothing is left of them.

What was left would take room, which is what is wanting where a disk is full.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from objstore.errors import BackingError

from . import names
from .io import Files


@contextmanager
def removed_on_error(files: Files, temporary: str) -> Generator[None]:
    """Remove the file at ``temporary`` should the block fail; what cannot be is noted."""
    try:
        yield
    except BaseException as error:
        try:
            files.unlink(temporary)
        except BackingError as failure:
            error.add_note(str(failure))
        raise


def replace(files: Files, path: str, data: bytes, *, sync: bool = True) -> None:
    """Put a file with these bytes in the place of what is at ``path``, in one step.

    With ``sync`` the bytes are on the disk then; the name is for the caller to sync.
    """
    temporary = names.temporary_path(path)
    with removed_on_error(files, temporary):
        files.write(temporary, data, path, sync=sync)
        files.rename(temporary, path)
