"""Documents in memory: for tests, for scratch work, and for what need not outlive its process."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from objstore._refusals import conflict, not_a_directory, not_a_file, require_storable
from objstore._touched import touches
from objstore._turns import require_first
from objstore.documents import (
    DIRECTORY,
    Again,
    Change,
    Commit,
    Directory,
    Documents,
    Loaded,
    Meta,
    Overlay,
    Stamp,
    Waiting,
)
from objstore.errors import (
    ClosedError,
    CommitNumberError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    ReadOnlyError,
    ScopeNotFoundError,
    StoreNotFoundError,
)
from objstore.layout import ANYTHING, Folder, Member
from objstore.pointer import aboves, split, unescape
from objstore.retention import Retention
from objstore.values import MISSING, show

from .checks import check_options, check_request, check_top_level
from .meetings import MemoryMeetings
from .memory_contents import NOTHING, Contents, Made

if TYPE_CHECKING:
    from objstore.containers import Containers
    from objstore.depot import Depot
    from objstore.events import EventLog

_SCHEME: Final = "memory://"
_UNTOUCHED: Final = Overlay(MISSING, MISSING)
_NO_OVERLAYS: Final[Mapping[str, Overlay]] = MappingProxyType({})

# Guarded by _shared_lock.
_shared: Final[dict[str, Contents]] = {}
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
            contents = Contents()
            if name:
                _shared[name] = contents
    return MemoryDocuments(contents, layout, readonly=readonly)


class MemoryDocuments(Documents):
    """Documents in a dict. A unit's stamp is made by the commit that wrote it."""

    def __init__(self, contents: Contents, layout: Folder, *, readonly: bool = False) -> None:
        self._contents: Final = contents
        self._layout: Final = layout
        self._readonly: Final = readonly
        self._member: Final = lru_cache(maxsize=1 << 15)(self._find_member)
        self._closed = False
        self._ends: Final[list[Callable[[], None]]] = []  # of what listens through this handle

    def head(self) -> int:
        """The newest commit of all handles on these contents."""
        self._require_open()
        # With the lock, so that no unit has been seen that a later number made.
        with self._contents.lock:
            self._contents.finish()
            head = self._contents.head
        if self._contents.hearing.due:  # who was about to tell was interrupted, or is at it
            self._contents.hearing.tell()
        return head

    # --- units ------------------------------------------------------------------------------------

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        """As the contract says; every version that was not compacted away is at hand."""
        self._require_open()
        self._require_file(unit)
        if at is None:
            loaded = self._contents.units.get(unit, NOTHING)
            directory = unit in self._contents.members
        else:
            self._contents.require_known(at)
            loaded = self._contents.at(unit, at)
            directory = loaded is NOTHING and bool(self._contents.keys_at(unit, at))
        if directory and loaded is NOTHING:
            raise not_a_file(unit)
        return loaded

    def look(
        self, path: str, known: Stamp = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says; without ``known``, as a look costs nothing."""
        self._require_open()
        loaded = self._contents.units.get(path)
        if loaded is not None:
            return loaded.stamp
        if not path or path in self._contents.members:
            return DIRECTORY
        self._member(path)
        return None

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        """As the contract says; what the layout has no place for is not among them."""
        self._require_open()
        self._member(path)
        if at is not None:
            self._contents.require_known(at)
        if self._unit(path, at) is not MISSING:
            raise not_a_directory(path)
        return self._keys(path, at)

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
        waiting: Waiting | None = None,
        again: Again | None = None,
    ) -> Commit:
        """As the contract says. Nothing waits for a disk, so ``waiting`` is not entered, nor is
        ``again`` called."""
        self._require_writable()
        check_request(changes)
        for change in changes:
            self._require_file(change.unit)
            if change.new is not MISSING:
                self._require_names(change.unit)
            check_top_level(change.new, self.source(change.unit))
        try:
            with self._contents.lock:
                self._contents.finish()
                for path, expected in (match or {}).items():
                    self._check_match(path, expected)
                done = self._changed(changes) if scope is None else self._changed_in(scope, changes)
                return self._contents.commit(done, meta, scope, tx)
        finally:
            self._contents.hearing.tell()

    # --- history ----------------------------------------------------------------------------------

    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        """As the contract says."""
        self._require_open()
        split(path)
        self._contents.require_known(after)
        return self._told(self._contents.after(after), path)

    def _told(self, found: Iterable[Commit], path: str) -> Iterator[Commit]:
        for commit in found:
            self._require_open()
            if touches(commit, path):
                yield commit

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """As the contract says; the commits of all handles on these contents are heard."""
        self._require_open()
        with self._contents.lock:
            self._contents.finish()
            end = self._contents.hearing.listen(self._contents.head, hear)
        self._ends.append(end)
        return end

    def switch_and_snapshot(self) -> int:
        """The newest commit's number: in memory every version is at hand without a snapshot."""
        self._require_writable()
        return self._contents.head

    def compact(self, retention: Retention) -> list[int]:
        """Forget the commits that need not stay; their numbers."""
        self._require_writable()
        with self._contents.lock:
            self._contents.finish()
            return self._contents.compact(retention)

    def pin(self, number: int) -> None:
        self._require_writable()
        with self._contents.lock:
            self._contents.require_known(number)
            if not number:
                raise CommitNumberError("no commit has the number 0")
            self._contents.pins |= {number}

    def unpin(self, number: int) -> None:
        self._require_writable()
        with self._contents.lock:
            self._contents.pins -= {number}

    def pins(self) -> frozenset[int]:
        self._require_open()
        return self._contents.pins

    # --- scopes -----------------------------------------------------------------------------------

    def scopes(self) -> list[str]:
        self._require_open()
        return sorted(self._contents.scopes)

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        self._require_open()
        return self._contents.scopes.get(scope, _NO_OVERLAYS)

    def delete_scope(self, scope: str) -> Commit:
        """As the contract says. Raises ScopeNotFoundError."""
        self._require_writable()
        try:
            with self._contents.lock:
                self._contents.finish()
                overlays = self._contents.scopes.get(scope)
                if overlays is None:
                    raise ScopeNotFoundError(f"there is no scope {show(scope)}")
                done = [
                    Change(unit, overlay.value, self._contents.units.get(unit, NOTHING).value)
                    for unit, overlay in overlays.items()
                ]
                return self._contents.commit(done, None, scope, None, deletes_scope=True)
        finally:
            self._contents.hearing.tell()

    def meetings(self) -> MemoryMeetings:
        self._require_open()
        return self._contents.meetings

    # --- what lies beside, see objstore.beside.Company --------------------------------------------

    def identity(self) -> UUID | None:
        return self._contents.identity

    def open_containers(self) -> Containers:
        from objstore.containers import Containers

        from .memory_storage import MemoryStorage

        name = str(self._contents.identity)
        self._contents.beside("containers", lambda: MemoryStorage(name, create=True))
        return Containers(MemoryStorage(name, readonly=self._readonly))

    def open_events(self) -> EventLog:
        from objstore.events import EventLog

        from .records import MemoryRecordKeeper

        kept = self._contents.beside("events", MemoryRecordKeeper)
        return EventLog(MemoryRecordKeeper(kept, readonly=self._readonly))

    def open_depot(self) -> Depot:
        from .memory_depot import MemoryDepot

        kept = self._contents.beside("depot", MemoryDepot)
        return MemoryDepot(kept, readonly=self._readonly)

    def flush(self) -> None:
        self._require_open()

    def close(self) -> None:
        """End what listens through this handle; contents that have a name stay."""
        self._closed = True
        while self._ends:
            self._ends.pop()()

    # --- a commit's steps, with the lock of the contents held -------------------------------------

    def _check_match(self, path: str, expected: Any) -> None:
        """Raise ConflictError where something is not what a commit rests on."""
        if isinstance(expected, tuple):
            known = list(cast("tuple[str, ...]", expected))
            keys = self._keys(path, None)
            if keys != known:
                raise conflict(Change(path, known, known), keys)
        else:
            now = self._contents.units.get(path, NOTHING)
            if now.stamp is not expected:
                raise conflict(Change(path, MISSING, MISSING), now.value)

    def _changed(self, changes: Sequence[Change]) -> list[Change]:
        units = self._contents.units
        for change in changes:
            now = units.get(change.unit, NOTHING)
            if now.stamp is not change.stamp:
                raise conflict(change, now.value)
        self._check_together(changes)
        return [
            Change(
                change.unit,
                units.get(change.unit, NOTHING).value,
                change.new,
                None if change.new is MISSING else Made(),
            )
            for change in changes
        ]

    def _changed_in(self, scope: str, changes: Sequence[Change]) -> list[Change]:
        overlays = self._contents.scopes.get(scope, _NO_OVERLAYS)
        for change in changes:
            now = overlays.get(change.unit, _UNTOUCHED)
            if now.stamp is not change.stamp:
                raise conflict(change, now.value)
        return [change._replace(stamp=Made()) for change in changes if change.new is not change.old]

    def _check_together(self, changes: Sequence[Change]) -> None:
        made = {change.unit for change in changes if change.new is not MISSING}
        for unit in made:
            if unit in self._contents.members:
                raise not_a_file(unit)
            for directory in aboves(unit):
                if directory in made or directory in self._contents.units:
                    raise not_a_directory(directory, unit)

    # --- layout -----------------------------------------------------------------------------------

    def _unit(self, path: str, at: int | None) -> Any:
        if at is None:
            return self._contents.units.get(path, NOTHING).value
        return self._contents.at(path, at).value

    def _keys(self, path: str, at: int | None) -> list[str]:
        if at is not None:
            below = list(self._contents.keys_at(path, at))
        else:
            below = list(self._contents.members.get(path, ()))
        fitting = (one for one in below if self._fits(one, self._unit(one, at) is not MISSING))
        return sorted(unescape(one.rpartition("/")[2]) for one in fitting)

    def _fits(self, pointer: str, is_unit: bool) -> bool:
        """Whether the layout has a place for what was committed, perhaps by another layout."""
        try:
            kind = self._member(pointer).kind
        except KeyNotFoundError:
            return False
        return kind in ("any", "file" if is_unit else "directory")

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

    def _require_names(self, unit: str) -> None:
        """Raise KeyNameError for a key that no file can be named after, as where there are files.

        Their limits of length and depth are their own.
        """
        for pointer in (*aboves(unit), unit):
            key = unescape(pointer.rpartition("/")[2])
            if pointer and self._member(pointer).name is None:
                if not key:
                    raise KeyNameError('the empty key "" can be no file\'s name')
                require_storable(key, "key")

    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed; finish what an interrupt left."""
        if self._closed:
            raise ClosedError("this store was closed")
        if self._contents.due is not None:
            self._contents.settle()

    def _require_writable(self) -> None:
        self._require_open()
        if self._readonly:
            raise ReadOnlyError(errno.EROFS, "this store was opened with readonly=True")
        require_first(self._contents.lock)
