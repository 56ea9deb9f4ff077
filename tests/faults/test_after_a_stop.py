"""What handles do after the machine has stopped.

Those that were opened before somebody else put all in order take files for what they are from then
on, as those that are opened later do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.repairing import repair
from objstore.documents import Change
from objstore.errors import FormatError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.store_states import Run

UNITS = ("/a", "/b", "/c")


def opened(folder: Path) -> FilesystemDocuments:
    return FilesystemDocuments(Run(folder, 2), ANYTHING)


def put(store: FilesystemDocuments, unit: str, new: Any) -> int:
    base = store.head()
    old, stamp = store.load(unit)
    return store.commit([Change(unit, old, new, stamp)], base=base).number


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store that was left as the machine stopped."""
    store = FilesystemDocuments(Run(tmp_path, 1), ANYTHING)
    for n in (1, 2):
        for unit in UNITS:
            put(store, unit, {"list": [*range(n)]})
    return tmp_path


def commits(store: FilesystemDocuments) -> None:
    put(store, "/other", {"n": 1})


def commits_and_closes(store: FilesystemDocuments) -> None:
    commits(store)
    store.close()


def flushes(store: FilesystemDocuments) -> None:
    store.flush()


def switches(store: FilesystemDocuments) -> None:
    store.switch_and_snapshot()


@pytest.mark.parametrize("work", [commits, commits_and_closes, flushes, switches])
def test_an_edit_stays_once_another_handle_has_put_all_in_order(
    folder: Path, work: Callable[[FilesystemDocuments], None]
) -> None:
    early = opened(folder)
    assert early.load("/a").value == {"list": [0, 1]}
    other = opened(folder)
    work(other)
    (folder / "a.json").write_text('{"list": [0]}')
    (folder / "b.json").unlink()
    (folder / "c.json").write_text('{"list": [0,')
    for store in (early, opened(folder)):
        assert store.load("/a").value == {"list": [0]}
        assert store.load("/b").value is MISSING
        with pytest.raises(FormatError):
            store.load("/c")
        put(store, "/last", {})
    assert (folder / "a.json").read_text() == '{"list": [0]}'
    assert not (folder / "b.json").exists()
    assert (folder / "c.json").read_text() == '{"list": [0,'
    assert not (folder / ".objstore/lost+found").exists()


def test_the_first_commit_of_another_handle_puts_nothing_back(folder: Path) -> None:
    """It reads nothing in between that might tell it."""
    early = opened(folder)
    early.load("/a")
    commits(opened(folder))
    (folder / "a.json").write_text('{"list": [0]}')
    put(early, "/last", {})
    assert json.loads((folder / "a.json").read_text()) == {"list": [0]}


def test_who_only_reads_sees_what_is_set_back_once_all_was_put_in_order(folder: Path) -> None:
    before = (folder / "a.json").read_bytes()
    reader, writer = opened(folder), opened(folder)
    assert reader.load("/a").value == {"list": [0, 1]}
    put(writer, "/a", {"list": []})
    assert reader.head() == 7
    (folder / "a.json").write_bytes(before)
    assert reader.load("/a").value == {"list": [0, 1]}


def test_what_is_written_is_noted_for_the_next_as_well_when_a_second_handle_begins(
    folder: Path,
) -> None:
    early, writer = opened(folder), opened(folder)
    early.load("/a")
    for n in range(2):
        put(writer, "/b", {"n": n})
    put(early, "/other", {})
    before = (folder / "a.json").read_bytes()
    put(writer, "/a", {"list": []})
    (folder / "a.json").write_bytes(before)
    late = opened(folder)
    assert late.load("/a").value == {"list": [0, 1]}
    put(late, "/other", {"n": 1})
    assert (folder / "a.json").read_bytes() == before


@pytest.mark.parametrize("unit", ["/" + "k" * 230, "/folder" * 40 + "/x", "/" + "é" * 115])
@pytest.mark.parametrize("mends", ["commit", "repair"])
def test_a_torn_file_with_a_long_path_is_kept_and_made_anew(
    tmp_path: Path, unit: str, mends: str
) -> None:
    path = tmp_path / f"{unit[1:]}.json"
    store = FilesystemDocuments(Run(tmp_path, 1), ANYTHING)
    put(store, unit, {"fill": "x" * 2000})
    torn = path.read_bytes()[:512]
    path.write_bytes(torn)
    if mends == "commit":
        put(opened(tmp_path), "/other", {})
    else:
        assert repair(tmp_path) == [f"{unit[1:]}.json: made what the newest commit left"]
    assert json.loads(path.read_bytes()) == {"fill": "x" * 2000}
    (kept,) = (tmp_path / ".objstore/lost+found").iterdir()
    assert kept.read_bytes() == torn
    assert kept.name.split(".")[0].endswith(unit[-1])


def test_what_a_killed_process_left_of_a_file_with_a_long_path_is_kept(tmp_path: Path) -> None:
    unit, edit = "/" + "k" * 230, '{"an": "edit"}'
    store = opened(tmp_path)
    put(store, unit, {"n": 0})
    Path(names.temporary_path(str(tmp_path / f"{unit[1:]}.json"))).write_text(edit)
    put(store, unit, {"n": 1})
    (kept,) = (tmp_path / ".objstore/lost+found").iterdir()
    assert kept.read_text() == edit
