"""A scope of a store, as Documents: what the scope changed, laid over the base as it is now.

A scope's units are kept whole (``Overlay``), each with what the base had when the scope last wrote
it. So a unit is read by merging two changes of that: the scope's, and the base's since. Where both
changed the same, the scope has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from ._autoids import keeping_counts
from ._merge import Rules
from ._overlays import Overlays, laid
from ._refusals import conflict, not_a_directory, not_a_file
from ._scoped_past import ScopePast
from .documents import (
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
from .errors import (
    ClosedError,
    KeyNotFoundError,
    LayoutError,
    ScopeNotFoundError,
)
from .meetings import Meetings, meetings_of
from .pointer import aboves, unescape
from .values import MISSING, show

if TYPE_CHECKING:
    from .retention import Retention

_NOTHING: Final = Loaded(MISSING, None)


class _Stamp:
    """The version of a unit in a scope: that of its base and that of its overlay."""

    __slots__ = ("base", "overlay")

    def __init__(self, base: Stamp, overlay: Stamp) -> None:
        self.base: Final = base
        self.overlay: Final = overlay


class _Request(NamedTuple):
    """A commit of a scope, as it is asked of the base's Documents."""

    asked: Sequence[Change]
    """As the scope was asked for it."""
    given: Mapping[str, _Stamp]
    """What their stamps are of the base and of the scope."""
    changes: Sequence[Change]
    match: Mapping[str, Stamp]


