"""Storages that can be copied while they are in use."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objstore.errors import ClosedError, DuplicateStorageError
from objstore.storage import Backups, Storage
from tests.conformance.storages import ON_DISK, StorageMaker, check, dump


@pytest.fixture(params=ON_DISK, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> StorageMaker:
    found: StorageMaker = request.param
    return found


def test_a_backup_is_a_storage(letters: Storage, maker: StorageMaker, tmp_path: Path) -> None:
    assert isinstance(letters, Backups)
    target = tmp_path / "backup"
    told: list[tuple[int, int]] = []
    letters.set_container_item("letters", "large", "x" * 3_000_000)
    letters.backup(target, lambda done, total: told.append((done, total)))
    before = dump(letters)
    letters.clear()
    with maker.make(str(target)) as copied:
        assert dump(copied) == before
        check(copied)
        copied.add_container("new")
    done, total = told[-1]
    assert done == total > 3_000_000
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    assert list(dump(letters)) == []


def test_a_backup_holds_what_is_committed(
    letters: Storage, maker: StorageMaker, tmp_path: Path
) -> None:
    assert isinstance(letters, Backups)
    before = dump(letters)
    with letters.transaction():
        letters.set_container_item("letters", "a", "new")
        letters.backup(tmp_path / "backup")
    with maker.make(str(tmp_path / "backup"), readonly=True) as copied:
        assert dump(copied) == before


def test_a_backup_replaces_nothing(letters: Storage, tmp_path: Path) -> None:
    assert isinstance(letters, Backups)
    (tmp_path / "there").write_text("already")
    with pytest.raises(DuplicateStorageError):
        letters.backup(tmp_path / "there")
    with pytest.raises(DuplicateStorageError):
        letters.backup(letters.path)
    assert (tmp_path / "there").read_text() == "already"
    letters.close()
    with pytest.raises(ClosedError):
        letters.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_is_broken_off_leaves_nothing(letters: Storage, tmp_path: Path) -> None:
    assert isinstance(letters, Backups)
    letters.set_container_item("letters", "large", b"x" * 5_000_000)

    def stop(done: int, total: int) -> None:
        raise ZeroDivisionError

    before = sorted(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError):
        letters.backup(tmp_path / "backup", stop)
    assert sorted(tmp_path.iterdir()) == before
    letters.backup(tmp_path / "backup")


def test_a_backup_is_of_one_state(letters: Storage, maker: StorageMaker, tmp_path: Path) -> None:
    """Each commit sets all keys to one number, before, during and after the copying."""
    assert isinstance(letters, Backups)
    keys = [f"k{n}" for n in range(200)]
    stop = threading.Event()
    letters.set_container_items("letters", {f"pad{n}": "x" * 1000 for n in range(3000)})

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            letters.set_container_items("letters", dict.fromkeys(keys, number))

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            for n in range(3):
                letters.backup(tmp_path / f"backup{n}")
        finally:
            stop.set()
        writer.result(timeout=60)
    for n in range(3):
        with maker.make(str(tmp_path / f"backup{n}")) as copied:
            check(copied)
            found = set(dict(copied.get_container_items("letters", keys)).values())
            assert len(found) == 1
