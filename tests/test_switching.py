"""Snapshots that are taken by themselves (conformance, "Documents and the commit log", line 13)."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import objstore
from objstore.backings.filesystem.engine import Engine


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
