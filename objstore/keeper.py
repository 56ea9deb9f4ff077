"""The contract of RecordKeeper: events one behind the other. Names and rules: seed 000."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import overload
from uuid import UUID

from . import eventlines
from .errors import EventNotFoundError
from .event import Event
from .sealing import EMPTY, Head, Signer
from .values import show

__all__ = ["RecordKeeper"]

Place = UUID | int | None
"""An event by its UUID, or by its position, from 1; 0 and None are the place before the first."""


class RecordKeeper(ABC):
    """A log of events; safe between threads, and between processes where its medium is shared.

    A new event follows the last one that anybody has added, and stays where it is. It is durable
    when the call that adds it returns. Every call may raise BackingError, CorruptionError and
    ClosedError.
    """

    @abstractmethod
    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        """Add events in their order, all or none; they come back as they are stored.

        One that the log has already, by its UUID, is not added again, and comes back as it is
        there. ``expect`` is the UUID of the tail, or how many events there are: unless it is so
        when the first new one is added, ConflictError is raised, and nothing is added. Raises
        DuplicateEventError for another content under the same UUID, FormatError for data that JSON
        cannot hold.
        """

    @abstractmethod
    def read(self, uuid_: UUID) -> Event:
        """The event with that UUID. Raises EventNotFoundError (a ValueError)."""

    @abstractmethod
    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """The UUID of the event behind that one; None for the tail. Without one: of the first.

        Raises EventNotFoundError (a ValueError).
        """

    @abstractmethod
    def tail(self) -> UUID | None:
        """The UUID of the last event; None where there is none."""

    # --- on top of these; a maker may know faster ways --------------------------------------------

    def add(self, event: Event) -> None:
        """Add an event behind the last one. Adding the same event again does nothing.

        Raises as ``extend`` does.
        """
        self.extend([event])

    def exists(self, uuid_: UUID) -> bool:
        """Whether there is an event with that UUID."""
        try:
            self.read(uuid_)
        except EventNotFoundError:
            return False
        return True

    @property
    def in_transaction(self) -> bool:
        """Whether events that this thread sees may still be taken back, with its transaction."""
        return False

    def head(self) -> Head:
        """How many events there are, and the last one's hash."""
        tail = self.tail()
        last = None if tail is None else self.read(tail).integrity
        return EMPTY if last is None else Head(last.position, last.hash)

    def lines(self, after: Place = None) -> Iterator[list[bytes]]:
        """The events behind a place as they are stored, some at a time, up to the tail as it is.

        Raises EventNotFoundError.
        """
        return map(eventlines.split, self.batches(after))

    def batches(self, after: Place = None) -> Iterator[bytes]:
        """The same, each time as one line, or as the JSON array that docs/formats/events.md has."""
        begin = known_place(after)
        if isinstance(begin, UUID):
            self.next(begin)  # raises EventNotFoundError
            return self._upto(self.tail(), begin, 0)
        return self._upto(self.tail(), None, begin)

    def _upto(self, last: UUID | None, at: UUID | None, skip: int) -> Iterator[bytes]:
        """The events behind ``at``, but for some, up to the last."""
        while at != last and (at := self.next(at)) is not None:
            if skip > 0:
                skip -= 1
            else:
                yield eventlines.encode(self.read(at))

    def locate(self, place: Place) -> int:
        """The position of a place. Raises EventNotFoundError for a UUID that there is not."""
        known = known_place(place)
        return self.read(known).position if isinstance(known, UUID) else known

    def check_end(self) -> None:  # noqa: B027 - where nothing can be there
        """Raise CorruptionError where events are behind the last one."""

    def close(self) -> None:  # noqa: B027 - a maker that holds nothing has nothing to do
        """Release what is held; closing again does nothing, any other call raises ClosedError."""


def known_place(place: Place) -> UUID | int:
    """The UUID, or the position. Raises TypeError and ValueError for what is neither."""
    if place is None or isinstance(place, UUID):
        return place or 0
    if type(place) is not int:
        raise TypeError(f"a place in a log is a UUID or a position, not {show(place)}")
    if place < 0:
        raise ValueError(f"a position in a log is 0 or more, not {place}")
    return place


def missing(uuid: UUID) -> EventNotFoundError:
    return EventNotFoundError(f"there is no event {uuid}")


class Stored(Sequence[Event]):
    """The events of one call as they are stored; decoded when they are looked at, as few are."""

    def __init__(self, stored: Sequence[Event | None], lines: Sequence[bytes]) -> None:
        self._kept: Sequence[Event | bytes] = lines
        if len(lines) < len(stored):
            fresh = iter(lines)
            self._kept = [next(fresh) if one is None else one for one in stored]

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [*map(_decoded, self._kept[index])]
        return _decoded(self._kept[index])

    def __repr__(self) -> str:
        return repr(self[:])


def _decoded(kept: Event | bytes) -> Event:
    return kept if isinstance(kept, Event) else eventlines.decode_appended(kept)


Progress = Callable[[int, int], object]
"""Told how many events are done, and of how many."""
