"""Documents against a dict, by random operations through two handles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from objstore.documents import DIRECTORY, Change, Commit, Documents
from objstore.errors import ConflictError
from objstore.layout import ANYTHING
from objstore.pointer import split
from objstore.values import MISSING, same
from tests.conformance.makers import MAKERS, Maker

UNITS = ("/a", "/b.json", "/d/x", "/d/100%", "/d/e/..", "/CON/é")
DIRECTORIES = ("", "/d", "/d/e", "/CON")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict | list))
CHANGES = st.dictionaries(st.sampled_from(UNITS), VALUES | st.just(MISSING), min_size=1, max_size=4)


class DocumentsMachine(RuleBasedStateMachine):
    """Keeps, for each handle, the last contents and stamp that it saw of each unit."""

    maker: Maker

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._url = self.maker.url(Path(self._folder.name))
        self._model: dict[str, Any] = {}
        self._handles: list[Documents] = []
        self._seen: list[dict[str, tuple[Any, Any]]] = []

    @initialize()
    def open(self) -> None:
        self._handles = [self._opened(), self._opened()]
        self._seen = [dict.fromkeys(UNITS, (MISSING, None)) for _ in self._handles]

    def _opened(self) -> Documents:
        return self.maker.open(self._url, layout=ANYTHING, durability="os")

    @rule(handle=st.integers(0, 1), changes=CHANGES)
    def commit(self, handle: int, changes: dict[str, Any]) -> None:
        """From what the handle saw last, which may be stale."""
        documents, seen = self._handles[handle], self._seen[handle]
        asked = [Change(unit, seen[unit][0], new, seen[unit][1]) for unit, new in changes.items()]
        head = documents.head()
        if all(self._is_newest(handle, unit) for unit in changes):
            commit = documents.commit(asked, base=head)
            assert documents.head() > head
            for done in commit.changes:
                seen[done.unit] = (done.new, done.stamp)
                self._model[done.unit] = done.new
            self._committed(commit)
        else:
            with pytest.raises(ConflictError):
                documents.commit(asked, base=head)
            assert documents.head() == head

    def _committed(self, commit: Commit) -> None:
        """What more a model may want to know."""

    def _is_newest(self, handle: int, unit: str) -> bool:
        """By the handle's own look; a stamp that it gives back unchanged must be right."""
        contents, stamp = self._seen[handle][unit]
        newest = self._handles[handle].look(unit, stamp) is stamp
        assert not newest or same(contents, self._model.get(unit, MISSING))
        return newest

    @rule(handle=st.integers(0, 1))
    def load_all(self, handle: int) -> None:
        for unit in UNITS:
            loaded = self._handles[handle].load(unit)
            assert self._handles[handle].look(unit, loaded.stamp) is loaded.stamp
            self._seen[handle][unit] = (loaded.value, loaded.stamp)

    @rule(handle=st.integers(0, 1))
    def reopen(self, handle: int) -> None:
        self._handles[handle].close()
        self._handles[handle] = self._opened()
        self.load_all(handle)

    @invariant()
    def every_handle_sees_the_model(self) -> None:
        there = [unit for unit in UNITS if self._model.get(unit, MISSING) is not MISSING]
        for documents in self._handles:
            for unit in UNITS:
                assert same(documents.load(unit).value, self._model.get(unit, MISSING))
            for directory in DIRECTORIES:
                tokens = split(directory)
                below = {tuple(split(unit)[: len(tokens) + 1]) for unit in there}
                keys = sorted(one[-1] for one in below if list(one[:-1]) == tokens)
                assert documents.keys(directory) == keys
                exists = bool(keys) or not directory
                assert documents.look(directory) is (DIRECTORY if exists else None)

    def teardown(self) -> None:
        for documents in self._handles:
            documents.close()
        self._folder.cleanup()


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.name)
def test_documents_behave_as_a_dict_of_units(maker: Maker) -> None:
    machine = type("Machine", (DocumentsMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=30, stateful_step_count=15)
    )
