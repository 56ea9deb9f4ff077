"""A value log against a dict of dicts: random calls, rollbacks, reopening, merges of any files."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from objstore.backings.filesystem.values import vlogbatch, vlogcompact, vloghint, vlogindex
from objstore.errors import ContainerNotFoundError, DuplicateContainerError
from objstore.storage import Value
from tests.faults.crash_states import Quick
from tests.faults.value_logs import Contents, OverFiles, contents

CONTAINERS = st.sampled_from(["a", "b", "c\0'"])
KEYS = st.sampled_from(["", "k", "key", "l\0", "m", "\U0010ffff", "é"])
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(max_size=40), st.binary(max_size=40), st.integers(0, 400).map(bytes)
)
ITEMS = st.dictionaries(KEYS, VALUES, max_size=5)


class Machine(RuleBasedStateMachine):
    """Two handles on one storage; the first one writes, in transactions or not."""

    views = Bundle("views")

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.storage = OverFiles(Quick(str(self.folder / "s")), create=True, capacity=1200)
        self.other = OverFiles(Quick(str(self.folder / "s")))
        self.committed: Contents = {}
        self.own: Contents = {}
        self.marks: list[tuple[Any, Contents]] = []

    def teardown(self) -> None:
        for one in (self.storage, self.other):
            one.close()
        shutil.rmtree(self.folder)

    @property
    def in_transaction(self) -> bool:
        return self.storage.in_transaction

    def wrote(self) -> None:
        if not self.in_transaction:
            self.committed = copy(self.own)

    @rule(name=CONTAINERS)
    def add(self, name: str) -> None:
        if name in self.own:
            with pytest.raises(DuplicateContainerError):
                self.storage.add_container(name)
            return
        self.storage.add_container(name)
        self.own[name] = {}
        self.wrote()

    @rule(name=CONTAINERS, items=ITEMS)
    def put(self, name: str, items: dict[str, Value]) -> None:
        if name not in self.own:
            with pytest.raises(ContainerNotFoundError):
                self.storage.set_container_items(name, items)
            return
        self.storage.set_container_items(name, items)
        self.own[name].update(items)
        self.wrote()

    @rule(name=CONTAINERS, key=KEYS)
    def delete(self, name: str, key: str) -> None:
        if name in self.own:
            assert self.storage.delete_container_item(name, key) is (key in self.own[name])
            self.own[name].pop(key, None)
            self.wrote()

    @rule(name=CONTAINERS, removes=st.booleans())
    def clear(self, name: str, removes: bool) -> None:
        if name not in self.own:
            return
        if removes:
            self.storage.delete_container(name)
            del self.own[name]
        else:
            self.storage.clear_container(name)
            self.own[name] = {}
        self.wrote()

    @precondition(lambda self: not self.in_transaction)
    @rule()
    def begin(self) -> None:
        self.storage.begin()

    @precondition(lambda self: self.in_transaction)
    @rule(commits=st.booleans())
    def end(self, commits: bool) -> None:
        while self.marks:
            self.end_savepoint(False)
        if commits:
            self.storage.commit()
            self.committed = copy(self.own)
        else:
            self.storage.rollback()
            self.own = copy(self.committed)

    @precondition(lambda self: self.in_transaction)
    @rule()
    def savepoint(self) -> None:
        # As its first write does, or the transaction may begin anew within the savepoint.
        self.storage._reserve()
        mark = self.storage.savepoint()
        mark.__enter__()
        self.marks.append((mark, copy(self.own)))

    @precondition(lambda self: self.marks)
    @rule(takes_back=st.booleans())
    def end_savepoint(self, takes_back: bool) -> None:
        mark, before = self.marks.pop()
        if takes_back:
            error = ZeroDivisionError()
            assert not mark.__exit__(ZeroDivisionError, error, None)
            self.own = before
        else:
            mark.__exit__(None, None, None)

    @precondition(lambda self: not self.in_transaction)
    @rule(seed=st.integers(0, 7))
    def compact(self, seed: int) -> None:
        """Of any files, whether there is anything dead in them or not."""
        choice = Random(seed)  # noqa: S311
        with pytest.MonkeyPatch.context() as patch:

            def is_wasteful(*_: object) -> bool:
                return choice.random() < 0.5

            patch.setattr(vlogcompact, "_is_wasteful", is_wasteful)
            (self.storage if seed % 2 else self.other).compact()

    @precondition(lambda self: not self.in_transaction)
    @rule(hints=st.booleans())
    def reopen(self, hints: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if hints:
                patch.setattr(vloghint, "_WORTH", 0)
            self.storage.close()
        self.storage = OverFiles(Quick(str(self.folder / "s")))

    @rule(target=views)
    def look(self) -> Any:
        """A moment to be held."""
        return self.other._now()[0], copy(self.committed)

    @rule(view=views)
    def look_again(self, view: Any) -> None:
        moment, known = view
        found = {}
        for name in moment.all_names():
            table = moment.table(name)
            keys = moment.keys(table)
            assert moment.length(table) == len(keys)
            found[name] = {key: moment.index.value(table, key, moment) for key in keys}
        assert found == known

    @invariant()
    def all_see_what_they_should(self) -> None:
        assert contents(self.other) == self.committed
        if self.in_transaction:
            assert seen(self.storage) == self.own
        else:
            assert contents(self.storage) == self.own
            assert self.other.check() == []


def seen(storage: OverFiles) -> Contents:
    """What a transaction that is running sees."""
    found: Contents = {}
    for name in storage.get_containers():
        found[name] = {k: v for k, v in storage.get_container_items(name) if v is not None}
        assert list(found[name]) == sorted(found[name]) == list(storage.get_container_keys(name))
        assert storage.get_container_len(name) == len(found[name])
    return found


def copy(known: Contents) -> Contents:
    return {name: dict(items) for name, items in known.items()}


@pytest.fixture(autouse=True, params=[1000, 2])
def _many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of a batch of that many are taken apart when somebody asks for them."""
    monkeypatch.setattr(vlogbatch, "_MANY", request.param)
    monkeypatch.setattr(vlogindex, "_MANY", 2 * request.param)


def test_a_value_log_is_a_dict_of_dicts() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=15, stateful_step_count=30)
    )


@pytest.mark.torture
def test_a_value_log_is_a_dict_of_dicts_at_length() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=800, stateful_step_count=60)
    )
