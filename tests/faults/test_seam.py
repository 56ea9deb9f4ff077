"""Every step of a commit failing, one by one, through the seam.

Up to the record in the log a failure leaves all as it was. From the sync of the record on, the
commit stands, and what fails only keeps files due.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
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


LOG = ".objstore/log/00000001-a.log"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people").mkdir()
    for name in ("ada", "people/bob", "people/dan"):
        (tmp_path / f"{name}.json").write_text(json.dumps(OLD))
    return tmp_path


@pytest.fixture
def files(folder: Path) -> Failing:
    """On a store that has one commit."""
    files = Failing(folder)
    begun = documents(files)
    begun.commit([Change("/first", MISSING, OLD)], base=0)
    begun.close()
    (folder / "first.json").unlink()
    files.reached_points.clear()
    return files


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


VALUES = [NEW, NEW, NEW, MISSING]

AFTER = {
    "ada.json": NEW,
    "people": None,
    "people/bob.json": NEW,
    "new": None,
    "new/folder": None,
    "new/folder/eve.json": NEW,
}


def temporaries(folder: Path) -> list[str]:
    return [path.name for path in users(folder.rglob("*")) if path.name.endswith("tmp")]


def values(store: Documents) -> list[Any]:
    return [store.load(unit).value for unit in UNITS]


BEFORE_THE_RECORD = [
    ("write", "ada.json"),
    ("write", "people/bob.json"),
    ("mkdir", "new"),
    ("mkdir", "new/folder"),
    ("write", "new/folder/eve.json"),
    ("write at", LOG),  # the mark of the clean close, once more
    ("allocate", LOG),
    ("write at", LOG),
]

AFTER_IT = [
    ("exchange", "ada.json"),
    ("unlink", ".ada.json.objstore-tmp"),
    ("exchange", "people/bob.json"),
    ("unlink", "people/.bob.json.objstore-tmp"),
    ("place", "new/folder/eve.json"),
    ("unlink", "people/.dan.json.objstore-tmp"),
    ("rename", "people/.dan.json.objstore-tmp"),
    ("unlink", "people/.dan.json.objstore-tmp"),
]


def nth(steps: Sequence[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """Each step with which of its kind it is."""
    points = [point for point, _ in steps]
    return [(point, points[: at + 1].count(point), on) for at, (point, on) in enumerate(steps)]


def test_every_step_is_a_fault_point(folder: Path, files: Failing) -> None:
    store = documents(files)
    store.commit(changes(store), base=1)
    assert contents(folder) == AFTER
    steps = [*BEFORE_THE_RECORD, ("sync data", LOG), *AFTER_IT, ("rmdir", "people")]
    steps.append(("write at", ".objstore/written"))
    assert files.reached_points == steps


@pytest.mark.parametrize(("point", "number", "named"), nth(BEFORE_THE_RECORD))
def test_a_step_that_fails_before_the_record_changes_nothing(
    folder: Path, files: Failing, point: str, number: int, named: str
) -> None:
    before = contents(folder)
    store = documents(files)
    asked = changes(store)
    files.fail(point, number)
    with pytest.raises(BackingError) as caught:
        store.commit(asked, base=1)
    error = caught.value
    assert error.errno == errno.EIO
    assert error.filename == str(folder / named)
    assert f" {named}: Input/output error" in str(error)
    assert contents(folder) == before
    assert store.head() == 1
    assert values(store) == [OLD, OLD, MISSING, OLD]
    files.mend()
    assert store.commit(asked, base=1).number == 2
    assert contents(folder) == AFTER


@pytest.mark.parametrize(("point", "number", "named"), nth(AFTER_IT))
def test_a_step_that_fails_after_the_record_keeps_the_commit(
    folder: Path, files: Failing, point: str, number: int, named: str
) -> None:
    store = documents(files)
    asked = changes(store)
    files.fail(point, number, ever=True)
    assert store.commit(asked, base=1).number == 2
    assert values(store) == VALUES, "read through the log"
    assert store.keys("/people") == ["bob"]
    assert values(open_documents(str(folder), layout=ANYTHING)) == VALUES
    with pytest.raises(BackingError, match="Input/output error") as caught:
        store.flush()
    assert caught.value.errno == errno.EIO
    files.mend()
    store.flush()
    assert contents(folder) == AFTER
    store.close()
    assert values(open_documents(str(folder), layout=ANYTHING)) == VALUES


def test_what_cannot_be_written_is_said_by_close(folder: Path, files: Failing) -> None:
    store = documents(files)
    asked = changes(store)
    files.fail("exchange", ever=True)
    store.commit(asked, base=1)
    with pytest.raises(BackingError, match=r"cannot replace (ada|people/bob)\.json: Input/output"):
        store.close()
    again = open_documents(str(folder), layout=ANYTHING)
    assert values(again) == VALUES
    again.commit([Change("/last", MISSING, NEW)], base=2)
    again.close()
    assert contents(folder) == {**AFTER, "last.json": NEW}
    assert temporaries(folder) == []


def test_a_folder_that_cannot_be_removed_stays(folder: Path, files: Failing) -> None:
    store = documents(files)
    files.fail("rmdir", ever=True)
    gone = [Change(unit, OLD, MISSING, store.load(unit).stamp) for unit in UNITS[1::2]]
    store.commit(gone, base=1)
    assert contents(folder) == {"ada.json": OLD, "people": None}
    store.close()


def test_a_log_that_cannot_be_synced_takes_no_more_commits(folder: Path, files: Failing) -> None:
    store = documents(files)
    asked, before = changes(store), contents(folder)
    files.fail("sync data")
    with pytest.raises(BackingError, match="cannot sync"):
        store.commit(asked, base=1)
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle") as caught:
        store.commit(asked, base=1)
    assert caught.value.errno == errno.EIO
    assert values(store) == [OLD, OLD, MISSING, OLD]
    assert store.keys("/people") == ["bob", "dan"]
    there = contents(folder)
    assert {name: there[name] for name in before} == before
    store.close()
    # Another handle starts afresh: its own writes and syncs tell how the disk is.
    again = open_documents(str(folder), layout=ANYTHING)
    again.commit(changes(again), base=0)
    again.close()
    assert contents(folder) == AFTER
    assert temporaries(folder) == []


@pytest.mark.damage
def test_what_cannot_be_tidied_up_is_noted(folder: Path, files: Failing) -> None:
    class Stubborn(Failing):
        def reached(self, point: str, path: str) -> None:
            super().reached(point, path)
            if point == "unlink":
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    stubborn = Stubborn(folder)
    store = documents(stubborn)
    asked = changes(store, ("/ada",))
    stubborn.fail("write at")
    with pytest.raises(BackingError) as caught:
        store.commit(asked, base=1)
    [note] = caught.value.__notes__
    assert note.endswith(
        f"cannot remove .ada.json.objstore-tmp: Operation not permitted:"
        f" '{folder / '.ada.json.objstore-tmp'}'"
    )
    assert store.keys("") == ["ada", "people"]


class Interrupted(Failing):
    """Somebody presses Control-C, once."""

    came = "", ""
    """The point and file at which they did."""

    def reached(self, point: str, path: str) -> None:
        self.reached_points.append((point, self.relative(path)))
        if point == self.at:
            self.left -= 1
            if self.left == 0:
                self.came = self.reached_points[-1]
                raise KeyboardInterrupt


@pytest.mark.parametrize(("point", "number", "named"), nth(BEFORE_THE_RECORD))
def test_an_interrupted_commit_changes_nothing(
    folder: Path, files: Failing, point: str, number: int, named: str
) -> None:
    before = contents(folder)
    stopping = Interrupted(folder)
    store = documents(stopping)
    asked = changes(store)
    stopping.fail(point, number)
    with pytest.raises(KeyboardInterrupt):
        store.commit(asked, base=1)
    assert stopping.came == (point, named)
    assert contents(folder) == before
    assert store.head() == 1
    store.commit(asked, base=1)
    assert contents(folder) == AFTER


@pytest.mark.parametrize(("point", "number", "named"), [("sync data", 1, LOG), *nth(AFTER_IT)])
def test_a_commit_that_is_interrupted_once_it_is_in_the_log_stands(
    folder: Path, files: Failing, point: str, number: int, named: str
) -> None:
    stopping = Interrupted(folder)
    store = documents(stopping)
    asked = changes(store)
    stopping.fail(point, number)
    with pytest.raises(KeyboardInterrupt):
        store.commit(asked, base=1)
    assert stopping.came == (point, named)
    for each in (store, open_documents(str(folder), layout=ANYTHING)):
        assert each.head() == 2
        assert values(each) == VALUES
    store.close()
    assert contents(folder) == AFTER
    again = open_documents(str(folder), layout=ANYTHING)
    assert [commit.number for commit in again.commits()] == [1, 2]
    assert values(again) == VALUES


def test_a_refused_commit_leaves_modes_as_they_were(folder: Path, files: Failing) -> None:
    (folder / "ada.json").chmod(0o640)
    store = documents(files)
    asked = changes(store)
    files.fail("write at")
    with pytest.raises(BackingError):
        store.commit(asked, base=0)
    assert (folder / "ada.json").stat().st_mode & 0o777 == 0o640
    files.mend()
    store.commit(asked, base=0)
    assert (folder / "ada.json").stat().st_mode & 0o777 == 0o640


def test_a_failed_first_commit_leaves_no_store(tmp_path: Path) -> None:
    root = tmp_path / "deep/store"
    counting = Failing(root)
    documents(counting).commit([Change("/ada", MISSING, NEW)], base=0)
    shutil.rmtree(tmp_path / "deep")
    points = counting.reached_points
    record = max(at for at, (point, _) in enumerate(points) if point == "write at")
    steps = nth(points[: record + 1])
    assert len(steps) > 25
    for point, number, _ in steps:
        files = Failing(root)
        store = documents(files)
        files.fail(point, number)
        with pytest.raises(BackingError):
            store.commit([Change("/ada", MISSING, NEW)], base=0)
        assert list(tmp_path.iterdir()) == []
        files.mend()
        if point.startswith("sync"):
            store = documents(files)
        assert store.commit([Change("/ada", MISSING, NEW)], base=0).number == 1
        assert store.load("/ada").value == NEW
        assert store.commit([Change("/bob", MISSING, NEW)], base=1).number == 2
        for handle in (store, documents(Failing(root))):  # it is in the log that has the name
            assert [commit.number for commit in handle.commits()] == [1, 2]
            assert handle.load("/ada", at=1).value == NEW
            handle.close()
        assert documents(Failing(root)).head() == 2
        shutil.rmtree(tmp_path / "deep")


def test_folders_made_for_a_store_are_synced_in_their_parents(tmp_path: Path) -> None:
    root = tmp_path / "deep/store"
    files = Failing(root)
    documents(files).commit([Change("/ada", MISSING, NEW)], base=0)
    synced = [path for point, path in files.reached_points if point == "sync folder"]
    assert synced[-3:] == [".", str(tmp_path / "deep"), str(tmp_path)]


def test_durability_os_syncs_no_commit_and_no_file(
    folder: Path, files: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise AssertionError(f"fsync({descriptor})")

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "fdatasync", refuse)
    store = open_documents(str(folder), layout=ANYTHING, durability="os")
    store.commit(changes(store), base=0)
    assert contents(folder) == AFTER
