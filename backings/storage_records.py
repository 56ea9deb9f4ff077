"""A RecordKeeper over any Storage. Format: docs/formats/events.md, "On a Storage"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from objstore import eventlines, sealing
from objstore.errors import (
    ClosedError,
    ContainerNotFoundError,
    CorruptionError,
    KeyNotFoundError,
)
from objstore.event import Event, check_uuid
from objstore.keeper import Place, RecordKeeper, Stored, known_place, missing
from objstore.sealing import EMPTY, Head, Signer
from objstore.storage import Savepoints, Storage, Value
from objstore.values import show

_SOME: Final = 64
"""How many events are read at a time, in the end."""

_TAIL: Final = "tail"

_KEY: Final = re.compile("[0-9]{16}")
"""Of an event."""


class _Tail(NamedTuple):
    """The end of the log."""

    head: Head
    uuid: UUID | None


_NOTHING: Final = _Tail(EMPTY, None)


class StorageRecordKeeper(RecordKeeper):
    """Events in two containers of ``storage``, ``name`` and ``name``.uuids, made with the first.

    Within a transaction of this thread on the storage, events are appended with all else that this
    commits, or not at all. ``close`` leaves the storage open.
    """

    def __init__(self, storage: Storage, name: str = "events") -> None:
        self._storage: Final = storage
        self._events: Final = name
        self._uuids: Final = f"{name}.uuids"
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<StorageRecordKeeper {show(self._events)} of {self._storage!r}>"

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a transaction on the storage, of one that has savepoints."""
        return isinstance(self._storage, Savepoints) and self._storage.in_transaction

    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        """Add events in one transaction of the storage, or in the one that is under way."""
        self._require_open()
        some = sealing.drafts(added)
        with self._storage.transaction():
            tail = self._tail()
            batch = sealing.batch(some, tail.head, self._find, signer)
            if batch.lines:
                sealing.check_expected(expect, tail.head, tail.uuid)
                self._store(batch.lines, tail.head.position)
        return Stored(batch.stored, batch.lines)

    def read(self, uuid_: UUID) -> Event:
        """The event with that UUID: two gets."""
        found = self._find(uuid_)
        if found is None:
            raise missing(uuid_)
        return found

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """The UUID of the event behind that one, or of the first; None for the tail."""
        behind = 1 if uuid_ is None else self.locate(check_uuid(uuid_)) + 1
        if behind > self._count():
            return None
        return self._place(behind)[2]

    def tail(self) -> UUID | None:
        """The UUID of the last event; None for none."""
        return self._tail().uuid

    def head(self) -> Head:
        """How many events there are, and the last one's hash."""
        return self._tail().head

    def batches(self, after: Place = None) -> Iterator[bytes]:
        """The events behind a place, up to the tail as it is now, some at a time."""
        return self._batches(self.locate(after) + 1, self._count() + 1)

    def _batches(self, start: int, stop: int) -> Iterator[bytes]:
        count = 1  # of who asks for one event, as whoever looks whether it is there
        while start < stop:
            lines: list[bytes] = []
            try:
                lines.extend(self._lines(range(start, min(start + count, stop))))
            except CorruptionError:
                if lines:
                    yield eventlines.join(lines)
                raise
            yield eventlines.join(lines)
            start, count = start + count, min(2 * count, _SOME)

    def locate(self, place: Place) -> int:
        """The position of a place."""
        self._require_open()
        known = known_place(place)
        if isinstance(known, int):
            return known
        position = self._position(known)
        if position is None:
            raise missing(known)
        return position

    def check_end(self) -> None:
        """Raise CorruptionError where more events are stored than the last one says."""
        with self._storage.transaction(write=False):
            count = self._count()
            if self._has_events() and self._storage.get_container_len(self._events) != count:
                reason = "events are there behind the last one"
                raise CorruptionError(reason, file=self._file(count))

    def close(self) -> None:
        """Refuse all further calls; the storage stays open."""
        self._is_closed = True

    def _store(self, lines: Sequence[bytes], before: int) -> None:
        there = self._make(self._events)
        self._make(self._uuids)
        positions = range(before + 1, before + 1 + len(lines))
        uuids = [eventlines.uuid_in(line).decode() for line in lines]
        keys = [_key(position) for position in positions]
        self._storage.set_container_items(self._events, zip(keys, lines, strict=True))
        if self._storage.get_container_len(self._events) != there + len(lines):
            # Raised within the transaction, which takes back what was set.
            raise CorruptionError("events are there behind the last one", file=self._file(before))
        self._storage.set_container_items(
            self._uuids, [*zip(uuids, keys, strict=True), (_TAIL, keys[-1])]
        )

    def _make(self, container: str) -> int:
        """Make a container where there is none; how much it has."""
        try:
            return self._storage.get_container_len(container)
        except ContainerNotFoundError:
            self._storage.add_container(container)
            return 0

    def _count(self) -> int:
        """How many events there are, though the last one be damaged."""
        self._require_open()
        count = self._number(_TAIL)
        if not count and self._has_events():
            # The first may have come in between.
            count = self._number(_TAIL)
            if not count:
                raise CorruptionError("expected the last event's key", file=self._place_of(_TAIL))
        return count or 0

    def _has_events(self) -> bool:
        try:
            return self._storage.get_container_len(self._events) > 0
        except ContainerNotFoundError:
            return False

    def _tail(self) -> _Tail:
        count = self._count()
        if not count:
            return _NOTHING
        position, hash, uuid = self._place(count)
        return _Tail(Head(position, hash), uuid)

    def _place(self, position: int) -> tuple[int, str, UUID]:
        found = eventlines.place_in(self._line(position), self._file(position))
        if found[0] != position:
            reason = f"this is the event {found[2]}, which has the position {found[0]}"
            raise CorruptionError(reason, file=self._file(position))
        return found

    def _file(self, position: int) -> str:
        return f"{self._events}, {_key(position)}"

    def _find(self, uuid: UUID) -> Event | None:
        self._require_open()
        position = self._position(uuid)
        if position is None:
            return None
        return eventlines.decode(self._line(position), self._file(position))

    def _position(self, uuid: UUID) -> int | None:
        return self._number(str(check_uuid(uuid)))

    def _number(self, name: str) -> int | None:
        """The position that is stored by a UUID, or for the tail."""
        key = self._get(self._uuids, name)
        if key is None:
            return None
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise CorruptionError("expected an event's key", file=self._place_of(name))
        return int(key)

    def _place_of(self, name: str) -> str:
        return f"{self._uuids}, {name}"

    def _line(self, position: int) -> bytes:
        [line] = self._lines(range(position, position + 1))
        return line

    def _lines(self, positions: range) -> Iterator[bytes]:
        self._require_open()
        try:
            found = self._storage.get_container_items(self._events, map(_key, positions))
        except ContainerNotFoundError:
            raise self._missing(positions[0]) from None
        for position, (_, value) in zip(positions, found, strict=True):
            if value is None:
                raise self._missing(position)
            yield value.encode() if isinstance(value, str) else value

    def _missing(self, position: int) -> CorruptionError:
        return CorruptionError("this event is missing", file=self._file(position))

    def _get(self, container: str, key: str) -> Value | None:
        try:
            return self._storage.get_container_item(container, key)
        except (ContainerNotFoundError, KeyNotFoundError):
            return None

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this record keeper was closed")


def _key(position: int) -> str:
    """Of one length, so that the order of keys is that of events."""
    return f"{position:016}"
