"""What is none of the engine's files, under the name of one: found, and put aside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import objstore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with objstore.open(folder) as store:
        store["ada"] = {"born": 1815}
        store.switch_and_snapshot()
        store["ada"].born = 1816
        store.pin(1)
    return folder


@pytest.mark.parametrize("kind", ["folder", "full folder", "link", "pipe"])
@pytest.mark.parametrize(
    "name",
    [
        "boot",
        "index",
        "lock",
        "manifest.json",
        "pins.json",
        "log/00000001-a.log",
        "log/00000002-b.log",
    ],
)
def test_what_is_no_file_is_found_and_put_aside(folder: Path, name: str, kind: str) -> None:
    path = folder / ".objstore" / name
    path.unlink()
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        if kind == "full folder":
            shutil.copy(folder / "ada.json", path)
    with objstore.open(folder) as store:
        assert (f".objstore/{name}", "a file") in [(f.source, f.expected) for f in store.check()]
    done = objstore.repair(folder)
    assert any(one.startswith(f".objstore/{name}: moved to .objstore/lost+found/") for one in done)
    with objstore.open(folder) as store:
        assert store.check() == []
        assert store["ada"] == {"born": 1816}
        head = store.head
        store["ada"].born = 1817
        assert store.head > head
        assert store.read_at("/ada/born", store.head) == 1817
        assert store.check() == []
    assert objstore.repair(folder) == []
