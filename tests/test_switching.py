"""Snapshots that are taken by themselves (conformance, "Documents and the commit log", line 13)."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

import objstore
from objstore.backings.filesystem.engine import Engine
from objstore.backings.filesystem.history import ledger, past, record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("objstore.backings.filesystem.engine._PAUSE", 3)
    return tmp_path / "data"


def logs(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".objstore" / "log").iterdir())


def count(folder: Path, times: int) -> None:
    with objstore.open(folder) as store:
        for number in range(times):
            store["counter"] = {"n": number}
        assert store["counter"].contents == {"n": times - 1}
        assert [store.read_at("/counter/n", n) for n in range(1, times + 1)] == [*range(times)]


def test_13_after_so_many_commits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "switch_commits", 4)
    count(folder, 13)
    assert logs(folder) == [
        "00000001-a.log",
        "00000002-b.log",
        "00000003-a.log",
        "00000004-b.log",
    ]
    assert (folder / ".objstore" / "index").exists()


def test_13_after_so_many_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "switch_bytes", 1000)
    count(folder, 13)
    assert 1 < len(logs(folder)) < 6


@pytest.mark.parametrize(
    "error",
    [
        objstore.TransactionError("not now"),
        objstore.LayoutError(errno.ENOTDIR, "a file is where a directory should be", "sub"),
    ],
)
def test_a_snapshot_that_fails_is_tried_again_later(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: objstore.ObjstoreError,
) -> None:
    def refuse(_: object) -> int:
        raise error

    monkeypatch.setattr(Engine, "switch_commits", 4)
    with objstore.open(folder) as store:
        store["other"] = {"n": 1}
        monkeypatch.setattr("objstore.backings.filesystem.committer.Committer.switch", refuse)
        for number in range(8):
            store["counter"] = {"n": number}
    assert caplog.text.count(f"no snapshot could be taken: {error}") == 2


# The index, at other times


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The records that are parsed, once an index spares the parsing of 50 changes."""
    found: list[bytes] = []

    def decode(payload: bytes, generation: int) -> record.Said:
        found.append(payload)
        return record.decode(payload, generation)

    monkeypatch.setattr(ledger, "_OFTEN", 50)
    monkeypatch.setattr(past, "decode", decode)
    return found


def change_one(folder: Path, durability: str, parsed: list[bytes]) -> int:
    """How many records are parsed where a program changes one file."""
    parsed.clear()
    with objstore.open(folder, durability=durability) as store:
        store["one/n"] += 1
    return len(parsed)


@pytest.mark.parametrize("durability", ["full", "os"])
def test_a_close_writes_the_index_where_much_was_committed(
    folder: Path, durability: str, parsed: list[bytes]
) -> None:
    with objstore.open(folder, durability=durability) as store:
        store["one"] = {"n": 0}
        for n in range(200):
            store["other"] = {"n": n}
    assert change_one(folder, durability, parsed) < 10
    with objstore.open(folder, durability=durability) as store:
        for n in range(30):
            store["other"] = {"n": n}
    assert 30 < change_one(folder, durability, parsed) < 40
    assert objstore.open(folder).check() == []


@pytest.mark.parametrize("durability", ["full", "os"])
def test_who_commits_after_a_long_read_writes_the_index(
    folder: Path, tmp_path: Path, durability: str, parsed: list[bytes]
) -> None:
    """So that a store whose programs are all killed is not read whole each time."""
    with objstore.open(folder, durability=durability) as store:
        store["one"] = {"n": 0}
        for n in range(200):
            store["other"] = {"n": n}
        shutil.copytree(folder, tmp_path / "killed")
    with objstore.open(tmp_path / "killed", durability=durability) as store:
        store["one/n"] += 1
        assert len(parsed) > 200
        shutil.copytree(tmp_path / "killed", tmp_path / "again")
    assert change_one(tmp_path / "again", durability, parsed) < 10


def test_a_close_writes_the_index_where_a_few_commits_changed_many_files(
    folder: Path, parsed: list[bytes]
) -> None:
    with objstore.open(folder) as store, store.transaction():
        store["one"] = {"n": 0}
        for n in range(60):
            store[f"{n}"] = {"n": n}
    assert change_one(folder, "full", parsed) == 0
