"""Events: what they are, their types, integrity, and their page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
import jsonschema
import orjson
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings

import objstore
from objstore import Dict, eventlines, schemas, sealing
from objstore.backings.records import MemoryRecordKeeper
from objstore.documents import Change, Commit
from objstore.errors import (
    ConflictError,
    CorruptionError,
    FormatError,
    SchemaError,
    ValidationError,
    VerificationError,
)
from objstore.events import EMPTY, Event, EventLog, Head
from tests.formats.pages import examples


@pytest.fixture
def log() -> EventLog:
    return EventLog(MemoryRecordKeeper())


def lines(log: EventLog) -> list[bytes]:
    return [line for some in log.keeper.lines() for line in some]


# The page


def test_the_example_on_the_page_is_made_again() -> None:
    keeper = MemoryRecordKeeper()
    ten = datetime(2026, 11, 20, 10, tzinfo=UTC)
    added = UUID("96f76903-7b92-44d1-8e53-fc47a520684c")
    read = UUID("0b0c1f1e-6a0e-4f52-9a58-3d1c3c1a9f10")
    keeper.add(Event("person-added", {"id": "bob"}, uuid=added, time=ten, author="me"))
    later = ten + timedelta(seconds=1.5)
    keeper.add(Event("reading", {"scale": 1.0, "of": "bob"}, uuid=read, time=later, version=2))
    text = "".join(line.decode() + "\n" for some in keeper.lines() for line in some)
    assert text in examples("events.md")


def test_the_first_hash_is_that_of_the_text_by_hand() -> None:
    [example] = [one for one in examples("events.md") if one.startswith('{"author"')]
    first, second = map(json.loads, example.splitlines())
    said = first.pop("integrity")
    text = json.dumps(first, separators=(",", ":")).encode()
    assert sha256(bytes(32) + text).hexdigest() == said["hash"]
    after = second.pop("integrity")
    canonical = rfc8785.dumps(second)
    assert b'"scale":1}' in canonical
    assert sha256(bytes.fromhex(said["hash"]) + canonical).hexdigest() == after["hash"]


# What an event is


def test_an_event_has_what_it_was_given() -> None:
    uuid, time = uuid4(), datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    one = Event("t", {"a": 1}, uuid=uuid, time=time, author="me", version=2)
    assert (one.type, one.data, one.uuid, one.time) == ("t", {"a": 1}, uuid, time)
    assert (one.author, one.version, one.integrity, one.position) == ("me", 2, None, 0)
    assert one.to_json()["time"] == "2026-01-02T02:04:05.000006Z"
    assert repr(one) == f"<Event 't' {uuid}>"
    assert Event("t").time - datetime.now(UTC) < timedelta(minutes=1)
    assert Event("t") != Event("t")
    assert one == Event("t", {"a": 1}, uuid=uuid, time=time, author="me", version=2)
    assert len({one, Event("t", {"a": 1}, uuid=uuid, time=time, author="me", version=2)}) == 1
    assert one != "t"


def test_an_event_does_not_change() -> None:
    one: Any = Event("t")
    for name in ("uuid", "type", "data", "time", "author", "version", "integrity", "new"):
        with pytest.raises(AttributeError):
            setattr(one, name, None)


@pytest.mark.parametrize(
    ("fields", "error", "reason"),
    [
        ({"type": ""}, ValueError, "an event's type is not empty"),
        ({"type": 1}, TypeError, "an event's type is a str, not int"),
        ({"type": "\ud800"}, FormatError, "text that UTF-8 can hold"),
        ({"type": "t", "author": ""}, ValueError, "an event's author is not empty"),
        ({"type": "t", "uuid": "x"}, TypeError, "an event's uuid is a uuid.UUID, not str"),
        ({"type": "t", "version": 0}, ValueError, "an integer from 1 on, not 0"),
        ({"type": "t", "version": True}, ValueError, "an integer from 1 on, not true"),
        ({"type": "t", "version": 2**53}, ValueError, "at most 9007199254740991"),
        ({"type": "t", "time": "2026-11-20"}, TypeError, "an event's time is a datetime"),
        ({"type": "t", "time": datetime(2026, 1, 1)}, ValueError, "has a time zone"),
    ],
)
def test_fields_that_cannot_be(fields: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        Event(**fields)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"{}",
        b'{"data":1,"integrity":3}',
        b'{"data":1,"integrity":{}}',
    ],
)
def test_what_is_no_event(line: bytes) -> None:
    with pytest.raises((CorruptionError, ValueError)):
        eventlines.decode(line)


@pytest.mark.parametrize(
    ("place", "value", "name"),
    [
        (["time"], "yesterday", "time"),
        (["type"], "", "type"),
        (["uuid"], "x", "uuid"),
        (["author"], 3, "author"),
        (["version"], 0, "version"),
        (["integrity", "position"], 0, "position"),
        (["integrity", "hash"], "00", "hash"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(
    log: EventLog, place: list[str], value: Any, name: str
) -> None:
    said = log.append("t", author="me").to_json()
    *above, last = place
    (said[above[0]] if above else said)[last] = value
    with pytest.raises(CorruptionError, match=f"file: this is no event: its {name} is wrong"):
        eventlines.decode(orjson.dumps(said), "file")


# Lines

keys = st.text(max_size=4) | st.sampled_from(["uuid", "integrity", "type", "\U0001f600", "\uffff"])
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@given(value=data)
@example(1e16)
@example(1e22)
@example(1e-7)
@example(5e-324)
@example([2**53 - 1, -0.0])
@example({"\U0001f600": 1, "\uffff": 2})
@example([1.5, 1e-5, 1e15 + 0.5, 0.1 + 0.2, -0.5])
@example(["1.0", "2e5", '".0', 123456789012345678 / 2**70, "0" * 20, 10**15])
@settings(deadline=None, max_examples=300)
def test_what_is_hashed_is_the_form_of_rfc_8785(value: Any) -> None:
    made = Event("t", value, author="\u20ac", version=2)
    [line] = sealing.batch(sealing.drafts([made]), EMPTY, lambda uuid: None).lines
    said = json.loads(line)
    integrity = said.pop("integrity")
    assert sha256(bytes(32) + rfc8785.dumps(said)).hexdigest() == integrity["hash"]
    assert eventlines.decode(line) == made
    schema: Any = jsonschema.Draft202012Validator(schemas.load("event"))
    assert schema.is_valid(json.loads(line))


@given(values=st.lists(data, min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_lines_are_found_without_parsing(values: list[Any]) -> None:
    keeper = MemoryRecordKeeper()
    author = '"data":null,'
    made = [Event("t", {"v": v, "uuid": str(uuid4())}, author=author) for v in values]
    stored = keeper.extend(made)
    kept = [line for some in keeper.lines() for line in some]
    batch = eventlines.join(kept)
    assert eventlines.split(batch) == kept
    assert eventlines.decode_all(batch) == list(stored)
    for one, line in zip(stored, kept, strict=True):
        assert eventlines.uuid_in(line).decode() == str(one.uuid)
        assert eventlines.position_in(line) == one.position
        assert eventlines.find(batch, eventlines.text_of(one.uuid)) == line
        assert eventlines.find(batch, str(one.data["uuid"]).encode()) is None
        assert eventlines.encode(one) == eventlines.encode(eventlines.decode(line)) == line
    assert b"\n" not in batch


def test_every_type_is_read_as_it_was_written(log: EventLog) -> None:
    types = ["t", 'a "b"', "a\\", "\t\n", "\u20ac", '","uuid":"', "\\u0041"]
    log.extend((type_, n) for n, type_ in enumerate(types))
    assert [event.type for event in log] == types
    assert [event.to_json()["type"] for event in log] == types
    assert [log.append(type_).type for type_ in types] == types


@pytest.mark.parametrize("data", [b"1,2", b"", b"{", b"1]"])
def test_data_that_are_no_value_are_no_event(log: EventLog, data: bytes) -> None:
    log.extend([("t", 7), ("t", 8)])
    [first, second] = lines(log)
    for payload in (first, eventlines.join([first, second]), eventlines.join([second, first])):
        with pytest.raises(CorruptionError):
            eventlines.decode_all(payload.replace(b"\t7\t", b"\t%b\t" % data))


def test_what_is_no_event_besides_its_data_is_told_when_it_is_asked_for(log: EventLog) -> None:
    log.append("t", 7)
    for wrong in (b'"time"', b'{"data"'):
        [event] = eventlines.decode_all(lines(log)[0].replace(wrong, b"?"))
        assert event.data == 7
        with pytest.raises(CorruptionError, match="this is no event"):
            event.to_json()


# Verifying


def forged(log: EventLog, change: Callable[[list[bytes]], list[bytes]]) -> EventLog:
    """The same log after somebody had their way with it."""
    keeper = MemoryRecordKeeper()
    for line in change(lines(log)):
        keeper._kept.lines.append(line)
        keeper._kept.uuids.append(uuid4())
    keeper._kept.head = Head(len(keeper._kept.lines), "")
    return EventLog(keeper)


def test_line_4_forged_reordered_replayed_and_dropped_events_are_named(log: EventLog) -> None:
    kept = log.extend(("paid", {"euros": n}) for n in range(6))
    head = log.head()
    changed: list[tuple[Callable[[list[bytes]], list[bytes]], int, UUID | None]] = [
        (lambda was: [*was[:2], was[2].replace(b"2}", b"9}"), *was[3:]], 3, kept[2].uuid),
        (lambda was: [*was[:2], was[3], was[2], *was[4:]], 3, kept[3].uuid),
        (lambda was: [*was[:4], was[1], *was[4:]], 5, kept[1].uuid),
        (lambda was: [*was[:1], *was[2:]], 2, kept[2].uuid),
        (lambda was: was[1:], 1, kept[1].uuid),
        (lambda was: was[:4], 5, None),
        (lambda was: [*was[:5], was[5].replace(b'"position":6', b'"position":7')], 6, kept[5].uuid),
        (lambda was: [*was[:3], b"{}", *was[4:]], 4, None),
        (lambda was: [*was[:3], was[3].replace(b'"hash"', b'"hasch"'), *was[4:]], 4, None),
    ]
    for change, position, uuid in changed:
        with pytest.raises(VerificationError, match=f"^event {position}[,:]") as caught:
            forged(log, change).verify(head=head)
        assert caught.value.position == position
        assert caught.value.uuid in (uuid, kept[position - 1].uuid) or uuid is None


def sealed(text: bytes, canonical: bytes, more: bytes = b"") -> list[bytes]:
    """The line of a first event, by hand; the data are between bars."""
    hash = sha256(bytes(32) + canonical.replace(b"|", b"")).hexdigest().encode()
    line = text.replace(b"|", b"\t")[:-1]
    return [b'%b,"integrity":{"hash":"%b","position":1%b}}' % (line, hash, more)]


def instead(lines: list[bytes], _: list[bytes]) -> list[bytes]:
    return lines


@pytest.mark.parametrize(
    ("data", "canonical"),
    [
        (b'{"b":1,"a":2}', b'{"a":2,"b":1}'),
        (b"1.0", b"1"),
        (b"[1, 2]", b"[1,2]"),
        (b"1e22", b"1e+22"),
    ],
)
def test_a_text_that_is_not_canonical_has_to_say_so(
    log: EventLog, data: bytes, canonical: bytes
) -> None:
    text = b'{"data":|%b|,"time":"2026-11-20T10:00:00.000000Z","type":"t","uuid":"%b"}'
    uuid = str(uuid4()).encode()
    stored, hashed = text % (data, uuid), text % (canonical, uuid)
    for good in (sealed(stored, hashed, b',"canonical":false'), sealed(hashed, hashed)):
        assert forged(log, partial(instead, good)).verify().position == 1
    for wrong in (sealed(stored, hashed), sealed(stored, stored)):
        with pytest.raises(VerificationError, match=r"^event 1, "):
            forged(log, partial(instead, wrong)).verify()


@pytest.mark.parametrize("count", [1, 9, 10, 11, 98, 99, 101, 300])
def test_logs_of_all_lengths_are_verified(log: EventLog, count: int) -> None:
    log.extend(("t", {"n": n, "half": n / 2}) for n in range(count))
    log.extend([Event("t", "\U0001f600", author="me", version=3)])
    assert log.verify() == log.head()


def test_a_log_that_was_written_anew_does_not_fit_the_head(log: EventLog) -> None:
    log.extend(("paid", {"euros": n}) for n in range(6))
    other = EventLog(MemoryRecordKeeper())
    other.extend(("paid", {"euros": 10 * n}) for n in range(6))
    assert other.verify().position == 6
    with pytest.raises(VerificationError, match="event 6"):
        other.verify(head=log.head())


def test_signatures() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keeper = MemoryRecordKeeper()
    signed = EventLog(keeper, signer=key)
    first = signed.append("signed", {"x": 1.0})
    assert first.integrity is not None
    assert first.integrity.key == key.public_key().public_bytes_raw().hex()
    assert signed.verify(keys=[other.public_key(), key.public_key()]).position == 1
    with pytest.raises(VerificationError, match=r"event 1.* with a key that is not among those"):
        signed.verify(keys=[other.public_key()])
    EventLog(keeper).append("unsigned")
    with pytest.raises(VerificationError, match=r"event 2.*: it is not signed"):
        signed.verify(keys=[key.public_key()])
    assert signed.verify().position == 2
    swapped = first.integrity.signature or ""

    def forge(some: list[bytes]) -> list[bytes]:
        return [some[0].replace(swapped.encode(), swapped[::-1].encode()), *some[1:]]

    with pytest.raises(VerificationError, match=r"event 1.*: its signature is wrong"):
        forged(signed, forge).verify(keys=[key.public_key()])
    for line in lines(signed):
        schema: Any = jsonschema.Draft202012Validator(schemas.load("event"))
        schema.validate(json.loads(line))


@pytest.mark.parametrize("one", ["person-added", ("person-added",), ("a", 1, 2), 3])
def test_what_extend_does_not_take(log: EventLog, one: Any) -> None:
    with pytest.raises(TypeError, match="expected an Event, or a pair of type and data, not"):
        log.extend([("good", 1), one])
    assert len(log) == 0


@pytest.mark.parametrize("type_", ["", None, 3, ["t"], "\ud800"])
def test_pairs_are_checked_as_events_are(log: EventLog, type_: Any) -> None:
    pair: Any = (type_, 1)
    for pairs in ([pair], [("good", 1), pair], [Event("good"), pair]):
        with pytest.raises((TypeError, ValueError), match="an event's type"):
            log.extend(pairs)
    with pytest.raises((TypeError, ValueError), match="an event's type"):
        log.append(type_)
    assert len(log) == 0


# Types


class Person(Dict):
    name: str


def test_schemas_check_the_data_of_a_type(log: EventLog) -> None:
    log.schema("person-added", Person)
    log.schema("counted", {"type": "integer", "minimum": 1})
    log.append("person-added", {"name": "Ada"})
    log.append("anything", "else")
    with pytest.raises(ValidationError, match=r"event counted: expected .* found 0"):
        log.extend([("anything", 1), ("counted", 0)])
    with pytest.raises(ValidationError, match="event person-added at /name"):
        log.append("person-added", {"name": 1})
    assert len(log) == 2
    with pytest.raises(SchemaError, match="expected a JSON Schema or a class that has one, not 3"):
        log.schema("t", 3)


class Witness:
    """Refuses some events, and hears of the others."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def validate(self, event: Event) -> None:
        if event.data == "bad":
            raise ValueError("this is bad")

    def consume(self, event: Event) -> None:
        self.heard.append(event)
        if event.data == "odd":
            raise RuntimeError("cannot take it")


