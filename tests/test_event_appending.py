"""Threads that append to one event log at the same time: one of them writes for all."""

from __future__ import annotations

import errno
import gc
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from weakref import ref

import pytest

from objstore import eventlines
from objstore.backings.filesystem.events import eventlog
from objstore.backings.filesystem.events.eventlog import SegmentRecordKeeper
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log import frames
from objstore.backings.filesystem.log.logwriter import Writer
from objstore.errors import BackingError, ConflictError, DuplicateEventError
from objstore.events import Event, EventLog
from tests.faults.interruptions import AlarmError
from tests.faults.seams import Failing

Call = Callable[[], Sequence[Event]]


class Broken(Failing):
    """Also takes back nothing of a write that fails, which leaves it uncertain what is there."""

    __slots__ = ()

    def reached(self, point: str, path: str) -> None:
        super().reached("write at" if self.at and point == "truncate" else point, path)


class Fickle(Failing):
    """Fails at each second time from the first."""

    __slots__ = ()

    def reached(self, point: str, path: str) -> None:
        try:
            super().reached(point, path)
        except OSError:
            self.left = 2
            raise


class Interrupted(Failing):
    """Is interrupted there, by a handler whose exception is an OSError as the system's are."""

    __slots__ = ()

    def reached(self, point: str, path: str) -> None:
        try:
            super().reached(point, path)
        except OSError:
            raise AlarmError from None


@pytest.fixture
def files(tmp_path: Path) -> Failing:
    return Failing(tmp_path / ".objstore/events")


@pytest.fixture
def keeper(files: Failing) -> SegmentRecordKeeper:
    made = SegmentRecordKeeper(files)
    made.add(Event("first"))
    return made


def together(keeper: SegmentRecordKeeper, calls: Sequence[Call]) -> list[Future[Sequence[Event]]]:
    """What comes of calls that are all begun, in their order, while another handle writes."""
    other = SegmentRecordKeeper(Files(keeper._files.root))
    with ThreadPoolExecutor(len(calls)) as pool:
        with other._log.writing():
            futures: list[Future[Sequence[Event]]] = []
            for call in calls:
                futures.append(pool.submit(call))
                while len(keeper._gathering._waiting) < len(futures):
                    time.sleep(0.001)
        return futures


def adding(keeper: SegmentRecordKeeper, *events: Event, expect: int | None = None) -> Call:
    return lambda: keeper.extend(events, expect=expect)


def test_each_call_gets_what_is_its_own(keeper: SegmentRecordKeeper) -> None:
    twice = UUID(int=5)
    one, two, three, four, five, six = together(
        keeper,
        [
            adding(keeper, Event("a", 1, uuid=twice)),
            adding(keeper, Event("b", 1), expect=1),
            adding(keeper, Event("a", 1, uuid=twice), Event("c")),
            adding(keeper, Event("d"), Event("a", 2, uuid=twice)),
            adding(keeper, Event("e"), expect=3),
            adding(keeper),
        ],
    )
    assert [event.position for event in one.result()] == [2]
    assert isinstance(two.exception(), ConflictError)
    assert [event.position for event in three.result()] == [2, 3]
    assert isinstance(four.exception(), DuplicateEventError)
    assert [event.position for event in five.result()] == [4]
    assert list(six.result()) == []
    log = EventLog(keeper)
    assert [event.type for event in log] == ["first", "a", "c", "e"]
    assert log.verify().position == 4


def test_they_share_one_write_and_one_sync(keeper: SegmentRecordKeeper, files: Failing) -> None:
    files.reached_points.clear()
    for future in together(keeper, [adding(keeper, Event("n", n)) for n in range(6)]):
        future.result()
    points = [point for point, _ in files.reached_points]
    assert points.count("write at") == points.count("sync data") == 1
    assert [event.data for event in EventLog(keeper)] == [None, *range(6)]


def test_a_sync_that_fails_is_told_to_all(keeper: SegmentRecordKeeper, files: Failing) -> None:
    files.fail("sync data")
    for future in together(keeper, [adding(keeper, Event("n", n)) for n in range(4)]):
        assert isinstance(future.exception(), BackingError)


def test_a_write_that_leaves_it_uncertain_is_told_to_each(tmp_path: Path) -> None:
    files = Broken(tmp_path / ".objstore/events")
    keeper = SegmentRecordKeeper(files)
    keeper.add(Event("first"))
    files.fail("write at", ever=True)
    calls = [adding(keeper, Event("n", n)) for n in range(3)]
    errors = [future.exception() for future in together(keeper, calls)]
    assert all(isinstance(error, BackingError) for error in errors)
    told = [str(error) for error in errors]
    assert ["could not be taken back" in one for one in told] == [True, True, True]
    files.mend()
    there = [event.data for event in EventLog(SegmentRecordKeeper(Files(files.root)))]
    assert there == [None]


def test_what_does_not_fit_together_is_written_one_by_one(tmp_path: Path) -> None:
    files = Fickle(tmp_path / ".objstore/events")
    keeper = SegmentRecordKeeper(files)
    keeper.add(Event("first"))
    files.fail("write at")
    calls = [adding(keeper, Event("n", n)) for n in range(3)]
    one, two, three = together(keeper, calls)
    assert isinstance(two.exception(), BackingError)
    assert [one.result()[0].position, three.result()[0].position] == [2, 3]
    assert [event.data for event in EventLog(keeper)] == [None, 0, 2]
    assert EventLog(keeper).verify().position == 3


