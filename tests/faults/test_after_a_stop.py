"""What handles do after the machine has stopped.

Those that were opened before somebody else put all in order take files for what they are from then
on, as those that are opened later do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history import ledger
from objstore.backings.filesystem.repairing import repair
from objstore.documents import Change
from objstore.errors import FormatError
from objstore.layout import ANYTHING
from objstore.retention import Retention
from objstore.values import MISSING
from tests.conformance.layouts import LIBRARY
from tests.faults.logs import log_file
from tests.faults.store_states import Before, Run

UNITS = ("/a", "/b", "/c")
NEWEST = Retention(keep=timedelta(0), every=timedelta(days=10_000), slots=1)


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


@pytest.mark.parametrize("unit", ["/gone/x", "/people"])
@pytest.mark.parametrize("left", ["right", "behind", "torn", "to be deleted"])
def test_a_unit_that_the_layout_of_now_has_no_place_for_is_settled(
    tmp_path: Path, unit: str, left: str
) -> None:
    """By where the log has its file: else no file of the log could be ended any more."""
    path, old = tmp_path / f"{unit[1:]}.json", {"n": 0, "fill": "x" * 1000}
    store = FilesystemDocuments(Run(tmp_path, 1), ANYTHING)
    put(store, unit, old)
    before = path.read_bytes()
    put(store, unit, {**old, "n": 1})
    if left == "to be deleted":
        put(store, unit, MISSING)
        path.parent.mkdir(exist_ok=True)
    if left in ("behind", "to be deleted"):
        path.write_bytes(before)
    elif left == "torn":
        path.write_bytes(path.read_bytes()[:512])
    late = FilesystemDocuments(Run(tmp_path, 2), LIBRARY)
    assert late.keys("") == []
    put(late, "/settings", {})
    late.switch_and_snapshot()
    assert late.compact(NEWEST) != []
    late.close()
    assert path.exists() == (left != "to be deleted")
    again = opened(tmp_path)
    assert again.load(unit).value == (MISSING if left == "to be deleted" else {**old, "n": 1})
    assert [*again.check()] == []


def test_newest_records_that_the_machine_has_lost_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under durability "os", where the index may be on the disk before what it is of."""
    monkeypatch.setattr(ledger, "_OFTEN", 1)
    store = FilesystemDocuments(Before(tmp_path, 1, sync=False), ANYTHING)
    for n in range(3):
        put(store, "/a", {"n": n})
    store.close()
    assert (tmp_path / ".objstore/index").exists()
    data = log_file(tmp_path).read_bytes()
    log_file(tmp_path).write_bytes(data[: data.rindex(b"\xffO")])
    again = opened(tmp_path)
    assert again.head() == 2
    assert [*again.check()] == []
    assert repair(tmp_path) == []
    put(again, "/a", {"n": 3})
    assert [one.number for one in again.commits()] == [1, 2, 3, 4]
    assert [*again.check()] == []


def test_what_is_noted_of_records_that_are_lost_behind_a_close_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle under "os" went on where one under "full" had closed the log: its end says so
    still, and which run of the machine that was in is all that tells."""
    monkeypatch.setattr(ledger, "_OFTEN", 1)
    synced = FilesystemDocuments(Run(tmp_path, 1), ANYTHING)
    put(synced, "/a", {"n": 0})
    synced.close()
    data = log_file(tmp_path).read_bytes()
    unsynced = FilesystemDocuments(Before(tmp_path, 1, sync=False), ANYTHING)
    for n in range(5):
        put(unsynced, "/b", {"n": n})
    unsynced.close()
    log_file(tmp_path).write_bytes(data)
    (tmp_path / "b.json").unlink()
    lazy, other = FilesystemDocuments(Run(tmp_path, 2), ANYTHING, lazy=True), opened(tmp_path)
    assert lazy.head() == other.head() == 1
    put(lazy, "/a", {"n": 1})
    for n in range(5):
        put(other, "/c", {"n": n})
    late = opened(tmp_path)
    for store in (lazy, other, late):
        store.head()
        assert store.load("/a").value == {"n": 1}
        assert store.load("/b").value is MISSING
    assert [one.external for one in late.commits()] == [False] * 7
    assert [*late.check()] == []
