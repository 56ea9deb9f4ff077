"""Events on a Storage: together with all else that a transaction writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.sqlite import SqliteStorage
from objstore.backings.storage_records import StorageRecordKeeper
from objstore.errors import ContainerNotFoundError, CorruptionError, VerificationError
from objstore.events import Event, EventLog
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
