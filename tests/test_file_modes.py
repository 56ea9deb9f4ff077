"""Permission bits of files and folders that a store makes, and of files that it replaces."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import objstore

from .test_filesystem import ADA, BOB, opened, put, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o22)

    def set_to(mask: int) -> None:
        os.umask(mask)

    yield set_to
    os.umask(before)


def modes(folder: Path) -> list[int]:
    paths = (folder / "people", folder / "people/ada.json")
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


@pytest.mark.parametrize(
    ("process", "option", "expected"),
    [
        (0o022, None, [0o755, 0o644]),
        (0o027, None, [0o750, 0o640]),
        (0o077, 0o002, [0o775, 0o664]),
        (0o000, 0o077, [0o700, 0o600]),
    ],
)
def test_new_files_get_what_the_umask_leaves(
    folder: Path,
    umask: Callable[[int], None],
    process: int,
    option: int | None,
    expected: list[int],
) -> None:
    umask(process)
    put(opened(folder, umask=option), "/people/ada", ADA)
    assert modes(folder) == expected


def test_a_file_keeps_its_mode(folder: Path, umask: Callable[[int], None]) -> None:
    umask(0o077)
    path = write(folder / "people/ada.json", ADA)
    path.chmod(0o666)
    put(opened(folder, umask=0o077), "/people/ada", BOB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def all_modes(folder: Path) -> dict[str, int]:
    found = (folder, *folder.rglob("*"))
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in found if path != folder}


@pytest.mark.parametrize(
    ("process", "option", "expected"),
    [
        (0o027, None, (0o750, 0o640)),
        (0o022, 0o077, (0o700, 0o600)),
        (0o077, 0o002, (0o775, 0o664)),
    ],
)
def test_containers_get_what_the_umask_leaves(
    folder: Path,
    tmp_path: Path,
    umask: Callable[[int], None],
    process: int,
    option: int | None,
    expected: tuple[int, int],
) -> None:
    umask(process)
    store = objstore.open(folder, umask=option)
    store.containers["secrets"]["token"] = "hunter2"
    modes = all_modes(folder)
    names = {".objstore", "containers.sqlite", "containers.sqlite-wal", "containers.sqlite-shm"}
    assert names <= modes.keys()
    for name, mode in modes.items():
        assert mode == expected[name != ".objstore"], name
    store.close()
    store = objstore.open(folder, umask=option)
    store.containers["secrets"]["token"] = "hunter3"
    assert {name: mode for name, mode in all_modes(folder).items() if name in names} == {
        name: mode for name, mode in modes.items() if name in names
    }
    store.close()


def test_a_sqlite_storage_and_its_backup_get_what_the_umask_leaves(
    tmp_path: Path, umask: Callable[[int], None]
) -> None:
    umask(0o022)
    folder = tmp_path / "made"
    with objstore.SqliteStorage(folder / "storage", create=True, umask=0o077) as storage:
        storage.add_container("a")
        storage.backup(folder / "backup")
        modes = all_modes(folder)
    assert modes.keys() == {"storage", "storage-wal", "storage-shm", "backup"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
