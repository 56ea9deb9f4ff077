"""The tree of seed 000's record keeper: docs/formats/record-keeper.md."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import pytest

from objstore import Event
from objstore.backings.filesystem import RecordKeeper
from objstore.backings.filesystem.events.records import Link
from objstore.errors import CorruptionError, VerificationError
from objstore.events import EventLog

_UUIDS: Final = [
    "96f76903-7b92-44d1-8e53-fc47a520684c",
    "0b0c1f1e-6a0e-4f52-9a58-3d1c3c1a9f10",
    "96f00000-7b92-44d1-8e53-fc47a520684c",
]
_LAST: Final = "ffffffff-7b92-44d1-8e53-fc47a520684c"


def _event(uuid: str) -> Event:
    return Event("happened", {"uuid": uuid}, uuid=UUID(uuid))


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """By path, of every regular file what tells whether it was written anew, and its bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_line_2_the_tree_is_three_folders_deep(tmp_path: Path) -> None:
    keeper = RecordKeeper(tmp_path)
    for uuid in _UUIDS:
        keeper.add(_event(uuid))
    keeper.add(_event(_LAST))  # the last gets its name with it
    events = tmp_path / "rk" / "events"
    for uuid in _UUIDS:
        assert (events / uuid[0] / uuid[1] / uuid[2] / uuid).is_file()
    assert {path.parent.relative_to(events).parts for path in events.rglob("*-*-*-*-*")} == {
        ("9", "6", "f"),
        ("0", "b", "0"),
        ("f", "f", "f"),
    }
    assert os.readlink(tmp_path / "rk" / "head").startswith(_UUIDS[0])
    keeper.close()
    assert os.readlink(tmp_path / "rk" / "tail")[:36] in (*_UUIDS, _LAST)


def test_line_3_an_events_file_never_changes_once_written(tmp_path: Path) -> None:
    keeper = RecordKeeper(tmp_path)
    before: dict[str, tuple[int, bytes]] = {}
    for number in range(8):
        uuid = f"{number}aaaaaaa-7b92-44d1-8e53-fc47a520684c"
        keeper.add(_event(uuid))
        now = _files(tmp_path / "rk")
        there = dict(now.values())
        # The last one is renamed when the next is added: the file is the same.
        assert {inode: there.get(inode) for inode, _ in before.values()} == dict(before.values())
        before = now
    assert len(before) == 8


def _beside(folder: Path, event: Event, end: str = "") -> Path:
    uuid = str(event.uuid)
    return folder / "rk/events" / uuid[0] / uuid[1] / uuid[2] / (uuid + end)


def _filled(folder: Path) -> list[Event]:
    """Forty events, of which ``tail`` names the last."""
    with EventLog(RecordKeeper(folder, sync=False)) as log:
        added = log.extend(("n", n) for n in range(40))
    assert os.readlink(folder / "rk/tail").startswith(str(added[-1].uuid))
    return list(added)


def test_a_link_that_was_lost_is_found_and_nothing_is_added_in_its_place(tmp_path: Path) -> None:
    added = _filled(tmp_path)
    link = _beside(tmp_path, added[10], ".next")
    link.unlink()
    with EventLog(RecordKeeper(tmp_path)) as log:
        with pytest.raises(VerificationError, match=f"{link.name}: expected a link") as caught:
            log.verify()
        assert caught.value.position == 12
        found = iter(log)
        assert [next(found) for _ in range(11)] == added[:11]
        with pytest.raises(CorruptionError, match="expected a link"):
            next(found)
        assert list(log.since(added[20])) == added[21:]
    position = 0
    for _ in range(2):
        with EventLog(RecordKeeper(tmp_path)) as log:
            assert log.read(added[3].uuid) == added[3]
            with pytest.raises(VerificationError):
                log.verify()
            position = log.append("new").position
    assert position == 42
    assert not os.path.lexists(link)


def test_a_log_whose_end_was_lost_takes_no_events(tmp_path: Path) -> None:
    added = _filled(tmp_path)
    _beside(tmp_path, added[30], ".next").unlink()
    for event in added[31:]:
        for path in tmp_path.rglob(f"{event.uuid}*"):
            path.unlink()
    with EventLog(RecordKeeper(tmp_path)) as log:
        with pytest.raises(VerificationError, match="rk/tail: this names the event") as caught:
            log.verify()
        assert caught.value.position == 32
        for _ in range(2):
            with pytest.raises(CorruptionError, match=f"this names the event {added[-1].uuid}"):
                log.append("new")
    assert os.readlink(tmp_path / "rk/tail").startswith(str(added[-1].uuid))


