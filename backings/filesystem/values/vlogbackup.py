"""A copy of a value log that is in use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from objstore.errors import BackingError
from objstore.storage import Progress

from .. import names
from ..io import Files
from . import vlogbatch, vloglist
from .vlogfile import LogValues
from .vloglist import remove_empty
from .vlogview import View

_CHUNK: Final = 1 << 20


def copy(files: Files, view: View, target: str, progress: Progress | None) -> bool:
    """Copy the newest commit to the folder ``target``; False where something is there."""
    view.refresh()
    with view.guard:
        found = view.list
        ends = [(file, listed.size or view.tail.end) for listed, file in view.in_order()]
    folder, name = os.path.split(files.real(target))
    target = f"{folder}/{name}"
    if files.exists(target):
        return False
    into = Files(names.temporary_path(target), umask=files.umask)
    made: list[str] = []
    into.make_folders(into.root, made)
    try:
        _copy_files(into, ends, progress)
        vloglist.write(into, found)
        into.rename(into.root, target)
    except BaseException:
        _remove(into, [file for file, _ in ends])
        raise
    for above in map(os.path.dirname, reversed(made)):
        files.sync_folder(above, sure=True)
    return True


def _copy_files(
    into: Files, ends: Sequence[tuple[LogValues, int]], progress: Progress | None
) -> None:
    done, total = 0, sum(end for _, end in ends)
    for file, end in ends:
        for size in _copy_file(into, file, end):
            done += size
            if progress is not None:
                progress(done, total)


def _copy_file(into: Files, file: LogValues, end: int) -> Iterator[int]:
    """Copy a file up to ``end``, and say how much of it with every step."""
    path = names.value_file(names.values(into.root), file.id)
    into.make_folders(os.path.dirname(path), [])
    opened = into.make(path, path)
    try:
        for offset in range(0, end, _CHUNK):
            data = file.read(offset, min(_CHUNK, end - offset))
            into.write_at(opened, offset, data)
            yield len(data)
        into.write_at(opened, end, vlogbatch.padding(0))
        into.sync_data(opened, sure=True)
    finally:
        into.close(opened)
    folder = os.path.dirname(path)
    while len(folder) >= len(into.root):
        into.sync_folder(folder, sure=True)
        folder = os.path.dirname(folder)


def _remove(into: Files, files: Iterable[LogValues]) -> None:
    """Remove a copy that was not finished, as far as that can be done."""
    with suppress(BackingError):
        for file in files:
            path = names.value_file(names.values(into.root), file.id)
            into.unlink(path)
            remove_empty(into, os.path.dirname(path))
        into.unlink(names.value_list(into.root))
        into.remove_folder(into.root)
