"""A thread's transaction on an LMDB file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Any, Final, TypeVar
from weakref import WeakSet, ref

import lmdb

from objstore._turns import Taken

from . import storages
from .inherited import keep_for_ever
from .lmdb_env import Environment, Txn, close_unused, mapped, shared_lock
from .lmdb_records import Raw
from .transacting import Ending

T = TypeVar("T")

_FIRST_ROWS: Final = 16
_ROWS: Final = 512
"""How many items are fetched at a time, at first and in the end."""

Step = Callable[[Txn], Any]
"""Something done to a writing transaction: done again the same way where the map had to grow."""


class Work(Ending):
    """A transaction: a reading one of LMDB's, and a writing one from the first write on.

    It keeps what was done, to do it again in a larger map, or without its end at a savepoint.
    LMDB wants a writing transaction ended by the thread that began it.
    """

    ended = True
    """Also as long as it is being made."""

    def __init__(self, environment: Environment, wait: float) -> None:
        self.has_read = False
        self.taken: Final[Taken] = []
        """Whether it has the turn to write."""
        self.writes = False
        self.done: list[Step] = []
        self.folder: Final = environment.folder
        self._environment: Final = environment
        self._wait: Final = wait
        self._process: Final = os.getpid()
        self._mark: Final = object()
        self._state = 0
        self._txn: Txn | None = None
        with shared_lock:
            environment.users += 1  # which keeps it open
            self.ended = False
        environment.held.add(self._mark)
        _lasting.add(self)

    @property
    def txn(self) -> Txn:
        """LMDB's transaction. Raises TransactionError when all is over."""
        if self._txn is None:
            raise storages.over()
        return self._txn

    def seen(self) -> Callable[[], Txn]:
        """What gives ``txn``, and does not keep this from ending with its thread."""
        known = ref(self)

        def txn() -> Txn:
            work = known()
            if work is None:
                raise storages.over()
            return work.txn

        return txn

    def read(self) -> None:
        """Begin to see one state."""
        self._txn = begin(self._environment, self._wait)
        self._state = self._txn.id()

    def reserve(self) -> None:
        """Wait until this transaction may write. Raises ConflictError, and ends, if overtaken."""
        if self.writes:
            return
        self._environment.take_turn(self._wait, self.taken)
        self.writes = True
        if self._txn is not None:
            self._txn.abort()
        self._begin_writing()
        if self.has_read and self.txn.id() != self._state + 1:
            raise storages.overtaken(self._environment.folder)
        self._state = self.txn.id() - 1

    def _begin_writing(self) -> None:
        self._txn = None
        self._txn = begin(self._environment, self._wait, write=True)

    def do(self, step: Callable[[Txn], T]) -> T:
        """Do a step of writing, in a larger map if it takes that."""
        while True:
            try:
                result = step(self.txn)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.Error as error:
                raise mapped(error, self._environment.folder) from error
            else:
                self.done.append(step)
                return result

    def _grow(self) -> None:
        self.txn.abort()
        self._environment.grow(self._wait, full=True)
        self._again(len(self.done))

    def back_to(self, count: int) -> None:
        """Take back all steps but the first ``count``."""
        if count < len(self.done):
            self.txn.abort()
            self._again(count)

    def _again(self, count: int) -> None:
        """Begin anew, and do the first ``count`` steps."""
        self._begin_writing()
        if self.txn.id() != self._state + 1:  # a program that does not know of our turns
            raise storages.overtaken(self._environment.folder)
        steps, self.done = self.done[:count], []
        for step in steps:
            self.do(step)

    def commit(self) -> None:
        """Make what was done durable, in a larger map if it takes that, and end."""
        txn = self.txn
        try:
            if self.writes:
                self._commit(txn)
        except lmdb.Error as error:
            raise mapped(error, self._environment.folder) from error
        finally:
            self.end()

    def _commit(self, txn: Txn) -> None:
        try:
            txn.commit()
        except lmdb.MapFullError:
            self._grow()
            self._commit(self.txn)

    def end(self) -> None:
        """As the class says."""
        if self.ended:
            return
        if self._process != os.getpid():
            self.ended = True
            return  # it is the parent's, and goes on there
        # Each step may be done again, where it was interrupted.
        try:
            if self._txn is not None:
                self._txn.abort()
        finally:
            self._txn = None
            self._environment.held.discard(self._mark)
            self._environment.end_turn(self.taken)
            with shared_lock:
                self._environment.users -= 1
                self.ended = True
                close_unused(self._environment)

    def __del__(self) -> None:
        # The thread ended in the middle of it.
        if not self.ended:
            self.end()


