"""The value log: its format, who sees what while it is changed and compacted, copies of it."""

from __future__ import annotations

import json
import os
import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import given, settings

from objstore import schemas
from objstore.backings.filesystem import names
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.values import vlogbatch, vlogcompact, vloglist
from objstore.backings.filesystem.values.vlogbatch import (
    ADD,
    BATCH,
    DELETE,
    DROP,
    FRAME_SIZE,
    PUT,
    START,
    Codec,
    Operation,
)
from objstore.backings.filesystem.values.vlogfile import LogValues
from objstore.backings.filesystem.values.vlogindex import Index
from objstore.backings.filesystem.values.vlogview import View
from objstore.backings.valuelog import ValueLogStorage
from objstore.errors import (
    BackingError,
    BusyError,
    CapacityExceeded,
    DuplicateStorageError,
    FormatError,
    KeyNotFoundError,
)
from tests.faults.crash_states import Quick
from tests.faults.value_logs import OverFiles, contents, value_files
from tests.formats.pages import examples

STORE = UUID("7c1f4f6e-51a8-4d0b-9a38-2f0f6f5a1e90")
FILE = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")


def new(folder: Path, **options: Any) -> OverFiles:
    storage = OverFiles(Quick(str(folder)), create=True, **options)
    storage.add_container("c")
    return storage


# The format


def test_the_worked_example() -> None:
    [dump] = [block for block in examples("value-log.md") if block.startswith("0000  ")]
    rows = [line.split("  ") for line in dump.splitlines()]
    data = b"".join(bytes.fromhex(row[1] + row[2]) for row in rows)
    codec = Codec(STORE, FILE)
    start, first = codec.encode(START, (0, 0), 0, 0)
    said = vlogbatch.encode_operation(Operation(ADD, 1, ["cache"]))
    add, second = codec.encode(BATCH, (len(start), first), 1, len(start), said)
    place = (len(start) + len(add), second)
    said = vlogbatch.encode_operation(Operation(PUT, 1, ["k"], [5], b"\0", (0,)))
    values = vlogbatch.encode_values([b"hello"], [5])
    assert values == vlogbatch.encode_value(b"hello")
    put, _ = codec.encode(BATCH, place, 2, place[0], said, values)
    assert data == start + add + put + values + vlogbatch.padding(0)


def test_the_list_of_files_fits_its_schema(tmp_path: Path) -> None:
    with new(tmp_path, capacity=500) as storage:
        for n in range(5):
            storage.set_container_item("c", f"{n}", "x" * 300)
    schema = schemas.load("valuelog")
    jsonschema.Draft202012Validator.check_schema(schema)
    said = json.loads(Path(names.value_list(str(tmp_path))).read_bytes())
    validator: Any = jsonschema.Draft202012Validator(schema)
    validator.validate(said)
    assert len(said["files"]) == 5
    assert [one["size"] is None for one in said["files"]] == [False] * 4 + [True]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
numbers = st.integers(0, 2**40)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    keys = draw(st.lists(texts, min_size=1, max_size=6, unique=True))
    count = len(keys)
    serial = draw(st.integers(0, 2**32 - 1))
    op = draw(st.sampled_from([ADD, DROP, PUT, DELETE]))
    if op == ADD:
        return Operation(op, serial, keys[:1])
    if op == DROP:
        return Operation(op, serial, [])
    replaced = draw(st.lists(numbers, min_size=count, max_size=count))
    if op == DELETE:
        return Operation(op, serial, keys, replaced=replaced)
    lengths = draw(st.lists(numbers, min_size=count, max_size=count))
    kinds = bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    return Operation(op, serial, keys, lengths, kinds, replaced)


def spread(operation: Operation) -> list[object]:
    columns = (operation.lengths, operation.kinds, operation.replaced)
    count = len(operation.keys)
    return [*operation[:3], *(list(vlogbatch.each(c, count))[:count] if c else [] for c in columns)]


