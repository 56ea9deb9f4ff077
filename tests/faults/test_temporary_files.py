"""Whatever fails amid the making of a file that is renamed into place, its temporary one goes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

import objstore
from objstore import BackingError, Retention
from objstore.backings.filesystem import names
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history import ledger
from objstore.backings.filesystem.io import Files
from objstore.documents import Change
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.depots import depot_on
from tests.faults.machine import mounted
from tests.faults.seams import Failing
from tests.faults.test_value_log_disk import WORKS as VALUE_LOG_WORKS
from tests.faults.test_value_log_disk import filled
from tests.faults.value_logs import OverFiles
from tests.faults.value_logs import small_steps as small_value_steps

pytestmark = pytest.mark.damage

NEWEST = Retention(keep=timedelta(0), every=timedelta(days=10_000), slots=1)


def left(folder: Path) -> list[str]:
    """The temporary files below a folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if names.is_temporary(path.name))


def opened(files: Files) -> FilesystemDocuments:
    return FilesystemDocuments(files, ANYTHING)


def put(documents: FilesystemDocuments, number: int) -> None:
    there = documents.load("/ada")
    change = Change("/ada", there.value, {"n": number}, there.stamp)
    documents.commit([change], base=documents.head())


def made(folder: Path) -> None:
    documents = opened(Files(str(folder), sync=False))
    for number in range(4):
        put(documents, number)
    documents.close()


def put_and_close(documents: FilesystemDocuments) -> None:
    put(documents, 4)
    documents.close()


WORKS: dict[str, Callable[[FilesystemDocuments], object]] = {
    "compact": lambda documents: documents.compact(NEWEST),
    "switch": lambda documents: documents.switch_and_snapshot(),
    "pin": lambda documents: documents.pin(2),
    "close": put_and_close,
}


