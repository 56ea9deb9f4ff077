"""What compaction leaves of a history: which commits, and what their changes become."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from objstore.documents import Change, Commit
from objstore.retention import Retention
from objstore.values import same


def staying(
    commits: Sequence[tuple[int, datetime, str | None]],
    retention: Retention,
    now: datetime,
    pins: Collection[int],
    scopes: Collection[str],
) -> set[int]:
    """The numbers of those commits (number, time, scope), in their order, that stay.

    Besides what ``retention`` keeps, these are the newest one of the base and of each of
    ``scopes``, so that no change is lost that still holds; and for one that stays in a scope, the
    one of the base before it, so that the base can be read as it was then.
    """
    stay = retention.survivors([commit[:2] for commit in commits], now, pins)
    newest = {scope: number for number, _, scope in commits}
    stay |= {number for scope, number in newest.items() if scope is None or scope in scopes}
    below: int | None = None
    for number, _, scope in commits:
        if scope is None:
            below = number
        elif number in stay and below is not None:
            stay.add(below)
    return stay


def squashed(
    commits: Iterable[Commit], stay: Collection[int], deletions: Collection[int]
) -> list[Commit]:
    """The commits that stay, each with the changes of those that go before it in its scope.

    What was changed in the base and changed back is no change of it. In a scope it is one: what the
    scope wrote last holds, whatever the base was meanwhile. Where one of ``deletions`` goes, which
    are those of scopes, so do the changes before it that would have become part of it.
    """
    left: list[Commit] = []
    pending: dict[str | None, dict[str, Change]] = {}
    for commit in commits:
        changes = pending.setdefault(commit.scope, {})
        for change in commit.changes:
            before = changes.get(change.unit, change)
            changes[change.unit] = change._replace(old=before.old)
        if commit.number in stay:
            kept = [
                change
                for change in changes.values()
                if commit.scope is not None or not same(change.old, change.new)
            ]
            left.append(commit._replace(changes=tuple(kept)))
        if commit.number in stay or commit.number in deletions:
            del pending[commit.scope]
    return left
