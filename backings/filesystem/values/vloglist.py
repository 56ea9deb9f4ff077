"""Which files a value log has, in order. Grammar: docs/formats/value-log.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import UUID

from objstore.errors import BackingError, CorruptionError

from .. import names
from ..io import Files
from ..log import jsonline, logappend
from ..log.manifest import check_format, check_of

FORMAT: Final = 1
_LIMIT: Final = 1 << 30


class Listed(NamedTuple):
    """One file of the list."""

    number: int
    """Never falls along the list; all that a merge made have that of the last file it replaced."""
    id: UUID
    size: int | None = None
    """Where its batches end, once it is sealed."""


class FileList(NamedTuple):
    """The list."""

    store: UUID
    capacity: int
    files: tuple[Listed, ...]

    @property
    def newest(self) -> Listed:
        return self.files[-1]

    def encode(self) -> bytes:
        said = {
            "format": FORMAT,
            "store": str(self.store),
            "capacity": self.capacity,
            "files": [{**one._asdict(), "id": str(one.id)} for one in self.files],
        }
        return json.dumps({**said, "crc32c": check_of(said)}, indent=2).encode() + b"\n"


def read(files: Files) -> FileList | None:
    """The list; None where there is none. Raises CorruptionError, FormatError."""
    path = names.value_list(files.root)
    found = files.read(path, _LIMIT)
    return None if found is None else _parse(found.data, files.relative(path))


def write(files: Files, new: FileList) -> None:
    """Replace the list; the new one is on the disk when this returns, whatever the durability."""
    logappend.replace(files, names.value_list(files.root), new.encode())
    files.sync_folder(files.root, sure=True)


def _parse(data: bytes, file: str) -> FileList:
    try:
        said = jsonline.load_object(data)
    except ValueError as error:
        raise CorruptionError("this is no list of files", file=file) from error
    if said.pop("crc32c", None) != check_of(said):
        raise CorruptionError("the list of files does not fit its checksum", file=file)
    check_format(said["format"], file)
    return FileList(UUID(said["store"]), said["capacity"], tuple(map(_listed, said["files"])))


def _listed(said: dict[str, Any]) -> Listed:
    return Listed(said["number"], UUID(said["id"]), said["size"])


# Files that are not in the list, or not any more


def remove_unlisted(files: Files, ids: Sequence[UUID]) -> None:
    """Remove those of some files that are in no list; one may be in spite of an error."""
    with suppress(BackingError):
        found = read(files)
        known = set() if found is None else {listed.id for listed in found.files}
        remove(files, [file_id for file_id in ids if file_id not in known])


def remove(files: Files, ids: Iterable[UUID]) -> None:
    """Remove files that nothing leads to any more; what cannot be is left to the next sweep."""
    for file_id in ids:
        path = names.value_file(names.values(files.root), file_id)
        with suppress(BackingError):
            files.unlink(names.hint(files.root, file_id))
            files.unlink(path)
            remove_empty(files, os.path.dirname(path))


def remove_empty(files: Files, folder: str) -> None:
    """Remove a folder of a value file, and those above it, as far as they are empty."""
    while len(folder) > len(files.root) and not files.entries(folder):
        if files.exists(folder):
            files.remove_folder(folder)
        folder = os.path.dirname(folder)
