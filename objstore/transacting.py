"""Ways to use transactions: again after a conflict, or only to read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._pause import pause
from ._savepoint import Savepoint
from ._turns import Block, Exit
from .errors import ConflictError, HistoryGone
from .transaction import Host, Transaction
from .values import show

T = TypeVar("T")


class Transacting(Host):
    """What a Store offers around ``transaction``."""

    def run(
        self,
        fn: Callable[[Transaction], T],
        *,
        retries: int = 10,
        meta: Mapping[str, Any] | None = None,
        serializable: bool = False,
    ) -> T:
        """Call ``fn`` with a transaction around it, again if that ends in a conflict; its result.

        Also where compaction removed the commit that it began with, or nobody knows what a file was
        then. ``fn`` is given the Transaction, and is called up to ``retries`` times more, after
        pauses of up to 64 ms; what it does beside the store it does each time. Within a transaction
        it is called once, in a savepoint, with the transaction around: a conflict shows when that
        ends. Raises the last ConflictError or HistoryGone, TypeError for a coroutine or a generator
        function, which would run after the transaction, ValueError for ``retries`` below 0, and
        whatever ``fn`` raises.
        """
        self._require_open()
        if type(retries) is not int:
            raise TypeError(f"retries is a whole number, not {show(retries)}")
        if retries < 0:
            raise ValueError(f"retries must be 0 or more, not {retries!r}")
        outer = self.current()
        if outer is not None:
            with Savepoint(outer, meta, serializable=serializable):
                return _result(fn, outer)
        for attempt in range(retries):
            try:
                with Transaction(self, meta, serializable=serializable) as tx:
                    return _result(fn, tx)
            except (ConflictError, HistoryGone):  # or what it began with is not known any more
                pause(attempt)
        with Transaction(self, meta, serializable=serializable) as tx:
            return _result(fn, tx)

    def snapshot_view(self) -> AbstractContextManager[int]:
        """Only read: in the block, this thread or task sees the store as of the block's start.

        The block gets the number of the commit that it sees. Changing anything in it raises
        ReadOnlyError. Within a transaction it sees what that one does.
        """
        self._require_open()
        return SnapshotView(self)

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""


class SnapshotView:
    """A block in which its thread or task only reads. Made by ``Transacting.snapshot_view``."""

    def __init__(self, host: Host) -> None:
        self._host: Final = host
        self._own: Transaction | None = None
        self._tx: Transaction | None = None
        self.block: Block | None = None

    def __enter__(self) -> int:
        tx = self._host.current()
        if tx is None:
            tx = self._own = Transaction(self._host)
            tx.block = self.block
            tx.__enter__()
        tx._frozen += 1
        self._tx = tx
        return tx.base

    @property
    def is_new(self) -> bool:
        """Whether it is yet to begin."""
        return self._tx is None

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the block, as ``__exit__`` does."""
        if self._tx is not None:
            self._tx._frozen -= 1
        if self._own is not None:
            self._own.leave(kind, error, trace)
        elif self._tx is not None and kind is None:
            self._tx._require_own()

    __exit__ = leave if TYPE_CHECKING else Exit()


def _result(fn: Callable[[Transaction], T], tx: Transaction) -> T:
    result = fn(tx)
    kind = type(result)
    if hasattr(kind, "__await__") or hasattr(kind, "__aiter__") or kind is GeneratorType:
        close = getattr(result, "close", None)
        if close is not None:
            close()  # or Python warns that it was never awaited
        raise TypeError(
            "store.run takes a plain function: a coroutine or a generator would run when its "
            "transaction is over"
        )
    return result