_WALKS: Final[dict[str, Callable[[EventLog], object]]] = {
    "tail": EventLog.tail,
    "len": len,
    "exists": lambda log: log.exists(uuid4()),
    "append": lambda log: log.append("new"),
    "iterate": list,
    "last": lambda log: log[-1],
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("hinted", [None, 20, 39])
@pytest.mark.parametrize(("behind", "to"), [(39, 0), (39, 39), (39, 30), (25, 3), (25, 25)])
def test_a_link_that_leads_back_is_named_by_every_walk(
    tmp_path: Path, behind: int, to: int, hinted: int | None
) -> None:
    added = _filled(tmp_path)
    (tmp_path / "rk/tail").unlink()
    if hinted is not None:
        (tmp_path / "rk/tail").symlink_to(f"{added[hinted].uuid}.0")
    link = _beside(tmp_path, added[behind], ".next")
    link.unlink(missing_ok=True)
    link.symlink_to(f"{added[to].uuid}.0")
    words = f"{link.name}: this leads back to the event {added[to].uuid}.* the position {to + 1}$"
    log = EventLog(RecordKeeper(tmp_path))
    with pytest.raises(VerificationError, match=words) as caught:
        log.verify()
    assert caught.value.position == behind + 2
    for walk in ["iterate"] if hinted == 39 and behind < 39 else _WALKS:
        with pytest.raises(CorruptionError, match=words):
            _WALKS[walk](EventLog(RecordKeeper(tmp_path)))
    for begin in (0, 3, behind + 1, 10**12):
        places: list[UUID | int] = [begin]
        if 0 < begin <= len(added):
            places.append(added[begin - 1].uuid)
        for place in places:
            seen: list[Event] = []
            with pytest.raises(CorruptionError, match=words):
                seen.extend(EventLog(RecordKeeper(tmp_path)).since(place))
            assert seen == added[begin : behind + 1]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_link_is_damage_that_verify_names(tmp_path: Path, kind: str) -> None:
    added = _filled(tmp_path)
    link = _beside(tmp_path, added[10], ".next")
    to = os.readlink(link)
    link.unlink()
    if kind == "file":
        link.write_text(to)
    else:
        link.mkdir()
    (tmp_path / "rk/tail").unlink()
    with EventLog(RecordKeeper(tmp_path)) as log:
        with pytest.raises(VerificationError, match=f"{link.name}: expected a link") as caught:
            log.verify()
        assert caught.value.position == 12
        for walk in _WALKS.values():
            with pytest.raises(CorruptionError, match=f"{link.name}: expected a link"):
                walk(log)


@pytest.mark.parametrize("named", [39, 20, None])
def test_where_the_tail_lawfully_is_after_a_crash(tmp_path: Path, named: int | None) -> None:
    """The last event may have lost its own name, which was not on the disk; ``tail`` be behind."""
    added = _filled(tmp_path)
    link = os.readlink(_beside(tmp_path, added[-2], ".next"))
    _beside(tmp_path, added[-1]).rename(_beside(tmp_path, added[-1]).with_name(link))
    (tmp_path / "rk/tail").unlink()
    if named is not None:
        (tmp_path / "rk/tail").symlink_to(f"{added[named].uuid}.0")
    for n in range(2):
        with EventLog(RecordKeeper(tmp_path)) as log:
            assert log.verify().position == 40 + n
            assert log.append("new").position == 41 + n
    with EventLog(RecordKeeper(tmp_path)) as log:
        assert list(log)[:40] == added


@pytest.mark.parametrize("by", ["uuid", "position"])
def test_who_follows_a_log_walks_to_its_place_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    added = [Event("n", n) for n in range(100)]
    filled = RecordKeeper(tmp_path)
    filled.extend(added)
    filled.close()
    keeper, steps = RecordKeeper(tmp_path), list[UUID | None]()
    link = keeper._link

    def counted(uuid: UUID | None) -> Link | None:
        steps.append(uuid)
        return link(uuid)

    monkeypatch.setattr(keeper, "_link", counted)
    log = EventLog(keeper)
    subscription = log.subscribe(added[-1].uuid if by == "uuid" else 100, timeout=0)
    for n in range(100, 110):
        assert list(subscription) == []
        log.extend([("n", n), ("n", -n)])
        assert [event.data for event in subscription] == [n, -n]
    assert len(steps) < 200, "some for each event, and not all of the log"
