"""Where each event of the segment log is: by its UUID, and by its position.

Disposable: what is in the index folder is made of the log, and made again where it is missing or
damaged. Format: docs/formats/events.md.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from objstore import eventlines
from objstore.errors import BackingError

from .. import names
from ..io import Files
from ..log.frames import crc32c
from ..log.logview import Position

_FULL: Final = 1 << 16
"""How many events are held in a dict, before they become a run: 60 ms of work."""

_MERGED: Final = 16
"""How many runs of about that size become one of a million: a second of work."""

_NEAR: Final = 1 << 15
"""How many bytes of the log may be between two places that are noted by position."""

_OFFSET_BITS: Final = 44
_OFFSET: Final = (1 << _OFFSET_BITS) - 1

_MIX: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835
_KEY: Final = (1 << 64) - 1

_CHUNK: Final = 1 << 20

_MAGIC: Final = b"OBJRUN\x01\n"
_HEADER: Final = Struct("<8s7QII")

_CAN_MAP: Final = sys.byteorder == "little"

Numbers = Sequence[int]
"""Unsigned, of 64 bits each."""


class Proof(NamedTuple):
    """A record of the log by which it is known again: in it is a hash of all events before."""

    start: Position
    check: int
    """Its payload's checksum."""

    @classmethod
    def of(cls, start: Position, payload: bytes) -> Proof:
        return cls(start, crc32c(payload))


class Run(NamedTuple):
    """What is known of events ``first`` to ``last``, and of nothing else."""

    first: int
    last: int
    end: Position
    """Where the last one's frame ends."""
    proof: Proof
    """The last one's record."""
    keys: Numbers
    """Of the UUIDs, ascending."""
    places: Numbers
    """For each key, where its event's frame begins."""
    near: Numbers
    """Some events by position, ascending."""
    near_places: Numbers

    def find(self, key: int) -> Iterator[int]:
        at = bisect_left(self.keys, key)
        while at < len(self.keys) and self.keys[at] == key:
            yield self.places[at]
            at += 1

    def encode(self, store: UUID) -> bytes:
        """The file of a run, for the log of that store."""
        numbers = (self.keys, self.places, self.near, self.near_places)
        body = b"".join(array("Q", some).tobytes() for some in numbers)
        head = _HEADER.pack(
            _MAGIC,
            self.first,
            self.last,
            len(self.near),
            self.end.generation,
            self.end.offset,
            self.proof.start.generation,
            self.proof.start.offset,
            self.proof.check,
            0,
        )[:-4]
        check = _check(memoryview(body), head, store)
        return head + check.to_bytes(4, "little") + body


def parse(data: memoryview, store: UUID) -> Run | None:
    """The run in a file; None where its bytes are not as they were written."""
    if len(data) < _HEADER.size:
        return None
    magic, first, last, count, *ends, proof_check, check = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    size = last - first + 1
    if magic != _MAGIC or len(body) != 16 * (size + count):
        return None
    head = bytes(data[: _HEADER.size - 4])
    if check != _check(body, head, store):
        return None
    numbers = body.cast("Q")
    cuts = (0, size, 2 * size, 2 * size + count, 2 * (size + count))
    keys, places, near, near_places = (numbers[start:stop] for start, stop in pairwise(cuts))
    end, proof = Position(*ends[:2]), Proof(Position(*ends[2:]), proof_check)
    return Run(first, last, end, proof, keys, places, near, near_places)


def _check(body: memoryview, head: bytes, store: UUID) -> int:
    found = crc32c(head, crc32c(store.bytes))
    for start in range(0, len(body), _CHUNK):
        found = crc32c(bytes(body[start : start + _CHUNK]), found)
    return found


