"""What one store in memory holds: units, their past, scopes, and who listens."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from threading import Lock, RLock
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast
from uuid import uuid4

from objstore._forks import rest
from objstore._refusals import no_commit_yet
from objstore._turns import Listener, one_for_all, require_first
from objstore.documents import Change, Commit, Loaded, Meta, Overlay
from objstore.errors import CommitNumberError, HistoryGone, ObjstoreError
from objstore.pointer import aboves
from objstore.retention import Retention
from objstore.values import MISSING

from .compaction import squashed, staying
from .meetings import MemoryMeetings

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

NOTHING: Final = Loaded(MISSING, None)
Version: TypeAlias = tuple[int, Loaded]
"""Contents, and the number of the commit that left them."""


class Made:
    """The stamp of a version; compared by identity, hence empty."""

    __slots__ = ()


class Due(NamedTuple):
    """A commit that is made, and yet to be shown."""

    commit: Commit
    deletes_scope: bool


class Contents:
    """Shared by all handles of one store.

    Readers take no lock: what they read is replaced whole, or only ever appended to. They and
    writers ``settle`` first what they find ``due``, as an interrupt may have left it half shown.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        # Guarded by lock for writing.
        self.due: Due | None = None
        self.head = 0
        self.units: Final[dict[str, Loaded]] = {}
        self.members: Final[dict[str, dict[str, None]]] = {}
        """By directory, the pointers of what is in it: units and directories."""
        self.past: dict[str, list[Version]] = {}
        """By unit, all its versions, oldest first."""
        self.commits: list[Commit] = []
        self.scopes: Final[dict[str, Mapping[str, Overlay]]] = {}
        self.deletions: set[int] = set()
        """The commits that deleted a scope."""
        self.pins: frozenset[int] = frozenset()
        self.identity: Final = uuid4()
        self._beside: Final[dict[str, object]] = {}  # guarded by lock
        self.hearing: Final = Hearing()
        self.meetings: Final = MemoryMeetings()
        rest(self, is_medium=True)

    def resting_locks(self) -> Collection[Any]:
        """With which nobody is amid anything here, but for telling."""
        return (self.lock,)

    def begin_in_child(self, held: Collection[Any]) -> None:
        """In the child of a fork, where the parent's threads are not."""
        if self.lock not in held:
            self.lock = RLock()
        self.hearing.begin_in_child()
        self.meetings.begin_in_child()

    def beside(self, name: str, make: Callable[[], T]) -> T:
        """What lies beside the units by a name, made when first asked for."""
        with self.lock:
            if name not in self._beside:
                self._beside[name] = make()
            return cast(T, self._beside[name])

    def commit(
        self,
        changes: Sequence[Change],
        meta: Meta | None,
        scope: str | None,
        tx: str | None,
        *,
        deletes_scope: bool = False,
    ) -> Commit:
        """Make a commit, and show it."""
        time, number = datetime.now(UTC), self.head + 1
        commit = Commit(number, time, dict(meta or {}), scope, tuple(changes), tx=tx)
        self.due = Due(commit, deletes_scope)  # from here on it stands
        self.finish()
        return commit

    def settle(self) -> None:
        """Show the commit that is due, and tell of it, for who does not hold the lock.

        Raises TransactionError in a signal's handler, or a finalizer, that came amid that.
        """
        require_first(self.lock)
        with self.lock:
            self.finish()
        self.hearing.tell()

    def finish(self) -> None:
        """The same for who holds the lock. Each step may have been done before."""
        if self.due is None:
            return
        commit, deletes_scope = self.due
        if commit.scope is None:
            for change in commit.changes:
                self._put(commit.number, change)
        elif deletes_scope:
            self.scopes.pop(commit.scope, None)
            self.deletions.add(commit.number)
        else:
            self._put_in(commit.scope, commit.changes)
        if not self.commits or self.commits[-1].number < commit.number:
            bare = tuple(change._replace(stamp=None) for change in commit.changes)
            self.commits.append(commit._replace(changes=bare))
        self.head = commit.number
        self.hearing.add(self.commits[-1])
        self.due = None

    def _put(self, number: int, change: Change) -> None:
        unit, value, stamp = change.unit, change.new, change.stamp
        loaded = NOTHING if value is MISSING else Loaded(value, stamp)
        # The past comes first, so that who finds the unit changed finds the version before.
        versions = self.past.setdefault(unit, [])
        if not versions or versions[-1][0] < number:
            versions.append((number, loaded))
        if value is MISSING:
            self._remove(unit)
        else:
            self._enter(unit, loaded)

    def _put_in(self, scope: str, changes: Sequence[Change]) -> None:
        overlays = {
            unit: Overlay(self.units.get(unit, NOTHING).value, value, stamp)
            for unit, _, value, stamp in changes
        }
        self.scopes[scope] = {**self.scopes.get(scope, {}), **overlays}

    def at(self, unit: str, number: int) -> Loaded:
        """A unit after a commit that is known."""
        versions = self.past.get(unit, [])
        index = bisect_right(versions, number, key=_number)
        return versions[index - 1][1] if index else NOTHING

    def keys_at(self, directory: str, number: int) -> set[str]:
        """The pointers of a directory's members after a commit that is known."""
        there = [unit for unit in list(self.past) if self.at(unit, number).value is not MISSING]
        below = directory + "/"
        ends = ((unit, unit.find("/", len(below))) for unit in there if unit.startswith(below))
        return {unit if end < 0 else unit[:end] for unit, end in ends}

    def after(self, number: int) -> list[Commit]:
        """The commits above a number that is known."""
        commits = self.commits
        return commits[bisect_right(commits, number, key=lambda commit: commit.number) :]

    def require_known(self, number: int) -> None:
        """Raise the error that says why the state after a commit cannot be read, if so."""
        if number < 0:
            raise CommitNumberError(f"no commit has the number {number}")
        if number > self.head:
            raise no_commit_yet(number, self.head)
        commits = self.commits
        index = bisect_left(commits, number, key=lambda commit: commit.number)
        if number and (index == len(commits) or commits[index].number != number):
            raise HistoryGone(f"commit {number} was removed by compaction")

    def compact(self, retention: Retention) -> list[int]:
        """Forget the commits that need not stay; the numbers of those that are gone."""
        before = [commit.number for commit in self.commits]
        known = [(commit.number, commit.time, commit.scope) for commit in self.commits]
        stay = staying(known, retention, datetime.now(UTC), self.pins, self.scopes)
        self.commits = squashed(self.commits, stay, self.deletions)
        self.deletions &= stay
        numbers = sorted(stay)
        past = {unit: _thinned(versions, numbers) for unit, versions in self.past.items()}
        self.past = {unit: versions for unit, versions in past.items() if versions}
        return [number for number in before if number not in stay]

    def _enter(self, unit: str, loaded: Loaded) -> None:
        self.units[unit] = loaded
        below = unit
        for directory in aboves(unit):
            self.members.setdefault(directory, {})[below] = None
            below = directory

    def _remove(self, unit: str) -> None:
        """Remove a unit, and the directories that it leaves empty."""
        self.units.pop(unit, None)
        below = unit
        for directory in aboves(unit):
            self.members.get(directory, {}).pop(below, None)
            if self.members.get(directory):
                break
            self.members.pop(directory, None)
            below = directory


