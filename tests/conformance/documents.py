"""What the suites of Documents share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from objstore.checkable import Checkable
from objstore.documents import Change, Commit, Documents
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.makers import Maker

ADA = {"name": "Ada", "born": 1815}
BOB = {"name": "Bob", "born": 1970}


def put(documents: Documents, units: dict[str, Any], scope: str | None = None) -> Commit:
    """Make, replace or delete units, whatever is there."""
    changes = [change(documents, unit, new, scope) for unit, new in units.items()]
    return documents.commit(changes, base=documents.head(), scope=scope)


def change(documents: Documents, unit: str, new: Any, scope: str | None = None) -> Change:
    overlay = documents.overlays(scope).get(unit) if scope is not None else None
    if overlay is not None:
        return Change(unit, overlay.value, new, overlay.stamp)
    loaded = documents.load(unit)
    return Change(unit, loaded.value, new, loaded.stamp if scope is None else None)


def reopened(maker: Maker, url: str, documents: Documents) -> Documents:
    documents.close()
    return maker.open(url, layout=ANYTHING, create=False)


def before_and_after_reopening(maker: Maker, url: str, documents: Documents) -> Iterator[Documents]:
    yield documents
    again = reopened(maker, url, documents)
    yield again
    again.close()


def require_whole(maker: Maker, url: str) -> None:
    """Raise AssertionError unless all is as it was written, where the maker can tell."""
    documents = maker.open(url, layout=ANYTHING)
    if isinstance(documents, Checkable):
        assert documents.check() == []
    documents.close()


def numbers(documents: Documents, after: int = 0, path: str = "") -> list[int]:
    return [commit.number for commit in documents.commits(after, path)]


def count_up(documents: Documents, times: int, unit: str = "/n") -> None:
    """Commits that leave [1], [2], [3] and so on in one unit."""
    for _ in range(times):
        before: Any = documents.read(unit)
        put(documents, {unit: [1 if before is MISSING else before[0] + 1]})
