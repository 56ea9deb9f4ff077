"""A RecordKeeper in memory: for tests, and for programs that keep nothing."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from threading import RLock
from typing import Final
from uuid import UUID

from objstore import eventlines, sealing
from objstore.errors import ClosedError, ReadOnlyError
from objstore.event import Event, check_uuid
from objstore.keeper import Place, RecordKeeper, Stored, known_place, missing
from objstore.sealing import EMPTY, Head, Signer

_SOME: Final = 256


class _Kept:
    """The events of one log."""

    def __init__(self) -> None:
        self.guard: Final = RLock()
        # Guarded by guard.
        self.lines: Final[list[bytes]] = []
        self.uuids: Final[list[UUID]] = []
        self.places: Final[dict[UUID, int]] = {}
        self.head = EMPTY


class MemoryRecordKeeper(RecordKeeper):
    """Events in a list; gone with the process, or with the last who ``shares`` it."""

    def __init__(self, shares: MemoryRecordKeeper | None = None, *, readonly: bool = False) -> None:
        self._kept: Final[_Kept] = _Kept() if shares is None else shares._kept
        self._guard: Final = self._kept.guard
        self._readonly: Final = readonly
        self._is_closed = False

    def __repr__(self) -> str:
        return "<MemoryRecordKeeper>"

    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        """Add events, all or none; they last as long as this object, or who shares it."""
        if self._readonly:
            raise ReadOnlyError(errno.EROFS, "this record keeper was opened with readonly=True")
        some = sealing.drafts(added)
        with self._guard:
            batch = sealing.batch(some, self.head(), self._find, signer)
            if batch.lines:
                sealing.check_expected(expect, self._kept.head, self.tail())
            for line in batch.lines:
                uuid = UUID(eventlines.uuid_in(line).decode())
                self._kept.lines.append(line)
                self._kept.uuids.append(uuid)
                self._kept.places[uuid] = len(self._kept.lines)
            self._kept.head = batch.head
        return Stored(batch.stored, batch.lines)

    def read(self, uuid_: UUID) -> Event:
        """The event with that UUID."""
        found = self._find(uuid_)
        if found is None:
            raise missing(uuid_)
        return found

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """The UUID of the event behind that one, or of the first; None for the tail."""
        with self._guard:
            self._require_open()
            place = 0 if uuid_ is None else self.locate(check_uuid(uuid_))
            return self._kept.uuids[place] if place < len(self._kept.uuids) else None

    def tail(self) -> UUID | None:
        """The UUID of the last event; None for none."""
        with self._guard:
            self._require_open()
            return self._kept.uuids[-1] if self._kept.uuids else None

    def head(self) -> Head:
        """How many events there are, and the last one's hash."""
        with self._guard:
            self._require_open()
            return self._kept.head

    def batches(self, after: Place = None) -> Iterator[bytes]:
        """The events behind a place, up to the tail as it is now."""
        start, stop = self.locate(after), self.head().position
        some = (self._kept.lines[at : min(at + _SOME, stop)] for at in range(start, stop, _SOME))
        return map(eventlines.join, some)

    def locate(self, place: Place) -> int:
        """The position of a place."""
        self._require_open()
        known = known_place(place)
        if isinstance(known, int):
            return known
        with self._guard:
            if known not in self._kept.places:
                raise missing(known)
            return self._kept.places[known]

    def close(self) -> None:
        """Refuse all further calls; what it keeps stays for those who share it."""
        self._is_closed = True

    def _find(self, uuid: UUID) -> Event | None:
        with self._guard:
            self._require_open()
            place = self._kept.places.get(check_uuid(uuid))
            return None if place is None else eventlines.decode(self._kept.lines[place - 1])

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this record keeper was closed")