def write_alone(environment: Environment, wait: float, step: Callable[[Txn], T]) -> T:
    """Do a step of writing in a transaction of its own, durable when this returns.

    What ``Work`` does too, at half its calls: after a sync, each costs several times what it costs
    in a loop.
    """
    taken: Taken = []
    with shared_lock:
        environment.users += 1  # which keeps it open
    try:
        environment.take_turn(wait, taken)
        while True:
            try:
                with environment.begin(write=True) as txn:
                    return step(txn)
            except lmdb.MapFullError:
                environment.grow(wait, full=True)
            except lmdb.MapResizedError:
                environment.grow(wait, full=False)
    except lmdb.Error as error:
        raise mapped(error, environment.folder) from error
    finally:
        try:
            environment.end_turn(taken)
        finally:
            if taken:  # interrupted
                environment.end_turn(taken)
            with shared_lock:
                environment.users -= 1
                if not environment.users:
                    close_unused(environment)


_lasting: Final[WeakSet[Work]] = WeakSet()


def _keep_the_parents() -> None:
    """To free a transaction would end it for the parent, whose it is."""
    for work in list(_lasting):
        if work._txn is not None:
            keep_for_ever(work._txn)


os.register_at_fork(after_in_child=_keep_the_parents)


def begin(environment: Environment, wait: float, *, write: bool = False) -> Txn:
    """Begin a transaction of LMDB's, in a larger map if another process has made it so."""
    while True:
        try:
            return environment.begin(write=write)
        except lmdb.MapResizedError:
            environment.grow(wait, full=False)
        except lmdb.Error as error:
            raise mapped(error, environment.folder) from error


def chunks(
    seen: Callable[[], Txn], start: bytes, end: bytes, *, reverse: bool, folder: str
) -> Iterator[list[Raw]]:
    """What a transaction sees from ``start`` on and before ``end``; it may change meanwhile."""
    count = _FIRST_ROWS
    try:
        while rows := _fetch(seen(), start, end, count, reverse=reverse):
            yield rows
            if len(rows) < count:
                return
            count = min(2 * count, _ROWS)
            if reverse:
                end = rows[-1][0]
            else:
                start = rows[-1][0] + b"\0"
    except lmdb.Error as error:
        raise mapped(error, folder) from error


def chunks_of(txn: Txn, start: bytes, end: bytes) -> Iterator[list[Raw]]:
    """The same of a transaction of LMDB's."""
    while rows := _fetch(txn, start, end, _ROWS, reverse=False):
        yield rows
        start = rows[-1][0] + b"\0"


def _fetch(txn: Txn, start: bytes, end: bytes, count: int, *, reverse: bool) -> list[Raw]:
    """The first ``count`` rows of a range, in order or backwards."""
    cursor = txn.cursor()
    # Behind a range are the items of another container, and they may be long: of those the first is
    # read and no other. A tuple of a key alone comes before the rows of that key.
    if reverse:
        if not (cursor.prev() if cursor.set_range(end) else cursor.last()):
            return []
        rows = takewhile((start,).__le__, cursor.iterprev())
    else:
        if not cursor.set_range(start):
            return []
        rows = takewhile((end,).__gt__, cursor.iternext())
    return list(islice(rows, count))
