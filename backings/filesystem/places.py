"""Places: which paths a pointer stands for, by the layout and the rules for names alone.

Nothing here looks at the disk, so every answer can be kept.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, final

from objstore.errors import KeyNameError, KeyNotFoundError
from objstore.formats import ENDINGS
from objstore.layout import ANYTHING, Folder, Member
from objstore.pointer import unescape
from objstore.values import MAX_DEPTH, show

from . import names

_KEPT: Final = 1 << 15
"""How many places are kept: some 15 MB at the most."""

_LONGEST: Final = max(map(len, ENDINGS))


@final
class Place:
    """Where a unit or directory may lie. Nothing of it changes."""

    __slots__ = ("_endings", "_stem", "declared", "folder", "layout", "parent", "pointer")

    def __init__(
        self,
        pointer: str,
        parent: str,
        stem: str,
        endings: tuple[str, ...],
        folder: str | None,
        layout: Folder,
        declared: bool,
    ) -> None:
        self.pointer: Final = pointer
        self.parent: Final = parent
        """The path of the folder that it lies in."""
        self._stem: Final = stem
        self._endings: Final = endings  # what follows the stem in the paths of its file
        self.folder: Final = folder
        """The path that its folder may have; None where it is a file only."""
        self.layout: Final = layout
        """Of its members, where it is a directory."""
        self.declared: Final = declared
        """Whether the layout names it."""

    @property
    def files(self) -> tuple[str, ...]:
        """The paths that its file may have, a new one's first; empty for a directory only."""
        return tuple([self._stem + ending for ending in self._endings])

    def paths(self) -> Iterator[str]:
        """Every path that it may have, each once, in the order in which they are looked at."""
        endings = self._endings
        if endings:
            yield self._stem + endings[0]
        if self.folder is not None and "" not in endings:
            yield self.folder
        for ending in endings[1:]:
            yield self._stem + ending

    def has_file(self, path: str) -> bool:
        """Whether ``path`` is one of ``files``."""
        return path.startswith(self._stem) and path[len(self._stem) :] in self._endings


class Places:
    """The places below one folder, by one layout. Safe between threads."""

    def __init__(self, root: str, layout: Folder) -> None:
        self._root: Final = Place("", os.path.dirname(root), root, (), root, layout, declared=True)
        # Keyed by pointer. Cleared when they have grown: whoever reads meanwhile makes them anew.
        self._places: Final[dict[str, Place]] = {}
        self._named: Final[dict[str, Declared]] = {}

    def at(self, pointer: str) -> Place:
        """The place of a pointer.

        Raises KeyNotFoundError where the layout has none for it, KeyNameError where its key can be
        no file's name or the place would be too deep, ValueError for text that is no JSON Pointer.
        """
        found = self._places.get(pointer)
        if found is None:
            found = self._make(pointer)
            if len(self._places) >= _KEPT:
                self._places.clear()
            self._places[pointer] = found
        return found

    def declared(self, pointer: str) -> Declared:
        """What the layout names in a directory."""
        found = self._named.get(pointer)
        if found is None:
            members = dict(self.at(pointer).layout.declared())
            named = {member.name: key for key, member in members.items() if member.name is not None}
            found = Declared(members, named)
            if len(self._named) >= _KEPT:
                self._named.clear()
            self._named[pointer] = found
        return found

    def _make(self, pointer: str) -> Place:
        if not pointer:
            return self._root
        above, slash, token = pointer.rpartition("/")
        if not slash:
            raise ValueError(f'a JSON Pointer is empty or starts with "/", not {pointer!r}')
        if pointer.count("/") > MAX_DEPTH:
            raise KeyNameError(f"the address {show(pointer)} is more than {MAX_DEPTH} levels deep")
        parent = self.at(above)
        key = unescape(token)
        member = parent.layout.member(key) if parent.folder is not None else None
        if parent.folder is None or member is None:
            raise KeyNotFoundError(f"there is no place for {pointer} in this store's layout")
        return self._place(pointer, parent.folder, key, member, self.declared(above))

    def _place(
        self, pointer: str, parent: str, key: str, member: Member, declared: Declared
    ) -> Place:
        stem, endings, is_folder = names_of(key, member)
        if declared.names:
            named = declared.names
            endings = tuple(one for one in endings if named.get(stem + one, key) == key)
            is_folder = is_folder and named.get(stem, key) == key
        if not endings and not is_folder:
            raise KeyNameError(f"the layout gives the file of the key {show(key)} to another key")
        path = f"{parent}/{stem}"
        return Place(
            pointer,
            parent,
            path,
            endings,
            path if is_folder else None,
            member.folder or ANYTHING,
            declared=key in declared.members,
        )


def place_of_file(pointer: str, path: str) -> Place:
    """The place of a unit whose file is known, whatever the layout."""
    parent = path.rpartition("/")[0]
    return Place(pointer, parent, path, ("",), None, ANYTHING, declared=False)


@lru_cache(maxsize=4)
def places_of(root: str, layout: Folder) -> Places:
    """The places of a folder, kept for programs that open the same store again and again."""
    return Places(root, layout)


class Declared(NamedTuple):
    """The members that the layout of one directory names."""

    members: dict[str, Member]
    names: dict[str, str]
    """Which key a name is set aside for."""


class Names(NamedTuple):
    """What the file or folder of a member may be called."""

    stem: str
    """Its folder's name."""
    endings: tuple[str, ...]
    """With one of them, its file's name; none where it is a directory only."""
    is_folder: bool
    """Whether it may be a directory."""

    def files(self) -> list[str]:
        """The names that its file may have."""
        return [self.stem + ending for ending in self.endings]


def names_of(key: str, member: Member) -> Names:
    """What the file or folder of a member may be called."""
    is_folder = member.kind != "file"
    if member.name is not None:
        own = () if member.kind == "directory" else ("",)
        return Names(names.check(member.name), own, is_folder)
    if member.kind == "directory":
        return Names(names.encode(key), (), is_folder)
    endings, room = (
        (ENDINGS, _LONGEST) if member.ending is None else ((member.ending,), len(member.ending))
    )
    return Names(names.encode(key, room), endings, is_folder)