@given(st.lists(operations(), max_size=4))
@settings(deadline=None)
def test_operations_come_back(given_ones: list[Operation]) -> None:
    said = b"".join(map(vlogbatch.encode_operation, given_ones))
    assert list(map(spread, vlogbatch.decode_operations(said))) == list(map(spread, given_ones))


@given(
    lengths=st.lists(st.integers(0, 300) | st.integers(4080, 4100), min_size=1, max_size=8),
    slot=st.integers(0, 2**20),
    offset=st.integers(0, 2**35),
)
@settings(deadline=None)
def test_locations_are_where_the_values_are(lengths: list[int], slot: int, offset: int) -> None:
    keys = [str(n) for n in range(len(lengths))]
    kinds = bytes(length % 2 for length in lengths)
    values = [bytes(length) for length in lengths]
    data = vlogbatch.encode_values(values, lengths)
    found = list(vlogbatch.locations(Operation(PUT, 1, keys, lengths, kinds), slot, offset))
    for location, value in zip(found, values, strict=False):
        assert location >> vlogbatch.SLOT_SHIFT == slot
        assert location & 1 == len(value) % 2
        at = (location >> vlogbatch.OFFSET_SHIFT & vlogbatch.OFFSET_MASK) - offset
        entry = vlogbatch.encode_value(value)
        assert data[at : at + len(entry)] == entry
        size = location >> 1 & vlogbatch.SIZE_MASK
        assert size == (len(entry) if len(entry) < 4096 else 0)


def test_a_frame_is_good_in_one_place_only() -> None:
    frame, _ = Codec(STORE, FILE).encode(BATCH, (100, 5), 1, 0, b"operations")
    assert Codec(STORE, FILE).header(frame, 100) is not None
    assert Codec(STORE, FILE).header(frame, 101) is None
    assert Codec(STORE, STORE).header(frame, 100) is None
    assert Codec(FILE, FILE).header(frame, 100) is None
    for bit in range(8 * FRAME_SIZE):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        assert Codec(STORE, FILE).header(bytes(flipped), 100) is None, bit


def test_what_a_user_stores_is_never_taken_for_a_frame(tmp_path: Path) -> None:
    """Not even the storage's own files."""
    with new(tmp_path) as storage:
        storage.set_container_item("c", "a", "1")
        for n in range(3):
            data = value_files(tmp_path)[0].read_bytes()
            storage.set_container_item("c", f"copy {n}", data)
        known = contents(storage)
    with OverFiles(Quick(str(tmp_path))) as storage:
        assert contents(storage) == known
        assert storage.check() == []


# Who sees what


def test_a_moment_goes_when_nobody_holds_it(tmp_path: Path) -> None:
    with new(tmp_path) as storage:
        index: Index = storage._view.index
        items = storage.get_container_items("c")
        storage.set_container_item("c", "a", "1")
        moment = index.held()
        assert moment is not None
        gone = weakref.ref(moment)
        del moment
        assert gone() is not None
        del items
        assert gone() is None
        assert index.held() is None


def test_moments_hold_no_more_than_those_who_look(tmp_path: Path) -> None:
    with new(tmp_path) as storage:
        storage.set_container_items("c", {f"{n}": "x" for n in range(10)})
        first = storage._now()[0]
        for n in range(100):
            storage.set_container_item("c", f"{n % 10}", str(n))
        assert first.next is None
        assert [len(keys) for keys in first.before.values()] == [10]


def test_iterators_stay_right_while_files_are_merged(tmp_path: Path) -> None:
    with new(tmp_path, capacity=2000) as storage, OverFiles(Quick(str(tmp_path))) as other:
        known = {f"{n:03}": str(n) * 20 for n in range(200)}
        for key, value in known.items():
            storage.set_container_item("c", key, value)
        iterators = [one.get_container_items("c") for one in (storage, other, storage)]
        half = [[next(one) for _ in range(100)] for one in iterators]
        storage.delete_container_items("c", list(known)[::2])
        storage.compact()
        other.set_container_item("c", "new", "value")
        storage.delete_container("c")
        storage.compact()
        for begun, rest in zip(half, iterators, strict=True):
            assert dict([*begun, *rest]) == known
        assert list(other.get_containers()) == []


