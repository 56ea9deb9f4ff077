"""The layout of a store as far as its log tells: which file each unit has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from objstore.errors import KeyNameError
from objstore.layout import ANYTHING, Folder, Member, MemberKind
from objstore.pointer import split

from .places import names_of


class KnownFolder:
    """A directory whose members are named where their keys do not make their names."""

    open_ended = True

    def __init__(self) -> None:
        self._named: Final[dict[str, Member]] = {}
        self._below: Final[dict[str, KnownFolder]] = {}

    def member(self, key: str) -> Member | None:
        """Where a key lies: where the log has it, or where its name says."""
        return self._named.get(key, Member(folder=self._below.get(key, ANYTHING)))

    def declared(self) -> Iterable[tuple[str, Member]]:
        """The keys whose names do not say where they lie."""
        return self._named.items()

    def add(self, keys: list[str], path: list[str]) -> None:
        """Have the unit of these keys be in the file of that path."""
        key, *deeper = keys
        below = self._below.setdefault(key, KnownFolder()) if deeper else None
        if not _is_made_by(key, path[0], is_file=not deeper):
            kind: MemberKind = "directory" if deeper else "file"
            self._named[key] = Member(kind, path[0], folder=below)
        if below is not None:
            below.add(deeper, path[1:])


def _is_made_by(key: str, name: str, *, is_file: bool) -> bool:
    try:
        made = names_of(key, Member())
    except KeyNameError:
        return False
    return name in made.files() if is_file else name == made.stem


def known_layout(files: Mapping[str, str]) -> Folder:
    """The layout in which each of these units has that file."""
    top = KnownFolder()
    for unit, file in files.items():
        keys, path = split(unit), file.split("/")
        if keys and len(keys) == len(path):
            top.add(keys, path)
    return top
