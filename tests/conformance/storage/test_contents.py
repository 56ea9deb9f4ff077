"""Containers, keys and values. Tests are named after the lines of the rules of Storage."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from objstore.errors import (
    ContainerNotFoundError,
    DuplicateContainerError,
    DuplicateStorageError,
    FormatError,
    KeyNotFoundError,
    StorageError,
    StorageNotFoundError,
)
from objstore.storage import Backups, Scans, Storage
from tests.conformance.storages import STORAGES, StorageMaker, dump

# 1. Every operation on a missing container raises ContainerNotFoundError; adding one twice,
# DuplicateContainerError; opening nothing without create, StorageNotFoundError; creating over
# something, DuplicateStorageError.

ON_A_CONTAINER: dict[str, Callable[[Storage, str], object]] = {
    "clear_container": lambda s, c: s.clear_container(c),
    "delete_container": lambda s, c: s.delete_container(c),
    "delete_container_item": lambda s, c: s.delete_container_item(c, "a"),
    "delete_container_items": lambda s, c: s.delete_container_items(c, ["a"]),
    "delete no items": lambda s, c: s.delete_container_items(c, []),
    "get_container_item": lambda s, c: s.get_container_item(c, "a"),
    "get_container_items": lambda s, c: s.get_container_items(c),
    "get_container_items of keys": lambda s, c: s.get_container_items(c, ["a"]),
    "get_container_items of no keys": lambda s, c: s.get_container_items(c, []),
    "get_container_keys": lambda s, c: s.get_container_keys(c),
    "get_container_len": lambda s, c: s.get_container_len(c),
    "set_container_item": lambda s, c: s.set_container_item(c, "a", "A"),
    "set_container_items": lambda s, c: s.set_container_items(c, [("a", "A")]),
    "set no items": lambda s, c: s.set_container_items(c, []),
    "scan": lambda s, c: s.scan(c) if isinstance(s, Scans) else None,
}


@pytest.mark.parametrize("name", ["missing", "LETTERS", "letters ", ""])
def test_1_a_missing_container(letters: Storage, name: str) -> None:
    before = dump(letters)
    for use in ON_A_CONTAINER.values():
        with pytest.raises(ContainerNotFoundError) as caught:
            use(letters, name)
        assert isinstance(caught.value, StorageError | LookupError)
        assert not isinstance(caught.value, KeyError)
        assert str(caught.value) == f'there is no container "{name}"'
        with letters.transaction(), pytest.raises(ContainerNotFoundError):
            use(letters, name)
    assert dump(letters) == before


def test_1_adding_a_container_twice(letters: Storage) -> None:
    with pytest.raises(DuplicateContainerError, match='there is a container "letters" already'):
        letters.add_container("letters")
    with letters.transaction():
        letters.add_container("new")
        for name in ("letters", "new"):
            with pytest.raises(DuplicateContainerError):
                letters.add_container(name)
    assert list(dump(letters)) == ["letters", "new"]
    assert letters.get_container_len("letters") == 5


def test_1_opening_nothing(maker: StorageMaker, path: str, tmp_path: Path) -> None:
    for readonly in (False, True):
        with pytest.raises(StorageNotFoundError) as caught:
            maker.make(path, readonly=readonly)
        assert isinstance(caught.value, StorageError)
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.filename == path
    assert list(tmp_path.iterdir()) == []


def test_1_creating_over_something(maker: StorageMaker, path: str, letters: Storage) -> None:
    before = dump(letters)
    for _ in range(2):
        with pytest.raises(DuplicateStorageError) as caught:
            maker.make(path, create=True)
        assert isinstance(caught.value, FileExistsError)
        assert caught.value.filename == path
        letters.close()
    with maker.make(path) as opened:
        assert dump(opened) == before


def test_1_nothing_is_made_readonly(maker: StorageMaker, path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="create=True"):
        maker.make(path, create=True, readonly=True)
    assert list(tmp_path.iterdir()) == []


# 2. Keys and values are coerced with str(), except bytes values, which stay bytes.


@pytest.mark.parametrize("in_transaction", [False, True])
def test_2_values_are_coerced(letters: Storage, in_transaction: bool) -> None:
    given: dict[str, tuple[Any, str | bytes]] = {
        "text": ("text", "text"),
        "no text": ("", ""),
        "no bytes": (b"", b""),
        "bytes": (b"\0\xff bytes", b"\0\xff bytes"),
        "integer": (1, "1"),
        "float": (1.5, "1.5"),
        "None": (None, "None"),
        "bool": (True, "True"),
        "path": (Path("a/b"), "a/b"),
        "list": ([1], "[1]"),
        "bytearray": (bytearray(b"x"), b"x"),
        "memoryview": (memoryview(b"xyz")[::2], b"xz"),
    }
    with letters.transaction() if in_transaction else nullcontext():
        letters.set_container_items("letters", {key: value for key, (value, _) in given.items()})
        for key, (value, _) in given.items():
            letters.set_container_item("letters", f"one {key}", value)
    found = dict(letters.get_container_items("letters"))
    for key, (_, stored) in given.items():
        for name in (key, f"one {key}"):
            one = letters.get_container_item("letters", name)
            assert type(one) is type(found[name]) is type(stored)
            assert one == found[name] == stored
            assert list(letters.get_container_items("letters", [name])) == [(name, stored)]


def test_2_keys_are_coerced(letters: Storage) -> None:
    for given, stored in ((1, "1"), (None, "None"), (b"a", "b'a'")):
        letters.set_container_item("letters", given, "one")
        assert letters.get_container_item("letters", stored) == "one"
        assert letters.get_container_item("letters", given) == "one"
        letters.set_container_items("letters", {given: "many"})
        assert list(letters.get_container_items("letters", [given])) == [(stored, "many")]
        assert letters.delete_container_item("letters", given)
        assert stored not in letters.get_container_keys("letters")
        letters.set_container_item("letters", stored, "again")
        letters.delete_container_items("letters", [given])
        assert stored not in letters.get_container_keys("letters")


def test_2_names_are_coerced(storage: Storage) -> None:
    name: Any = 7
    storage.add_container(name)
    storage.set_container_item(name, "a", "A")
    assert dump(storage) == {"7": {"a": "A"}}
    storage.delete_container("7")


def test_2_subclasses_of_str_and_bytes_are_stored_as_such(letters: Storage) -> None:
    class Text(str):
        __slots__ = ()

    class Bytes(bytes):
        __slots__ = ()

    letters.set_container_items("letters", {Text("t"): Text("T"), "b": Bytes(b"B")})
    found = dict(letters.get_container_items("letters", ["t", "b"]))
    assert {key: (type(value), value) for key, value in found.items()} == {
        "t": (str, "T"),
        "b": (bytes, b"B"),
    }


@pytest.mark.parametrize("in_transaction", [False, True])
def test_2_text_whose_str_is_another_is_stored_as_that(
    letters: Storage, in_transaction: bool
) -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return f"<{str.__str__(self)}>"

    a, name = Text("a"), Text("letters")
    with letters.transaction() if in_transaction else nullcontext():
        letters.add_container(name)
        letters.set_container_items("letters", [("a", "plain"), (a, "other")])
        letters.set_container_item(name, a, "of both")
    for container, key, value in (
        ("letters", "a", "plain"),
        ("letters", a, "other"),
        ("<letters>", "<a>", "of both"),
        (name, a, "of both"),
    ):
        assert letters.get_container_item(container, key) == value
        assert list(letters.get_container_items(container, [key])) == [(str(key), value)]


def test_2_text_that_no_encoding_holds_is_refused(letters: Storage) -> None:
    before = dump(letters)
    writes: list[Callable[[], None]] = [
        lambda: letters.set_container_item("letters", "\ud800", "x"),
        lambda: letters.set_container_item("letters", "x", "\udfff"),
        lambda: letters.set_container_items("letters", [("x", "X"), ("y\ud800", "Y")]),
        lambda: letters.set_container_items("letters", [("x", "X"), ("y", "Y\ud800")]),
        lambda: letters.add_container("\ud800"),
    ]
    for write in writes:
        with pytest.raises(FormatError, match="expected text that UTF-8 can hold"):
            write()
    assert dump(letters) == before
    with pytest.raises(KeyNotFoundError):
        letters.get_container_item("letters", "\ud800")
    with pytest.raises(ContainerNotFoundError):
        letters.get_container_len("\ud800")
    assert list(letters.get_container_items("letters", ["\ud800"])) == [("\ud800", None)]
    letters.delete_container_items("letters", ["\ud800"])


# 3. A missing key: KeyError from get_container_item; (key, None) from
# get_container_items(keys=...).


def test_3_a_missing_key(letters: Storage) -> None:
    for key in ("z", "A", "", "a ", "letters"):
        with pytest.raises(KeyError, match="has no key") as caught:
            letters.get_container_item("letters", key)
        assert isinstance(caught.value, KeyNotFoundError)
    found = letters.get_container_items("letters", ["z", "a", "zz", "a"])
    assert list(found) == [("z", None), ("a", "A"), ("zz", None), ("a", "A")]
    assert list(letters.get_container_items("letters", [])) == []
    assert list(letters.get_container_items("letters", keys=(k for k in "bx"))) == [
        ("b", "B"),
        ("x", None),
    ]


def test_3_deleting_a_missing_key(letters: Storage) -> None:
    assert not letters.delete_container_item("letters", "z")
    letters.delete_container_items("letters", ["y", "a", "z", "a"])
    assert list(letters.get_container_keys("letters")) == ["b", "c", "d", "e"]
    assert letters.get_container_len("letters") == 4
    assert letters.delete_container_item("letters", "b")
    assert not letters.delete_container_item("letters", "b")
    assert letters.get_container_len("letters") == 3


# 4. clear_container empties, delete_container removes, clear removes all.


def test_4_clear_container_empties(letters: Storage) -> None:
    letters.add_container("other")
    letters.set_container_item("other", "a", "1")
    letters.clear_container("letters")
    assert dump(letters) == {"letters": {}, "other": {"a": "1"}}
    letters.set_container_item("letters", "a", "again")
    assert dump(letters) == {"letters": {"a": "again"}, "other": {"a": "1"}}


def test_4_delete_container_removes(letters: Storage) -> None:
    letters.add_container("other")
    letters.delete_container("letters")
    assert dump(letters) == {"other": {}}
    letters.add_container("letters")
    assert dump(letters) == {"letters": {}, "other": {}}
    assert letters.get_container_len("letters") == 0


def test_4_clear_removes_all(letters: Storage) -> None:
    letters.add_container("other")
    letters.clear()
    assert dump(letters) == {}
    letters.clear()
    letters.add_container("letters")
    assert dump(letters) == {"letters": {}}


def test_4_the_length_follows_every_write(storage: Storage) -> None:
    storage.add_container("c")
    sizes: list[int] = []

    def note() -> None:
        sizes.append(storage.get_container_len("c"))

    note()
    storage.set_container_item("c", "a", "1")
    note()
    storage.set_container_item("c", "a", "2")
    note()
    storage.set_container_items("c", [("a", "3"), ("b", "1"), ("b", "2"), ("c", "1")])
    note()
    storage.delete_container_items("c", ["b", "zz"])
    note()
    storage.delete_container_item("c", "zz")
    note()
    storage.clear_container("c")
    note()
    assert sizes == [0, 1, 1, 3, 2, 2, 0]


def test_4_of_a_key_that_comes_twice_the_last_counts(storage: Storage) -> None:
    storage.add_container("c")
    storage.set_container_items("c", [("a", "1"), ("b", "1"), ("a", "2")])
    assert dump(storage) == {"c": {"a": "2", "b": "1"}}
    storage.set_container_items("c", [("a", "3"), ("a", "4"), ("n", "1"), ("n", "2")])
    assert dump(storage) == {"c": {"a": "4", "b": "1", "n": "2"}}


# The documents of the seed are documentation of our classes.

SEED = {
    "__init__": ["path", "create", "readonly"],
    "add_container": ["c_id"],
    "begin": [],
    "clear": [],
    "clear_container": ["c_id"],
    "close": [],
    "commit": [],
    "delete_container": ["c_id"],
    "delete_container_item": ["c_id", "key"],
    "delete_container_items": ["c_id", "keys"],
    "get_container_item": ["c_id", "key"],
    "get_container_items": ["c_id", "keys"],
    "get_container_keys": ["c_id"],
    "get_container_len": ["c_id"],
    "rollback": [],
    "set_container_item": ["c_id", "key", "value"],
    "set_container_items": ["c_id", "items"],
}


@pytest.mark.parametrize("cls", [Storage, *[maker.make for maker in STORAGES]])
def test_the_names_of_the_seed(cls: Any) -> None:
    for method, names in SEED.items():
        given = list(inspect.signature(getattr(cls, method)).parameters.values())
        plain = [p.name for p in given if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert plain == ["self", *names], method
    defaults = inspect.signature(cls.__init__).parameters
    assert (defaults["create"].default, defaults["readonly"].default) == (False, False)
    assert inspect.signature(cls.get_container_items).parameters["keys"].default is None
    assert issubclass(cls, Storage)


@pytest.mark.parametrize("name", [b"storage", b"\xff?#%41 \xc3"])
def test_a_path_may_be_any_bytes(maker: StorageMaker, tmp_path: Path, name: bytes) -> None:
    made: Any = maker.make
    path = os.fsencode(tmp_path) + b"/" + name
    with made(path, True) as storage:
        assert storage.path == os.fsdecode(path)
        storage.add_container("c")
        storage.set_container_item("c", "a", "A")
        if isinstance(storage, Backups):
            path += b" 2"
            storage.backup(os.fsdecode(path))
            with pytest.raises(DuplicateStorageError):
                storage.backup(os.fsdecode(path))
    for one in (path, os.fsdecode(path)):
        with made(one) as storage:
            assert dump(storage) == {"c": {"a": "A"}}


def test_a_path_may_be_a_path(maker: StorageMaker, tmp_path: Path) -> None:
    made: Any = maker.make
    with made(tmp_path / "storage", True) as storage:
        storage.add_container("c")
        assert storage.path == os.fspath(tmp_path / "storage")
    with made(tmp_path / "storage", False, True) as storage:
        assert list(dump(storage)) == ["c"]
