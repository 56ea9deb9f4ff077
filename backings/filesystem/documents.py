"""Documents on plain files: a unit is a file, a directory is a folder.

Beside the files lies the commit log, in .objstore: docs/formats/commit-log.md. Opening and reading
write nothing.
"""

from __future__ import annotations

import errno
import logging
import stat
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from threading import Lock
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
    Overlay,
)
from objstore.errors import (
    BackingError,
    ClosedError,
    CommitNotFoundError,
    CommitNumberError,
    ConflictError,
    HistoryGone,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    ObjstoreError,
    OutsideError,
    ReadOnlyError,
    ScopeNotFoundError,
    StoreNotFoundError,
    TransactionError,
)
from objstore.layout import Folder
from objstore.pointer import join, split
from objstore.retention import Retention
from objstore.values import JSON, MISSING, Missing, same, show
from objstore.watchable import Hear

from ..checks import check_options, check_request
from . import jsonline
from .committer import Committer
from .compacting import Compaction
from .contents import parse
from .heads import SCOPED_FILE
from .io import Files, signature
from .ledger import Ledger, Revision, Trace
from .listing import Listing
from .logfiles import includes
from .meeting import FileMeetings
from .pins import Pins
from .places import Place, Places
from .plan import Planner
from .record import NO_FILE, Said
from .settling import State
from .stamps import Stamp, digest, settled
from .tree import Content, Found, Tree, stamp_of
from .watch import Watch

_logger: Final = logging.getLogger(__name__)

