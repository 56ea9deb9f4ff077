"""Bad input: a clear error, and nothing lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import objstore
from objstore import Dict, Directory, Store, ValueFile
from objstore.backings.filesystem import Depot, RecordKeeper, open_events
from objstore.backings.store_containers import open_containers
from objstore.errors import BackingError
from tests.folders import users

from .conformance.library import ADA, Library
from .conformance.storages import ON_DISK
from .faults.machine import let_others_in, without_privileges


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "people").mkdir(parents=True)
    return folder


@pytest.fixture
def store(folder: Path) -> Iterator[Store[Library]]:
    with objstore.open(folder, Library) as store:
        yield store


@pytest.fixture
def free(folder: Path) -> Iterator[Store[Directory[Any]]]:
    with objstore.open(folder) as store:
        yield store


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"x": 1,}', "line 1"),
        ("a.json", '{\n  "x": NaN\n}', "line 2, column 8"),
        ("a.json", '{"x": [Infinity]}', "line 1"),
        ("a.json", '{"x": 1e999}', "line 1"),
        ("a.json", '{"x": "\\ud800"}', "line 1"),
        ("a.json", '{"a": 1,\n "b": 2,\n "a": 3}', "line 3, column 2"),
        ("a.json", "", "line 1"),
        ("a.json", "42", "expected an object or array"),
        ("a.json", "[" * 10_000 + "]" * 10_000, "nested deeper than 200"),
        ("a.yaml", "x: [1, 2", "line"),
        ("a.yaml", "x: 1\nx: 2\n", "line 2"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "line"),
        ("a.yaml", "x: !!python/object:os.system {}\n", "line 1"),
        ("a.yaml", "[" * 10_000, "levels"),
        ("a.toml", "x = \n", "line 1"),
        ("a.toml", "x = 1\nx = 2\n", "line 2"),
        ("a.toml", "x = nan\n", "a.toml"),
        ("a.kvi", "x |a\n\tb |c\n", "line 2"),
        ("a.kvi", "x ?\n", "line 1, column 3"),
    ],
)
def test_broken_files_are_told_with_their_place(
    free: Store[Any], folder: Path, name: str, text: str, words: str
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(objstore.FormatError) as caught:
        free["a"]
    assert str(caught.value).startswith(name)
    assert words in str(caught.value)
    assert (folder / name).read_text() == text


def test_bytes_that_are_no_text(free: Store[Any], folder: Path) -> None:
    (folder / "a.json").write_bytes(b'{"x": "\xff"}')
    with pytest.raises(objstore.FormatError, match=r"a\.json, line 1"):
        free["a"]


def test_big_integers_and_odd_numbers_are_kept(free: Store[Any], folder: Path) -> None:
    text = '{"big": 123456789012345678901234567890, "digits": 1.10, "x": 1}'
    (folder / "a.json").write_text(text)
    assert free["a"].big == 123456789012345678901234567890
    free["a"].x = 2
    assert (folder / "a.json").read_text() == text.replace('"x": 1', '"x": 2')


# --- keys as file names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "a/b",
        "..",
        ".",
        "nul\x00",
        ".hidden",
        "CON",
        "con.txt",
        "a.json",
        "100%",
        "%41",
        "é",
        "a b",
        "x.",
        "Ada",
        "ada",
        "~",
        "a\\b",
        "trailing ",
        "🙂",
        "*",
        "a~1b",
    ],
)
def test_any_key_makes_a_file_and_comes_back(store: Store[Library], folder: Path, key: str) -> None:
    store.root.people["other"] = ADA
    store.root.people[key] = {"name": key or "empty", "born": 1}
    assert store.root.people[key].name == (key or "empty")
    assert sorted(store.root.people) == sorted({"other", key})
    inside = {path.parent for path in users(folder.parent.rglob("*.json"))}
    assert inside == {folder / "people"}
    with objstore.open(folder, Library) as again:
        assert again.root.people[key].name == (key or "empty")
    del store.root.people[key]
    assert list(store.root.people) == ["other"]


@pytest.mark.parametrize("key", ["x" * 300, "é" * 130, ""])
def test_keys_that_make_no_file_name(store: Store[Library], key: str) -> None:
    with pytest.raises(objstore.KeyNameError):
        store.root.people[key] = ADA
    with pytest.raises((objstore.KeyNameError, KeyError)):
        store.root.people[key]
    assert list(store.root.people) == []


def test_keys_are_text(store: Store[Library]) -> None:
    for key in (1, None, b"x"):
        with pytest.raises(TypeError, match="keys are str"):
            store.root.people[key] = ADA  # type: ignore[index]


def test_two_files_for_one_key(store: Store[Library], folder: Path) -> None:
    (folder / "people" / "ada.json").write_text('{"name": "Ada", "born": 1}')
    (folder / "people" / "ada.yaml").write_text("{name: Eve, born: 2}")
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    for use in (lambda: list(store.root.people), lambda: ada.PUT("name", "x")):
        with pytest.raises(objstore.LayoutError, match=r"ada\.json.*ada\.yaml"):
            use()
    assert [f.source for f in store.check()] == ["people/ada.yaml"]
    assert ada.name == "Ada"


# --- what lies where ------------------------------------------------------------------------------


def test_a_directory_where_a_file_should_be(store: Store[Library], folder: Path) -> None:
    (folder / "settings.json").mkdir()
    with pytest.raises(objstore.LayoutError, match=r"settings\.json"):
        store.root.settings.theme
    with pytest.raises(objstore.LayoutError):
        store.PUT("settings", {"theme": "x"})


def test_a_file_where_a_directory_should_be(folder: Path) -> None:
    (folder / "people").rmdir()
    (folder / "people").write_text("I am a file")
    with objstore.open(folder, Library) as store:
        with pytest.raises(objstore.LayoutError, match="people"):
            list(store.root.people)
        with pytest.raises((objstore.LayoutError, KeyError)):
            store.root.people["ada"]
        with pytest.raises(objstore.LayoutError, match="people"):
            store.root.people["ada"] = ADA
    assert (folder / "people").read_text() == "I am a file"


def test_the_store_itself_is_a_file(folder: Path) -> None:
    (folder / "x.json").write_text("{}")
    with pytest.raises(objstore.LayoutError):
        objstore.open(folder / "x.json")


def test_a_path_may_be_bytes_and_nothing_else(folder: Path) -> None:
    (folder / "people" / "ada.json").write_text('{"name": "Ada", "born": 1}')
    path: Any = bytes(folder)
    with objstore.open(path) as store:
        assert list(store) == ["/people/ada"]
    for path in (5, None, ["data"]):
        with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike object"):
            objstore.open(path)


def test_nothing_to_open(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        objstore.open(folder / "none", create=False)
    assert not (folder / "none").exists()
    with objstore.open(folder / "new") as store:
        assert list(store) == []
        assert not (folder / "new").exists()
        store["a"] = {}
    assert (folder / "new" / "a.json").exists()


def test_links_that_lead_out(store: Store[Library], folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"name": "Out", "born": 1}')
    (folder / "people" / "eve.json").symlink_to(outside)
    with pytest.raises(objstore.OutsideError, match=r"eve\.json"):
        store.root.people["eve"].name
    with pytest.raises(objstore.OutsideError):
        store.root.people["eve"] = ADA
    assert outside.read_text() == '{"name": "Out", "born": 1}'


def test_a_link_within_the_store_is_followed(store: Store[Library], folder: Path) -> None:
    store.root.people["ada"] = ADA
    (folder / "people" / "eve.json").symlink_to("ada.json")
    assert store.root.people["eve"].name == "Ada"
    store.root.people["eve"].name = "Eve"
    assert (folder / "people" / "eve.json").is_symlink()
    assert store.root.people["ada"].name == "Eve"


def test_scalars_are_no_files(free: Store[Any]) -> None:
    for value in (1, "text", None):
        with pytest.raises(objstore.ValidationError, match="an object or array"):
            free["a"] = value
    assert list(free) == []


# --- what a check makes of it ---------------------------------------------------------------------


def failures(folder: Path, schema: Any = None) -> list[str]:
    with objstore.open(folder, schema) as store:
        return [str(failure) for failure in store.check()]


BROKEN = (
    "z.json: expected a file that can be read, "
    "found line 1, column 2: expected a key in double quotes, found the end of the file"
)


@pytest.fixture
def broken(folder: Path) -> Path:
    """A folder with a file that does not parse, which a check is to come to whatever is beside."""
    (folder / "z.json").write_text("{")
    return folder


class Both(Directory):
    people: Directory[Any]
    z: objstore.Dict


@pytest.mark.parametrize("schema", [None, Both])
def test_a_check_goes_on_after_a_link_out(broken: Path, schema: Any, tmp_path: Path) -> None:
    (broken / "people").rmdir()
    (broken / "people").symlink_to(tmp_path)
    kind = "directory that can be listed" if schema else "file or directory that can be read"
    told = f"people: expected a {kind}, found a link that leads out of the store"
    assert failures(broken, schema) == [told, BROKEN]


def test_a_check_goes_on_after_a_file_in_a_directorys_place(broken: Path) -> None:
    (broken / "people").rmdir()
    (broken / "people").write_text("I am a file")
    told = (
        "people: expected a directory that can be listed, found a file where a directory should be"
    )
    assert failures(broken, Both) == [told, BROKEN]


def test_a_check_goes_on_after_links_that_lead_in_a_circle(broken: Path) -> None:
    (broken / "a.json").symlink_to("a.json")
    (broken / "people" / "all").symlink_to("..")
    (broken / "people" / "same").symlink_to(".")
    assert failures(broken) == [
        "a.json: expected a file or directory that can be read, "
        "found cannot look at a.json: Too many levels of symbolic links",
        "people/all: expected a file or directory that can be read, "
        "found a link to a folder that it lies in",
        "people/same: expected a file or directory that can be read, "
        "found a link to a folder that it lies in",
        BROKEN,
    ]


@pytest.mark.parametrize("schema", [None, Both])
def test_a_check_goes_on_after_what_may_not_be_read(broken: Path, schema: Any) -> None:
    (broken / "y.json").write_text("{}")
    with objstore.open(broken) as store:
        store["people/bob"] = {}
        store.check()  # imports what it takes, which others may not
    let_others_in(broken)
    (broken / "y.json").chmod(0)
    (broken / "people").chmod(0)
    try:
        with without_privileges():
            told = failures(broken, schema)
    finally:
        (broken / "people").chmod(0o755)
    unread = "y.json: expected a file that can be read, found cannot read y.json: Permission denied"
    assert told == [
        "people: expected a directory that can be listed, "
        "found cannot list people: Permission denied",
        *([] if schema else [unread]),
        BROKEN,
    ]


@pytest.mark.parametrize(
    ("locked", "refused"), [(".objstore/log", "list"), (".objstore", "look at")]
)
def test_a_check_tells_that_the_log_may_not_be_listed(
    folder: Path, locked: str, refused: str
) -> None:
    with objstore.open(folder) as store:
        store["people/bob"] = {}
        store.check()
    let_others_in(folder)
    (folder / locked).chmod(0)
    try:
        with without_privileges():
            told = failures(folder)
    finally:
        (folder / locked).chmod(0o755)
    found = f"found cannot {refused} .objstore/log: Permission denied"
    assert f".objstore/log: expected a file that can be read, {found}" in told
    assert all("Permission denied" in one for one in told)


class Needed(Directory, extra="allow"):
    """Its keys are listed, and one has to be there."""

    pipe: objstore.Dict


@pytest.mark.parametrize("schema", [None, Both, Needed])
@pytest.mark.timeout(20)
def test_a_check_tells_what_is_no_file(broken: Path, schema: Any) -> None:
    os.mkfifo(broken / "people" / "ada.json")
    os.mkfifo(broken / "pipe.json")
    (broken / "people" / "dead.json").symlink_to("nowhere")
    odd = "found neither a file nor a directory where a file should be"
    ada = f"people/ada.json: expected a file or directory that can be read, {odd}"
    kind = "file" if schema is Needed else "file or directory"
    pipe = f"pipe.json: expected a {kind} that can be read, {odd}"
    assert failures(broken, schema) == [ada, *([] if schema is Both else [pipe]), BROKEN]


@pytest.mark.parametrize("schema", [None, Both])
def test_a_check_goes_on_after_two_files_for_one_key(broken: Path, schema: Any) -> None:
    for name in ("people/ada.json", "people/ada.yaml", "z.yaml"):
        (broken / name).write_text("{}")
    (broken / "people" / "eve.json").write_text("{")
    assert failures(broken, schema) == [
        'z.yaml: expected one file for the key "z", found z.json and z.yaml are the same key',
        'people/ada.yaml: expected one file for the key "ada", '
        "found people/ada.json and people/ada.yaml are the same key",
        BROKEN.replace("z.json", "people/eve.json"),
        BROKEN,
    ]


def test_options_that_do_not_exist(folder: Path) -> None:
    with pytest.raises(ValueError, match="durability"):
        objstore.open(folder, durability="maybe")
    with pytest.raises(ValueError, match="apply"):
        objstore.open(folder, apply="never")
    with pytest.raises(objstore.UnknownSchemeError, match=r"nowhere.*known: file, memory"):
        objstore.open("nowhere://x")
    with pytest.raises(TypeError):
        objstore.open(folder, schema=Library, colour="red")  # type: ignore[call-overload]
    for umask in ("x", True, 1.0):
        with pytest.raises(TypeError, match="umask must be a number"):
            objstore.open(folder, umask=umask)  # type: ignore[arg-type]
    for umask in (-1, 0o1000):
        with pytest.raises(ValueError, match="umask must be from 0"):
            objstore.open(folder, umask=umask)


def test_umask(folder: Path) -> None:
    with objstore.open(folder, umask=0o077) as store:
        store["a"] = {}
    assert (folder / "a.json").stat().st_mode & 0o777 == 0o600
    os.chmod(folder / "a.json", 0o640)
    with objstore.open(folder) as store:
        store["a"].x = 1
    assert (folder / "a.json").stat().st_mode & 0o777 == 0o640


def test_schemes_are_the_same_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for number, scheme in enumerate(["FILE://", "File://localhost", "FILE:", "file://"]):
        with objstore.open(f"{scheme}{tmp_path}/abs {number}") as store:
            store["a"] = {}
        assert (tmp_path / f"abs {number}/a.json").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    with objstore.open("MEMORY://any case") as one, objstore.open("memory://any case") as other:
        one["a"] = {"b": 1}
        assert list(other) == ["/a"]


def open_value_file(path: str) -> ValueFile:
    return ValueFile.open(path, 1, 1000)


@pytest.mark.parametrize(
    "open_",
    [
        *(maker.make for maker in ON_DISK),
        Depot,
        RecordKeeper,
        objstore.open,
        objstore.repair,
        open_containers,
        open_events,
        open_value_file,
    ],
)
def test_a_path_in_a_working_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_: Callable[[str], object]
) -> None:
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()
    with pytest.raises(BackingError, match="cannot find the working directory: No such") as caught:
        open_("relative")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == "relative"


@pytest.mark.parametrize("url", ["memory://", None])
def test_half_a_surrogate_pair_in_a_key_is_told_in_words_that_can_be_printed(
    tmp_path: Path, url: str | None
) -> None:
    with objstore.open(url or tmp_path) as store:
        store["d"] = {}
        d: Any = store["d"]
        free: Any = objstore.Dict()
        changes: list[Callable[[], object]] = [
            lambda: d.__setitem__("\udfff", 1),
            lambda: d.__setitem__("v", {"\udfff": 1}),
            lambda: free.__setitem__("\udfff", 1),
        ]
        for change in changes:
            with pytest.raises(objstore.ValidationError, match="without lone surrogates") as caught:
                change()
            assert "\\udfff" in str(caught.value)
            str(caught.value).encode()
        assert (d, free) == ({}, {})


def test_update_of_a_directory_tells_all_failures(tmp_path: Path) -> None:
    with objstore.open(tmp_path, Library) as store:
        with pytest.raises(objstore.ValidationError) as caught:
            store.root.people.update({"x": {**ADA, "born": "?"}, "y": {**ADA, "name": 1}, "z": 5})
        assert [failure.source for failure in caught.value.failures] == [
            "people/x.json",
            "people/y.json",
            "people/z.json",
        ]
        assert list(store.root.people) == []


def test_what_contains_itself_more_than_once_is_refused_too(free: Store[Any]) -> None:
    ada: dict[str, Any] = {}
    bob = {"friends": [ada, ada], "best": ada}
    ada.update(friends=[bob], best=bob)
    with pytest.raises(objstore.ValidationError, match="at most 200 levels") as caught:
        free["ada"] = ada
    assert len(caught.value.failures) == 1
    assert list(free) == []


def test_a_class_is_no_value(free: Store[Any]) -> None:
    free["ada"] = {"name": "Ada"}
    with pytest.raises(objstore.ValidationError, match=r"at /name: .* found a class"):
        free["ada"]["name"] = objstore.Dict
    assert free["ada"].contents == {"name": "Ada"}


class Colour(Enum):
    RED = "red"


class Size(Enum):
    SMALL = 1


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("day", datetime(2020, 1, 1), "expected a date, found a datetime"),
        ("day", "3", r'expected a date \(YYYY-MM-DD\) or null, found "3"'),
        ("moment", date(2020, 1, 1), "expected a datetime, found a date"),
        ("data", bytearray(b"ab"), "expected bytes, found a bytearray"),
        ("either", b"x", "expected a date or a UUID, found a bytes"),
        ("colour", Size.SMALL, "expected a Colour, found Size.SMALL"),
    ],
)
def test_a_value_of_another_type_is_told_with_the_one_that_is_expected(
    key: str, value: Any, words: str
) -> None:
    class Typed(Dict):
        day: date | None = None
        moment: datetime | None = None
        data: bytes = b""
        either: date | UUID | None = None
        colour: Colour | None = None

    with pytest.raises(objstore.ValidationError, match=words):
        Typed()[key] = value


def test_a_timeout_that_is_no_number(free: Store[Any]) -> None:
    with pytest.raises(TypeError, match='timeout is a number of seconds, or None, not "10"'):
        free.new_tx(1, timeout="10")  # type: ignore[arg-type]


def test_the_path_of_a_store_to_repair_may_be_bytes(free: Store[Any], folder: Path) -> None:
    free["ada"] = {"name": "Ada"}
    free.close()
    assert objstore.repair(os.fsencode(folder)) == []  # type: ignore[arg-type]


def test_a_check_tells_that_the_stores_folder_was_moved(
    free: Store[Any], folder: Path, tmp_path: Path
) -> None:
    assert free.check() == []
    free["ada"] = {"name": "Ada"}
    folder.rename(tmp_path / "elsewhere")
    assert [str(one) for one in free.check()] == [
        ".objstore: expected the commit log of this store, found nothing"
    ]
    (tmp_path / "elsewhere").rename(folder)
    assert free.check() == []
