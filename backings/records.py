"""A RecordKeeper in memory: for tests, and for programs that keep nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import RLock
from typing import Final
from uuid import UUID

from objstore import event as events
from objstore import sealing
from objstore.errors import ClosedError
from objstore.event import Event
from objstore.keeper import Place, RecordKeeper, Stored, missing
from objstore.sealing import EMPTY, Head, Signer

_SOME: Final = 256


class MemoryRecordKeeper(RecordKeeper):
    """Events in a list; gone with the process."""

    def __init__(self) -> None:
        self._guard: Final = RLock()
        # Guarded by _guard.
        self._lines: Final[list[bytes]] = []
        self._uuids: Final[list[UUID]] = []
        self._places: Final[dict[UUID, int]] = {}
        self._head = EMPTY
        self._is_closed = False

    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        with self._guard:
            batch = sealing.batch(added, self.head(), self._find, signer)
            if batch.lines:
                sealing.check_expected(expect, self._head, self.tail())
            for line in batch.lines:
                uuid = UUID(events.uuid_in(line).decode())
                self._lines.append(line)
                self._uuids.append(uuid)
                self._places[uuid] = len(self._lines)
            self._head = batch.head
        return Stored(batch.stored, batch.lines)

    def read(self, uuid_: UUID) -> Event:
        found = self._find(uuid_)
        if found is None:
            raise missing(uuid_)
        return found

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        with self._guard:
            self._require_open()
            place = self.locate(uuid_)
            return self._uuids[place] if place < len(self._uuids) else None

    def tail(self) -> UUID | None:
        with self._guard:
            self._require_open()
            return self._uuids[-1] if self._uuids else None

    def head(self) -> Head:
        with self._guard:
            self._require_open()
            return self._head

    def batches(self, after: Place = None) -> Iterator[bytes]:
        start, stop = self.locate(after), self.head().position
        some = (self._lines[at : min(at + _SOME, stop)] for at in range(start, stop, _SOME))
        return map(events.join, some)

    def locate(self, place: Place) -> int:
        if not isinstance(place, UUID):
            return place or 0
        with self._guard:
            self._require_open()
            if place not in self._places:
                raise missing(place)
            return self._places[place]

    def close(self) -> None:
        self._is_closed = True

    def _find(self, uuid: UUID) -> Event | None:
        with self._guard:
            self._require_open()
            place = self._places.get(uuid)
            return None if place is None else events.decode(self._lines[place - 1])

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this record keeper was closed")