@pytest.mark.parametrize("point", ["make", "rename"])
def test_events_are_appended_once_where_the_next_file_cannot_be_begun(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    point: str,
) -> None:
    monkeypatch.setattr(eventlog, "SEGMENT_SIZE", 2000)
    monkeypatch.setattr(eventlog, "_AGAIN", 1000)
    files = Failing(tmp_path / ".objstore/events", error=errno.ENOSPC)
    log = EventLog(SegmentRecordKeeper(files))
    log.append("n", 0)
    files.fail(point, ever=True)
    added = [0]
    for n in range(1, 30):
        with suppress(BackingError):  # nothing can be added once a file is marked as ended
            log.append("n", n)
            added.append(n)
    assert len(added) > 5
    files.mend()
    for n in range(30, 60):
        log.append("n", n)
    assert [event.data for event in log] == [*added, *range(30, 60)]
    assert log.verify().position == len(log) == len(added) + 30
    assert 1 <= len(caplog.messages) < 10, "it was not tried with each of them"
    assert len(list((tmp_path / ".objstore/events/log").iterdir())) > 1


def test_who_appends_too_much_spoils_it_for_nobody_else(
    keeper: SegmentRecordKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_PAYLOAD", 1000)
    small, large = Event("n", 1), Event("n", "x" * 1000)
    one, two, three = together(
        keeper, [adding(keeper, small), adding(keeper, large), adding(keeper, Event("n", 2))]
    )
    assert isinstance(two.exception(), ValueError)
    assert [one.result()[0].position, three.result()[0].position] == [2, 3]
    assert not keeper.exists(large.uuid)
    assert keeper.exists(small.uuid)


def test_an_interrupt_amid_writing_is_for_who_writes(tmp_path: Path) -> None:
    files = Interrupted(tmp_path / ".objstore/events")
    keeper = SegmentRecordKeeper(files)
    keeper.add(Event("first"))
    files.fail("write at")
    one, two = together(keeper, [adding(keeper, Event("n", n)) for n in range(2)])
    assert isinstance(one.exception(), AlarmError)
    with pytest.raises(BackingError, match="was interrupted: it may be there, or not"):
        two.result()
    files.fail("sync data")
    with pytest.raises(AlarmError):
        keeper.add(Event("n", 2))
    keeper.add(Event("n", 3))
    assert [event.data for event in EventLog(keeper)] == [None, 2, 3]
    assert EventLog(keeper).verify().position == 3


def test_an_interrupt_before_writing_is_for_who_writes(
    keeper: SegmentRecordKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_all = keeper._append_all

    def interrupted(writer: Writer, calls: Sequence[Any]) -> None:
        if len(calls) > 1:
            raise AlarmError
        append_all(writer, calls)

    monkeypatch.setattr(keeper, "_append_all", interrupted)
    one, two = together(keeper, [adding(keeper, Event("n", n)) for n in range(2)])
    assert isinstance(one.exception(), AlarmError)
    assert two.result()[0].position == 3
    assert [event.data for event in EventLog(keeper)] == [None, 0, 1]


def test_who_reads_what_was_just_written_indexes_it_once(
    keeper: SegmentRecordKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [Event("n", n) for n in range(4)]
    append_all = Writer.append_all

    def seen_by_another(*args: Any, **options: Any) -> Any:
        made = append_all(*args, **options)
        assert keeper.exists(events[1].uuid)
        return made

    assert keeper.exists(keeper.tail() or UUID(int=0))  # there is an index
    monkeypatch.setattr(Writer, "append_all", seen_by_another)
    together(keeper, [adding(keeper, event) for event in events])
    index = keeper._index
    assert index is not None
    assert index.count == 5
    assert [keeper.locate(event.uuid) for event in events] == [2, 3, 4, 5]
    assert keeper.head().position == 5


def test_a_batch_is_appended_again_without_going_through_it_for_each_event(
    keeper: SegmentRecordKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = [Event("n", n) for n in range(100)]
    keeper.extend(added)
    looks: list[bytes] = []
    find = eventlines.find

    def noted(payload: bytes, uuid: bytes) -> bytes | None:
        looks.append(uuid)
        return find(payload, uuid)

    monkeypatch.setattr(eventlines, "find", noted)
    assert list(keeper.extend(added)) == added
    assert keeper.head().position == 101
    assert [keeper.read(event.uuid) for event in added] == added
    assert not keeper.exists(uuid4())
    assert len(looks) <= 2


def test_a_keeper_that_is_dropped_closes_its_files_at_once(tmp_path: Path) -> None:
    keeper = SegmentRecordKeeper(Files(str(tmp_path / ".objstore/events")))
    added = keeper.extend([Event("n", n) for n in range(3)])
    assert keeper.read(added[1].uuid) == added[1]
    dropped = ref(keeper)
    gc.disable()
    try:
        del keeper
        assert dropped() is None
    finally:
        gc.enable()