class ScopedDocuments(Documents):
    """One scope. Its commits are numbered with those of the base; closing it leaves the base."""

    def __init__(
        self,
        documents: Documents,
        scope: str,
        rules_of: Callable[[str], Rules] = lambda _: Rules(),
    ) -> None:
        """``rules_of`` tells what the schema says about merging a unit."""
        self._documents: Final = documents
        self._scope: Final = scope
        self._rules_of: Final = rules_of
        self._closed = False
        self._indexed = Overlays({})  # replaced whole
        self._past: Final = ScopePast(documents, scope, rules_of)

    def head(self) -> int:
        """The newest commit of the base and of all scopes that is shown."""
        number = self._documents.shown()
        overlays = self._overlays()
        if self._documents.head() == number:
            self._past.remember(number, overlays)
        return number

    # --- units ------------------------------------------------------------------------------------

    def load(self, unit: str, *, at: int | None = None) -> Loaded:
        """The base's unit, with what the scope changed of it."""
        overlays = self._overlays(at)
        if unit in overlays.directories:
            raise not_a_file(unit)
        base = _NOTHING if overlays.hides(unit) else self._base(unit, overlays, at)
        overlay = overlays.by_unit.get(unit)
        if overlay is None:
            return base
        value = laid(overlay, base.value, self._rules_of(unit))
        return Loaded(value, None if value is MISSING else _Stamp(base.stamp, overlay.stamp))

    def _base(self, unit: str, overlays: Overlays, at: int | None) -> Loaded:
        """The base's unit; nothing for a directory that is none in the scope."""
        try:
            return self._documents.load(unit, at=at)
        except LayoutError:
            if unit in overlays.made:
                return _NOTHING
            if unit in overlays.touched and not self.keys(unit, at=at):
                return _NOTHING
            raise

    def _overlays(self, at: int | None = None) -> Overlays:
        self._require_open()
        if at is not None:
            return self._past.overlays(at)
        now = self._documents.overlays(self._scope)
        indexed = self._indexed
        if indexed.by_unit is not now:
            indexed = self._indexed = indexed.updated(now)
        return indexed

    def changed(self, unit: str) -> int:
        """As the contract says, of the base: what a scope changes gets a stamp of its own."""
        return self._documents.changed(unit)

    def look(
        self, path: str, known: Stamp = None, *, sure: bool = True
    ) -> Stamp | Directory | None:
        """As the contract says; a known stamp is current if base and overlay are as it says."""
        overlays = self._overlays()
        if path in overlays.directories:
            return DIRECTORY
        if overlays.hides(path):
            return None
        base, layer = known, None
        if isinstance(known, _Stamp):
            base, layer = known.base, known.overlay
        seen = self._documents.look(path, base, sure=sure)
        overlay = overlays.by_unit.get(path)
        if overlay is None or (seen is DIRECTORY and path not in overlays.made):
            emptied = seen is DIRECTORY and path in overlays.touched and not self.keys(path)
            return None if emptied and path else seen
        if seen is DIRECTORY:
            seen = None
        if isinstance(known, _Stamp) and seen is base and overlay.stamp is layer:
            return known
        return self.load(path).stamp

    def keys(self, path: str, *, at: int | None = None) -> list[str]:
        """The base's keys, with what the scope made and without what it deleted."""
        overlays = self._overlays(at)
        if path in overlays.made:
            raise not_a_directory(path)
        if overlays.hides(path):
            return []
        try:
            found = set(self._documents.keys(path, at=at))
        except LayoutError:
            if path not in overlays.directories:
                raise
            found = set[str]()  # a file of the base, behind a directory of the scope
        for pointer in overlays.touched.get(path, ()):
            key = unescape(pointer.rpartition("/")[2])
            if self._is_there(pointer, at):
                found.add(key)
            else:
                found.discard(key)
        return sorted(found)

    def _is_there(self, pointer: str, at: int | None) -> bool:
        try:
            try:
                return self.load(pointer, at=at).value is not MISSING
            except LayoutError:
                return bool(self.keys(pointer, at=at))
        except KeyNotFoundError:
            return False  # another schema's

    def source(self, unit: str) -> str:
        """The base's name for the unit: a scope has no files of its own."""
        return self._documents.source(unit)

    # --- commits ----------------------------------------------------------------------------------

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
        """As the contract says. What the base has of the changed units is part of what it rests on.

        Which members of a directory in ``match`` the scope itself made or deleted is looked up
        before the commit: of two writers of one scope, both may find the directory as they read it.
        """
        self._require_open()
        if scope is not None:
            raise ValueError("scope must be None: a scope has no scopes of its own")
        request = self._request(changes, match or {})

        def anew(again: Again) -> tuple[Sequence[Change], Mapping[str, Stamp]]:
            nonlocal request
            request = self._request(*again())
            return request.changes, request.match

        done = self._documents.commit(
            request.changes,
            base=base,
            match=request.match,
            meta=meta,
            scope=self._scope,
            tx=tx,
            again=None if again is None else partial(anew, again),
        )
        left = {change.unit: change.stamp for change in done.changes}
        return done._replace(
            changes=tuple(_left(change, request.given, left) for change in request.asked)
        )

    def _request(self, changes: Sequence[Change], match: Mapping[str, Any]) -> _Request:
        """What to ask of the base's Documents for these changes."""
        self._check_places(changes)
        given = {change.unit: self._stamp(change) for change in changes}
        rests = {unit: stamp.base for unit, stamp in given.items()}
        asked = [change._replace(stamp=given[change.unit].overlay) for change in changes]
        for path, expected in match.items():
            if isinstance(expected, tuple):
                rests[path] = self._base_keys(path, cast("tuple[str, ...]", expected))
            elif path not in given:
                stamp = self._stamp(Change(path, MISSING, MISSING, expected))
                rests[path] = stamp.base
                asked.append(Change(path, MISSING, MISSING, stamp.overlay))
        return _Request(changes, given, asked, rests)

    def _check_places(self, changes: Sequence[Change]) -> None:
        """Raise LayoutError where a unit would be a directory, or the reverse."""
        made = {change.unit for change in changes if change.new is not MISSING}
        for unit in made:
            if self.look(unit) is DIRECTORY:
                raise not_a_file(unit)
            for above in aboves(unit):
                if above in made or (above and self.look(above) not in (None, DIRECTORY)):
                    raise not_a_directory(above, unit)

    def _stamp(self, change: Change) -> _Stamp:
        """What a change's stamp is of the base and of the scope."""
        overlays = self._overlays()
        if change.stamp is not None:
            if overlays.hides(change.unit):
                raise conflict(change, MISSING)
            given = change.stamp
            return given if isinstance(given, _Stamp) else _Stamp(given, None)
        now = self.load(change.unit).value
        if now is not MISSING:
            raise conflict(change, now)
        overlay = overlays.by_unit.get(change.unit)
        try:
            base = self._documents.load(change.unit).stamp
        except LayoutError:
            base = None  # a directory, as far as the base goes
        return _Stamp(base, None if overlay is None else overlay.stamp)

    def _base_keys(self, path: str, expected: tuple[str, ...]) -> tuple[str, ...]:
        """The keys of a directory in the base, if in the scope it has those that are expected."""
        base = tuple(self._documents.keys(path))
        keys = self.keys(path)
        if keys != [*expected]:
            raise conflict(Change(path, [*expected], [*expected]), [*keys])
        return base

    # --- the past ---------------------------------------------------------------------------------

    def commits(self, after: int = 0, path: str = "") -> Iterator[Commit]:
        """The commits of the base and of this scope, as they were seen in the scope."""
        self._require_open()
        return self._past.commits(after, path)

    def commit_of(self, tx: str, after: int = 0) -> Commit | None:
        """As the contract says; to see a commit as the scope did takes those before it."""
        self._require_open()
        if self._documents.commit_of(tx, after) is None:
            return None
        return super().commit_of(tx, after)

    def listen(self, hear: Callable[[Commit], None]) -> Callable[[], None]:
        """As the contract says, of the commits that ``commits`` has, as they are seen here."""
        self._require_open()
        return self._past.listen(hear)

    # --- of the base, or none of a scope's business -----------------------------------------------

    def scopes(self) -> list[str]:
        """None: a scope has no scopes of its own."""
        self._require_open()
        return []

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        """None, as there are no scopes."""
        self._require_open()
        return {}

    def delete_scope(self, scope: str) -> Commit:
        """Raises ScopeNotFoundError, as there is none."""
        self._require_open()
        raise ScopeNotFoundError("a scope has no scopes of its own")

    def meetings(self) -> Meetings:
        self._require_open()
        return meetings_of(self._documents)

    def switch_and_snapshot(self) -> int:
        self._require_open()
        return self._documents.switch_and_snapshot()

    def compact(self, retention: Retention) -> list[int]:
        self._require_open()
        return self._documents.compact(keeping_counts(self._documents, retention))

    def pin(self, number: int) -> None:
        self._require_open()
        self._documents.pin(number)

    def unpin(self, number: int) -> None:
        self._require_open()
        self._documents.unpin(number)

    def pins(self) -> frozenset[int]:
        self._require_open()
        return self._documents.pins()

    def flush(self) -> None:
        self._require_open()
        self._documents.flush()

    def close(self) -> None:
        """Use this no more; the base stays open."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError(f"this store of the scope {show(self._scope)} was closed")


def _left(change: Change, given: Mapping[str, _Stamp], left: Mapping[str, Stamp]) -> Change:
    """A change as it was made, with the stamp of what it left."""
    stamp = given[change.unit]
    if change.new is MISSING:
        return change._replace(stamp=None)
    return change._replace(stamp=_Stamp(stamp.base, left.get(change.unit, stamp.overlay)))
