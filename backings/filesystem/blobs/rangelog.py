"""What of a writable blob has been written: the lines of its .ranges file.

Grammar, and what counts after a crash: docs/formats/depot.md.
"""

from __future__ import annotations

from functools import cache
from secrets import token_hex
from threading import Lock
from typing import Any, Final, NamedTuple

from objstore._ranges import Range, Ranges

from .. import io
from ..io import Files, Opened
from ..log import jsonline
from ..log.frames import crc32c

_CHUNK: Final = 1 << 20


@cache
def this_boot() -> str:
    """Which run of the machine this is; where nobody knows, a process is one by itself."""
    said = io.boot_id()
    return token_hex(8) if said is None else said.decode("ascii").replace("-", "")[:16]


def encode(said: dict[str, Any]) -> bytes:
    """A line."""
    return jsonline.dump({**said, "crc32c": _check(said)}) + b"\n"


class _Line(NamedTuple):
    """A range that was noted, and where in the file the line ends."""

    end: int
    range: Range
    boot: str

    def cut(self, size: int) -> _Line:
        at, end = self.range.at, self.range.end
        return self._replace(range=Range(at, min(end, size) - at))


class Written(NamedTuple):
    """What of a blob counts as written."""

    ranges: Ranges
    length: int
    """How long it is, where no size was promised: what is missing may be at the end."""

    def missing(self, promised: int | None, size: int) -> list[Range]:
        """What is not there, of a blob whose file has ``size`` bytes now."""
        return self.cut(size).missing(self.length if promised is None else promised)

    def cut(self, size: int) -> Ranges:
        """The ranges that a file of ``size`` bytes has."""
        # What the file has lost since, somebody else cut off.
        self.ranges.cut(size)
        return self.ranges


class _Reading:
    """The lines of a file taken one by one: what they say was written."""

    def __init__(self, boot: str) -> None:
        self._boot: Final = boot
        self.length = 0
        """How long the blob is, where no size was promised: to the end of what was ever noted, as
        what was lost of it is missing, or to where it was last cut."""
        self._sure: Final = Ranges()
        """What survives the machine."""
        self._open: list[_Line] = []

    def take(self, line: bytes, end: int) -> None:
        """Take in the next line, which ends there; one that is not whole says nothing."""
        said = _parse(line)
        if "at" in said:
            written = Range(said["at"], said["size"])
            self._open.append(_Line(end, written, said["boot"]))
            self.length = max(self.length, written.end)
        elif "synced" in said:
            self._settle(said["synced"])
        elif "cut" in said:
            self._cut(said["cut"])
        elif "failed" in said:
            self._open.clear()

    def _settle(self, synced: int) -> None:
        for line in self._open:
            if line.end <= synced:
                self._sure.add(line.range.at, line.range.end)
        self._open = [line for line in self._open if line.end > synced]

    def _cut(self, size: int) -> None:
        self.length = size
        self._sure.cut(size)
        self._open = [one.cut(size) for one in self._open if one.range.at < size]

    def written(self) -> Written:
        """All that counts in this run of the machine."""
        found = Ranges()
        for start, end in self._sure.pairs():
            found.add(start, end)
        for line in self._open:
            if line.boot == self._boot:
                found.add(line.range.at, line.range.end)
        return Written(found, self.length)


class RangeLog:
    """The .ranges file of a blob, open. Used by who holds the blob's lock, or may be wrong."""

    def __init__(self, files: Files, opened: Opened) -> None:
        self._files: Final = files
        self._opened: Final = opened
        self._past = (_Reading(this_boot()), 0)
        """What has been read, and where its last line ends."""
        self._lock: Final = Lock()
        # Guarded by _lock: a sync beside the writing notes that it is done.
        self._mine = 0
        self._is_torn = self.size() > 0

    def begin(self) -> None:
        """Say that this handle is about to write; others then count no digest for it."""
        if not self._mine:
            self._append({"boot": this_boot()})

    def note(self, written: Range) -> None:
        self._append({"at": written.at, "size": written.size, "boot": this_boot()})

    def note_cut(self, size: int) -> None:
        self._append({"cut": size})

    def note_synced(self, size: int) -> None:
        """Say that what the first ``size`` bytes of this file speak of is on the disk."""
        self._append({"synced": size})
        self._files.sync_data(self._opened)

    def note_failed(self) -> None:
        self._append({"failed": True})

    def is_mine_alone(self) -> bool:
        """Whether nobody but this handle has ever said that it writes."""
        return self.size() == self._mine

    def size(self) -> int:
        return self._files.size(self._opened)

    def written(self) -> Written:
        return self._read().written()

    def length(self) -> int:
        """How long the blob is, where no size was promised."""
        return self._read().length

    def _read(self) -> _Reading:
        """Take in the lines that came since this was called last."""
        (reading, offset), rest = self._past, b""
        # Who is interrupted leaves nothing half taken in: the next call reads all.
        self._past = (_Reading(this_boot()), 0)
        while data := self._files.read_at(self._opened, offset + len(rest), _CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                offset += len(line) + 1
                reading.take(line, offset)
        self._past = (reading, offset)
        return reading

    def hold(self) -> None:
        """Tell sweepers that somebody has the blob open, until this is closed."""
        self._files.lock_opened(self._opened, shared=True)

    def is_held(self) -> bool:
        """Whether somebody else holds it."""
        return not self._files.lock_opened(self._opened, wait=False)

    def close(self) -> None:
        self._files.close(self._opened)

    def _append(self, said: dict[str, Any]) -> None:
        with self._lock:
            # Behind a line that somebody could not finish, the next one would be lost too.
            line = b"\n" * self._is_torn + encode(said)
            self._is_torn = True
            self._files.append(self._opened, line)
            self._is_torn = False
            self._mine += len(line)


def _parse(line: bytes) -> dict[str, Any]:
    """What a line says; nothing where it is not whole."""
    try:
        said = jsonline.load_object(line)
    except ValueError:
        return {}
    return said if said.pop("crc32c", None) == _check(said) else {}


def _check(said: dict[str, Any]) -> str:
    return f"{crc32c(jsonline.dump(dict(sorted(said.items())))):08x}"