def test_validators_refuse_and_consumers_hear(log: EventLog) -> None:
    every, some = Witness(), Witness()
    log.register(every)
    log.register(some, "a", "b")
    with pytest.raises(ValueError, match="this is bad"):
        log.extend([("a", "good"), ("a", "bad")])
    assert (len(log), every.heard) == (0, [])
    log.extend([("a", 1), ("c", 2)])
    assert [one.position for one in every.heard] == [1, 2]
    assert [one.data for one in some.heard] == [1]
    with pytest.raises(RuntimeError, match="cannot take it") as caught:
        log.extend([("c", "odd"), ("a", 3)])
    [note] = caught.value.__notes__
    assert note == f"the event {log[2].uuid} was appended; its consumer failed"
    assert (len(log), every.heard[-1].data, some.heard[-1].data) == (4, 3, 3)
    with pytest.raises(TypeError, match="with a method validate or consume, not int"):
        log.register(3)  # type: ignore[arg-type]


def test_upcasters_read_old_events_as_new(log: EventLog) -> None:
    old = log.append("person-added", {"name": "Ada Lovelace"})

    @log.upcaster("person-added")
    def split(data: Any) -> Any:
        first, last = data["name"].split()
        return {"first": first, "last": last}

    @log.upcaster("person-added", 2, to="person-registered")
    def shorten(data: Any) -> Any:
        return {"names": [data["first"], data["last"]]}

    found = log[0]
    assert (found.type, found.version) == ("person-registered", 3)
    assert found.data == {"names": ["Ada", "Lovelace"]}
    assert found.integrity == old.integrity
    assert [one.version for one in log] == [3]
    assert next(log.subscribe()).version == log[found.uuid].version == 3
    assert log.read(old.uuid).data == {"name": "Ada Lovelace"}
    new = log.append("person-registered", {"names": ["Bob"]})
    assert (new.version, log[1].data) == (3, {"names": ["Bob"]})
    assert log.verify().position == 2
    with pytest.raises(ValueError, match="'person-added' of version 1 has an upcaster already"):
        log.upcaster("person-added")


