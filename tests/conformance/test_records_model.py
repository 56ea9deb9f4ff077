"""Random operations on two handles of a record keeper, beside a plain list."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from objstore.errors import ConflictError, DuplicateEventError, EventNotFoundError
from objstore.events import Event, EventLog
from tests.conformance.record_makers import MAKERS, Maker

whose = st.integers(0, 1)
values = st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.floats(0, 1)
places = st.integers(0, 30)


class LogMachine(RuleBasedStateMachine):
    """Two handles, but for a maker whose log is that of one."""

    maker: Maker

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.logs = [self.open(), self.open()]
        if not self.maker.is_shared:
            self.logs[1] = self.logs[0]
        self.model: list[Event] = []
        self.subscriptions = [log.subscribe(timeout=0) for log in self.logs]
        self.heard: list[list[Event]] = [[], []]

    def open(self) -> EventLog:
        return EventLog(self.maker.open(self.folder))

    def teardown(self) -> None:
        for log in self.logs:
            assert log.verify().position == len(self.model)
        for log in self.logs:
            log.close()
        if self.maker.is_shared:
            assert list(self.open()) == self.model
        shutil.rmtree(self.folder)

    @rule(who=whose, value=values)
    def append(self, who: int, value: Any) -> None:
        self.model.append(self.logs[who].append("one", value))

    @rule(who=whose, some=st.lists(values, max_size=5))
    def extend(self, who: int, some: list[Any]) -> None:
        self.model += self.logs[who].extend(("many", value) for value in some)

    @rule(who=whose, place=places, value=values)
    def again(self, who: int, place: int, value: Any) -> None:
        if self.model:
            known = self.model[place % len(self.model)]
            stored = self.logs[who].extend([known, Event("new", value)])
            assert stored[0].integrity == known.integrity
            self.model.append(stored[1])
            with pytest.raises(DuplicateEventError):
                self.logs[who].append("other", value, uuid=known.uuid)

    @rule(who=whose, place=places)
    def expect(self, who: int, place: int) -> None:
        size = len(self.model)
        expected: UUID | int = place
        if place < size:
            expected = self.model[place].uuid
        fits = place in (size - 1, size)
        try:
            self.model.append(self.logs[who].append("expected", expect=expected))
            assert fits
        except ConflictError:
            assert not fits

    @rule(who=whose, place=places)
    def read(self, who: int, place: int) -> None:
        log, model = self.logs[who], self.model
        assert [event.position for event in log.since(place)] == [*range(place + 1, len(model) + 1)]
        assert log[place : place + 3] == model[place : place + 3]
        if place < len(model):
            uuid = model[place].uuid
            assert log[place] == log[uuid] == model[place]
            assert log.next(uuid) == (model[place + 1].uuid if model[place + 1 :] else None)
            assert list(log.since(uuid)) == model[place + 1 :]
        with pytest.raises(EventNotFoundError):
            log.next(uuid4())

    @rule(who=whose)
    def hear(self, who: int) -> None:
        self.heard[who] += self.subscriptions[who]
        assert self.heard[who] == self.model

    @rule(who=whose)
    def reopen(self, who: int) -> None:
        if self.maker.is_shared:
            self.logs[who].close()
            self.logs[who] = self.open()
            after = len(self.heard[who])
            self.subscriptions[who] = self.logs[who].subscribe(after, timeout=0)

    @invariant()
    def the_same(self) -> None:
        for log in self.logs:
            assert len(log) == len(self.model)
            assert log.tail() == (self.model[-1].uuid if self.model else None)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.name)
def test_a_log_behaves_as_a_list(maker: Maker) -> None:
    machine = type("Machine", (LogMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=25, stateful_step_count=25)
    )


@pytest.mark.torture
@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.name)
def test_a_log_behaves_as_a_list_for_long(maker: Maker) -> None:
    machine = type("Machine", (LogMachine,), {"maker": maker})
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, max_examples=400, stateful_step_count=60)
    )
