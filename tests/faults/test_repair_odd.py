"""What is none of the engine's files, under the name of one: found, and put aside."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import CorruptionError, HistoryGone, Retention
from objstore.backings.filesystem.history import record
from objstore.backings.filesystem.history.record import Said
from objstore.backings.filesystem.log.manifest import check_of

STORE = "7c1f4f6e-51a8-4d0b-9a38-2f0f6f5a1e90"

FOREIGN: list[dict[str, Any]] = [
    {"pins": [1]},
    {"format": 1},
    {"format": 1, "options": {}},
    {"format": 1, "store": "x", "options": {}},
    {"format": 1, "store": 5, "options": {}},
    {"format": 1, "store": None, "options": {}},
    {"format": 1, "store": STORE},
    {"format": 1, "store": STORE, "options": []},
]


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


@pytest.mark.parametrize("kind", ["file", "pipe", "link"])
def test_what_is_no_folder_in_the_place_of_the_log(folder: Path, kind: str) -> None:
    path = folder / ".objstore/log"
    shutil.rmtree(path)
    if kind == "link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"bytes of somebody's")
    with objstore.open(folder) as store:
        assert (".objstore/log", "a folder") in [(f.source, f.expected) for f in store.check()]
    done = objstore.repair(folder)
    assert any(one.startswith(".objstore/log: moved to .objstore/lost+found/") for one in done)
    assert any(one.endswith("all of the past with it") for one in done)
    with objstore.open(folder) as store:
        assert store.check() == []
        assert store["ada"] == {"born": 1816}
        store["ada"].born = 1817
        assert store.head == 1
    assert objstore.repair(folder) == []


@pytest.mark.parametrize("number", [2**63 + 1, 2**64 - 1, 10**23])
def test_a_file_with_a_number_that_no_log_comes_to(folder: Path, number: int) -> None:
    logs = folder / ".objstore/log"
    shutil.copy(logs / "00000001-a.log", logs / f"{number}-{'a' if number % 2 else 'b'}.log")
    with objstore.open(folder) as store:
        assert store.check() == []
        store["ada"].born = 1817
        assert store.read_at("/ada/born", store.head - 1) == 1816
    assert objstore.repair(folder) == []


@pytest.mark.parametrize("said", [*FOREIGN, "surrogate"], ids=str)
def test_a_manifest_that_says_something_else(folder: Path, said: Any) -> None:
    """Its checksum is right: it was made by a program that knows how, for something else."""
    path = folder / ".objstore/manifest.json"
    before = path.read_bytes()
    if said == "surrogate":  # which has no checksum, as it is no text
        path.write_bytes(b'{"format": 1, "store": "' + b"9" * 30 + rb'\ud800", "crc32c": "0"}')
    else:
        path.write_bytes(json.dumps({**said, "crc32c": check_of(said)}).encode())
    with objstore.open(folder) as store:
        for use in (lambda: store.head, lambda: store.pin(1), lambda: store.PUT("/bob", {})):
            with pytest.raises(objstore.CorruptionError) as caught:
                use()
            assert (caught.value.file, caught.value.offset) == (".objstore/manifest.json", None)
        assert [one.source for one in store.check()] == [".objstore/manifest.json"]
    done = objstore.repair(folder)
    assert done[0].startswith(".objstore/manifest.json: moved to .objstore/lost+found/")
    assert done[1:] == [".objstore/manifest.json: made again by what the log says"]
    assert path.read_bytes() == before
    with objstore.open(folder) as store:
        assert store.check() == []
        assert store.head == 2


@pytest.mark.parametrize("is_edited", [False, True])
def test_an_image_of_another_format_than_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_edited: bool
) -> None:
    """As compaction once left it where a file had become one of another format."""
    encode = record.encode

    def encode_as_once(said: Said, generation: int) -> bytes:
        entries = [one._replace(was=None) for one in said.entries]
        return encode(said._replace(entries=entries), generation)

    (tmp_path / "u.yaml").write_text("# a note\n- 1\n")
    with objstore.open(tmp_path) as store:
        store["other"] = {"n": 1}
        del store["u"]
        store["u"] = [2]
        with monkeypatch.context() as patch:
            patch.setattr(record, "encode", encode_as_once)
            store.compact(Retention(keep=timedelta(0), every=timedelta(days=10_000)))
        store["u"].append(3)
        for use in (lambda: store.read_at("u", 3), lambda: store.undo(3), lambda: [*store.log()]):
            with pytest.raises(CorruptionError, match="/u was before commit 3 does not parse"):
                use()
        assert len(store.check()) == 1
    if is_edited:
        (tmp_path / "u.json").write_text("[7]")
    done = objstore.repair(tmp_path)
    assert any("what commit 3 did to /u is lost" in one for one in done)
    assert len([*(tmp_path / ".objstore/lost+found").iterdir()]) == 1
    with objstore.open(tmp_path) as store:
        assert store.check() == []
        assert [one.number for one in store.log("u")] == [4]
        assert store.read_at("u", 4) == [2, 3]
        for number in (0, 3):
            with pytest.raises(HistoryGone):
                store.read_at("u", number)
        assert store.read_at("other", 3) == {"n": 1}
        store["u"].append(8)
        assert store["u"] == ([7, 8] if is_edited else [2, 3, 8])
