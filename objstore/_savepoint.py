"""Savepoints: transactions within a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import ref

from ._meta import given_meta
from .errors import TransactionError

if TYPE_CHECKING:
    from ._units import Unit, View
    from .documents import Commit
    from .objects import Object
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
        self.saved: Final[dict[Unit, View]] = {}
        """What units were to the transaction at the start, of those that it may have changed."""
        self._left: dict[int, tuple[ref[Object], Any]] = {}
        self._cleared: set[str] = set()
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
        self.saved.clear()
        self._outer._savepoints.append(self)
        self._cleared = set(self._outer._cleared)
        self._left = dict(self._outer.left)
        self._meta_before = dict(self._outer.meta)
        self._outer.meta.update(self._meta)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._outer._require_own()
        except TransactionError:
            self._take_back()
            raise
        else:
            if kind is not None:
                self._take_back()
        finally:
            self._outer._savepoints.remove(self)

    def save(self, view: View) -> None:
        """A unit is about to be changed; call with the host's lock held."""
        if view.unit not in self.saved:
            self.saved[view.unit] = view.save()

    def _take_back(self) -> None:
        self._outer.meta.clear()
        self._outer.meta.update(self._meta_before)
        with self._outer._host.lock:
            for unit, saved in self.saved.items():
                if unit in self._outer._views:  # it may have ended
                    self._outer._views[unit].restore(saved)
        self._outer._cleared = self._cleared
        self._outer.left.clear()
        self._outer.left.update(self._left)


def views_of(tx: Transaction, unit: Unit) -> list[View]:
    """A transaction's view of a unit, if it has one, and those that savepoints may come back to."""
    saved = [one.saved[unit] for one in tx._savepoints if unit in one.saved]
    return [tx._views[unit], *saved] if unit in tx._views else []
