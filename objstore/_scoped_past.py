"""What a scope was at past commits, and what was seen in it, worked out from the commits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ._overlays import Overlays, laid
from ._past import units_below
from ._touched import touches
from .documents import Change, Commit, Documents, Overlay
from .errors import HistoryGone, KeyNotFoundError, LayoutError, ObjstoreError
from .pointer import split
from .values import JSON, MISSING, Missing, same, show

if TYPE_CHECKING:
    from ._merge import Rules

_REMEMBERED: Final = 64
"""Of how many heads it is kept what the scope was: transactions ask for that of their start."""

_RECENT: Final = 8
"""How many other states are kept."""


class ScopePast:
    """The past of one scope."""

    def __init__(self, documents: Documents, scope: str, rules_of: Callable[[str], Rules]) -> None:
        self._documents: Final = documents
        self._scope: Final = scope
        self._rules_of: Final = rules_of
        self._found: Final = lru_cache(maxsize=_RECENT)(self._find)
        # Added to and read whole, hence without a lock.
        self._remembered: Final[deque[tuple[int, Overlays]]] = deque(maxlen=_REMEMBERED)

    def remember(self, number: int, overlays: Overlays) -> None:
        """Keep what the scope had changed when a commit was the newest."""
        if not self._remembered or self._remembered[-1][0] != number:
            self._remembered.append((number, overlays))

    def overlays(self, number: int) -> Overlays:
        """What the scope had changed at a commit. Raises as ``Documents.load``."""
        for known, overlays in tuple(self._remembered):
            if known == number:
                return overlays
        return self._found(number)

    def commits(self, after: int, path: str) -> Iterator[Commit]:
        """The commits of the base and of the scope, as they were seen in the scope.

        Where compaction removed commits that may be the scope's, nobody knows what those after them
        found there, up to its newest one.
        """
        split(path)  # raises for text that is no pointer
        found = self._documents.commits(after)
        overlays = self.overlays(after) if after else Overlays({})
        seen = map(self._seeing(after, overlays).seen, found)
        return (commit for commit in seen if commit is not None and touches(commit, path))

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """As ``Documents.listen``, for what is seen in the scope."""
        seeing: _Seeing | None = None

        def hear_as_seen(commit: Commit) -> None:
            nonlocal seeing
            try:
                if seeing is None:
                    seeing = self._seeing(commit.number - 1, self._before(commit.number))
                seen = seeing.seen(commit)
            except ObjstoreError:  # who made the commit must not be told that this cannot be read
                seeing = None
                seen = None if commit.scope not in (None, self._scope) else _of_unknown(commit)
            if seen is not None:
                hear(seen)

        return self._documents.listen(hear_as_seen)

    def _before(self, number: int) -> Overlays:
        try:
            return self.overlays(number - 1)
        except HistoryGone:  # compacted meanwhile: what the scope is now is as near as can be told
            return Overlays(self._documents.overlays(self._scope))

    def _seeing(self, number: int, overlays: Overlays) -> _Seeing:
        return _Seeing(self._documents, self._scope, self._rules_of, number, overlays)

    def _find(self, number: int) -> Overlays:
        # In this order: where no commit of the scope comes later, this is what it was then.
        now = self._documents.overlays(self._scope)
        later = [*self._documents.commits(number)]
        if any(commit.scope == self._scope for commit in later):
            return self._replayed(number)
        if not now and later and len(later) < later[-1].number - number:
            # A commit that is gone may be the one that deleted the scope.
            raise self._gone(number)
        return Overlays(now)

    def _replayed(self, number: int) -> Overlays:
        """What the scope had changed, from the commits up to there: all of them.

        A change that was part of a removed commit is now part of a later one, where the base may
        have been another; and a removed commit may have deleted the scope.
        """
        found: dict[str, Overlay] = {}
        count = 0
        for commit in self._documents.commits():
            if commit.number > number:
                break
            count += 1
            if commit.scope == self._scope:
                for change in commit.changes:
                    base = _base(self._documents, change.unit, commit.number)
                    found[change.unit] = Overlay(base, change.new, object())
        if count < number:
            raise self._gone(number)
        return Overlays(found)

    def _gone(self, number: int) -> HistoryGone:
        return HistoryGone(
            f"what the scope {show(self._scope)} was at commit {number} is not known any more: "
            "compaction removed commits that may be its own"
        )


class _Seeing:
    """Sees commits, one after another, as they were seen in a scope."""

    def __init__(
        self,
        documents: Documents,
        scope: str,
        rules_of: Callable[[str], Rules],
        number: int,
        overlays: Overlays,
    ) -> None:
        """``overlays`` are the scope's as of commit ``number``, which the next one follows."""
        self._documents: Final = documents
        self._scope: Final = scope
        self._rules_of: Final = rules_of
        self._number = number
        self._overlays = overlays
        self._gone_upto: int | None = None
        """The scope's newest commit, once one before it was found to be gone: up to there it is not
        known what the scope was."""

    def seen(self, commit: Commit) -> Commit | None:
        """The next commit, as it was seen; None if it was not."""
        if commit.number > self._number + 1 and self._gone_upto is None:
            self._gone_upto = self._newest_own()
            if self._gone_upto < commit.number:
                self._overlays = self._now()
        self._number = commit.number
        if commit.scope not in (None, self._scope):
            return None
        if commit.number <= (self._gone_upto or 0):
            return self._seen_after_gone(commit)
        return self._seen_of_base(commit) if commit.scope is None else self._seen_own(commit)

    def _seen_after_gone(self, commit: Commit) -> Commit:
        """A commit of which it is not known what it found in the scope, nor what that hid of it."""
        if commit.number == self._gone_upto:
            self._overlays = self._now()
        return _of_unknown(commit)

    def _newest_own(self) -> int:
        later = self._documents.commits()
        return max((one.number for one in later if one.scope == self._scope), default=0)

    def _now(self) -> Overlays:
        return Overlays(self._documents.overlays(self._scope))

    def _seen_of_base(self, commit: Commit) -> Commit | None:
        left: list[Change] = []
        for change in commit.changes:
            old, new = (self._shown(change.unit, one, self._overlays) for one in change[1:3])
            if not same(old, new):
                left.append(change._replace(old=old, new=new))
        return commit._replace(changes=tuple(left)) if left else None

    def _seen_own(self, commit: Commit) -> Commit:
        """A commit of the scope itself. What it says was before is what the scope wrote last: if it
        deletes the scope, the base may have changed that meanwhile, also to what comes back."""
        before, number = self._overlays, commit.number
        bases = {one.unit: _base(self._documents, one.unit, number) for one in commit.changes}
        made = {one.unit: Overlay(bases[one.unit], one.new, object()) for one in commit.changes}
        after = self._overlays = before.updated({**before.by_unit, **made})
        left: list[Change] = []
        for change in commit.changes:
            unit = change.unit
            old, new = (self._shown(unit, bases[unit], one) for one in (before, after))
            if same(change.old, change.new) or not same(old, new):
                left.append(change._replace(old=old, new=new))
        for unit, base in self._uncovered(before, after):
            if unit not in bases:
                old, new = (self._shown(unit, base, one) for one in (before, after))
                if not same(old, new):
                    left.append(Change(unit, old, new))
        return commit._replace(changes=tuple(left))

    def _uncovered(self, before: Overlays, after: Overlays) -> Iterator[tuple[str, JSON | Missing]]:
        """The base's units that only one of the two may hide, where the scope has a file for a
        directory of the base, or the reverse."""
        for path in sorted(before.made ^ after.made):
            if _base(self._documents, path, self._number) is MISSING:
                yield from units_below(self._documents, path, self._number)
        for path in sorted(before.directories ^ after.directories):
            yield path, _base(self._documents, path, self._number)

    def _shown(self, unit: str, base: JSON | Missing, overlays: Overlays) -> JSON | Missing:
        """What the scope shows of a unit over what the base has."""
        if unit in overlays.directories:
            return MISSING
        if overlays.hides(unit):
            base = MISSING
        overlay = overlays.by_unit.get(unit)
        return base if overlay is None else laid(overlay, base, self._rules_of(unit))


def _base(documents: Documents, unit: str, number: int) -> JSON | Missing:
    """What the base had; nothing for a directory, or where the schema has no place any more."""
    try:
        return documents.load(unit, at=number).value
    except (LayoutError, KeyNotFoundError):
        return MISSING


def _of_unknown(commit: Commit) -> Commit:
    """A commit of which it is not known what it found in the scope."""
    changes = tuple(change._replace(old=MISSING) for change in commit.changes)
    return commit._replace(changes=changes, unknown=frozenset(one.unit for one in changes))
