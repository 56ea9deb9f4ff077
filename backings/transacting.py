"""What every maker of Storage has that gives each thread a transaction of its own."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from threading import local
from typing import Any, Generic, TypeVar

from objstore.storage import Begun, Storage, lost

from . import storages

Tx = TypeVar("Tx", bound=Begun)


class Threads(local):
    """What each thread has of its own."""

    transaction: Any = None


class TransactingStorage(Storage, Generic[Tx]):
    """A Storage whose threads have a ``Tx`` each, from its beginning to its end."""

    _threads: Threads

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
            found.is_over = False
            self.rollback()
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

    def _taken(self) -> Tx:
        """This thread's transaction, which it has no longer, as it is about to end."""
        transaction = self._running()
        self._threads.transaction = None
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
