"""Whether the commit log is whole: its frames, and what its records say."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, cast

from objstore import schemas
from objstore.errors import CorruptionError, Failure, ObjstoreError
from objstore.patch import PatchError, apply
from objstore.validation import Validator
from objstore.values import JSON, MISSING, Missing, same

from ..log import frames, jsonline
from ..log.logfile import Frame, LogFile
from ..log.logfiles import includes
from ..log.logscan import Gap, pieces
from ..log.logview import Link
from ..stamps import digest
from .heads import Heads, Key, image_of, key_of
from .past import Found, Past
from .record import NO_FILE, Entry, Said, decode

_RUNNING: Final = 1024
"""How many units' contents are kept at hand."""


@cache
def _validator() -> Validator:
    return Validator(cast("JSON", schemas.load("record")), source="record.json")


def failure(file: str, expected: str, found: str, offset: int | None = None) -> Failure:
    """What is wrong with one of the engine's files, at a byte if that is known."""
    return Failure(file, "", expected, found, offset=offset)


def failure_of(error: CorruptionError) -> Failure:
    """The same, of an error that reading it raised."""
    return failure(error.file, "what was written there", error.reason, error.offset)


class LogCheck:
    """Goes over all files of one log, once.

    After the first damage only frames are looked at: what the rest rests on is not known.
    """

    def __init__(self, past: Past, reached: Callable[[Heads], None]) -> None:
        """``reached`` is called with the heads after each record."""
        self._reached: Final = reached
        self.found: Final[list[Failure]] = []
        self._number = 0
        self._removed: Sequence[Sequence[int]] = ()
        self._is_whole = True
        self._is_behind_gap = False
        self._chains: Final = _Chains(past)

    def run(self, files: Iterable[LogFile], newest: int, limit: int | None) -> None:
        """Check the files, oldest first, up to generation ``newest``; of that what is before
        ``limit``."""
        for at, file in enumerate(files):
            if at == 0:
                self._removed = file.start.removed or ()
                self._chains.is_compacted = bool(self._removed)
            is_newest = file.generation == newest
            self._check_start(file, is_first=at == 0)
            last = self._check_frames(file, limit if is_newest else None)
            if not is_newest and last != frames.END:
                self._note(file, file.size(), "the frame that ends the file", "none")

    def _note(self, file: LogFile, offset: int, expected: str, found: str) -> None:
        self._is_whole = False
        self.found.append(failure(file.name, expected, found, offset))

    def _check_start(self, file: LogFile, *, is_first: bool) -> None:
        try:
            after = file.start.after
        except ObjstoreError as error:
            self._note(file, 0, "the first frame of a log's file", str(error))
            return
        if after != self._number:
            before = "the log's first record" if is_first else f"what follows record {self._number}"
            self._note(file, 0, before, f"what follows record {after}")
        self._number = after

    def _check_frames(self, file: LogFile, limit: int | None) -> bytes:
        kind = frames.START
        for piece in pieces(file, limit):
            if isinstance(piece, Gap):
                self._is_behind_gap = True
                size = piece.end - piece.offset
                self._note(file, piece.offset, "a frame", f"{size} bytes that are none")
            elif kind == frames.END:
                self._note(file, piece.offset, "nothing behind the end", "a frame")
            else:
                kind = piece.header.kind
                self._check_frame(file, piece)
                self._is_behind_gap = False
        return kind

    def _check_frame(self, file: LogFile, frame: Frame) -> None:
        kind, number, synced = frame.header[:3]
        if synced > frame.offset or kind == frames.START:
            self._note(file, frame.offset, "a frame that fits its place", f"kind {kind.decode()}")
        if self._is_behind_gap:
            self._number = number - (kind == frames.RECORD)
        if kind != frames.RECORD:
            if number != self._number:
                expected = f"a frame after record {self._number}"
                self._note(file, frame.offset, expected, f"one after record {number}")
            return
        missing = range(self._number + 1, number)
        if number <= self._number or not all(includes(self._removed, one) for one in missing):
            expected = f"record {self._number + 1}"
            self._note(file, frame.offset, expected, f"record {number}")
        self._number = number
        self._check_record(file, frame)

    def _check_record(self, file: LogFile, frame: Frame) -> None:
        for one in _validator().failures(jsonline.load(frame.payload), file.name):
            self._is_whole = False
            self.found.append(one._replace(offset=frame.offset))
        if not self._is_whole:
            return
        try:
            said = decode(frame.payload, file.generation)
            link = Link(frame.header.number, file.generation, frame.offset)
            for what in self._chains.take(said, link):
                self._note(file, frame.offset, f"a record that {what}", f"record {link.number}")
        except (ValueError, KeyError, TypeError, ObjstoreError) as error:
            self._note(file, frame.offset, "a record that goes with those before", str(error))
        if self._is_whole:
            self._reached(self._chains.heads)


