"""Meetings, on every maker, and the format of their files."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import pytest

import objstore
from objstore import schemas
from objstore.backings.filesystem.io import Entry, Files
from objstore.backings.filesystem.meeting import FileMeetings
from objstore.backings.meetings import MemoryMeetings
from objstore.errors import CorruptionError, KeyNameError
from objstore.meetings import Meetings, Note
from tests.realdata import ROOT

Make: TypeAlias = Callable[[], Meetings]

TORN = [(0, 0, b""), (0, 1549, b""), (512, 512, b""), (512, 1024, b"rest"), (1024, 1549, b"")]
"""What a stop leaves of a note: bytes up to, zeros up to, and whether the rest."""

PAGE = (ROOT / "docs/formats/meetings.md").read_text("utf-8")


@pytest.fixture(params=["memory", "filesystem"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Handles of the same meetings."""
    shared = MemoryMeetings()
    if request.param == "memory":
        return lambda: shared
    return lambda: FileMeetings(Files(str(tmp_path), sync=False))


def test_the_first_note_of_a_name_stays(make: Make) -> None:
    one, other = make(), make()
    assert one.notes("a") == {}
    assert one.put("a", "seat-0", {"who": "one"}) == {"who": "one"}
    assert other.put("a", "seat-0", {"who": "other"}) == {"who": "one"}
    assert other.put("a", "seat-1", {"big": 2**70, "text": "é\n"})["big"] == 2**70
    assert other.put("b", "seat-0", {}) == {}
    expected = {"seat-0": {"who": "one"}, "seat-1": {"big": 2**70, "text": "é\n"}}
    assert one.notes("a") == other.notes("a") == expected
    assert one.notes("b") == {"seat-0": {}}


def test_of_many_who_leave_a_note_one_is_first(make: Make) -> None:
    barrier = threading.Barrier(4)

    def leave(who: int) -> list[Any]:
        meetings, first = make(), list[Any]()
        for number in range(20):
            barrier.wait(timeout=20)
            first.append(meetings.put("a", f"seat-{number}", {"who": who})["who"])
        return first

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(leave, range(4)))
    assert seen == seen[:1] * 4


def test_waiting_ends_with_a_note_or_in_time(make: Make) -> None:
    one, other = make(), make()
    one.put("a", "meeting", {})
    one.wait("a", 0, None)
    one.wait("gone", 1, None)
    began = time.monotonic()
    one.wait("a", 1, 0.05)
    assert time.monotonic() - began >= 0.04
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one.wait, "a", 1, None)
        time.sleep(0.02)
        assert not waiting.done()
        other.put("a", "seat-0", {})
        waiting.result(timeout=20)


def test_waiting_beside_a_torn_note_looks_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    meetings.put("a", "meeting", {})
    (tmp_path / ".objstore/tx/a/seat-1.json").write_bytes(b"")
    looked: list[str] = []
    entries = Files.entries

    def counted(self: Files, folder: str) -> list[Entry]:
        looked.append(folder)
        if len(looked) == 10:
            meetings.put("a", "seat-0", {})
        return entries(self, folder)

    monkeypatch.setattr(Files, "entries", counted)
    seen = len(meetings.notes("a"))
    meetings.wait("a", seen, None)
    assert seen == 1
    assert len(looked) >= 10
    assert meetings.notes("a").keys() == {"meeting", "seat-0"}


def test_one_has_the_turn_at_a_time(make: Make) -> None:
    make().put("a", "meeting", {})
    inside: list[int] = []
    seen: list[int] = []

    def take(_: int) -> None:
        with make().turn("a"):
            inside.append(1)
            time.sleep(0.002)
            seen.append(len(inside))
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(12)))
    assert seen == [1] * 12


def test_a_turn_ends_with_an_exception(make: Make) -> None:
    meetings = make()
    meetings.put("a", "meeting", {})
    with pytest.raises(ZeroDivisionError), meetings.turn("a"):
        raise ZeroDivisionError
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: meetings.turn("a").__enter__()).result(timeout=20)


def test_what_is_removed_or_swept_is_gone(make: Make) -> None:
    one, other = make(), make()
    for id in "abc":
        one.put(id, "meeting", {})
    other.remove("a")
    other.remove("a")
    other.sweep(60)
    assert [bool(one.notes(id)) for id in "abc"] == [False, True, True]
    other.sweep(-1)
    assert [bool(one.notes(id)) for id in "abc"] == [False, False, False]


