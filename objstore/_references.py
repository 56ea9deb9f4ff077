"""A dict that keeps nobody alive."""

from __future__ import annotations

from typing import Final, Generic, TypeVar
from weakref import ref

K = TypeVar("K")
T = TypeVar("T")

_FEW: Final = 32


class References(Generic[K, T]):
    """Values by key, as long as somebody else holds them. Not safe between threads.

    A WeakValueDictionary drops the dead one by one, in a callback each, and takes three times as
    long to make and to fill. Here they go when there may be as many of them as of the living.
    """

    __slots__ = ("_known", "_limit")

    def __init__(self) -> None:
        self._known: dict[K, ref[T]] = {}
        self._limit = _FEW

    def get(self, key: K) -> T | None:
        found = self._known.get(key)
        return None if found is None else found()

    def __setitem__(self, key: K, value: T) -> None:
        if len(self._known) >= self._limit:
            self._known = {key: one for key, one in self._known.items() if one() is not None}
            self._limit = max(_FEW, 2 * len(self._known))
        self._known[key] = ref(value)

    def pop(self, key: K) -> T | None:
        """The one of a key, which is forgotten."""
        found = self._known.pop(key, None)
        return None if found is None else found()

    def values(self) -> list[T]:
        """Those that are alive, as of now."""
        return [value for one in self._known.values() if (value := one()) is not None]