class _Chains:
    """What the records say of each unit, one change after another."""

    def __init__(self, past: Past) -> None:
        self.heads: Final = Heads()
        self.is_compacted = False
        self._past: Final = past
        self._running: Final[OrderedDict[Key, JSON | Missing]] = OrderedDict()

    def take(self, said: Said, link: Link) -> Iterator[str]:
        """Take in a record; what it should be, and is not. Raises what reading it raises."""
        for entry in said.entries:
            key = key_of(said.scope, entry.unit)
            yield from self._wrong_links(key, entry, link)
            yield from self._wrong_contents(key, Found(link, entry))
        self.heads.take(said, link)
        if said.deletes:
            for key in [one for one in self._running if one not in self.heads.units]:
                del self._running[key]

    def _wrong_links(self, key: Key, entry: Entry, link: Link) -> Iterator[str]:
        head = self.heads.units.get(key)
        if self.is_compacted:
            if entry.last is not None:
                if entry.last.number >= link.number:
                    yield "leads to one before it"
                    return
                found = self._past.find(key, entry.last)
                if found is not None and found.link.number >= link.number:
                    found = None  # compaction left nothing of a scope that this commit deletes
                if found is not None and found.link != (None if head is None else head.link):
                    # It may be in an older file of the log, which a crash kept from being removed.
                    found = self._past.find(key, entry.last._replace(generation=0, offset=0))
                if (None if found is None else found.link) != (None if head is None else head.link):
                    yield f"leads to the change before of {entry.unit}"
        elif head is None:
            if entry.nth != 1 or entry.last is not None:
                yield f"has the first change of {entry.unit}"
        elif (entry.nth, entry.last, entry.jump) != (head.nth + 1, head.link, head.jump()):
            yield f"leads to the changes before of {entry.unit}"

    def _wrong_contents(self, key: Key, found: Found) -> Iterator[str]:
        is_file, entry = isinstance(key, str), found.entry
        if is_file and entry.image is not None and entry.before not in (None, digest(entry.image)):
            yield f"has an image of {entry.unit} with the digest that it says"
        old = self._before(key, found)
        if is_file and entry.is_base and not same(old, image_of(entry)):
            yield f"has an image of {entry.unit} with what the change before left"
        if entry.is_base:
            old = image_of(entry)
        try:
            new = apply(old, entry.patch)
        except PatchError as error:
            yield f"has a patch that fits {entry.unit}: {error}"
            return
        if is_file and (entry.after == NO_FILE) != (new is MISSING):
            yield f"says whether {entry.unit} is there after it"
        self._running[key] = new
        if len(self._running) > _RUNNING:
            self._running.popitem(last=False)

    def _before(self, key: Key, found: Found) -> JSON | Missing:
        """What a unit was before a change, by the changes before if there are any."""
        old = self._running.pop(key, None)
        if found.entry.is_lone:
            return MISSING
        return self._past.before(key, found) if old is None else old
