"""A store's past: its documents as of a commit, and the contents of any place as of one."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ._refusals import no_commit_yet
from .documents import DIRECTORY, Change, Commit, Directory, Documents, Loaded, Overlay, Stamp
from .errors import (
    ClosedError,
    CommitNumberError,
    KeyNotFoundError,
    LayoutError,
    ReadOnlyError,
)
from .paths import below
from .pointer import build, join, split
from .values import JSON, MISSING, Missing, show

if TYPE_CHECKING:
    from .retention import Retention

_RECENT: Final = 64
"""Of how many units and directories it is kept what they were: a look is followed by a read."""

_THERE: Final = object()
"""The stamp of every unit of the past: its contents never change."""


class PastDocuments(Documents):
    """Documents as they were after a commit; nothing can be changed. Closing it leaves the rest."""

    def __init__(self, documents: Documents, number: int) -> None:
        require_commit(documents, number)
        self._documents: Final = documents
        self._number: Final = number
        self._recent: Final = lru_cache(maxsize=_RECENT)(self._find)
        self._has_members: Final = lru_cache(maxsize=_RECENT)(self._find_has_members)
        self._closed = False

    def head(self) -> int:
        """The commit whose state this is, whatever has come since."""
        self._require_open()
        return self._number

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        """As the contract says; the newest contents are those of the commit."""
        self._require_open()
        if at is not None:
            require_commit(self, at)
            return self._documents.load(unit, at=at)
        value = self._recent(unit)
        if isinstance(value, LayoutError):
            raise value
        return Loaded(value, None if value is MISSING else _THERE)

    def look(
        self, path: str, known: Stamp = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says; nothing is looked at twice, as nothing changes."""
        self._require_open()
        if known is _THERE:
            return known
        if not path:
            return DIRECTORY
        value = self._recent(path)
        if isinstance(value, Missing | LayoutError):
            return DIRECTORY if self._has_members(path) else None
        return _THERE

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        """As the contract says; those of the commit, if not asked for an older one's."""
        self._require_open()
        if at is not None:
            require_commit(self, at)
        return self._documents.keys(path, at=self._number if at is None else at)

    def has_keys(self, path: str, *, at: int | None = None) -> bool:
        """As the contract says, of the same commit as ``keys``."""
        self._require_open()
        if at is not None:
            require_commit(self, at)
        return self._documents.has_keys(path, at=self._number if at is None else at)

    def source(self, unit: str) -> str:
        return self._documents.source(unit)

    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        self._require_open()
        require_commit(self, after)
        for commit in self._documents.commits(after, path):
            if commit.number > self._number:
                break
            yield commit

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """Nothing will be heard: the past stays as it is."""
        return lambda: None

    def scopes(self) -> list[str]:
        """None: what a scope was at a commit is not kept apart from what it is."""
        return []

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        return {}

    def commit(self, changes: Sequence[Change], **_: Any) -> Commit:
        raise self._refusal()

    def delete_scope(self, scope: str) -> Commit:
        raise self._refusal()

    def switch_and_snapshot(self) -> int:
        raise self._refusal()

    def compact(self, retention: Retention) -> list[int]:
        raise self._refusal()

    def pin(self, number: int) -> None:
        raise self._refusal()

    def unpin(self, number: int) -> None:
        raise self._refusal()

    def pins(self) -> frozenset[int]:
        return self._documents.pins()

    def flush(self) -> None:
        self._require_open()

    def close(self) -> None:
        self._closed = True
        self._recent.cache_clear()
        self._has_members.cache_clear()

    def _find(self, unit: str) -> JSON | Missing | LayoutError:
        try:
            return self._documents.load(unit, at=self._number).value
        except LayoutError as error:
            return error

    def _find_has_members(self, path: str) -> bool:
        try:
            return self._documents.has_keys(path, at=self._number)
        except LayoutError:
            return False

    def _refusal(self) -> ReadOnlyError:
        self._require_open()
        return refusal(self._number)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError(f"this store as of commit {self._number} was closed")


def refusal(number: int) -> ReadOnlyError:
    """The error of changing a past state."""
    reason = f"this is the store as it was at commit {number}, which cannot be changed"
    return ReadOnlyError(errno.EROFS, reason)


def number_of(commit: object) -> int:
    """The number of what is asked for as a commit. Raises TypeError for what is neither."""
    if isinstance(commit, Commit):
        return commit.number
    if not isinstance(commit, int) or isinstance(commit, bool):
        raise TypeError(f"a commit is its number or a Commit, not {show(commit)}")
    return commit


def require_commit(documents: Documents, number: int) -> None:
    """Raise CommitNumberError for a negative number, CommitNotFoundError for one in the future."""
    if number < 0:
        raise CommitNumberError(f"{number} is no commit's number: the first commit is 1")
    head = documents.head()
    if number > head:
        raise no_commit_yet(number, head)


def require_known(documents: Documents, number: int) -> None:
    """Raise what ``load`` raises for a commit whose state cannot be read."""
    require_commit(documents, number)
    if number < documents.head():
        next(documents.commits(number), None)


# --- contents of a place --------------------------------------------------------------------------


def contents_at(documents: Documents, pointer: str, at: int) -> JSON | Missing:
    """What a pointer leads to: the contents of a unit or directory, or a part of a unit's.

    A directory is an object of what is in it; one that has nothing is missing, but for the root.
    Values are shared with the backing, and not to be changed.
    """
    found = unit_at(documents, pointer, at)
    if found is not None:
        unit, value = found
        return node_at(value, split(pointer[len(unit) :]))
    units = dict(units_below(documents, pointer, at))
    return nested(units, pointer) if units or not pointer else MISSING


def unit_at(documents: Documents, pointer: str, at: int) -> tuple[str, JSON] | None:
    """The unit that a pointer leads to or into, with its contents; None where there is none."""
    tokens = split(pointer)
    for depth in range(1, len(tokens) + 1):
        unit = build(tokens[:depth])
        value = _value(documents, unit, at)
        if value is not MISSING:
            return unit, value
    return None


def units_below(documents: Documents, path: str, at: int) -> Iterator[tuple[str, JSON]]:
    """The units of a directory and of those in it, with their contents, by pointer."""
    try:
        keys = documents.keys(path, at=at)
    except KeyNotFoundError:  # the schema has no place for it any more
        return
    for key in keys:
        pointer = join(path, key)
        value = _value(documents, pointer, at)
        if isinstance(value, Missing):
            yield from units_below(documents, pointer, at)
        else:
            yield pointer, value


def node_at(value: JSON | Missing, tokens: Sequence[str]) -> JSON | Missing:
    """What is at a place within contents."""
    node = value
    for token in tokens:
        node = below(node, token)
    return node


def nested(units: Mapping[str, JSON], path: str) -> dict[str, Any]:
    """The object that a directory is, made of the units below it."""
    whole: dict[str, Any] = {}
    for unit, value in units.items():
        folder = whole
        *above, key = split(unit[len(path) :])
        for token in above:
            folder = folder.setdefault(token, {})
        folder[key] = value
    return whole


def _value(documents: Documents, unit: str, at: int) -> JSON | Missing:
    """A unit's contents; MISSING where none, or a directory, is."""
    try:
        return documents.load(unit, at=at).value
    except LayoutError:
        return MISSING