def test_what_the_index_leads_to_is_mapped_before_anybody_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is written between a file's opening and its reading."""
    with new(tmp_path) as storage:
        load, ring = View._load_newest, View.ring_for_more
        mapped: list[bool] = []

        def load_later(view: View, index: Index) -> None:
            storage.set_container_item("c", "late", "x" * 200_000)
            load(view, index)

        def look_and_ring(view: View) -> None:
            mapped.append(len(view.tail.file.map) >= view.tail.end)
            ring(view)

        monkeypatch.setattr(View, "_load_newest", load_later)
        monkeypatch.setattr(View, "ring_for_more", look_and_ring)
        with OverFiles(Quick(str(tmp_path)), readonly=True) as other:
            assert other.get_container_item("c", "late") == "x" * 200_000
        assert mapped
        assert all(mapped)


def test_readers_go_on_while_files_are_merged(tmp_path: Path) -> None:
    with new(tmp_path, capacity=5000) as storage, OverFiles(Quick(str(tmp_path))) as other:
        storage.set_container_items("c", {f"{n}": "0" for n in range(100)})
        stop = threading.Event()
        failed: list[object] = []

        def read(one: OverFiles) -> None:
            last = -1
            while not stop.is_set():
                with one.transaction(write=False):
                    found = set(dict(one.get_container_items("c")).values())
                single = int(str(one.get_container_item("c", "7")))
                if len(found) != 1 or single < last:
                    failed.append((found, single, last))
                last = single

        threads = [threading.Thread(target=read, args=(one,)) for one in (storage, other)]
        for thread in threads:
            thread.start()
        for n in range(1, 60):
            storage.set_container_items("c", dict.fromkeys(map(str, range(100)), str(n)))
            if n % 7 == 0:
                storage.compact(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failed


def test_the_first_keys_are_found_before_all_are_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {f"{n:05}": str(n) * (n % 5) for n in range(3000)} | {"é": "1", "a": "2", "": "3"}
    with new(tmp_path) as storage:
        storage.set_container_items("c", known)
        storage.set_container_items("c", {"00007": "new", "later": "4"})
        storage.delete_container_items("c", ["00008", "00009"])
    known |= {"00007": "new", "later": "4"}
    with OverFiles(Quick(str(tmp_path)), readonly=True) as storage:
        table = storage._view.index.names["c"]
        for key in ("00000", "00006", "00007", "02999", "é", "a", "", "later"):
            assert storage.get_container_item("c", key) == known[key]
            assert table.cold is not None
        for key in ("\ud800", "00008", "0000", "0", "missing", "00001\x0000002", "\x00"):
            with pytest.raises(KeyError):
                storage.get_container_item("c", key)
        assert table.cold is None
    storage = OverFiles(Quick(str(tmp_path)), readonly=True)
    with storage, pytest.raises(KeyError, match=r"no key \"\('a',\)\""):
        storage.get_container_item("c", ("a",))
    with OverFiles(Quick(str(tmp_path)), readonly=True) as storage:
        for n in range(10, 100):
            assert storage.get_container_item("c", f"{n:05}") == known[f"{n:05}"]
        assert storage._view.index.names["c"].cold is None
        del known["00008"], known["00009"]
        assert contents(storage) == {"c": known}


def test_keys_are_gone_whose_deletion_is_all_that_a_table_has(tmp_path: Path) -> None:
    """As many as are left cold, where they are put."""
    with new(tmp_path) as storage:
        storage.add_container("d")
        storage.set_container_items("c", {f"{n}": "x" for n in range(1200)})
        with storage._writer.writing():
            storage._writer.begin_next()
        storage.set_container_item("d", "k", "v")
        storage.delete_container_items("c", [f"{n}" for n in range(1200)])
        with storage._writer.writing():
            storage._writer.begin_next()
        storage.compact(0.5)
        assert [info.entries for info in storage.get_file_infos()] == [1, 0]
    with OverFiles(Quick(str(tmp_path))) as storage:
        with pytest.raises(KeyNotFoundError):
            storage.get_container_item("c", "7")
        assert contents(storage) == {"c": {}, "d": {"k": "v"}}


# Compaction


def only(chosen: int) -> Callable[..., bool]:
    """Has that file rewritten and no other."""

    def is_wasteful(file: LogValues, *_: object) -> bool:
        return file.id.int == chosen

    return is_wasteful


def test_a_merge_of_some_files_never_brings_a_key_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put, put again, deleted: each in a file of its own; merged in every order."""
    orders = [(1, 2), (2, 1), (2, 2), (0, 1), (1, 0), (3, 1), (1, 1, 1), (2, 0, 0), (2, 1, 0)]
    for number, order in enumerate(orders):
        folder = tmp_path / str(number)
        with new(folder) as storage:
            for value in ("first", "second", None, "other"):
                if value is None:
                    storage.delete_container_item("c", "k")
                else:
                    storage.set_container_item("c", "x" if value == "other" else "k", value)
                with storage._writer.writing():
                    storage._writer.begin_next()
            for at in order:
                chosen = storage.get_file_infos()[
                    min(at, len(storage.get_file_infos()) - 2)
                ].file_id
                monkeypatch.setattr(vlogcompact, "_is_wasteful", only(chosen))
                storage.compact()
                monkeypatch.undo()
                with OverFiles(Quick(str(folder)), readonly=True) as other:
                    assert contents(other) == {"c": {"x": "other"}}, order
            storage.compact()
            assert contents(storage) == {"c": {"x": "other"}}
        with OverFiles(Quick(str(folder))) as storage:
            assert contents(storage) == {"c": {"x": "other"}}
            storage.compact()
            assert sum(info.entries for info in storage.get_file_infos()) == 1


def test_what_one_compaction_made_in_several_files_never_brings_a_key_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have one number, and those that are not rewritten may hold the values."""
    monkeypatch.setattr(vlogcompact, "_LONGEST", 1500)
    with new(tmp_path, capacity=5000) as storage:
        known = {f"{n:02}": "x" * 300 for n in range(60)}
        storage.set_container_items("c", known)
        with storage._writer.writing():
            storage._writer.begin_next()
        storage.compact()
        numbers = [one.number for one in storage._view.list.files]
        assert numbers.count(numbers[0]) > 2
        first = storage.get_file_infos()[0].entries
        gone = [*list(known)[:3], *list(known)[first:]]
        storage.delete_container_items("c", gone)
        storage.compact(0.5)
        known = {key: value for key, value in known.items() if key not in gone}
        assert len(known) == first - 3 > 0
        assert contents(storage) == {"c": known}
    with OverFiles(Quick(str(tmp_path))) as storage:
        assert contents(storage) == {"c": known}


def test_a_number_of_a_container_is_never_given_again(tmp_path: Path) -> None:
    with new(tmp_path) as storage:
        storage.add_container("d")
        storage.set_container_item("d", "k", "old")
        storage.delete_container("d")
        with storage._writer.writing():
            storage._writer.begin_next()
    with OverFiles(Quick(str(tmp_path))) as storage:
        storage.add_container("e")
    with OverFiles(Quick(str(tmp_path))) as storage:
        assert contents(storage) == {"c": {}, "e": {}}


def test_a_compaction_and_a_close_wait_as_writers_do(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "v", create=True) as writing:
        writing.add_container("c")
        waiting = ValueLogStorage(tmp_path / "v", wait=0.05)
        waiting.set_container_item("c", "a", "1")
        with writing.transaction():
            for call in (waiting.compact, waiting.close):
                with pytest.raises(BusyError, match=r"longer than this writer waits \(0.05 s\)"):
                    call()


def test_one_compaction_at_a_time(tmp_path: Path) -> None:
    with new(tmp_path) as storage, OverFiles(Quick(str(tmp_path))) as other:
        storage.set_container_item("c", "k", "v")
        refused: list[bool] = []
        announce = storage._writer.announce

        def meanwhile() -> None:
            with pytest.raises(BusyError, match="another compaction of this storage"):
                other.compact()
            refused.append(True)
            announce()

        storage._writer.announce = meanwhile  # type: ignore[method-assign]
        storage.compact()
        assert refused == [True]
        del storage._writer.announce
        other.compact()
        assert contents(other) == contents(storage) == {"c": {"k": "v"}}


def test_what_is_not_wasted_is_not_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(tmp_path, capacity=3000) as storage:
        for n in range(30):
            storage.set_container_item("c", f"{n}", "x" * 200)
        storage.delete_container_items("c", [str(n) for n in range(10)])
        before = [info.file_id for info in storage.get_file_infos()]
        live, counted = Index.live, list[Index]()

        def count(index: Index) -> Counter[int]:
            counted.append(index)
            return live(index)

        monkeypatch.setattr(Index, "live", count)
        storage.compact(0.5)
        assert len(counted) == 1, "all keys are counted once, and not for each file"
        after = [info.file_id for info in storage.get_file_infos()]
        assert before[0] not in after
        assert set(before[2:]) <= set(after)
        assert storage.get_container_len("c") == 20


@pytest.mark.parametrize("read", ["as planned", "by one of the merges"])
def test_nothing_is_lost_where_all_is_read_anew_amid_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """As where another thread was interrupted amid a write."""
    name = "_merge" if read == "as planned" else "_replaced"
    real = getattr(vlogcompact, name)

    def anew(*given: Any) -> Any:
        storage._view.lose()
        storage._view.refresh()
        return real(*given)

    with new(tmp_path) as storage:
        for letter in "abcd":
            storage.set_container_items("c", {f"{letter}{n}": letter for n in range(9)})
            with storage._writer.writing():
                storage._writer.begin_next()
        for letter in "ac":
            storage.delete_container_items("c", [f"{letter}{n}" for n in range(5)])
        known = contents(storage)
        monkeypatch.setattr(vlogcompact, name, anew)
        storage.compact(0.5)
        assert contents(storage) == known
        assert [info.entries for info in storage.get_file_infos()][:4] == [4, 9, 4, 9]
    with OverFiles(Quick(str(tmp_path))) as storage:
        assert contents(storage) == known


# Sizes, copies, options


def test_a_batch_longer_than_the_capacity_has_a_file_of_its_own(tmp_path: Path) -> None:
    with new(tmp_path, capacity=1000) as storage:
        storage.set_container_item("c", "small", "x")
        storage.set_container_items("c", {"long": "x" * 5000, "too": "y"})
        storage.set_container_item("c", "small", "y")
        sizes = [info.size for info in storage.get_file_infos()]
        assert len(sizes) == 3
        assert sizes[1] > 5000
    with OverFiles(Quick(str(tmp_path))) as storage:
        assert contents(storage)["c"] == {"small": "y", "long": "x" * 5000, "too": "y"}


def test_a_batch_that_no_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from objstore.backings.filesystem.values import vlogwriter

    with new(tmp_path) as storage:
        monkeypatch.setattr(vlogwriter, "OFFSET_BITS", 12)
        with pytest.raises(CapacityExceeded):
            storage.set_container_item("c", "k", bytes(5000))
        monkeypatch.undo()
        assert contents(storage) == {"c": {}}


def test_a_backup_is_of_one_moment_and_opens(tmp_path: Path) -> None:
    with new(tmp_path / "s", capacity=2000) as storage:
        storage.set_container_items("c", {f"{n}": "x" * n for n in range(100)})
        known = contents(storage)
        told: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            storage.set_container_item("c", "later", str(done))

        storage.backup(tmp_path / "copy", progress)
        assert told[-1][0] == told[-1][1] > 0
        with pytest.raises(DuplicateStorageError):
            storage.backup(tmp_path / "copy")

        def fail(done: int, total: int) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            storage.backup(tmp_path / "failed", fail)
    assert sorted(os.listdir(tmp_path)) == ["copy", "s"]
    with ValueLogStorage(tmp_path / "copy") as copy:
        assert contents(copy) == known
        assert copy.check() == []
        copy.set_container_item("c", "own", "1")


def test_what_is_no_capacity_or_durability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="capacity must be"):
        ValueLogStorage(tmp_path / "s", create=True, capacity=0)
    with pytest.raises(ValueError, match="durability must be"):
        ValueLogStorage(tmp_path / "s", create=True, durability="none")
    assert os.listdir(tmp_path) == []


