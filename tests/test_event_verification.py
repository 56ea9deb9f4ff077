"""What verification finds of events that somebody changed, wherever that is in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from objstore.backings.filesystem import open_events
from objstore.backings.filesystem.events.eventlog import SegmentRecordKeeper
from objstore.backings.filesystem.io import Files
from objstore.backings.memory_storage import MemoryStorage
from objstore.backings.records import MemoryRecordKeeper
from objstore.backings.storage_records import StorageRecordKeeper
from objstore.errors import CorruptionError, ObjstoreError, VerificationError
from objstore.events import Event, EventLog

_KEY = Ed25519PrivateKey.generate()
_TAB = b"\t"


def a_log(*, signed: bool = False) -> EventLog:
    log = EventLog(MemoryRecordKeeper(), signer=_KEY if signed else None)
    log.append("moved", {"data": {"to": "Rome"}, "time": "z"}, author="ada")
    log.append("paid", {"euro": {"sum": 100, "tip": 1.0}})
    log.append("paid", [1, {"euro": 12}])
    return log


def lines_of(log: EventLog) -> list[bytes]:
    return [line for some in log.keeper.lines() for line in some]


def replaced(log: EventLog, position: int, line: bytes) -> EventLog:
    """The log with another line at a position, as one has it who can write to the medium."""
    keeper = MemoryRecordKeeper()
    keeper._kept.lines.extend(lines_of(log))
    keeper._kept.lines[position - 1] = line
    keeper._kept.head = log.head()
    return EventLog(keeper)


def assert_found(log: EventLog, position: int, line: bytes, *, signed: bool = False) -> None:
    keys = [_KEY.public_key()] if signed else None
    with pytest.raises(VerificationError) as caught:
        replaced(log, position, line).verify(keys=keys)
    assert caught.value.position == position


@pytest.mark.parametrize("signed", [False, True])
def test_data_beside_the_data_are_found(signed: bool) -> None:
    log = a_log(signed=signed)
    before, data, after = lines_of(log)[1].split(_TAB)
    # What parses all takes the last, and what looks for tabs the first.
    forged = b'%b\t{"euro":1}\t,"data":%b%b' % (before, data, after)
    for line in (forged, forged.replace(b'"position":2', b'"position":2,"canonical":false')):
        assert [event.data for event in replaced(log, 2, line)][1] == {"euro": 1}
        assert_found(log, 2, line, signed=signed)


@pytest.mark.parametrize("position", [1, 2, 3])
def test_tabs_around_another_part_are_found(position: int) -> None:
    log = a_log()
    line = lines_of(log)[position - 1]
    text = line.replace(_TAB, b"")
    ends = range(1, len(text))
    moved = (
        text[:first] + _TAB + text[first:last] + _TAB + text[last:]
        for first in ends
        for last in ends[first:]
        if text[first : first + 1] in b'{"1[' and text[last : last + 1] in b",]}"
    )
    for other in moved:
        if other != line:
            assert_found(log, position, other)


def test_a_line_has_nothing_more() -> None:
    log = a_log()
    for position, line in enumerate(lines_of(log), 1):
        for other in (
            line[:-2] + b',"x":1}}',
            line[:-1] + b',"x":1}',
            line[:-2] + b',"canonical":true}}',
            line.replace(b',"canonical":false', b"")[:-2] + b',"canonical":false} }',
            line.replace(b'{"data"', b'{ "data"'),
            line.replace(b"\t,", b"\n,"),
            line.replace(b"\t,", b"\t ,"),
            b"[%b]" % line,
            b"[]",
            b"null",
            b"",
        ):
            if other != line:
                assert_found(log, position, other)


def test_a_signature_is_in_lower_case_and_has_no_blanks() -> None:
    log = a_log(signed=True)
    line = lines_of(log)[2]
    start = line.index(b'"signature":"') + len(b'"signature":"')
    signature = line[start:-3]
    for other in (signature.upper(), signature[:2] + b" " + signature[2:]):
        assert_found(log, 3, line.replace(signature, other), signed=True)


# The last event, which tells how many there are


def bytes_changed(line: bytes) -> Iterator[bytes]:
    for at in range(len(line)):
        for other in (line[at] ^ 1, line[at] ^ 0x80):
            yield line[:at] + bytes([other]) + line[at + 1 :]


def test_a_head_that_was_written_down_is_read_back() -> None:
    log = EventLog(MemoryRecordKeeper())
    assert log.verify(head=json.loads(json.dumps(log.head()))).position == 0
    log.append("a")
    noted = json.loads(json.dumps(log.verify()))
    log.append("b")
    assert log.verify(head=noted) == log.verify(head=tuple(noted)) == log.head()
    other = EventLog(MemoryRecordKeeper())
    other.append("a")
    with pytest.raises(VerificationError, match="others than those of the head"):
        other.verify(head=noted)
    given: Any
    for given, error in (
        (5, TypeError),
        ([1], TypeError),
        (["1", "a" * 64], ValueError),
        ([-5, "a" * 64], ValueError),
        ([1, "junk"], ValueError),
        ([0, "a" * 64], ValueError),
    ):
        with pytest.raises(error, match="head"):
            log.verify(head=given)
    keys: Any = ["a" * 64]
    with pytest.raises(TypeError, match="Ed25519PublicKey"):
        log.verify(keys=keys)


def test_events_behind_the_last_one_in_a_storage_are_damage(tmp_path: Path) -> None:
    storage = MemoryStorage(tmp_path / "m", create=True)
    log = EventLog(StorageRecordKeeper(storage))
    assert log.verify().position == 0
    for n in range(3):
        log.append("n", n)
    assert log.verify().position == 3
    storage.set_container_item("events.uuids", "tail", f"{2:016}")
    with pytest.raises(VerificationError, match="behind the last") as caught:
        log.verify()
    assert caught.value.position == 3


def test_a_damaged_tail_in_a_storage_is_named_and_nothing_leaks(tmp_path: Path) -> None:
    storage = MemoryStorage(tmp_path / "m", create=True)
    log = EventLog(StorageRecordKeeper(storage))
    for n in range(3):
        log.append("n", {"x": float(n)})
    known = log.tail()
    key = f"{3:016}"
    line = storage.get_container_item("events", key)
    assert isinstance(line, bytes)
    calls: list[Callable[[], object]] = [
        log.head,
        log.tail,
        lambda: log[-1].uuid,
        lambda: [(event.uuid, event.type, event.time, event.integrity) for event in log],
        lambda: log.next(log[1].uuid),
        lambda: log.read(known) if known else None,
    ]
    for damaged in bytes_changed(line):
        storage.set_container_item("events", key, damaged)
        with pytest.raises(VerificationError) as caught:
            log.verify()
        assert caught.value.position == 3
        for call in calls:
            try:
                call()
            except ObjstoreError as error:
                assert isinstance(error, CorruptionError)  # noqa: PT017 - it may as well be read


def test_a_damaged_last_record_is_named(tmp_path: Path) -> None:
    with open_events(str(tmp_path)) as log:
        for n in range(4):
            log.append("n", {"n": n})
        head = log.head()
    [path] = tmp_path.rglob("00000001-a.log")
    whole = path.read_bytes()
    at = whole.rindex(b'{"n":3}')
    path.write_bytes(whole[: at + 5] + b"4" + whole[at + 6 :])
    for _ in range(2):
        with (
            open_events(str(tmp_path)) as log,
            pytest.raises(VerificationError, match=r"^event 4:") as caught,
        ):
            log.verify(head=head)
        assert caught.value.position == 4
    with open_events(str(tmp_path)) as log:
        good = iter(log)
        assert [next(good).data["n"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(CorruptionError):
            next(good)


@pytest.mark.parametrize("sound", [1, 5, 8])
def test_what_is_before_a_damage_is_found_however_it_is_asked_for(
    tmp_path: Path, sound: int
) -> None:
    with open_events(tmp_path) as log:
        for n in range(10):
            log.append("n", {"n": n}, uuid=UUID(int=n))
    damage(tmp_path, "00000001-a.log", b'"n":%d' % sound)
    for n in range(sound):
        for call in (_by_index, _by_uuid, _by_position, _by_slice):
            with open_events(tmp_path) as log:
                assert call(log, n) == n
        with open_events(tmp_path) as log:
            assert [event.data["n"] for event in log[n:sound]] == [*range(n, sound)]
        with open_events(tmp_path) as log:
            assert UUID(int=n) in log
            assert [event.position for event in log.extend([log[n]])] == [n + 1]
    for n in (sound, 9):
        for call in (_by_index, _by_uuid, _by_position, _by_slice):
            with open_events(tmp_path) as log, pytest.raises(CorruptionError, match="byte"):
                call(log, n)
    with open_events(tmp_path) as log, pytest.raises(CorruptionError, match="byte"):
        log.append("n", uuid=UUID(int=77))  # it may be there behind


def _by_index(log: EventLog, n: int) -> int:
    return int(log[n].data["n"])


def _by_uuid(log: EventLog, n: int) -> int:
    return int(log[UUID(int=n)].data["n"])


def _by_position(log: EventLog, n: int) -> int:
    return int(next(log.since(n)).data["n"])


def _by_slice(log: EventLog, n: int) -> int:
    return int(log[: n + 1][-1].data["n"])


def test_the_events_before_a_damaged_last_record_are_found(tmp_path: Path) -> None:
    with open_events(tmp_path) as log:
        for n in range(10):
            log.append("n", {"n": n}, uuid=UUID(int=n))
    damage(tmp_path, "00000001-a.log", b'"n":9')
    for n in range(9):
        with open_events(tmp_path) as log:
            assert next(log.since(n)).data == {"n": n}
        with open_events(tmp_path) as log:
            assert log[UUID(int=n)].data == {"n": n}
        with open_events(tmp_path) as log:
            assert n == 8 or log.next(UUID(int=n)) == UUID(int=n + 1)
    behind: list[Callable[[EventLog], object]] = [
        lambda log: log.next(UUID(int=8)),
        lambda log: next(log.since(9)),
        lambda log: UUID(int=9) in log,
        EventLog.tail,
    ]
    for call in behind:
        with open_events(tmp_path) as log, pytest.raises(CorruptionError, match="byte"):
            call(log)


def as_left_by_a_crash(tmp_path: Path, *, files: int = 1) -> Path:
    """A log of four events whose last file nobody has closed."""
    keeper = SegmentRecordKeeper(Files(str(tmp_path / "live/.objstore/events")))
    for n in range(4):
        keeper.add(Event("n", {"n": n}, uuid=UUID(int=n)))
        if n < files - 1:
            with keeper._log.writing() as writer:
                writer.switch()
    return Path(shutil.copytree(tmp_path / "live", tmp_path / "left"))


def damage(folder: Path, name: str, needle: bytes) -> None:
    [path] = folder.rglob(name)
    path.write_bytes(path.read_bytes().replace(needle, needle[:-1] + b"#"))


@pytest.mark.parametrize(
    ("files", "name", "sound"),
    [(1, "00000001-a.log", 2), (2, "00000002-b.log", 2), (4, "00000004-b.log", 3)],
)
def test_a_damaged_log_that_nobody_closed_is_read_up_to_there(
    tmp_path: Path, files: int, name: str, sound: int
) -> None:
    folder = as_left_by_a_crash(tmp_path, files=files)
    damage(folder, name, b'"n":%d' % sound)
    with open_events(folder) as log:
        for after in (0, 1):
            got: list[int] = []
            with pytest.raises(CorruptionError, match=name):
                got.extend(event.data["n"] for event in log.since(after))
            assert got == list(range(after, sound))
        with pytest.raises(
            VerificationError, match=rf"^event {sound + 1}: .*{name}, byte"
        ) as caught:
            log.verify()
        assert caught.value.position == sound + 1
        calls: list[Callable[[], object]] = [
            lambda: len(log),
            log.head,
            lambda: log.read(UUID(int=0)),
            lambda: list(log.since(UUID(int=0))),
            lambda: log.append("n"),
        ]
        for call in calls:
            with pytest.raises(CorruptionError, match=name):
                call()
    [path] = folder.rglob(name)
    assert b"#" in path.read_bytes(), "nothing was cut"


def test_a_log_without_its_files_or_a_manifest_is_damaged_from_the_first(tmp_path: Path) -> None:
    folder = as_left_by_a_crash(tmp_path)
    [path] = folder.rglob("00000001-a.log")
    [manifest] = folder.rglob("manifest.json")
    said = manifest.read_bytes()
    manifest.write_bytes(said[: len(said) // 2])
    with open_events(folder) as log, pytest.raises(VerificationError, match=r"event 1: .*manifest"):
        log.verify()
    manifest.write_bytes(said)
    path.unlink()
    with open_events(folder) as log, pytest.raises(VerificationError, match=r"event 1: .*the log"):
        log.verify()


# Fields that are read late


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        (b'"time":', b'"tim3":', "time"),
        (b"-11-20T", b"/11-20T", "time"),
        (b'"uuid":"9', b'"uuid":"z', "uuid"),
        (b'"uuid":', b'"uu1d":', "uuid"),
        (b'"type":"n"', b'"type":12', "type"),
        (b'"position":1', b'"position":0', "position"),
    ],
)
def test_a_field_that_is_wrong_is_corruption_whenever_it_is_read(
    old: bytes, new: bytes, wrong: str
) -> None:
    from datetime import UTC, datetime
    from uuid import UUID

    log = EventLog(MemoryRecordKeeper())
    uuid = UUID("96f76903-7b92-44d1-8e53-fc47a520684c")
    log.extend([Event("n", 1, uuid=uuid, time=datetime(2026, 11, 20, tzinfo=UTC))])
    [line] = lines_of(log)
    assert old in line
    [event] = replaced(log, 1, line.replace(old, new))
    assert event.data == 1
    with pytest.raises(CorruptionError, match=f"its {wrong} is wrong or missing"):
        event.time
