"""Which files a value log has, in order. Grammar: docs/formats/value-log.md."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple
from uuid import UUID

from objstore.errors import CorruptionError

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
