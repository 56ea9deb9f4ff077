"""Whether a whole store is as it should be."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

from .checkable import Checkable
from .documents import Documents
from .errors import (
    CorruptionError,
    Failure,
    FormatError,
    KeyNameError,
    LayoutError,
    OutsideError,
    ValidationError,
)
from .pointer import join
from .transaction import Host

if TYPE_CHECKING:
    from .directories import Directory

UNREADABLE: Final = (FormatError, LayoutError, KeyNameError, OutsideError)
"""What is wrong with a file that cannot be read, or a directory that cannot be listed."""


class Checking(Host):
    """The part of a Store that looks at all there is."""

    _documents: Documents

    @property
    @abstractmethod
    def _root(self) -> Directory[Any]:
        """The Directory at the top. Raises ClosedError."""

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""

    @abstractmethod
    def _require_whole(self, unit: str) -> None:
        """Raise what loading a file would, if it was changed since."""

    @abstractmethod
    def keys_of(self, path: str) -> list[str]:
        """The keys of a directory's members that exist."""

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Whether a directory is at ``path`` now."""

    def check(self) -> list[Failure]:
        """Load every file and list every failure: of schema, of format, of layout.

        And all that is damaged of what the backing keeps beside them, where it can tell.
        """
        self._require_open()
        found = self._documents.check() if isinstance(self._documents, Checkable) else []
        try:
            below = self._failures_below(self._root)
        except CorruptionError:
            if not found:
                raise
            return found
        # The backing tells as well of files that it cannot read, and knows less of them.
        unread = {one.source for one in below if not one.pointer}
        return [one for one in found if one.source not in unread] + below

    def _failures_below(self, directory: Directory[Any]) -> list[Failure]:
        found: list[Failure] = []
        listing: list[Failure] = []
        try:
            keys = self.keys_of(directory._path)
        except UNREADABLE as error:
            place = directory._path.lstrip("/") or "."
            listing = [Failure(place, "", "a directory that can be listed", str(error))]
            keys = list(type(directory)._info.keys)
        for key in keys:
            folder = directory._subdirectory(key)
            if folder is not None and self.is_directory(folder._path):
                found += self._failures_below(folder)
            else:
                found += self._failures_of_file(directory, key)
        return found or listing  # a listing that fails for one of its members says no more

    def _failures_of_file(self, directory: Directory[Any], key: str) -> list[Failure]:
        try:
            self._require_whole(join(directory._path, key))
            if key in directory:
                directory._read(key)._snapshot()
        except ValidationError as error:
            return list(error.failures)
        except UNREADABLE as error:
            source = self._documents.source(join(directory._path, key))
            found = str(error).removeprefix(source).lstrip(",: ")
            return [Failure(source, "", "a file that can be read", found)]
        return []
