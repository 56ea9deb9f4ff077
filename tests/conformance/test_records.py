"""Every record keeper does what seed 000 and docs/formats/events.md say."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

import jsonschema
import pytest

from objstore import Dict, List, schemas
from objstore.errors import (
    ClosedError,
    ConflictError,
    DuplicateEventError,
    EventNotFoundError,
    FormatError,
    ValidationError,
)
from objstore.events import EMPTY, Event, EventLog, RecordKeeper
from objstore.values import show
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
def keeper(maker: Maker, tmp_path: Path) -> Iterator[RecordKeeper]:
    made = maker.open(tmp_path)
    yield made
    EventLog(made).verify()
    made.close()


@dataclass
class Point:
    x: float


class Odd(Enum):
    NONE = float("nan")


def walk(keeper: RecordKeeper) -> list[UUID]:
    """The UUIDs as seed 000 walks them."""
    found: list[UUID] = []
    uuid = keeper.next()
    while uuid is not None:
        found.append(uuid)
        uuid = keeper.next(uuid)
    return found


def fill(keeper: RecordKeeper, count: int) -> list[Event]:
    added = [Event("filled", {"n": n}) for n in range(count)]
    for event in added:
        keeper.add(event)
    return added


def at_once(work: Sequence[Callable[[], object]]) -> None:
    """Do it in a thread each, begun together."""
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        barrier.wait()
        one()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Seed 000


def test_line_1_head_next_and_tail_walk_the_events_in_the_order_added(keeper: RecordKeeper) -> None:
    added = fill(keeper, 30)
    assert walk(keeper) == [event.uuid for event in added]
    assert keeper.tail() == added[-1].uuid
    assert [keeper.read(event.uuid) for event in added] == added
    assert all(keeper.exists(event.uuid) for event in added)


def test_line_1_empty_gives_none(keeper: RecordKeeper) -> None:
    assert keeper.next() is None
    assert keeper.tail() is None
    assert not keeper.exists(uuid4())
    assert keeper.head() == EMPTY
    assert list(keeper.lines()) == []


def test_line_1_the_next_of_the_tail_is_none(keeper: RecordKeeper) -> None:
    [event] = fill(keeper, 1)
    assert keeper.next() == keeper.tail() == event.uuid
    assert keeper.next(event.uuid) is None


@pytest.mark.parametrize("count", [0, 3])
def test_line_1_unknown_uuids_are_value_errors(keeper: RecordKeeper, count: int) -> None:
    fill(keeper, count)
    unknown = uuid4()
    with pytest.raises(ValueError, match=f"there is no event {unknown}"):
        keeper.read(unknown)
    with pytest.raises(EventNotFoundError):
        keeper.next(unknown)
    with pytest.raises(ValueError):
        list(keeper.lines(unknown))
    assert not keeper.exists(unknown)


# What goes in comes out


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        "",
        'tab\t newline\n quote" \\ ,\t \u2028 \x00 ÿ 😀',
        0,
        -1,
        1.0,
        1e300,
        5e-324,
        0.1,
        2**53 - 1,
        {"a": [1.0, {"b": None}], "uuid": "x", "integrity": {"hash": "y"}},
        {"😀": 1, "\uffff": 2},
        {"uuid": str(UUID(int=7)), "integrity": {"hash": "0" * 64, "position": 7}},
        {"n": "1" * 5000},
    ],
    ids=lambda data: repr(data)[:20],
)
def test_data_comes_back_as_it_was(keeper: RecordKeeper, data: Any) -> None:
    event = Event("any", data, author='an author\t"', version=3)
    keeper.extend([Event("before"), event, Event("behind")])
    found = keeper.read(event.uuid)
    assert found == event
    assert repr(found.data) == repr(data) or isinstance(data, dict)
    assert (found.type, found.author, found.version, found.time, found.position) == (
        "any",
        'an author\t"',
        3,
        event.time,
        2,
    )
    assert len(walk(keeper)) == 3


@pytest.mark.parametrize(
    ("data", "contents"),
    [
        (Dict(name="Ada", of=List([1, 2])), {"name": "Ada", "of": [1, 2]}),
        ({"who": Dict(name="Ada")}, {"who": {"name": "Ada"}}),
        (OrderedDict[str, Any](b=1, a=(2, 3)), {"a": [2, 3], "b": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
    ],
)
def test_what_can_be_assigned_to_an_object_is_data_too(
    keeper: RecordKeeper, data: Any, contents: Any
) -> None:
    log, uuid = EventLog(keeper), uuid4()
    for _ in range(2):
        assert log.append("n", data, uuid=uuid).data == contents
    assert [event.data for event in log] == [contents]
    log.schema("n", {"type": "object", "maxProperties": 2})
    assert log.append("n", data).data == contents
    log.schema("n", {"type": "object", "maxProperties": 0})
    with pytest.raises(ValidationError, match=f"at most 0 .*found {show(contents)}"):
        log.append("n", data)


def test_every_line_fits_its_schema(keeper: RecordKeeper) -> None:
    keeper.add(Event("one", {"x": 1.0}, author="me", version=2))
    fill(keeper, 3)
    validator: Any = jsonschema.Draft202012Validator(schemas.load("event"))
    for some in keeper.lines():
        for line in some:
            validator.validate(json.loads(line))


@pytest.mark.parametrize(
    ("data", "pointer", "reason"),
    [
        ({"a": [1, float("nan")]}, "/a/1", "NaN"),
        (float("inf"), "", "infinity"),
        (2**53, "", "RFC 8785"),
        (2**70, "", "64-bit"),
        ({1: 2}, "", "str"),
        ({"a": {1, 2}}, "/a", "set"),
        ({"a/b": [date(2026, 11, 20)]}, "/a~1b/0", "a date"),
        ({"a": Point(float("nan"))}, "/a", "a Point"),
        (OrderedDict[str, Any](a=[float("nan")]), "/a/0", "a finite number"),
        ({"a": {"b": Odd.NONE}}, "/a/b", "NaN"),
        ("\ud800", "", "surrogates"),
        ({"\ud800": 1}, "/\\ud800", "surrogates"),
    ],
)
def test_data_that_json_cannot_hold_is_refused_and_nothing_added(
    keeper: RecordKeeper, data: Any, pointer: str, reason: str
) -> None:
    fill(keeper, 1)
    with pytest.raises(FormatError, match=reason) as caught:
        keeper.extend([Event("good"), Event("bad", data)])
    assert caught.value.pointer == pointer
    assert caught.value.source == 'the data of an event "bad"'
    assert keeper.head().position == 1


NO_UUIDS: Any = ["96f76903-7b92-44d1-8e53-fc47a520684c", "../../../head", 1, b"", Event("n")]


@pytest.mark.parametrize("other", NO_UUIDS, ids=type)
def test_what_is_no_uuid_is_refused(keeper: RecordKeeper, other: Any) -> None:
    fill(keeper, 2)
    for call in (keeper.read, keeper.exists, keeper.next):
        with pytest.raises(TypeError, match=r"an event's uuid is a uuid\.UUID, not"):
            call(other)
    with pytest.raises(TypeError, match=r"an event's uuid is a uuid\.UUID, not NoneType"):
        keeper.read(None)  # type: ignore[arg-type]


def test_what_is_no_place_is_refused(keeper: RecordKeeper) -> None:
    fill(keeper, 2)
    bad: Any
    for bad in ("x", 1.5, True, b""):
        for call in (keeper.locate, keeper.batches, EventLog(keeper).since):
            with pytest.raises(TypeError, match="a place in a log is a UUID or a position, not"):
                list(call(bad))  # type: ignore[arg-type]
    for call in (keeper.locate, keeper.batches, EventLog(keeper).subscribe):
        with pytest.raises(ValueError, match="a position in a log is 0 or more, not -1"):
            list(call(-1))  # type: ignore[arg-type]


def test_what_is_no_event_or_expectation_is_refused(keeper: RecordKeeper) -> None:
    fill(keeper, 1)
    bad: Any
    for bad in ({"type": "n"}, None, ("n", 1)):
        with pytest.raises(TypeError, match="expected an Event, found"):
            keeper.extend([Event("good"), bad])
    for bad in ("1", True, 1.0, Event("n")):
        with pytest.raises(TypeError, match="expect is a UUID or a number of events, not"):
            keeper.extend([Event("n")], expect=bad)
    assert keeper.head().position == 1


# Once


def test_the_same_event_twice_is_one(keeper: RecordKeeper) -> None:
    event = Event("once", {"x": 1})
    keeper.add(event)
    fill(keeper, 2)
    again = Event("once", {"x": 1}, uuid=event.uuid)
    [stored] = keeper.extend([again])
    keeper.add(event)
    assert stored.position == 1
    assert len(walk(keeper)) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"type": "other"},
        {"data": {"x": 2}},
        {"author": "me"},
        {"version": 2},
    ],
    ids=repr,
)
def test_another_content_under_the_same_uuid_is_an_error(
    keeper: RecordKeeper, other: dict[str, object]
) -> None:
    event = Event("once", {"x": 1})
    keeper.add(event)
    fields: dict[str, Any] = {"type": "once", "data": {"x": 1}, "uuid": event.uuid, **other}
    with pytest.raises(DuplicateEventError, match=f"there is an event {event.uuid} of other"):
        keeper.add(Event(**fields))
    assert walk(keeper) == [event.uuid]
    assert keeper.read(event.uuid).data == {"x": 1}


def test_a_call_with_another_content_adds_nothing(keeper: RecordKeeper) -> None:
    [first] = fill(keeper, 1)
    twice = Event("twice", 1)
    for other in (
        [Event("good"), Event("filled", "other", uuid=first.uuid)],
        [Event("good"), twice, Event("twice", 2, uuid=twice.uuid)],
    ):
        with pytest.raises(DuplicateEventError):
            keeper.extend(other)
    assert walk(keeper) == [first.uuid]


def test_an_event_twice_in_one_call_comes_back_as_it_is_stored(keeper: RecordKeeper) -> None:
    event, other = Event("twice", {"n": 1.0}), Event("other")
    first, behind, again, same = keeper.extend(
        [event, other, event, Event("twice", {"n": 1.0}, uuid=event.uuid)]
    )
    assert [one.position for one in (first, behind, again, same)] == [1, 2, 1, 1]
    assert first == again == same == keeper.read(event.uuid)
    assert first.integrity == again.integrity == same.integrity


def test_an_event_twice_in_one_call_is_one(keeper: RecordKeeper) -> None:
    event = Event("once")
    stored = keeper.extend([event, Event("else"), event])
    assert [one.type for one in stored] == ["once", "else", "once"]
    assert len(walk(keeper)) == 2


def test_a_batch_that_was_added_in_part_is_completed(keeper: RecordKeeper) -> None:
    added = [Event("part", n) for n in range(5)]
    keeper.extend(added[:2])
    stored = keeper.extend(added)
    assert [one.position for one in stored] == [1, 2, 3, 4, 5]
    assert walk(keeper) == [event.uuid for event in added]


# What is expected


def test_expect_is_the_tail_or_the_count(keeper: RecordKeeper) -> None:
    first, second, third = Event("first"), Event("second"), Event("third")
    keeper.extend([first], expect=0)
    keeper.extend([second], expect=first.uuid)
    with pytest.raises(ConflictError, match=f"expected its tail to be {first.uuid}; the log has 2"):
        keeper.extend([third], expect=first.uuid)
    with pytest.raises(
        ConflictError, match="expected the log to have 1 events; it has 2"
    ) as caught:
        keeper.extend([third], expect=1)
    assert (caught.value.base, caught.value.theirs) == (1, 2)
    with pytest.raises(ConflictError):
        keeper.extend([third], expect=uuid4())
    assert walk(keeper) == [first.uuid, second.uuid]
    keeper.extend([third], expect=2)
    assert keeper.tail() == third.uuid


def test_who_appends_again_is_told_that_it_was_appended(keeper: RecordKeeper) -> None:
    event = Event("retried")
    keeper.extend([event], expect=0)
    fill(keeper, 1)
    [stored] = keeper.extend([event], expect=0)
    assert stored.position == 1


# Places


def test_lines_behind_a_place(keeper: RecordKeeper) -> None:
    added = fill(keeper, 4)
    keeper.extend([Event("batch", n) for n in range(50)])
    every = [line for some in keeper.lines() for line in some]
    assert len(every) == 54
    for after in (0, 1, 3, 4, 5, 20, 53, 54, 55, 1000):
        assert [line for some in keeper.lines(after) for line in some] == every[after:]
    for position, event in enumerate(added, 1):
        assert [line for some in keeper.lines(event.uuid) for line in some] == every[position:]
        assert keeper.locate(event.uuid) == position


def test_closed(maker: Maker, tmp_path: Path) -> None:
    keeper = maker.open(tmp_path)
    [event] = fill(keeper, 1)
    keeper.close()
    keeper.close()
    for call in (
        keeper.tail,
        keeper.next,
        keeper.head,
        keeper.lines,
        lambda: keeper.add(event),
        lambda: keeper.read(event.uuid),
        lambda: keeper.exists(event.uuid),
        lambda: keeper.locate(0),
        lambda: EventLog(keeper).subscribe(),
        lambda: EventLog(keeper).extend([]),
    ):
        with pytest.raises(ClosedError):
            call()


# Others


def test_another_handle_sees_what_was_added(shared: Maker, tmp_path: Path) -> None:
    one, two = shared.open(tmp_path), shared.open(tmp_path)
    assert two.tail() is None
    added: list[UUID] = []
    for turn in range(40):
        mine, its = Event("one", turn), Event("two", turn)
        one.add(mine)
        assert two.tail() == mine.uuid
        assert two.read(mine.uuid) == mine
        two.add(its)
        assert one.next(mine.uuid) == its.uuid
        assert one.head() == two.head()
        added += [mine.uuid, its.uuid]
    assert walk(one) == walk(two) == added
    assert walk(shared.open(tmp_path)) == added


ASKED: dict[str, Callable[[EventLog, UUID], object]] = {
    "exists": lambda log, uuid: log.exists(uuid),
    "read": lambda log, uuid: log.read(uuid),
    "next": lambda log, uuid: log.next(uuid) is None,
    "locate": lambda log, uuid: log.keeper.locate(uuid) == 2,
    "lines": lambda log, uuid: list(log.keeper.lines(uuid)) == [],
    "in": lambda log, uuid: uuid in log,
    "item": lambda log, uuid: log[uuid].position == 2,
    "slice": lambda log, uuid: [event.uuid for event in log[uuid:]] == [uuid],
    "subscribe": lambda log, uuid: list(log.subscribe(uuid, timeout=0)) == [],
}


@pytest.mark.parametrize("asked", ASKED)
def test_another_handle_finds_what_was_just_added(
    shared: Maker, tmp_path: Path, asked: str
) -> None:
    one, two = shared.open(tmp_path), shared.open(tmp_path)
    first, event = Event("first"), Event("other")
    two.add(first)
    assert one.exists(first.uuid)
    assert not one.exists(event.uuid)
    two.add(event)
    assert ASKED[asked](EventLog(one), event.uuid)


def test_it_is_all_there_when_opened_again(shared: Maker, tmp_path: Path) -> None:
    keeper = shared.open(tmp_path)
    added = fill(keeper, 5)
    if_left_open = shared.open(tmp_path)
    assert walk(if_left_open) == [event.uuid for event in added]
    keeper.close()
    again = shared.open(tmp_path)
    assert walk(again) == [event.uuid for event in added]
    added += fill(again, 3)
    assert [again.read(event.uuid) for event in added] == added
    assert again.head().position == 8


@pytest.mark.parametrize("maker", ON_FILES, ids=lambda maker: maker.name)
def test_opening_and_reading_writes_nothing(maker: Maker, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    with EventLog(maker.open(folder)) as log:
        assert list(log) == []
        assert log.verify() == EMPTY
        log.extend([])
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("one_handle", [True, False], ids=["one handle", "a handle each"])
def test_threads_that_add_at_once_lose_none(maker: Maker, tmp_path: Path, one_handle: bool) -> None:
    keeper = maker.open(tmp_path)
    together = one_handle or not maker.is_shared
    handles = [keeper if together else maker.open(tmp_path) for _ in range(4)]
    added: list[list[UUID]] = [[] for _ in handles]

    def add(who: int) -> None:
        for n in range(25):
            event = Event("raced", {"who": who, "n": n})
            handles[who].add(event)
            added[who].append(event.uuid)

    at_once([partial(add, who) for who in range(4)])
    found = walk(keeper)
    assert sorted(found) == sorted(uuid for some in added for uuid in some)
    for some in added:
        assert [uuid for uuid in found if uuid in some] == some
    assert EventLog(keeper).verify().position == 100


def test_two_race_for_one_tail(maker: Maker, tmp_path: Path) -> None:
    keeper = maker.open(tmp_path)
    for round_ in range(30):
        results: list[object] = []

        def race(who: int, expect: int = round_, results: list[object] = results) -> None:
            try:
                results += keeper.extend([Event("raced", who)], expect=expect)
            except ConflictError as error:
                results.append(error)

        at_once([partial(race, who) for who in range(2)])
        assert sorted(type(one).__name__ for one in results) == ["ConflictError", "Event"]
    assert keeper.head().position == 30


def test_the_same_event_from_many_at_once_is_one(maker: Maker, tmp_path: Path) -> None:
    keeper = maker.open(tmp_path)
    for _ in range(20):
        event = Event("idempotent", {"x": 1})
        positions: list[int] = []

        def add(event: Event = event, positions: list[int] = positions) -> None:
            positions.extend(one.position for one in keeper.extend([event]))

        at_once([add] * 4)
        assert len(positions) == 4
        assert len(set(positions)) == 1
    assert keeper.head().position == 20
