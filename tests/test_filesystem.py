"""Documents on plain files: what lies where, and what is touched. See tests/conformance for the
contract and tests/faults for what goes wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import open_documents
from objstore.documents import DIRECTORY, Change, Documents
from objstore.errors import (
    ConflictError,
    FormatError,
    KeyNameError,
    LayoutError,
    StoreNotFoundError,
)
from objstore.layout import ANYTHING, Folder, Member
from objstore.values import MISSING
from tests.conformance.layouts import LIBRARY, PEOPLE, Plain
from tests.faults.seams import Counting, documents, settle
from tests.folders import names, tree

ADA = {"name": "Ada"}
BOB = {"name": "Bob"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "store"
    made.mkdir()
    return made


def opened(folder: Path, layout: Folder = ANYTHING, **options: Any) -> Documents:
    return open_documents(str(folder), layout=layout, **options)


def put(documents: Documents, unit: str, new: Any) -> Any:
    loaded = documents.load(unit)
    change = Change(unit, loaded.value, new, loaded.stamp)
    return documents.commit([change], base=0).changes[0].stamp


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


# Opening


def test_opening_and_reading_write_nothing(folder: Path) -> None:
    write(folder / "people/ada.json", ADA)
    before = [(name, (folder / name).stat().st_ctime_ns) for name in tree(folder)]
    with_root = (folder.stat().st_mtime_ns, before)
    store = opened(folder)
    assert store.load("/people/ada").value == ADA
    assert store.load("/people/bob").value is MISSING
    assert store.keys("/people") == ["ada"]
    assert store.look("/people") is DIRECTORY
    store.close()
    after = [(name, (folder / name).stat().st_ctime_ns) for name in tree(folder)]
    assert (folder.stat().st_mtime_ns, after) == with_root


def test_a_missing_folder_is_made_by_the_first_commit(tmp_path: Path) -> None:
    store = opened(tmp_path / "deep/in/store")
    assert (store.head(), store.keys(""), store.look("")) == (0, [], DIRECTORY)
    assert tree(tmp_path) == []
    put(store, "/ada", ADA)
    assert tree(tmp_path) == ["deep", "deep/in", "deep/in/store", "deep/in/store/ada.json"]


def test_a_first_commit_that_fails_makes_no_folder(tmp_path: Path) -> None:
    store = opened(tmp_path / "deep/store")
    with pytest.raises(FormatError):
        put(store, "/ada", 42)
    with pytest.raises(KeyNameError):
        put(store, "/" + "x" * 300, ADA)
    assert tree(tmp_path) == []


def test_a_folder_is_not_made_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        opened(tmp_path / "store", create=False)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "store", readonly=True)
    assert tree(tmp_path) == []


def test_a_file_is_no_store(tmp_path: Path) -> None:
    write(tmp_path / "store", ADA)
    with pytest.raises(LayoutError, match="a store is a directory, and this is a file"):
        opened(tmp_path / "store")


@pytest.mark.parametrize(
    "url", ["file://{}", "file://localhost{}", "FILE://{}", "File:{}", "{}", "{}/"]
)
def test_a_store_is_opened_by_path_or_url(folder: Path, url: str) -> None:
    write(folder / "ada.json", ADA)
    assert open_documents(url.format(folder), layout=ANYTHING).read("/ada") == ADA


def test_a_file_url_is_percent_encoded(tmp_path: Path) -> None:
    write(tmp_path / "my store%/ada.json", ADA)
    url = f"file://{tmp_path}/my%20store%25"
    assert open_documents(url, layout=ANYTHING).read("/ada") == ADA


@pytest.mark.parametrize("url", ["file://elsewhere/data", "", "a\0b"])
def test_a_url_that_is_no_folder_of_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match=r"machine|not the path of a folder"):
        open_documents(url, layout=ANYTHING)


def test_a_relative_path_stays_what_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "ada.json", ADA)
    monkeypatch.chdir(folder.parent)
    store = open_documents("store", layout=ANYTHING)
    monkeypatch.chdir("/")
    assert store.read("/ada") == ADA


def test_a_store_may_be_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    put(opened(folder.parent / "link"), "/ada", ADA)
    assert tree(folder) == ["ada.json"]


# What lies where


@pytest.mark.parametrize("name", ["ada.json", "ada.yaml", "ada.yml", "ada.toml"])
def test_a_file_of_any_known_ending_is_found(folder: Path, name: str) -> None:
    text = {"json": '{"n": 1}', "toml": "n = 1\n"}.get(name[4:], "n: 1\n")
    (folder / name).write_text(text)
    for layout in (ANYTHING, PEOPLE):
        store = opened(folder, layout)
        assert store.load("/ada").value == {"n": 1}
        assert store.keys("") == ["ada"]
        assert store.source("/ada") == name
    put(store, "/ada", {"n": 2})
    assert tree(folder) == [name]
    assert "2" in (folder / name).read_text()


def test_a_new_file_is_json(folder: Path) -> None:
    store = opened(folder)
    assert store.source("/people/ada") == "people/ada.json"
    put(store, "/people/ada", ADA)
    assert (folder / "people/ada.json").read_text() == '{\n  "name": "Ada"\n}\n'


def test_a_layout_may_set_the_ending(folder: Path) -> None:
    layout = Plain(other=Member("file", ending=".yaml"))
    write(folder / "bob.json", BOB)
    store = opened(folder, layout)
    assert store.load("/bob").value is MISSING
    put(store, "/ada", ADA)
    assert store.keys("") == ["ada"]
    assert (folder / "ada.yaml").read_text() == "name: Ada\n"


def test_a_layout_may_set_the_name(folder: Path) -> None:
    (folder / "reading.yaml").write_text("- a\n- b\n")
    store = opened(folder, LIBRARY)
    assert store.source("/reading") == "reading.yaml"
    assert store.load("/reading").value == ["a", "b"]


def test_a_name_that_the_layout_sets_is_no_other_keys(folder: Path) -> None:
    layout = Plain({"settings": Member("file", name="config.json")}, other=Member())
    write(folder / "config.json", {"dark": True})
    store = opened(folder, layout)
    assert store.keys("") == ["settings"]
    assert store.load("/settings").value == {"dark": True}
    # The rest of the key's names are free.
    assert store.load("/config").value is MISSING
    put(store, "/config", ["mine"])
    assert tree(folder) == ["config.json", "config.yaml"]
    assert store.keys("") == ["config", "settings"]


def test_a_key_whose_only_name_the_layout_gives_away(folder: Path) -> None:
    layout = Plain(
        {"settings": Member("file", name="config.json")}, other=Member("file", ending=".json")
    )
    store = opened(folder, layout)
    write(folder / "config.json", {})
    assert store.load("/config").value is MISSING
    with pytest.raises(KeyNameError, match="config"):
        put(store, "/config", ADA)


@pytest.mark.parametrize("made", ["file", "folder"])
def test_a_name_may_be_of_a_file_or_a_folder(folder: Path, made: str) -> None:
    store = opened(folder, Plain({"data": Member("any", name="data.json")}))
    assert store.look("/data") is None
    if made == "file":
        put(store, "/data", ADA)
        assert store.load("/data").value == ADA
        assert tree(folder) == ["data.json"]
    else:
        put(store, "/data/ada", ADA)
        assert store.look("/data") is DIRECTORY
        assert store.keys("/data") == ["ada"]
        assert tree(folder) == ["data.json", "data.json/ada.json"]
    assert store.keys("") == ["data"]


@pytest.mark.parametrize("name", ["../x.json", "a/b.json", ".."])
def test_a_layout_cannot_name_a_file_outside(folder: Path, name: str) -> None:
    store = opened(folder, Plain({"a": Member("file", name=name)}))
    with pytest.raises(KeyNameError):
        put(store, "/a", ADA)
    assert tree(folder.parent) == ["store"]


def test_an_ending_that_no_format_is_known_for(folder: Path) -> None:
    (folder / "notes.txt").write_text("text")
    store = opened(folder, Plain({"notes": Member("file", name="notes.txt")}))
    with pytest.raises(FormatError, match=r'notes.txt: no format is known for the ending ".txt"'):
        store.load("/notes")


def test_two_files_for_one_key_are_named(folder: Path) -> None:
    write(folder / "people/ada.json", ADA)
    (folder / "people/ada.yaml").write_text("name: Eve\n")
    store = opened(folder)
    value, stamp = store.load("/people/ada")
    assert value == ADA  # the first in the order of formats.ENDINGS
    uses: list[Callable[[], object]] = [
        lambda: store.keys("/people"),
        lambda: store.commit([Change("/people/ada", value, BOB, stamp)], base=0),
        lambda: store.commit([Change("/people/ada", value, MISSING, stamp)], base=0),
    ]
    for use in uses:
        with pytest.raises(LayoutError, match=r"people/ada.json and people/ada.yaml"):
            use()
    assert store.source("/people/ada") == "people/ada.json"
    with pytest.raises(ConflictError):
        store.commit([Change("/people/ada", MISSING, BOB)], base=0)


def test_a_file_and_a_folder_for_one_key_are_named(folder: Path) -> None:
    write(folder / "ada.json", ADA)
    (folder / "ada").mkdir()
    store = opened(folder)
    value, stamp = store.load("/ada")
    assert value == ADA
    uses: list[Callable[[], object]] = [
        lambda: store.keys(""),
        lambda: store.commit([Change("/ada", value, BOB, stamp)], base=0),
    ]
    for use in uses:
        with pytest.raises(LayoutError, match=r"ada(.json)? and ada"):
            use()
    with pytest.raises(LayoutError, match="is a file where a directory should be"):
        store.keys("/ada")


def test_a_folder_beside_a_file_is_nothing_where_only_files_are(folder: Path) -> None:
    write(folder / "ada.json", ADA)
    (folder / "ada").mkdir()
    store = opened(folder, PEOPLE)
    assert store.keys("") == ["ada"]
    assert store.load("/ada").value == ADA


def test_a_folder_with_an_ending_is_the_key_with_the_ending(folder: Path) -> None:
    write(folder / "ada.json/bob.json", BOB)
    store = opened(folder)
    assert store.keys("") == ["ada.json"]
    assert store.load("/ada").value is MISSING
    assert store.look("/ada") is None
    assert store.load("/ada.json/bob").value == BOB


def test_a_key_with_an_ending_has_two(folder: Path) -> None:
    store = opened(folder)
    put(store, "/a.json", ADA)
    assert tree(folder) == ["a.json.json"]
    assert store.keys("") == ["a.json"]
    assert store.load("/a").value is MISSING


# Keys


def test_what_is_no_key_is_not_listed(folder: Path) -> None:
    write(folder / "ada.json", ADA)
    (folder / "sub").mkdir()
    for name in (
        "README.md",
        "LICENSE",
        ".hidden.json",
        ".ada.json.objstore-tmp",
        "ada.json~",
        "ADA.JSON",
        "a%2fb.json",
        "CON.json",
        ".json",
        "no-ending",
    ):
        write(folder / name, {})
    os.mkdir(folder / ".git")
    os.mkfifo(folder / "pipe.json")
    with open(os.fsencode(folder) + b"/\xff.json", "w"):
        pass
    (folder / "dangling.json").symlink_to(folder / "nowhere")
    assert opened(folder).keys("") == ["ada", "sub"]
    assert opened(folder, PEOPLE).keys("") == ["ada"]
    assert opened(folder, Plain(other=Member("directory"))).keys("") == ["sub"]


def test_a_key_that_is_too_long_to_be_written_is_not_listed(folder: Path) -> None:
    write(folder / ("x" * 251 + ".kvi"), {})
    write(folder / ("y" * 250 + ".kvi"), {})
    (folder / ("z" * 255)).mkdir()
    assert opened(folder).keys("") == ["y" * 250]


def test_declared_and_other_members_are_listed_together(folder: Path) -> None:
    layout = Plain(
        {
            "hidden": Member("file", name=".hidden.json"),
            "people": Member("directory", folder=PEOPLE),
            "reading": Member("file", name="reading.yaml"),
            "zoo": Member("file"),
        },
        other=Member("file"),
    )
    write(folder / ".hidden.json", {})
    write(folder / "people/ada.json", ADA)
    write(folder / "people.json", ADA)  # "people" is a directory
    write(folder / "other.json", {})
    write(folder / "zoo.yml", {})
    (folder / "unrelated").mkdir()
    assert opened(folder, layout).keys("") == ["hidden", "other", "people", "zoo"]


def test_only_listing_lists(folder: Path) -> None:
    write(folder / "people/ada.json", ADA)
    write(folder / "settings.json", {})
    files = Counting(folder)
    store = documents(files, LIBRARY)
    stamp = store.load("/people/ada").stamp
    store.look("/people/ada", stamp)
    store.look("/people")
    store.look("/people/bob")
    put(store, "/people/ada", BOB)
    put(store, "/people/ada", MISSING)
    put(store, "/people/bob", BOB)
    assert store.keys("") == ["people", "settings"]
    assert set(files.listed) == {".objstore/log"}
    files.clear()
    assert store.keys("/people") == ["bob"]
    assert files.listed == ["people"]


# How much is touched


def test_loading_opens_one_file(folder: Path) -> None:
    write(folder / "people/ada.json", ADA)
    write(folder / "people/bob.json", BOB)
    files = Counting(folder)
    store = documents(files)
    store.look("/people")
    store.look("/people/ada")
    assert files.opened == []
    store.load("/people/ada")
    assert files.opened == ["people/ada.json"]


def test_looking_at_a_known_file_is_one_stat(folder: Path) -> None:
    settle(write(folder / "people/ada.json", ADA))
    files = Counting(folder)
    for layout in (ANYTHING, LIBRARY):
        store = documents(files, layout)
        put(store, "/people/other", {})
        stamp = store.load("/people/ada").stamp
        files.clear()
        assert store.look("/people/ada", stamp) is stamp
        assert (files.looked, files.opened) == (["people/ada.json"], [])


def test_looking_at_a_new_file_is_one_stat_where_the_ending_is_set(folder: Path) -> None:
    write(folder / "people/ada.json", ADA)
    layout = Plain(
        {"people": Member("directory", folder=Plain(other=Member("file", ending=".json")))}
    )
    files = Counting(folder)
    store = documents(files, layout)
    put(store, "/people/other", {})
    store.look("/people/ada")
    files.clear()
    store.look("/people/ada")
    store.look("/people/bob")
    assert files.looked == ["people/ada.json", "people/bob.json"]


# What a commit leaves


def test_a_commit_leaves_nothing_else(folder: Path) -> None:
    store = opened(folder)
    store.commit(
        [Change("/people/ada", MISSING, ADA), Change("/a/b/c", MISSING, BOB)],
        base=0,
    )
    put(store, "/people/ada", BOB)
    assert tree(folder) == ["a", "a/b", "a/b/c.json", "people", "people/ada.json"]


def test_an_edit_keeps_the_files_own_style(folder: Path) -> None:
    (folder / "ada.json").write_text('{ "name" : "Ada",\n\t"born":1815 }')
    put(opened(folder), "/ada", {"name": "Ada", "born": 1816})
    assert (folder / "ada.json").read_text() == '{ "name" : "Ada",\n\t"born":1816 }'


def test_contents_that_stay_the_same_are_not_written(folder: Path) -> None:
    path = write(folder / "ada.json", ADA)
    before = path.stat()
    store = opened(folder)
    loaded = store.load("/ada")
    changes = [Change("/ada", loaded.value, loaded.value, loaded.stamp)]
    commit = store.commit([*changes, Change("/bob", MISSING, BOB)], base=0)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert store.look("/ada", commit.changes[0].stamp) is commit.changes[0].stamp


def test_folders_that_a_deletion_empties_go(folder: Path) -> None:
    store = opened(folder)
    put(store, "/a/b/c", ADA)
    put(store, "/a/d", ADA)
    put(store, "/a/b/c", MISSING)
    assert tree(folder) == ["a", "a/d.json"]
    put(store, "/a/d", MISSING)
    assert tree(folder) == []
    assert folder.exists()


def test_a_folder_with_anything_in_it_stays(folder: Path) -> None:
    store = opened(folder)
    put(store, "/a/b", ADA)
    (folder / "a/README.md").write_text("mine")
    put(store, "/a/b", MISSING)
    assert tree(folder) == ["a", "a/README.md"]


def test_a_declared_folder_stays(folder: Path) -> None:
    store = opened(folder, LIBRARY)
    put(store, "/people/ada", ADA)
    put(store, "/people/ada", MISSING)
    assert tree(folder) == ["people"]


def test_what_a_dead_writer_left_is_replaced(folder: Path) -> None:
    store = opened(folder)
    put(store, "/ada", ADA)
    (folder / ".ada.json.objstore-tmp").write_text("half a fi")
    assert store.keys("") == ["ada"]
    put(store, "/ada", BOB)
    assert tree(folder) == ["ada.json"]
    assert json.loads((folder / "ada.json").read_text()) == BOB


def test_the_longest_key_can_be_replaced(folder: Path) -> None:
    store = opened(folder)
    unit = "/" + "x" * 250
    put(store, unit, ADA)
    put(store, unit, BOB)
    assert tree(folder) == ["x" * 250 + ".json"]
    assert store.load(unit).value == BOB


# Contents that are none


def test_a_file_that_does_not_parse_is_named_with_its_line(folder: Path) -> None:
    (folder / "people").mkdir()
    (folder / "people/ada.json").write_text('{\n  "name": }\n')
    with pytest.raises(FormatError) as caught:
        opened(folder).load("/people/ada")
    assert (caught.value.source, caught.value.line) == ("people/ada.json", 2)


@pytest.mark.parametrize(
    ("text", "found"), [("42", "42"), ('"a"', '"a"'), ("null", "null"), ("true", "true")]
)
def test_a_file_is_an_object_or_an_array(folder: Path, text: str, found: str) -> None:
    (folder / "ada.json").write_text(text)
    with pytest.raises(FormatError) as caught:
        opened(folder).load("/ada")
    assert str(caught.value) == (
        f"ada.json, line 1: expected an object or array at top level, found {found}"
    )


def test_a_file_that_is_too_large_is_refused_unread(folder: Path) -> None:
    with (folder / "ada.json").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(FormatError, match="1073741825 bytes, and 1073741824 are the limit"):
        opened(folder).load("/ada")
    assert opened(folder).keys("") == ["ada"]


def test_a_broken_file_is_no_conflict(folder: Path) -> None:
    """Its owner has to mend it; to say that contents differ would hide that."""
    store = opened(folder)
    put(store, "/ada", ADA)
    loaded = store.load("/ada")
    (folder / "ada.json").write_text('{"name": "half')
    with pytest.raises(FormatError, match=r"ada\.json"):
        store.commit([Change("/ada", loaded.value, BOB, loaded.stamp)], base=1)
    assert (folder / "ada.json").read_text() == '{"name": "half'


# Keys that can be no names


@pytest.mark.parametrize("key", ["", "\ud800", "x" * 300, "é" * 126])
def test_a_key_without_a_name_is_in_no_store(folder: Path, key: str) -> None:
    store = opened(folder)
    unit = f"/people/{key}"
    assert store.load(unit) == (MISSING, None)
    assert store.look(unit) is None
    assert store.keys(unit) == []
    assert store.source(unit) == unit
    with pytest.raises(KeyNameError):
        store.commit([Change("/bob", MISSING, BOB), Change(unit, MISSING, ADA)], base=0)
    assert tree(folder) == []


def test_an_address_may_be_too_deep_to_be_written(folder: Path) -> None:
    store = opened(folder)
    unit = "/a" * 5000
    assert store.load(unit) == (MISSING, None)
    with pytest.raises(KeyNameError, match="levels deep"):
        store.commit([Change(unit, MISSING, ADA)], base=0)


@pytest.mark.parametrize("token", ["..", "...", ".", "..~1..~1x", "~1etc~1passwd", "\0", "CON"])
def test_no_key_leads_out_of_its_folder(folder: Path, token: str) -> None:
    store = opened(folder)
    put(store, f"/people/{token}", ADA)
    put(store, f"/people/sub/{token}/{token}", BOB)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["store"]
    assert names(folder) == ["people"]
    assert store.load(f"/people/{token}").value == ADA
    assert store.load(f"/people/sub/{token}/{token}").value == BOB


# What was written is known


@pytest.mark.parametrize("apply", ["eager", "lazy"])
def test_a_file_that_was_written_needs_no_image_to_be_changed_again(
    folder: Path, apply: str
) -> None:
    text = "word " * 5000
    store = opened(folder, apply=apply)
    for number in range(6):
        put(store, "/ada", {"text": text, "number": number})
        store.flush()
        settle(folder / "ada.json")
        stamp = store.load("/ada").stamp
        assert store.look("/ada", stamp) is stamp
    store.close()
    log = (folder / ".objstore/log/00000001-a.log").read_bytes()
    assert log.count(text.encode()) == 1, "what it was made with"
