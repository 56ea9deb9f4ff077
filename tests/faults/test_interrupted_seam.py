"""System calls, and others that have errors of their own, interrupted by a handler whose exception
is an OSError, and not the system's."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import pytest

from objstore.backings.filesystem.io import Files, boot_id
from objstore.backings.filesystem.log import jsonline
from tests.faults.interruptions import AlarmError, Interruption

# What is freed amid an interrupt tells of it, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def begin(folder: Path) -> None:
    Files(str(folder))


def look(folder: Path) -> None:
    files = Files(str(folder))
    for name in ("a", "link", "none"):
        files.lstat(f"{folder}/{name}")
        files.stat(f"{folder}/{name}")
    files.read_link(f"{folder}/link")
    files.is_full()
    files.is_readonly_medium(files.root)
    files.tells_changes(files.root)
    boot_id()


def read(folder: Path) -> None:
    files = Files(str(folder))
    for name in ("a", "link"):
        files.read(f"{folder}/{name}", 100)
    files.entries(str(folder))


def write(folder: Path) -> None:
    files = Files(str(folder))
    files.write(f"{folder}/new", b"new", f"{folder}/a", os.stat(folder))
    files.exchange(f"{folder}/new", f"{folder}/a")
    files.rename(f"{folder}/new", f"{folder}/other")
    files.sync_file(f"{folder}/other")
    files.unlink(f"{folder}/other")
    files.sync_folder(str(folder))


def make(folder: Path) -> None:
    files = Files(str(folder), umask=0o22)
    files.make_folders(f"{folder}/b/c", [])
    files.make_folder(f"{folder}/b")
    files.make_link(f"{folder}/l", "a")
    files.place(f"{folder}/a", f"{folder}/b/c/a")
    files.place(f"{folder}/l", f"{folder}/link")
    files.unlink(f"{folder}/b/c/a")
    files.remove_folder(f"{folder}/b/c")


def use(folder: Path) -> None:
    files = Files(str(folder))
    opened, copy = files.open(f"{folder}/a", append=True), files.make(f"{folder}/c", f"{folder}/c")
    assert opened is not None
    files.append(opened, b"more")
    files.allocate(opened, 0, 100)
    files.push(opened, 0, 4)
    files.read_at(opened, 0, 200)
    files.read_into(opened, 0, memoryview(bytearray(100)))
    files.copy_range(opened, copy, 0, 100)
    files.write_at(copy, 0, b"x")
    files.map(opened).close()
    files.truncate(copy, files.size(copy) - 1)
    files.sync_data(copy)
    files.close(copy)
    files.close(opened)


def lock(folder: Path) -> object:
    files = Files(str(folder))
    for _ in range(2):
        opened = files.lockable(f"{folder}/lock")
        assert opened is not None
        files.lock_opened(opened)
        files.unlock_opened(opened)
        files.try_lock(opened)
        files.close(opened)
    locked = files.locked(str(folder))
    with locked:
        pass
    return locked  # to be freed later: nothing comes out of that


def dump(_: Path) -> None:
    jsonline.dump([jsonline.Text(b"1")] * 10)


CALLS = [begin, look, read, write, make, use, lock, dump]


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    (folder / "link").symlink_to("a")
    return folder


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_what_a_handler_raises_comes_through_as_it_is(
    call: Callable[[Path], object], tmp_path: Path
) -> None:
    call(emptied(tmp_path / "folder"))  # what is imported at the first call is imported
    emptied(tmp_path / "folder")
    with Interruption(0) as moments:
        _kept = call(tmp_path / "folder")
    assert moments.seen > 10
    for at in range(1, moments.seen + 1):
        emptied(tmp_path / "folder")
        with Interruption(at, AlarmError) as moment:
            _kept = call(tmp_path / "folder")
        assert moment.came_out


def test_what_a_handler_raises_keeps_nothing_once_it_is_dropped(tmp_path: Path) -> None:
    """Not even until the next garbage collection: a lock may be let go when it is freed."""
    files = Files(str(tmp_path))
    opened = files.lockable(f"{tmp_path}/lock")
    assert opened is not None
    files.unlock_opened(opened)
    with Interruption(0) as moments:
        files.unlock_opened(opened)
    assert moments.seen > 1
    gc.disable()
    try:
        for at in range(1, moments.seen + 1):
            interruption = Interruption(at, AlarmError)
            kept = ref(interruption._interrupt)
            with interruption:
                files.unlock_opened(opened)
            assert interruption.came_out
            del interruption
            assert kept() is None
    finally:
        gc.enable()
        files.close(opened)
