"""What one handle has seen of the commit log: how far, and what the newest record's number is."""

from __future__ import annotations

from enum import Enum, auto
from threading import Lock, RLock
from typing import Final, NamedTuple

from objstore._turns import require_first
from objstore.errors import CorruptionError

from .. import names
from ..io import Files
from . import frames
from .frames import HEADER_SIZE, Kind
from .logfile import Frame, LogFile, generations
from .loglock import LogLock
from .manifest import Manifest, parse

_MAX_MANIFEST: Final = 1 << 20


class Position(NamedTuple):
    """Where a record ends. The greater one is behind the other."""

    generation: int
    offset: int


class Link(NamedTuple):
    """Where a record is. Compaction moves records: then the number tells, and not the place."""

    number: int
    generation: int
    offset: int


class Tail(Enum):
    """What is behind the last frame."""

    UNKNOWN = auto()
    CLEAN = auto()
    """Zeros, or nothing."""
    TORN = auto()
    """What a crash left of an append."""


class View:
    """Moves forward only, over frames that are whole. The threads of a handle share it."""

    def __init__(self, files: Files, writers: LogLock, file: LogFile) -> None:
        self._files: Final = files
        self._writers: Final = writers
        self.guard: Final = RLock()
        # All below is guarded by it. Who needs the writer's lock as well takes that first.
        self.file = file
        """The newest generation's."""
        self.end = 0
        """The offset behind the last frame in it."""
        self.number = 0
        """The last record's."""
        self.synced = 0
        """All of the file before this offset is known to be on the disk."""
        self.last: Kind = frames.START
        """The last frame's kind."""
        self.seal = b""
        """The payload of the frame that ends the file, once there is one."""
        self.tail = Tail.UNKNOWN
        self._begin(file)

    @property
    def position(self) -> Position:
        return Position(self.file.generation, self.end)

    def refresh(self) -> None:
        """See what was appended meanwhile, by one short read where nothing was.

        Waits for no writer: what looks odd may be a frame on its way, and is judged only while
        nobody is writing. Raises CorruptionError.
        """
        require_first(self.guard)
        with self.guard:
            is_odd = self._advance()
            if self.tail is Tail.UNKNOWN or (is_odd and self.tail is Tail.CLEAN):
                with self._writers.attempted() as alone:
                    if alone:
                        self._judge()

    def refresh_alone(self, *, sure: bool = True) -> None:
        """The same for who holds the writer's lock: whatever is odd is judged.

        Not ``sure``: this handle was interrupted amid an append.
        """
        with self.guard:
            if not sure:
                self.tail = Tail.UNKNOWN
            if self._advance() or self.tail is not Tail.CLEAN:
                self._judge()

    def reached(self) -> tuple[LogFile, Position]:
        """The newest file, and where the last frame in it ends."""
        with self.guard:
            return self.file, self.position

    def is_synced(self, position: Position) -> bool:
        """Whether all up to there is known to be on the disk, as all of an ended file is."""
        generation, offset = position
        with self.guard:
            newest = self.file.generation
            return generation < newest or (generation == newest and offset <= self.synced)

    def note_synced(self, position: Position) -> None:
        with self.guard:
            if position.generation == self.file.generation:
                self.synced = max(self.synced, position.offset)

    # For who holds the guard

    def take(self, frame: Frame) -> None:
        """Move over a frame that is at ``end``. Raises CorruptionError where it cannot follow."""
        kind, number, synced = frame.header[:3]
        expected = self.number + (kind == frames.RECORD)
        is_next = number == expected or (number > expected and self._may_skip(kind))
        if not is_next or kind == frames.START or synced > self.end:
            what = f"a frame of kind {kind.decode()} and number {number}"
            raise self.file.corrupted(self.end, f"{what} cannot follow record {self.number}")
        self.synced = max(self.synced, synced)
        self.move(kind, number, frame.header.size, frame.payload)

    def _may_skip(self, kind: Kind) -> bool:
        """Whether numbers may be missing: in a file made of others, until the next one is there."""
        return kind == frames.RECORD and self.file.start.removed is not None

    def move(self, kind: Kind, number: int, size: int, payload: bytes) -> None:
        """Move over a frame that was just added, or found to be good."""
        self.end += size
        self.number = number
        self.last = kind
        if kind == frames.END:
            self.seal = payload
        if self.tail is Tail.TORN:
            # Whoever added it has cut the tail.
            self.tail = Tail.CLEAN

    def follow(self) -> bool:
        """Move on to the file behind one that has ended; False where there is none yet."""
        ended = self.file.generation
        later = [ended + 1, *(found for found in generations(self._files) if found > ended)]
        for generation in later:
            file = LogFile.open(self._files, generation, self.file.store)
            # One that was compacted has ended, and what is left in it is found by its number.
            if file is not None and file.start.removed is None:
                self._check_follows(file)
                self._begin(file)
                return True
        return False

    def _check_follows(self, file: LogFile) -> None:
        # Records before a later generation than the next may have been compacted.
        missing = file.start.after - self.number
        if missing < 0 or (missing > 0 and file.generation == self.file.generation + 1):
            after = file.start.after
            reason = f"this file begins after record {after}, not after {self.number} as it should"
            raise file.corrupted(0, reason)

    def _begin(self, file: LogFile) -> None:
        mark = file.closed()
        last: Kind = frames.START
        if mark is not None:
            _, number, synced = mark.header[:3]
            end, last, tail = mark.end, frames.CLOSED, Tail.CLEAN
        else:
            number, synced = file.start.after, file.begin
            end, tail = synced, Tail.UNKNOWN
        # All at once: nothing is called here, hence nothing interrupts it.
        self.file, self.number, self.synced = file, number, synced
        self.end, self.last, self.tail = end, last, tail

    def _advance(self) -> bool:
        """Take what is there; whether something that is no frame is behind it."""
        while True:
            is_odd = self._read_on()
            if self.last != frames.END or not self.follow():
                return is_odd

    def _read_on(self) -> bool:
        while self.last != frames.END:
            if frames.is_zero(self.file.read(self.end, HEADER_SIZE)):
                return False
            before = self.end
            for frame in self.file.frames(before):
                self.take(frame)
            if self.end == before:
                return True
        return False

    def _judge(self) -> None:
        self._advance()
        is_torn = self.last != frames.END and self.file.is_torn(self.end)
        self.tail = Tail.TORN if is_torn else Tail.CLEAN


