"""Storages whose callers are interrupted, as by Ctrl-C: a signal's handler that raises anywhere."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objstore.storage import Scans, Storage
from tests.conformance.storage.calls import in_thread
from tests.conformance.storages import STORAGES, StorageMaker, check, dump
from tests.faults.interruptions import INTERRUPTS

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


@pytest.mark.torture
@pytest.mark.parametrize("maker", STORAGES, ids=lambda maker: maker.name)
def test_many_interrupts(maker: StorageMaker, tmp_path: Path, timer: Timer) -> None:
    assert interrupted(maker, maker.path(tmp_path), timer, 120) > 2000
