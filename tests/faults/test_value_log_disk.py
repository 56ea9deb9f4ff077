"""Value logs on disks that are full or read-only, and every step of what they do failing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objstore.backings.filesystem.io import Opened
from objstore.backings.valuelog import ValueLogStorage
from objstore.errors import BackingError, ReadOnlyError, StorageNotFoundError
from tests.faults.crash_states import Quick
from tests.faults.machine import mounted, remount_readonly
from tests.faults.seams import Failing
from tests.faults.value_logs import OverFiles, contents, small_steps, value_files


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    with mounted(tmp_path, "size=256k,nr_inodes=60"):
        yield tmp_path


def test_a_full_disk_refuses_batches_and_keeps_those_it_has(disk: Path) -> None:
    storage = ValueLogStorage(disk / "s", create=True, capacity=60_000)
    storage.add_container("c")
    stored = 0
    with pytest.raises(BackingError, match="No space left on device") as caught:
        for n in range(1000):
            storage.set_container_item("c", f"{n:04}", f"{n}" * 300)
            stored = n + 1
    assert caught.value.errno == errno.ENOSPC
    assert stored > 100
    with pytest.raises(BackingError, match="No space left on device"):
        storage.set_container_items("c", {"big": bytes(300_000)})
    known = {f"{n:04}": f"{n}" * 300 for n in range(stored)}
    assert contents(storage) == {"c": known}
    assert storage.check() == []
    with ValueLogStorage(disk / "s", readonly=True) as other:
        assert contents(other) == {"c": known}
    # Compaction needs a little space before it gives some back.
    subprocess.run(["mount", "-o", "remount,size=512k", str(disk)], check=True)
    storage.delete_container_items("c", [f"{n:04}" for n in range(0, stored, 2)])
    storage.compact(0.3)
    storage.set_container_item("c", "new", "value")
    expected = {key: value for key, value in known.items() if int(key) % 2} | {"new": "value"}
    assert contents(storage) == {"c": expected}
    storage.close()
    with ValueLogStorage(disk / "s") as storage:
        assert contents(storage) == {"c": expected}


def test_a_disk_that_is_full_from_the_start_gets_no_storage(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(256 * 1024 - 4096))
    with pytest.raises(BackingError, match="No space left on device"):
        ValueLogStorage(disk / "s", create=True)
    assert os.listdir(disk) == ["ballast"]
    (disk / "ballast").unlink()
    ValueLogStorage(disk / "s", create=True).close()


@pytest.mark.parametrize("closed", [True, False])
def test_readonly_media_are_read(disk: Path, closed: bool) -> None:
    storage = ValueLogStorage(disk / "s", create=True)
    storage.add_container("c")
    storage.set_container_item("c", "k", "v")
    if closed:
        storage.close()
    else:
        # As a process leaves it that died while it wrote.
        with open(value_files(disk / "s")[0], "r+b") as file:
            file.seek(storage._view.tail.end + 5)
            file.write(b"torn")
        storage._writer._opened = None
        storage.close()
    remount_readonly(disk)
    with ValueLogStorage(disk / "s", readonly=True) as storage:
        assert contents(storage) == {"c": {"k": "v"}}
        assert storage.check() == []
        with pytest.raises(ReadOnlyError):
            storage.set_container_item("c", "k", "w")
        with pytest.raises(ReadOnlyError):
            storage.compact()
    with ValueLogStorage(disk / "s") as storage:
        with pytest.raises(BackingError, match="Read-only file system"):
            storage.set_container_item("c", "k", "w")
        assert contents(storage) == {"c": {"k": "v"}}
    with pytest.raises(BackingError, match="Read-only file system"):
        ValueLogStorage(disk / "other", create=True)


# Every step failing


def filled(folder: Path) -> None:
    with OverFiles(Quick(str(folder)), create=True, capacity=3000) as storage:
        storage.add_container("c")
        for n in range(6):
            storage.set_container_item("c", f"k{n % 4}", f"{n}" * 500)


def put_and_close(storage: OverFiles) -> None:
    storage.set_container_item("c", "k9", "small")
    storage.close()


WORKS: dict[str, Callable[[OverFiles], object]] = {
    "put": lambda storage: storage.set_container_item("c", "k9", "small"),
    "put and roll": lambda storage: storage.set_container_item("c", "k9", "x" * 2900),
    "drop": lambda storage: storage.delete_container("c"),
    "compact": lambda storage: storage.compact(),
    "close": put_and_close,
}


def errno_of(call: Callable[[], object]) -> int | None:
    """What a call fails with, if it does."""
    try:
        call()
    except BackingError as error:
        return error.errno
    return None


@pytest.fixture
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize(
    ("work", "error"),
    [*((work, errno.EIO) for work in WORKS), ("put", errno.ENOSPC), ("put and roll", errno.ENOSPC)],
)
def test_whatever_step_fails_nothing_is_lost(tmp_path: Path, work: str, error: int) -> None:
    filled(tmp_path / "count")
    files = Failing(tmp_path / "count")
    counted = OverFiles(files)
    before = contents(counted)
    files.reached_points.clear()
    WORKS[work](counted)
    points = [point for point, _ in files.reached_points]
    counted.close()
    with OverFiles(Quick(str(tmp_path / "count"))) as storage:
        after = contents(storage)
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        filled(folder)
        files = Failing(folder, error=error)
        storage = OverFiles(files)
        files.fail(point, points[: number + 1].count(point))
        failed = errno_of(lambda: WORKS[work](storage))  # noqa: B023
        assert failed in (None, error)
        # The rest may do without the space ahead, and leave old files to the next compaction.
        assert failed or error == errno.ENOSPC or point in ("unlink", "rmdir"), (point, number)
        files.mend()
        with OverFiles(Quick(str(folder))) as other:
            found = contents(other)
            assert found in ((before, after) if failed else (after,))
            if point not in ("sync data", "sync folder") and failed and work in ("put", "drop"):
                assert found == before, point
            other.add_container("more")
            if number % 3 == 0:
                other.compact()
            assert contents(other) == {**found, "more": {}}
            assert other.check() == []
        if not point.startswith("sync") and work != "close":
            assert contents(storage) == {**found, "more": {}}
            storage.set_container_item("more", "k", "v")
            assert storage.check() == []
        storage.close()
        with OverFiles(Quick(str(folder))) as again:
            assert contents(again).keys() == {*found, "more"}


@pytest.mark.parametrize("point", ["write at", "rename"])
def test_files_that_could_not_be_begun_are_not_left(tmp_path: Path, point: str) -> None:
    """Each would take what little room there is."""
    filled(tmp_path)
    files = Failing(tmp_path, error=errno.ENOSPC)
    storage = OverFiles(files)
    before = contents(storage)
    there = sorted(tmp_path.rglob("*"))
    files.fail(point, ever=True)
    for _ in range(5):
        with pytest.raises(BackingError):
            storage.set_container_item("c", "k9", "x" * 2900)
    files.mend()
    assert sorted(tmp_path.rglob("*")) == there
    assert contents(storage) == before


def test_after_a_failed_sync_a_handle_writes_no_more(tmp_path: Path) -> None:
    filled(tmp_path)
    files = Failing(tmp_path)
    storage = OverFiles(files)
    storage.set_container_item("c", "k0", "known")
    files.fail("sync data")
    with pytest.raises(BackingError, match="cannot sync"):
        storage.set_container_item("c", "k0", "unknown")
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        storage.set_container_item("c", "k0", "more")
    assert storage.get_container_item("c", "k0") == "unknown"
    with OverFiles(Quick(str(tmp_path))) as other:
        other.set_container_item("c", "k0", "other")
        assert storage.get_container_item("c", "k0") == "other"
    storage.close()


def test_what_cannot_be_taken_back_ends_the_handle(tmp_path: Path) -> None:
    class Half(Failing):
        is_half = False

        def write_at(self, opened: Opened, offset: int, data: bytes | memoryview) -> None:
            super().write_at(opened, offset, data[:70] if self.is_half else data)
            if self.is_half:
                raise BackingError(errno.EIO, "half of it", opened.path)

    filled(tmp_path)
    files = Half(tmp_path)
    storage = OverFiles(files)
    storage.set_container_item("c", "k0", "known")
    before = contents(storage)
    files.is_half = True
    with pytest.raises(BackingError, match=r"half of it.*could not be taken back"):
        storage.set_container_item("c", "k0", "half" * 50)
    files.is_half = False
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        storage.set_container_item("c", "k0", "more")
    assert contents(storage) == before
    # The half is a torn tail to others.
    with OverFiles(Quick(str(tmp_path))) as other:
        assert contents(other) == before
        other.set_container_item("c", "k0", "other")
        assert other.check() == []
    assert storage.get_container_item("c", "k0") == "other"
    storage.close()


def test_a_storage_that_is_removed_while_it_is_open(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    storage = OverFiles(Quick(str(tmp_path / "s")))
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(BackingError, match="removed or replaced"):
        storage.set_container_item("c", "k0", "x")
    assert not (tmp_path / "s").exists()
    storage.close()
    with pytest.raises(StorageNotFoundError):
        ValueLogStorage(tmp_path / "s")
