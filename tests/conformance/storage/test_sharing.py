"""Threads, and iteration while others write. Tests are named after the lines of the rules."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objstore.errors import (
    BusyError,
    ConflictError,
    ContainerNotFoundError,
    StorageNotFoundError,
    TransactionError,
)
from objstore.storage import Storage
from tests.conformance.storage.calls import WRITES, in_thread, read_a
from tests.conformance.storages import StorageMaker, dump

# 8. Instances are thread-safe: many threads, one instance, no lost update, no "database is locked"
# under contention (waiting writers wait, with a limit that can be set).


def count_up(storage: Storage, times: int) -> None:
    for _ in range(times):
        with storage.transaction():
            now = int(storage.get_container_item("counter", "n"))
            storage.set_container_item("counter", "n", now + 1)


def count_up_again(storage: Storage, times: int) -> None:
    """As ``count_up``, by those who do not wait before they read."""
    while times:
        storage.begin()
        try:
            now = int(storage.get_container_item("counter", "n"))
            storage.set_container_item("counter", "n", now + 1)
        except ConflictError:
            continue
        storage.commit()
        times -= 1


@pytest.mark.parametrize("count", [count_up, count_up_again])
def test_8_threads_lose_no_update(storage: Storage, count: Callable[[Storage, int], None]) -> None:
    storage.add_container("counter")
    storage.set_container_item("counter", "n", 0)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(count, storage, 25) for _ in range(8)]:
            done.result(timeout=120)
    assert storage.get_container_item("counter", "n") == "200"


def test_8_threads_write_beside_each_other(storage: Storage) -> None:
    storage.add_container("c")

    def write(thread: int) -> None:
        for number in range(25):
            storage.set_container_item("c", f"{thread}-{number}", number)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write, thread) for thread in range(8)]:
            done.result(timeout=120)
    assert storage.get_container_len("c") == 200


def test_8_threads_read_while_others_write(storage: Storage) -> None:
    """Each commit sets all keys to one number: no reader may ever see two."""
    storage.add_container("c")
    keys = [f"k{n}" for n in range(20)]
    storage.set_container_items("c", dict.fromkeys(keys, "0"))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            storage.set_container_items("c", dict.fromkeys(keys, str(number)))

    def read(turn: int) -> None:
        for _ in range(30):
            found = {value for _, value in storage.get_container_items("c")}
            assert len(found) == 1
            with storage.transaction(write=False):
                both = [storage.get_container_item("c", key) for key in (keys[0], keys[-1])]
            assert both[0] == both[1]

    with ThreadPoolExecutor(4) as pool:
        writer = pool.submit(write)
        try:
            for done in [pool.submit(read, turn) for turn in range(3)]:
                done.result(timeout=120)
        finally:
            stop.set()
        writer.result(timeout=120)


def test_8_a_writer_waits_for_its_turn(letters: Storage, another: Storage) -> None:
    reached = threading.Event()

    def write() -> None:
        reached.set()
        another.set_container_item("letters", "b", "second")

    with ThreadPoolExecutor(1) as pool:
        with letters.transaction():
            letters.set_container_item("letters", "a", "first")
            done = pool.submit(write)
            assert reached.wait(30)
            letters.set_container_item("letters", "b", "first")
        done.result(timeout=60)
    assert dict(letters.get_container_items("letters", "ab")) == {"a": "first", "b": "second"}


@pytest.mark.parametrize("same", [True, False], ids=["one instance", "two instances"])
def test_8_the_wait_has_a_limit(maker: StorageMaker, path: str, same: bool) -> None:
    with maker.make(path, create=True, wait=0.05) as first, maker.make(path, wait=0.05) as second:
        first.add_container("letters")
        other = first if same else second
        with first.transaction():
            first.set_container_item("letters", "a", "1")
            for write in WRITES:
                with pytest.raises(BusyError, match=r"longer than this writer waits \(0.05 s\)"):
                    in_thread(lambda: WRITES[write](other))  # noqa: B023
        assert dump(other) == {"letters": {"a": "1"}}
        other.set_container_item("letters", "b", "2")

        def begin_and_write() -> None:
            other.begin()
            with pytest.raises(BusyError) as caught:
                other.set_container_item("letters", "c", "3")
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(TransactionError):
                other.rollback()

        with first.transaction():
            in_thread(begin_and_write)
        assert dump(first) == {"letters": {"a": "1", "b": "2"}}


@pytest.mark.parametrize("wait", [0, 1, 0.5, math.inf, 1e300])
def test_8_any_number_of_seconds_may_be_waited(maker: StorageMaker, path: str, wait: float) -> None:
    with maker.make(path, create=True, wait=wait) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "a", "A")
        with storage.transaction():
            storage.set_container_item("c", "a", "B")
        assert dump(storage) == {"c": {"a": "B"}}


def test_8_the_limit_of_the_wait_is_a_number(maker: StorageMaker, path: str) -> None:
    kinds: list[Any] = [None, "3", True, [1]]
    for kind in kinds:
        with pytest.raises(TypeError, match="wait must be a number of seconds, not"):
            maker.make(path, create=True, wait=kind)
    for wait in (math.nan, -1, -math.inf):
        with pytest.raises(ValueError, match=f"wait must be .* from 0 on, not {wait}"):
            maker.make(path, create=True, wait=wait)
    with pytest.raises(StorageNotFoundError):
        maker.make(path)


@pytest.mark.parametrize("iterates", [False, True])
def test_8_a_thread_that_ends_in_its_transaction_holds_nothing(
    letters: Storage, iterates: bool
) -> None:
    """Even where another one keeps what it was iterating over."""
    letters.set_container_items("letters", {f"{n}": f"{n}" for n in range(2000)})
    kept: list[Iterator[Any]] = []

    def begin() -> None:
        letters.begin()
        letters.set_container_item("letters", "a", "lost")
        if iterates:
            kept.append(letters.get_container_items("letters"))
            next(kept[0])

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    letters.set_container_item("letters", "b", "kept")
    assert dict(letters.get_container_items("letters", "ab")) == {"a": "A", "b": "kept"}


# 9. Generators stay right while another thread or process writes.


@pytest.mark.parametrize("held", [False, True], ids=["by itself", "in a transaction"])
def test_9_generators_stay_right(storage: Storage, another: Storage, held: bool) -> None:
    storage.add_container("c")
    pairs = {f"{n:05}": str(n) for n in range(3000)}
    storage.set_container_items("c", pairs)
    if held:
        storage.begin()
    items, keys = storage.get_container_items("c"), storage.get_container_keys("c")
    some = storage.get_container_items("c", ["00001", "02999", "x"])
    assert [next(items) for _ in range(10)] == list(pairs.items())[:10]
    another.delete_container_items("c", [f"{n:05}" for n in range(0, 3000, 3)])
    another.set_container_items("c", {f"{n:05}": "changed" for n in range(1, 3000, 3)})
    another.set_container_items("c", {f"{n:05}x": "new" for n in range(3000)})
    assert next(keys) == "00000"
    another.delete_container("c")
    assert list(items) == list(pairs.items())[10:]
    assert list(keys) == list(pairs)[1:]
    assert list(some) == [("00001", "1"), ("02999", "2999"), ("x", None)]
    if held:
        storage.rollback()
    with pytest.raises(ContainerNotFoundError):
        storage.get_container_len("c")


def test_9_what_is_iterated_over_may_be_changed(letters: Storage) -> None:
    for key in letters.get_container_keys("letters"):
        letters.delete_container_item("letters", key)
        letters.set_container_item("letters", key + key, "x")
    assert list(letters.get_container_keys("letters")) == ["aa", "bb", "cc", "dd", "ee"]
    for key, value in letters.get_container_items("letters"):
        letters.set_container_item("letters", key, str(value) + "!")
    assert {value for _, value in letters.get_container_items("letters")} == {"x!"}


def test_9_what_is_iterated_over_in_a_transaction_may_be_changed(storage: Storage) -> None:
    storage.add_container("c")
    storage.set_container_items("c", {f"{n:05}": "old" for n in range(2500)})
    with storage.transaction():
        seen: list[str] = []
        for key, _ in storage.get_container_items("c"):
            seen.append(key)
            storage.delete_container_item("c", key)
            storage.set_container_item("c", "-" + key, "new")
    assert seen == [f"{n:05}" for n in range(2500)]
    assert dict(storage.get_container_items("c")) == {f"-{n:05}": "new" for n in range(2500)}


def test_9_a_generator_in_another_thread(letters: Storage) -> None:
    items = letters.get_container_items("letters")
    next(items)
    assert in_thread(lambda: next(items)) == ("b", "B")
    letters.delete_container_item("letters", "d")
    assert in_thread(lambda: list(items)) == [("c", "C"), ("d", "D"), ("e", "E")]


def test_9_a_generator_may_be_left(letters: Storage) -> None:
    for _ in range(100):
        next(letters.get_container_items("letters"))
        for key in letters.get_container_keys("letters"):
            if key == "b":
                break
    letters.set_container_item("letters", "a", "new")
    assert read_a(letters) == "new"
