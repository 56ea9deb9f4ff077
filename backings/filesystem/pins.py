"""Pins: the commits that compaction keeps. Format: schemas/pins.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from objstore.errors import CorruptionError

from . import jsonline, logappend, names
from .io import Files
from .ledger import Ledger

_MAX: Final = 1 << 26


class Pins:
    """The pinned commits of one store."""

    def __init__(self, files: Files, ledger: Ledger) -> None:
        self._files: Final = files
        self._ledger: Final = ledger
        self._path: Final = names.pins(files.root)

    def read(self) -> frozenset[int]:
        """The numbers. Raises CorruptionError where the file is none of ours."""
        found = self._files.read(self._path, _MAX)
        if found is None:
            return frozenset()
        try:
            return frozenset(map(int, jsonline.load_object(found.data)["pins"]))
        except (ValueError, KeyError, TypeError) as error:
            file = self._files.relative(self._path)
            raise CorruptionError(
                "this does not say which commits are pinned", file=file
            ) from error

    def change(self, change: Callable[[frozenset[int]], frozenset[int]]) -> None:
        """Have other commits be pinned, on the disk when this returns."""
        with self._ledger.log.writing():
            before = self.read()
            after = change(before)
            if after != before:
                data = jsonline.dump({"pins": sorted(after)}) + b"\n"
                logappend.write_new(self._files, self._path, data)
                logappend.put_new(self._files, self._path)
                self._files.sync_folder(names.engine(self._files.root))
