"""The host of an Object that belongs to no store."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ._units import Unit, View
from .documents import Commit
from .errors import TransactionError
from .transaction import Host, Transaction
from .values import JSON


class Unattached(Host):
    """The host of one Object that belongs to no store: validated, in memory, never written."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @contextmanager
    def make(self, unit: Unit, contents: JSON) -> Generator[Transaction]:
        """Give the one Object its first contents, and whatever the block adds to them."""
        with self.edit() as tx:
            tx.view(unit).replace(contents)
            yield tx

    def load(self, unit: Unit) -> None:
        raise TransactionError(f"{self._name} was never given contents")

    def recheck(self, unit: Unit, by: Transaction | None, *, sure: bool = True) -> None:
        unit.checked = self._era

    def source(self, unit: Unit) -> str:
        return self._name

    def _save(self, tx: Transaction, views: list[View]) -> tuple[Commit | None, list[Any]]:
        return None, [None for _ in views]
