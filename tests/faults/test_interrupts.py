"""Storages whose callers are interrupted, as by Ctrl-C: a signal's handler that raises anywhere."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore._turns import take
from objstore.backings.memory_storage import MemoryStorage
from objstore.errors import TransactionError
from objstore.storage import Savepoints, Scans, Storage
from tests.conformance.storage.calls import in_thread
from tests.conformance.storages import STORAGES, StorageMaker, check, dump
from tests.faults.interruptions import INTERRUPTS, Interruption

pytestmark = [
    # What is freed amid an interrupt tells of it, and goes on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(
        sys.version_info[:2] == (3, 14),
        reason="an interrupt may leave what `with lock` locks locked, see python/cpython#148874",
    ),
]

PAIRS = {f"{n}": "x" for n in range(20)}


class Timer:
    """Interrupts this thread once each time, by the one and the other kind in turn."""

    def __init__(self) -> None:
        self.is_set = False
        self._kinds = itertools.cycle(INTERRUPTS)

    def set(self, seconds: float) -> None:
        self.is_set = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def interrupt(self, *_: object) -> None:
        self.is_set = False
        raise next(self._kinds)


@pytest.fixture
def timer() -> Iterator[Timer]:
    timer = Timer()
    before = signal.signal(signal.SIGALRM, timer.interrupt)
    yield timer
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def set_all(storage: Storage, value: str) -> None:
    """Everything in one transaction, in two calls."""
    with storage.transaction():
        storage.set_container_items("c", dict.fromkeys(PAIRS, value))
        storage.set_container_item("c", "20", value)


def scan(storage: Storage, _: str) -> None:
    assert isinstance(storage, Scans)
    assert len({value for _, value in storage.scan("c")}) == 1
    next(storage.scan("c", reverse=True))


def fill(storage: Storage, value: str) -> None:
    storage.set_container_items("c", dict.fromkeys([*PAIRS, "20"], value))


def empty(storage: Storage, _: str) -> None:
    storage.delete_container_items("d", PAIRS)
    storage.set_container_items("d", PAIRS)


def one(storage: Storage, value: str) -> None:
    storage.set_container_item("e", "one", value)
    assert storage.get_container_item("e", "one") == value


CALLS = [set_all, scan, fill, empty, one]


def call_amid(timer: Timer, chance: random.Random, storage: Storage, value: str) -> None:
    """Call this and that until an interrupt comes: here, as it may come between two calls too."""
    timer.set(chance.random() * 0.0005 + 1e-6)
    # It may come as something is freed, and go no further.
    while timer.is_set:
        chance.choice(CALLS)(storage, value)


def interrupted(maker: StorageMaker, path: str, timer: Timer, seconds: float) -> int:
    """Interrupt calls for a while; others can write at once each time, and all of it is whole."""
    chance, rounds = random.Random(7), 0  # noqa: S311
    options: dict[str, Any] = {"durability": "os"} if maker.on_disk else {}
    end = time.monotonic() + seconds
    with maker.make(path, create=True, wait=2, **options) as storage:
        for name in "cde":
            storage.add_container(name)
        fill(storage, "0")
        while time.monotonic() < end:
            rounds += 1
            with contextlib.suppress(*INTERRUPTS):
                call_amid(timer, chance, storage, str(rounds))
            assert storage.in_transaction is False  # type: ignore[attr-defined]
            in_thread(lambda: storage.set_container_item("e", "two", "2"))
            with maker.make(path, wait=2, **options) as other:
                assert len(set(dump(other)["c"].values())) == 1
                assert len(dump(other)["d"]) in (0, 20)
        check(storage)
    return rounds


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
def test_an_interrupt_locks_nobody_out(maker: StorageMaker, tmp_path: Path, timer: Timer) -> None:
    assert interrupted(maker, maker.path(tmp_path), timer, 3) > 50


class Kept:
    """Interrupts one moment after the other, and keeps each error, as a notebook keeps the last
    one and with it all that it came upon."""

    def __init__(self) -> None:
        self._errors: list[BaseException] = []

    def __iter__(self) -> Iterator[Interruption]:
        for at in itertools.count(1):
            amid = Interruption(at, INTERRUPTS[at % 2])
            self._errors.append(amid._interrupt)
            yield amid
            if amid.seen < at:
                assert at > 10
                return


@contextlib.contextmanager
def two_handles(maker: StorageMaker, folder: Path) -> Generator[tuple[Storage, Storage]]:
    options: dict[str, Any] = {"durability": "os"} if maker.on_disk else {}
    path = maker.path(folder)
    with maker.make(path, create=True, wait=0.2, **options) as storage:
        storage.add_container("c")
        with maker.make(path, wait=0.2, **options) as other:
            yield storage, other


def in_transaction(storage: Storage) -> bool:
    assert isinstance(storage, Savepoints)
    return storage.in_transaction


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_interrupt_that_is_kept_keeps_nobody_from_writing(
    maker: StorageMaker, tmp_path: Path, end: str
) -> None:
    with two_handles(maker, tmp_path) as (storage, other):
        for amid in Kept():
            storage.begin()
            storage.set_container_item("c", "one", "1")
            with amid:
                getattr(storage, end)()
            if in_transaction(storage):  # it had not begun to end
                storage.rollback()
            in_thread(lambda: storage.set_container_item("c", "two", "2"))
            other.set_container_item("c", "three", "3")


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
@pytest.mark.parametrize("fails", [False, True])
def test_a_block_is_over_when_it_was_interrupted(
    maker: StorageMaker, tmp_path: Path, *, fails: bool
) -> None:
    """Its beginning, its end, and what is done in it."""
    with two_handles(maker, tmp_path) as (storage, other):
        for at, amid in enumerate(Kept()):
            with contextlib.suppress(ZeroDivisionError), amid, storage.transaction():
                storage.set_container_items("c", {"a": f"{at}", "b": f"{at}"})
                if fails:
                    raise ZeroDivisionError
            other.set_container_item("c", "three", "3")
            assert not in_transaction(storage)
            found = dict(storage.get_container_items("c", "ab"))
            assert found["a"] == found["b"]
            assert not (fails and found["a"])
            in_thread(lambda: storage.set_container_item("c", "two", "2"))
        check(storage)


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
@pytest.mark.parametrize("block", ["writes", "fails", "reads"])
def test_a_block_within_another_is_over_when_it_was_interrupted(
    maker: StorageMaker, tmp_path: Path, block: str
) -> None:
    """What it did is in the transaction or is not; or that is lost, and says so."""
    with two_handles(maker, tmp_path) as (storage, other):
        for amid in Kept():
            storage.delete_container_items("c", ["a", "b", "outer", "later"])
            is_lost = True
            with contextlib.suppress(TransactionError), storage.transaction():
                storage.set_container_item("c", "outer", "1")
                write = block != "reads"
                with contextlib.suppress(ZeroDivisionError), amid, storage.transaction(write):
                    if write:
                        storage.set_container_items("c", {"a": "1", "b": "1"})
                    if block == "fails":
                        raise ZeroDivisionError
                storage.set_container_item("c", "later", "1")
                with contextlib.suppress(ZeroDivisionError), storage.transaction():
                    storage.set_container_item("c", "a", "2")
                    raise ZeroDivisionError
                is_lost = False
            assert not in_transaction(storage)
            other.set_container_item("c", "three", "3")
            found = {*dict(storage.get_container_items("c"))} - {"three"}
            if is_lost:
                assert not found
            else:
                assert found in ({"outer", "later"}, {"outer", "later", "a", "b"})
                assert block == "writes" or "a" not in found
        check(storage)


def test_an_interrupt_of_a_beginning_in_memory_has_no_later_one_write_in_place(
    tmp_path: Path,
) -> None:
    path, number, goes_on = tmp_path / "storage", 0, True
    with MemoryStorage(path, create=True) as storage:
        for name in "cde":
            storage.add_container(name)
        while goes_on:
            number += 1
            with Interruption(number, INTERRUPTS[number % 2]) as amid:
                storage.begin()
            goes_on = amid.came_out
            if storage.in_transaction:
                storage.rollback()
            storage.begin()
            storage.set_container_item("c", "k", str(number))
            storage.rollback()
            assert dump(storage)["c"] == {}
    assert number > 5


@pytest.mark.torture
@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
def test_many_interrupts(maker: StorageMaker, tmp_path: Path, timer: Timer) -> None:
    assert interrupted(maker, maker.path(tmp_path), timer, 120) > 2000


def test_who_is_interrupted_in_taking_the_turn_overwrites_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In memory, where a commit puts all containers in the place of those that are there."""
    storage = MemoryStorage("", create=True)
    storage.add_container("c")

    def interrupted(*given: Any) -> bool:
        monkeypatch.undo()
        in_thread(lambda: storage.set_container_item("c", "theirs", "T"))
        take(*given)
        raise KeyboardInterrupt

    storage.begin()
    monkeypatch.setattr("objstore.backings.memory_storage.take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        storage.set_container_item("c", "ours", "O")
    storage.commit()
    assert dict(storage.get_container_items("c")) == {"theirs": "T"}


@contextlib.contextmanager
def begun(storage: Storage) -> Generator[None]:
    """A transaction whose turn to write comes with its first write."""
    storage.begin()
    with storage.transaction():
        yield
    storage.commit()


@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
@pytest.mark.parametrize("kept", [{}, {"a": "kept", "b": "kept"}])
def test_a_savepoint_is_taken_back_or_all_is(
    maker: StorageMaker, tmp_path: Path, kept: dict[str, str]
) -> None:
    """Whenever that is interrupted, and whoever goes on in the block around it."""
    left: list[object] = []
    for at in itertools.count(1):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        with maker.make(maker.path(folder), create=True) as storage:
            storage.add_container("c")
            interruption = Interruption(at)
            with contextlib.suppress(TransactionError), begun(storage):
                if kept:
                    storage.set_container_items("c", kept)
                savepoint = storage.transaction()
                savepoint.__enter__()
                storage.set_container_items("c", {"a": "undone", "x": "undone"})
                with contextlib.suppress(ZeroDivisionError), interruption:
                    try:
                        raise ZeroDivisionError
                    except ZeroDivisionError:
                        savepoint.__exit__(*sys.exc_info())
                del savepoint
            found = dict(storage.get_container_items("c"))
            check(storage)
        if found not in ({}, kept):
            left.append(found)
        if not interruption.came_out:
            assert at > 5
            break
    # As a generator is thrown into nothing comes, but by sys.settrace.
    assert len(left) <= 1
