"""Retentions that leave what a test says."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from objstore import Retention

CENTURY: Final = timedelta(days=36500)

ALL: Final = Retention(CENTURY, CENTURY)
"""Keeps every commit of a test."""

NEWEST: Final = Retention(timedelta(0), CENTURY)
"""Of all commits of a test keeps the newest."""


class Only(Retention):
    """Keeps the commits with these numbers, besides those that always stay."""

    numbers: Collection[int] = ()

    def survivors(
        self,
        commits: Iterable[tuple[int, datetime]],
        now: datetime,
        pins: Collection[int] = (),
    ) -> set[int]:
        known = [*commits]
        return NEWEST.survivors(known, now, {*pins, *self.numbers})


def only(*numbers: int) -> Only:
    retention = Only(timedelta(0), CENTURY)
    retention.numbers = numbers
    return retention
