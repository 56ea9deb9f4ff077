"""Symbolic links: within the store they are followed, out of it never."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import open_documents
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.documents import DIRECTORY, Change, Documents
from objstore.errors import BackingError, ConflictError, LayoutError, OutsideError
from objstore.layout import ANYTHING, Folder, Member
from objstore.values import MISSING
from tests.conformance.layouts import LIBRARY, Plain
from tests.faults.seams import Failing, documents, settle
from tests.folders import names

ADA = {"name": "Ada"}
BOB = {"name": "Bob"}
ONE_NAME: Folder = Plain(
    {
        "people": Member("directory", folder=Plain(other=Member("file", ending=".json"))),
        "file": Member("file", ending=".json"),
    }
)
LAYOUTS = [ANYTHING, ONE_NAME]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "ada.json").write_text(json.dumps(ADA))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    made.mkdir()
    return made


def opened(folder: Path, layout: Folder = ANYTHING) -> Documents:
    return open_documents(str(folder), layout=layout)


def change(store: Documents, unit: str, new: Any) -> Change:
    loaded = store.load(unit)
    return Change(unit, loaded.value, new, loaded.stamp)


def refused(*uses: Callable[[], object]) -> None:
    for use in uses:
        with pytest.raises(OutsideError, match="is a link that leads out of the store") as caught:
            use()
        assert isinstance(caught.value, PermissionError)


# Out of the store


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_is_a_link_out_is_refused(folder: Path, outside: Path, layout: Folder) -> None:
    (folder / "file.json").symlink_to(outside / "ada.json")
    store = opened(folder, layout)
    refused(
        lambda: store.load("/file"),
        lambda: store.look("/file"),
        lambda: store.commit([Change("/file", MISSING, BOB)], base=0),
    )
    assert json.loads((outside / "ada.json").read_text()) == ADA
    assert names(outside) == ["ada.json"]
    assert store.source("/file") == "file.json"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_that_is_a_link_out_is_refused(
    folder: Path, outside: Path, layout: Folder
) -> None:
    (folder / "people").symlink_to(outside)
    store = opened(folder, layout)
    refused(
        lambda: store.load("/people/ada"),
        lambda: store.look("/people"),
        lambda: store.look("/people/ada"),
        lambda: store.keys("/people"),
        lambda: store.commit([Change("/people/bob", MISSING, BOB)], base=0),
        lambda: store.commit([Change("/people/ada", MISSING, BOB)], base=0),
    )
    assert names(outside) == ["ada.json"]


def test_a_folder_deep_in_a_linked_folder_is_refused(folder: Path, outside: Path) -> None:
    (outside / "deep").mkdir()
    (folder / "people").symlink_to(outside)
    store = opened(folder)
    refused(
        lambda: store.commit([Change("/people/deep/er/eve", MISSING, BOB)], base=0),
        lambda: store.keys("/people/deep"),
    )
    assert names(outside) == ["ada.json", "deep"]


def test_a_link_that_leads_out_and_nowhere_is_refused(folder: Path, outside: Path) -> None:
    (folder / "file.json").symlink_to(outside / "new.json")
    store = opened(folder)
    refused(
        lambda: store.load("/file"),
        lambda: store.commit([Change("/file", MISSING, BOB)], base=0),
    )
    assert names(outside) == ["ada.json"]


def test_a_neighbour_with_a_longer_name_is_outside(folder: Path) -> None:
    beside = folder.with_name(folder.name + "2")
    beside.mkdir()
    (beside / "ada.json").write_text(json.dumps(ADA))
    (folder / "ada.json").symlink_to(beside / "ada.json")
    refused(lambda: opened(folder).load("/ada"))


def test_a_folder_that_becomes_a_link_out_is_refused(folder: Path, outside: Path) -> None:
    (folder / "people").mkdir()
    (folder / "people/ada.json").write_text(json.dumps(BOB))
    store = opened(folder)
    stamp = store.load("/people/ada").stamp
    (folder / "people").rename(folder / "before")
    (folder / "people").symlink_to(outside)
    refused(
        lambda: store.load("/people/ada"),
        lambda: store.look("/people"),
        lambda: store.look("/people/ada", stamp),
        lambda: store.commit([Change("/people/ada", BOB, ADA, stamp)], base=0),
    )


def test_a_link_out_is_listed_so_that_its_use_can_say_why(folder: Path, outside: Path) -> None:
    (folder / "ada.json").symlink_to(outside / "ada.json")
    assert opened(folder).keys("") == ["ada"]


# Within the store


def test_a_linked_file_is_read_and_written_in_its_place(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "current.json").symlink_to("v2.json")
    store = opened(folder)
    assert store.keys("") == ["current", "v2"]
    assert store.load("/current").value == ADA
    store.commit([change(store, "/current", BOB)], base=0)
    assert os.readlink(folder / "current.json") == "v2.json"
    assert json.loads((folder / "v2.json").read_text()) == BOB
    assert store.load("/v2").value == BOB
    assert names(folder) == ["current.json", "v2.json"]


def test_a_linked_file_is_known_by_its_target(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "v3.json").write_text(json.dumps(BOB))
    (folder / "current.json").symlink_to("v2.json")
    settle(folder / "v3.json")
    store = opened(folder)
    stamp = store.load("/current").stamp
    assert store.look("/current", stamp) is stamp
    (folder / "current.json").unlink()
    (folder / "current.json").symlink_to("v3.json")
    assert store.look("/current", stamp) is not stamp
    assert store.load("/current").value == BOB


def test_deleting_a_linked_key_removes_the_link(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "current.json").symlink_to("v2.json")
    store = opened(folder)
    store.commit([change(store, "/current", MISSING)], base=0)
    assert store.keys("") == ["v2"]
    assert store.load("/v2").value == ADA


def test_a_deleted_link_is_put_back_as_a_link(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "current.json").symlink_to("v2.json")
    files = Failing(folder)
    store = documents(files)
    asked = [change(store, "/current", MISSING)]
    files.fail("sync folder")
    with pytest.raises(BackingError):
        store.commit(asked, base=0)
    assert os.readlink(folder / "current.json") == "v2.json"
    assert json.loads((folder / "v2.json").read_text()) == ADA


def test_a_linked_folder_is_used_in_its_place(folder: Path) -> None:
    (folder / "v2").mkdir()
    (folder / "people").symlink_to(folder / "v2")
    store = opened(folder, LIBRARY)
    store.commit([Change("/people/ada", MISSING, ADA)], base=0)
    assert json.loads((folder / "v2/ada.json").read_text()) == ADA
    assert store.keys("/people") == ["ada"]
    assert store.look("/people") is DIRECTORY
    assert store.load("/people/ada").value == ADA


def test_a_link_that_leads_nowhere_is_missing_and_written_through(folder: Path) -> None:
    (folder / "ada.json").symlink_to("people/real.json")
    store = opened(folder)
    assert store.load("/ada") == (MISSING, None)
    assert store.look("/ada") is None
    assert store.keys("") == []
    store.commit([Change("/ada", MISSING, ADA)], base=0)
    assert os.readlink(folder / "ada.json") == "people/real.json"
    assert json.loads((folder / "people/real.json").read_text()) == ADA
    assert store.load("/ada").value == ADA


def test_two_keys_of_one_file_are_not_changed_together(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "current.json").symlink_to("v2.json")
    store = opened(folder)
    both = [change(store, "/v2", {"n": 1}), change(store, "/current", {"n": 2})]
    with pytest.raises(LayoutError, match=r"v2\.json and current\.json are one file"):
        store.commit(both, base=0)
    assert store.load("/v2").value == ADA


@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("is_other", [False, True])
@pytest.mark.parametrize("is_lazy", [False, True])
def test_two_keys_of_one_file_take_nothing_from_each_other(
    folder: Path, is_lazy: bool, is_other: bool, is_folder: bool
) -> None:
    """What was committed by one name is there for who commits by the other, be it in the file yet
    or not."""
    (folder / "v2").mkdir()
    (folder / "v2/ada.json").write_text('{"l": []}')
    if is_folder:
        (folder / "people").symlink_to("v2")
    else:
        (folder / "people").mkdir()
        (folder / "people/ada.json").symlink_to("../v2/ada.json")
    one = FilesystemDocuments(Files(str(folder)), ANYTHING, lazy=is_lazy)
    two = FilesystemDocuments(Files(str(folder)), ANYTHING, lazy=is_lazy) if is_other else one
    for number in range(1, 7, 2):
        _appended(one, "/people/ada", number)
        _appended(two, "/v2/ada", number + 1)
        _appended(two, f"/other{number}", 0)  # settles what others have left, from the second on
    for each in (one, two):
        each.flush()
    there = json.loads((folder / "v2/ada.json").read_text())
    assert sorted(there["l"]) == [1, 2, 3, 4, 5, 6]
    for each in (one, two):
        assert each.load("/v2/ada").value == each.load("/people/ada").value == there
        assert each.check() == []
    one.close()
    two.close()


def test_a_link_to_what_is_about_to_be_made_leads_to_it(folder: Path) -> None:
    (folder / "ada.json").symlink_to("real.json")
    store = FilesystemDocuments(Files(str(folder)), ANYTHING, lazy=True)
    store.commit([Change("/real", MISSING, ADA)], base=0)
    with pytest.raises(ConflictError):
        store.commit([Change("/ada", MISSING, BOB)], base=0)
    assert store.load("/ada").value == ADA
    store.commit([change(store, "/ada", BOB)], base=0)
    assert store.load("/real").value == BOB
    store.close()


def _appended(documents: FilesystemDocuments, unit: str, number: int) -> None:
    """As a transaction does that is tried once more."""
    for _ in range(2):
        loaded = documents.load(unit)
        there: Any = {"l": []} if loaded.value is MISSING else loaded.value
        asked = Change(unit, loaded.value, {"l": [*there["l"], number]}, loaded.stamp)
        with suppress(ConflictError):
            documents.commit([asked], base=0)
            return
    raise AssertionError(f"{unit} conflicts for ever")


def test_a_link_is_deleted_while_its_target_is_changed(folder: Path) -> None:
    (folder / "v2.json").write_text(json.dumps(ADA))
    (folder / "current.json").symlink_to("v2.json")
    store = opened(folder)
    store.commit([change(store, "/v2", BOB), change(store, "/current", MISSING)], base=0)
    assert names(folder) == ["v2.json"]
    assert store.load("/v2").value == BOB


def test_a_link_to_itself_is_an_error(folder: Path) -> None:
    (folder / "ada.json").symlink_to("ada.json")
    store = opened(folder)
    assert store.keys("") == ["ada"]
    with pytest.raises(BackingError, match="Too many levels of symbolic links"):
        store.load("/ada")


def test_a_link_to_a_folder_that_it_lies_in_is_an_error(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "a/to_b").symlink_to("../b")
    (folder / "b/to_a").symlink_to("../a")
    (folder / "x").symlink_to("a")
    store = opened(folder)
    assert store.look("/x/to_b") is DIRECTORY
    assert store.keys("/x/to_b") == ["to_a"]
    for path in ("/x/to_b/to_a", "/a/to_b/to_a", "/b/to_a/to_b"):
        with pytest.raises(LayoutError, match="is a link to a folder that it lies in"):
            store.look(path)
