"""One generation's file of the commit log: how its frames are read.

Grammar, and how a torn tail is told from damage: docs/formats/commit-log.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, cast
from uuid import UUID

from objstore.errors import CorruptionError
from objstore.values import JSON

from .. import names
from ..io import Files, Opened
from . import frames, jsonline
from .frames import HEADER_SIZE, Codec, Header
from .manifest import FORMAT, check_format

GLANCE: Final = 4096
"""How much is read to see whether something is there."""

_CHUNK: Final = 1 << 20
_NEAR: Final = 1 << 10

MARK: Final = b"{}"
"""The payload of the mark of a clean close."""
_MARK_SIZE: Final = HEADER_SIZE + len(MARK) + 1


class Frame(NamedTuple):
    """A frame that is whole."""

    offset: int
    header: Header
    payload: bytes

    @property
    def end(self) -> int:
        return self.offset + self.header.size


class Start(NamedTuple):
    """What the first frame of a file says."""

    store: UUID
    generation: int
    after: int
    """The number of the last record before this file."""
    checkpoint: JSON
    """What the caller wanted kept."""
    removed: Sequence[Sequence[int]] | None = None
    """In a file that was made of those before it, the numbers that are gone, as pairs of first and
    last."""
    lost: Sequence[Sequence[int]] | None = None
    """Those of them whose records were damaged."""

    def encode(self) -> bytes:
        """The frame."""
        said: dict[str, JSON] = {
            "format": FORMAT,
            "store": str(self.store),
            "generation": self.generation,
            "checkpoint": self.checkpoint,
        }
        if self.removed is not None:
            said["removed"] = cast("JSON", self.removed)
        if self.lost:
            said["lost"] = cast("JSON", self.lost)
        codec = Codec(self.store, self.generation)
        return codec.encode(frames.START, self.after, 0, jsonline.dump(said))


def generations(files: Files) -> list[int]:
    """Those that have a file, ascending."""
    entries = files.entries(names.logs(files.root))
    found = (names.generation(entry.name) for entry in entries)
    return sorted(generation for generation in found if generation is not None)


def written_at(files: Files) -> int | None:
    """When somebody last wrote to the log (``time.time_ns``); None for no log."""
    newest = generations(files)[-1:]
    found = files.lstat(names.log(files.root, newest[0])) if newest else None
    return None if found is None else found.st_mtime_ns


class LogFile:
    """A generation's file, open.

    It is closed when nobody holds it any more, as threads that read, sync and switch at the same
    time know nothing of each other.
    """

    def __init__(self, files: Files, opened: Opened, generation: int, store: UUID | None) -> None:
        self._files: Final = files
        self._opened: Final = opened
        self._start: tuple[Start, int] | None = None
        self._known: Final = store
        self.name: Final = files.relative(opened.path)
        self.generation: Final = generation
        self.store: Final = self.start.store if store is None else store
        self.codec: Final = Codec(self.store, generation)

    @classmethod
    def open(cls, files: Files, generation: int, store: UUID | None = None) -> LogFile | None:
        """The file of a generation, None where there is none; its first frame says the store."""
        opened = files.open(names.log(files.root, generation))
        return None if opened is None else cls(files, opened, generation, store)

    def __del__(self) -> None:
        self._files.close(self._opened)

    @property
    def start(self) -> Start:
        """What the first frame says. Raises CorruptionError where it is none."""
        return self._read_start()[0]

    @property
    def begin(self) -> int:
        """The offset behind the first frame."""
        return self._read_start()[1]

    def corrupted(self, offset: int, reason: str) -> CorruptionError:
        return CorruptionError(reason, file=self.name, offset=offset)

    def size(self) -> int:
        return self._files.size(self._opened)

    def read(self, offset: int, size: int) -> bytes:
        return self._files.read_at(self._opened, offset, size)

    def frames(self, offset: int) -> Iterator[Frame]:
        """The frames from ``offset`` on, up to the first bytes that are none."""
        base, data, size = offset, b"", GLANCE
        while True:
            found = self.codec.frame(data, offset - base)
            if found is None:
                # Bytes are read ahead, ever more of them, and may end amid this frame.
                header = self.codec.header(data, offset - base)
                wanted = HEADER_SIZE if header is None else header.size
                if offset - base + wanted <= len(data):
                    return
                data = self.read(offset, max(size, wanted))
                base, size = offset, min(2 * size, _CHUNK)
                if len(data) < wanted:
                    return
                continue
            header, payload = found
            yield Frame(offset, header, payload)
            offset += HEADER_SIZE + header.length + 1

    def has(self, text: bytes, start: int) -> bool:
        """Whether these bytes are anywhere in the file from ``start`` on."""
        places = range(start, self.size(), _CHUNK)
        return any(text in self.read(offset, _CHUNK + len(text)) for offset in places)

    def closed(self) -> Frame | None:
        """The mark of a clean close, if the file ends with one that is as good as its word."""
        offset = self.size() - _MARK_SIZE
        for frame in self.frames(max(offset, 0)):
            if frame.header.kind == frames.CLOSED and frame.header.synced == offset:
                return frame
        return None

    def place(self, number: int) -> int:
        """The offset of the record of that number, or where it should be, or of the file's end.

        As numbers only rise and frames are found from anywhere, no index is needed: each look rules
        out half of what is left. Headers alone are looked at, so that no other record matters.
        """
        low, high = 0, self.size()
        while high - low > _NEAR:
            middle = (low + high) // 2
            found = self._first_behind(middle, high)
            if found is None or found[1].number >= number:
                high = middle
            else:
                low = found[0]
        return self._place_behind(low, number)

    def _place_behind(self, offset: int, number: int) -> int:
        while (found := self._first_behind(offset, self.size())) is not None:
            at, header = found
            if header.number >= number:
                is_it = header.kind == frames.RECORD and header.number == number
                return at if is_it else offset
            if header.kind == frames.END:
                return at
            offset = at + header.size
        return offset

    def _first_behind(self, offset: int, end: int) -> tuple[int, Header] | None:
        size = _NEAR
        while offset < end:
            found = self.codec.find(self.read(offset, size + HEADER_SIZE), 0)
            if found is not None:
                return offset + found[0], found[1]
            offset += size
            size = min(2 * size, _CHUNK)
        return None

    def is_torn(self, offset: int) -> bool:
        """Whether what is behind ``offset``, where no frame is, is a torn tail; False for zeros.

        To be asked by who holds the writer's lock: an append looks no different in between. Raises
        CorruptionError for what no append can have left.
        """
        data = self.read(offset, max(self.size() - offset, 0))
        if frames.is_zero(data):
            return False
        if self.codec.is_proven(data, offset):
            raise self.corrupted(offset, "no frame is here, though one was, and others follow it")
        if not self.codec.is_torn(data, offset):
            raise self.corrupted(offset, "this is no frame, and no part of one")
        return True

    def is_named(self) -> bool:
        """Whether a file is at its name, which most often is this one: a look that costs little,
        as it asks for no times (see ``Files.size``)."""
        return self._files.exists(self._opened.path)

    def is_in_place(self) -> bool:
        """Whether the file is still the one that its name leads to."""
        return self._files.is_at(self._opened)

    def sync(self, *, sure: bool = False) -> None:
        """Return once the file is on the disk, whoever wrote to it. Raises UncertainError."""
        self._files.sync_data(self._opened, sure=sure)

    def _read_start(self) -> tuple[Start, int]:
        if self._start is None:
            self._start = self._parse_start()
        return self._start

    def _parse_start(self) -> tuple[Start, int]:
        # What checks this frame is in it, so that a log can be read without its manifest.
        data = self.read(0, GLANCE)
        if frames.unchecked_payload(data) is None:
            data = self.read(0, self.size())
        try:
            said = jsonline.load_object(frames.unchecked_payload(data) or b"")
            store = UUID(str(said.get("store")))
        except ValueError as error:
            raise self.corrupted(0, "this is not the first frame of a log") from error
        codec = Codec(store, self.generation)
        frame = codec.frame(data)
        if frame is None:
            raise self.corrupted(0, "the first frame does not fit its checksum")
        header = frame[0]
        check_format(said["format"], self.name)
        if self._known not in (None, store):
            raise self.corrupted(0, f"this file is of another store, {store}")
        checkpoint, removed = said["checkpoint"], said.get("removed")
        lost = said.get("lost")
        start = Start(store, self.generation, header.number, checkpoint, removed, lost)
        return start, header.size
