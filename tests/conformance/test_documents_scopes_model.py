"""A scope as Documents against plain dicts, by random operations on it and on its base."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from objstore._scoped import ScopedDocuments
from objstore.documents import DIRECTORY, Change, Commit, Documents
from objstore.errors import ConflictError, HistoryGone, LayoutError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import change
from tests.conformance.makers import LOGGED, Maker
from tests.conformance.retentions import only

UNITS = ("/a", "/a/b", "/a/c/d", "/e", "/f/g")
DIRECTORIES = ("", "/a", "/a/c", "/f")
LONG = "so that changes are shorter than the whole " * 10
VALUES = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 2) | st.just(LONG), max_size=3)
CHANGES = st.dictionaries(st.sampled_from(UNITS), VALUES | st.just(MISSING), min_size=1, max_size=3)


def laid(base: Any, scope: Any, now: Any) -> Any:
    """What a scope that made ``scope`` of ``base`` shows over ``now``, key by key."""
    if scope == base:
        return now
    if MISSING in (base, scope, now):
        return scope
    keys = {**now, **scope}
    chosen = {
        key: (now if scope.get(key) == base.get(key) else scope).get(key, MISSING) for key in keys
    }
    return {key: value for key, value in chosen.items() if value is not MISSING}


def clash(units: set[str]) -> bool:
    """Whether one of these units is a directory of another."""
    return any(other.startswith(unit + "/") for unit in units for other in units)


def _changed(state: dict[str, Any], commit: Commit) -> dict[str, Any]:
    """What the changes of a commit make of the units, which must be what they say."""
    state = dict(state)
    for one in commit.changes:
        assert state.pop(one.unit, MISSING) == one.old
        if one.new is not MISSING:
            state[one.unit] = one.new
    return state


class ScopeMachine(RuleBasedStateMachine):
    """Keeps the base's units, and of the scope's what it made of what."""

    maker: Maker

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._base: dict[str, Any] = {}
        self._overlays: dict[str, tuple[Any, Any]] = {}
        self._states: dict[int, dict[str, Any]] = {0: {}}
        self._compacted = 0
        """The newest commit when others were removed: the scope is then not known any more as it
        was before its newest."""
        self._seen: dict[str, tuple[Any, Any]] = {}
        """What one handle of the scope read last, with the stamps."""

    @initialize()
    def open(self) -> None:
        url = self.maker.url(Path(self._folder.name))
        self._documents: Documents = self.maker.open(url, layout=ANYTHING, durability="os")
        self._scope = ScopedDocuments(self._documents, "mine")
        self._other = ScopedDocuments(self._documents, "mine")
        self.read_all()

    def _visible(self) -> dict[str, Any]:
        made = {
            unit: laid(base, value, self._base.get(unit, MISSING))
            for unit, (base, value) in self._overlays.items()
            if value not in (base, MISSING)
        }
        found = {
            unit: value if unit not in self._overlays else laid(*self._overlays[unit], value)
            for unit, value in self._base.items()
            if not any(clash({unit, other}) for other in made)
        }
        return {u: v for u, v in {**found, **made}.items() if v is not MISSING}

    def _committed(self) -> None:
        self._states[max(self._states) + 1] = self._visible()
        assert self._documents.head() == max(self._states)

    @rule(changes=CHANGES)
    def commit_to_the_base(self, changes: dict[str, Any]) -> None:
        after = {u: v for u, v in {**self._base, **changes}.items() if v is not MISSING}
        if clash({*self._base, *changes}):
            return  # the base's own business
        asked = [change(self._documents, unit, new) for unit, new in changes.items()]
        self._documents.commit(asked, base=self._documents.head())
        self._base = after
        self._committed()

    @rule(changes=CHANGES)
    def commit_to_the_scope(self, changes: dict[str, Any]) -> None:
        """From what was read last, which may be stale."""
        visible = self._visible()
        made = {unit for unit, new in changes.items() if new is not MISSING}
        if clash({*made, *visible}):
            return  # tested by example
        seen, head = self._seen, self._documents.head()
        asked = [Change(unit, seen[unit][0], new, seen[unit][1]) for unit, new in changes.items()]
        if all(one.new is one.old for one in asked):
            return
        fresh = all(self._scope.look(one.unit, one.stamp) is one.stamp for one in asked)
        if not fresh:
            with pytest.raises((ConflictError, LayoutError)):
                self._scope.commit(asked, base=head)
            assert self._documents.head() == head
            return
        commit = self._scope.commit(asked, base=head)
        for one in commit.changes:
            self._seen[one.unit] = one.new, one.stamp
            if one.new is not one.old:
                self._overlays[one.unit] = self._base.get(one.unit, MISSING), one.new
        self._committed()

    @rule(unit=st.sampled_from(UNITS), key=st.sampled_from("xyz"), number=st.integers(0, 2))
    def change_a_key_in_the_base(self, unit: str, key: str, number: int) -> None:
        if unit in self._base:
            self.commit_to_the_base({unit: {**self._base[unit], key: number}})

    @rule(unit=st.sampled_from(UNITS), key=st.sampled_from("xyz"), number=st.integers(0, 2))
    def change_a_key_in_the_scope(self, unit: str, key: str, number: int) -> None:
        self.read_all()
        if self._seen[unit][0] is not MISSING:
            self.commit_to_the_scope({unit: {**self._seen[unit][0], key: number}})

    @rule()
    def read_all(self) -> None:
        for unit in UNITS:
            try:
                loaded = self._scope.load(unit)
                self._seen[unit] = loaded.value, loaded.stamp
            except LayoutError:
                self._seen[unit] = MISSING, None

    @precondition(lambda self: bool(self._overlays))
    @rule()
    def delete(self) -> None:
        self._documents.delete_scope("mine")
        self._overlays = {}
        self._committed()

    @rule(kept=st.lists(st.booleans(), max_size=30))
    def compact(self, kept: list[bool]) -> None:
        pins = [number for number, is_kept in enumerate(kept, 1) if is_kept]
        if self._documents.compact(only(*pins)):
            self._compacted = max(self._states)
            self._states = {self._compacted: self._states[self._compacted]}

    @rule(number=st.integers(0, 30))
    def read_a_past(self, number: int) -> None:
        if number in self._states:
            fresh = ScopedDocuments(self._documents, "mine")
            may_be_gone = self._compacted and number < max(self._states)
            with suppress(HistoryGone) if may_be_gone else nullcontext():
                assert self._state(fresh, number) == self._states[number]

    @precondition(lambda self: not self._compacted)
    @rule()
    def replay(self) -> None:
        """The commits as seen in the scope lead to what it shows."""
        assert self._replayed(0) == self._visible()

    @precondition(lambda self: bool(self._compacted))
    @rule()
    def replay_what_is_known(self) -> None:
        with suppress(HistoryGone):
            assert self._replayed(self._compacted) == self._visible()
        for commit in ScopedDocuments(self._documents, "mine").commits():
            before = self._states.get(commit.number - 1)
            if before is not None and not commit.unknown:
                assert _changed(before, commit) == self._states[commit.number]

    def _replayed(self, after: int) -> dict[str, Any]:
        state = self._states[after]
        for commit in self._scope.commits(after):
            state = _changed(state, commit)
            assert state == self._states[commit.number]
        return state

    def _state(self, documents: Documents, at: int | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            for key in documents.keys(directory, at=at):
                path = f"{directory}/{key}"
                try:
                    found[path] = documents.read(path, at=at)
                except LayoutError:
                    waiting.append(path)
        return found

    @invariant()
    def the_scope_shows_the_model(self) -> None:
        visible = self._visible()
        assert self._state(self._other, None) == visible
        for unit in UNITS:
            seen = self._other.look(unit)
            below = any(other.startswith(unit + "/") for other in visible)
            assert (seen is DIRECTORY) == below
            assert (seen is None) == (unit not in visible and not below)

    def teardown(self) -> None:
        self._documents.close()
        self._folder.cleanup()


@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
def test_a_scope_behaves_as_dicts_laid_over_each_other(maker: Maker) -> None:
    machine = type("Machine", (ScopeMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=40, stateful_step_count=25)
    )
