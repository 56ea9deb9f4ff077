"""Pathnames: their steps, from one Object to the next, and which there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from .directories import Directory
from .errors import KeyNotFoundError
from .lists import List
from .objects import Object
from .pointer import index_of, join
from .values import show

if TYPE_CHECKING:
    from .store import Store


def below(found: Any, token: str, *, make: bool = False) -> Any:
    """One step of a pathname."""
    if isinstance(found, Directory) and make:
        directory = cast("Directory[Any]", found)
        try:
            return directory[token]
        except KeyNotFoundError:
            folder = directory._subdirectory(token)
            if folder is None:
                raise
            return folder
    return cast(Any, found)[step(found, token)]


def step(parent: Any, token: str) -> str | int:
    """The key that a token is for its parent: an index for a List (RFC 6901, section 4)."""
    if not isinstance(parent, Object):
        raise KeyNotFoundError(f"{token!r} leads into {show(parent)}, which has no keys")
    if not isinstance(parent, List):
        return token
    index = index_of(token)
    if index is None:
        raise KeyNotFoundError(f"{token!r} is no index of a list")
    return index


def files_below(store: Store[Any], directory: Directory[Any]) -> Iterator[str]:
    """The pathnames of all files in a directory and in those below it."""
    for key in store.keys_of(directory._path):
        path = join(directory._path, key)
        folder = directory._subdirectory(key)
        if folder is not None and store.is_directory(path):
            yield from files_below(store, folder)
        else:
            yield path
