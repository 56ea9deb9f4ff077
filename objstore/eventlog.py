"""The event log: what happened, in order, for anybody to replay, follow and verify.

log.append("person-added", {"id": "bob"})
for event in log: ...                       # all; log[41:], log.since(uuid)
for event in log.subscribe(): ...           # all, and then each as it comes
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final, Self, cast, overload
from uuid import UUID

from . import event as events
from . import eventlines
from ._event_types import Consumer, Types, Upcast, Validator
from .documents import Commit
from .errors import CorruptionError, VerificationError
from .event import Data, Event
from .keeper import Place, Progress, RecordKeeper
from .sealing import MAX_INT, Chain, Head, PublicKey, Signer, head_of
from .subscription import Growth, Subscription
from .values import JSON, show

__all__ = ["EventLog"]


class EventLog:
    """A log of events on a RecordKeeper; safe between threads.

    Positions count from 1, indices, as those of a list, from 0: ``log[0]`` is at position 1. With a
    ``signer`` every event that is appended is signed. Calls raise as those of RecordKeeper do.
    """

    def __init__(self, keeper: RecordKeeper, *, signer: Signer | None = None) -> None:
        self.keeper: Final = keeper
        self._signer: Final = signer
        self._types: Final = Types()
        self._followed: Final[dict[UUID, int]] = {}
        """The last commit that this handle has followed, by its store."""
        self._growth: Final = Growth()

    def __repr__(self) -> str:
        return f"<EventLog {self.keeper!r}>"

    # --- writing ----------------------------------------------------------------------------------

    def append(
        self,
        type: str,
        data: Data = None,
        *,
        uuid: UUID | None = None,
        expect: UUID | int | None = None,
        author: str | None = None,
    ) -> Event:
        """Append an event and return it as it is stored: durable, and with its place.

        A ``uuid`` makes it safe to append again: if the log has that event, it is returned. With
        ``expect``, the UUID of the tail or how many events there are, nobody else's event comes in
        between. Raises DuplicateEventError for a UUID under which the log has another content,
        ConflictError where the log has gone on, ValidationError where the type's schema refuses the
        data, FormatError for data that JSON cannot hold, and what validators raise. What a consumer
        raises comes through too, when the event is stored.
        """
        event = events.new(type, data, author, self._types.versions, events.now())
        if uuid is not None:
            event = Event(type, data, uuid=uuid, author=author, version=event.version)
        return self._extend([event], expect)[0]

    def extend(
        self, added: Iterable[Event | tuple[str, Data]], *, expect: UUID | int | None = None
    ) -> Sequence[Event]:
        """Append events, or pairs of type and data, in order and with one sync: all or none.

        In seed 000's tree they are added one after another. Raises as ``append`` does.
        """
        given, now, versions = list(added), events.now(), self._types.versions
        if _are_pairs(given):
            made = events.new_ones(cast("list[tuple[str, Data]]", given), versions, now)
        else:
            made = [self._as_event(one, now) for one in given]
        return self._extend(made, expect)

    def _as_event(self, one: Event | tuple[str, Data], now: str) -> Event:
        if isinstance(one, Event):
            return one
        # Not by isinstance, which type checkers take for granted, and programs do not.
        if not _is_pair(one):
            raise TypeError(f"expected an Event, or a pair of type and data, not {show(one)}")
        type, data = one
        return events.new(type, data, None, self._types.versions, now)

    def _extend(self, added: Sequence[Event], expect: UUID | int | None) -> Sequence[Event]:
        if not added:
            self._require_open()
            return []
        types = self._types
        if types.has_checks:
            types.validate(added)
        stored = self.keeper.extend(added, expect=expect, signer=self._signer)
        self._growth.tell()
        if types.has_consumers:
            types.consume(stored)
        return stored

    def follow_commits(self, commits: Iterable[Commit], *, source: UUID, at_once: int = 1) -> int:
        """Append an event of type ``commit`` for each commit of a store; how many were new.

        Its data: number, meta, scope and the units changed; integers in meta that are beyond
        2^53 - 1, which events cannot hold, as decimal text. ``source`` says which store; the same
        commit again, by this process or another, is the same event. ``followed`` tells where to go
        on. ``at_once`` commits share a sync: more than one only where ``commits`` waits for none.
        """
        count = 0
        events = (_commit_event(commit, source) for commit in commits)
        for some in _portions(events, at_once):
            new = [event for event in some if not self.exists(event.uuid)]
            self._follow(new)
            count += len(new)
            self._followed[source] = some[-1].data["number"]
        return count

    def _follow(self, new: Sequence[Event]) -> None:
        try:
            self._extend(new, None)
        except Exception:
            if len(new) > 1 and not self.exists(new[0].uuid):
                for event in new:  # up to the one that is refused
                    self._extend([event], None)
            raise

    def followed(self, source: UUID) -> int:
        """The number of the last commit that ``follow_commits`` has appended; 0 for none.

        Commits are to be followed without a gap. Where the first are missing, as they were removed
        before, it is told only by the log that has followed the rest.
        """
        known = self._followed.get(source, 0)
        if known and not self.exists(_commit_uuid(source, known)):
            known = 0  # it was appended in a transaction that was taken back
        unknown = known + 1
        while self.exists(_commit_uuid(source, unknown)):
            known, unknown = unknown, 2 * unknown
        while unknown - known > 1:
            middle = (known + unknown) // 2
            if self.exists(_commit_uuid(source, middle)):
                known = middle
            else:
                unknown = middle
        return known

    # --- reading ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.head().position

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Event]:
        """All events up to the tail as it is now, upcast."""
        return self.since()

    def since(self, after: Event | Place = None) -> Iterator[Event]:
        """The events behind an event, a UUID or a position, up to the tail as it is now.

        Raises EventNotFoundError for a UUID that the log does not have.
        """
        found = map(eventlines.decode_all, self.keeper.batches(_place(after)))
        if self._types.has_upcasters:
            return map(self._types.upcast, chain.from_iterable(found))
        return chain.from_iterable(found)

    @overload
    def __getitem__(self, key: int | UUID) -> Event: ...
    @overload
    def __getitem__(self, key: slice) -> list[Event]: ...
    def __getitem__(self, key: int | UUID | slice) -> Event | list[Event]:
        """The event of a UUID, or as a list has it: by its index, or those of a slice.

        A slice may also begin and end with events or UUIDs; it holds the first, and not the last.
        Raises EventNotFoundError (a ValueError), IndexError.
        """
        if isinstance(key, UUID):
            return self._types.upcast(self.read(key))
        if isinstance(key, slice):
            return self._slice(key)
        size = len(self)
        index = operator.index(key)
        index += size if index < 0 else 0
        if not 0 <= index < size:
            raise IndexError(f"the log has {size} events, and none at index {key}")
        for event in self.since(index):
            return event
        raise CorruptionError(f"expected {size} events, found {index}", file="event log")

    def _slice(self, key: slice) -> list[Event]:
        bounds = slice(self._index(key.start), self._index(key.stop), key.step)
        wanted = range(len(self))[bounds]
        if not wanted:
            return []
        low, high = min(wanted), max(wanted)
        found = list(islice(self.since(low), high + 1 - low))
        return found[:: wanted.step] if wanted.step > 0 else found[::-1][:: -wanted.step]

    def _index(self, bound: Any) -> Any:
        place = bound.uuid if isinstance(bound, Event) else bound
        return self.keeper.locate(place) - 1 if isinstance(place, UUID) else place

    def __contains__(self, event: object) -> bool:
        """Whether the log has an event, or a UUID."""
        uuid = event.uuid if isinstance(event, Event) else event
        return isinstance(uuid, UUID) and self.exists(uuid)

    def read(self, uuid_: UUID) -> Event:
        """The event of a UUID, as it was stored. Raises EventNotFoundError (a ValueError)."""
        return self.keeper.read(uuid_)

    def exists(self, uuid_: UUID) -> bool:
        """Whether the log has an event with that UUID."""
        return self.keeper.exists(uuid_)

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """The UUID of the event behind that one, None for the tail; without one, of the first."""
        return self.keeper.next(uuid_)

    def tail(self) -> UUID | None:
        """The UUID of the last event; None where there is none."""
        return self.keeper.tail()

    def head(self) -> Head:
        """How many events there are, and the last one's hash: to be kept for ``verify``."""
        return self.keeper.head()

    def subscribe(
        self, after: Event | Place = None, *, timeout: float | None = None
    ) -> Subscription:
        """All events behind a place, and then each that anybody appends: no gap, and none twice.

        To be iterated over with ``for`` or ``async for``. It ends when it is closed, or when for
        ``timeout`` seconds nothing came. Events of other processes come within 50 ms.
        """
        place = _place(after)
        position = self.keeper.locate(place)
        return Subscription(self.since, self.keeper, self._growth, position, timeout)

    # --- what types are ---------------------------------------------------------------------------

    def register(self, one: Validator | Consumer, *types: str) -> None:
        """Have events of these types, or of all, validated or consumed by this handle.

        ``one.validate(event)`` is called before an event is stored, and refuses it by raising.
        ``one.consume(event)`` is called when it is durable, once for each call that appended it;
        within a transaction of a Storage that the log is on, before that commits or is taken back.
        What it raises comes from the call, and the event is stored all the same.
        """
        self._types.register(one, types)

    def schema(self, type: str, schema: JSON | type[Any], *, version: int | None = None) -> None:
        """Check the data of a type's events against a JSON Schema, or a class that has one: one of
        objstore's, or a pydantic model.

        ``version`` is the newest one unless given, also where an upcaster makes one later. Raises
        SchemaError.
        """
        self._types.schema(type, schema, version)

    def upcaster(
        self, type: str, version: int = 1, *, to: str | None = None
    ) -> Callable[[Upcast], Upcast]:
        """Decorates a function from the data of a type's ``version`` to that of the next.

        Events are read as the newest version says them; what is stored never changes. New ones are
        appended as the newest. With ``to`` the type has another name from then on; what is appended
        by the old one stays at the last version of that, and is upcast when it is read.
        """
        return self._types.upcaster(type, version, to)

    # --- integrity --------------------------------------------------------------------------------

    def verify(
        self,
        *,
        head: Head | Sequence[Any] | None = None,
        keys: Iterable[PublicKey] | None = None,
        progress: Progress | None = None,
    ) -> Head:
        """Go over all events; the head that they lead to.

        ``head`` is one that this log had earlier, as told by ``head`` or ``verify``, or its
        position and hash, as JSON gives it back: everything up to there has to be as it was then.
        With ``keys``, each event has to be signed by one of them. Raises VerificationError, which
        names the first bad event; TypeError and ValueError for what is no head, and no key.
        """
        walk = Chain(keys=keys)
        head = None if head is None else head_of(head)
        size = 0 if progress is None else self._size()
        try:
            for batch in self.keeper.batches():
                before = walk.head.position
                walk.take(batch)
                if head is not None and before < head.position <= walk.head.position:
                    _check_head(head, eventlines.split(batch)[head.position - before - 1])
                if progress is not None:
                    progress(walk.head.position, max(size, walk.head.position))
            self.keeper.check_end()
        except CorruptionError as error:
            raise VerificationError(str(error), position=walk.head.position + 1) from error
        if head is not None and head.position > walk.head.position:
            reason = f"it is missing, as the log had {head.position} events"
            raise VerificationError(reason, position=walk.head.position + 1)
        return walk.head

    def _size(self) -> int:
        """How many events there seem to be."""
        try:
            return len(self)
        except CorruptionError:
            # Who verifies will come to it.
            return 0

    def _require_open(self) -> None:
        self.keeper.locate(None)  # raises ClosedError

    def close(self) -> None:
        """Close the record keeper. Closing again does nothing; other calls raise ClosedError."""
        self.keeper.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _are_pairs(some: list[Any]) -> bool:
    return set(map(type, some)) <= {tuple} and set(map(len, some)) <= {2}


