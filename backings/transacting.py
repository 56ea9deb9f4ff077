"""What every maker of Storage has that gives each thread a transaction of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from threading import local
from typing import Any, Generic, TypeVar

from objstore.storage import Begun, Storage, lost

from . import storages

Tx = TypeVar("Tx", bound="Ending")


class Threads(local):
    """What each thread has of its own."""

    transaction: Any = None


class Ending(Begun, ABC):
    """A thread's transaction that can be asked to end until it has, where an interrupt comes amid
    that: to leave it to who frees it would be late, as the error may be kept."""

    ended = False

    @abstractmethod
    def end(self) -> None:
        """Take back what is not committed, and let others write. Again does what is left of it."""


class TransactingStorage(Storage, Generic[Tx]):
    """A Storage whose threads have a ``Tx`` each, from its beginning to its end."""

    _threads: Threads

    def commit(self) -> None:
        transaction = self._running()
        self._threads.transaction = None
        try:
            self._commit(transaction)
        finally:
            if not transaction.ended:  # it was interrupted
                transaction.end()

    def rollback(self) -> None:
        self._take_back(self._running())

    @abstractmethod
    def _commit(self, transaction: Tx) -> None:
        """Commit this thread's transaction, which it has no longer, and end it."""

    def _take_back(self, transaction: Tx) -> None:
        """End this thread's transaction."""
        self._threads.transaction = None
        try:
            transaction.end()
        finally:
            if not transaction.ended:
                transaction.end()

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError where it is closed, and leave this thread without a transaction."""

    @abstractmethod
    def savepoint(self) -> AbstractContextManager[None]:
        """Take back what the block did when an exception leaves it; the transaction goes on."""

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has begun a transaction."""
        return self._current() is not None

    def _current(self) -> Tx | None:
        """This thread's transaction; None where it has none."""
        self._require_open()
        found: Tx | None = self._threads.transaction
        if found is not None and found.is_over:
            if found.is_lost and found.blocks:
                raise lost()
            self._take_back(found)
            return None
        return found

    def _begun(self) -> Tx:
        return self._running()

    def _require_writing(self, transaction: Tx) -> None:
        """Raise ReadOnlyError in a block that only reads."""
        if transaction.readers:
            raise storages.reading(self.path)

    def _running(self) -> Tx:
        """This thread's transaction. Raises TransactionError where it has none."""
        transaction = self._current()
        if transaction is None:
            raise storages.not_running()
        return transaction

    def _lose(self, transaction: Tx) -> None:
        """Have it known that this thread's transaction has ended, as a write in it failed."""
        transaction.is_over = transaction.is_lost = True

    def _require_none(self) -> None:
        """Raise TransactionError where this thread has a transaction already."""
        if self._current() is not None:
            raise storages.running()

    def _nested(self) -> AbstractContextManager[None] | None:
        return None if self._current() is None else self.savepoint()
