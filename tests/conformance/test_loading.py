"""Conformance "Objects" 1 to 3: what is read, and when, as the interpreter's audit events tell."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store

from .library import Library, fill


class Trace:
    """Files opened and folders listed below a folder while ``on``."""

    def __init__(self) -> None:
        self.on = False
        self.below = ""
        self.opened: list[str] = []
        self.listed: list[str] = []

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or event not in ("open", "os.listdir", "os.scandir"):
            return
        path = str(args[0])
        if "/.objstore" in path:  # the manifest and the end of the log
            return
        if path.startswith(self.below) and not Path(path).is_dir() and event == "open":
            self.opened.append(Path(path).name)
        elif event != "open":
            self.listed.append(path)


_trace = Trace()
sys.addaudithook(_trace.hook)  # for the rest of the process: audit hooks cannot be removed


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with objstore.open(tmp_path / "data", Library) as store:
        fill(store)
    time.sleep(0.05)  # a file written just now is read again to be sure that it is unchanged
    yield tmp_path / "data"
    _trace.on = False


@pytest.fixture
def trace(folder: Path) -> Trace:
    _trace.below = str(folder)
    _trace.opened, _trace.listed, _trace.on = [], [], True
    return _trace


def test_01_opening_and_instantiating_read_no_file(folder: Path, trace: Trace) -> None:
    trace.on = False
    before = sorted(folder.rglob("*"))
    trace.on = True
    with objstore.open(folder, Library) as store:
        held: list[Any] = [
            store.root,
            store.root.people,
            store.root.people["ada"],
            store.root.settings,
        ]
        held.append(store.root.reading)
    assert (trace.opened, trace.listed) == ([], [])
    trace.on = False
    assert sorted(folder.rglob("*")) == before


def test_02_a_key_reads_its_file_and_no_other(folder: Path, trace: Trace) -> None:
    with objstore.open(folder, Library) as store:
        bob = store.root.people["bob"]
        assert trace.opened == []
        assert bob.name == "Bob"
        assert trace.opened == ["bob.json"]
        assert (bob.tags[0], bob.age, len(bob), store.root.people["bob"].born) == ("a", 56, 8, 1970)
        assert trace.opened == ["bob.json"]
    assert trace.listed == []


def test_02_no_read_of_a_loaded_object_touches_the_disk(folder: Path) -> None:
    with objstore.open(folder, Library) as store:
        bob = store.root.people["bob"]
        assert bob.name == "Bob"
        (folder / "people" / "bob.json").unlink()
        assert (bob.name, bob.tags, bob.born, bob.contents["name"]) == (
            "Bob",
            ["a", "b"],
            1970,
            "Bob",
        )


def test_03_only_iterating_lists(folder: Path, trace: Trace) -> None:
    with objstore.open(folder, Library) as store:
        assert "ada" in store.root.people
        assert "eve" not in store.root.people
        assert store.root.people.get("eve") is None
        assert store.HEAD("/people/ada/name")
        assert trace.listed == []
        assert [key for key in store.root.people] == ["ada", "bob"]  # noqa: C416 - list() asks len
        assert trace.listed == [str(folder / "people")]
    assert trace.opened == ["ada.json"]


def test_03_a_declared_directory_is_iterated_without_a_listing(folder: Path, trace: Trace) -> None:
    with objstore.open(folder, Library) as store:
        assert list(store.root) == ["people", "settings", "reading"]
    assert (trace.opened, trace.listed) == ([], [])


def test_opening_someones_data_leaves_no_trace(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    with objstore.open(folder) as store:
        assert store.check() == []
        assert store["people/ada/name"] == "Ada"
    assert {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]} == before


def test_a_schema_that_leaves_it_open_has_to_look(folder: Path, trace: Trace) -> None:
    with objstore.open(folder) as store:
        untyped: Store[Any] = store
        assert isinstance(untyped["reading"], objstore.List)
    assert trace.opened == ["reading.yaml"]
