"""How the members of directories lie on a medium: which key is which file or folder.

Schemas make layouts (``objstore.schema``), backings follow them. Nothing here touches a medium.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

MemberKind: TypeAlias = Literal["file", "directory", "any"]


class Folder(Protocol):
    """The layout of one directory."""

    def member(self, key: str) -> Member | None:
        """How the member ``key`` lies there; None where the layout has no place for such a key."""
        ...

    def declared(self) -> Iterable[tuple[str, Member]]:
        """The members that the layout names, in its order."""
        ...

    @property
    def open_ended(self) -> bool:
        """Whether there may be members that ``declared`` does not name."""
        ...

    def __hash__(self) -> int:
        """Equal layouts lay the same out, so that what was found out by one holds for the other."""
        ...


class Member(NamedTuple):
    """How one member of a directory lies on the medium."""

    kind: MemberKind = "any"
    """``file`` holds a document, ``directory`` members; ``any`` is whichever is there."""
    name: str | None = None
    """Its file's or folder's name (``reading.yaml``); None where the key makes it."""
    ending: str | None = None
    """The ending of a file whose key makes its name (``.yaml``). None takes any known ending that
    is there, and ``.json`` for a new file."""
    folder: Folder | None = None
    """For directories, and for ``any`` that turns out to be one: the layout within."""


class _Anything:
    """The layout of a directory without a schema: whatever is there, all the way down."""

    open_ended = True

    def member(self, key: str) -> Member | None:
        return _ANY_MEMBER

    def declared(self) -> Iterable[tuple[str, Member]]:
        return ()


ANYTHING: Final[Folder] = _Anything()
_ANY_MEMBER: Final = Member(folder=ANYTHING)