class Hearing:
    """Tells listeners of commits: each once, in their order, one at a time.

    Whoever adds a commit while another thread tells leaves it to that one: a listener may wait for
    a lock that the committing thread holds.
    """

    def __init__(self) -> None:
        self._turn = Lock()
        """Held while somebody tells; nobody waits for it."""
        # What is done to these is one step each, and needs no lock.
        self._listeners: Final[dict[object, Listener]] = {}
        self.due: Final[deque[Commit]] = deque()
        """What is yet to be told."""

    def begin_in_child(self) -> None:
        """In the child of a fork, where nobody tells."""
        self._turn = Lock()

    def add(self, commit: Commit) -> None:
        """Have ``tell`` tell of a commit, which may have been added before."""
        self.due.append(commit)

    def listen(self, after: int, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """Call ``hear`` for the commits numbered above ``after``; the result ends it."""
        key = object()
        self._listeners[key] = Listener(partial(_hear, hear), after)

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    def tell(self) -> None:
        """Tell of what was added; call without any lock of the store."""
        one_for_all(self._turn, self.due.__len__, self._tell)

    def _tell(self) -> None:
        while self.due:
            commit = self.due[0]
            for listener in list(self._listeners.values()):
                listener.tell(commit)
            self.due.popleft()


def _hear(hear: Callable[[Commit], None], commit: Commit) -> None:
    try:
        hear(commit)
    except ObjstoreError:  # the commit is made, and its maker must not be told otherwise
        _log.exception("a listener failed at commit %d", commit.number)


def _number(version: Version) -> int:
    return version[0]


def _thinned(versions: list[Version], numbers: list[int]) -> list[Version]:
    """The versions that one of these commits shows; none if it shows nothing any more."""
    starts: list[Any] = [version[0] for version in versions]
    ends = [*starts[1:], numbers[-1] + 1]
    kept = [
        version
        for version, start, end in zip(versions, starts, ends, strict=True)
        if bisect_left(numbers, start) < bisect_left(numbers, end)
    ]
    return kept if any(loaded.value is not MISSING for _, loaded in kept) else []