_PAUSE: Final = 1000
"""How many commits there are between two snapshots at the least."""


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
    files = Files(_path(url), sync=durability == "full", umask=umask)
    found = files.stat(files.root)
    if found is None and (readonly or not create):
        raise StoreNotFoundError(errno.ENOENT, "there is no store", url)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise LayoutError(errno.ENOTDIR, "a store is a directory, and this is a file", url)
    return FilesystemDocuments(files, layout, readonly=readonly, lazy=apply == "lazy")


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

    switch_bytes = 64 << 20
    """How long a file of the log grows, before a commit ends it and takes a snapshot."""

    switch_commits = 200_000
    """How many commits it takes at the most."""

    def __init__(
        self, files: Files, layout: Folder, *, readonly: bool = False, lazy: bool = False
    ) -> None:
        self._files: Final = files
        self._readonly: Final = readonly
        self._places: Final = Places(files.root, layout)
        self._tree: Final = Tree(files)
        self._listing: Final = Listing(files, self._places, self._tree)
        self._ledger: Final = Ledger(files)
        self._committer: Final = Committer(files, self._places, self._tree, self._ledger, lazy=lazy)
        self._pending: Final = self._committer.pending
        self._pins: Final = Pins(files, self._ledger)
        self._compaction: Final = Compaction(files, self._ledger, self._pins)
        self._closed = False
        self._switching: Final = Lock()
        self._switch_failed = 0  # guarded by _switching
        # The unit of the last look that found a file, and its path. Read and written as a whole,
        # hence without a lock; a hint, as the file may be gone by now.
        self._last_seen: tuple[str | None, str] = (None, "")

    # Reading

    def head(self) -> int:
        self._require_open()
        head = self._ledger.refresh()
        self._committer.teller.tell(head)
        return head

    def refresh(self) -> None:
        """See what other processes have committed, and tell who listens."""
        self.head()

    def changed(self, unit: str) -> int:
        """The newest commit to a unit among those since these Documents were opened; 0 for none."""
        return self._ledger.changed(unit)

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        self._require_open()
        if at is not None:
            return self._load_at(unit, at)
        later = self._superseded(unit) if self._pending.units else None
        if later is not None:
            return later
        due = self._pending.shown(unit)
        if due is not None:
            return Loaded(due.new, None if due.new is MISSING else due.stamp)
        traces = self._ledger.strange(unit)
        if traces:
            through = self._through_log(unit, traces)
            if through is not None:
                return through
        content = self._just_seen(unit) or self._content(unit)
        if content is None:
            return Loaded(MISSING, None)
        value = parse(content.data, self._files.relative(content.path))
        return Loaded(value, stamp_of(content))

    def look(
        self, path: str, known: Stamp | None = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says, by one stat where ``known`` is still right.

        A stamp of this method's own making holds no digest, as nothing was read for it.
        """
        self._require_open()
        if self._pending.units:
            later = self._superseded(path, known)
            if later is not None:
                return later.stamp  # type: ignore[no-any-return]
            due = self._pending.shown(path)
            if due is not None:
                return None if due.new is MISSING else due.stamp
            if self._is_above_due(path):
                return DIRECTORY
        traces = self._ledger.strange(path)
        # A file that is as it was may be behind: whoever commits writes it after the log.
        fresh = known is not None and (not traces or known.through >= traces[-1].number)
        if fresh and known is not None and self._is_still(path, known, sure):
            return known
        if traces:
            through = self._through_log(path, traces)
            if through is not None:
                return through.stamp  # type: ignore[no-any-return]
        return self._look(path, known)

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        self._require_open()
        if at is None:
            keys = dict.fromkeys(self._listing.keys(path))
            self._correct_keys(path, keys)
        else:
            self._require_commit(at)
            keys = self._keys_at(path, at)
        return sorted(keys)

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
    ) -> Commit:
        """As the contract says. The protocol: ``Committer.commit``."""
        self._require_writable()
        check_request(changes)
        said = Said(datetime.now(UTC), dict(meta or {}), scope, (), tx=tx)
        if scope is None:
            units = [path for path, stamp in (match or {}).items() if not isinstance(stamp, tuple)]
            check = partial(self._check, match=match)
            commit = self._committer.commit(changes, said, check, units)
        else:
            commit = self._committer.enter(said, partial(self._scoped, scope, changes, match))
        self._switch_in_time(commit.number)
        return commit

    def _switch_in_time(self, number: int) -> None:
        """After a commit: begin another file of the log if this one has grown long.

        Whoever finds it so does it; commits of others go on until its last step.
        """
        log = self._ledger.log
        commits = number - max(log.begins_after, self._switch_failed)
        if commits < self.switch_commits and (log.end < self.switch_bytes or commits < _PAUSE):
            return
        if self._switching.acquire(blocking=False):
            try:
                self._committer.switch()
            except (BackingError, TransactionError) as error:
                # The commit stands. A later one tries again.
                self._switch_failed = number
                _logger.warning("no snapshot could be taken: %s", error)
            finally:
                self._switching.release()

    def commit_external(
        self, units: Sequence[str], judge: Callable[[str, Loaded | ObjstoreError], bool]
    ) -> Commit | None:
        """Enter what was made of these units by other means than commits, as one commit.

        ``judge`` is asked about every unit that is not as the newest commit left it, with what is
        there now or why it cannot be read. None where nothing is to be entered.
        """
        self._require_writable()
        return self._committer.notice(units, judge)

    def meetings(self) -> FileMeetings:
        self._require_open()
        return FileMeetings(Files(self._files.root, sync=False, umask=self._files.umask))

    def flush(self) -> None:
        """Write the files that are due. Raises BackingError where that fails."""
        self._require_open()
        self._committer.apply()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._committer.close()

    # History

    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        self._require_open()
        split(path)
        self._require_commit(after)
        return self._ledger.past.commits(after, path)

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        self._require_open()
        return self._committer.teller.add(hear, self._ledger.refresh())

    def watch(self, hear: Hear) -> Callable[[], None]:
        """As ``Watchable`` says."""
        self._require_open()
        return Watch(self._files, self._places, hear, self._ledger.units).end

    def scopes(self) -> list[str]:
        self.head()
        return sorted(self._ledger.overlays())

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        self.head()
        return self._ledger.overlays().get(scope, {})

    def delete_scope(self, scope: str) -> Commit:
        self._require_writable()
        said = Said(datetime.now(UTC), {}, scope, (), deletes=True)

        def back(_: Planner) -> Sequence[Revision]:
            there = self._ledger.overlays().get(scope)
            if there is None:
                raise ScopeNotFoundError(f"there is no scope {show(scope)}")
            changes = (
                Change(unit, overlay.value, self._outside(unit), overlay.stamp)
                for unit, overlay in there.items()
            )
            return [self._scoped_change(one, there[one.unit]) for one in changes]

        return self._committer.enter(said, back)

    def switch_and_snapshot(self) -> int:
        self._require_writable()
        with self._alone("a snapshot is being taken already"):
            return self._committer.switch()

    def compact(self, retention: Retention) -> list[int]:
        self._require_writable()
        with self._alone("the log is being compacted, or a snapshot taken, already"):
            self._committer.switch()
            return self._compaction.run(retention)

    def pin(self, number: int) -> None:
        self._require_writable()
        self._require_commit(number)
        if not number:
            raise CommitNumberError("no commit has the number 0")
        self._pins.change(lambda pins: pins | {number})

    def unpin(self, number: int) -> None:
        self._require_writable()
        self._pins.change(lambda pins: pins - {number})

    def pins(self) -> frozenset[int]:
        self._require_open()
        return self._pins.read()

    @contextmanager
    def _alone(self, otherwise: str) -> Generator[None]:
        """Do what is not done twice at once. Raises TransactionError."""
        if not self._switching.acquire(blocking=False):
            raise TransactionError(otherwise)
        try:
            yield
        finally:
            self._switching.release()

    # How a unit is found

    def _load_at(self, unit: str, at: int) -> Loaded:
        self._require_commit(at)
        if self._ledger.head(unit) is None:
            return self.load(unit)
        value = self._ledger.value(unit, at)
        if value is MISSING:
            if self.keys(unit, at=at):
                reason = f"{unit} was a directory after commit {at}"
                raise LayoutError(errno.EISDIR, reason, unit)
            return Loaded(MISSING, None)
        stamp = Stamp(self._places.at(unit).files[0], None, None)
        stamp.through = at  # so that no commit takes it for the newest
        return Loaded(value, stamp)

    def _through_log(self, unit: str, traces: Sequence[Trace]) -> Loaded | None:
        """What the log says of a unit whose file is behind; None where the file is right."""
        verdict = self._committer.settling.judge(unit, traces)
        if verdict.state in (State.BEHIND, State.TORN):
            value = self._ledger.newest(unit)
            if value is MISSING:
                return Loaded(MISSING, None)
            content = verdict.content
            path = self._places.at(unit).files[0] if content is None else content.path
            stamp = Stamp(path, None, None if content is None else signature(content.status))
            stamp.through = traces[-1].number
            return Loaded(value, stamp)
        if verdict.state is State.SAME:
            self._ledger.settle(unit)
        return None

    def _superseded(self, unit: str, known: Stamp | None = None) -> Loaded | None:
        """What others have committed to a unit since what is due here, which will not be written.

        Its stamp is ``known`` if that is of the same commit.
        """
        due, number = self._pending.units.get(unit), self._ledger.changed(unit)
        if due is None or number <= due.number:
            return None
        value = self._ledger.newest(unit)
        if value is MISSING:
            return Loaded(MISSING, None)
        if known is not None and known.through == number:
            return Loaded(value, known)
        stamp = Stamp(due.path, None, None)
        stamp.through = number
        return Loaded(value, stamp)

    def _is_above_due(self, path: str) -> bool:
        below = path + "/"
        shown = ((unit, self._pending.shown(unit)) for unit in list(self._pending.units))
        return any(
            due is not None and due.new is not MISSING and unit.startswith(below)
            for unit, due in shown
        )

    def _correct_keys(self, path: str, keys: dict[str, None]) -> None:
        """Have the keys be those of the newest commit where files are behind."""
        below = path + "/"
        units = [*self._pending.units, *self._ledger.strangers()]
        for unit in units:
            if unit.startswith(below):
                first, *deeper = split(unit[len(path) :])
                if self.look(unit) is not None:
                    keys[first] = None
                elif not deeper:
                    keys.pop(first, None)

    def _keys_at(self, path: str, at: int) -> dict[str, None]:
        """The keys of a directory after a past commit."""
        if self._ledger.head(path) is not None and self._ledger.value(path, at) is not MISSING:
            reason = f"{path} was a file after commit {at}"
            raise LayoutError(errno.ENOTDIR, reason, path)
        is_folder = self._look(path, None) is DIRECTORY
        keys = dict.fromkeys(self._listing.keys(path) if is_folder else ())
        below = path + "/"
        depth = len(split(path))
        there: dict[str, bool] = {}
        for unit in self._ledger.units():
            if unit.startswith(below) and self._has_place(unit):
                first = split(unit)[depth]
                is_there = self._ledger.value(unit, at) is not MISSING
                there[first] = there.get(first, False) or is_there
        for first, is_there in there.items():
            if is_there:
                keys[first] = None
            elif first in keys and not self._has_unknown(join(path, first)):
                del keys[first]
        return keys

    def _has_place(self, unit: str) -> bool:
        """Whether the layout has a place for what was committed, perhaps by another layout."""
        try:
            return bool(self._places.at(unit).files)
        except (KeyNameError, KeyNotFoundError):
            return False

    def _has_unknown(self, path: str) -> bool:
        """Whether something is at or below a path that no commit has ever touched."""
        if self._ledger.head(path) is not None or self._look(path, None) is not DIRECTORY:
            return False
        for key in self._listing.keys(path):
            below = join(path, key)
            if self._look(below, None) is DIRECTORY:
                if self._has_unknown(below):
                    return True
            elif self._ledger.head(below) is None:
                return True
        return False

    def _require_number(self, number: int) -> None:
        """Raise the error of a number that no commit has or had."""
        if number < 0:
            raise CommitNumberError(f"a commit's number is 0 or greater, not {number}")
        head = self._ledger.refresh()
        if number > head:
            raise CommitNotFoundError(f"commit {number} is yet to come; the newest is {head}")

    def _require_commit(self, number: int) -> None:
        """Raise the error of a commit that cannot be read."""
        self._require_number(number)
        removed = self._ledger.log.removed()
        if number and includes(removed, number):
            raise HistoryGone(f"commit {number} was removed by compaction")

    # What a commit rests on

    def _check(self, planner: Planner, match: Mapping[str, Any] | None) -> None:
        """Raise ConflictError where something is not as ``match`` says. Under the lock."""
        for path, expected in (match or {}).items():
            if isinstance(expected, tuple):
                if self.keys(path) != sorted(expected):  # pyright: ignore[reportUnknownArgumentType]
                    raise ConflictError(
                        f"the keys of {path or '/'} have changed since they were listed",
                        pointer=path,
                        base=MISSING,
                        ours=MISSING,
                        theirs=MISSING,
                    )
            else:
                planner.require(path, expected)

    def _scoped(
        self,
        scope: str,
        changes: Sequence[Change],
        match: Mapping[str, Any] | None,
        planner: Planner,
    ) -> Sequence[Revision]:
        """The changes of a scope, as they are entered. Under the lock."""
        self._check(planner, match)
        there = self._ledger.overlays().get(scope, {})
        made = [self._scoped_change(change, there.get(change.unit)) for change in changes]
        return [one for one in made if one.change.new is not one.change.old]

    def _scoped_change(self, change: Change, there: Overlay | None) -> Revision:
        if change.stamp != (None if there is None else there.stamp):
            raise ConflictError(
                f"{change.unit} was changed by somebody else in this scope since it was read",
                pointer=change.unit,
                base=change.old,
                ours=change.new,
                theirs=MISSING if there is None else there.value,
            )
        before = NO_FILE if change.old is MISSING else None
        text = None if change.old is MISSING else jsonline.dump(change.old)
        outside = self._outside(change.unit)
        known = change.old if there is None else there.base
        base = None if same(outside, known) else () if outside is MISSING else (outside,)
        anew = there is not None and not same(change.old, there.value)
        return Revision(change, before, None, SCOPED_FILE, lambda: text, base, anew)

    def _outside(self, unit: str) -> JSON | Missing:
        """What a unit is to a scope that has not changed it: nothing where a directory is."""
        try:
            return self.load(unit).value
        except LayoutError:
            return MISSING

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

    def _is_still(self, path: str, known: Stamp, sure: bool) -> bool:
        """Whether the file that a stamp was given for is the version that it stands for."""
        if known.through and self._ledger.changed(path) > known.through:
            return False
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
        fresh = stamp_of(content)
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

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("this store was closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self._readonly:
            raise ReadOnlyError(
                errno.EROFS, "this store was opened with readonly=True", self._files.root
            )
