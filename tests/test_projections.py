"""Projections: what the events of a log add up to."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

import objstore
from objstore.backings.records import MemoryRecordKeeper
from objstore.errors import FormatError, VerificationError
from objstore.events import Event, EventLog, Projection


@pytest.fixture
def log() -> EventLog:
    return EventLog(MemoryRecordKeeper())


class Transacted(dict[str, Any]):
    """A mapping that takes back what a block that fails has done."""

    @contextmanager
    def transaction(self) -> Generator[None]:
        before = dict(self)
        try:
            yield
        except BaseException:
            self.clear()
            self.update(before)
            raise


def count(state: Any, event: Event) -> None:
    if event.data == "bad":
        raise RuntimeError
    state[event.type] = state.get(event.type, 0) + 1


def test_a_projection_goes_on_where_it_stopped(log: EventLog) -> None:
    state: dict[str, Any] = {}
    log.extend(("a", n) for n in range(7))
    assert Projection(log, state, count, batch=3).update() == 7
    log.append("b")
    projection = Projection(log, state, count)
    assert (projection.position, projection.update(), projection.update()) == (7, 1, 0)
    assert (state["a"], state["b"], projection.position) == (7, 1, 8)
    projection.reset()
    assert (projection.position, projection.update()) == (0, 8)


def test_a_batch_that_fails_is_taken_back_and_folded_again(log: EventLog) -> None:
    state = Transacted()
    log.extend([("a", 1), ("a", 2), ("a", 3), ("a", "bad")])
    projection = Projection(log, state, count, batch=2)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            projection.update()
        assert (state["a"], projection.position) == (2, 2)


def test_a_projection_into_an_object_of_a_store_goes_on(log: EventLog) -> None:
    with objstore.open("memory://") as store:
        store["counts"] = {}
        for kind in ("order", "transaction", "transaction"):
            log.append(kind)
            assert Projection(log, store["counts"], count).update() == 1
        projection = Projection(log, store["counts"], count)
        assert (projection.update(), projection.position) == (0, 3)
        assert (store["counts"]["order"], store["counts"]["transaction"]) == (1, 2)


class Overtaken(Transacted):
    """Once somebody else comes first, as happens to who waits for a lock."""

    other: Callable[[], object] | None = None

    @contextmanager
    def transaction(self) -> Generator[None]:
        other, self.other = self.other, None
        if other is not None:
            other()
        with super().transaction():
            yield


def test_two_that_update_one_projection_count_every_event_once(log: EventLog) -> None:
    state = Overtaken()
    log.extend(("a", n) for n in range(20))

    def come_first() -> None:
        Projection(log, state, count, batch=3).update()
        log.append("b")

    state.other = come_first
    projection = Projection(log, state, count, batch=4)
    assert projection.update() == 1
    assert (state["a"], state["b"], projection.position) == (20, 1, 21)


def test_a_projection_of_another_log_is_refused(log: EventLog) -> None:
    state: dict[str, Any] = {}
    log.extend(("a", n) for n in range(3))
    Projection(log, state, count).update()
    other = EventLog(MemoryRecordKeeper())
    with pytest.raises(VerificationError, match="not the log that the projection was made of"):
        Projection(other, state, count).update()
    other.extend(("a", n) for n in range(9))
    with pytest.raises(VerificationError, match="event 3"):
        Projection(other, state, count).update()
    state["@position"] = 3
    with pytest.raises(FormatError, match="@position: expected the position"):
        Projection(log, state, count).update()
    with pytest.raises(ValueError, match="batch is at least 1"):
        Projection(log, state, count, batch=0)
