"""Blocks of ``transaction``: those that only read, and those that another thread leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objstore.errors import ReadOnlyError, TransactionError
from objstore.storage import Savepoints, Storage
from tests.conformance.storage.calls import READS, WRITES, in_thread, read_a
from tests.conformance.storages import dump


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The one other thread of a test."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


# --- blocks that only read ------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_block_for_reading_refuses_every_write(
    full: Storage, another: Storage, write: Callable[[Storage], object]
) -> None:
    before = dump(full)
    with another.transaction(), full.transaction(write=False):  # somebody else's turn
        with pytest.raises(ReadOnlyError, match="within transaction\\(write=False\\)"):
            write(full)
        with full.transaction(), pytest.raises(ReadOnlyError):
            write(full)
        assert [read(full) for read in READS.values()]
    assert dump(full) == before


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_block_for_reading_within_one_that_writes(
    full: Storage, write: Callable[[Storage], object]
) -> None:
    with full.transaction():
        full.set_container_item("letters", "b", "new")
        with full.transaction(write=False):
            with pytest.raises(ReadOnlyError), full.transaction(write=False):
                write(full)
            with pytest.raises(ReadOnlyError):
                write(full)
        full.set_container_item("letters", "c", "new")
    full.set_container_item("letters", "d", "new")
    assert dict(full.get_container_items("letters", "abcd")) == {
        "a": "A",
        "b": "new",
        "c": "new",
        "d": "new",
    }


def test_after_a_block_for_reading_begin_may_write(full: Storage) -> None:
    with pytest.raises(ZeroDivisionError), full.transaction(write=False):
        raise ZeroDivisionError
    full.begin()
    full.set_container_item("letters", "a", "new")
    full.commit()
    assert read_a(full) == "new"


# --- blocks that another thread leaves ------------------------------------------------------------


def is_in_transaction(storage: Storage) -> bool:
    assert isinstance(storage, Savepoints)
    return storage.in_transaction


def set_a(storage: Storage, value: str) -> None:
    storage.set_container_item("letters", "a", value)


def test_a_block_left_elsewhere_is_taken_back(full: Storage, pool: ThreadPoolExecutor) -> None:
    block = full.transaction()
    pool.submit(block.__enter__).result()
    pool.submit(set_a, full, "left").result()
    with pytest.raises(TransactionError, match="begun by another thread"):
        block.__exit__(None, None, None)
    assert pool.submit(is_in_transaction, full).result() is False
    assert read_a(full) == pool.submit(read_a, full).result() == "A"
    set_a(full, "others go on")
    assert pool.submit(read_a, full).result() == "others go on"


@pytest.mark.parametrize("call", [*READS, *WRITES])
def test_the_next_call_takes_back_what_was_left_elsewhere(
    full: Storage, another: Storage, pool: ThreadPoolExecutor, call: str
) -> None:
    """Whatever it is; it then is a call by itself."""
    do: Callable[[Storage], Any] = (READS | WRITES)[call]
    block = full.transaction()
    pool.submit(block.__enter__).result()
    pool.submit(set_a, full, "left").result()
    with pytest.raises(TransactionError):
        block.__exit__(None, None, None)
    pool.submit(do, full).result()
    with another.transaction():  # it is nobody's turn
        contents = dump(another)
    assert all("left" not in items.values() for items in contents.values())
    assert pool.submit(dump, full).result() == contents


def test_a_block_left_elsewhere_is_not_the_others_block(
    full: Storage, pool: ThreadPoolExecutor
) -> None:
    """Who leaves it is in a transaction of its own, which goes on."""
    block = full.transaction(write=False)
    pool.submit(block.__enter__).result()
    full.begin()
    set_a(full, "own")
    with pytest.raises(TransactionError, match="begun by another thread"):
        block.__exit__(None, None, None)
    block = full.transaction(write=False)
    pool.submit(block.__enter__).result()
    assert not block.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert is_in_transaction(full)
    assert in_thread(lambda: read_a(full)) == "A"
    full.commit()
    assert in_thread(lambda: read_a(full)) == "own"


def test_a_savepoint_left_elsewhere_takes_back_all(full: Storage, pool: ThreadPoolExecutor) -> None:
    full.begin()
    set_a(full, "begun")
    block = full.transaction()
    block.__enter__()
    full.set_container_item("letters", "b", "begun")
    with pytest.raises(TransactionError, match="begun by another thread"):
        pool.submit(block.__exit__, None, None, None).result()
    with pytest.raises(TransactionError, match="has not begun"):
        full.commit()
    assert dict(full.get_container_items("letters", "ab")) == {"a": "A", "b": "B"}


# --- blocks that are entered by hand --------------------------------------------------------------


def test_a_block_is_entered_once(full: Storage) -> None:
    block = full.transaction()
    with block:
        set_a(full, "new")
    with pytest.raises(TransactionError, match="used before"), block:
        set_a(full, "never")
    assert not is_in_transaction(full)
    assert read_a(full) == "new"


@pytest.mark.parametrize("within", [False, True])
def test_a_block_that_nobody_can_leave_any_more_is_taken_back(
    full: Storage, *, within: bool
) -> None:
    with full.transaction() if within else contextlib.nullcontext():
        block = full.transaction(write=True)
        block.__enter__()
        set_a(full, "never")
        del block
        assert is_in_transaction(full) is within
        full.set_container_item("letters", "b", "new")
    assert dict(full.get_container_items("letters", "ab")) == {"a": "A", "b": "new"}


def test_a_block_of_a_stack(full: Storage) -> None:
    """Which looks up the ends of its blocks by their class."""
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(full.transaction()) is full
        set_a(full, "new")
    with pytest.raises(ZeroDivisionError), contextlib.ExitStack() as stack:
        stack.enter_context(full.transaction())
        set_a(full, "never")
        raise ZeroDivisionError
    assert not is_in_transaction(full)
    assert read_a(full) == "new"
