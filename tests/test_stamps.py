"""When a file counts as changed (backings/filesystem/stamps.py)."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import stamps
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files, Snapshot, signature
from objstore.backings.filesystem.stamps import TICK_NS, learned, settled
from objstore.documents import Change, Documents
from objstore.errors import BackingError, ConflictError, LayoutError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.seams import Coarse, Counting, documents, settle, status

ADA = {"name": "Ada"}
EVE = {"name": "Eve"}
SECOND = 1_000_000_000
FILE = 0o100644


@pytest.fixture(autouse=True, params=["as it is", "coarse"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system's own, and one that ticks too slowly to tell every change."""
    monkeypatch.setattr(stamps, "_tells", {})
    if request.param == "coarse":
        monkeypatch.setattr(Files, "tells_changes", tells_nothing)


def tells_nothing(self: Files, folder: str) -> None:
    """In place of ``Files.tells_changes``."""


@pytest.fixture
def ada(tmp_path: Path) -> Path:
    path = tmp_path / "ada.json"
    path.write_text(json.dumps(ADA))
    return path


def edit_in_place(path: Path, value: Any = EVE) -> None:
    """Change the bytes as an editor might that keeps the inode; EVE has as many as ADA."""
    replacement = json.dumps(value).encode()
    with path.open("r+b") as file:
        assert len(replacement) == os.fstat(file.fileno()).st_size
        file.write(replacement)


def commit(store: Documents, old: Any, new: Any, stamp: Any = None) -> Any:
    return store.commit([Change("/ada", old, new, stamp)], base=0).changes[0].stamp


# When a signature is trusted


@pytest.mark.parametrize(
    ("changed", "now", "trusted"),
    [
        (5 * SECOND + 1, 5 * SECOND + 1, False),
        (5 * SECOND + 1, 5 * SECOND + TICK_NS, False),
        (5 * SECOND + 1, 5 * SECOND + TICK_NS + 2, True),
        (9 * SECOND + 1, 5 * SECOND, False),  # the clock was set back
        (5 * SECOND, 6 * SECOND, False),  # times without a fraction: FAT counts two seconds
        (5 * SECOND, 7 * SECOND + 1, True),
    ],
)
def test_a_signature_is_trusted_once_the_clock_has_moved_on(
    changed: int, now: int, trusted: bool
) -> None:
    found = status(FILE, 3, changed)
    assert settled(found, now) == (signature(found) if trusted else None)


def test_where_every_change_has_a_time_of_its_own_it_is_trusted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = status(FILE, 3, 5 * SECOND + 1)
    for told in (False, True):
        monkeypatch.setattr(stamps, "_tells", {found.st_dev: told})
        assert settled(found, 5 * SECOND + 1) == (signature(found) if told else None)