def test_a_schema_is_of_a_version(log: EventLog) -> None:
    @log.upcaster("t")
    def in_a_list(data: Any) -> list[Any]:
        return [data]

    log.schema("t", {"type": "array"})
    log.schema("t", {"type": "string"}, version=1)
    log.append("t", [1])
    log.extend([Event("t", "old")])
    with pytest.raises(ValidationError):
        log.extend([Event("t", ["old"])])
    assert [one.data for one in log] == [[1], ["old"]]


# Commits


def commit(number: int) -> Commit:
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return Commit(number, time, {"author": "me"}, None, (Change("/people/ada", 1, 2),))


def test_commits_are_followed_once(log: EventLog) -> None:
    source, other = uuid4(), uuid4()
    assert log.followed(source) == 0
    assert log.follow_commits(map(commit, range(1, 6)), source=source) == 5
    assert log.follow_commits(map(commit, range(3, 9)), source=source) == 3
    log.append("between")
    assert log.follow_commits([commit(1)], source=other) == 1
    assert (log.followed(source), log.followed(other), len(log)) == (8, 1, 10)
    assert EventLog(log.keeper).followed(source) == 8
    first = log[0]
    assert (first.type, first.time) == ("commit", commit(1).time)
    assert first.data == {
        "number": 1,
        "meta": {"author": "me"},
        "scope": None,
        "units": ["/people/ada"],
    }


