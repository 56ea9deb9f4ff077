"""Storages on media that fail, and in processes that die."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pickle
import random
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.backings.valuelog import ValueLogStorage
from objstore.errors import (
    BackingError,
    ClosedError,
    CorruptionError,
    ObjstoreError,
    ReadOnlyError,
    StorageError,
)
from objstore.storage import Checks, Lists, Scans, Storage
from tests.conformance.storages import ON_DISK, StorageMaker, check, dump
from tests.faults.machine import (
    in_child,
    let_others_in,
    mounted,
    need_root,
    remount_readonly,
    start_child,
    without_privileges,
)

KEYS = [f"k{n}" for n in range(50)]


@pytest.fixture(params=ON_DISK, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> StorageMaker:
    found: StorageMaker = request.param
    return found


# Killed


def write_until_killed(storage: Storage, tell: int, start: int) -> None:
    """Each commit sets all keys to its number; its number is told once it has returned."""
    number = start
    while True:
        number += 1
        with storage.transaction():
            storage.set_container_items("c", dict.fromkeys(KEYS[:25], number))
            if number % 3 == 0:
                storage.delete_container("d")
                storage.add_container("d")
            for key in KEYS[25:]:
                storage.set_container_item("c", key, number)
            storage.set_container_items("d", {f"{number} {n}": "x" * 300 for n in range(20)})
        os.write(tell, number.to_bytes(4, "big"))


def kill_and_look(maker: StorageMaker, path: str, chance: random.Random, least: int) -> int:
    """Kill a writer; the storage must be as after one of its commits, none of them lost."""
    read, write = os.pipe()

    def run() -> None:
        with maker.make(path) as storage:
            write_until_killed(storage, write, least)

    child = start_child(run)
    os.close(write)
    told = os.read(read, 4)
    time.sleep(chance.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(read, 4096):
        told += more
    os.close(read)
    last = int.from_bytes(told[len(told) // 4 * 4 - 4 : len(told) // 4 * 4], "big")
    with maker.make(path) as storage:
        check(storage)
        contents = dump(storage)
        (number,) = {int(contents["c"][key]) for key in KEYS}
        assert last <= number <= last + 1
        assert any(key.startswith(f"{number} ") for key in contents["d"])
        assert not any(key.startswith(f"{number + 1} ") for key in contents["d"])
        storage.set_container_item("c", "after", number)
    return number


def killed_again_and_again(maker: StorageMaker, path: str, times: int) -> None:
    with maker.make(path, create=True) as storage:
        for name in ("c", "d"):
            storage.add_container(name)
    chance = random.Random(times)  # noqa: S311
    number = 0
    for _ in range(times):
        number = kill_and_look(maker, path, chance, number)
    assert number > times


def test_a_writer_that_is_killed_loses_nothing_that_was_committed(
    maker: StorageMaker, tmp_path: Path
) -> None:
    killed_again_and_again(maker, maker.path(tmp_path), 6)


@pytest.mark.torture
def test_many_writers_that_are_killed(maker: StorageMaker, tmp_path: Path) -> None:
    killed_again_and_again(maker, maker.path(tmp_path), 200)


def test_a_writer_that_is_killed_holds_nobody_up(maker: StorageMaker, tmp_path: Path) -> None:
    path = maker.path(tmp_path)
    with maker.make(path, create=True) as storage:
        storage.add_container("c")
    read, write = os.pipe()

    def run() -> None:
        with maker.make(path) as storage:
            storage.begin()
            storage.set_container_items("c", {str(n): "x" * 1000 for n in range(5000)})
            os.write(write, b"x")
            time.sleep(60)

    child = start_child(run)
    os.read(read, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    with maker.make(path, wait=5) as storage:
        storage.set_container_item("c", "a", "1")
        assert dump(storage) == {"c": {"a": "1"}}
        check(storage)


def test_a_reader_that_is_killed_pins_nothing(maker: StorageMaker, tmp_path: Path) -> None:
    """What was deleted since is used again; otherwise the files would grow tenfold."""
    path = maker.path(tmp_path)
    batch = {f"{n:04}": "x" * 1000 for n in range(500)}
    with maker.make(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", batch)
    read, write = os.pipe()

    def run() -> None:
        with maker.make(path) as storage:
            items = storage.get_container_items("c")
            next(items)
            os.write(write, b"x")
            time.sleep(60)

    child = start_child(run)
    os.read(read, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    with maker.make(path) as storage:
        for number in range(60):
            storage.set_container_items("c", dict.fromkeys(batch, str(number % 10) * 1000))
        compact = getattr(storage, "compact", None)
        if compact is not None:
            compact()
        assert storage_size(tmp_path) < 20 * 500_000


def storage_size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


# Full


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "size=4m"):
        yield folder


def test_a_full_disk(maker: StorageMaker, disk: Path) -> None:
    """A commit that has no room reports it, and leaves all as it was; with room, work goes on."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 1_500_000)
    path = maker.path(disk)
    with maker.make(path, create=True) as storage:
        storage.add_container("c")
        written: dict[str, str | bytes] = {}
        with pytest.raises(BackingError) as caught:
            for number in range(10_000):
                batch = {f"{number} {n}": os.urandom(500).hex() for n in range(20)}
                storage.set_container_items("c", batch)
                written.update(batch)
        assert isinstance(caught.value, StorageError)
        assert caught.value.errno == errno.ENOSPC
        assert len(written) > 100
        assert dump(storage) == {"c": written}
        storage.begin()
        with pytest.raises(BackingError):
            storage.set_container_items("c", {f"x{n}": "x" * 1000 for n in range(5000)})
            storage.commit()
        assert dump(storage) == {"c": written}
        ballast.unlink()
        storage.set_container_item("c", "more", "x" * 1000)
        written["more"] = "x" * 1000
        assert dump(storage) == {"c": written}
        check(storage)
    with maker.make(path) as storage:
        assert dump(storage) == {"c": written}
        check(storage)


