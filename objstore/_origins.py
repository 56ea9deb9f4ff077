"""Where the elements of Lists were before a transaction moved them.

Tokens: see ``_units``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from .objects import Part

fresh_tokens: Final[Iterator[int]] = itertools.count(-1, -1)
"""Tokens for elements that no commit has; never the same twice in a process."""

_Way: TypeAlias = tuple[int, "str | int | None"]
"""A place and a key: one step down to a List. A place is known by the ``Kids`` that all Objects of
it have in common."""


class Order:
    """The elements of one List."""

    __slots__ = ("_shift", "_sum", "part", "tokens")

    def __init__(self, part: Part, tokens: list[int]) -> None:
        self.part: Final = part
        self.tokens: Final = tokens
        """By the present index."""
        self._shift = self._sum = 0

    def place(self, token: int) -> int:
        """The present index of an element; -1 where it is gone.

        Elements come and go in runs: mostly one is as far from where it was as the last one asked
        for, and new ones, whose tokens fall, follow one another.
        """
        tokens = self.tokens
        guess = token + self._shift if token >= 0 else self._sum - token
        if 0 <= guess < len(tokens) and tokens[guess] == token:
            return guess
        try:
            found = tokens.index(token)
        except ValueError:
            return -1
        if token >= 0:
            self._shift = found - token
        else:
            self._sum = found + token
        return found


class Origins:
    """Those of all Lists of a unit whose elements a transaction moved."""

    __slots__ = ("_below", "_orders")

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        # By the List's place, whose Kids the order holds.
        self._below: dict[_Way, list[int]] | None = {}
        # The Lists that a step leads to, and some that are gone; None where it has to be made anew.

    def __iter__(self) -> Iterator[Order]:
        return iter(list(self._orders.values()))

    def get(self, part: Part) -> Order | None:
        """The order of a List's elements; None where none of them moved."""
        return self._orders.get(id(part._kids))

    def tokens(self, part: Part, length: int) -> list[int]:
        """The tokens of a List's elements, to be changed along with them."""
        order = self._orders.get(id(part._kids))
        return self.put(part, list(range(length))) if order is None else order.tokens

    def put(self, part: Part, tokens: list[int]) -> list[int]:
        """Take these for a List's; returns them."""
        self._orders[id(part._own_kids())] = Order(part, tokens)
        if self._below is not None:
            _note(self._below, part)
        return tokens

    def rename(self, part: Part, length: int, renamed: Callable[[int], int]) -> None:
        """Give a List's elements the tokens that others know them by from now on.

        The Objects of the elements are to be told of them as well.
        """
        tokens = self.tokens(part, length)
        tokens[:] = map(renamed, tokens)
        self._below = None

    def drop_below(self, parent: Part, key: str | int) -> None:
        """Forget the Lists within an element of ``parent``, and the element itself."""
        if not self._orders:
            return
        if self._below is None:
            self._below = {}
            for order in self:
                _note(self._below, order.part)
        way = id(parent._kids), key
        for number in self._below.pop(way, ()):
            found = self._orders.get(number)
            if found is not None and way in _ways_to(found.part):
                del self._orders[number]

    def copy(self) -> Origins:
        """The same, to be changed apart from these."""
        made = Origins()
        for order in self:
            made.put(order.part, list(order.tokens))
        return made


NOTHING_MOVED: Final = Origins()
"""Those of a transaction that moved nothing; never changed."""


def _note(below: dict[_Way, list[int]], part: Part) -> None:
    for way in _ways_to(part):
        below.setdefault(way, []).append(id(part._kids))


def _ways_to(part: Part) -> Iterator[_Way]:
    while part._parent is not None:
        yield id(part._parent._kids), part._key
        part = part._parent
