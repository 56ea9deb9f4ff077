"""Whether a whole store is as it should be."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .checkable import Checkable
from .documents import Documents
from .errors import (
    BackingError,
    CorruptionError,
    DetachedError,
    Failure,
    FormatError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    OutsideError,
    ValidationError,
)
from .pointer import join
from .schema import required_of
from .transaction import Host
from .values import JSON, MISSING, show

if TYPE_CHECKING:
    from .depot import Depot
    from .directories import Directory

UNREADABLE: Final = (FormatError, LayoutError, KeyNameError, OutsideError)
"""What is wrong with a file that cannot be read, or a directory that cannot be listed."""

_AMISS: Final = (*UNREADABLE, BackingError)
"""The same, with what the medium refuses."""

_FILE: Final = "a file that can be read"
_DIRECTORY: Final = "a directory that can be listed"
_EITHER: Final = "a file or directory that can be read"
_LINK: Final = "a link to a blob that can be read"
_EXPECTED: Final = {"file": _FILE, "directory": _DIRECTORY, "any": _EITHER}


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
    def _depot_with_blobs(self) -> Depot | None:
        """The depot of the store, if there is any blob in it."""

    @abstractmethod
    def keys_of(self, path: str) -> list[str]:
        """The keys of a directory's members that exist."""

    @abstractmethod
    def is_directory(self, path: str) -> bool:
        """Whether a directory is at ``path`` now."""

    def check(self) -> list[Failure]:
        """Load every file and list every failure: of schema, of format, of layout.

        And all that is damaged of what the backing keeps beside them, where it can tell; and where
        the store keeps blobs, every link to one that cannot be read. Nothing that lies in the store
        makes this raise.
        """
        self._require_open()
        found = self._documents.check() if isinstance(self._documents, Checkable) else []
        try:
            try:
                depot = self._depot_with_blobs()
            except _AMISS as error:
                depot = None
                found = [*found, self._failure("", "blobs that can be listed", error)]
            below = self._failures_below(self._root, depot)
        except CorruptionError as error:
            damage = Failure(
                error.file, "", "what was written there", error.reason, offset=error.offset
            )
            return found or [damage]
        # The backing tells as well of files that it cannot read, and knows less of them.
        unread = {one.source for one in below if not one.pointer}
        return [one for one in found if one.source not in unread] + below

    def _failures_below(self, directory: Directory[Any], depot: Depot | None) -> list[Failure]:
        surveyed, twice = self._survey(directory._path)
        listing: list[Failure] = []
        try:
            keys = self.keys_of(directory._path)
        except _AMISS as error:
            keys = surveyed or list(type(directory)._info.keys)
            listing = [self._failure(directory._path, _DIRECTORY, error)]
        # What is no file under a file's name is listed by nobody, and refused by who reads it.
        at = {key: self._failures_at(directory, key, depot) for key in sorted({*keys, *surveyed})}
        found = twice + [one for failures in at.values() for one in failures]
        for key in required_of(type(directory)):
            if key not in keys and not (listing or at.get(key) or key in directory):
                source = self._documents.source(join(directory._path, key))
                found.append(Failure(source, "", f"key {show(key)}", show(MISSING), "required"))
        return found or listing  # a listing that fails for one of its members says no more

    def _survey(self, path: str) -> tuple[list[str], list[Failure]]:
        if isinstance(self._documents, Checkable):
            with suppress(*_AMISS):  # told by who lists the keys
                return self._documents.survey(path)
        return [], []

    def _failures_at(
        self, directory: Directory[Any], key: str, depot: Depot | None
    ) -> list[Failure]:
        pointer = join(directory._path, key)
        expected = _FILE
        try:
            shape = directory._require_shape(key)
            folder = directory._subdirectory(key)
            if folder is not None:
                expected = _EXPECTED[shape.member.kind]
                if self.is_directory(pointer):
                    return self._failures_below(folder, depot)
                expected = _FILE
            self._require_whole(pointer)
            member = directory._find(key, for_use=False)
            if member is not None:
                return self._lost_links(pointer, member._snapshot(), depot)
        except (KeyNotFoundError, DetachedError):
            return []  # gone since it was listed
        except ValidationError as error:
            return list(error.failures)
        except _AMISS as error:
            return [self._failure(pointer, expected, error)]
        return []

    def _lost_links(self, pointer: str, contents: JSON, depot: Depot | None) -> list[Failure]:
        if depot is None:
            return []
        from .references import find_lost  # with the depot: most stores have no blobs

        source = self._documents.source(pointer)
        return [
            Failure(source, lost.pointer, _LINK, show(lost.identifier.link))
            for lost in find_lost("", contents, depot)
        ]

    def _failure(self, pointer: str, expected: str, error: Exception) -> Failure:
        source = self._documents.source(pointer) or "."
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        found = text.removeprefix(source).lstrip(",: ").removeprefix("is ")
        return Failure(source, "", expected, found)
