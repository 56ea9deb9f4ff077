"""What one store in memory holds: units, their past, scopes, and who listens."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, TypeAlias, TypeVar, cast
from uuid import uuid4

from objstore._refusals import no_commit_yet
from objstore.documents import Change, Commit, Loaded, Meta, Overlay
from objstore.errors import CommitNumberError, HistoryGone, ObjstoreError
from objstore.pointer import aboves
from objstore.retention import Retention
from objstore.values import JSON, MISSING, Missing

from .compaction import squashed, staying
from .meetings import MemoryMeetings

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

NOTHING: Final = Loaded(MISSING, None)
Version: TypeAlias = tuple[int, Loaded]
"""Contents, and the number of the commit that left them."""


class Stamp:
    """A version; compared by identity, hence empty."""

    __slots__ = ()


class Contents:
    """Shared by all handles of one store.

    Readers take no lock: what they read is replaced whole, or only ever appended to.
    """

    def __init__(self) -> None:
        self.lock: Final = Lock()
        # Guarded by lock for writing.
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

    def beside(self, name: str, make: Callable[[], T]) -> T:
        """What lies beside the units by a name, made when first asked for."""
        with self.lock:
            if name not in self._beside:
                self._beside[name] = make()
            return cast(T, self._beside[name])

    def put(self, unit: str, value: JSON | Missing) -> Loaded:
        """Give a unit contents by the commit that comes next."""
        loaded = NOTHING if value is MISSING else Loaded(value, Stamp())
        # The past comes first, so that who finds the unit changed finds the version before.
        self.past.setdefault(unit, []).append((self.head + 1, loaded))
        if value is MISSING:
            self._remove(unit)
        else:
            self._enter(unit, loaded)
        return loaded

    def put_in(self, scope: str, unit: str, value: JSON | Missing) -> Overlay:
        """Give a unit contents in a scope."""
        overlay = Overlay(self.units.get(unit, NOTHING).value, value, Stamp())
        self.scopes[scope] = {**self.scopes.get(scope, {}), unit: overlay}
        return overlay

    def commit(
        self, changes: Sequence[Change], meta: Meta | None, scope: str | None, tx: str | None
    ) -> Commit:
        """Count and keep a commit, whose changes were made already."""
        time, number = datetime.now(UTC), self.head + 1
        commit = Commit(number, time, dict(meta or {}), scope, tuple(changes), tx=tx)
        bare = tuple(change._replace(stamp=None) for change in changes)
        self.commits.append(commit._replace(changes=bare))
        self.head = number
        self.hearing.add(self.commits[-1])
        return commit

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
        self._lock: Final = Lock()
        # Guarded by _lock.
        self._listeners: Final[dict[object, tuple[int, Callable[[Commit], None]]]] = {}
        self._due: Final[deque[Commit]] = deque()
        self._telling = False

    def add(self, commit: Commit) -> None:
        with self._lock:
            self._due.append(commit)

    def listen(self, after: int, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """Call ``hear`` for the commits numbered above ``after``; the result ends it."""
        key = object()
        with self._lock:
            self._listeners[key] = after, hear

        def end() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return end

    def tell(self) -> None:
        """Tell of what was added; call without any lock of the store."""
        with self._lock:
            if self._telling:
                return
            self._telling = True
        try:
            while (told := self._next()) is not None:
                commit, listeners = told
                for hear in listeners:
                    _hear(hear, commit)
        finally:
            self._telling = False

    def _next(self) -> tuple[Commit, list[Callable[[Commit], None]]] | None:
        with self._lock:
            if not self._due:
                # Under the same lock, so that who adds from now on tells.
                self._telling = False
                return None
            commit = self._due.popleft()
            return commit, [h for after, h in self._listeners.values() if after < commit.number]


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