def test_a_format_to_come_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(tmp_path).close()
    files = Files(str(tmp_path))
    found = vloglist.read(files)
    assert found is not None
    monkeypatch.setattr(vloglist, "FORMAT", 2)
    vloglist.write(files, found)
    with pytest.raises(FormatError, match="format 2 is not known"):
        ValueLogStorage(tmp_path)


def test_a_folder_with_other_things_in_it_gets_no_storage(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(DuplicateStorageError):
        ValueLogStorage(tmp_path, create=True)
    assert os.listdir(tmp_path) == ["mine.txt"]
    with pytest.raises(DuplicateStorageError):
        ValueLogStorage(tmp_path / "mine.txt", create=True)
    (tmp_path / "empty").mkdir()
    ValueLogStorage(tmp_path / "empty", create=True).close()


def test_files_get_the_umask(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "s", create=True, umask=0o077) as storage:
        storage.add_container("c")
        storage.compact()
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "s").rglob("*")}
    assert modes == {0}


def test_the_page_says_how_the_files_are_called() -> None:
    layout = examples("value-log.md")[0]
    said = re.findall(r"^(\S+)", layout, re.MULTILINE)
    assert said == [
        names.value_list("").strip("/"),
        names.values_lock("").strip("/"),
        names.compaction_lock("").strip("/"),
        names.value_file(names.values(""), FILE).strip("/"),
        names.hint("", FILE).strip("/"),
    ]


