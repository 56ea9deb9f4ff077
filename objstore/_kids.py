"""The Objects of a container's elements."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from .objects import Part

Reference: TypeAlias = "weakref.ref[Part]"


class Kids(dict["str | int", Reference]):
    """Those that anybody holds, by their tokens (see ``_units``): of each element the one that is
    handed out.

    Objects of the same place share theirs, so that whatever is known of elements is known to all.
    """

    former: tuple[Reference, ...] = ()
    """Those that are handed out no more, as their element is of another class by now, or as it was
    replaced. They stand for their elements all the same."""

    def put(self, token: str | int, kid: Part) -> None:
        """Hand out an Object of an element from now on."""
        if token not in self and is_power_of_two(len(self)):
            # Before it grows, the dead go. A WeakValueDictionary would do that at once, and take
            # 600 bytes more in every container that was ever read.
            for dead in [one for one, reference in self.items() if reference() is None]:
                del self[dead]
        self[token] = weakref.ref(kid)

    def replace(self, token: str | int, kid: Part) -> None:
        """The same in place of another one, which may still be held."""
        before = self.get(token)
        formers = (*self.former, *(() if before is None else (before,)))
        self.former = tuple([one for one in formers if one() is not None and one() is not kid])
        self.put(token, kid)

    def held(self) -> list[Part]:
        """All that anybody holds."""
        references = (*self.values(), *self.former)
        return [kid for reference in references if (kid := reference()) is not None]

    def at(self, token: str | int) -> list[Part]:
        """Those of one element, the one that is handed out first."""
        handed = self.get(token)
        kids = [None if handed is None else handed()]
        kids += [reference() for reference in self.former]
        return [kid for kid in kids if kid is not None and kid._key == token]

    def rename(self, renamed: Callable[[int], int]) -> None:
        """Tell the Objects of a list's elements that the elements have new tokens."""
        handed = [kid for reference in self.values() if (kid := reference()) is not None]
        for kid in self.held():
            object.__setattr__(kid, "_key", renamed(cast(int, kid._key)))
        self.clear()
        for kid in handed:
            self[cast(int, kid._key)] = weakref.ref(kid)


def is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
