"""What an event log takes and refuses of schemas, versions, validators and consumers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any
from uuid import UUID, uuid4

import pydantic
import pytest

from objstore import Dict
from objstore.backings.records import MemoryRecordKeeper
from objstore.errors import FormatError, SchemaError, ValidationError
from objstore.events import Event, EventLog, Integrity


@pytest.fixture
def log() -> EventLog:
    return EventLog(MemoryRecordKeeper())


def test_an_event_is_given_its_fields_with_its_uuid_first_or_without_it(log: EventLog) -> None:
    now, place = datetime.now(UTC), Integrity(7, "a" * 64)
    event = Event(uuid4(), "kind", {"n": 1}, now, "me", place)
    for other in (
        Event("kind", {"n": 1}, uuid=event.uuid, time=now, author="me", integrity=place),
        Event(uuid=event.uuid, type="kind", data={"n": 1}, time=now, author="me", integrity=place),
    ):
        assert other == event
        assert other.integrity == event.integrity == place
        assert (other.type, other.data, other.time, other.author) == ("kind", {"n": 1}, now, "me")
    log.append("first")
    [stored] = log.extend([event])
    assert (stored.uuid, stored.position) == (event.uuid, 2)
    assert log.verify().position == 2


@pytest.mark.parametrize(
    ("fields", "named", "error", "reason"),
    [
        ((), {}, TypeError, "type"),
        (("a", 1, 2), {}, TypeError, "takes type, data"),
        (("a", 1), {"data": 2}, TypeError, "its data twice"),
        ((UUID(int=1), "a"), {"uuid": UUID(int=2)}, TypeError, "its uuid twice"),
        (("a",), {"when": 1}, TypeError, "when"),
        (("a",), {"integrity": (1, "a" * 64)}, TypeError, "an Integrity"),
        (("a",), {"integrity": Integrity(-1, "a" * 64)}, ValueError, "a position from 0 on"),
        (("a",), {"integrity": Integrity(1, "junk")}, ValueError, "a hash of 64 digits"),
        (
            ("a",),
            {"time": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))},
            ValueError,
            "in the years 1 to 9999",
        ),
    ],
)
def test_an_event_says_which_field_cannot_be(
    fields: tuple[Any, ...], named: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        Event(*fields, **named)


def test_a_schema_is_of_the_newest_version_whenever_that_comes(log: EventLog) -> None:
    log.schema("person", {"required": ["name"], "type": "object"}, version=1)
    log.schema("person", {"required": ["names"], "type": "object"})
    with pytest.raises(ValidationError, match="names"):
        log.append("person", {"name": "Ada L"})
    log.upcaster("person")(split)
    with pytest.raises(ValidationError, match="names"):
        log.append("person", {"name": "Ada L"})
    assert log.append("person", {"names": ["Ada", "L"]}).version == 2
    log.schema("person", True, version=2)
    assert log.append("person", {}).version == 2
    log.schema("person", {"required": ["names"]})
    with pytest.raises(ValidationError, match="names"):
        log.append("person", {})


def split(data: Any) -> Any:
    return {"names": data["name"].split()}


class Person(Dict):
    name: str


class Hears:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def consume(self, event: Event) -> None:
        self.heard.append(event.data)


def test_an_object_of_the_class_fits_the_class_as_its_contents_do(log: EventLog) -> None:
    log.schema("added", Person)
    for one in (Person(name="Ada"), {"name": "Ada"}):
        assert log.append("added", one).data == {"name": "Ada"}
    with pytest.raises(ValidationError, match="event added at /name: expected a string, found 1"):
        log.append("added", Dict(name=1))
    with pytest.raises(FormatError, match="at /name: expected a JSON value, found a bytes"):
        log.append("added", {"name": b"Ada"})
    assert len(log) == 2


class Rated(pydantic.BaseModel):
    stars: Annotated[int, pydantic.Field(le=5)]


def test_a_pydantic_model_has_a_schema(log: EventLog) -> None:
    log.schema("rated", Rated)
    log.append("rated", {"stars": 5})
    with pytest.raises(ValidationError, match="event rated at /stars: expected at most 5, found 7"):
        log.append("rated", {"stars": 7})
    with pytest.raises(SchemaError, match="expected a JSON Schema or a class that has one, not"):
        log.schema("rated", int)


def test_an_event_as_json_is_json_of_its_own(log: EventLog) -> None:
    data = {"who": Person(name="Ada"), "at": [1]}
    fresh = Event("added", data, author="me")
    stored = log.extend([fresh])[0]
    for event in (fresh, stored, log[0]):
        said = event.to_json()
        assert json.loads(json.dumps(said)) == said
        assert said["data"] == {"who": {"name": "Ada"}, "at": [1]}
        said["data"]["at"].append(2)
        said.setdefault("integrity", {})["hash"] = ""
    assert data["at"] == [1]
    assert log[0].to_json() == stored.to_json()
    log.verify()


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0])
def test_versions_that_cannot_be(log: EventLog, version: Any) -> None:
    with pytest.raises(ValueError, match="an event's version is an integer from 1 on"):
        log.schema("n", {}, version=version)
    with pytest.raises(ValueError, match="an event's version is an integer from 1 on"):
        log.upcaster("n", version)


@pytest.mark.parametrize(("name", "error"), [("", ValueError), (3, TypeError), (None, TypeError)])
def test_types_that_cannot_be(log: EventLog, name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="an event's type is"):
        log.schema(name, {})
    with pytest.raises(error, match="an event's type is"):
        log.upcaster(name)
    with pytest.raises(error, match="an event's type is"):
        log.register(Hears(), name)


def test_a_class_is_no_consumer(log: EventLog) -> None:
    with pytest.raises(TypeError, match="expected an object with a method validate or consume"):
        log.register(Hears)  # type: ignore[arg-type]
    hears = Hears()
    log.register(hears)
    log.append("n", 1)
    assert hears.heard == [1]


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_appended_by_the_old_name_of_a_type_is_read_by_the_new(
    log: EventLog, version: int
) -> None:
    @log.upcaster("person-added", version, to="person-registered")
    def split(data: Any) -> Any:
        return {"names": data["name"].split()}

    log.schema("person-registered", {"required": ["names"]})
    stored = log.append("person-added", {"name": "Ada King"})
    [pair] = log.extend([("person-added", {"name": "Bob"})])
    log.append("person-registered", {"names": ["Eve"]})
    assert (stored.version, pair.version) == (version, version)
    assert {(event.type, event.version) for event in log} == {("person-registered", version + 1)}
    assert [event.data["names"] for event in log] == [["Ada", "King"], ["Bob"], ["Eve"]]
