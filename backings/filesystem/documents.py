"""Documents on plain files: a unit is a file, a directory is a folder.

Beside the files lies the commit log, in .objstore: docs/formats/commit-log.md. Opening and reading
write nothing.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID
from weakref import WeakSet

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
    Waiting,
)
from objstore.errors import (
    ClosedError,
    Failure,
    LayoutError,
    ReadOnlyError,
    StoreNotFoundError,
)
from objstore.layout import Folder
from objstore.pointer import split
from objstore.retention import Retention
from objstore.values import MISSING
from objstore.watchable import NOTHING, Hear, Judge

from ..checks import check_options, check_request
from . import names
from .engine import Engine
from .history.record import Said
from .io import Files
from .meeting import FileMeetings
from .missed import Missed
from .reading import Reading
from .stamps import Stamp
from .watching.watch import Watch

if TYPE_CHECKING:
    from objstore.containers import Containers
    from objstore.depot import Depot
    from objstore.events import EventLog


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
    files with them. With ``apply="lazy"`` a commit returns when it is in the log, and its files
    follow within a second, at ``flush`` and at ``close``.

    Raises StoreNotFoundError where nothing is and nothing may be made, LayoutError where a file is,
    ValueError for a URL or an option that is none.
    """
    check_options(durability, apply)
    files = Files(path_of(url), sync=durability == "full", umask=umask)
    if not files.was_folder:
        found = files.stat(files.root)
        if found is None and (readonly or not create):
            raise StoreNotFoundError(errno.ENOENT, "there is no store", url)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise LayoutError(errno.ENOTDIR, "a store is a directory, and this is a file", url)
    return FilesystemDocuments(files, layout, readonly=readonly, lazy=apply == "lazy")


