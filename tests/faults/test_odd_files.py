"""What is neither the file nor the folder that the layout says."""

from __future__ import annotations

import errno
import fcntl
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
from objstore.backings.filesystem.io import Files, Opened
from objstore.backings.filesystem.pending import Due, Pending
from objstore.documents import Change, Documents
from objstore.errors import BackingError, LayoutError
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


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("first", ["dir", "dir.json/x"])
@pytest.mark.parametrize("together", [True, False])
def test_a_name_is_a_file_or_a_folder(
    tmp_path: Path, apply: str, first: str, together: bool
) -> None:
    [second] = {"dir", "dir.json/x"} - {first}
    with objstore.open(tmp_path, apply=apply) as store:
        store["other"] = {"n": 0}
        if together:
            with pytest.raises(LayoutError, match=r"dir\.json"), store.transaction():
                store[first], store[second] = {"n": 1}, {"n": 2}
            assert list(store.root) == ["other"]
            return
        store[first] = {"n": 1}
        with pytest.raises(LayoutError, match=r"dir\.json is a (file|directory) where"):
            store[second] = {"n": 2}
        store["other"]["n"] = 1
        assert store.switch_and_snapshot() == 3
        assert [*store.check()] == []
        assert store[first].contents == {"n": 1}


@pytest.mark.parametrize(("first", "second"), [("dir.json/x", "dir"), ("a", "a/b")])
def test_a_place_is_free_once_what_had_it_is_deleted(
    tmp_path: Path, first: str, second: str
) -> None:
    """Also while the file is still there, as it is removed later."""
    with objstore.open(tmp_path, apply="lazy") as store:
        store[first] = {"n": 1}
        store.flush()
        del store[first]
        store[second] = {"n": 2}
        store.flush()
        assert store[second].contents == {"n": 2}
        assert [*store.check()] == []


def test_a_link_to_a_folder_is_in_the_way_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "ada.json").symlink_to("dir")
    store = opened(tmp_path)
    refused(
        r"ada\.json is a directory where a file should be",
        lambda: store.commit([Change("/ada", MISSING, ADA)], base=0),
    )
    assert store.head() == 0


def make_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Path.mkdir, "is a directory where a file should be"),
        (make_fifo, "is neither a file nor a directory where a file should be"),
        (make_link_to_nothing, "it keeps changing"),
    ],
)
def test_flush_says_what_came_in_a_files_place(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    with objstore.open(tmp_path, apply="lazy") as store:
        store["first"], store["ada"], store["last"] = {"n": 0}, ADA, {"n": 1}
        make(tmp_path / "ada.json")
        for _ in range(2):
            with pytest.raises((BackingError, LayoutError), match=rf"ada\.json.*{why}"):
                store.flush()
        assert names(tmp_path)[-2:] == ["first.json", "last.json"]
        assert store["ada"].contents == ADA
        (tmp_path / "ada.json").rmdir() if make is Path.mkdir else (tmp_path / "ada.json").unlink()
        store.flush()
        assert json.loads((tmp_path / "ada.json").read_text()) == ADA


def test_a_commit_stands_whatever_came_in_the_place_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Pending.put

    def make_folder_before(self: Pending, due: Due) -> None:
        path = tmp_path / "ada.json"
        if not path.exists():
            path.mkdir()
        put(self, due)

    with objstore.open(tmp_path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(Pending, "put", make_folder_before)
            store["ada"] = ADA
        assert store["ada"].contents == ADA
        with pytest.raises(LayoutError, match=r"ada\.json is a directory where a file should be"):
            store.flush()
        (tmp_path / "ada.json").rmdir()
    assert json.loads((tmp_path / "ada.json").read_text()) == ADA


def test_a_file_where_the_folder_of_the_log_should_be(tmp_path: Path) -> None:
    store = objstore.open(tmp_path)
    store["ada"] = ADA
    logs = tmp_path / ".objstore" / "log"
    logs.rename(tmp_path / "aside")
    logs.write_text("")
    uses: list[Callable[[], object]] = [lambda: store.PUT("ada/name", "Eda"), store.close]
    for use in uses:
        with pytest.raises(BackingError, match="the commit log was removed or replaced"):
            use()


Use = Callable[[Files, Opened], object]


@pytest.mark.parametrize(
    ("call", "told", "use"),
    [
        ("os.stat", "look at", Files.is_at),
        ("fcntl.flock", "unlock", Files.unlock_opened),
        ("os.lseek", "read", Files.rewind),
    ],
)
def test_what_the_system_refuses_of_an_open_file_names_it(
    call: str, told: str, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    files = Files(str(tmp_path))
    opened = files.lockable(str(tmp_path / "lock"), make=True)
    assert opened is not None
    monkeypatch.setattr(f"objstore.backings.filesystem.openio.{call}", stale)
    with pytest.raises(BackingError, match=f"cannot {told} lock: Stale file handle") as caught:
        use(files, opened)
    monkeypatch.undo()
    assert caught.value.filename == opened.path
    files.close(opened)


def test_a_folder_that_cannot_be_unlocked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(_: int, how: int) -> None:
        if how == fcntl.LOCK_UN:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr("objstore.backings.filesystem.openio.fcntl.flock", stale)
    with (
        pytest.raises(BackingError, match=r"cannot unlock \.: Stale file handle"),
        Files(str(tmp_path)).locked(str(tmp_path)),
    ):
        pass