def _is_pair(one: object) -> bool:
    return one.__class__ is tuple and len(cast("tuple[object, ...]", one)) == 2


def _place(after: Event | Place) -> Place:
    return after.uuid if isinstance(after, Event) else after


def _check_head(head: Head, line: bytes) -> None:
    _, hash, uuid = eventlines.place_in(line)
    if hash != head.hash:
        reason = "the events up to here are others than those of the head given"
        raise VerificationError(reason, position=head.position, uuid=uuid)


def _fitting(value: Any) -> Any:
    """JSON as events can hold it: integers that RFC 8785 does not have become text."""
    if isinstance(value, dict):
        return {key: _fitting(part) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_fitting(part) for part in cast("list[Any]", value)]
    return str(value) if isinstance(value, int) and abs(value) > MAX_INT else value


def _commit_event(commit: Commit, source: UUID) -> Event:
    data = {
        "number": commit.number,
        "meta": _fitting(dict(commit.without_numbers().meta)),
        "scope": commit.scope,
        "units": [change.unit for change in commit.changes],
    }
    return Event("commit", data, uuid=_commit_uuid(source, commit.number), time=commit.time)


def _portions(events: Iterable[Event], count: int) -> Iterator[list[Event]]:
    """Up to ``count`` at a time; those before an error come first."""
    some: list[Event] = []
    try:
        for event in events:
            some.append(event)
            if len(some) >= count:
                yield some
                some = []
    except Exception:
        if some:
            yield some
        raise
    if some:
        yield some


def _commit_uuid(source: UUID, number: int) -> UUID:
    from uuid import uuid5

    return uuid5(source, f"commit {number}")