def path_of(url: str) -> str:
    """The folder that a path or a ``file:`` URL names. Raises ValueError for another machine's."""
    if url[:5].lower() != "file:":  # a scheme is the same in any case
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

    def __init__(
        self, files: Files, layout: Folder, *, readonly: bool = False, lazy: bool = False
    ) -> None:
        self._files: Final = files
        self._readonly: Final = readonly
        self._lazy: Final = lazy
        self._reading: Final = Reading(files, layout)
        self._folder_of_engine: Final = names.engine(files.root)
        self._closed = False
        self._told: Final[WeakSet[_Commits]] = WeakSet()
        """What is yet to come to the end of the log, and has a file of it open. Guarded by
        _making."""
        self._making: Final = Lock()
        self._made: Engine | None = None
        """Made when there is something for it to do, as most programs only read. Guarded by _making
        when it is set."""

    # Reading

    def head(self) -> int:
        """As the contract says; reads on in the log, and tells who listens of what is new."""
        self._require_open()
        engine = self._found()
        return 0 if engine is None else engine.refresh()

    def shown(self) -> int:
        """As the contract says: what threads wait for is shown once it is on the disk."""
        head = self.head()
        return head if self._made is None else self._made.committer.shown(head)

    def refresh(self) -> None:
        """See what other processes have committed, and tell who listens, once it is on the disk."""
        self._require_open()
        engine = self._found()
        if engine is not None:
            engine.hear()

    def changed(self, unit: str) -> int:
        """As the contract says: a file may have the same bytes again, and be known by them."""
        return 0 if self._made is None else self._made.ledger.changed(unit)

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        """As the contract says; from the log what its files do not have yet, or no more."""
        self._require_open()
        if at is not None:
            return self._load_at(unit, at)
        # A look that was just taken has asked for the engine.
        engine = self._made if self._reading.has_just_seen(unit) else self._found()
        found = None if engine is None else engine.load(unit)
        if found is not None:
            return found
        try:
            return self._reading.load(unit)
        except LayoutError:
            if engine is None or not engine.is_emptied(unit):
                raise
            return Loaded(MISSING, None)

    def _load_at(self, unit: str, at: int) -> Loaded:
        found = self._engine.load_at(unit, at)
        if found is None:  # no commit has touched it: it is as it always was
            there = self._reading.load(unit)
            found = self._engine.load_at(unit, at) or there  # one may have done so before this
            if found.value is MISSING and self._engine.has_keys_at(unit, at):
                reason = f"{unit} was a directory after commit {at}"
                raise LayoutError(errno.EISDIR, reason, unit)
        return found

    def look(
        self, path: str, known: Stamp | None = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says, by one stat where ``known`` is still right.

        A stamp of this method's own making holds no digest, as nothing was read for it.
        """
        self._require_open()
        engine = self._made or self._found()
        if engine is not None:
            if known is not None and engine.is_due(path, known):
                engine.ledger.refresh()  # its file, which is looked at below, would not tell
                if engine.is_due(path, known):
                    return known
            found = engine.look(path, known, sure=sure)
            if found is not None:
                return found if isinstance(found, Directory) else found.stamp
            if known is not None and engine.is_still(path, known, sure=sure):
                return known
            if known is not None and known.through:
                known = None  # its contents are the log's, and its file's were never these
        elif known is not None and self._reading.is_still(known, sure=sure):
            return known
        seen = self._reading.look(path, known)
        if engine is not None and seen is None and engine.is_made(path):
            return DIRECTORY
        is_emptied = seen is DIRECTORY and engine is not None and engine.is_emptied(path)
        return None if is_emptied else seen

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        """As the contract says, by a listing; corrected where files are behind the log."""
        self._require_open()
        if at is not None:
            return sorted(self._engine.keys_at(path, at))
        engine = self._found()
        return sorted(self._reading.keys(path)) if engine is None else engine.keys(path)

    def has_keys(self, path: str, *, at: int | None = None) -> bool:
        """As the contract says; of the past, by the log alone where that tells."""
        if at is None:
            return super().has_keys(path)
        self._require_open()
        return self._engine.has_keys_at(path, at)

    def source(self, unit: str) -> str:
        """The unit's file, relative to the store's folder."""
        self._require_open()
        return self._reading.source(unit)

    # Committing

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
        """As the contract says. The protocol: ``Committer.commit``."""
        self._require_writable()
        check_request(changes)
        said = Said(datetime.now(UTC), dict(meta or {}), scope, (), tx=tx)
        return self._engine.commit(changes, said, match or {}, waiting, again)

    def commit_external(
        self,
        units: Sequence[str],
        judge: Judge,
        *,
        was: Mapping[str, Loaded] = NOTHING,
        there: Collection[str] = (),
    ) -> Commit | None:
        """As ``Watchable`` says."""
        self._require_writable()
        return self._engine.committer.notice(units, judge, was, there)

    def meetings(self) -> FileMeetings:
        self._require_open()
        return FileMeetings(Files(self._files.root, sync=False, umask=self._files.umask))

    # What lies beside, see objstore.beside.Company

    def identity(self) -> UUID | None:
        store = self._engine.ledger.log.store
        return UUID(store) if store else None

    def open_containers(self) -> Containers:
        from ..store_containers import open_containers  # sqlite3 takes 3 ms to import

        files = self._files
        durability = "full" if files.sync else "os"
        return open_containers(
            files.root, readonly=self._readonly, durability=durability, umask=files.umask
        )

    def open_events(self) -> EventLog:
        from .events.eventlog import open_events

        files = self._files
        return open_events(files.root, readonly=self._readonly, sync=files.sync, umask=files.umask)

    def open_depot(self) -> Depot:
        from .blobs.depot import open_depot

        files = self._files
        durability = "full" if files.sync else "os"
        return open_depot(
            files.root, durability=durability, umask=files.umask, readonly=self._readonly
        )

    def check(self) -> list[Failure]:
        """As ``objstore.checkable`` says. Reads all of the log."""
        self._require_open()
        from .checking import check  # with what it takes to judge records: most programs do not

        if self._has_lost_its_log():
            return [Failure(".objstore", "", "the commit log of this store", "nothing")]
        return check(self._reading)

    def _has_lost_its_log(self) -> bool:
        """Whether the log that this handle has read is gone, as where the folder was moved."""
        has_read = self._made is not None and self._made.ledger.taken > 0
        return has_read and not self._files.exists(names.engine(self._files.root))

    def survey(self, path: str) -> tuple[list[str], list[Failure]]:
        """As ``objstore.checkable`` says."""
        self._require_open()
        keys, twice = self._reading.survey(path)
        found = dict.fromkeys(keys)
        engine = self._found()
        if engine is not None:
            engine.correct_keys(path, found)
        return sorted(found), twice

    def flush(self) -> None:
        """Write the files that are due, and those that others have left behind.

        Raises BackingError where that fails, LayoutError where something else is in a file's place.
        Does nothing with ``readonly=True``.
        """
        self._require_open()
        engine = None if self._readonly else self._found()
        if engine is not None:
            engine.committer.flush()

    def close(self) -> None:
        """Write the files that are due, so that nothing is left for others to settle."""
        if not self._closed:
            self._closed = True
            with self._making:
                told = list(self._told)
            for commits in told:
                commits.end()
            if self._made is not None:
                self._made.committer.close()

    # History

    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        """As the contract says; the log is read on, record by record, as they are asked for."""
        self._require_open()
        split(path)
        self._engine.require(after)
        told = _Commits(self._engine.ledger.commits(after, path), self._require_open)
        with self._making:
            self._told.add(told)
        return told

    def commit_of(self, tx: str, after: int = 0) -> Commit | None:
        """As the contract says; the records of others are not parsed."""
        self._require_open()
        ledger = self._engine.ledger
        return ledger.commit_of(tx, after) if ledger.refresh() else None

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        self._require_open()
        return self._engine.committer.teller.add(hear, self._engine.ledger.refresh())

    def watch(self, hear: Hear) -> Callable[[], None]:
        """As ``Watchable`` says."""
        self._require_open()
        ledger = self._engine.ledger
        missed = Missed(self._files, ledger).edits
        return Watch(self._files, self._reading.places, hear, ledger.units, missed).end

    def scopes(self) -> list[str]:
        self.head()
        return sorted(self._engine.ledger.scopes())

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        self.head()
        return self._engine.ledger.overlays(scope)

    def delete_scope(self, scope: str) -> Commit:
        self._require_writable()
        said = Said(datetime.now(UTC), {}, scope, (), deletes=True)
        return self._engine.delete_scope(said, scope)

    def switch_and_snapshot(self) -> int:
        self._require_writable()
        return self._engine.switch()

    def compact(self, retention: Retention) -> list[int]:
        self._require_writable()
        return self._engine.compact(retention)

    def pin(self, number: int) -> None:
        self._require_writable()
        self._engine.pin(number)

    def unpin(self, number: int) -> None:
        self._require_writable()
        self._engine.unpin(number)

    def pins(self) -> frozenset[int]:
        self._require_open()
        return self._engine.pins.read()

    @property
    def _engine(self) -> Engine:
        made = self._made
        if made is None:
            with self._making:
                made = self._made = self._made or Engine(self._reading, lazy=self._lazy)
        return made

    def _found(self) -> Engine | None:
        """The engine if it has anything to say; None where nothing was ever committed."""
        made = self._made
        if made is None and self._files.exists(self._folder_of_engine):
            made = self._engine
        return made

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("this store was closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self._readonly:
            raise ReadOnlyError(
                errno.EROFS, "this store was opened with readonly=True", self._files.root
            )


class _Commits(Iterator[Commit]):
    """The commits of the log, as long as the documents are open."""

    def __init__(self, found: Iterator[Commit], require_open: Callable[[], None]) -> None:
        self._found: Iterator[Commit] = found
        self._require_open: Final = require_open

    def __next__(self) -> Commit:
        self._require_open()
        return next(self._found)

    def end(self) -> None:
        """Let go of the file that is read; of one that a thread reads now, when it has read."""
        self._found = iter(())
