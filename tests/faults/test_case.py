"""Disks that do not tell case apart, simulated: few kernels of build machines have one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from objstore.backings.filesystem.io import Files
from objstore.documents import DIRECTORY, Change, Documents
from objstore.errors import KeyNameError
from objstore.values import MISSING
from tests.faults.seams import CaseBlind, Counting, documents, settle

ADA = {"name": "Ada"}
BOB = {"name": "Bob"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people").mkdir()
    (tmp_path / "people/Ada.json").write_text(json.dumps(ADA))
    return tmp_path


@pytest.fixture
def store(folder: Path) -> Documents:
    return documents(CaseBlind(str(folder), sync=False))


def test_the_simulation_finds_files_in_either_case(folder: Path) -> None:
    files = CaseBlind(str(folder))
    one, other = (files.lstat(f"{folder}/PEOPLE/{name}.json") for name in ("ada", "Ada"))
    assert one is not None
    assert other is not None
    assert os.path.samestat(one, other)


def test_a_key_is_the_one_that_the_folder_lists(store: Documents) -> None:
    assert store.load("/people/Ada").value == ADA
    for unit in ("/people/ada", "/people/ADA", "/People/Ada"):
        assert store.load(unit) == (MISSING, None)
        assert store.look(unit) is None
    assert store.look("/people") is DIRECTORY
    assert store.keys("/people") == ["Ada"]


def test_a_key_in_the_wrong_case_is_missing_at_the_first_look_too(store: Documents) -> None:
    assert store.look("/people/ada") is None


def test_writing_a_key_that_differs_in_case_names_the_clash(store: Documents, folder: Path) -> None:
    with pytest.raises(KeyNameError, match=r"people/ada\.json and people/Ada\.json would be"):
        store.commit([Change("/people/ada", MISSING, BOB)], base=0)
    with pytest.raises(KeyNameError, match=r"People/bob\.json and people would be one"):
        store.commit([Change("/People/bob", MISSING, BOB)], base=0)
    assert os.listdir(folder / "people") == ["Ada.json"]
    assert json.loads((folder / "people/Ada.json").read_text()) == ADA


def test_two_new_keys_that_differ_in_case_name_the_clash(tmp_path: Path) -> None:
    store = documents(CaseBlind(str(tmp_path / "store"), sync=False))
    with pytest.raises(KeyNameError, match=r"Bob\.json and bob\.json would be one"):
        store.commit([Change("/Bob", MISSING, BOB), Change("/bob", MISSING, BOB)], base=0)
    assert list(tmp_path.iterdir()) == []


def test_the_first_that_a_handle_does_is_to_write_below_a_folder_in_another_case(
    store: Documents, folder: Path
) -> None:
    with pytest.raises(KeyNameError, match=r"People/bob\.json and people would be one"):
        store.commit([Change("/People/bob", MISSING, BOB)], base=0)
    assert os.listdir(folder) == ["people"]


def test_the_first_that_a_handle_does_is_to_look_at_a_folder_in_another_case(
    store: Documents,
) -> None:
    assert store.keys("") == ["people"]
    assert store.look("/People") is None
    assert store.look("/people") is DIRECTORY


@pytest.mark.parametrize("units", [("/New/x", "/new/y"), ("/a/b/New/x", "/a/b/new/deep/y")])
def test_two_new_folders_that_differ_in_case_name_the_clash(
    tmp_path: Path, units: tuple[str, str]
) -> None:
    store = documents(CaseBlind(str(tmp_path / "store"), sync=False))
    with pytest.raises(KeyNameError, match=r"New and .*new would be one"):
        store.commit([Change(unit, MISSING, BOB) for unit in units], base=0)
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_that_differs_in_case_from_one_just_made_names_the_clash(
    tmp_path: Path,
) -> None:
    store = documents(CaseBlind(str(tmp_path / "store"), sync=False))
    store.commit([Change("/New/x", MISSING, BOB)], base=0)
    with pytest.raises(KeyNameError, match=r"new/y\.json and New would be one"):
        store.commit([Change("/new/y", MISSING, BOB)], base=1)


def test_a_known_file_is_looked_at_and_changed_as_ever(store: Documents, folder: Path) -> None:
    stamp = store.load("/people/Ada").stamp
    assert store.look("/people/Ada", stamp) is stamp
    store.commit([Change("/people/Ada", ADA, BOB, stamp)], base=0)
    assert json.loads((folder / "people/Ada.json").read_text()) == BOB
    assert store.load("/people/Ada").value == BOB


def test_a_renamed_key_is_another_key(store: Documents, folder: Path) -> None:
    stamp = store.load("/people/Ada").stamp
    settle(folder / "people")
    assert store.look("/people/ada") is None
    (folder / "people/Ada.json").rename(folder / "people/ada.json")
    assert store.look("/people/Ada", stamp) is None
    assert store.load("/people/ada").value == ADA


def test_a_disk_that_tells_case_apart_holds_both(tmp_path: Path) -> None:
    store = documents(Files(str(tmp_path), sync=False))
    units = ("/ada", "/Ada", "/new/x", "/New/x")
    store.commit([Change(unit, MISSING, {"of": unit}) for unit in units], base=0)
    assert store.keys("") == ["Ada", "New", "ada", "new"]
    assert [store.load(unit).value for unit in units] == [{"of": unit} for unit in units]


def test_a_hard_link_in_the_other_case_is_no_sign(tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_text(json.dumps(ADA))
    os.link(tmp_path / "ada.json", tmp_path / "ADA.JSON")
    store = documents(Files(str(tmp_path), sync=False))
    assert store.load("/ada").value == ADA
    store.commit([Change("/Ada", MISSING, BOB)], base=0)
    assert store.keys("") == ["Ada", "ada"]


def test_finding_out_takes_one_look_and_writes_nothing(folder: Path) -> None:
    files = Counting(folder)
    store = documents(files)
    store.load("/people/Ada")
    assert files.looked.count("people/aDA.JSON") == 1
    files.clear()
    store.load("/people/Ada")
    store.load("/people/bob")
    assert not [path for path in files.looked if path.endswith(".JSON")]
    assert os.listdir(folder / "people") == ["Ada.json"]
