"""The tree of seed 000's record keeper: docs/formats/record-keeper.md."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from uuid import UUID

from objstore import Event
from objstore.backings.filesystem import RecordKeeper

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
