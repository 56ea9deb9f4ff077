"""A blob copied out, into a file of the user's: whole and on the disk, or as before."""

from __future__ import annotations

import io
import os.path
import stat
from collections.abc import Callable
from secrets import token_hex
from typing import Final

from objstore._moving import reading

from .. import names
from ..io import Files, Opened
from ..temporaries import removed_on_error
from .blobreader import BlobReader

_STEP: Final = 4 << 20
"""How much the kernel copies before the disk begins with it, and progress is told."""

_CHUNK: Final = 1 << 20


def export(source: io.RawIOBase, path: str, tell: Callable[[int], object]) -> None:
    """Copy all of a raw file. Raises BackingError where the medium refuses."""
    files = Files(os.path.dirname(path))
    temporary = names.own_temporary_path(path, token_hex(4))
    with removed_on_error(files, temporary):
        found = files.stat(path)
        like = found if found is not None and stat.S_ISREG(found.st_mode) else None
        target = files.make(temporary, path, like)
        try:
            _copy(files, source, target, tell)
            files.sync_data(target)
        finally:
            files.close(target)
        files.rename(temporary, path)
    files.sync_folder(os.path.dirname(path))


def _copy(
    files: Files, source: io.RawIOBase, target: Opened, tell: Callable[[int], object]
) -> None:
    done = 0
    if isinstance(source, BlobReader):
        while count := files.copy_range(source.opened, target, done, _STEP):
            files.push(target, done, count)
            done += count
            tell(done)
        if count == 0:
            return
    source.seek(done)
    read_into, buffer = reading(source), memoryview(bytearray(_CHUNK))
    while size := read_into(buffer):
        files.write_at(target, done, buffer[:size])
        files.push(target, done, size)
        done += size
        tell(done)
