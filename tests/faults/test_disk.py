"""Real media that refuse: full, read-only, not ours."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import open_documents
from objstore.documents import Change, Documents
from objstore.errors import BackingError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.machine import mounted, remount_readonly, without_privileges
from tests.folders import names, users

SMALL = {"text": "x" * 1000}
LARGE = {"text": "y" * 50_000}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    with mounted(tmp_path, "size=256k,nr_inodes=20"):
        yield tmp_path


def opened(folder: Path) -> Documents:
    return open_documents(str(folder), layout=ANYTHING)


def change(store: Documents, unit: str, new: Any) -> Change:
    loaded = store.load(unit)
    return Change(unit, loaded.value, new, loaded.stamp)


def files(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): json.loads(path.read_text())
        for path in users(folder.rglob("*"))
        if path.is_file()
    }


def fill(disk: Path, *, but: int) -> Path:
    """Leave so many bytes of the disk."""
    ballast = disk / ".ballast"
    found = os.statvfs(disk)
    ballast.write_bytes(bytes(found.f_bavail * found.f_frsize - but))
    return ballast


def test_a_full_disk_leaves_the_old_file_whole(disk: Path) -> None:
    store = opened(disk)
    store.commit([change(store, "/people/ada", LARGE)], base=0)
    ballast = fill(disk, but=40_000)
    with pytest.raises(BackingError) as caught:
        store.commit([change(store, "/people/ada", {**LARGE, "n": 1})], base=1)
    error = caught.value
    assert error.errno == errno.ENOSPC
    assert error.filename == str(disk / "people/ada.json")
    assert "cannot write people/ada.json: No space left on device" in str(error)
    ballast.unlink()
    assert files(disk) == {"people/ada.json": LARGE}
    assert store.load("/people/ada").value == LARGE


def test_a_disk_that_fills_up_at_the_second_file_changes_neither(disk: Path) -> None:
    store = opened(disk)
    store.commit([change(store, "/ada", SMALL), change(store, "/bob", SMALL)], base=0)
    ballast = fill(disk, but=65_536)
    with pytest.raises(BackingError, match=r"cannot write bob\.json: No space left on device"):
        store.commit(
            [
                change(store, "/ada", {"n": 2}),
                change(store, "/bob", {"text": "y" * 70_000}),
                change(store, "/new/eve", SMALL),
            ],
            base=1,
        )
    ballast.unlink()
    assert files(disk) == {"ada.json": SMALL, "bob.json": SMALL}
    assert names(disk) == ["ada.json", "bob.json"]


def test_a_log_that_has_no_room_refuses_the_commit_and_leaves_nothing(disk: Path) -> None:
    store = opened(disk)
    store.commit([change(store, "/ada", SMALL), change(store, "/bob", SMALL)], base=0)
    ballast = fill(disk, but=120_000)
    with pytest.raises(BackingError, match=r"in \.objstore/log/.*: No space left on device"):
        store.commit([change(store, "/ada", LARGE), change(store, "/new/eve", LARGE)], base=1)
    ballast.unlink()
    assert files(disk) == {"ada.json": SMALL, "bob.json": SMALL}
    assert names(disk) == ["ada.json", "bob.json"]
    assert store.head() == 1


def test_a_full_disk_can_be_cleared(disk: Path) -> None:
    """And then the same handle goes on: a refused write is not a failed fsync."""
    store = opened(disk)
    store.commit([change(store, "/ada", SMALL)], base=0)
    ballast = fill(disk, but=30_000)
    with pytest.raises(BackingError):
        store.commit([change(store, "/bob", LARGE)], base=1)
    store.commit([change(store, "/ada", MISSING)], base=1)
    ballast.unlink()
    store.commit([change(store, "/bob", LARGE)], base=2)
    assert files(disk) == {"bob.json": LARGE}


def test_a_lazy_commit_that_no_longer_fits_on_the_disk_stays_due(disk: Path) -> None:
    store = open_documents(str(disk), layout=ANYTHING, apply="lazy")
    store.commit([change(store, "/ada", LARGE)], base=0)
    store.flush()
    fill(disk, but=56_000)
    store.commit([change(store, "/ada", {**LARGE, "n": 1})], base=1)
    ballast = disk / ".ballast"
    with ballast.open("ab") as more:
        more.write(bytes(max(0, os.statvfs(disk).f_bavail * 4096 - 20_000)))
    assert store.load("/ada").value == {**LARGE, "n": 1}
    with pytest.raises(BackingError, match=r"cannot write ada\.json: No space left on device"):
        store.flush()
    assert store.load("/ada").value == {**LARGE, "n": 1}
    assert json.loads((disk / "ada.json").read_text()) == LARGE
    assert opened(disk).load("/ada").value == {**LARGE, "n": 1}
    ballast.unlink()
    store.flush()
    assert files(disk) == {"ada.json": {**LARGE, "n": 1}}


def test_a_disk_without_inodes_makes_no_folders(disk: Path) -> None:
    store = opened(disk)
    deep = "/a" * 20
    with pytest.raises(BackingError, match=r"cannot make the folder a/a.*No space left on device"):
        store.commit([change(store, deep, SMALL)], base=0)
    assert names(disk) == []


def test_a_readonly_disk_is_read_and_refuses_writes(disk: Path) -> None:
    (disk / "ada.json").write_text(json.dumps(SMALL))
    remount_readonly(disk)
    store = opened(disk)
    assert store.load("/ada").value == SMALL
    for unit in ("/ada", "/new/bob"):
        with pytest.raises(BackingError, match="Read-only file system") as caught:
            store.commit([change(store, unit, LARGE)], base=0)
        assert caught.value.errno == errno.EROFS
    assert files(disk) == {"ada.json": SMALL}


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A folder that may be read and not written; not below pytest's, which is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="objstore-test-"))
    (folder / "ada.json").write_text(json.dumps(SMALL))
    (folder / "secret.json").write_text(json.dumps(SMALL))
    (folder / "secret.json").chmod(0)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written(foreign: Path) -> None:
    with without_privileges():
        store = opened(foreign)
        assert store.load("/ada").value == SMALL
        with pytest.raises(BackingError) as caught:
            store.commit([change(store, "/ada", LARGE)], base=0)
        assert caught.value.errno == errno.EACCES
        reason = "cannot make the folder .objstore: Permission denied"
        assert reason in str(caught.value)
        with pytest.raises(BackingError, match=reason):
            store.commit([change(store, "/ada", MISSING)], base=0)
        assert store.load("/ada").value == SMALL
    assert names(foreign) == ["ada.json", "secret.json"]


def test_a_file_that_may_not_be_read(foreign: Path) -> None:
    with without_privileges():
        store = opened(foreign)
        with pytest.raises(BackingError, match=r"cannot read secret\.json: Permission denied"):
            store.load("/secret")
        assert store.keys("") == ["ada", "secret"]


def test_a_folder_that_may_not_be_entered(foreign: Path) -> None:
    foreign.chmod(0)
    with without_privileges():
        store = opened(foreign)
        for use in (lambda: store.load("/ada"), lambda: store.look("/ada"), lambda: store.keys("")):
            with pytest.raises(BackingError, match="Permission denied"):
                use()


def test_a_folder_from_which_nothing_may_be_removed(foreign: Path) -> None:
    (foreign / "people").mkdir(mode=0o755)
    (foreign / "people" / "bob.json").write_text(json.dumps(SMALL))
    (foreign / "people").chmod(0o555)
    foreign.chmod(0o777)
    with without_privileges():
        store = opened(foreign)
        for new in (MISSING, LARGE):
            with pytest.raises(BackingError) as caught:
                store.commit([change(store, "/people/bob", new)], base=0)
            assert caught.value.errno == errno.EACCES
            assert "people/bob.json" in str(caught.value)
        assert store.head() == 0
        assert store.load("/people/bob").value == SMALL
        store.commit([change(store, "/ada", MISSING)], base=0)
        store.close()
    assert names(foreign) == ["people", "secret.json"]
    (foreign / "people").chmod(0o755)
