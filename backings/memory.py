"""Documents in memory: for tests, for scratch work, and for what need not outlive its process."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any, Final

from objstore.documents import (
    DIRECTORY,
    Change,
    Commit,
    Directory,
    Documents,
    Loaded,
    Meta,
    Stamp,
)
from objstore.errors import (
    ClosedError,
    ConflictError,
    KeyNotFoundError,
    LayoutError,
    ReadOnlyError,
    StoreNotFoundError,
)
from objstore.layout import ANYTHING, Folder, Member
from objstore.pointer import split, unescape
from objstore.values import MISSING

from .checks import check_options, check_request, check_top_level

_SCHEME: Final = "memory://"
_NOTHING: Final = Loaded(MISSING, None)

# Guarded by _shared_lock.
_shared: Final[dict[str, _Contents]] = {}
_shared_lock: Final = Lock()


def open_documents(
    url: str,
    *,
    layout: Folder,
    create: bool = True,
    readonly: bool = False,
    durability: str = "full",
    apply: str = "eager",
    umask: int | None = None,
) -> MemoryDocuments:
    """Documents in memory: ``memory://`` is new each time, ``memory://name`` shared by its name.

    What has a name stays until the process ends, and its commits are counted on. The options that
    are about files are checked and change nothing.

    Raises StoreNotFoundError for a name that was never opened, where nothing may be made.
    """
    check_options(durability, apply)
    if not url.startswith(_SCHEME):
        raise ValueError(f"{url!r} is not {_SCHEME} with a name or without")
    name = url.removeprefix(_SCHEME)
    with _shared_lock:
        contents = _shared.get(name) if name else None
        if contents is None:
            if readonly or not create:
                raise StoreNotFoundError(errno.ENOENT, "there is no store", url)
            contents = _Contents()
            if name:
                _shared[name] = contents
    return MemoryDocuments(contents, layout, readonly=readonly)


class _Stamp:
    """A version; compared by identity, hence empty."""

    __slots__ = ()


class _Contents:
    """The units of one store, and how many commits made them."""

    def __init__(self) -> None:
        self.lock: Final = Lock()
        # Guarded by lock for writing. Readers take none: each reads one entry, and entries are
        # replaced whole.
        self.head = 0
        self.units: Final[dict[str, Loaded]] = {}
        self.members: Final[dict[str, dict[str, None]]] = {}
        """By directory, the pointers of what is in it: units and directories."""

    def put(self, unit: str, loaded: Loaded) -> None:
        self.units[unit] = loaded
        below = unit
        for above in _above(unit):
            self.members.setdefault(above, {})[below] = None
            below = above

    def remove(self, unit: str) -> None:
        """Remove a unit, and the directories that it leaves empty."""
        self.units.pop(unit, None)
        below = unit
        for above in _above(unit):
            self.members.get(above, {}).pop(below, None)
            if self.members.get(above):
                break
            self.members.pop(above, None)
            below = above


class MemoryDocuments(Documents):
    """Documents in a dict. A unit's stamp is an object made by the commit that wrote it."""

    def __init__(self, contents: _Contents, layout: Folder, *, readonly: bool = False) -> None:
        self._contents: Final = contents
        self._layout: Final = layout
        self._readonly: Final = readonly
        self._member: Final = lru_cache(maxsize=1 << 15)(self._find_member)
        self._closed = False

    def head(self) -> int:
        self._require_open()
        return self._contents.head

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        self._require_open()
        self._require_file(unit)
        loaded = self._contents.units.get(unit)
        if loaded is None and unit in self._contents.members:
            raise LayoutError(errno.EISDIR, f"{unit} is a directory where a file should be", unit)
        return _NOTHING if loaded is None else loaded

    def look(
        self, path: str, known: Stamp = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        self._require_open()
        loaded = self._contents.units.get(path)
        if loaded is not None:
            return loaded.stamp
        if not path or path in self._contents.members:
            return DIRECTORY
        self._member(path)
        return None

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        self._require_open()
        self._member(path)
        if path in self._contents.units:
            raise LayoutError(errno.ENOTDIR, f"{path} is a file where a directory should be", path)
        with self._contents.lock:
            below = [*self._contents.members.get(path, ())]
        return sorted(unescape(one.rpartition("/")[2]) for one in below if self._fits(one))

    def source(self, unit: str) -> str:
        """The unit's pointer: in memory it has no file."""
        self._require_open()
        return unit or "/"

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
        self._require_open()
        if self._readonly:
            raise ReadOnlyError(errno.EROFS, "this store was opened with readonly=True")
        check_request(changes, match, scope)
        with self._contents.lock:
            for change in changes:
                self._check(change)
            self._check_together(changes)
            return self._apply(changes, meta)

    def flush(self) -> None:
        self._require_open()

    def close(self) -> None:
        self._closed = True

    def _check(self, change: Change) -> None:
        self._require_file(change.unit)
        check_top_level(change.new, self.source(change.unit))
        now = self._contents.units.get(change.unit, _NOTHING)
        if now.stamp is not change.stamp:
            raise ConflictError(
                f"{change.unit} was changed by somebody else since it was read",
                pointer=change.unit,
                base=change.old,
                ours=change.new,
                theirs=now.value,
            )

    def _check_together(self, changes: Sequence[Change]) -> None:
        made = {change.unit for change in changes if change.new is not MISSING}
        for unit in made:
            if unit in self._contents.members:
                reason = f"{unit} is a directory where a file should be"
                raise LayoutError(errno.EISDIR, reason, unit)
            for above in _above(unit):
                if above in made or above in self._contents.units:
                    reason = f"{above} is a file where a directory should be"
                    raise LayoutError(errno.ENOTDIR, reason, unit)

    def _apply(self, changes: Sequence[Change], meta: Meta | None) -> Commit:
        done: list[Change] = []
        for change in changes:
            if change.new is MISSING:
                self._contents.remove(change.unit)
                done.append(change._replace(stamp=None))
            else:
                loaded = Loaded(change.new, _Stamp())
                self._contents.put(change.unit, loaded)
                done.append(change._replace(stamp=loaded.stamp))
        self._contents.head += 1
        return Commit(self._contents.head, datetime.now(UTC), dict(meta or {}), None, tuple(done))

    def _fits(self, pointer: str) -> bool:
        """Whether the layout has a place for what was committed, perhaps by another layout."""
        try:
            kind = self._member(pointer).kind
        except KeyNotFoundError:
            return False
        return kind in ("any", "file" if pointer in self._contents.units else "directory")

    def _find_member(self, pointer: str) -> Member:
        """How a pointer lies by the layout. Raises KeyNotFoundError where it has no place."""
        member: Member | None = Member("directory", folder=self._layout)
        for key in split(pointer):
            if member is None or member.kind == "file":
                member = None
                break
            member = (member.folder or ANYTHING).member(key)
        if member is None:
            raise KeyNotFoundError(f"there is no place for {pointer} in this store's layout")
        return member

    def _require_file(self, unit: str) -> None:
        if self._member(unit).kind == "directory":
            reason = f"{unit or '/'} is a directory, which has no contents of its own"
            raise LayoutError(errno.EISDIR, reason, unit)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("this store was closed")


def _above(pointer: str) -> Iterator[str]:
    """The directories that a pointer lies in, up to the root."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer
