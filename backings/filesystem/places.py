"""Places: which paths a pointer stands for, by the layout and the rules for names alone.

Nothing here looks at the disk, so every answer can be kept.
"""

from __future__ import annotations

import os.path
from functools import lru_cache
from typing import Final, NamedTuple

from objstore.errors import KeyNameError, KeyNotFoundError
from objstore.formats import ENDINGS
from objstore.layout import ANYTHING, Folder, Member
from objstore.pointer import unescape
from objstore.values import MAX_DEPTH, show

from . import names

_KEPT: Final = 1 << 15
"""How many places are kept: some 20 MB at the most."""


class Place(NamedTuple):
    """Where a unit or directory may lie."""

    pointer: str
    parent: str
    """The path of the folder that it lies in."""
    files: tuple[str, ...]
    """The paths that its file may have, a new one's first; empty where it is a directory only."""
    folder: str | None
    """The path that its folder may have; None where it is a file only."""
    paths: tuple[str, ...]
    """All of these, each once."""
    layout: Folder
    """Of its members, where it is a directory."""
    declared: bool
    """Whether the layout names it."""


class Places:
    """The places below one folder, by one layout. Safe between threads."""

    def __init__(self, root: str, layout: Folder) -> None:
        self._root: Final = Place(
            "", os.path.dirname(root), (), root, (root,), layout, declared=True
        )
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
        made, folder = names_of(key, member)
        if declared.names:
            made = [name for name in made if declared.names.get(name, key) == key]
            folder = folder if declared.names.get(folder or "", key) == key else None
        if not made and folder is None:
            raise KeyNameError(f"the layout gives the file of the key {show(key)} to another key")
        files = tuple([f"{parent}/{name}" for name in made])
        below = None if folder is None else f"{parent}/{folder}"
        paths = files if below is None or below in files else (*files, below)
        return Place(
            pointer,
            parent,
            files,
            below,
            paths,
            member.folder or ANYTHING,
            declared=key in declared.members,
        )


@lru_cache(maxsize=4)
def places_of(root: str, layout: Folder) -> Places:
    """The places of a folder, kept for programs that open the same store again and again."""
    return Places(root, layout)


class Declared(NamedTuple):
    """The members that the layout of one directory names."""

    members: dict[str, Member]
    names: dict[str, str]
    """Which key a name is set aside for."""


def names_of(key: str, member: Member) -> tuple[list[str], str | None]:
    """The names that the member's file may have, and the one that its folder may have."""
    if member.name is not None:
        name = names.check(member.name)
        return (
            [] if member.kind == "directory" else [name],
            None if member.kind == "file" else name,
        )
    if member.kind == "directory":
        return [], names.encode(key)
    endings = ENDINGS if member.ending is None else (member.ending,)
    stem = names.encode(key, max(map(len, endings)))
    return [stem + ending for ending in endings], stem if member.kind == "any" else None
