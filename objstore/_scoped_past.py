"""What a scope was at past commits, and what was seen in it, worked out from the commits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ._overlays import Overlays, laid
from ._touched import touches
from .documents import Change, Commit, Documents, Overlay
from .errors import HistoryGone, LayoutError
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

        Where compaction removed commits of the scope, what a commit of the base looked like there
        is told by what is left.
        """
        split(path)  # raises for text that is no pointer
        found = self._documents.commits(after)
        overlays = dict(self.overlays(after).by_unit) if after else {}
        seen = (self._seen(commit, overlays) for commit in found)
        return (commit for commit in seen if commit is not None and touches(commit, path))

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """As ``Documents.listen``, for what is seen in the scope."""
        overlays: dict[str, Overlay] | None = None

        def hear_as_seen(commit: Commit) -> None:
            nonlocal overlays
            if overlays is None:
                overlays = self._before(commit.number)
            seen = self._seen(commit, overlays)
            if seen is not None:
                hear(seen)

        return self._documents.listen(hear_as_seen)

    def _before(self, number: int) -> dict[str, Overlay]:
        try:
            return dict(self.overlays(number - 1).by_unit)
        except HistoryGone:  # compacted meanwhile: what the scope is now is as near as can be told
            return dict(self._documents.overlays(self._scope))

    def _seen(self, commit: Commit, overlays: dict[str, Overlay]) -> Commit | None:
        """A commit as it was seen in the scope; None if it was not. Keeps the overlays up."""
        if commit.scope == self._scope:
            return self._seen_own(commit, overlays)
        if commit.scope is not None:
            return None
        changes = [self._seen_change(change, overlays) for change in commit.changes]
        left = tuple(change for change in changes if change.old is not change.new)
        return commit._replace(changes=left) if left else None

    def _seen_own(self, commit: Commit, overlays: dict[str, Overlay]) -> Commit:
        """A commit of the scope itself. What it says was before is what the scope wrote last: if it
        deletes the scope, the base may have changed that meanwhile, also to what comes back."""
        left: list[Change] = []
        for change in commit.changes:
            base, overlay = self._base(change.unit, commit.number), overlays.get(change.unit)
            seen = change
            if overlay is not None:
                seen = change._replace(old=laid(overlay, base, self._rules_of(change.unit)))
            if same(change.old, change.new) or not same(seen.old, seen.new):
                left.append(seen)
            overlays[change.unit] = Overlay(base, change.new)
        return commit._replace(changes=tuple(left))

    def _seen_change(self, change: Change, overlays: Mapping[str, Overlay]) -> Change:
        overlay = overlays.get(change.unit)
        if overlay is None:
            return change
        rules = self._rules_of(change.unit)
        old, new = laid(overlay, change.old, rules), laid(overlay, change.new, rules)
        return change._replace(old=old, new=old if same(old, new) else new)

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
                    base = self._base(change.unit, commit.number)
                    found[change.unit] = Overlay(base, change.new, object())
        if count < number:
            raise self._gone(number)
        return Overlays(found)

    def _base(self, unit: str, number: int) -> JSON | Missing:
        try:
            return self._documents.load(unit, at=number).value
        except LayoutError:
            return MISSING  # a directory

    def _gone(self, number: int) -> HistoryGone:
        return HistoryGone(
            f"what the scope {show(self._scope)} was at commit {number} is not known any more: "
            "compaction removed commits that may be its own"
        )
