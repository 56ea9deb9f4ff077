"""Every step of a commit failing, one by one, through the seam."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import open_documents
from objstore.documents import Change, Documents
from objstore.errors import BackingError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.seams import Failing, documents
from tests.folders import users

OLD = {"n": 1}
NEW = {"n": 2}

# Two files replaced, one made in a new folder, one deleted.
UNITS = ("/ada", "/people/bob", "/new/folder/eve", "/people/dan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people").mkdir()
    for name in ("ada", "people/bob", "people/dan"):
        (tmp_path / f"{name}.json").write_text(json.dumps(OLD))
    return tmp_path


def contents(folder: Path) -> dict[str, Any]:
    """Everything that is there, read without the store."""
    return {
        str(path.relative_to(folder)): json.loads(path.read_text()) if path.is_file() else None
        for path in users(folder.rglob("*"))
    }


def changes(store: Documents, units: Sequence[str] = UNITS) -> list[Change]:
    made: list[Change] = []
    for unit in units:
        old, stamp = store.load(unit)
        made.append(Change(unit, old, MISSING if unit == "/people/dan" else NEW, stamp))
    return made


AFTER = {
    "ada.json": NEW,
    "people": None,
    "people/bob.json": NEW,
    "new": None,
    "new/folder": None,
    "new/folder/eve.json": NEW,
}


def test_every_step_is_a_fault_point(folder: Path) -> None:
    files = Failing(folder)
    store = documents(files)
    store.commit(changes(store), base=0)
    assert contents(folder) == AFTER
    assert files.reached_points == [
        ("mkdir", "new"),
        ("mkdir", "new/folder"),
        ("write", "ada.json"),
        ("sync file", "ada.json"),
        ("write", "people/bob.json"),
        ("sync file", "people/bob.json"),
        ("write", "new/folder/eve.json"),
        ("sync file", "new/folder/eve.json"),
        ("rename", "ada.json"),
        ("rename", "people/bob.json"),
        ("rename", "new/folder/eve.json"),
        ("unlink", "people/dan.json"),
        ("sync folder", "."),
        ("sync folder", "people"),
        ("sync folder", "new/folder"),
        ("sync folder", "new"),
        ("rmdir", "people"),
    ]


@pytest.mark.parametrize(
    ("point", "nth", "named"),
    [
        ("mkdir", 1, "new"),
        ("mkdir", 2, "new/folder"),
        ("write", 1, "ada.json"),
        ("write", 2, "people/bob.json"),
        ("write", 3, "new/folder/eve.json"),
        ("sync file", 1, "ada.json"),
        ("sync file", 2, "people/bob.json"),
        ("sync file", 3, "new/folder/eve.json"),
        ("rename", 1, "ada.json"),
        ("rename", 2, "people/bob.json"),
        ("rename", 3, "new/folder/eve.json"),
        ("unlink", 1, "people/dan.json"),
        ("sync folder", 1, "."),
        ("sync folder", 2, "people"),
        ("sync folder", 3, "new/folder"),
        ("sync folder", 4, "new"),
    ],
)
def test_a_step_that_fails_changes_nothing(folder: Path, point: str, nth: int, named: str) -> None:
    before = contents(folder)
    files = Failing(folder)
    store = documents(files)
    asked = changes(store)
    files.fail(point, nth)
    with pytest.raises(BackingError) as caught:
        store.commit(asked, base=0)
    error = caught.value
    assert error.errno == errno.EIO
    assert error.filename == str(folder if named == "." else folder / named)
    assert f" {named}: Input/output error" in str(error)
    assert contents(folder) == before
    assert store.head() == 0
    assert [store.load(unit).value for unit in UNITS] == [OLD, OLD, MISSING, OLD]


@pytest.mark.parametrize("point", ["write", "rename", "unlink", "mkdir"])
def test_after_a_refusal_the_same_commit_can_be_made_again(folder: Path, point: str) -> None:
    files = Failing(folder, error=errno.ENOSPC)
    store = documents(files)
    asked = changes(store)
    files.fail(point)
    with pytest.raises(BackingError, match="No space left on device"):
        store.commit(asked, base=0)
    files.mend()
    assert store.commit(asked, base=0).number == 1
    assert contents(folder) == AFTER


@pytest.mark.parametrize("point", ["sync file", "sync folder"])
def test_after_a_failed_fsync_this_handle_commits_no_more(folder: Path, point: str) -> None:
    files = Failing(folder)
    store = documents(files)
    asked = changes(store)
    files.fail(point)
    with pytest.raises(BackingError, match="cannot sync"):
        store.commit(asked, base=0)
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle") as caught:
        store.commit(asked, base=0)
    assert caught.value.errno == errno.EIO
    assert store.load("/ada").value == OLD
    assert store.keys("/people") == ["bob", "dan"]
    # Another handle starts afresh: its own writes and syncs tell how the disk is.
    again = open_documents(str(folder), layout=ANYTHING)
    again.commit(changes(again), base=0)
    assert contents(folder) == AFTER


def test_what_cannot_be_put_back_is_said_by_name(folder: Path) -> None:
    files = Failing(folder)
    store = documents(files)
    asked = changes(store, ("/ada", "/people/bob"))
    files.fail("rename", 2, ever=True)
    with pytest.raises(BackingError) as caught:
        store.commit(asked, base=0)
    assert "cannot replace people/bob.json: Input/output error" in str(caught.value)
    assert "these files have changed and could not be put back: ada.json" in str(caught.value)
    assert contents(folder)["ada.json"] == NEW
    assert contents(folder)["people/bob.json"] == OLD
    assert not [name for name in contents(folder) if name.endswith("tmp")]
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        store.commit(changes(store, ("/people/bob",)), base=0)


def test_what_cannot_be_tidied_up_is_noted(folder: Path) -> None:
    class Stubborn(Failing):
        def reached(self, point: str, path: str) -> None:
            super().reached(point, path)
            if point == "unlink":
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    files = Stubborn(folder)
    store = documents(files)
    asked = changes(store, ("/ada",))
    files.fail("rename")
    with pytest.raises(BackingError) as caught:
        store.commit(asked, base=0)
    [note] = caught.value.__notes__
    assert note.endswith(
        f"cannot remove .ada.json.objstore-tmp: Operation not permitted:"
        f" '{folder / '.ada.json.objstore-tmp'}'"
    )
    assert store.keys("") == ["ada", "people"]


@pytest.mark.parametrize("point", ["write", "sync file", "rename", "sync folder"])
def test_an_interrupted_commit_changes_nothing(folder: Path, point: str) -> None:
    class Interrupted(Failing):
        def reached(self, point: str, path: str) -> None:
            if point == self.at:
                self.at = ""
                raise KeyboardInterrupt

    before = contents(folder)
    files = Interrupted(folder)
    store = documents(files)
    asked = changes(store)
    files.fail(point)
    with pytest.raises(KeyboardInterrupt):
        store.commit(asked, base=0)
    assert contents(folder) == before
    store.commit(asked, base=0)
    assert contents(folder) == AFTER


def test_a_put_back_file_keeps_its_mode(folder: Path) -> None:
    (folder / "ada.json").chmod(0o640)
    files = Failing(folder)
    store = documents(files)
    asked = changes(store)
    files.fail("unlink")
    with pytest.raises(BackingError):
        store.commit(asked, base=0)
    assert (folder / "ada.json").stat().st_mode & 0o777 == 0o640


def test_a_failed_first_commit_leaves_no_store(tmp_path: Path) -> None:
    root = tmp_path / "deep/store"
    for point in ("mkdir", "write", "sync file", "rename", "sync folder"):
        files = Failing(root)
        store = documents(files)
        files.fail(point, 2 if point == "mkdir" else 1)
        with pytest.raises(BackingError):
            store.commit([Change("/ada", MISSING, NEW)], base=0)
        assert contents(tmp_path) == {}


def test_folders_made_for_a_store_are_synced_in_their_parents(tmp_path: Path) -> None:
    root = tmp_path / "deep/store"
    files = Failing(root)
    documents(files).commit([Change("/ada", MISSING, NEW)], base=0)
    synced = [path for point, path in files.reached_points if point == "sync folder"]
    assert synced == [".", str(tmp_path), str(tmp_path / "deep")]


def test_durability_os_syncs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise AssertionError(f"fsync({descriptor})")

    monkeypatch.setattr(os, "fsync", refuse)
    store = open_documents(str(folder), layout=ANYTHING, durability="os")
    store.commit(changes(store), base=0)
    assert contents(folder) == AFTER
