"""Pathnames: a Store is a mapping from these, and which there are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ._pairs import Paired
from .directories import Directory
from .errors import KeyNotFoundError, LayoutError
from .lists import List
from .objects import Object, Part, brought
from .paths import address
from .pointer import build, index_of, join, split
from .transaction import Host
from .values import MISSING, show

if TYPE_CHECKING:
    from ._shapes import Shape


class Pathnames(Host, Paired[str, Any]):
    """What a Store is as a mapping.

    A pathname is any of what ``paths.address`` takes: a pointer, with its first slash or without,
    or a kinded path.
    """

    url: str

    @property
    @abstractmethod
    def _root(self) -> Directory[Any]:
        """The Directory at the top. Raises ClosedError."""

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Whether a directory is at ``path`` now."""

    @abstractmethod
    def keys_of(self, path: str) -> list[str]:
        """The keys of a directory's members that exist, as this thread or task sees them."""

    def GET(self, path: str) -> Any:
        """What is at a pathname: an Object, or a value within one.

        Raises KeyNotFoundError, IndexError for an index out of range, PathError for text that is
        no path.
        """
        return self._find(self._pointer(path))

    def _find(self, pointer: str) -> Any:
        found: Any = self._root
        for token in split(pointer):
            found = _below(found, token)
        return found

    def _pointer(self, path: str) -> str:
        """The JSON Pointer of a pathname; a slash at the end is an empty key only within a file."""
        pointer = address(path)
        if pointer.endswith("/"):
            folder = pointer.rstrip("/")
            try:
                return pointer if isinstance(self._find(folder), Part) else folder
            except (KeyNotFoundError, IndexError):
                return folder
        return pointer

    def PUT(self, path: str, value: Any) -> None:
        """Set what is at a pathname; folders on the way are made. Raises as assigning does."""
        *above, last = split(self._pointer(path)) or [""]
        value = brought(value, self)
        with self.edit():
            parent: Any = self._root
            for token in above:
                parent = _below(parent, token, make=True)
            parent[_step(parent, last)] = value

    def DELETE(self, path: str) -> None:
        """Delete what is at a pathname, a directory with everything in it. Raises as ``GET``."""
        *above, last = split(self._pointer(path)) or [""]
        parent = self._find(build(above))
        del parent[_step(parent, last)]

    def HEAD(self, path: str) -> bool:
        """Whether something is at a pathname."""
        try:
            self.GET(path)
        except (KeyNotFoundError, IndexError):
            return False
        return True

    # The mixin's get() catches every KeyError, such as a DetachedError, and no IndexError.
    def get(self, path: str, default: Any = None) -> Any:
        """What is at a pathname, or ``default`` where nothing is."""
        try:
            return self.GET(path)
        except (KeyNotFoundError, IndexError):
            return default

    def setdefault(self, path: str, default: Any = None) -> Any:
        """What is at a pathname, which is set first if nothing is. Raises as ``PUT``."""
        with self.edit():
            if not self.HEAD(path):
                self.PUT(path, default)
            return self.GET(path)

    __getitem__ = GET
    __setitem__ = PUT
    __delitem__ = DELETE

    def pop(self, path: str, default: Any = MISSING) -> Any:
        """Delete what is at a pathname and return it, unattached; a directory as a plain dict.

        Raises KeyNotFoundError, unless there is a default.
        """
        *above, last = split(self._pointer(path)) or [""]
        try:
            place = _step(parent := self._find(build(above)), last)
            return parent.pop(place)
        except (KeyNotFoundError, IndexError):
            if default is MISSING:
                raise
            return default

    def popitem(self) -> tuple[str, Any]:
        """Delete the first file; return its pathname and contents. Raises KeyNotFoundError."""
        with self.edit():
            path = next(iter(self), None)
            if path is None:
                raise KeyNotFoundError(f"the store {self.url} is empty")
            return path, self.pop(path)

    def update(self, *args: Any, **keys: Any) -> None:
        """Set several pathnames together, as dict.update does. Raises as ``PUT``."""
        with self.edit():
            super().update(*args, **keys)

    def clear(self) -> None:
        """Delete everything, in one transaction."""
        self._root.clear()

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self.HEAD(path)

    def __iter__(self) -> Iterator[str]:
        return _files_below(self, self._root)

    def _pairs(self) -> Iterator[tuple[str, Any]]:
        found = ((path, self.get(path, MISSING)) for path in self)
        return (pair for pair in found if pair[1] is not MISSING)  # gone since it was listed


def _below(found: Any, token: str, *, make: bool = False) -> Any:
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
    return cast(Any, found)[_step(found, token)]


def _step(parent: Any, token: str) -> str | int:
    """The key that a token is for its parent: an index for a List (RFC 6901, section 4)."""
    if not isinstance(parent, Object):
        raise KeyNotFoundError(f"{token!r} leads into {show(parent)}, which has no keys")
    if not isinstance(parent, List):
        return token
    index = index_of(token)
    if index is None:
        raise KeyNotFoundError(f"{token!r} is no index of a list")
    return index


def _files_below(store: Pathnames, directory: Directory[Any]) -> Iterator[str]:
    """The pathnames of all files in a directory and in those below it."""
    for key in store.keys_of(directory._path):
        path = join(directory._path, key)
        folder = directory._subdirectory(key)
        if folder is not None and store.is_directory(path):
            yield from _files_below(store, folder)
        else:
            yield path


def directory_class(path: str, shape: Shape) -> type[Object]:
    """The class of what is a directory. Raises LayoutError where the schema has a file."""
    cls = shape.directory
    if cls is None:
        raise LayoutError(f"{path.lstrip('/')} is a directory where the schema has a file")
    return cls