class Views:
    """The view of a handle, from when there is a log."""

    def __init__(self, files: Files, writers: LogLock) -> None:
        self._files: Final = files
        self._writers: Final = writers
        self._guard: Final = Lock()
        self._view: View | None = None  # guarded by _guard when it is set

    def get(self) -> View | None:
        """The view; None while there is no log. Raises CorruptionError where there was one."""
        if self._view is None:
            with self._guard:
                if self._view is None:
                    self._view = self._open()
        return self._view

    def has_one(self) -> bool:
        """Whether this handle has seen a log, without a look for one."""
        return self._view is not None

    def forget(self) -> None:
        """The log was taken back in the making."""
        with self._guard:
            self._view = None

    def _open(self) -> View | None:
        # In this order, as the manifest is made last.
        known = read_manifest(self._files)
        store = None if known is None else known.store
        for generation in reversed(generations(self._files)):
            file = LogFile.open(self._files, generation, store)
            if file is not None:
                view = View(self._files, self._writers, file)
                view.refresh()
                return view
        if known is not None:
            folder = self._files.relative(names.logs(self._files.root))
            raise CorruptionError("the manifest is there, the log is not", file=folder)
        return None


def read_manifest(files: Files) -> Manifest | None:
    """The manifest; None where there is none. Raises CorruptionError, FormatError."""
    path = names.manifest(files.root)
    found = files.read(path, _MAX_MANIFEST)
    return None if found is None else parse(found.data, files.relative(path))
