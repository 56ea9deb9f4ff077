"""Where a blob's files are, and the locks on them. Names and steps: docs/formats/depot.md."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from objstore._depot_checks import check_identifier
from objstore._identifiers import Identifier, ObjectStateT

from .. import names
from ..io import Files, LockedFolder, Opened
from ..temporaries import replace
from . import blobmeta
from .blobmeta import BlobMeta

_MAX_META: Final = 1 << 30


class BlobPlace(NamedTuple):
    """The paths of one blob."""

    identifier: Identifier
    folders: tuple[str, ...]
    """From the depot's own to the one that its files are in."""
    final: str
    writable: str
    meta: str
    ranges: str

    @property
    def folder(self) -> str:
        return self.folders[-1]

    @classmethod
    def of(cls, parent: str, identifier: Identifier) -> BlobPlace:
        """Where a blob's files are. Raises TypeError for what is no identifier."""
        check_identifier(identifier)
        uuid, version = str(identifier.uuid), identifier.version
        folders = names.blob_folders(parent, uuid)
        paths = [
            names.blob(folders[-1], uuid, version, ending)
            for ending in ("", ".wr", ".json", ".ranges")
        ]
        return cls(identifier, tuple(folders), *paths)

    def state(self, files: Files) -> ObjectStateT:
        return self.look(files)[0]

    def look(self, files: Files) -> tuple[ObjectStateT, os.stat_result | None]:
        """The blob's state, and what its file is; None where there is none."""
        # In this order: between the two looks a blob may be finalized.
        if (found := files.lstat(self.writable)) is not None:
            return ObjectStateT.WRITABLE, found
        if (found := files.lstat(self.final)) is not None:
            return ObjectStateT.READABLE, found
        return ObjectStateT.NONEXISTENT, None

    def read_meta(self, files: Files) -> BlobMeta | None:
        """None where somebody else put the blob there. Raises CorruptionError."""
        found = files.read(self.meta, _MAX_META)
        return None if found is None else blobmeta.parse(found.data, files.relative(self.meta))

    def write_meta(self, files: Files, meta: BlobMeta) -> None:
        """Replace the metadata; the folder is for the caller to sync, and its lock to hold."""
        replace(files, self.meta, meta.encode())

    def named(self, files: Files) -> LockedFolder:
        """A block with the lock on the names in the folder; False where there is no folder."""
        return files.locked(self.folder)


class Locked:
    """A block with the lock on a writable blob; False where its name is gone, or another file's.

    No generator, which would unlock whatever is open by then, were it interrupted and ended later.
    """

    def __init__(self, files: Files, opened: Opened, *, shared: bool = False) -> None:
        self._files: Final = files
        self._opened: Final = opened
        self._shared: Final = shared

    def __enter__(self) -> bool:
        return self._files.lock_opened(self._opened, shared=self._shared)

    def __exit__(self, *_: object) -> None:
        self._files.unlock_opened(self._opened)
