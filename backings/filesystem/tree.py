"""The tree: what lies at a place now, and its bytes.

Links are followed as long as they stay below the store's folder. They are checked before they are
followed, which keeps out links that lie there, not an attacker who swaps one in between.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Final, NamedTuple

from objstore.errors import BackingError, FormatError, KeyNameError, LayoutError, OutsideError

from .case import Spelling
from .io import Files, Snapshot, signature
from .places import Place
from .stamps import Stamp, digest, settled

MAX_FILE_SIZE: Final = 1 << 30
"""The largest file that is read or written, in bytes; a larger one is a blob, not a document."""

_DIGESTED: Final = 1 << 16
"""Up to how many bytes a file's digest is taken when it is loaded. A larger file's would be a fifth
of the time, and is only missed where the file is touched: then it is parsed once more."""

_ATTEMPTS: Final = 9
"""How often a file that changes while it is read is read again; the waits add up to 0.5 s."""


class Found(NamedTuple):
    """What lies at a place."""

    path: str
    status: os.stat_result
    """Of the target, where a link lies there."""
    is_folder: bool


class Content(NamedTuple):
    """A file's bytes."""

    path: str
    """Where the place has it."""
    target: str
    """The file itself, where a link lies at ``path``; otherwise the same."""
    data: bytes
    status: os.stat_result
    read_at: int
    """``time.time_ns`` from before it was read."""


