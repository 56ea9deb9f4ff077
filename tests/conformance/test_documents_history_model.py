"""The past and the scopes of Documents against a plain dict per commit, by random operations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from objstore.documents import Change, Commit, Documents
from objstore.errors import (
    CommitNotFoundError,
    CommitNumberError,
    ConflictError,
    HistoryGone,
    ScopeNotFoundError,
)
from objstore.values import MISSING, same
from tests.conformance.makers import LOGGED, Maker
from tests.conformance.retentions import only
from tests.conformance.test_documents_model import CHANGES, UNITS, VALUES, DocumentsMachine

HANDLES = st.integers(0, 1)
SCOPES = ("", "s")


class HistoryMachine(DocumentsMachine):
    """Keeps what every commit left of the base, and what every scope has."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[int, dict[str, Any]] = {0: {}}
        self._commits: dict[int, tuple[str | None, dict[str, Any]]] = {}
        """By number, the scope and what the commit left of the units that it changed."""
        self._deletions: set[int] = set()
        self._removed: set[int] = set()
        self._pins: set[int] = set()
        self._scopes: dict[str, dict[str, tuple[Any, Any]]] = {}
        self._heard: dict[int, list[int]] = {}
        """By the id of a handle, the commits that were made or learnt of since it was opened."""

    def _opened(self) -> Documents:
        documents = super()._opened()
        heard = self._heard[id(documents)] = []
        documents.listen(lambda commit: heard.append(commit.number))
        return documents

    def _newest(self) -> int:
        return max(self._states)

    def _committed(self, commit: Commit) -> None:
        assert commit.number == self._newest() + 1
        there = {unit: value for unit, value in self._model.items() if value is not MISSING}
        self._states[commit.number] = there
        self._commits[commit.number] = commit.scope, {c.unit: c.new for c in commit.changes}

    # --- scopes -----------------------------------------------------------------------------------

    @rule(handle=HANDLES, scope=st.sampled_from(SCOPES), changes=CHANGES)
    def commit_in_a_scope(self, handle: int, scope: str, changes: dict[str, Any]) -> None:
        documents = self._handles[handle]
        overlays, units = documents.overlays(scope), self._scopes.get(scope, {})
        asked: list[Change] = []
        for unit, new in changes.items():
            if unit in overlays:
                asked.append(Change(unit, overlays[unit].value, new, overlays[unit].stamp))
            else:
                asked.append(Change(unit, self._model.get(unit, MISSING), new))
        if all(change.new is change.old for change in asked):
            return
        commit = documents.commit(asked, base=documents.head(), scope=scope)
        assert commit.scope == scope
        for change in asked:
            if change.new is not change.old:
                units[change.unit] = self._model.get(change.unit, MISSING), change.new
        self._scopes[scope] = units
        self._committed(commit)

    @rule(handle=HANDLES, scope=st.sampled_from(SCOPES), value=VALUES)
    def conflict_in_a_scope(self, handle: int, scope: str, value: Any) -> None:
        documents, head = self._handles[handle], self._handles[handle].head()
        for unit in self._scopes.get(scope, {}):
            with pytest.raises(ConflictError):
                documents.commit([Change(unit, MISSING, value)], base=head, scope=scope)
        assert documents.head() == head

    @rule(handle=HANDLES, scope=st.sampled_from(SCOPES))
    def delete_a_scope(self, handle: int, scope: str) -> None:
        if scope not in self._scopes:
            with pytest.raises(ScopeNotFoundError):
                self._handles[handle].delete_scope(scope)
            return
        commit = self._handles[handle].delete_scope(scope)
        gone = self._scopes.pop(scope)
        expected = {
            unit: (value, self._model.get(unit, MISSING)) for unit, (_, value) in gone.items()
        }
        assert {change.unit: (change.old, change.new) for change in commit.changes} == expected
        self._committed(commit)
        self._deletions.add(commit.number)

    # --- what is kept -----------------------------------------------------------------------------

    @rule(handle=HANDLES)
    def snapshot(self, handle: int) -> None:
        assert self._handles[handle].switch_and_snapshot() == self._newest()

    @rule(handle=HANDLES, number=st.integers(1, 20))
    def pin(self, handle: int, number: int) -> None:
        if number in self._states:
            self._handles[handle].pin(number)
            self._pins.add(number)

    @precondition(lambda self: bool(self._pins))
    @rule(handle=HANDLES)
    def unpin(self, handle: int) -> None:
        self._handles[handle].unpin(self._pins.pop())

    @rule(handle=HANDLES, wanted=st.sets(st.integers(1, 20)))
    def compact(self, handle: int, wanted: set[int]) -> None:
        stay = self._staying(wanted)
        removed = [number for number in self._commits if number not in stay]
        assert self._handles[handle].compact(only(*wanted)) == removed
        for number in removed:
            scope, left = self._commits.pop(number)
            del self._states[number]
            heir = next(
                (n for n, (one, _) in self._commits.items() if n > number and one == scope), 0
            )
            if heir and number not in self._deletions:
                self._commits[heir] = scope, {**left, **self._commits[heir][1]}
        self._removed.update(removed)

    def _staying(self, wanted: set[int]) -> set[int]:
        stay = {number for number in self._commits if number in wanted | self._pins}
        for scope in (None, *self._scopes):
            stay |= {max((n for n, (s, _) in self._commits.items() if s == scope), default=0)}
        stay.add(self._newest())
        for number in sorted(stay):
            if number and self._commits[number][0] is not None:
                below = [n for n, (s, _) in self._commits.items() if s is None and n < number]
                stay |= {*below[-1:]}
        return stay

    # --- what is there ----------------------------------------------------------------------------

    @rule(handle=HANDLES, number=st.integers(-2, 22))
    def read_a_past(self, handle: int, number: int) -> None:
        documents = self._handles[handle]
        if number in self._states:
            state = self._states[number]
            for unit in UNITS:
                assert same(documents.read(unit, at=number), state.get(unit, MISSING))
            assert documents.keys("", at=number) == sorted({one.split("/")[1] for one in state})
            assert documents.keys("/d/e", at=number) == [".."] * ("/d/e/.." in state)
            return
        error = HistoryGone if number in self._removed else CommitNotFoundError
        with pytest.raises(CommitNumberError if number < 0 else error):
            documents.read("/a", at=number)

    @rule(handle=HANDLES)
    def replay(self, handle: int) -> None:
        """Commit for commit the changes lead from one state to the next."""
        state: dict[str, Any] = {}
        found = [*self._handles[handle].commits()]
        assert [commit.number for commit in found] == sorted(self._commits)
        for commit in found:
            scope, left = self._commits[commit.number]
            assert commit.scope == scope
            for change in commit.changes:
                assert same(change.new, left[change.unit])
                if scope is None:
                    assert same(change.old, state.pop(change.unit, MISSING))
                    state[change.unit] = change.new
            there = {unit: value for unit, value in state.items() if value is not MISSING}
            assert same(there, self._states[commit.number])

    @invariant()
    def every_handle_sees_the_scopes(self) -> None:
        for documents in self._handles:
            assert documents.head() == self._newest()
            assert documents.pins() == self._pins
            assert documents.scopes() == sorted(self._scopes)
            for scope in SCOPES:
                overlays, expected = documents.overlays(scope), self._scopes.get(scope, {})
                assert overlays.keys() == expected.keys()
                for unit, (base, value) in expected.items():
                    assert same(overlays[unit].base, base)
                    assert same(overlays[unit].value, value)

    @invariant()
    def every_commit_was_heard_once(self) -> None:
        for documents in self._handles:
            documents.head()  # when it learns of what another handle committed
            heard = self._heard[id(documents)]
            assert not heard or heard == [*range(heard[0], self._newest() + 1)]


@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
def test_documents_behave_as_a_dict_of_units_per_commit(maker: Maker) -> None:
    machine = type("Machine", (HistoryMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=30, stateful_step_count=20)
    )
