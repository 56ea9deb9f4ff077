"""How scans come: fetched and verified chunk by chunk, and given item by item."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import chain
from typing import TypeVar, cast

T = TypeVar("T")
S = TypeVar("S")


class Scan(chain[T]):
    """The items of chunks, without a step in Python for each."""

    _chunks: Generator[Iterable[T]]

    @staticmethod
    def of(chunks: Generator[Iterable[S]]) -> Scan[S]:
        """What comes of chunks of which the first is made now, so that errors come now."""
        made = cast("Scan[S]", Scan.from_iterable(chain((next(chunks, ()),), chunks)))
        made._chunks = chunks
        return made

    def close(self) -> None:
        """Let go of what the items are read from; there are none any more."""
        self._chunks.close()
        for _ in self:
            pass
