"""Listing: which keys a directory has. Nothing else lists a folder of a store for its keys."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Final

from objstore.errors import BackingError, Failure, KeyNameError, LayoutError, OutsideError
from objstore.formats import ENDINGS
from objstore.layout import Folder, Member
from objstore.pointer import join
from objstore.values import show

from . import names
from .io import Entry, Files
from .places import Declared, Places, names_of
from .tree import Tree

_SURELY_FITS: Final = 60
"""A stem of so many characters is within the limit with any ending, whatever its bytes."""


class Listing:
    """Lists the directories of a store. Safe between threads."""

    def __init__(self, files: Files, places: Places, tree: Tree) -> None:
        self._files: Final = files
        self._places: Final = places
        self._tree: Final = tree

    def keys(self, pointer: str) -> list[str]:
        """The keys of a directory's members, sorted; empty where there is no such directory.

        Raises LayoutError where a file lies in its place, or where two files make one key.
        """
        found = self._folder(pointer)
        if found is None:
            return []
        layout, declared = self._places.at(pointer).layout, self._places.declared(pointer)
        if layout.open_ended:
            return sorted(self._listed(found, layout, declared))
        return sorted(key for key in declared.members if self._exists(join(pointer, key)))

    def has_key(self, pointer: str, is_wanted: Callable[[str], bool]) -> bool:
        """Whether a directory has a member whose pointer is wanted; looks no further than that."""
        found = self._folder(pointer)
        if found is None:
            return False
        layout, declared = self._places.at(pointer).layout, self._places.declared(pointer)
        listed: Iterator[str | None]
        if layout.open_ended:
            self._tree.check_inside(found)
            listed = (key_of(entry, layout, declared) for entry in self._files.each_entry(found))
        else:
            listed = (key for key in declared.members if self._exists(join(pointer, key)))
        return any(key is not None and is_wanted(join(pointer, key)) for key in listed)

    def survey(self, pointer: str) -> tuple[list[str], list[Failure]]:
        """As ``Checkable`` says; where the layout names all keys, those, be they there or not."""
        found = self._folder(pointer)
        if found is None:
            return [], []
        layout, declared = self._places.at(pointer).layout, self._places.declared(pointer)
        keys = set(declared.members)
        if layout.open_ended:
            self._tree.check_inside(found)
            entries = map(_as_file, self._files.entries(found))
            listed = (key_of(entry, layout, declared) for entry in entries)
            keys = {key for key in listed if key is not None}
        return sorted(keys), [one for key in sorted(keys) for one in self._beside(pointer, key)]

    def _beside(self, pointer: str, key: str) -> Iterator[Failure]:
        """What is wrong with other files that are there for a key than the one that is read."""
        place = self._places.at(join(pointer, key))
        try:
            found = self._tree.find(place)
        except (LayoutError, OutsideError, BackingError):
            return  # told by who reads it
        try:
            if found is not None:
                self._tree.check_alone(found.path, place)
        except (LayoutError, OutsideError, BackingError) as error:
            source = self._files.relative(str(error.filename))
            yield Failure(source, "", f"one file for the key {show(key)}", str(error.strerror))

    def _folder(self, pointer: str) -> str | None:
        """The path of a directory; None where there is none."""
        try:
            found = self._tree.find(self._places.at(pointer))
        except KeyNameError:
            return None
        if found is not None and not found.is_folder:
            reason = f"{self._files.relative(found.path)} is a file where a directory should be"
            raise LayoutError(errno.ENOTDIR, reason, found.path)
        return None if found is None else found.path

    def _exists(self, pointer: str) -> bool:
        return self._tree.find(self._places.at(pointer)) is not None

    def _listed(self, folder: str, layout: Folder, declared: Declared) -> list[str]:
        self._tree.check_inside(folder)
        by_key: dict[str, str] = {}
        for entry in self._files.entries(folder):
            key = key_of(entry, layout, declared)
            if key is None:
                continue
            if key in by_key:
                raise self._twice(folder, by_key[key], entry.name)
            by_key[key] = entry.name
        return list(by_key)

    def _twice(self, folder: str, first: str, second: str) -> LayoutError:
        one, other = sorted((f"{folder}/{first}", f"{folder}/{second}"))
        reason = f"{self._files.relative(one)} and {self._files.relative(other)} are the same key"
        return LayoutError(errno.EEXIST, reason, other)


def key_of(entry: Entry, layout: Folder, declared: Declared) -> str | None:
    """The key whose file or folder this is; None for what is no key's."""
    stem, ending = (entry.name, "") if entry.is_folder else _split(entry)
    key = declared.names.get(entry.name) or names.decode(stem)
    member = None if key is None else layout.member(key)
    if key is None or member is None:
        return None
    return key if _makes(member, key, entry, stem, ending) else None


def _as_file(entry: Entry) -> Entry:
    """What is no folder, a file or not."""
    return entry if entry.is_folder else entry._replace(is_file=True)


def _split(entry: Entry) -> tuple[str, str]:
    """A file's name without the ending that a format is known for, and that; nothing if none is."""
    stem, dot, ending = entry.name.rpartition(".")
    return (stem, dot + ending) if entry.is_file and dot + ending in ENDINGS else ("", "")


def _makes(member: Member, key: str, entry: Entry, stem: str, ending: str) -> bool:
    """Whether the member makes this name of its key."""
    if member.name is None and len(stem) < _SURELY_FITS:
        kind = "directory" if entry.is_folder else "file"
        return member.kind in ("any", kind) and (entry.is_folder or member.ending in (None, ending))
    try:
        made = names_of(key, member)
    except KeyNameError:
        return False
    if entry.is_folder:
        return made.is_folder and entry.name == made.stem
    return entry.name in made.files()
