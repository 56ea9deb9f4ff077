"""Several processes on one storage, forked and started anew."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from objstore.errors import (
    BusyError,
    DuplicateStorageError,
    StorageError,
    StorageNotFoundError,
)
from objstore.storage import Storage
from tests.conformance.storage.calls import read_a
from tests.conformance.storages import ON_DISK, StorageMaker, check, dump
from tests.faults.machine import in_child, start_child


@pytest.fixture(params=ON_DISK, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> StorageMaker:
    found: StorageMaker = request.param
    return found


def join(processes: list[int]) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    assert codes == [0] * len(processes)


def count_up(storage: Storage, times: int) -> None:
    for _ in range(times):
        with storage.transaction():
            now = int(storage.get_container_item("counter", "n"))
            storage.set_container_item("counter", "n", now + 1)


@pytest.fixture
def counter(storage: Storage) -> Storage:
    storage.add_container("counter")
    storage.set_container_item("counter", "n", 0)
    return storage


def test_8_processes_lose_no_update(counter: Storage, maker: StorageMaker, path: str) -> None:
    def count() -> None:
        with maker.make(path) as storage:
            count_up(storage, 25)

    join([start_child(count) for _ in range(4)])
    assert read_counter(counter) == 100


def read_counter(storage: Storage) -> int:
    return int(storage.get_container_item("counter", "n"))


def test_8_an_instance_works_on_both_sides_of_a_fork(counter: Storage) -> None:
    children = [start_child(lambda: count_up(counter, 20)) for _ in range(3)]
    count_up(counter, 20)
    join(children)
    assert read_counter(counter) == 80


def test_8_threads_go_on_while_the_process_forks(counter: Storage) -> None:
    """A fork finds the connections of other threads in whatever state they are."""
    stop = threading.Event()

    def write() -> int:
        count = 0
        while not stop.is_set():
            counter.set_container_item("counter", f"w{count % 10}", count)
            assert counter.get_container_item("counter", f"w{count % 10}") == str(count)
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        reader = pool.submit(lambda: read_until(counter, stop))
        writer = pool.submit(write)
        try:
            for _ in range(5):
                join([start_child(lambda: count_up(counter, 1)) for _ in range(2)])
        finally:
            stop.set()
        assert writer.result(timeout=60) > 0
        assert reader.result(timeout=60) > 0
    assert read_counter(counter) == 10


def read_until(storage: Storage, stop: threading.Event) -> int:
    count = 0
    while not stop.is_set():
        assert read_counter(storage) >= 0
        count += 1
    return count


def test_8_a_program_that_knows_only_the_path(
    counter: Storage, maker: StorageMaker, path: str
) -> None:
    made: Any = maker.make
    program = f"""
from {made.__module__} import {made.__name__}
with {made.__name__}({path!r}) as storage:
    with storage.transaction():
        now = int(storage.get_container_item("counter", "n"))
        storage.set_container_item("counter", "n", now + 1)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert read_counter(counter) == 1


def test_8_the_wait_for_another_process_has_a_limit(
    counter: Storage, maker: StorageMaker, path: str
) -> None:
    ready, done = os.pipe(), os.pipe()

    def hold() -> None:
        with maker.make(path) as storage, storage.transaction():
            storage.set_container_item("counter", "n", 7)
            os.write(ready[1], b"x")
            os.read(done[0], 1)

    child = start_child(hold)
    os.read(ready[0], 1)
    with maker.make(path, wait=0.05) as storage:
        assert read_counter(storage) == 0
        with pytest.raises(BusyError):
            count_up(storage, 1)
        os.write(done[1], b"x")
        join([child])
        count_up(storage, 1)
    assert read_counter(counter) == 8
    for descriptor in (*ready, *done):
        os.close(descriptor)