def test_a_compaction_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(tmp_path) as storage:
        storage.set_container_items("c", {"k": "v"})

        def fail(*_: object) -> None:
            raise BackingError(5, "Input/output error", "somewhere")

        monkeypatch.setattr(storage._writer, "replace_list", fail)
        with pytest.raises(BackingError):
            storage.compact()
        monkeypatch.undo()
        there = {path for path in (tmp_path / "values").rglob("*") if path.is_file()}
        assert there == set(value_files(tmp_path))
        assert contents(storage) == {"c": {"k": "v"}}


def test_a_compaction_sees_what_another_one_made_that_told_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(tmp_path, capacity=6000) as storage, OverFiles(Quick(str(tmp_path))) as other:
        storage.set_container_items("c", {f"{n}": "x" * 500 for n in range(8)})
        for n in range(20):
            storage.set_container_item("c", f"k{n}", "x" * 500)
        storage.delete_container_items("c", [f"{n}" for n in range(8)])
        known = contents(other)

        def fail() -> None:
            raise BackingError(28, "No space left on device", "somewhere")

        monkeypatch.setattr(storage._writer, "announce", fail)
        with pytest.raises(BackingError):
            storage.compact(0.5)
        assert other._view.list != vloglist.read(other._files)
        other.compact(0.9)
        assert contents(other) == known
        there = {path for path in (tmp_path / "values").rglob("*") if path.is_file()}
        assert there == set(value_files(tmp_path))
        with OverFiles(Quick(str(tmp_path))) as third:
            assert contents(third) == known