@pytest.fixture
def _indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every close writes down the index."""
    monkeypatch.setattr(ledger, "_OFTEN", 1)


@pytest.mark.usefixtures("_indexed")
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("kind", [OSError, MemoryError])
def test_a_store_has_none_whatever_step_fails(
    tmp_path: Path, work: str, kind: type[BaseException]
) -> None:
    made(tmp_path / "count")
    files = Kinds(tmp_path / "count", OSError)
    WORKS[work](opened(files))
    points = [point for point, _ in files.reached_points]
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        made(folder)
        files = Kinds(folder, kind)
        documents = opened(files)
        files.fail(point, points[: number + 1].count(point))
        with suppress(BackingError, MemoryError):
            WORKS[work](documents)
        # A file of the user's is still due after a sync that failed.
        assert left(folder / ".objstore") == [] or point == "unlink", (point, number)
        files.mend()
        documents.close()


class Kinds(Failing):
    """Fails with any kind of exception."""

    __slots__ = ("kind",)

    def __init__(self, root: Path, kind: type[BaseException]) -> None:
        super().__init__(root)
        self.kind = kind

    def reached(self, point: str, path: str) -> None:
        try:
            super().reached(point, path)
        except OSError:
            if self.kind is OSError:
                raise
            raise self.kind from None


@pytest.mark.parametrize("failing", ["a.json", ".objstore/lost+found", "b.json"])
def test_what_somebody_else_left_under_a_temporary_name_outlives_a_commit_that_fails(
    tmp_path: Path, failing: str
) -> None:
    """A process that was killed amid a swap may have taken out an edit."""

    class Full(Files):
        has_no_room = False

        def reached(self, point: str, path: str) -> None:
            if self.has_no_room and self.relative(path).startswith(failing):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    edit, files = '{"an": "edit"}', Full(str(tmp_path))
    documents = opened(files)
    documents.commit([Change(f"/{name}", MISSING, {"n": 0}) for name in "ab"], base=0)
    leftover = Path(names.temporary_path(str(tmp_path / "b.json")))
    leftover.write_text(edit)

    def change() -> None:
        there = {f"/{name}": documents.load(f"/{name}") for name in "ab"}
        changes = [Change(unit, one.value, {"n": 1}, one.stamp) for unit, one in there.items()]
        documents.commit(changes, base=1)

    files.has_no_room = True
    with pytest.raises(BackingError, match="No space left"):
        change()
    kept = [*(tmp_path / ".objstore").glob("lost+found/b.json.*")]
    assert [path.read_text() for path in kept or [leftover]] == [edit]
    files.has_no_room = False
    change()
    assert left(tmp_path) == []
    (found,) = (tmp_path / ".objstore/lost+found").iterdir()
    assert found.read_text() == edit
    documents.close()


def test_what_cannot_be_removed_is_noted(tmp_path: Path) -> None:
    made(tmp_path)

    class Stuck(Failing):
        def unlink(self, path: str) -> None:
            if names.is_temporary(os.path.basename(path)):
                raise BackingError(errno.EROFS, "it stays", path)
            super().unlink(path)

    files = Stuck(tmp_path)
    documents = opened(files)
    files.fail("write at")
    with pytest.raises(BackingError, match="cannot write") as caught:
        documents.pin(2)
    path = f"{files.root}/.objstore/.pins.json.objstore-tmp"
    assert caught.value.__notes__ == [f"[Errno {errno.EROFS}] it stays: {path!r}"]
    documents.close()


@pytest.mark.parametrize("work", VALUE_LOG_WORKS)
def test_a_value_log_has_none_whatever_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    small_value_steps(monkeypatch)
    monkeypatch.setattr("objstore.backings.filesystem.values.vloghint._WORTH", 0)
    filled(tmp_path / "count")
    files = Failing(tmp_path / "count")
    VALUE_LOG_WORKS[work](OverFiles(files))
    points = [point for point, _ in files.reached_points]
    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        filled(folder)
        files = Failing(folder)
        storage = OverFiles(files)
        files.fail(point, points[: number + 1].count(point))
        with suppress(BackingError):
            VALUE_LOG_WORKS[work](storage)
        assert left(folder) == [], (point, number)
        files.mend()
        storage.close()


def test_a_blob_that_is_not_exported_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = depot_on(Files(str(tmp_path / "depot")))
    identifier = depot.put(b"some bytes")

    def dress(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Files, "_dress", dress)
    (tmp_path / "out").mkdir()
    with pytest.raises(BackingError, match="cannot make"):
        depot.get_to(identifier, tmp_path / "out/blob")
    assert os.listdir(tmp_path / "out") == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    with mounted(tmp_path, "size=1m"):
        yield tmp_path


def test_a_compaction_that_has_no_room_takes_none(disk: Path) -> None:
    with objstore.open(disk / "store") as store:
        store["large"] = {"text": "x" * 200_000}
        store["large/text"] = "y" * 200_000
        for number in range(5):
            store[f"k{number}"] = {"n": number}
        store.switch_and_snapshot()
        found = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(found.f_bavail * found.f_frsize - 150_000))
        free = os.statvfs(disk).f_bavail
        for _ in range(3):
            with pytest.raises(BackingError, match="No space left on device"):
                store.compact(NEWEST)
            assert left(disk) == []
            # One more file of the log, with the space that is set aside in it.
            assert free - os.statvfs(disk).f_bavail < 30
        store["k0/n"] = 10
        assert store.check() == []


def test_a_compaction_makes_room_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one that was killed has left may be all the room that there is."""
    made(tmp_path)
    remains = tmp_path / ".objstore/log/.00000001-a.log.objstore-tmp"
    remains.write_bytes(b"a part of a log")
    documents = opened(Files(str(tmp_path), sync=False))
    were_there: list[bool] = []

    def look(*_: object) -> None:
        were_there.append(remains.exists())
        raise BackingError(errno.ENOSPC, "no room")

    monkeypatch.setattr("objstore.backings.filesystem.log.logappend.write_new", look)
    with pytest.raises(BackingError, match="no room"):
        documents.compact(NEWEST)
    assert were_there == [False]
    documents.close()