def test_6_isolation_between_processes(letters: Storage, maker: StorageMaker, path: str) -> None:
    """Each step in the other process is asked for, and its answer awaited."""
    asked, told = os.pipe(), os.pipe()

    def serve() -> None:
        with maker.make(path) as storage:
            steps: dict[bytes, Callable[[], Any]] = {
                b"b": storage.begin,
                b"c": storage.commit,
                b"s": lambda: storage.set_container_item("letters", "a", "new"),
                b"r": lambda: read_a(storage),
            }
            while (step := os.read(asked[0], 1)) != b"q":
                found = steps[step]()
                os.write(told[1], str(found or "-").encode())

    def ask(step: bytes) -> str:
        os.write(asked[1], step)
        return os.read(told[0], 100).decode()

    child = start_child(serve)
    ask(b"b")
    ask(b"s")
    assert ask(b"r") == "new"
    assert read_a(letters) == "A"
    letters.begin()
    assert read_a(letters) == "A"
    ask(b"c")
    assert read_a(letters) == "A"
    letters.rollback()
    assert read_a(letters) == "new"
    ask(b"b")
    letters.set_container_item("letters", "a", "newer")
    assert ask(b"r") == "new"
    ask(b"c")
    assert ask(b"r") == "newer"
    os.write(asked[1], b"q")
    join([child])
    for descriptor in (*asked, *told):
        os.close(descriptor)


def test_9_generators_stay_right_while_a_process_writes(
    letters: Storage, maker: StorageMaker, path: str
) -> None:
    def change() -> None:
        with maker.make(path) as storage:
            storage.clear_container("letters")
            storage.set_container_items("letters", {str(n): "x" for n in range(2000)})

    letters.set_container_items("letters", {f"{n:04}": "old" for n in range(2000)})
    # Started anew: a fork in the middle of an iteration is another test's.
    program = (
        f"import sys\nsys.path.insert(0, {str(Path.cwd())!r})\n"
        f"from {type(letters).__module__} import {type(letters).__name__} as make\n"
        f"with make({path!r}) as s:\n"
        "    s.clear_container('letters')\n"
        "    s.set_container_items('letters', {str(n): 'x' for n in range(2000)})\n"
    )
    items = letters.get_container_items("letters")
    first = [next(items) for _ in range(5)]
    subprocess.run([sys.executable, "-c", program], check=True)
    rest = list(items)
    assert [*first, *rest][:2000] == [(f"{n:04}", "old") for n in range(2000)]
    assert len(first) + len(rest) == 2005
    assert letters.get_container_len("letters") == 2000
    assert in_child(change) == 0


def test_processes_that_create_at_once_make_one(
    maker: StorageMaker, tmp_path: Path, path: str
) -> None:
    def create(n: int) -> None:
        try:
            with maker.make(path, create=True) as storage:
                storage.add_container(f"made by {n}")
        except DuplicateStorageError:
            # What is there is whole already.
            with maker.make(path) as storage:
                assert len(dump(storage)) <= 1

    join([start_child(lambda n=n: create(n)) for n in range(6)])  # type: ignore[misc]
    with maker.make(path) as storage:
        assert len(dump(storage)) == 1
        check(storage)
    assert not [name for name in os.listdir(tmp_path) if "tmp" in name]


def test_whoever_finds_a_storage_finds_it_whole(maker: StorageMaker, path: str) -> None:
    """Opened again and again while others create it."""

    def open_it() -> None:
        while True:
            try:
                with maker.make(path) as storage:
                    dump(storage)
                    return
            except StorageNotFoundError as error:
                assert "there is no storage" in str(error)  # noqa: PT017

    children = [start_child(open_it) for _ in range(3)]
    maker.make(path, create=True).close()
    join(children)


def test_a_fork_in_the_middle_of_something(letters: Storage, path: str) -> None:
    """The child is told that it cannot use the storage, or it can; the parent notices nothing."""

    def use() -> None:
        try:
            found = {letter: letters.get_container_item("letters", letter) for letter in "abcde"}
            letters.set_container_item("letters", "from the child", "x")
        except StorageError as error:
            assert "fork" in str(error) or "begun" in str(error)  # noqa: PT017
        else:
            assert found == {letter: letter.upper() for letter in "abcde"}

    items = letters.get_container_items("letters")
    assert next(items) == ("a", "A")
    assert in_child(use) == 0
    letters.set_container_item("letters", "b", "changed")
    assert list(items) == [(letter, letter.upper()) for letter in "bcde"]
    letters.begin()
    assert letters.get_container_item("letters", "b") == "changed"
    assert in_child(use_readonly(letters)) == 0
    letters.set_container_item("letters", "c", "changed")
    assert in_child(use_readonly(letters)) == 0
    letters.commit()
    assert letters.get_container_item("letters", "c") == "changed"


def use_readonly(storage: Storage) -> Callable[[], None]:
    def use() -> None:
        try:
            storage.get_container_item("letters", "a")
        except StorageError as error:
            assert "fork" in str(error) or "begun" in str(error)  # noqa: PT017
        assert not getattr(storage, "in_transaction", False)

    return use