def test_that_is_tried_once_for_a_device(ada: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = ada.stat(), list[str]()

    def tells(self: Files, folder: str) -> int | None:
        asked.append(folder)
        return found.st_dev if len(asked) == 2 else None  # the first was interrupted

    monkeypatch.setattr(Files, "tells_changes", tells)
    files = Files(str(ada.parent))
    for _ in range(3):
        assert learned(files, found, str(ada.parent))
    assert len(asked) == 2
    monkeypatch.setattr(stamps, "_tells", {})
    monkeypatch.setattr(Files, "tells_changes", tells_nothing)
    assert not learned(files, found, str(ada.parent))


def test_what_a_system_says_of_its_times_is_true(ada: Path) -> None:
    device = Files(str(ada.parent)).tells_changes(str(ada.parent))
    seen = set[Any]()
    for n in range(1000):
        edit_in_place(ada, {"name": f"{n:03}"[-3:]})
        seen.add(signature(ada.stat()))
    assert device is None or (device, len(seen)) == (ada.stat().st_dev, 1000)


def test_a_file_that_was_just_written_is_not_read_where_it_cannot_have_changed(ada: Path) -> None:
    files = Counting(ada.parent)
    store = documents(files)
    loaded = store.load("/ada")
    stamp = commit(store, loaded.value, EVE, loaded.stamp)
    files.clear()
    assert store.look("/ada", stamp) is stamp
    tells = stamps._tells[ada.stat().st_dev]
    assert files.opened == ([] if tells else ["ada.json"])
    commit(store, EVE, ADA, stamp)
    assert files.opened.count("ada.json") == (0 if tells else 2)


# Edits that look like none


def test_an_edit_within_the_tick_of_our_own_commit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ada.json"
    path.write_text('{"n": 999}')
    store = documents(Files(str(tmp_path), sync=False))
    for n in range(100, 150):
        loaded = store.load("/ada")
        assert loaded.value == {"n": 999}
        stamp = commit(store, loaded.value, {"n": n}, loaded.stamp)
        edit_in_place(path, {"n": 999})
        assert store.look("/ada", stamp) is not stamp


def test_an_edit_that_the_signature_hides_is_noticed_while_the_file_is_young(ada: Path) -> None:
    files = Coarse(ada.parent, now=time.time_ns() + SECOND * 60)
    store = documents(files)
    loaded = store.load("/ada")
    before = files.lstat(str(ada))
    edit_in_place(ada)
    assert files.lstat(str(ada)) == before
    seen: Any = store.look("/ada", loaded.stamp)
    assert seen is not loaded.stamp
    with pytest.raises(ConflictError) as caught:
        commit(store, ADA, {"name": "Bob"}, loaded.stamp)
    assert caught.value.theirs == EVE
    commit(store, EVE, {"name": "Bob"}, seen)
    assert json.loads(ada.read_text()) == {"name": "Bob"}


def test_a_young_file_that_was_only_looked_at_is_compared_by_its_contents(ada: Path) -> None:
    store = documents(Coarse(ada.parent, now=time.time_ns() + SECOND * 60))
    seen = store.look("/ada")
    edit_in_place(ada)
    with pytest.raises(ConflictError):
        commit(store, ADA, {"name": "Bob"}, seen)


@pytest.mark.parametrize("new", [{"name": "Ada", "n": 1}, MISSING], ids=["changed", "deleted"])
def test_an_edit_that_the_signature_hides_is_not_overwritten_by_a_commit_before_it(
    ada: Path, new: Any
) -> None:
    """The file is read for the commit, edited, and only then written."""
    store = FilesystemDocuments(
        Coarse(ada.parent, now=time.time_ns() + SECOND * 60), ANYTHING, lazy=True
    )
    loaded = store.load("/ada")
    commit(store, loaded.value, new, loaded.stamp)
    edit_in_place(ada)
    store.flush()
    merged = EVE if new is MISSING else {"name": "Eve", "n": 1}
    assert json.loads(ada.read_text()) == merged
    assert [one.external for one in store.commits()] == [False, True]
    assert not (ada.parent / ".objstore/lost+found").exists()
    store.close()


def test_an_edit_that_sets_the_times_back_is_noticed(ada: Path) -> None:
    settle(ada)
    store = documents(Files(str(ada.parent)))
    stamp = store.load("/ada").stamp
    before = ada.stat()
    edit_in_place(ada)
    os.utime(ada, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ada.stat().st_mtime_ns == before.st_mtime_ns
    assert ada.stat().st_size == before.st_size
    assert store.look("/ada", stamp) is not stamp


def test_a_file_replaced_by_rename_is_noticed(ada: Path) -> None:
    settle(ada)
    store = documents(Files(str(ada.parent)))
    stamp = store.load("/ada").stamp
    other = ada.parent / "other"
    other.write_text(json.dumps(EVE))
    other.rename(ada)
    assert store.look("/ada", stamp) is not stamp


# Changes that are none


def test_a_touched_file_is_the_same(ada: Path) -> None:
    settle(ada)
    files = Counting(ada.parent)
    store = documents(files)
    stamp = store.load("/ada").stamp
    os.utime(ada)
    assert store.look("/ada", stamp) is stamp
    settle(ada)
    assert store.look("/ada", stamp) is stamp
    files.clear()
    assert store.look("/ada", stamp) is stamp
    assert files.opened == []
    assert set(files.looked) <= {".objstore", "ada.json"}, "and whether there is a log by now"


def test_the_same_bytes_under_a_new_inode_are_the_same(ada: Path) -> None:
    settle(ada)
    store = documents(Files(str(ada.parent)))
    stamp = store.load("/ada").stamp
    other = ada.parent / "other"
    other.write_bytes(ada.read_bytes())
    other.rename(ada)
    assert store.look("/ada", stamp) is stamp
    commit(store, ADA, EVE, stamp)
    assert json.loads(ada.read_text()) == EVE


def test_our_own_commit_is_known_and_soon_told_by_one_stat(ada: Path) -> None:
    files = Counting(ada.parent)
    store = documents(files)
    loaded = store.load("/ada")
    stamp = commit(store, ADA, EVE, loaded.stamp)
    settle(ada)
    assert store.look("/ada", stamp) is stamp
    files.clear()
    assert store.look("/ada", stamp) is stamp
    assert (files.looked, files.opened) == (["ada.json"], [])


def test_a_file_that_moved_to_another_ending_is_another_version(ada: Path) -> None:
    store = documents(Files(str(ada.parent)))
    stamp = store.load("/ada").stamp
    ada.rename(ada.with_suffix(".yaml"))
    seen = store.look("/ada", stamp)
    assert seen is not stamp
    assert seen is not None
    assert store.load("/ada").value == ADA


def test_a_folder_in_the_files_place_is_noticed(ada: Path) -> None:
    store = documents(Files(str(ada.parent)))
    stamp = store.load("/ada").stamp
    ada.unlink()
    assert store.look("/ada", stamp) is None
    ada.parent.joinpath("ada").mkdir()
    assert repr(store.look("/ada", stamp)) == "DIRECTORY"


# Files that change while they are read


class Changing(Files):
    """Gives half of the bytes, as when a writer is at work, for the first ``times`` reads."""

    __slots__ = ("times",)

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(str(root))
        self.times = times

    def read(self, path: str, limit: int) -> Snapshot | None:
        found = super().read(path, limit)
        if found is None or self.times == 0:
            return found
        self.times -= 1
        half = found.data[: len(found.data) // 2]
        return Snapshot(half, found.before, status(FILE, len(half), time.time_ns()))


def test_a_file_that_changes_while_it_is_read_is_read_again(ada: Path) -> None:
    assert documents(Changing(ada.parent, 3)).load("/ada").value == ADA


def test_a_file_that_never_rests_is_an_error(ada: Path) -> None:
    with pytest.raises(BackingError, match=r"cannot read ada\.json: it keeps changing"):
        documents(Changing(ada.parent, -1)).load("/ada")


def test_a_root_that_becomes_a_file_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = documents(Files(str(root)))
    root.write_text("no folder")
    for use in (
        lambda: store.look(""),
        lambda: store.keys(""),
        lambda: store.load("/ada"),
        lambda: commit(store, MISSING, ADA),
    ):
        with pytest.raises(LayoutError, match="is a file where a directory should be"):
            use()
