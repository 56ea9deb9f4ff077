"""Savepoints: transactions within a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._meta import given_meta
from .errors import TransactionError

if TYPE_CHECKING:
    from ._units import Unit
    from .documents import Commit
    from .transaction import Transaction


class Savepoint:
    """A transaction within a transaction: an exception takes back what was done since its start."""

    def __init__(
        self, outer: Transaction, meta: Mapping[str, Any] | None, *, serializable: bool = False
    ) -> None:
        if serializable and not outer.serializable:
            raise TransactionError(
                "a transaction within another one is as serializable as that one is"
            )
        self._outer = outer
        self._meta = {} if meta is None else given_meta(meta)
        self._saved: dict[Unit, Any] = {}
        self._meta_before: dict[str, Any] = {}

    @property
    def meta(self) -> dict[str, Any]:
        """What the commit of the transaction around it will say about itself; may be changed."""
        return self._outer.meta

    @property
    def base(self) -> int:
        """The newest commit when the transaction around it began."""
        return self._outer.base

    @property
    def id(self) -> str | None:
        """What the commit keeps, so that it can be found again; None where nobody will look."""
        return self._outer.id

    @property
    def serializable(self) -> bool:
        """Whether the transaction around it is."""
        return self._outer.serializable

    @property
    def commit(self) -> Commit | None:
        """The commit of the transaction around it, once there is one."""
        return self._outer.commit

    def __enter__(self) -> Self:
        self._outer._require_own()
        with self._outer._host.lock:
            self._saved = {unit: view.save() for unit, view in self._outer._views.items()}
        self._meta_before = dict(self._outer.meta)
        self._outer.meta.update(self._meta)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._outer._require_own()
            except TransactionError:
                self._take_back()
                raise
        else:
            self._take_back()

    def _take_back(self) -> None:
        self._outer.meta.clear()
        self._outer.meta.update(self._meta_before)
        with self._outer._host.lock:
            for unit, view in self._outer._views.items():
                if unit in self._saved:
                    view.restore(self._saved[unit])
                else:
                    view.replace(view.base)
