"""Folders that are made for what is durable are on the disk with it: their parents are synced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import objstore
from objstore import LmdbStorage, SqliteStorage, ValueLogStorage
from objstore.backings.filesystem import lostfound
from objstore.backings.filesystem.io import Files


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is made, and which folders are synced, in that order."""
    found: list[tuple[str, str]] = []
    make_folder, sync_folder = Files.make_folder, Files.sync_folder

    def make(self: Files, path: str) -> bool:
        is_new = make_folder(self, path)
        if is_new:
            found.append(("make", path))
        return is_new

    def sync(self: Files, path: str, *, sure: bool = False) -> None:
        sync_folder(self, path, sure=sure)
        if self.sync or sure:
            found.append(("sync", path))

    monkeypatch.setattr(Files, "make_folder", make)
    monkeypatch.setattr(Files, "sync_folder", sync)
    return found


def lost(steps: list[tuple[str, str]]) -> list[str]:
    """The folders that were made and are still there, whose names may not be on the disk."""
    return [
        path
        for number, (step, path) in enumerate(steps)
        if step == "make" and os.path.exists(path)
        if ("sync", os.path.dirname(path)) not in steps[number:]
    ]


@pytest.mark.parametrize("kind", [SqliteStorage, LmdbStorage, ValueLogStorage])
def test_a_storage_and_its_backup(
    tmp_path: Path,
    steps: list[tuple[str, str]],
    kind: Callable[..., SqliteStorage | LmdbStorage | ValueLogStorage],
) -> None:
    with kind(tmp_path / "a/b/c/storage", create=True) as storage:
        storage.add_container("c")
        assert ("make", str(tmp_path / "a")) in steps
        assert lost(steps) == []
        storage.backup(tmp_path / "d/e/f/copy")
        assert ("make", str(tmp_path / "d")) in steps
        assert lost(steps) == []


WRITES: dict[str, Callable[[objstore.Store], object]] = {
    "containers": lambda store: store.containers["c"].setdefault("k", "v"),
    "events": lambda store: store.events.append("type"),
    "depot": lambda store: store.depot.put(b"x"),
    "commit": lambda store: store.root.setdefault("k", {"n": 1}),
}


@pytest.mark.parametrize("write", WRITES)
def test_what_a_store_has(tmp_path: Path, steps: list[tuple[str, str]], write: str) -> None:
    with objstore.open(tmp_path / "a/b/store") as store:
        WRITES[write](store)
        assert ("make", str(tmp_path / "a")) in steps
        assert lost(steps) == []


@pytest.mark.parametrize("write", WRITES)
def test_folders_that_were_there(tmp_path: Path, steps: list[tuple[str, str]], write: str) -> None:
    """Whoever made them may have died before their names were on the disk."""
    (tmp_path / "store/.objstore").mkdir(parents=True)
    with objstore.open(tmp_path / "store") as store:
        WRITES[write](store)
        assert {("sync", str(tmp_path)), ("sync", str(tmp_path / "store"))} <= {*steps}


def test_containers_that_another_process_made(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    with objstore.open(tmp_path / "store") as store:
        store.containers["c"]["k"] = "v"
    steps.clear()
    with objstore.open(tmp_path / "store") as store:
        assert store.containers["c"]["k"] == "v"
        assert steps == []
        store.containers["c"]["k"] = "w"
        assert {("sync", str(tmp_path)), ("sync", str(tmp_path / "store"))} <= {*steps}
        steps.clear()
        store.containers["c"]["k"] = "x"
        assert steps == [], "once is enough"


def test_lost_and_found(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    (tmp_path / ".objstore").mkdir()
    lostfound.keep(Files(str(tmp_path)), str(tmp_path / "ada.json"), b"bytes")
    assert ("make", str(tmp_path / ".objstore/lost+found")) in steps
    assert lost(steps) == []


def test_what_a_repair_sets_aside(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    with objstore.open(tmp_path) as store:
        store["k"] = {"n": 1}
    (tmp_path / ".objstore/pins.json").write_bytes(b"no pins")
    steps.clear()
    [done] = objstore.repair(tmp_path)
    assert "moved to .objstore/lost+found" in done
    made = steps.index(("make", str(tmp_path / ".objstore/lost+found")))
    engine = ("sync", str(tmp_path / ".objstore"))
    assert steps[made + 1] == engine, "or what is moved is in no folder that is sure to be there"
    assert engine in steps[made + 2 :]