def test_a_disk_too_full_to_make_a_storage(maker: StorageMaker, disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "ballast").open("wb") as ballast:
        while True:
            ballast.write(b"x" * 4096)
            ballast.flush()
    with pytest.raises(BackingError):
        maker.make(maker.path(disk), create=True)
    assert [path.name for path in disk.iterdir()] == ["ballast"]


# Read-only


def test_a_readonly_disk(maker: StorageMaker, disk: Path) -> None:
    path = maker.path(disk)
    with maker.make(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": b"2"})
    remount_readonly(disk)
    with maker.make(path, readonly=True) as storage:
        assert dump(storage) == {"c": {"a": "1", "b": b"2"}}
        check(storage)
        with storage.transaction():
            assert storage.get_container_item("c", "a") == "1"
        with pytest.raises(ReadOnlyError):
            storage.set_container_item("c", "a", "2")
    with pytest.raises(BackingError) as caught, maker.make(path) as storage:
        assert storage.get_container_item("c", "a") == "1"
        storage.set_container_item("c", "a", "2")
    assert caught.value.errno == errno.EROFS
    with pytest.raises(BackingError):
        maker.make(str(disk / "new"), create=True)


def test_who_may_not_write_where_a_storage_is(maker: StorageMaker, tmp_path: Path) -> None:
    """A value log is read. SQLite and LMDB note readers beside the file, and say what they miss."""
    need_root()
    let_others_in(tmp_path)
    path = maker.path(tmp_path)
    with maker.make(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "a", "1")
    with without_privileges():
        for readonly in (True, False):
            if maker.name == "valuelog":
                with maker.make(path, readonly=readonly) as storage:
                    assert dump(storage) == {"c": {"a": "1"}}
                    check(storage)
                    with pytest.raises(OSError, match=r"readonly=True|Permission") as refused:
                        storage.set_container_item("c", "a", "2")
                    assert refused.value.errno == (errno.EROFS if readonly else errno.EACCES)
            else:
                with pytest.raises(
                    BackingError, match=r"has to write .* to read .*as well"
                ) as told:
                    maker.make(path, readonly=readonly)
                assert told.value.errno == errno.EACCES
    with maker.make(path) as storage:
        assert dump(storage) == {"c": {"a": "1"}}


# Too many open files


def test_a_closed_storage_has_no_file_open(maker: StorageMaker, tmp_path: Path) -> None:
    """While it is kept itself, and what was made of it."""
    gc.collect()
    before = os.listdir("/dev/fd")
    with maker.make(maker.path(tmp_path), create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "a", "1")
        assert storage.get_container_item("c", "a") == "1"
        items = list(storage.get_container_items("c"))
    assert len(os.listdir("/dev/fd")) == len(before)
    assert items == [("a", "1")]
    with pytest.raises(ClosedError):
        storage.set_container_item("c", "a", "2")


def test_too_many_open_files(maker: StorageMaker, tmp_path: Path) -> None:
    """Whatever cannot be opened for that reason is told so; with room, work goes on."""
    path = maker.path(tmp_path)
    with maker.make(path, create=True) as storage:
        storage.add_container("c")

    def write() -> None:
        with maker.make(path) as storage:
            storage.set_container_item("c", "a", "1")
            assert storage.get_container_item("c", "a") == "1"

    def run() -> None:
        gc.collect()
        gc.disable()  # what other tests left would be closed meanwhile
        write()  # what is loaded, and kept open, by then
        most = max(map(int, os.listdir("/dev/fd"))) + 20
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for left in range(10):
            taken: list[int] = []
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(left):
                os.close(taken.pop())
            try:
                write()
            except BackingError as error:
                assert error.errno == errno.EMFILE, (left, error)  # noqa: PT017 - in a child
                assert left < 9
            for one in taken:
                os.close(one)
        write()

    assert in_child(run) == 0


# Flipped bits


def files_of(path: Path) -> list[Path]:
    """The files that hold data: those for locks and such are made anew."""
    all_files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return [one for one in all_files if one.stat().st_size and "lock" not in one.name]


def make_full(maker: StorageMaker, path: str) -> dict[str, dict[str, str | bytes]]:
    with maker.make(path, create=True) as storage:
        for name in ("first", "second"):
            storage.add_container(name)
            pairs: dict[str, Any] = {f"{name} {n:03}": os.urandom(30).hex() for n in range(150)}
            storage.set_container_items(name, {**pairs, "bytes": os.urandom(9000), "l" * 600: "x"})
        return dump(storage)


def look(maker: StorageMaker, path: str) -> tuple[dict[str, dict[str, Any]] | None, bool]:
    """What is read, None where an error told of damage; and whether ``check`` finds any.

    In a process of its own: what is mapped into memory can end a process where it is damaged.
    """
    read, write = os.pipe()

    def tell() -> None:
        os.close(read)
        with open(write, "wb") as stream:
            pickle.dump(_look(maker, path), stream)

    child = start_child(tell)
    os.close(write)
    with open(read, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) in (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT)
        return None, True
    assert os.waitstatus_to_exitcode(status) == 0
    found: tuple[dict[str, dict[str, Any]] | None, bool] = pickle.loads(told)  # noqa: S301
    return found


def _look(maker: StorageMaker, path: str) -> tuple[dict[str, dict[str, Any]] | None, bool]:
    try:
        storage = maker.make(path, readonly=True)
    except ObjstoreError:
        return None, True
    with storage:
        contents: dict[str, dict[str, Any]] | None = None
        with contextlib.suppress(ObjstoreError):
            contents = read_all(storage)
        try:
            assert isinstance(storage, Checks)
            return contents, bool(storage.check())
        except ObjstoreError:
            return contents, True


def read_all(storage: Storage) -> dict[str, dict[str, Any]]:
    """Everything, by scans and one by one."""
    assert isinstance(storage, Lists)
    found: dict[str, dict[str, Any]] = {}
    for c_id in storage.get_containers():
        found[c_id] = dict(storage.get_container_items(c_id))
        for key in found[c_id]:
            found[c_id][key] = storage.get_container_item(c_id, key)
    return found


def flip_bits(maker: StorageMaker, folder: Path, times: int) -> tuple[int, int]:
    """Flip bits one by one. Returns how many were noticed by reading, and how many at all."""
    whole = Path(maker.path(folder / "whole"))
    (folder / "whole").mkdir()
    expected = make_full(maker, str(whole))
    chance = random.Random(times)  # noqa: S311
    by_reading = noticed = 0
    for _ in range(times):
        shutil.rmtree(folder / "broken", ignore_errors=True)
        shutil.copytree(folder / "whole", folder / "broken")
        broken = Path(maker.path(folder / "broken"))
        file = chance.choice(files_of(broken))
        data = bytearray(file.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        contents, told = look(maker, str(broken))
        by_reading += contents is None
        noticed += told or contents is None
        if maker.name == "lmdb" and contents is not None and not told:
            # LMDB's own two headers have no checksum: the older one may be taken for the newer.
            for name, items in contents.items():
                assert items.items() <= expected[name].items()
            continue
        if contents is not None and contents != expected:
            # What is missing as a whole may only be told by check, but told it must be.
            assert told
            for name, items in contents.items():
                assert items == expected[name]
    return by_reading, noticed


def test_a_flipped_bit_is_never_read_as_what_was_written(
    maker: StorageMaker, tmp_path: Path
) -> None:
    by_reading, _ = flip_bits(maker, tmp_path, 60)
    assert by_reading > 5


@pytest.mark.torture
def test_many_flipped_bits(maker: StorageMaker, tmp_path: Path) -> None:
    by_reading, noticed = flip_bits(maker, tmp_path, 3000)
    assert noticed >= by_reading > 300


@pytest.mark.parametrize("form", ["{0:031}", "{0}" * 10], ids=["of one length", "of many"])
def test_a_scan_of_texts_tells_of_every_byte_of_an_item(
    maker: StorageMaker, tmp_path: Path, form: str
) -> None:
    """Texts are verified by the chunk; a scan gives what was written, up to the damage."""
    path, value = Path(maker.path(tmp_path)), "value of the item in the middle"
    items = {f"key {n:04}": form.format(n) for n in range(1000)} | {"key 0500": value}
    with maker.make(str(path), create=True) as storage:
        storage.add_container("c")
        storage.set_container_items("c", items)
    [file] = [one for one in files_of(path) if value.encode() in one.read_bytes()]
    whole, stored = file.read_bytes(), value.encode()
    for at in range(0, len(stored), 5):
        damaged = stored[:at] + bytes((stored[at] ^ 1,)) + stored[at + 1 :]
        file.write_bytes(whole.replace(stored, damaged))  # SQLite may leave another where none is
        with maker.make(str(path), readonly=True) as storage:
            assert isinstance(storage, Scans)
            for whatever in (storage.get_container_items("c"), storage.scan("c", reverse=True)):
                count = 0
                with pytest.raises(CorruptionError):
                    for key, found in whatever:
                        assert items[key] == found
                        count += 1
                assert count in (499, 500)


def test_files_cut_short(maker: StorageMaker, tmp_path: Path) -> None:
    """A file that lost its end reads as damaged, or as before where it ended in nothing.

    A value log that lost the end of its newest file is as one whose writer was killed.
    """
    whole = Path(maker.path(tmp_path / "whole"))
    (tmp_path / "whole").mkdir()
    expected = make_full(maker, str(whole))
    sound: list[dict[str, Any]] = [expected]
    if maker.make is ValueLogStorage:
        first = {"first": expected["first"]}
        sound += [{}, {"first": {}}, first, {**first, "second": {}}]
    for part in range(1, 8):
        shutil.rmtree(tmp_path / "broken", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "broken")
        broken = Path(maker.path(tmp_path / "broken"))
        file = max(files_of(broken), key=lambda one: one.stat().st_size)
        os.truncate(file, file.stat().st_size * part // 8)
        contents, told = look(maker, str(broken))
        assert contents is None or contents in sound or told


def test_what_is_no_storage_is_left_alone(maker: StorageMaker, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("dear diary")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text").write_text("dear diary")
    for path in (file, folder):
        with pytest.raises(StorageError):
            maker.make(str(path))
        with pytest.raises(StorageError):
            maker.make(str(path), create=True)
    assert file.read_text() == (folder / "text").read_text() == "dear diary"
    assert sorted(os.listdir(tmp_path)) == ["folder", "text"]
    assert os.listdir(folder) == ["text"]
