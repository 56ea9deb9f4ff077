"""A store against plain dicts, through commits, edits, crashes, and all that may be lost."""

from __future__ import annotations

import contextlib
import json
import tempfile
from datetime import timedelta
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

import objstore
from objstore import HistoryGone, Retention, Store
from objstore.backings.filesystem import later, names
from objstore.backings.filesystem.io import Files
from objstore.values import MISSING

KEYS = ("a", "b", "folder/c", "folder/d")

keys = st.sampled_from(KEYS)
contents = st.dictionaries(
    st.sampled_from("xyz"), st.one_of(st.integers(0, 9), st.text("ab", max_size=3)), max_size=3
)


class StoreMachine(RuleBasedStateMachine):
    """Whatever happens to it, a store has what the dicts have."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 1
        self.now: dict[str, Any] = {}
        self.past: dict[int, dict[str, Any]] = {}
        self.edited: set[str] = set()
        """Edited since a commit last touched them: what is entered of it, and when, is open."""
        self.edits = 0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(Files, "run", self.run)
        # What is abandoned must write nothing any more.
        self.patch.setattr(later, "_DELAY", 10**6)
        self.folder = tempfile.TemporaryDirectory(prefix="objstore-test-")
        self.root = Path(self.folder.name) / "store"
        self.store: Store[Any] = objstore.open(self.root)

    def run(self, _: Files | None = None) -> bytes:
        """In the place of ``Files.run``."""
        return b"run %d" % self.runs

    def teardown(self) -> None:
        with contextlib.ExitStack() as ends:
            ends.callback(self.patch.undo)
            ends.callback(self.folder.cleanup)
            ends.callback(self.store.close)

    @initialize(value=contents)
    def begin(self, value: dict[str, Any]) -> None:
        for key in KEYS:
            self.put(key, value)

    # Commits

    @rule(key=keys, value=contents)
    def put(self, key: str, value: dict[str, Any]) -> None:
        self.store[key] = value
        self.took({key: value})

    @rule(key=keys)
    def delete(self, key: str) -> None:
        if key in self.now:
            del self.store[key]
            self.took({key: None})

    @rule(there=st.dictionaries(keys, st.one_of(st.none(), contents), min_size=2))
    def change_several(self, there: dict[str, dict[str, Any] | None]) -> None:
        with self.store.transaction():
            for key, value in there.items():
                if value is not None:
                    self.store[key] = value
                elif key in self.now:
                    del self.store[key]
        self.took(there)

    @rule(key=keys, value=contents)
    def give_up(self, key: str, value: dict[str, Any]) -> None:
        with contextlib.suppress(KeyboardInterrupt), self.store.transaction():
            self.store[key] = value
            raise KeyboardInterrupt

    def took(self, there: dict[str, Any]) -> None:
        """A commit took these contents in; None is for none."""
        gone = {key: MISSING for key, value in there.items() if value is None and key in self.now}
        for key, value in there.items():
            if self.now.get(key) != value:
                self.edited.discard(key)
            if value is None:
                self.now.pop(key, None)
            else:
                self.now[key] = value
        # Of what is not there the log may know nothing: then it reads as it is now.
        sure = {key: value for key, value in self.now.items() if key not in self.edited}
        self.past[self.store.head] = {**sure, **gone}

    # What others do

    @rule(key=keys, value=contents)
    def edit(self, key: str, value: dict[str, Any]) -> None:
        path = self.root / f"{key}.json"
        self.flush()
        path.parent.mkdir(exist_ok=True)
        self.edits += 1
        value = {**value, "edit": self.edits}
        path.write_text(json.dumps(value))
        self.now[key] = value
        self.edited.add(key)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        path = self.root / f"{key}.json"
        self.flush()
        if path.exists() and key in self.now:
            if key in self.edited:
                self.edits += 1
                self.put(key, {"edit": self.edits})  # see enter_removals
                self.flush()
            path.unlink()
            del self.now[key]
            self.edited.add(key)

    @rule()
    def flush(self) -> None:
        self.store.flush()

    # What may happen to a store

    @rule(apply=st.sampled_from(["eager", "lazy"]))
    def reopen(self, apply: str) -> None:
        self.enter_removals()
        self.store.close()
        self.store = objstore.open(self.root, apply=apply)

    @rule(apply=st.sampled_from(["eager", "lazy"]), stops=st.booleans())
    def crash(self, apply: str, stops: bool) -> None:
        """The process ends, or the machine with it."""
        self.enter_removals()
        self.runs += stops
        self.store = objstore.open(self.root, apply=apply)

    def enter_removals(self) -> None:
        """That nothing is there is as before the file was made: who finds a store that was not left
        in order takes it for a commit that has not reached its file."""
        for key in self.edited - self.now.keys():
            self.edits += 1
            self.put(key, {"edit": self.edits})

    @rule()
    def snapshot(self) -> None:
        self.store.switch_and_snapshot()

    @rule()
    def compact(self) -> None:
        self.store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=2))
        # Nor of what came and went by commits that are gone.
        for there in self.past.values():
            for key in [key for key, value in there.items() if value is MISSING]:
                del there[key]

    @rule()
    def lose_the_index(self) -> None:
        index = Path(names.index(str(self.root)))
        if index.exists():
            index.unlink()

    # What holds

    @invariant()
    def it_is_as_the_dict(self) -> None:
        there = {key: self.store[key].contents for key in KEYS if key in self.store}
        assert there == self.now

    @invariant()
    def the_past_stays(self) -> None:
        newest = sorted(self.past)[-3:]
        for number in (*newest, *sorted(self.past)[:1]):
            for key, value in self.past[number].items():
                try:
                    found = self.store.read_at(f"/{key}", number)
                except HistoryGone:
                    continue
                except KeyError:
                    found = MISSING
                assert found == value, (key, number)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.mark.torture
def test_a_store_for_long() -> None:
    longer = settings(max_examples=600, stateful_step_count=60, deadline=None)
    run_state_machine_as_test(StoreMachine, settings=longer)