class Refuses:
    def __init__(self, number: int) -> None:
        self.number = number

    def validate(self, event: Event) -> None:
        if event.data["number"] == self.number:
            raise ValueError("refused")


def test_many_commits_are_followed_together(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    source, calls = uuid4(), list[int]()
    extend = log.keeper.extend

    def counted(added: Sequence[Event], **options: Any) -> Sequence[Event]:
        calls.append(len(added))
        return extend(added, **options)

    monkeypatch.setattr(log.keeper, "extend", counted)
    assert log.follow_commits(map(commit, range(1, 501)), source=source, at_once=64) == 500
    assert len(calls) < 20
    assert [event.data["number"] for event in log] == [*range(1, 501)]
    assert log.followed(source) == 500


def test_commits_that_are_waited_for_are_followed_as_they_come(log: EventLog) -> None:
    def commits() -> Iterator[Commit]:
        for number in range(1, 4):
            assert log.keeper.head().position == number - 1
            yield commit(number)

    assert log.follow_commits(commits(), source=uuid4()) == 3


@pytest.mark.parametrize("at_once", [1, 64])
@pytest.mark.parametrize("number", [1, 2, 30, 100])
def test_commits_before_one_that_is_refused_are_followed(
    log: EventLog, number: int, at_once: int
) -> None:
    log.register(Refuses(number))
    for _ in range(2):
        with pytest.raises(ValueError, match="refused"):
            commits = map(commit, range(1, 201))
            log.follow_commits(commits, source=UUID(int=7), at_once=at_once)
        assert [event.data["number"] for event in log] == [*range(1, number)]
        assert log.followed(UUID(int=7)) == number - 1


@pytest.mark.parametrize("number", [1, 2, 30, 100])
def test_commits_before_one_that_cannot_be_read_are_followed(log: EventLog, number: int) -> None:
    def commits() -> Iterator[Commit]:
        yield from map(commit, range(1, number))
        raise CorruptionError("damaged", file="log")

    with pytest.raises(CorruptionError, match="damaged"):
        log.follow_commits(commits(), source=UUID(int=7), at_once=64)
    assert [event.data["number"] for event in log] == [*range(1, number)]


# Names


def test_names_and_errors() -> None:
    assert objstore.Event is Event
    assert objstore.EventLog is EventLog
    with pytest.raises(ConflictError):
        EventLog(MemoryRecordKeeper()).append("t", expect=1)
    with pytest.raises(AttributeError, match="no attribute 'Evnt'"):
        objstore.Evnt


def test_commits_whose_first_were_removed_are_followed_too(log: EventLog) -> None:
    source = uuid4()
    assert log.follow_commits(map(commit, range(5, 9)), source=source) == 4
    assert log.followed(source) == 8
    assert EventLog(log.keeper).followed(source) == 0
    assert log.follow_commits(map(commit, range(5, 12)), source=source) == 3
