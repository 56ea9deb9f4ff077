"""Events on a Storage: together with all else that a transaction writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.sqlite import SqliteStorage
from objstore.backings.storage_records import StorageRecordKeeper
from objstore.documents import Commit
from objstore.errors import ContainerNotFoundError, CorruptionError, VerificationError
from objstore.events import Event, EventLog, Subscription
from objstore.storage import Storage


@pytest.fixture(params=["sqlite", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    kind = SqliteStorage if request.param == "sqlite" else MemoryStorage
    return kind(tmp_path / "storage", create=True)


def test_containers_are_made_with_the_first_event(storage: Storage) -> None:
    log = EventLog(StorageRecordKeeper(storage, "happened"))
    assert (list(log), log.tail()) == ([], None)
    with pytest.raises(ContainerNotFoundError):
        storage.get_container_len("happened")
    event = log.append("n", 1)
    assert storage.get_container_item("happened", f"{1:016}")
    assert storage.get_container_item("happened.uuids", str(event.uuid)) == f"{1:016}"
    assert storage.get_container_item("happened.uuids", "tail") == f"{1:016}"


def test_events_are_committed_with_all_else_or_not_at_all(storage: Storage) -> None:
    storage.add_container("people")
    log = EventLog(StorageRecordKeeper(storage))
    log.append("n", 0)
    with pytest.raises(ZeroDivisionError), storage.transaction():
        storage.set_container_item("people", "bob", "Bob")
        log.append("person-added", {"id": "bob"})
        raise ZeroDivisionError
    assert [event.data for event in log] == [0]
    with storage.transaction():
        storage.set_container_item("people", "bob", "Bob")
        log.append("person-added", {"id": "bob"})
        assert len(log) == 2
    assert log[1].data == {"id": "bob"}
    assert log.verify().position == 2
    assert storage.get_container_item("people", "bob") == "Bob"


def _taken(subscription: Subscription) -> list[int]:
    return [event.data for event in subscription]


def test_a_subscription_goes_back_with_a_transaction(storage: Storage) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    log.append("n", 0)
    subscription = log.subscribe(timeout=0)
    assert _taken(subscription) == [0]
    with pytest.raises(ZeroDivisionError), storage.transaction():
        log.extend([("n", 1), ("n", 2), ("n", 3)])
        assert _taken(subscription) == [1, 2, 3]
        raise ZeroDivisionError
    assert _taken(subscription) == []
    log.extend([("n", 4), ("n", 5)])
    assert _taken(subscription) == [4, 5]
    with storage.transaction():
        log.append("n", 6)
        assert _taken(subscription) == [6]
    assert _taken(subscription) == []
    log.append("n", 7)
    assert _taken(subscription) == [7]


@pytest.mark.parametrize("before", [0, 300])
def test_what_is_taken_back_before_it_was_taken_is_not_given(storage: Storage, before: int) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    log.extend(("n", n) for n in range(before))
    subscription = log.subscribe(timeout=0)
    with pytest.raises(ZeroDivisionError), storage.transaction():
        log.extend(("n", n) for n in range(before, 1000))
        assert next(subscription).data == 0
        raise ZeroDivisionError
    assert _taken(subscription) == [*range(1, before)]
    log.extend(("n", -n) for n in range(3))
    assert _taken(subscription) == [0, -1, -2]


def test_a_subscription_goes_back_with_a_savepoint(storage: Storage) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    subscription = log.subscribe(timeout=0)
    same = Event("n", 3)
    with storage.transaction():
        log.append("n", 0)
        assert _taken(subscription) == [0]
        with pytest.raises(ZeroDivisionError), storage.transaction():
            log.extend([Event("n", 1), Event("n", 2), same])
            assert [next(subscription).data for _ in range(3)] == [1, 2, 3]
            raise ZeroDivisionError
        log.extend([Event("n", 4), Event("n", 5), same])
        assert _taken(subscription) == [4, 5, 3]
    assert _taken(subscription) == []
    assert [event.data for event in log] == [0, 4, 5, 3]


def test_a_subscription_may_begin_behind_an_event_that_is_taken_back(storage: Storage) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    log.append("n", 0)
    subscriptions: list[Subscription] = []
    with pytest.raises(ZeroDivisionError), storage.transaction():
        events = log.extend([("n", 1), ("n", 2), ("n", 3)])
        subscriptions += [log.subscribe(event, timeout=0) for event in events]
        assert list(map(_taken, subscriptions[::2])) == [[2, 3], []]
        raise ZeroDivisionError
    assert list(map(_taken, subscriptions)) == [[], [], []]
    log.extend([("n", 4), ("n", 5)])
    assert list(map(_taken, subscriptions)) == [[4, 5]] * 3
    with storage.transaction():
        event = log.append("n", 6)
        subscription = log.subscribe(event, timeout=0)
        log.append("n", 7)
    assert _taken(subscription) == [7]


def test_to_follow_in_a_transaction_looks_at_each_event_a_few_times(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    log.extend(("n", n) for n in range(500))
    subscription, asked = log.subscribe(timeout=0), list[str]()
    real = storage.get_container_items

    def counted(c_id: str, keys: Iterable[Any] | None = None) -> Iterator[tuple[str, Any]]:
        names = list(keys or ())
        asked.extend(names)
        return real(c_id, names)

    monkeypatch.setattr(storage, "get_container_items", counted)
    with storage.transaction():
        assert _taken(subscription) == [*range(500)]
    assert len(asked) < 4 * 500
    del asked[:]
    assert log[100].data == 100
    assert len(asked) < 4


def test_commits_that_were_followed_in_a_transaction_taken_back_are_followed_again(
    storage: Storage,
) -> None:
    log, source = EventLog(StorageRecordKeeper(storage)), uuid4()
    commits = [
        Commit(number, datetime(2026, 11, 20, tzinfo=UTC), {}, None, ()) for number in (1, 2, 3)
    ]
    assert log.follow_commits(commits[:1], source=source) == 1
    with pytest.raises(ZeroDivisionError), storage.transaction():
        assert log.follow_commits(commits[1:], source=source) == 2
        assert log.followed(source) == 3
        raise ZeroDivisionError
    assert log.followed(source) == 1
    assert log.follow_commits(commits[1:], source=source) == 2
    assert [event.data["number"] for event in log] == [1, 2, 3]


def test_closing_leaves_the_storage_open(storage: Storage) -> None:
    with EventLog(StorageRecordKeeper(storage)) as log:
        log.append("n", 1)
    assert len(EventLog(StorageRecordKeeper(storage))) == 1


def test_an_event_that_is_missing_or_changed_is_named(storage: Storage) -> None:
    keeper = StorageRecordKeeper(storage)
    added = [Event("n", n) for n in range(5)]
    keeper.extend(added)
    line = storage.get_container_item("events", f"{3:016}")
    assert isinstance(line, bytes)
    storage.set_container_item("events", f"{3:016}", line.replace(b'"data":\t2', b'"data":\t7'))
    with pytest.raises(VerificationError, match=f"^event 3, {added[2].uuid}"):
        EventLog(keeper).verify()
    storage.delete_container_item("events", f"{3:016}")
    with pytest.raises(CorruptionError, match="events, 0000000000000003: this event is missing"):
        keeper.read(added[2].uuid)
    with pytest.raises(VerificationError, match=r"^event 3: .*this event is missing"):
        EventLog(keeper).verify()


def _key(position: int) -> str:
    return f"{position:016}"


def _assert_damaged(storage: Storage, words: str, position: int) -> None:
    """``verify`` names the event, and nothing is added or changed."""
    log = EventLog(StorageRecordKeeper(storage))
    with pytest.raises(VerificationError, match=words) as caught:
        log.verify()
    assert caught.value.position == position
    before = dict(storage.get_container_items("events"))
    for call in (log.tail, log.head, lambda: log.append("n"), lambda: log[-1]):
        with pytest.raises(CorruptionError, match=words):
            call()
    assert dict(storage.get_container_items("events")) == before


def _lose_tail(storage: Storage) -> None:
    storage.delete_container_item("events.uuids", "tail")


def _lose_uuids(storage: Storage) -> None:
    storage.delete_container("events.uuids")


@pytest.mark.parametrize("lose", [_lose_tail, _lose_uuids])
def test_events_without_a_tail_are_damage(
    storage: Storage, lose: Callable[[Storage], None]
) -> None:
    EventLog(StorageRecordKeeper(storage)).extend(("n", n) for n in range(6))
    lose(storage)
    _assert_damaged(storage, "events.uuids, tail: expected the last event's key", 1)


@pytest.mark.parametrize("tail", ["", "6", "x" * 16, b"0000000000000006", "0" * 16])
def test_a_tail_that_is_no_key_is_damage(storage: Storage, tail: str | bytes) -> None:
    EventLog(StorageRecordKeeper(storage)).extend(("n", n) for n in range(6))
    storage.set_container_item("events.uuids", "tail", tail)
    _assert_damaged(storage, "events.uuids, tail: expected (the last|an) event's key", 1)


def test_an_event_that_is_replayed_at_the_end_is_damage(storage: Storage) -> None:
    added = EventLog(StorageRecordKeeper(storage)).extend(("n", n) for n in range(6))
    line = storage.get_container_item("events", _key(2))
    storage.set_container_item("events", _key(7), line)
    storage.set_container_item("events.uuids", "tail", _key(7))
    log = EventLog(StorageRecordKeeper(storage))
    with pytest.raises(VerificationError) as caught:
        log.verify()
    assert caught.value.position == 7
    words = f"{_key(7)}: this is the event {added[1].uuid}, which has the position 2$"
    for call in (log.tail, lambda: log.append("n"), lambda: log.next(added[5].uuid)):
        with pytest.raises(CorruptionError, match=words):
            call()
    assert storage.get_container_item("events", _key(3)) != line


def test_a_tail_that_was_set_back_overwrites_nothing(storage: Storage) -> None:
    log = EventLog(StorageRecordKeeper(storage))
    log.extend(("n", n) for n in range(6))
    storage.set_container_item("events.uuids", "tail", _key(3))
    for position in (4, 5):
        storage.delete_container_item("events", _key(position))
    before = dict(storage.get_container_items("events"))
    with pytest.raises(CorruptionError, match=f"{_key(3)}: events are there behind the last one"):
        log.extend(("n", n) for n in range(5))
    assert dict(storage.get_container_items("events")) == before
    assert storage.get_container_item("events.uuids", "tail") == _key(3)


def test_uuids_without_events_are_damage(storage: Storage) -> None:
    added = EventLog(StorageRecordKeeper(storage)).extend(("n", n) for n in range(6))
    storage.delete_container("events")
    log = EventLog(StorageRecordKeeper(storage))
    with pytest.raises(VerificationError, match=r"^event 1: .*this event is missing"):
        log.verify()
    for call in (log.tail, lambda: log.append("n"), lambda: log.read(added[2].uuid)):
        with pytest.raises(CorruptionError, match="this event is missing"):
            call()
    assert not log.exists(uuid4())
