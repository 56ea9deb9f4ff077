"""The Objects of a container's elements."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from .objects import Part

Reference: TypeAlias = "weakref.ref[Part]"

_NONE: Final[dict[str | int, tuple[Reference, ...]]] = {}


class Kids(dict["str | int", Reference]):
    """Those that anybody holds, by their tokens (see ``_units``): of each element the one that is
    handed out.

    Objects of the same place share theirs, so that whatever is known of elements is known to all.
    It is empty only where nobody holds any.
    """

    former: dict[str | int, tuple[Reference, ...]] = _NONE
    """Those that are handed out no more, by their tokens, as their element is of another class by
    now, or as it was replaced. They stand for their elements all the same."""

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
        formers = tuple([weakref.ref(one) for one in self.at(token) if one is not kid])
        if not formers:
            self.former.pop(token, None)
        else:
            if token not in self.former and is_power_of_two(len(self.former)):
                self.former = {
                    one: some
                    for one, some in self.former.items()
                    if any(held() is not None for held in some)
                }
            self.former[token] = formers
        self.put(token, kid)

    def held(self) -> list[Part]:
        """All that anybody holds, those that are handed out first."""
        references = [*self.values()]
        for some in [*self.former.values()]:
            references += some
        return [kid for reference in references if (kid := reference()) is not None]

    def at(self, token: str | int) -> list[Part]:
        """Those of one element, the one that is handed out first."""
        handed = self.get(token)
        references = self.former.get(token, ())
        if handed is not None:
            references = (handed, *references)
        return [kid for reference in references if (kid := reference()) is not None]

    def rename(self, renamed: Callable[[int], int]) -> None:
        """Tell the Objects of a list's elements that the elements have new tokens."""
        kids = self.held()
        for kid in kids:
            object.__setattr__(kid, "_key", renamed(cast(int, kid._key)))
        self.clear()
        former: dict[str | int, tuple[Reference, ...]] = {}
        for kid in kids:
            token = cast(int, kid._key)
            if token in self:
                former[token] = (*former.get(token, ()), weakref.ref(kid))
            else:
                self[token] = weakref.ref(kid)
        self.former = former or _NONE


def is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0
