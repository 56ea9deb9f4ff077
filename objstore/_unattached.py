"""The host of an Object that belongs to no store."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from ._apply import apply
from ._autoids import without_numbers
from ._units import Unit, View
from .documents import Commit
from .errors import Failure, TransactionError
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

    def failures_of(self, view: View) -> list[Failure]:
        """As Host does, but for numbers that are given once it is stored, which may be missing."""
        found = super().failures_of(view)
        if not found or not view.unit.shape.numbered:
            return found
        missing = without_numbers(view.root, view.unit)
        filled = apply(view.root, [{"op": "add", "path": path, "value": 1} for path in missing])
        found = view.unit.shape.validator.failures(cast("JSON", filled), "")
        return self.located([one for one in found if one.pointer not in missing], view.unit)

    def source(self, unit: Unit) -> str:
        return self._name

    def _save(self, tx: Transaction, views: list[View]) -> tuple[Commit | None, list[Any]]:
        return None, [None for _ in views]
