"""Index and log of a store on files (conformance, "Documents and the commit log", 18 to 21)."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import CorruptionError, KeyNotFoundError, Store
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog

Spoil = Callable[[Path], object]


def numbers(store: Store[Any], path: str = "", **options: Any) -> list[int]:
    return [commit.number for commit in store.log(path, **options)]


def state(store: Store[Any], number: int) -> dict[str, Any]:
    past = store.at(number)
    return {path: past[path].contents for path in past}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of some commits over three files of its log."""
    folder = tmp_path / "data"
    with objstore.open(folder) as store:
        for number in range(12):
            store[f"/people/{number % 4}"] = {"n": number, "list": list(range(number))}
            if number % 5 == 4:
                store.switch_and_snapshot()
    return folder


def index(folder: Path) -> Path:
    return folder / ".objstore" / "index"


def log_files(folder: Path) -> list[Path]:
    return sorted((folder / ".objstore" / "log").iterdir())


# 18


def test_18_a_look_up_returns_the_path_and_its_ancestors(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "data") as store:
        store["/a"] = {"b": {"c": 1}, "x": 1}  # 1: makes what is above /a/b/c
        store["/a/b/c"] = 2
        store["/a/x"] = 2
        store["/a/b"] = {"c": 3}
        store["/other"] = {"c": 1}
        assert numbers(store, "/a/b/c") == [1, 2, 4]
        assert numbers(store, "/a/b") == [1, 2, 4]
        assert numbers(store, "/a/x") == [1, 3]
        assert numbers(store) == [1, 2, 3, 4, 5]


def test_18_ranges_seek_and_go_both_ways(folder: Path) -> None:
    with objstore.open(folder) as store:
        assert numbers(store, "/people/1") == [2, 6, 10]
        assert numbers(store, "/people/1", after=2) == [6, 10]
        assert numbers(store, "/people/1", after=1) == [2, 6, 10]
        assert numbers(store, "/people/1", newest_first=True) == [10, 6, 2]
        assert numbers(store, "/people/1", after=2, newest_first=True) == [10, 6]
        assert numbers(store, newest_first=True) == [*range(12, 0, -1)]
        assert next(store.log(newest_first=True)).number == 12


def test_18_concurrent_adds_stay_sorted(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "data") as store:

        def add(writer: int) -> None:
            for number in range(10):
                store[f"/{writer}"] = {"n": number}

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, range(4)))
        assert numbers(store) == [*range(1, 41)]
        for writer in range(4):
            assert [commit.changes[0].new for commit in store.log(f"/{writer}")] == [
                {"n": number} for number in range(10)
            ]


# 19


def test_19_persisted_and_rebuilt_are_equal(folder: Path) -> None:
    with objstore.open(folder) as store:
        loaded = [state(store, number) for number in range(13)]
        store.switch_and_snapshot()
    written = index(folder).read_bytes()
    index(folder).unlink()
    with objstore.open(folder) as store:
        assert [state(store, number) for number in range(13)] == loaded
        store.switch_and_snapshot()
    assert index(folder).read_bytes() == written


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def _foreign(path: Path) -> None:
    with objstore.open(path.parent.parent.parent / "other") as other:
        other["/people/1"] = {"n": "other"}
        other.switch_and_snapshot()
    path.write_bytes(index(path.parent.parent.parent / "other").read_bytes())


@pytest.mark.parametrize("spoil", [Path.unlink, _truncated, _flipped, _foreign])
def test_19_a_spoiled_index_is_rebuilt(folder: Path, spoil: Spoil) -> None:
    with objstore.open(folder) as store:
        right = [state(store, number) for number in range(13)]
    spoil(index(folder))
    with objstore.open(folder) as store:
        assert [state(store, number) for number in range(13)] == right
        store["/people/1"] = {"n": 13}
        assert numbers(store, "/people/1") == [2, 6, 10, 13]
        store.switch_and_snapshot()
        assert store.check() == []