class Tree:
    """Reads what the places of a store hold. Safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self.spelling: Final = Spelling(files)
        # Folders that were found to lie within the store; grows only, so it needs no lock.
        self._checked: Final[set[str]] = set()
        self._elsewhere: Final[set[str]] = set()
        """Those of them that lie elsewhere, behind a link; the same."""

    def find(self, place: Place) -> Found | None:
        """The file or folder at a place: the first that is there of the paths that it may have.

        That another is there as well (``ada.yaml`` beside ``ada.json``) is found by ``check_alone``
        when it is written, and by a listing: to ask for names that are not there costs 6 us each
        on a cold disk, twice the rest. Raises LayoutError for one of the wrong kind, OutsideError.
        """
        if place.parent not in self._checked:
            self.check_inside(place.parent)
        for number, path in enumerate(place.paths()):
            # The first are looked at in any case, and tell why none could be.
            if number > 1 and not self._files.exists(path):
                continue
            found = self._at(path, place)
            if found is not None:
                return found
        return None

    def check_alone(self, path: str, place: Place) -> None:
        """Raise LayoutError where another file or folder is there for the key of ``path``."""
        for other in place.paths():
            if other != path and self._files.exists(other) and self._at(other, place) is not None:
                one, two = sorted(map(self._files.relative, (path, other)))
                raise LayoutError(errno.EEXIST, f"{one} and {two} are the same key", other)

    def content(self, place: Place) -> Content | None:
        """The bytes of the file at a place; None where nothing is.

        Raises LayoutError where a folder or something else than a file lies there, OutsideError,
        FormatError for a file that is too large.
        """
        files = place.files
        if not files:
            reason = f"{place.pointer or '/'} is a directory, which has no contents of its own"
            raise LayoutError(errno.EISDIR, reason, place.folder)
        if len(files) == 1 and place.folder is None:
            self.check_inside(place.parent)
            return self._content(files[0])
        found = self.find(place)
        if found is None:
            return None
        if found.is_folder:
            raise self._not_a_file(found.path, found.status)
        self.check_inside(place.parent)
        return self._content(found.path)

    def content_at(self, path: str) -> Content | None:
        """The bytes of the file at a path that a place gave before."""
        self.check_inside(path.rpartition("/")[0])
        return self._content(path)

    def target(self, path: str) -> str:
        """Where a new file at ``path`` is written: elsewhere if a link without a target is there.

        Raises LayoutError where a folder is there, which is another key's; OutsideError; and
        KeyNameError where the disk takes the name for one that exists in another spelling.
        """
        self.check_inside(os.path.dirname(path))
        clash = self.spelling.clash(path)
        if clash is not None:
            reason = f"{self._files.relative(path)} and {clash} would be one on this disk"
            raise KeyNameError(reason)
        if self._files.lstat(path) is None:
            return path
        real = self._resolve(path)
        there = self._files.stat(real)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise self._not_a_file(path, there)
        return real

    def is_linked(self, place: Place, path: str, target: str) -> bool:
        """Whether a link leads to a file, so that it has another name as well. It was just looked
        for at a place, and found, or is to be made."""
        is_link = path != target or not place.has_file(path)
        return is_link or place.parent in self._elsewhere

    def check_inside(self, folder: str) -> None:
        """Raise OutsideError if a link on the way to ``folder`` leads out of the store."""
        path = folder
        while len(path) >= len(self._files.below):
            found = self._files.lstat(path)
            if found is not None and stat.S_ISLNK(found.st_mode):
                self._resolve(folder)
                self._elsewhere.add(folder)
                break
            path = path.rpartition("/")[0]
        self._checked.add(folder)

    def _not_a_file(self, path: str, status: os.stat_result) -> LayoutError:
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "neither a file nor a directory"
        reason = f"{self._files.relative(path)} is {kind} where a file should be"
        return LayoutError(errno.EISDIR, reason, path)

    def _at(self, path: str, place: Place) -> Found | None:
        status = self._status(path)
        if status is None:
            return None
        if stat.S_ISDIR(status.st_mode):
            if path == place.folder:
                return Found(path, status, is_folder=True)
            if place.folder is not None:  # a folder called ada.json is another key's
                return None
        elif not place.has_file(path):
            if place.files:  # a file without an ending, such as LICENSE, is no key's
                return None
            raise self._files.not_a_folder(path)
        elif stat.S_ISREG(status.st_mode):
            return Found(path, status, is_folder=False)
        raise self._not_a_file(path, status)

    def _status(self, path: str) -> os.stat_result | None:
        found = self._files.lstat(path)
        if found is None or not self.spelling.holds(path, found):
            return None
        if stat.S_ISLNK(found.st_mode):
            return self._linked(path)
        if stat.S_ISDIR(found.st_mode) and path.rpartition("/")[0] in self._checked:
            self._checked.add(path)
        return found

    def _linked(self, path: str) -> os.stat_result | None:
        real = self._resolve(path)
        found = self._files.stat(real)
        if found is not None and stat.S_ISDIR(found.st_mode):
            folder = path
            while len(folder) > len(self._files.root):
                folder = folder.rpartition("/")[0]
                if (self._files.real(folder) + "/").startswith(real + "/"):
                    # A store that held itself would never come to an end.
                    reason = f"{self._files.relative(path)} is a link to a folder that it lies in"
                    raise LayoutError(errno.ELOOP, reason, path)
        return found

    def _resolve(self, path: str) -> str:
        """Where a link leads. Raises OutsideError where that is out of the store."""
        real = self._files.real(path)
        if not (real + "/").startswith(self._files.below):
            reason = f"{self._files.relative(path)} is a link that leads out of the store"
            raise OutsideError(errno.EPERM, reason, path)
        return real

    def _content(self, path: str) -> Content | None:
        for attempt in range(_ATTEMPTS):
            now = time.time_ns()
            target, snapshot = self._snapshot(path)
            if snapshot is None:
                return None
            data, before, after = snapshot
            if before.st_size > MAX_FILE_SIZE:
                raise self._too_large(path, before)
            if signature(before) == signature(after) and len(data) == before.st_size:
                return Content(path, target, data, after, now)
            time.sleep(0.001 * 2**attempt)
        reason = f"cannot read {self._files.relative(path)}: it keeps changing"
        raise BackingError(errno.EAGAIN, reason, path)

    def _snapshot(self, path: str) -> tuple[str, Snapshot | None]:
        snapshot = self._files.read(path, MAX_FILE_SIZE)
        target = path
        if snapshot is not None and not self.spelling.holds(path, snapshot.before):
            return path, None
        if snapshot is not None and stat.S_ISLNK(snapshot.before.st_mode):
            target = self._resolve(path)
            snapshot = self._files.read(target, MAX_FILE_SIZE)
        if snapshot is not None and not stat.S_ISREG(snapshot.before.st_mode):
            raise self._not_a_file(path, snapshot.before)
        return target, snapshot

    def _too_large(self, path: str, status: os.stat_result) -> FormatError:
        reason = f"the file has {status.st_size} bytes, and {MAX_FILE_SIZE} are the limit"
        return FormatError(reason, source=self._files.relative(path))


def stamp_of(content: Content) -> Stamp:
    """The stamp of contents that were just read."""
    sure = settled(content.status, content.read_at)
    wanted = sure is None or len(content.data) <= _DIGESTED
    known = digest(content.data) if wanted else None
    return Stamp(content.path, known, sure, signature(content.status))
