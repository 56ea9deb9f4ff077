"""Storages against a dict of dicts, by random operations through two instances."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
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

from objstore.errors import (
    ConflictError,
    ContainerNotFoundError,
    DuplicateContainerError,
    KeyNotFoundError,
)
from objstore.storage import Savepoints, Scans, Storage
from tests.conformance.storages import STORAGES, StorageMaker, check, dump

NAMES = st.sampled_from(["a", "b", "", "c" * 600, "é'\0"])
KEYS = st.sampled_from(
    ["", "k", "k0", "k\0", "l" * 490, "l" * 490 + "x", "l" * 508, "l" * 600 + "é", "\U0010ffff"]
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.binary(max_size=4)
BATCHES = st.lists(st.tuples(KEYS, VALUES), max_size=6)

Model = dict[str, dict[str, Any]]
Real = Callable[[Storage], object]
Act = Callable[[Model], object]


class StorageMachine(RuleBasedStateMachine):
    """One instance has transactions with savepoints, the other one writes and reads between."""

    maker: StorageMaker

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = self.maker.path(Path(self._folder.name))
        self._committed: Model = {}
        self._model: Model = {}
        """What the first instance sees."""
        self._saved: list[tuple[Any, Model]] = []
        self._in_transaction = self._writes = self._reads = self._overtaken = False

    @initialize()
    def open(self) -> None:
        self._one: Storage = self.maker.make(self._path, create=True, wait=0)
        self._other: Storage = self.maker.make(self._path, wait=0)

    # The first instance

    @precondition(lambda self: not self._in_transaction)
    @rule(write=st.booleans())
    def begin(self, write: bool) -> None:
        self._one._begin(write=write)
        self._in_transaction, self._writes = True, write
        self._reads = self._overtaken = False

    @precondition(lambda self: self._in_transaction and not self._saved)
    @rule()
    def commit(self) -> None:
        self._one.commit()
        if self._writes:
            self._committed = self._model
        self._end()

    @precondition(lambda self: self._in_transaction and not self._saved)
    @rule()
    def rollback(self) -> None:
        self._one.rollback()
        self._end()

    def _end(self) -> None:
        for savepoint, _ in reversed(self._saved):  # those of a transaction that was ended
            savepoint.__exit__(None, None, None)
        self._model = copy.deepcopy(self._committed)
        self._in_transaction = self._writes = False
        self._saved = []

    @precondition(lambda self: self._in_transaction and len(self._saved) < 3)
    @rule()
    def save(self) -> None:
        assert isinstance(self._one, Savepoints)
        savepoint = self._one.savepoint()
        savepoint.__enter__()
        self._saved.append((savepoint, copy.deepcopy(self._model)))

    @precondition(lambda self: self._saved)
    @rule(keep=st.booleans())
    def end_savepoint(self, keep: bool) -> None:
        savepoint, before = self._saved.pop()
        if keep:
            savepoint.__exit__(None, None, None)
            return
        error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            if not savepoint.__exit__(ZeroDivisionError, error, None):
                raise error
        self._model = before

    @rule(name=NAMES, pairs=BATCHES)
    def set_items(self, name: str, pairs: list[tuple[str, Any]]) -> None:
        self._write(
            lambda s: s.set_container_items(name, pairs), lambda m: m[name].update(dict(pairs))
        )

    @rule(name=NAMES, key=KEYS, value=VALUES)
    def set_item(self, name: str, key: str, value: Any) -> None:
        self._write(
            lambda s: s.set_container_item(name, key, value), lambda m: m[name].update({key: value})
        )

    @rule(name=NAMES, keys=st.lists(KEYS, max_size=4))
    def delete_items(self, name: str, keys: list[str]) -> None:
        self._write(
            lambda s: s.delete_container_items(name, keys),
            lambda m: [m[name].pop(key, None) for key in keys] if keys else m[name],
        )

    @rule(name=NAMES, key=KEYS)
    def delete_item(self, name: str, key: str) -> None:
        self._write(lambda s: s.delete_container_item(name, key), lambda m: m[name].pop(key, None))

    @rule(name=NAMES)
    def add(self, name: str) -> None:
        def add(model: Model) -> None:
            if name in model:
                raise DuplicateContainerError
            model[name] = {}

        self._write(lambda s: s.add_container(name), add)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self._write(lambda s: s.delete_container(name), lambda m: m.pop(name))

    @rule(name=NAMES)
    def empty(self, name: str) -> None:
        self._write(lambda s: s.clear_container(name), lambda m: m[name].clear())

    @precondition(lambda self: len(self._model) > 2)
    @rule()
    def clear(self) -> None:
        self._write(lambda s: s.clear(), lambda m: m.clear())

    def _write(self, real: Real, model: Act) -> None:
        if self._in_transaction and not self._writes:
            self._first_write(real, model)
            return
        before = copy.deepcopy(self._model)
        self._both(real, model, self._one, self._model)
        if not self._in_transaction:
            self._committed = copy.deepcopy(self._model)
        assert self._in_transaction or before != self._model or self._model == self._committed

    def _first_write(self, real: Real, model: Act) -> None:
        """The first write of a transaction that did not wait to write."""
        if self._reads and self._overtaken:
            with pytest.raises(ConflictError):
                real(self._one)
            self._end()
            return
        if not self._reads:
            self._model = copy.deepcopy(self._committed)
            self._saved = [(one, copy.deepcopy(self._committed)) for one, _ in self._saved]
        self._writes = True
        self._both(real, model, self._one, self._model)

    def _both(self, real: Real, model: Act, storage: Storage, contents: Model) -> None:
        try:
            model(contents)
        except KeyError:
            with pytest.raises(ContainerNotFoundError):
                real(storage)
        except DuplicateContainerError:
            with pytest.raises(DuplicateContainerError):
                real(storage)
        else:
            real(storage)

    @rule(name=NAMES, key=KEYS)
    def read(self, name: str, key: str) -> None:
        self._reads = True
        if name not in self._model:
            with pytest.raises(ContainerNotFoundError):
                self._one.get_container_item(name, key)
        elif key not in self._model[name]:
            with pytest.raises(KeyNotFoundError):
                self._one.get_container_item(name, key)
        else:
            assert self._one.get_container_item(name, key) == self._model[name][key]

    @rule(name=NAMES, low=KEYS, high=KEYS, reverse=st.booleans())
    def scan(self, name: str, low: str, high: str, reverse: bool) -> None:
        if name in self._model:
            self._reads = True
            assert isinstance(self._one, Scans)
            items = sorted(self._model[name].items(), reverse=reverse)
            expected = [(key, value) for key, value in items if low <= key < high]
            assert list(self._one.scan(name, start=low, stop=high, reverse=reverse)) == expected

    # The second instance

    @precondition(lambda self: not self._writes)
    @rule(name=NAMES, pairs=BATCHES)
    def others_write(self, name: str, pairs: list[tuple[str, Any]]) -> None:
        if name in self._committed and not pairs:
            return  # makers may differ on whether nothing overtakes anybody
        with self._other.transaction():
            if name not in self._committed:
                self._other.add_container(name)
            self._other.set_container_items(name, pairs)
        self._committed.setdefault(name, {}).update(pairs)
        self._overtaken = True
        if not self._in_transaction:
            self._model = copy.deepcopy(self._committed)

    @invariant()
    def the_others_see_what_is_committed(self) -> None:
        assert dump(self._other) == self._committed

    @rule()
    def reopen(self) -> None:
        while self._saved:
            self.end_savepoint(keep=True)
        self._one.close()
        self._end()
        self._one = self.maker.make(self._path, wait=0)
        assert dump(self._one) == self._model

    def teardown(self) -> None:
        if hasattr(self, "_one"):
            while self._saved:
                self.end_savepoint(keep=True)
            self._one.close()
            check(self._other)
            self._other.close()
        self._folder.cleanup()


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
def test_storages_behave_as_a_dict_of_dicts(maker: StorageMaker) -> None:
    machine = type("Machine", (StorageMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=20, stateful_step_count=25)
    )


@pytest.mark.torture
@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
def test_storages_behave_as_a_dict_of_dicts_at_length(maker: StorageMaker) -> None:
    machine = type("Machine", (StorageMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=500, stateful_step_count=60)
    )