class EventIndex:
    """Not safe between threads: who uses it holds the record keeper's guard."""

    def __init__(self, files: Files, store: UUID, begin: Position, *, writes: bool) -> None:
        self._files: Final = files
        self._store: Final = store
        self._writes: Final = writes and _CAN_MAP
        self._runs: Final[list[Run]] = []
        self._keys: dict[int, int | tuple[int, ...]] = {}
        self._near = array("Q")
        self._near_places = array("Q")
        self.end = begin
        """Where the first event that is not known here begins."""
        self.count = 0
        """How many events are known."""
        self._last: tuple[Position, bytes] | None = None

    def load(self, upto: Position, is_sound: Callable[[Run], bool]) -> None:
        """Begin with the runs in the folder that are of this log, one behind the other.

        Of those that begin with the same event, as a crash leaves them, or a log that was set back,
        the longest. ``is_sound`` is asked of each that ends no later than the log does, ``upto``.
        """
        folder = names.event_index(self._files.root)
        found = (names.event_run_range(entry.name) for entry in self._files.entries(folder))
        longest_first = sorted(filter(None, found), key=lambda ends: (ends[0], -ends[1]))
        for first, last in longest_first if _CAN_MAP else ():
            run = self._read(first, last) if first == self.count + 1 else None
            if run is None or run.end > upto:
                continue
            if is_sound(run):
                self._runs.append(run)
                self.end, self.count = run.end, run.last
            elif self._writes:
                self._attempt_unlink(names.event_run(self._files.root, first, last))

    def add(self, start: Position, end: Position, payload: bytes) -> None:
        """Note the events of the frame that follows the last one noted."""
        place = _pack(start)
        if not self._near or _far(self._near_places[-1], place):
            self._near.append(self.count + 1)
            self._near_places.append(place)
        lines = eventlines.split(payload)
        for line in lines:
            key = key_of(eventlines.uuid_in(line))
            there = self._keys.setdefault(key, place)
            if there is not place:
                also = there if isinstance(there, tuple) else (there,)
                self._keys[key] = (*also, place)
        self.count += len(lines)
        self.end = end
        self._last = start, payload

    @property
    def _in_runs(self) -> int:
        """How many events are in runs."""
        return self._runs[-1].last if self._runs else 0

    @property
    def is_full(self) -> bool:
        """Whether it is time for ``roll``."""
        return self.count - self._in_runs >= _FULL

    def roll(self) -> None:
        """Make a run of what is held in the dict. All of it has to be on the disk."""
        if self._last is None:
            return
        pairs = sorted(_pairs(self._keys))
        first = self._in_runs + 1
        keys, places = array("Q", [k for k, _ in pairs]), array("Q", [p for _, p in pairs])
        run = Run(
            first,
            self.count,
            self.end,
            Proof.of(*self._last),
            keys,
            places,
            self._near,
            self._near_places,
        )
        self._keys, self._near, self._near_places = {}, array("Q"), array("Q")
        self._last = None
        self._runs.append(self._kept(run))
        if len(self._runs) >= _MERGED and _is_small(self._runs[-_MERGED]):
            self._merge()

    def find(self, uuid: bytes) -> Iterator[Position]:
        """Where a frame begins that may have the event of that UUID."""
        key = key_of(uuid)
        found = self._keys.get(key, ())
        for place in found if isinstance(found, tuple) else (found,):
            yield _unpack(place)
        for run in reversed(self._runs):
            yield from map(_unpack, run.find(key))

    def before(self, position: int) -> tuple[int, Position]:
        """The nearest event at or before ``position`` whose frame begins with it, and where."""
        if self._near and self._near[0] <= position:
            return _nearest(self._near, self._near_places, position)
        at = bisect_right(self._runs, position, key=lambda run: run.first) - 1
        run = self._runs[at]
        return _nearest(run.near, run.near_places, position)

    def _merge(self) -> None:
        """Make one of the last runs; the events of each are behind those of the one before."""
        some = self._runs[-_MERGED:]
        pairs = sorted(pair for run in some for pair in zip(run.keys, run.places, strict=True))
        merged = Run(
            some[0].first,
            some[-1].last,
            some[-1].end,
            some[-1].proof,
            array("Q", [key for key, _ in pairs]),
            array("Q", [place for _, place in pairs]),
            array("Q", [one for run in some for one in run.near]),
            array("Q", [one for run in some for one in run.near_places]),
        )
        kept = self._kept(merged)
        self._runs[-_MERGED:] = [kept]
        # Where it could not be written, those that it was made of are what the next one reads.
        for run in some if kept is not merged else ():
            self._attempt_unlink(names.event_run(self._files.root, run.first, run.last))

    def _kept(self, run: Run) -> Run:
        """The run as it is in its file; where that cannot be written, the one in memory does."""
        if not self._writes:
            return run
        path = names.event_run(self._files.root, run.first, run.last)
        temporary = names.temporary_path(path)
        try:
            self._files.make_folders(names.event_index(self._files.root), [])
            self._files.write(temporary, run.encode(self._store), path)
            self._files.rename(temporary, path)
        except BackingError:
            # A full disk is told to who appends; who reads needs no index on it.
            self._attempt_unlink(temporary)
            return run
        return self._read(run.first, run.last) or run

    def _attempt_unlink(self, path: str) -> None:
        try:
            self._files.unlink(path)
        except BackingError:
            # It is passed over: the longer one begins where it does, and a temporary name is none.
            return

    def _read(self, first: int, last: int) -> Run | None:
        opened = self._files.open(names.event_run(self._files.root, first, last))
        if opened is None:
            return None
        try:
            data = memoryview(self._files.map(opened) if self._files.size(opened) else b"")
        finally:
            self._files.close(opened)
        run = parse(data, self._store)
        return run if run is not None and (run.first, run.last) == (first, last) else None


def key_of(uuid: bytes) -> int:
    """64 bits of a UUID, mixed so that those of any version differ."""
    return int(uuid.replace(b"-", b""), 16) * _MIX >> 64 & _KEY


def _pairs(keys: dict[int, int | tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    for key, places in keys.items():
        for place in places if isinstance(places, tuple) else (places,):
            yield key, place


def _is_small(run: Run) -> bool:
    return run.last - run.first < _FULL * _MERGED // 2


def _nearest(near: Numbers, places: Numbers, position: int) -> tuple[int, Position]:
    at = bisect_right(near, position) - 1
    return near[at], _unpack(places[at])


def _far(before: int, place: int) -> bool:
    return place - before >= _NEAR


def _pack(position: Position) -> int:
    return position.generation << _OFFSET_BITS | position.offset


def _unpack(place: int) -> Position:
    return Position(place >> _OFFSET_BITS, place & _OFFSET)
