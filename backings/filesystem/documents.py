"""Documents on plain files: a unit is a file, a directory is a folder.

Each file is replaced whole: temporary file, fsync, rename, fsync of the folder. Opening and reading
write nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from objstore.documents import (
    DIRECTORY,
    Change,
    Commit,
    Directory,
    Documents,
    Loaded,
    Meta,
)
from objstore.errors import (
    BackingError,
    ClosedError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    OutsideError,
    ReadOnlyError,
    StoreNotFoundError,
)
from objstore.layout import Folder
from objstore.values import MISSING

from ..checks import check_options, check_request
from .contents import parse
from .io import Files, UncertainError, signature
from .listing import Listing
from .lock import WriterLock
from .meeting import FileMeetings
from .places import Place, Places
from .plan import Planner, Step
from .stamps import Stamp, digest, settled
from .swap import Swap
from .tree import Content, Found, Tree

_DIGESTED: Final = 1 << 16
"""Up to how many bytes a file's digest is taken when it is loaded. A larger file's would be a fifth
of the time, and is only missed where the file is touched: then it is parsed once more."""


def open_documents(
    url: str,
    *,
    layout: Folder,
    create: bool = True,
    readonly: bool = False,
    durability: str = "full",
    apply: str = "eager",
    umask: int | None = None,
) -> FilesystemDocuments:
    """The Documents in a folder, given by its path or ``file://`` URL.

    A missing folder is made by the first commit, unless ``create`` is False. ``durability="os"``
    leaves it to the operating system when data reaches the disk: a power cut may lose commits, and
    files with them. ``apply`` changes nothing here: files are in place when a commit returns.

    Raises StoreNotFoundError where nothing is and nothing may be made, LayoutError where a file is,
    ValueError for a URL or an option that is none.
    """
    check_options(durability, apply)
    files = Files(_path(url), sync=durability == "full", umask=umask)
    found = files.stat(files.root)
    if found is None and (readonly or not create):
        raise StoreNotFoundError(errno.ENOENT, "there is no store", url)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise LayoutError(errno.ENOTDIR, "a store is a directory, and this is a file", url)
    return FilesystemDocuments(files, layout, readonly=readonly)


def _path(url: str) -> str:
    if not url.startswith("file:"):
        path = url
    else:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"a file URL names no other machine, unlike {url!r}")
        path = unquote(parts.path)
    if not path or "\0" in path:
        raise ValueError(f"{url!r} is not the path of a folder")
    return path


class FilesystemDocuments(Documents):
    """Documents in a folder. Reads take no lock, writers one that holds between processes."""

    def __init__(self, files: Files, layout: Folder, *, readonly: bool = False) -> None:
        self._files: Final = files
        self._readonly: Final = readonly
        self._places: Final = Places(files.root, layout)
        self._tree: Final = Tree(files)
        self._listing: Final = Listing(files, self._places, self._tree)
        self._planner: Final = Planner(files, self._places, self._tree)
        self._writer: Final = WriterLock(files)
        self._closed = False
        # The unit of the last look that found a file, and its path. Read and written as a whole,
        # hence without a lock; a hint, as the file may be gone by now.
        self._last_seen: tuple[str | None, str] = (None, "")
        # Guarded by _writer.
        self._head = 0
        self._uncertain: UncertainError | None = None

    def head(self) -> int:
        """How many commits this handle has made: plain files keep no count."""
        self._require_open()
        return self._head

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        self._require_open()
        content = self._just_seen(unit) or self._content(unit)
        if content is None:
            return Loaded(MISSING, None)
        value = parse(content.data, self._files.relative(content.path))
        return Loaded(value, _stamp(content))

    def look(
        self, path: str, known: Stamp | None = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says, by one stat where ``known`` is still right.

        A stamp of this method's own making holds no digest, as nothing was read for it.
        """
        self._require_open()
        if known is not None and self._is_still(known, sure):
            return known
        return self._look(path, known)

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        self._require_open()
        return self._listing.keys(path)

    def source(self, unit: str) -> str:
        """The file's path within the store; for a missing unit, the one that a new file gets."""
        self._require_open()
        try:
            place = self._places.at(unit)
        except (KeyNameError, KeyNotFoundError):
            return unit
        found = self._found(place)
        if found is not None:
            return self._files.relative(found.path)
        return self._files.relative((*place.files, place.folder or "")[0])

    def commit(
        self,
        changes: Sequence[Change],
        *,
        base: int,
        match: Mapping[str, Any] | None = None,
        meta: Meta | None = None,
        scope: str | None = None,
        tx: str | None = None,
    ) -> Commit:
        """As the contract says. Read from top to bottom, this is the protocol.

        A process that dies, or a machine that stops, between two renames leaves each file whole,
        but some of them new and some old. Folders that a deletion leaves empty are removed, unless
        the layout names them.
        """
        self._require_writable()
        check_request(changes, match, scope)
        with self._writer as lock:
            self._require_certain()
            steps = self._planner.plan(changes)
            swap = Swap(self._files, [*self._planner.replacements(steps)])
            try:
                swap.run(also_sync=map(os.path.dirname, lock.made))
            except UncertainError as error:
                self._uncertain = error
                raise
            self._remove_empty_folders(steps)
            return self._committed(steps, meta)

    def meetings(self) -> FileMeetings:
        self._require_open()
        return FileMeetings(Files(self._files.root, sync=False, umask=self._files.umask))

    def flush(self) -> None:
        """Nothing is left to do: files are in place when ``commit`` returns."""
        self._require_open()

    def close(self) -> None:
        self._closed = True

    def _just_seen(self, unit: str) -> Content | None:
        """The file that the last look found, if it was for this unit: none other needs to be
        tried once more."""
        seen, path = self._last_seen
        return self._tree.content_at(path) if seen == unit else None

    def _content(self, unit: str) -> Content | None:
        try:
            return self._tree.content(self._places.at(unit))
        except KeyNameError:  # no file is called so
            return None

    def _is_still(self, known: Stamp, sure: bool) -> bool:
        """Whether the file that a stamp was given for is the version that it stands for."""
        expected = known.signature or (None if sure else known.likely)
        if expected is not None:
            found = self._files.lstat(known.path)
            return found is not None and signature(found) == expected
        if known.digest is None:
            return False
        content = self._tree.content_at(known.path)
        if content is None or digest(content.data) != known.digest:
            return False
        known.signature = settled(content.status, content.read_at)
        return True

    def _look(self, path: str, known: Stamp | None) -> Stamp | Directory | None:
        try:
            place = self._places.at(path)
        except KeyNameError:  # no file is called so
            return None
        found = self._tree.find(place)
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
        content = self._tree.content_at(found.path)
        if content is None:
            return None
        fresh = _stamp(content)
        if fresh.digest != known.digest:
            return fresh
        known.signature = fresh.signature
        return known

    def _found(self, place: Place) -> Found | None:
        try:
            return self._tree.find(place)
        except (LayoutError, OutsideError, BackingError):
            # The caller is about to say so itself, and asks what to call the file.
            return None

    def _remove_empty_folders(self, steps: Sequence[Step]) -> None:
        """Remove the folders that deletions left empty, unless the layout names them."""
        for step in steps:
            above = step.change.unit if step.new is None and step.content is not None else ""
            while above := above.rpartition("/")[0]:
                place = self._places.at(above)
                if place.declared or place.folder is None or not self._removed(place.folder):
                    break

    def _removed(self, folder: str) -> bool:
        # Asking rmdir is the only way to ask and act at once. Whatever it says against it (not
        # empty, a link, somebody's mount) is a reason to leave the folder where it is.
        try:
            self._files.remove_folder(folder)
        except (BackingError, LayoutError):
            return False
        return True

    def _committed(self, steps: Sequence[Step], meta: Meta | None) -> Commit:
        self._head += 1
        changes = tuple([step.change._replace(stamp=self._left(step)) for step in steps])
        return Commit(self._head, datetime.now(UTC), dict(meta or {}), None, changes)

    def _left(self, step: Step) -> Stamp | None:
        """The stamp of what a step left. Its file is young: only its bytes tell it for now."""
        if step.new is None:
            return None
        found = self._files.lstat(step.path)
        likely = None if found is None else signature(found)
        return Stamp(step.path, digest(step.new), None, likely)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("this store was closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self._readonly:
            raise ReadOnlyError(
                errno.EROFS, "this store was opened with readonly=True", self._files.root
            )

    def _require_certain(self) -> None:
        first = self._uncertain
        if first is not None:
            reason = f"nothing more is written through this handle, since: {first.strerror}"
            raise BackingError(first.errno, reason, first.filename) from first


def _stamp(content: Content) -> Stamp:
    sure = settled(content.status, content.read_at)
    wanted = sure is None or len(content.data) <= _DIGESTED
    known = digest(content.data) if wanted else None
    return Stamp(content.path, known, sure, signature(content.status))
