"""Pins: the commits that compaction keeps. Format: schemas/pins.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from objstore.errors import CorruptionError

from .. import names
from ..io import Files
from ..log import jsonline, logappend
from ..log.manifest import check_of
from .ledger import Ledger

_MAX: Final = 1 << 26


def encode(pins: Iterable[int]) -> bytes:
    """What the file of these pins holds."""
    said = {"pins": sorted(pins)}
    return jsonline.dump({**said, "crc32c": check_of(said)}) + b"\n"


def parse(data: bytes) -> frozenset[int]:
    """The pins of a file. Raises ValueError, KeyError or TypeError for what is none of ours."""
    said = jsonline.load_object(data)
    if said.pop("crc32c") != check_of(said):
        raise ValueError("the pins do not fit their checksum")
    return frozenset(map(int, said["pins"]))


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
            return parse(found.data)
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
                logappend.replace(self._files, self._path, encode(after))
                self._files.sync_folder(names.engine(self._files.root))
