"""Value files: the lines of "Value files (seed 003)", and what the seed's document names."""

from __future__ import annotations

import inspect
import os
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import objstore
from objstore import (
    BackingError,
    CapacityExceeded,
    ClosedError,
    CorruptionError,
    KeyNotFoundError,
    Value,
    ValueFile,
    ValueFileInfo,
    ValueLogStorage,
)
from objstore.backings.filesystem import names
from objstore.backings.filesystem.values import valuefile
from objstore.backings.filesystem.values.valuefile import value_size_bits
from tests.formats.pages import examples

ID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")


def test_the_seeds_document_reads_as_documentation_of_these_classes() -> None:
    """Every type, field and function that it names is here under that name."""
    assert Value._fields == ("offset", "deleted", "data", "file_id")
    assert ValueFileInfo._fields == ("file_id", "size", "max_size", "entries", "deleted")
    assert issubclass(CapacityExceeded, objstore.StorageError)
    assert value_size_bits == 32
    parameters: dict[str, list[str]] = {
        "create": ["base_path", "max_size"],
        "open": ["path", "file_id", "max_size"],
        "read": ["self", "offset"],
        "write": ["self", "value"],
        "write_value": ["self", "value"],
        "delete": ["self", "value"],
        "close": ["self"],
        "get_file_info": ["self"],
    }
    for name, expected in parameters.items():
        method: Callable[..., Any] = getattr(ValueFile, name)
        assert list(inspect.signature(method).parameters) == expected
        assert method.__doc__


def test_a_value_file_has_the_seeds_fields(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 100) as vfile:
        assert isinstance(vfile.id, int)
        assert (vfile.size, vfile.max_size) == (0, 100)
        assert vfile.handler.path == vfile.file_path


def test_1_bytes_on_disk_and_path(tmp_path: Path) -> None:
    with ValueFile.open(tmp_path, ID, 100) as vfile:
        vfile.delete(vfile.write(b"hello"))
        vfile.write(b"")
    path = tmp_path / "f81d4fae/7dec/11d0/a765/00a0c91e6bf6"
    assert vfile.file_path == str(path)
    assert path.read_bytes() == b"\0\0\0\5\1hello" + b"\0\0\0\0\0"
    *_, dump = examples("value-file.md")
    digits = dump.split("  ", 1)[1].split("     ")[0]
    assert bytes.fromhex(digits) == path.read_bytes()


def test_2_create_makes_a_new_uuid(tmp_path: Path) -> None:
    ids: set[int] = set()
    for _ in range(5):
        with ValueFile.create(tmp_path, 100) as vfile:
            ids.add(vfile.id)
            assert vfile.file_path == names.value_file(str(tmp_path), UUID(int=vfile.id))
            assert os.path.exists(vfile.file_path)
    assert len(ids) == 5


def test_2_open_makes_the_file_when_missing_and_keeps_the_id(tmp_path: Path) -> None:
    for size in (0, 8):
        with ValueFile.open(tmp_path, ID.int, 100) as vfile:
            assert vfile.id == ID.int
            assert vfile.size == size
            vfile.write(b"abc")


