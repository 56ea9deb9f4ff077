"""The event log on every record keeper: reading like a list, following, verifying."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from objstore.backings.records import MemoryRecordKeeper
from objstore.errors import ClosedError, EventNotFoundError, VerificationError
from objstore.events import Event, EventLog, Head
from objstore.keeper import Place, RecordKeeper
from tests.conformance.record_makers import MAKERS, ON_FILES, SHARED, Maker


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture(params=SHARED, ids=lambda maker: maker.name)
def shared(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture
def log(maker: Maker, tmp_path: Path) -> Iterator[EventLog]:
    with EventLog(maker.open(tmp_path)) as made:
        yield made
        made.verify()


def numbers(events: Iterator[Event] | list[Event]) -> list[int]:
    return [event.data for event in events]


# Reading


def test_append_returns_the_event_as_it_is_stored(log: EventLog) -> None:
    event = log.append("person-added", {"id": "bob"}, author="me")
    assert (event.type, event.data, event.author) == ("person-added", {"id": "bob"}, "me")
    assert event.position == 1
    assert event == log[0] == log[-1] == log[event.uuid] == log.read(event.uuid)
    assert event.integrity == log[0].integrity
    assert event in log
    assert event.uuid in log
    assert uuid4() not in log
    assert log.head() == Head(1, event.integrity.hash if event.integrity else "")


def test_it_reads_as_a_list(log: EventLog) -> None:
    assert (len(log), list(log), log[:]) == (0, [], [])
    added = log.extend(("n", n) for n in range(30))
    plain = list(range(30))
    assert numbers(iter(log)) == plain
    for key in (slice(None), slice(3, 7), slice(-5, None), slice(None, None, 3), slice(9, 2, -2)):
        assert numbers(log[key]) == plain[key]
    assert [log[at].data for at in (0, 7, 29, -1, -30)] == [0, 7, 29, 29, 0]
    for index in (30, -31):
        with pytest.raises(IndexError, match=f"the log has 30 events, and none at index {index}"):
            log[index]
    assert log[added[4] : added[9].uuid] == added[4:9]
    with pytest.raises(EventNotFoundError):
        log[uuid4()]


def test_since_an_event_a_uuid_or_a_position(log: EventLog) -> None:
    added = log.extend(("n", n) for n in range(10))
    for after in (added[3], added[3].uuid, 4):
        assert numbers(log.since(after)) == [4, 5, 6, 7, 8, 9]
    assert list(log.since(added[9])) == list(log.since(10)) == []


class Plain(MemoryRecordKeeper):
    """Reads as makers do that know no faster way."""

    batches = RecordKeeper.batches


def test_iterating_ends_at_the_tail_as_it_was_with_makers_of_ones_own() -> None:
    test_iterating_ends_at_the_tail_as_it_was_when_it_began(EventLog(Plain()))


def test_iterating_ends_at_the_tail_as_it_was_when_it_began(log: EventLog) -> None:
    log.extend(("n", n) for n in range(5))
    empty = log.since(5)
    for after, expected in ((None, [0, 1, 2, 3, 4]), (2, [2, 3, 4, 0, 0, 0, 0, 0]), (18, [])):
        seen: list[int] = []
        for event in log.since(after):
            seen.append(event.data)
            assert len(seen) < 10
            log.append("n", 0)
        assert seen == expected
    assert list(empty) == []
    with pytest.raises(EventNotFoundError):
        log.since(uuid4())


def test_extend_takes_events_and_pairs(log: EventLog) -> None:
    event = Event("b", 2, author="me")
    stored = log.extend([("a", 1), event])
    assert [(one.type, one.data, one.author) for one in stored] == [("a", 1, None), ("b", 2, "me")]
    assert log.extend([]) == []


# Following


def test_a_subscription_replays_and_then_follows(log: EventLog) -> None:
    log.extend(("n", n) for n in range(300))
    heard: list[int] = []
    with log.subscribe(100) as subscription:

        def hear() -> None:
            heard.extend(event.data for event in subscription)

        thread = threading.Thread(target=hear)
        thread.start()
        for n in range(300, 340):
            log.append("n", n)
        while len(heard) < 240:
            time.sleep(0.001)
    thread.join()
    assert heard == list(range(100, 340))


def test_a_subscription_ends_when_nothing_came_for_so_long(log: EventLog) -> None:
    log.append("n", 1)
    assert numbers(list(log.subscribe(timeout=0))) == [1]
    assert numbers(list(log.subscribe(timeout=0.01))) == [1]
    assert numbers(list(log.subscribe(after=log.tail(), timeout=0))) == []


def test_a_subscription_finds_its_place_once_for_all_that_is_there(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.extend(("n", n) for n in range(600))
    places: list[Place] = []
    batches = log.keeper.batches

    def noted(after: Place = None) -> Iterator[bytes]:
        places.append(after)
        return batches(after)

    monkeypatch.setattr(log.keeper, "batches", noted)
    subscription = log.subscribe(after=50, timeout=0)
    assert [next(subscription).data for _ in range(206)] == list(range(50, 256))
    log.append("n", 600)
    assert numbers(list(subscription)) == list(range(256, 601))
    assert places[0] == 50
    assert len(places) <= 3  # those that were there, the one behind, and nothing


def test_a_subscription_goes_on_at_once_where_all_that_was_there_is_read(log: EventLog) -> None:
    log.extend(("n", n) for n in range(256))
    subscription = log.subscribe(timeout=0)
    assert [next(subscription).data for _ in range(256)] == list(range(256))
    log.append("n", 256)
    assert numbers(list(subscription)) == [256]


def test_a_subscription_to_a_closed_log_ends_with_an_error(maker: Maker, tmp_path: Path) -> None:
    log = EventLog(maker.open(tmp_path))
    log.extend(("n", n) for n in range(600))
    subscription = log.subscribe(timeout=0)
    assert next(subscription).data == 0
    log.close()
    with pytest.raises(ClosedError):
        list(subscription)


@pytest.mark.parametrize("maker", ON_FILES, ids=lambda maker: maker.name)
def test_who_goes_over_a_log_that_is_closed_reads_no_more(maker: Maker, tmp_path: Path) -> None:
    log = EventLog(maker.open(tmp_path))
    for n in range(100):
        log.append("n", n)
    some, unbegun = iter(log), iter(log)
    assert next(some).data == 0
    log.close()
    for one in (some, unbegun):
        with pytest.raises(ClosedError):
            list(one)


def test_an_event_that_cannot_be_upcast_is_told_behind_those_before_it(log: EventLog) -> None:
    log.extend(("n", n) for n in range(6))
    is_mended = False

    @log.upcaster("n")
    def upcast(data: int) -> int:
        if data == 3 and not is_mended:
            raise LookupError("no three")
        return 10 * data

    subscription = log.subscribe(timeout=0)
    assert [next(subscription).data for _ in range(3)] == [0, 10, 20]
    for _ in range(2):
        with pytest.raises(LookupError, match="no three"):
            next(subscription)
    is_mended = True
    assert numbers(list(subscription)) == [30, 40, 50]


def test_an_unknown_place_is_refused_at_once(log: EventLog) -> None:
    with pytest.raises(EventNotFoundError):
        log.subscribe(uuid4())


def test_async_iteration_follows_too(log: EventLog) -> None:
    async def follow() -> list[int]:
        heard: list[int] = []
        subscription = log.subscribe()
        async for event in subscription:
            heard.append(event.data)
            if event.data < 20:
                log.append("n", event.data + 1)
            else:
                subscription.close()
        return heard

    async def both() -> list[list[int]]:
        log.append("n", 0)
        first = await follow()
        rest = log.subscribe(timeout=0.02)
        return [first, [event.data async for event in rest]]

    assert asyncio.run(both()) == [list(range(21))] * 2


def test_others_that_append_are_followed(shared: Maker, tmp_path: Path) -> None:
    log = EventLog(shared.open(tmp_path))
    subscription = log.subscribe(timeout=5)
    others = [EventLog(shared.open(tmp_path)) for _ in range(3)]

    def append(who: int) -> None:
        for n in range(30):
            others[who].append("n", [who, n])

    threads = [threading.Thread(target=append, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    heard = [next(subscription) for _ in range(90)]
    for thread in threads:
        thread.join()
    assert heard == list(others[0])
    assert [event.position for event in heard] == list(range(1, 91))


# Verifying


def test_verify_tells_how_far_it_is_and_what_it_came_to(log: EventLog) -> None:
    log.extend(("n", n) for n in range(10))
    told: list[tuple[int, int]] = []
    assert log.verify(progress=lambda done, of: told.append((done, of))) == log.head()
    assert told[-1] == (10, 10)


def test_a_head_written_down_earlier_still_holds(log: EventLog) -> None:
    heads = [log.head()]
    for n in range(5):
        log.append("n", n)
        heads.append(log.head())
    for head in heads:
        assert log.verify(head=head) == heads[-1]


def test_a_head_of_another_log_does_not_hold(log: EventLog) -> None:
    log.extend(("n", n) for n in range(5))
    with pytest.raises(VerificationError, match="are others than those of the head") as caught:
        log.verify(head=Head(3, "0" * 64))
    assert (caught.value.position, caught.value.uuid) == (3, log[2].uuid)
    with pytest.raises(VerificationError, match="it is missing, as the log had 7 events") as caught:
        log.verify(head=Head(7, "0" * 64))
    assert caught.value.position == 6


def test_data_as_deep_as_json_is_written_are_verified(log: EventLog) -> None:
    data: list[object] = []
    for _ in range(253):
        data = [data]
    log.extend([("flat", 0), ("deep", data), ("flat", 1)])
    log.append("deep", data)
    assert log[1].data == log[3].data == data
    assert log.verify() == log.head()
