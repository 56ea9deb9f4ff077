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
  what is there now. A Directory does so once a member is set or deleted by it.
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
from weakref import ref

if TYPE_CHECKING:
    from .objects import Object


class Left(dict[int, "tuple[ref[Object], Any]"]):
    """What a transaction has changed about Objects as values, by the Objects' ids: the contents
    that they have left, or None for those that stand in their place again.

    It keeps no Object alive: what nobody holds is assigned nowhere. The id may be another's then.
    """

    era: int | None = None
    """That began with the transaction (``Host._era``); None for one that sees every commit."""

    def by(self, one: Object) -> Any:
        """The contents that an Object has left; None where it stands in its place."""
        known = self.get(id(one))
        if known is not None and known[0]() is one:
            return known[1]
        before = one._before  # once: others may set it meanwhile
        if before is None:
            return None
        contents, era = before
        return contents if self.era is None or era < self.era else None

    def leave(self, one: Object, contents: Any) -> None:
        """An Object's place is about to be given other contents than these."""
        if self.by(one) is None:  # what it left first is what it was when it was got
            self[id(one)] = ref(one), contents

    def stand(self, one: Object) -> None:
        """Something is changed by an Object: it stands in its place again."""
        if self.by(one) is not None:
            self[id(one)] = ref(one), None

    def got(self, one: Object) -> None:
        """Somebody has got the Object of a file anew: it stands in its place again.

        Also where that is not taken back as the transaction is.
        """
        known = self.get(id(one))
        if known is not None and known[0]() is one:
            self[id(one)] = known[0], None
        elif self.by(one) is not None:
            object.__setattr__(one, "_before", None)

    def publish(self, era: int) -> None:
        """Let everybody know who begins after this era, which is the present one."""
        for reference, contents in self.values():
            one = reference()
            if one is not None:
                before = None if contents is None else (contents, era)
                object.__setattr__(one, "_before", before)


EVERYBODYS: Final = Left()
"""What those know who are in no transaction; never changed."""
