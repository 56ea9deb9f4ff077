"""What Dict, Directory and Store share: mappings that are read as pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Paired(MutableMapping[K, V]):
    """A mapping whose keys and values are read together.

    The mixin's would look up each key by itself, which another may delete once it is listed.
    """

    __slots__ = ()

    @abstractmethod
    def _pairs(self) -> Iterator[tuple[K, V]]:
        """Every key that is there with its value."""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[K, V]:
        """Keys and values, basic and defined."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """The values of basic and defined keys."""
        return _Values(self)


class _Items(ItemsView[K, V]):
    _mapping: Any

    def __iter__(self) -> Iterator[tuple[K, V]]:
        pairs: Iterator[tuple[K, V]] = self._mapping._pairs()
        return pairs


class _Values(ValuesView[V]):
    _mapping: Any

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping._pairs())
