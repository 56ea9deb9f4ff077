"""What is neither the file nor the folder that the layout says."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import objstore
from objstore.backings.filesystem import open_documents
from objstore.documents import Change, Documents
from objstore.errors import LayoutError
from objstore.layout import ANYTHING, Folder, Member
from objstore.retention import Retention
from objstore.values import MISSING
from tests.conformance.layouts import LIBRARY, PEOPLE, Plain
from tests.folders import names

ADA = {"name": "Ada"}
ONE_ENDING: Folder = Plain(other=Member("file", ending=".json"))
ONE_NAME: Folder = Plain({"ada": Member("any", name="ada.json")})


def opened(folder: Path, layout: Folder = ANYTHING) -> Documents:
    return open_documents(str(folder), layout=layout)


def refused(match: str, *uses: Callable[[], object]) -> None:
    for use in uses:
        with pytest.raises(LayoutError, match=match):
            use()


@pytest.mark.parametrize("layout", [PEOPLE, ONE_ENDING])
def test_a_folder_where_a_file_should_be(tmp_path: Path, layout: Folder) -> None:
    (tmp_path / "ada.json").mkdir()
    store = opened(tmp_path, layout)
    refused(
        r"ada\.json is a directory where a file should be",
        lambda: store.load("/ada"),
        lambda: store.look("/ada"),
        lambda: store.commit([Change("/ada", MISSING, ADA)], base=0),
    )
    assert store.keys("") == []
    assert names(tmp_path) == ["ada.json"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "people").write_text(json.dumps(ADA))
    store = opened(tmp_path, LIBRARY)
    refused(
        "people is a file where a directory should be",
        lambda: store.load("/people/ada"),
        lambda: store.look("/people/ada"),
        lambda: store.look("/people"),
        lambda: store.keys("/people"),
        lambda: store.keys(""),
        lambda: store.commit([Change("/people/ada", MISSING, ADA)], base=0),
    )
    assert names(tmp_path) == ["people"]


def test_a_file_without_an_ending_is_in_nobodys_place_until_it_is_in_the_way(
    tmp_path: Path,
) -> None:
    (tmp_path / "LICENSE").write_text("text")
    store = opened(tmp_path)
    assert store.look("/LICENSE") is None
    assert store.load("/LICENSE").value is MISSING
    refused(
        "LICENSE is a file where a directory should be",
        lambda: store.commit([Change("/LICENSE/below", MISSING, ADA)], base=0),
    )
    store.commit([Change("/LICENSE", MISSING, ADA)], base=0)
    assert names(tmp_path) == ["LICENSE", "LICENSE.json"]


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = os.getcwd()
        os.chdir(path.parent)  # the path of a socket has at most 107 bytes
        try:
            made.bind(path.name)
        finally:
            os.chdir(before)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("layout", [ANYTHING, PEOPLE, ONE_ENDING, ONE_NAME])
@pytest.mark.parametrize("make", [make_fifo, make_socket])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, make: Callable[[Path], None], layout: Folder
) -> None:
    make(tmp_path / "ada.json")
    store = opened(tmp_path, layout)
    refused(
        r"ada\.json is neither a file nor a directory where a file should be",
        lambda: store.load("/ada"),
        lambda: store.look("/ada"),
        lambda: store.commit([Change("/ada", MISSING, ADA)], base=0),
    )
    assert names(tmp_path) == ["ada.json"]


def test_what_is_no_regular_file_is_not_listed(tmp_path: Path) -> None:
    make_fifo(tmp_path / "ada.json")
    make_socket(tmp_path / "bob.json")
    for layout in (ANYTHING, PEOPLE, ONE_ENDING):
        assert opened(tmp_path, layout).keys("") == []


@pytest.mark.timeout(20)
def test_a_file_that_becomes_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_text(json.dumps(ADA))
    store = opened(tmp_path)
    stamp = store.load("/ada").stamp
    (tmp_path / "ada.json").unlink()
    make_fifo(tmp_path / "ada.json")
    refused(
        "neither a file nor a directory",
        lambda: store.look("/ada", stamp),
        lambda: store.load("/ada"),
        lambda: store.commit([Change("/ada", ADA, MISSING, stamp)], base=0),
    )


def make_file_of_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("text")


def instead(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "replace", [make_file_of_the_folder, instead(make_fifo), instead(make_socket)]
)
def test_what_became_of_a_file_keeps_no_store_from_being_closed(
    tmp_path: Path, replace: Callable[[Path], None]
) -> None:
    """Once as the handle has written the file, and once as the log has it."""
    with objstore.open(tmp_path) as store:
        store["ada"], store["sub/bob"] = {"n": 0}, {"n": 0}
        replace(tmp_path / "sub" / "bob.json")
        assert store.switch_and_snapshot() == 2
        store["ada"]["n"] = 1
    with objstore.open(tmp_path) as store:
        store["ada"]["n"] = 2
        store.switch_and_snapshot()
        store.compact(Retention(timedelta(0), timedelta(days=1)))
        store["ada"]["n"] = 3
        assert store.at(store.head)["ada/n"] == 3