def test_notes_are_left_while_others_remove_the_meeting(make: Make) -> None:
    done = threading.Event()

    def remove() -> None:
        while not done.is_set():
            make().remove("a")

    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(remove)
        try:
            for number in range(300):
                assert make().put("a", f"seat-{number}", {"n": number}) == {"n": number}
                make().notes("a")
        finally:
            done.set()
        removing.result(timeout=20)


def test_files_that_are_no_notes_count_for_nothing(tmp_path: Path) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    meetings.put("a", "meeting", {"n": 1})
    folder = tmp_path / ".objstore/tx/a"
    (folder / ".0000.objstore-tmp").write_bytes(b"{}")
    (folder / "NOTE.json").write_bytes(b"{}")
    assert meetings.notes("a") == {"meeting": {"n": 1}}
    assert list(meetings.damaged()) == []
    for id in ("../x", "", "A", "a/b", "."):
        with pytest.raises(KeyNameError):
            meetings.notes(id)
    assert (tmp_path / ".objstore/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize(("start", "end", "rest"), TORN)
def test_a_note_that_a_stop_has_torn_counts_for_nothing(
    tmp_path: Path, start: int, end: int, rest: bytes
) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    meetings.put("a", "torn", {"text": "x" * 1500})
    path = tmp_path / ".objstore/tx/a/torn.json"
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(end - start) + (data[end:] if rest else b""))
    assert meetings.notes("a") == {}
    assert meetings.put("a", "torn", {"n": 2}) == {"n": 2}
    assert list(meetings.damaged()) == []


def test_any_flipped_bit_of_a_note_is_found(tmp_path: Path) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    note: Note = {"who": "me", "patch": [{"op": "add", "path": "/é", "value": [1.5, None, "@"]}]}
    meetings.put("a", "seat-0", note)
    path = tmp_path / ".objstore/tx/a/seat-0.json"
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        for ask in (lambda: meetings.notes("a"), lambda: meetings.put("a", "seat-0", {})):
            with pytest.raises(CorruptionError) as caught:
                ask()
            assert caught.value.file == ".objstore/tx/a/seat-0.json"
        assert [one.file for one in meetings.damaged()] == [".objstore/tx/a/seat-0.json"]
    path.write_bytes(data)
    assert meetings.notes("a") == {"seat-0": note}


@pytest.mark.parametrize("data", [b"[]", b'{"n": ', b"{}\n", b'{"crc32c":5}'])
def test_what_nobody_has_written_is_no_note(tmp_path: Path, data: bytes) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    meetings.put("a", "meeting", {})
    (tmp_path / ".objstore/tx/a/seat-0.json").write_bytes(data)
    with pytest.raises(CorruptionError, match=r"tx/a/seat-0\.json"):
        meetings.notes("a")


def test_a_note_of_the_version_before_has_no_checksum(tmp_path: Path) -> None:
    meetings = FileMeetings(Files(str(tmp_path), sync=False))
    meetings.put("a", "meeting", {})
    (tmp_path / ".objstore/tx/a/seat-0.json").write_bytes(b'{"who":"me","path":"/a","patch":[]}')
    assert meetings.notes("a")["seat-0"] == {"who": "me", "path": "/a", "patch": []}
    assert list(meetings.damaged()) == []


def test_the_schema_takes_the_worked_examples() -> None:
    schema = schemas.load("meeting")
    jsonschema.Draft202012Validator.check_schema(schema)
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        jsonschema.validate(json.loads(example), schema)


def test_real_notes_are_as_the_schema_says(tmp_path: Path) -> None:
    schema = schemas.load("meeting")
    with objstore.open(tmp_path) as store:
        store["/doc"] = {"n": 1}
        for patch, match in (([], {"n": 2}), ([{"op": "add", "path": "", "value": 5}], None)):
            tx = store.new_tx(2, {"author": "me"}, timeout=0.05)
            tx.patcher("/doc", patch, match).commit()
            notes = tx._meetings.notes(tx.id)
            assert {"meeting", "seat-0", "outcome", "left-0"} <= notes.keys()
            jsonschema.validate(notes, schema)
            tx.patcher("/other", [], objstore.MISSING).commit()
        tx = store.new_tx(2, timeout=60)
        tx._meetings.put(tx.id, "left-1", {})  # so that the notes stay
        tx._meetings.put(tx.id, "seat-1", {"who": "x", "path": "/other", "patch": []})
        removed: list[Any] = []
        tx._meetings.remove = lambda id: removed.append(tx._meetings.notes(id))  # type: ignore[method-assign]
        assert tx.patcher("/doc", [{"op": "add", "path": "/m", "value": 1}]).commit().committed
        jsonschema.validate(removed[0], schema)
        assert removed[0]["outcome"]["data"] == {"seat-0": {"n": 1, "m": 1}}
