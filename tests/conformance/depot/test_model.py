"""Depots against bytearrays, by random operations."""

from __future__ import annotations

import hashlib
import io
import tempfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from objstore import StorageError
from objstore.depot import Depot, Identifier, ObjectStateT, Range
from tests.conformance.depots import DEPOTS, DepotMaker

IDENTIFIERS = [Identifier(UUID(int=n << 96), version) for n in (0, 1, 2**31) for version in (1, 2)]
ANY = st.sampled_from(IDENTIFIERS)
DATA = st.binary(max_size=40)
OFFSETS = st.integers(0, 60)
SIZES = st.none() | st.integers(0, 60)


class Model:
    """One blob as it should be."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.data = bytearray(size or 0)
        self.written: set[int] = set()
        self.state = ObjectStateT.WRITABLE

    @property
    def length(self) -> int:
        return len(self.data)

    def write(self, at: int, data: bytes) -> None:
        if not data:
            return
        self.data.extend(bytes(max(at + len(data) - len(self.data), 0)))
        self.data[at : at + len(data)] = data
        self.written |= set(range(at, at + len(data)))

    def missing(self) -> list[Range]:
        left = [at for at in range(self.length) if at not in self.written]
        ranges: list[Range] = []
        for at in left:
            if ranges and ranges[-1].end == at:
                ranges[-1] = Range(ranges[-1].at, ranges[-1].size + 1)
            else:
                ranges.append(Range(at, 1))
        return ranges


class DepotMachine(RuleBasedStateMachine):
    maker: DepotMaker

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._depot: Depot = self.maker.make(Path(self._folder.name))
        self._model: dict[Identifier, Model] = {}

    def _in_state(self, identifier: Identifier, state: ObjectStateT) -> Model | None:
        found = self._model.get(identifier)
        return found if found is not None and found.state is state else None

    @rule(identifier=ANY, size=SIZES)
    def reserve(self, identifier: Identifier, size: int | None) -> None:
        if identifier in self._model:
            with pytest.raises(StorageError, match="exists already"):
                self._depot.reserve(identifier, size)
        else:
            self._depot.reserve(identifier, size)
            self._model[identifier] = Model(size)

    @rule(identifier=ANY, at=OFFSETS, data=DATA)
    def write(self, identifier: Identifier, at: int, data: bytes) -> None:
        model = self._in_state(identifier, ObjectStateT.WRITABLE)
        if model is None or (model.size is not None and at + len(data) > model.size):
            with pytest.raises(StorageError):
                self._depot.write(identifier, at, data)
        else:
            self._depot.write(identifier, at, data)
            model.write(at, data)

    @rule(identifier=ANY, zeroes=st.booleans())
    def finalize(self, identifier: Identifier, zeroes: bool) -> None:
        model = self._in_state(identifier, ObjectStateT.WRITABLE)
        if model is None or (model.missing() and not zeroes):
            with pytest.raises(StorageError):
                self._depot.finalize(identifier, zeroes=zeroes)
        else:
            self._depot.finalize(identifier, zeroes=zeroes)
            model.state = ObjectStateT.READABLE

    @rule(identifier=ANY, at=OFFSETS, size=OFFSETS)
    def read(self, identifier: Identifier, at: int, size: int) -> None:
        model = self._in_state(identifier, ObjectStateT.READABLE)
        if model is None:
            with pytest.raises(StorageError):
                self._depot.read(identifier, at, size)
        else:
            assert self._depot.read(identifier, at, size) == bytes(model.data[at : at + size])

    @rule(identifier=ANY)
    def purge(self, identifier: Identifier) -> None:
        if self._model.pop(identifier, None) is None:
            with pytest.raises(StorageError, match="there is no blob"):
                self._depot.purge(identifier)
        else:
            self._depot.purge(identifier)

    @rule()
    def sweep(self) -> None:
        left = [one for one, model in self._model.items() if model.state is ObjectStateT.WRITABLE]
        assert self._depot.sweep(timedelta(0)) == sorted(left)
        for identifier in left:
            del self._model[identifier]

    @rule(identifier=ANY, steps=st.lists(st.tuples(st.integers(0, 5), OFFSETS, DATA), max_size=8))
    def use_a_file_object(
        self, identifier: Identifier, steps: list[tuple[int, int, bytes]]
    ) -> None:
        """A BlobWriter does what a BytesIO does, until it is finalized."""
        if identifier in self._model:
            return
        blob, real = self._depot.create(identifier=identifier), io.BytesIO()
        model = Model(None)
        for step, number, data in steps:
            if step == 0:
                blob.truncate(number)
                real.truncate(number)
                real_size = len(real.getvalue())
                # Unlike a file, a BytesIO does not grow.
                if number > real_size:
                    at = real.tell()
                    real.seek(real_size)
                    real.write(bytes(number - real_size))
                    real.seek(at)
                    model.written |= set(range(real_size, number))
                model.written &= set(range(number))
            elif step == 1:
                assert blob.seek(number) == real.seek(number)
            elif step == 2:
                assert blob.read(number) == real.read(number)
            elif step == 3:
                assert blob.seek(0, io.SEEK_END) == real.seek(0, io.SEEK_END)
            else:
                at = real.tell()
                assert blob.write(data) == real.write(data)
                model.written |= set(range(at, at + len(data)))
            assert blob.tell() == real.tell()
        model.data[:] = real.getvalue()
        blob.finalize(zeroes=True)
        model.state = ObjectStateT.READABLE
        self._model[identifier] = model

    @invariant()
    def the_same(self) -> None:
        assert list(self._depot.identifiers()) == sorted(self._model)
        for identifier in IDENTIFIERS:
            model = self._model.get(identifier)
            state = ObjectStateT.NONEXISTENT if model is None else model.state
            assert self._depot.state(identifier) is state
            if model is None:
                continue
            info = self._depot.info(identifier)
            assert info.size == model.length
            peeked = self.maker.peek(self._depot, Path(self._folder.name), identifier)
            if state is ObjectStateT.READABLE:
                assert peeked == bytes(model.data)
                assert info.sha256 == hashlib.sha256(model.data).hexdigest()
                assert self._depot.missing_ranges(identifier) == []
            else:
                assert peeked is None
                assert self._depot.missing_ranges(identifier) == model.missing()

    def teardown(self) -> None:
        self.maker.close(self._depot)
        self._folder.cleanup()


@pytest.mark.parametrize("maker", DEPOTS, ids=lambda maker: maker.name)
def test_depots_behave_as_bytearrays(maker: DepotMaker) -> None:
    machine = type("Machine", (DepotMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=60, stateful_step_count=20)
    )
