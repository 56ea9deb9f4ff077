"""How scans come: fetched and verified chunk by chunk, and given item by item."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import chain
from typing import Self, TypeVar, cast

T = TypeVar("T")


class Scan(chain[T]):
    """The items of chunks, without a step in Python for each."""

    _chunks: Generator[Iterable[T]]

    @classmethod
    def of(cls, chunks: Generator[Iterable[T]]) -> Self:
        """What comes of chunks of which the first is made now, so that errors come now."""
        made = cast("Self", cls.from_iterable(chain((next(chunks, ()),), chunks)))
        made._chunks = chunks
        return made

    def close(self) -> None:
        """Let go of what the items are read from; there are none any more."""
        self._chunks.close()
        for _ in self:
            pass
