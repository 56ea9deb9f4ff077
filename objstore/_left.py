"""Objects as values: what a place gets to which an Object is assigned.

An Object stands for a place. As a value it is what a dict or list would be that was got from there:
the contents of its place, with all that is changed in them, until an assignment or a deletion,
there or further up, gives the place other contents as a whole. The ones before it has *left*: they
are its value from then on, whatever is in its place. So two places can be swapped, one can be moved
or renamed, and what was replaced can be set back.

- An Object that has left contents is not handed out again; who comes for what is in its place now
  gets another one. But for the Object of a file, which is the same for everybody who holds it: it
  stands in its place again once somebody has got it anew, be it on the way to a part of it.
- So it does once something is changed by it, or by a part that was got from it: who does that means
  what is there now.
- What was left is part of what a transaction changes. It alone knows of it (``Transaction.left``)
  until it commits, and it is taken back with the rest. Then those know that began later
  (``Object._before``); to the others the Object stands in its place as before.
- Contents that went in another way, by others' hands or as a savepoint was taken back, nobody has
  left: assigning their Object is a DetachedError.
- Assigning an Object to its own place, as ``obj.tags += ["x"]`` does, changes nothing where it
  stands there: where contents are stored there that it has not left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .objects import Object


class Left(dict[int, "tuple[Object, Any]"]):
    """What a transaction has changed about Objects as values, by the Objects' ids: the contents
    that they have left, or None for those that stand in their place again."""

    base: int | None = None
    """The newest commit when the transaction began; None for one that sees every one."""

    def by(self, one: Object) -> Any:
        """The contents that an Object has left; None where it stands in its place."""
        if id(one) in self:
            return self[id(one)][1]
        if one._before is None:
            return None
        contents, number = one._before
        return contents if self.base is None or number <= self.base else None

    def leave(self, one: Object, contents: Any) -> None:
        """An Object's place is about to be given other contents than these."""
        if self.by(one) is None:  # what it left first is what it was when it was got
            self[id(one)] = one, contents

    def stand(self, one: Object) -> None:
        """Something is changed by an Object: it stands in its place again."""
        if self.by(one) is not None:
            self[id(one)] = one, None

    def got(self, one: Object) -> None:
        """Somebody has got the Object of a file anew: it stands in its place again.

        Also where that is not taken back as the transaction is.
        """
        if id(one) in self:
            self[id(one)] = one, None
        elif self.by(one) is not None:
            object.__setattr__(one, "_before", None)

    def publish(self, number: int) -> None:
        """Let everybody know who begins after this commit."""
        for one, contents in self.values():
            object.__setattr__(one, "_before", None if contents is None else (contents, number))


EVERYBODYS: Final = Left()
"""What those know who are in no transaction; never changed."""
