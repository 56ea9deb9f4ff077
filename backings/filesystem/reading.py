"""Reading: what lies in the files, whatever the log says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from objstore.documents import DIRECTORY, Directory, Loaded
from objstore.errors import (
    BackingError,
    Failure,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    OutsideError,
)
from objstore.layout import Folder
from objstore.values import MISSING

from .contents import parse
from .io import Files, signature
from .listing import Listing
from .places import Place, places_of
from .stamps import Stamp, digest, settled
from .tree import Content, Found, Tree, stamp_of


class Reading:
    """Reads the files of one store. Takes no lock; safe between threads."""

    def __init__(self, files: Files, layout: Folder) -> None:
        self.files: Final = files
        self.places: Final = places_of(files.root, layout)
        self.tree: Final = Tree(files)
        self._listing: Final = Listing(files, self.places, self.tree)
        # The unit of the last look that found a file, and its path. Read and written as a whole,
        # hence without a lock; a hint, as the file may be gone by now.
        self._last_seen: tuple[str | None, str] = (None, "")

    def has_just_seen(self, unit: str) -> bool:
        """Whether the last look was at this unit, and found a file."""
        return self._last_seen[0] == unit

    def load(self, unit: str) -> Loaded:
        """The contents of a unit's file. Raises what ``Documents.load`` does."""
        content = self._just_seen(unit) or self._content(unit)
        if content is None:
            return Loaded(MISSING, None)
        value = parse(content.data, self.files.relative(content.path))
        return Loaded(value, stamp_of(content))

    def keys(self, path: str) -> list[str]:
        """The keys of a directory's members, as its files are."""
        return self._listing.keys(path)

    def has_key(self, path: str, is_wanted: Callable[[str], bool]) -> bool:
        """Whether a directory's files have a key whose pointer is wanted."""
        return self._listing.has_key(path, is_wanted)

    def survey(self, path: str) -> tuple[list[str], list[Failure]]:
        """As ``Checkable`` says, as its files are."""
        return self._listing.survey(path)

    def source(self, unit: str) -> str:
        """The file's path within the store; for a missing unit, the one that a new file gets."""
        try:
            place = self.places.at(unit)
        except (KeyNameError, KeyNotFoundError):
            return unit
        return self.files.relative(self._path(place) or (*place.files, place.folder or "")[0])

    def _just_seen(self, unit: str) -> Content | None:
        """The file that the last look found, if it was for this unit: none other needs to be
        tried once more."""
        seen, path = self._last_seen
        return self.tree.content_at(path) if seen == unit else None

    def _content(self, unit: str) -> Content | None:
        try:
            return self.tree.content(self.places.at(unit))
        except KeyNameError:  # no file is called so
            return None

    def is_still(self, known: Stamp, *, sure: bool = True) -> bool:
        """Whether the file that a stamp was given for is the version that it stands for."""
        expected = known.signature or (None if sure else known.likely)
        if expected is not None:
            found = self.files.lstat(known.path)
            return found is not None and signature(found) == expected
        if known.digest is None:
            return False
        content = self.tree.content_at(known.path)
        if content is None or digest(content.data) != known.digest:
            return False
        known.signature = settled(content.status, content.read_at)
        return True

    def look(self, path: str, known: Stamp | None = None) -> Stamp | Directory | None:
        """What is at a path. A stamp of its own making holds no digest, as nothing was read."""
        try:
            place = self.places.at(path)
        except KeyNameError:  # no file is called so
            return None
        found = self.tree.find(place)
        if found is None:
            return None if path else DIRECTORY
        if found.is_folder:
            return DIRECTORY
        if known is not None and known.path == found.path:
            return self._refreshed(known, found)
        self._last_seen = (path, found.path)
        return Stamp(found.path, None, signature(found.status))

    def _refreshed(self, known: Stamp, found: Found) -> Stamp | None:
        """The known stamp if the file still has its bytes, otherwise a new one."""
        seen = signature(found.status)
        if seen == known.signature:
            return known
        if known.digest is None:
            return Stamp(found.path, None, seen)
        content = self.tree.content_at(found.path)
        if content is None:
            return None
        fresh = stamp_of(content)
        if fresh.digest != known.digest:
            return fresh
        known.signature = fresh.signature
        return known

    def _path(self, place: Place) -> str | None:
        try:
            found = self.tree.find(place)
        except (LayoutError, OutsideError, BackingError) as error:
            # The caller is about to say so itself, and asks what to call the file.
            return error.filename if error.filename in place.paths() else None
        return None if found is None else found.path
