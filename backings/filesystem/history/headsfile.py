"""The file of the heads: .objstore/index. Disposable; format: docs/formats/commit-log.md."""

from __future__ import annotations

import sys
from typing import Any, Final

from objstore.documents import Overlay
from objstore.values import MISSING

from .. import names
from ..io import Files
from ..log import jsonline
from ..log.frames import crc32c
from ..log.logview import Link
from ..temporaries import replace
from .heads import Head, Heads, Key

_VERSION: Final = 3
_MAX: Final = 1 << 30


class HeadsFile:
    """Keeps the heads of a store as of some commit."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._path: Final = names.index(files.root)
        self.is_torn = False
        """Whether what was read last is not as it was written."""

    def read(self, store: str, head: int) -> Heads:
        """The heads as they were written down; none where that is of no use.

        It is of none where it is missing, torn, of another store, or ahead of the log.
        """
        heads = Heads()
        found = self._files.read(self._path, _MAX)
        said = None if found is None else _checked(found.data)
        self.is_torn = found is not None and said is None
        if said is not None and said["store"] == store and said["number"] <= head:
            heads.number = said["number"]
            heads.units.update(map(_head, said["units"]))
            for scope, unit, base, value, stamp in said["scopes"]:
                there = heads.overlays.setdefault(scope, {})
                there[unit] = Overlay(_contents(base), _contents(value), stamp)
            heads.ended.update(said["ended"])
        return heads

    def is_whole(self) -> bool:
        """Whether what is there is as it was written; True for nothing."""
        found = self._files.read(self._path, _MAX)
        return found is None or _line_of(found.data) is not None

    def remove(self) -> None:
        """Have it made anew some time."""
        self._files.unlink(self._path)

    def number(self, store: str) -> int:
        """The record that they are as of, if it is this store's; 0 for none."""
        return self.read(store, sys.maxsize).number

    def write(self, store: str, heads: Heads) -> None:
        """Write the heads down, in one step and without a sync: what a crash tears is not read."""
        said = {
            "format": _VERSION,
            "store": store,
            "number": heads.number,
            "units": [_line(key, head) for key, head in heads.units.items()],
            "scopes": [
                [scope, unit, _kept(one.base), _kept(one.value), one.stamp]
                for scope, units in heads.overlays.items()
                for unit, one in units.items()
            ],
            "ended": heads.ended,
        }
        line = jsonline.dump(said)
        data = b"%s\n%08x\n" % (line, crc32c(line))
        replace(self._files, self._path, data, sync=False)


def _line_of(data: bytes) -> bytes | None:
    line, newline, check = data.partition(b"\n")
    return line if newline and check == b"%08x\n" % crc32c(line) else None


def _checked(data: bytes) -> dict[str, Any] | None:
    line = _line_of(data)
    said = None if line is None else jsonline.load_object(line)
    return said if said is not None and said["format"] == _VERSION else None


def _line(key: Key, head: Head) -> list[Any]:
    scope, unit = (None, key) if isinstance(key, str) else key
    marks = [[nth, *link] for nth, link in head.marks]
    return [scope, unit, head.after, head.file, head.weight, head.size, marks, head.is_found]


def _head(line: list[Any]) -> tuple[Key, Head]:
    scope, unit, after, file, weight, size, links, is_found = line
    marks = tuple((nth, Link(*link)) for nth, *link in links)
    nth, link = marks[-1]
    head = Head(link, nth, after, file, weight, size, marks, is_found)
    return (unit if scope is None else (scope, unit)), head


def _kept(value: Any) -> list[Any]:
    return [] if value is MISSING else [value]


def _contents(kept: list[Any]) -> Any:
    return kept[0] if kept else MISSING
