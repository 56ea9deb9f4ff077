"""Folders that a power cut took back: the log has commits that the files have not.

A commit syncs the log alone, so the folders that it made and removed are as the disk has them by
chance. Whoever opens the store reads through the log until the files are right.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Dict, Directory, Store
from objstore.backings.filesystem import names
from tests.faults.machine import start_child

pytestmark = pytest.mark.damage


class Person(Dict):
    name: str


class Team(Directory):
    other: Directory[Directory[Person]]
    plain: Directory[Person]


ENGINE = ".objstore"

Q = {"name": "Q"}


def power_cut(folder: Path, *commits: Callable[[Store[Any]], None], back_to: int) -> None:
    """Have a process make the commits; the files are then as before that of the number."""
    kept = folder.parent / "kept"
    folder.mkdir()

    def work() -> None:
        store = objstore.open(folder, Team)
        for number, commit in enumerate(commits):
            if number == back_to:
                shutil.copytree(folder, kept, ignore=shutil.ignore_patterns(ENGINE))
            commit(store)
        # It dies without a close.

    assert os.waitstatus_to_exitcode(os.waitpid(start_child(work), 0)[1]) == 0
    shutil.move(names.engine(str(folder)), names.engine(str(kept)))
    shutil.rmtree(folder)
    kept.rename(folder)
    Path(names.boot(str(folder))).write_text("another run of the machine")


def make_plain(store: Store[Any]) -> None:
    store["plain/p"] = {"name": "P"}


def make_deep(store: Store[Any]) -> None:
    store["other/z/q"] = Q


def remove_deep(store: Store[Any]) -> None:
    del store["other/z/q"]


def seen(store: Store[Any]) -> Mapping[str, Any]:
    """What there is, asked in as many ways as there are."""
    return {
        "keys of the store": sorted(store),
        "keys": sorted(store.root.other),
        "in": "z" in store.root.other,
        "by pathname": "other/z/q" in store,
        "below": {key: sorted(one) for key, one in store.root.other.items()},
        "got": store.root.other.get("z", {}).get("q"),
        "check": [str(one) for one in store.check() if "other" in one.source],
    }


MADE = {
    "keys of the store": ["/other/z/q", "/plain/p"],
    "keys": ["z"],
    "in": True,
    "by pathname": True,
    "below": {"z": ["q"]},
    "got": Q,
}
REMOVED: Mapping[str, Any] = {
    "keys of the store": ["/plain/p"],
    "keys": [],
    "in": False,
    "by pathname": False,
    "below": {},
    "got": None,
}


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize("lost", [1, 0], ids=["folder", "all"])
def test_what_was_committed_in_a_folder_that_is_lost_is_there(
    lost: int, readonly: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    power_cut(folder, make_plain, make_deep, back_to=lost)
    with objstore.open(folder, Team, readonly=readonly) as store:
        found = dict(seen(store))
        del found["check"]  # a file that is behind is told
        assert found == MADE


def test_a_folder_that_was_removed_and_came_back_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    power_cut(folder, make_plain, make_deep, remove_deep, back_to=2)
    assert (folder / "other/z/q.json").exists()
    with objstore.open(folder, Team, readonly=True) as store:
        found = dict(seen(store))
        del found["check"]
        assert found == REMOVED
    with objstore.open(folder, Team) as store:
        store["plain/p/name"] = "R"
    assert not (folder / "other/z").exists()


def add_if_missing(store: Store[Any]) -> None:
    if "z" not in store.root.other:
        store.root.other["z"] = {"r": {"name": "R"}}


def set_default(store: Store[Any]) -> None:
    store.root.other.setdefault("z", {"r": {"name": "R"}})


def set_if_missing(store: Store[Any]) -> None:
    if "other/z/q" not in store:
        store["other/z/q"] = {"name": "another"}


def change_beside(store: Store[Any]) -> None:
    store["plain/p/name"] = "another"


def add_beside(store: Store[Any]) -> None:
    store.root.other["z"]["s"] = {"name": "S"}


@pytest.mark.parametrize(
    "commit", [add_if_missing, set_default, set_if_missing, change_beside, add_beside]
)
def test_who_commits_next_takes_nothing_away(
    commit: Callable[[Store[Any]], None], tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    power_cut(folder, make_plain, make_deep, back_to=1)
    with objstore.open(folder, Team) as store:
        commit(store)
        store.flush()
        assert store["other/z/q"] == Q
    assert '"Q"' in (folder / "other/z/q.json").read_text()
    with objstore.open(folder, Team) as store:
        assert store.check() == []


def test_what_is_in_a_lost_folder_can_be_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    power_cut(folder, make_plain, make_deep, back_to=1)
    with objstore.open(folder, Team) as store:
        del store.root.other["z"]
        assert seen(store) == {**REMOVED, "check": []}


def test_links_in_a_lost_folder_keep_their_blobs(tmp_path: Path) -> None:
    def link(store: Store[Any]) -> None:
        blob = store.depot.put(b"picture")
        store["files/of/ada"] = {"picture": store.depot.link(blob)}

    def work() -> None:
        link(objstore.open(folder))

    folder = tmp_path / "store"
    assert os.waitstatus_to_exitcode(os.waitpid(start_child(work), 0)[1]) == 0
    shutil.rmtree(folder / "files")
    Path(names.boot(str(folder))).write_text("another run of the machine")
    with objstore.open(folder, readonly=True) as store:
        assert store.dangling() == []


@pytest.mark.parametrize("turn", ["file to folder", "folder to file"])
def test_a_name_that_was_a_file_and_a_folder(turn: str, tmp_path: Path) -> None:
    def as_file(store: Store[Any]) -> None:
        store["x"] = {"n": 1}

    def as_folder(store: Store[Any]) -> None:
        store["x/y"] = {"n": 2}

    def remove(store: Store[Any]) -> None:
        del store["x"]

    first, last = (as_file, as_folder) if turn == "file to folder" else (as_folder, as_file)

    def work() -> None:
        store = objstore.open(folder)
        first(store)
        shutil.copytree(folder, kept, ignore=shutil.ignore_patterns(ENGINE))
        remove(store)
        last(store)

    folder, kept = tmp_path / "store", tmp_path / "kept"
    assert os.waitstatus_to_exitcode(os.waitpid(start_child(work), 0)[1]) == 0
    shutil.move(names.engine(str(folder)), names.engine(str(kept)))
    shutil.rmtree(folder)
    kept.rename(folder)
    Path(names.boot(str(folder))).write_text("another run of the machine")
    expected = {"y": {"n": 2}} if last is as_folder else {"n": 1}
    for readonly in (True, False):
        with objstore.open(folder, readonly=readonly) as store:
            assert list(store) == ["/x/y" if last is as_folder else "/x"]
            assert "x" in store
            assert store.root["x"] == expected
            assert ("x/y" in store) is (last is as_folder)
    with objstore.open(folder) as store:
        store["other"] = {}
        assert store.root["x"] == expected
    assert (folder / "x/y.json").exists() is (last is as_folder)
    assert (folder / "x.json").exists() is (last is as_file)