@pytest.mark.damage
@pytest.mark.parametrize("spoiled", [b"", bytes(100)], ids=["empty", "zeros"])
def test_a_torn_index_is_gone_with_the_next_close(folder: Path, spoiled: bytes) -> None:
    """A crash leaves that of what is renamed into place and not synced, also behind a close."""
    index(folder).write_bytes(spoiled)
    with objstore.open(folder) as store:
        assert [failure.source for failure in store.check()] == [".objstore/index"]
        store["/people/0"] = {"n": 100}
    with objstore.open(folder) as store:
        assert store.check() == []
        assert numbers(store, "/people/0") == [1, 5, 9, 13]


def test_an_index_that_was_torn_and_is_made_again_stays(folder: Path) -> None:
    index(folder).write_bytes(b"")
    with objstore.open(folder) as store:
        store["/people/0"] = {"n": 100}
        store.switch_and_snapshot()
    assert index(folder).stat().st_size > 100


def test_an_index_that_is_whole_stays(folder: Path) -> None:
    before = index(folder).read_bytes()
    with objstore.open(folder) as store:
        store["/people/0"] = {"n": 100}
    assert index(folder).read_bytes() == before


# 20


@pytest.mark.parametrize("size", [0, 1, 100, 4095, 65_536, 3_000_000])
def test_20_entries_of_any_size_round_trip(tmp_path: Path, size: int) -> None:
    text = "".join(random.Random(size).choices("aé🙂\n", k=size))  # noqa: S311
    with objstore.open(tmp_path / "data") as store:
        store["/a"] = {"text": text}
        store["/a"] = {"text": ""}
        assert store.read_at("/a/text", 1) == text
    with objstore.open(tmp_path / "data") as store:
        assert store.read_at("/a/text", 1) == text


def test_20_the_files_of_the_log_are_read_in_the_order_of_commits(folder: Path) -> None:
    assert [path.name[9] for path in log_files(folder)] == ["a", "b", "a"]
    with objstore.open(folder) as store:
        assert numbers(store) == [*range(1, 13)]


def test_20_a_number_that_is_in_no_file_is_an_error(folder: Path) -> None:
    log = CommitLog.open(Files(str(folder)))
    assert log.find(3, 1, 17).number == 3  # whatever the offset says
    for number in (0, 13):
        with pytest.raises(KeyNotFoundError):
            log.find(number, 1, 17)


# 21


def test_21_a_torn_tail_is_cut_before_the_next_append(folder: Path) -> None:
    newest = log_files(folder)[-1]
    whole = newest.read_bytes()
    with objstore.open(folder) as store:
        store["/people/1"] = {"n": "torn"}
    torn = newest.read_bytes()
    for cut in (len(whole) + 1, len(whole) + 40, len(torn) - 60):
        newest.write_bytes(torn[:cut])
        for _ in range(2):
            with objstore.open(folder) as store:
                store["/people/1"] = {"n": cut}
                assert store.check() == []
        with objstore.open(folder) as store:
            assert len(set(numbers(store))) == len(numbers(store)) == store.head


@pytest.mark.damage
def test_21_a_flipped_bit_is_detected_and_located(folder: Path) -> None:
    oldest = log_files(folder)[0]
    data = bytearray(oldest.read_bytes())
    data[len(data) // 2] ^= 1
    oldest.write_bytes(bytes(data))
    with objstore.open(folder) as store, pytest.raises(CorruptionError) as caught:
        list(store.log())
    assert caught.value.file == ".objstore/log/00000001-a.log"
    assert caught.value.offset is not None
    assert caught.value.offset <= len(data) // 2


@pytest.mark.parametrize("lost", ["index", "boot", "lock", "manifest.json", ".gitignore"])
def test_21_no_lost_side_file_leads_to_a_number_used_twice(folder: Path, lost: str) -> None:
    (folder / ".objstore" / lost).unlink(missing_ok=True)
    with objstore.open(folder) as store:
        store["/people/1"] = {"n": 13}
        assert store.head == 13
        assert numbers(store) == [*range(1, 14)]