def test_2_sizes_come_back_on_reopening(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        values = [vfile.write(bytes(n)) for n in range(10)]
        vfile.delete(values[3])
        info = vfile.get_file_info()
    with ValueFile.open(tmp_path, vfile.id, 1000) as again:
        assert again.get_file_info() == info == ValueFileInfo(vfile.id, 95, 1000, 10, 1)
        assert again.write(b"more").offset == 95


def test_3_write_appends_and_read_gives_it_back(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        first, second = vfile.write(b"first"), vfile.write(b"second")
        assert (first.offset, second.offset) == (0, 10)
        assert vfile.read(0) == first == Value(0, False, b"first", vfile.id)
        assert vfile.read(10) == second
        assert list(vfile.values()) == [first._replace(data=None), second._replace(data=None)]


def test_3_deleted_ones_are_marked_in_place_and_twice_is_once(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        value = vfile.write(b"value")
        for _ in range(2):
            assert vfile.delete(value) == value._replace(deleted=True)
            assert vfile.get_file_info() == ValueFileInfo(vfile.id, 10, 1000, 1, 1)
        assert vfile.read(0) == Value(0, True, b"value", vfile.id)


def test_3_write_value_keeps_the_mark(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as one, ValueFile.create(tmp_path, 1000) as other:
        one.write(b"before")
        deleted = one.delete(one.write(b"value"))
        assert other.write_value(deleted) == Value(0, True, b"value", other.id)
        assert other.get_file_info().deleted == 1
        with pytest.raises(ValueError, match="this one has None"):
            other.write_value(deleted._replace(data=None))
        assert other.size == 10


def test_3_what_is_no_bool_is_a_mark_all_the_same(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        mark: Any = 2
        written = vfile.write_value(Value(0, mark, b"value", vfile.id))
        assert written.deleted is True
    with ValueFile.open(tmp_path, vfile.id, 1000) as vfile:
        assert vfile.read(0) == written
        assert vfile.get_file_info().deleted == 1


def test_3_a_value_that_is_deleted_while_others_are_looked_at(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        written = [vfile.write(b"value") for _ in range(3)]
        found: list[bool] = []
        for value in vfile.values():
            found.append(value.deleted)
            vfile.delete(written[1])
        assert found == [False, True, False]


def test_4_over_max_size_nothing_is_written(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 20) as vfile:
        vfile.write(b"12345")
        for size in (6, 100):
            with pytest.raises(CapacityExceeded, match=f"a value of {size} bytes does not fit"):
                vfile.write(bytes(size))
        assert os.path.getsize(vfile.file_path) == 10
        assert vfile.get_file_info() == ValueFileInfo(vfile.id, 10, 20, 1, 0)
        vfile.write(b"67890")
        assert vfile.get_file_info() == ValueFileInfo(vfile.id, 20, 20, 2, 0)


def test_4_a_value_longer_than_its_size_can_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valuefile, "MAX_VALUE", 10)
    with ValueFile.create(tmp_path, 1000) as vfile:
        vfile.write(bytes(10))
        with pytest.raises(CapacityExceeded):
            vfile.write(bytes(11))


def test_5_a_torn_append_is_dropped_and_every_complete_value_found(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        kept = [vfile.write(b"x" * n) for n in range(4)]
        vfile.write(b"the last one")
    path = Path(vfile.file_path)
    whole = path.read_bytes()
    for cut in range(vfile.size - 17, len(whole)):
        path.write_bytes(whole[:cut])
        with ValueFile.open(tmp_path, vfile.id, 1000) as again:
            assert [again.read(value.offset) for value in again.values()] == kept
            assert again.write(b"next").offset == again.size - 9 == len(whole) - 17
        with ValueFile.open(tmp_path, vfile.id, 1000) as again:
            assert again.get_file_info().entries == 5


def test_6_the_engine_updates_by_delete_and_append(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": "2"})
        [before] = storage.get_file_infos()
        storage.set_container_item("c", "a", "3")
        [after] = storage.get_file_infos()
        assert (before.entries, before.deleted) == (2, 0)
        assert (after.entries, after.deleted) == (3, 1)
        assert after.size > before.size
        storage.delete_container_item("c", "b")
        [after] = storage.get_file_infos()
        assert (after.entries, after.deleted) == (3, 2)


def test_6_the_engines_files_are_value_files(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "text", "b": b"bytes"})
        [info] = storage.get_file_infos()
    with ValueFile.open(tmp_path / "s/values", info.file_id, 1 << 30) as vfile:
        stored = [vfile.read(value.offset) for value in vfile.values()]
        data = [(value.data or b"")[:-4] for value in stored if not value.deleted]
        assert b"text" in data
        assert b"bytes" in data


def test_6_files_roll_over_and_compaction_gives_space_back(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "s", create=True, capacity=20_000) as storage:
        storage.add_container("c")
        items = {f"{n}": f"{n}" * 100 for n in range(100)}
        for _ in range(5):
            for key, value in items.items():
                storage.set_container_item("c", key, value)
        infos = storage.get_file_infos()
        assert len(infos) > 3
        assert all(info.size <= info.max_size == 20_000 for info in infos)
        before = size_of(tmp_path / "s")
        storage.compact()
        assert dict(storage.get_container_items("c")) == items
        assert size_of(tmp_path / "s") < before / 3
    with ValueLogStorage(tmp_path / "s") as storage:
        assert dict(storage.get_container_items("c")) == items


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_is_no_value_is_refused(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        vfile.write(b"\xff" * 20)
        for offset in (-1, 25, 1000):
            with pytest.raises(KeyNotFoundError, match="no value begins at"):
                vfile.read(offset)
        with pytest.raises(CorruptionError, match="the mark of deletion is 255"):
            vfile.read(7)
    path = Path(vfile.file_path)
    path.write_bytes(b"\0\0\0\1\2x" + path.read_bytes())
    with pytest.raises(CorruptionError) as caught:
        ValueFile.open(tmp_path, vfile.id, 1000)
    assert caught.value.offset == 0
    assert caught.value.file == str(path.relative_to(tmp_path))


def test_a_closed_file_is_closed(tmp_path: Path) -> None:
    vfile = ValueFile.create(tmp_path, 1000)
    value = vfile.write(b"value")
    vfile.close()
    vfile.close()
    for call in (
        lambda: vfile.read(0),
        lambda: vfile.write(b""),
        lambda: vfile.delete(value),
        lambda: list(vfile.values()),
        vfile.sync,
    ):
        with pytest.raises(ClosedError):
            call()


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "f81d4fae").touch()
    with pytest.raises(objstore.LayoutError, match="f81d4fae is a file"):
        ValueFile.open(tmp_path, ID, 1000)
    (tmp_path / "f81d4fae").unlink()
    folder = tmp_path / "f81d4fae/7dec/11d0/a765/00a0c91e6bf6"
    folder.mkdir(parents=True)
    with pytest.raises(BackingError):
        ValueFile.open(tmp_path, ID, 1000)


@given(st.lists(st.tuples(st.binary(max_size=50), st.booleans(), st.booleans()), max_size=20))
@settings(deadline=None, max_examples=40)
def test_a_value_file_against_a_list(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, bool, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("values")
    vfile = ValueFile.create(folder, 500)
    known: list[Value] = []
    for data, deletes, reopens in steps:
        if sum(5 + len(value.data or b"") for value in known) + 5 + len(data) > 500:
            with pytest.raises(CapacityExceeded):
                vfile.write(data)
        else:
            known.append(vfile.write(data))
        if deletes and known:
            known[len(data) % len(known)] = vfile.delete(known[len(data) % len(known)])
        if reopens:
            vfile.close()
            vfile = ValueFile.open(folder, vfile.id, 500)
        assert [vfile.read(value.offset) for value in vfile.values()] == known
        assert vfile.get_file_info().deleted == sum(value.deleted for value in known)
    vfile.close()


def test_a_value_of_another_file_is_not_deleted(tmp_path: Path) -> None:
    with ValueFile.create(tmp_path, 1000) as one, ValueFile.create(tmp_path, 1000) as other:
        one.write(b"a")
        value = other.write(b"b")
        with pytest.raises(ValueError, match=f"of the file {UUID(int=other.id)}, not of this one"):
            one.delete(value)
        assert [value.deleted for value in one.values()] == [False]


def test_the_bytes_of_a_buffer_count_and_not_its_items(tmp_path: Path) -> None:
    items: Any = memoryview(array("i", range(5)))
    with ValueFile.create(tmp_path, 1000) as vfile:
        written = vfile.write(items)
        vfile.write(b"next")
        assert vfile.read(written.offset).data == items.tobytes()
        assert len(list(vfile.values())) == 2


@pytest.mark.parametrize("wrong", [5, True, [1, 2], range(3), "text", 1.5], ids=repr)
def test_a_value_that_is_no_buffer_is_refused(tmp_path: Path, wrong: Any) -> None:
    with ValueFile.create(tmp_path, 1000) as vfile:
        value = Value(0, False, wrong, vfile.id)
        calls: list[Callable[[], object]] = [
            lambda: vfile.write(wrong),
            lambda: vfile.write_value(value),
        ]
        for call in calls:
            with pytest.raises(TypeError, match="a value must be bytes, not "):
                call()
        assert (vfile.size, list(vfile.values())) == (0, [])


@pytest.mark.parametrize("wrong", [None, "x", 1.5, True, -1], ids=repr)
def test_a_max_size_that_is_none_is_refused_before_anything_is_made(
    tmp_path: Path, wrong: Any
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ValueFile.create(tmp_path, wrong),
        lambda: ValueFile.open(tmp_path, ID, wrong),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match="max_size must be "):
            call()
    assert list(tmp_path.iterdir()) == []
