"""Whose a replaced file is: who edits somebody's file through a store does not take it away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import objstore

from .machine import let_others_in, need_root, without_privileges


def test_root_leaves_a_file_to_its_owner(tmp_path: Path) -> None:
    need_root()
    path = tmp_path / "a.json"
    path.write_text('{"x": 1}\n')
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    with objstore.open(tmp_path) as store:
        store["a"].x = 2
    status = path.stat()
    assert path.read_text() == '{"x": 2}\n'
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1234, 2345, 0o640)


def test_others_replace_what_the_folder_lets_them(tmp_path: Path) -> None:
    need_root()
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "a.json"
    path.write_text('{"x": 1}\n')
    path.chmod(0o666)
    folder.chmod(0o777)
    let_others_in(tmp_path)
    with without_privileges(), objstore.open(folder) as store:
        store["a"].x = 2
    assert path.read_text() == '{"x": 2}\n'
    assert path.stat().st_uid == 65534


@pytest.mark.parametrize("is_closed", [True, False])
def test_who_may_not_write_flushes_and_closes_what_nobody_has_left_behind(
    tmp_path: Path, is_closed: bool
) -> None:
    need_root()
    folder = tmp_path / "data"
    store = objstore.open(folder)
    store["a"] = {"x": 1}
    if is_closed:
        store.close()
    let_others_in(folder)
    with without_privileges(), objstore.open(folder) as reader:
        assert reader["a"].x == 1
        reader.flush()
    store.close()
