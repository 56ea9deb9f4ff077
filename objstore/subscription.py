"""Following an event log: what is there, and then what comes."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from threading import Lock
from typing import Final, Self

from . import eventlines
from ._turns import take_first
from .event import Event
from .keeper import RecordKeeper

__all__ = ["Subscription"]

_SOME: Final = 256
_FIRST_WAIT: Final = 0.001
_LAST_WAIT: Final = 0.05
"""In seconds: how soon it is looked again, at first and after a while, for what others append."""


class Growth:
    """Tells those that wait for it that a log has grown. Most of the time nobody does."""

    def __init__(self) -> None:
        self._gates: Final[set[Lock]] = set()
        """Of those that wait: each is locked, and opened by who takes it out, as one step does."""

    def tell(self) -> None:
        """Wake all that wait. Who comes too late to be told waits no longer than _LAST_WAIT."""
        while self._gates:
            with suppress(KeyError):  # another one tells as well
                self._gates.pop().release()

    def wait(self, seconds: float) -> None:
        """Return when it has grown, or after so many seconds."""
        gate = Lock()
        gate.acquire()
        self._gates.add(gate)
        try:
            gate.acquire(timeout=seconds)
        finally:
            self._gates.discard(gate)


class Subscription:
    """Events from a place on, as an iterator and as an async iterator; see ``EventLog.subscribe``.

    Several threads or tasks that iterate over one subscription share its events. What is given in
    a transaction that is taken back was not there: what is appended in its place is given too.
    """

    def __init__(
        self,
        since: Callable[[int], Iterator[Event]],
        keeper: RecordKeeper,
        growth: Growth,
        position: int,
        timeout: float | None,
    ) -> None:
        self._since: Final = since
        self._keeper: Final = keeper
        self._growth: Final = growth
        self._timeout: Final = timeout
        self._guard: Final = Lock()
        # Guarded by _guard.
        self._position = position
        """Of the last event in _ready, or that was given away."""
        self._ready: deque[Event] = deque()
        self._source: Iterator[Event] | None = None
        """Those behind _position, up to the tail of some time ago: to find the place anew for each
        few of them would read a batch of many as often. Taken away while it is read: who is
        interrupted, or gets an error, leaves none."""
        hash = self._hash_at(position) if position and keeper.in_transaction else None
        self._unsure: list[str] = [] if hash is None else [hash]
        """The hashes of the last events up to _position, where they were read in a transaction."""
        self._is_closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Wait for the next event. Raises StopIteration when the subscription has ended."""
        pace = _Pace(self._timeout)
        while not self._is_closed:
            event = self._take()
            if event is not None:
                return event
            wait = pace.next()
            if wait is None:
                break
            self._growth.wait(wait)
        raise StopIteration

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The same without holding up other tasks, but for reading what is there."""
        import asyncio

        pace = _Pace(self._timeout)
        while not self._is_closed:
            event = self._take()
            if event is not None:
                return event
            wait = pace.next()
            if wait is None:
                break
            await asyncio.sleep(wait)
        raise StopAsyncIteration

    def close(self) -> None:
        """End it, also for who is waiting; closing again does nothing."""
        self._is_closed = True
        self._growth.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> Event | None:
        taken: list[Event] = []
        try:
            with self._guard:
                if self._unsure:
                    self._go_back()
                if not self._ready:
                    self._read()
                if self._ready:
                    take_first(self._ready, taken)
        except BaseException:
            self._ready.extendleft(taken)  # interrupted: nobody has got it
            raise
        return taken[0] if taken else None

    def _go_back(self) -> None:
        """Forget events that were taken back since they were read."""
        unsure, before = self._unsure, self._position - len(self._unsure)
        if self._hash_at(self._position) != unsure[-1]:
            # Those that are there come first, as each hash is of all events before it too.
            there = bisect_left(
                range(len(unsure)),
                True,
                key=lambda at: self._hash_at(before + at + 1) != unsure[at],
            )
            # It may have begun behind an event that was taken back as well.
            position = before + there if there else min(before, self._keeper.head().position)
            ready = deque(islice(self._ready, max(len(self._ready) - len(unsure) + there, 0)))
            unsure = unsure[:there]
            # Together, as below.
            self._ready, self._position, self._source, self._unsure = ready, position, None, unsure
        if not self._keeper.in_transaction:
            self._unsure = []

    def _hash_at(self, position: int) -> str | None:
        """The hash of the event at a position, which is of all before too; None for no event."""
        some = next(self._keeper.batches(position - 1), None)
        return None if some is None else eventlines.place_in(eventlines.split(some)[0])[1]

    def _read(self) -> None:
        some: list[Event] = []
        source, self._source = self._source, None
        try:
            if source is not None:
                self._keeper.locate(None)  # raises ClosedError
                some.extend(islice(source, _SOME))
            if not some:
                source = self._since(self._position)
                some.extend(islice(source, _SOME))
        except Exception:
            # What was read before it comes first. Behind that it is met again, unless it was an
            # interrupt, such as a TimeoutError that a signal's handler raises.
            source = None
            if not some or self._can_read(self._position + len(some)):
                raise
        is_unsure = self._keeper.in_transaction
        if len(some) < _SOME or is_unsure:
            source = None  # at its end, or that may be taken back
        unsure = [*map(_hash, some)] if is_unsure else []
        ready, position = deque(some), self._position + len(some)
        # Together: nothing is called here, hence nothing interrupts it.
        self._ready, self._position, self._source = ready, position, source
        self._unsure += unsure

    def _can_read(self, position: int) -> bool:
        """Whether what is behind a position gives no error."""
        try:
            next(self._since(position), None)
        except Exception:  # noqa: BLE001 - whoever comes to it is told
            return False
        return True


def _hash(event: Event) -> str:
    known = event.integrity
    return "" if known is None else known.hash


class _Pace:
    """How long to wait before looking again."""

    def __init__(self, timeout: float | None) -> None:
        self._until: Final = None if timeout is None else time.monotonic() + timeout
        self._wait = _FIRST_WAIT

    def next(self) -> float | None:
        """Seconds; None when there is no more time."""
        left = None if self._until is None else self._until - time.monotonic()
        if left is not None and left <= 0:
            return None
        wait, self._wait = self._wait, min(2 * self._wait, _LAST_WAIT)
        return wait if left is None else min(wait, left)
