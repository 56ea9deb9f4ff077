"""Transactions that are left by another thread or task than began them: nothing of them stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import objstore
from objstore import Store, TransactionError


@pytest.fixture
def store() -> Iterator[Store[Any]]:
    with objstore.open("memory://") as store:
        store["a"] = {"n": 0}
        yield store


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """The one other thread of a test."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def change(store: Store[Any], n: int) -> None:
    store["a"].n = n


def test_a_transaction_left_elsewhere_is_rolled_back(
    store: Store[Any], pool: ThreadPoolExecutor
) -> None:
    tx = store.transaction()
    pool.submit(tx.__enter__).result()
    pool.submit(change, store, 1).result()
    with pytest.raises(TransactionError, match="begun by another thread or task"):
        tx.__exit__(None, None, None)
    assert (tx.commit, store.head, store.busy) == (None, 1, False)
    assert pool.submit(lambda: (store["a"].n, store.current())).result() == (0, None)
    pool.submit(change, store, 2).result()
    assert store["a"].n == 2


def test_an_exception_on_its_way_goes_on(store: Store[Any], pool: ThreadPoolExecutor) -> None:
    tx = store.transaction()
    pool.submit(tx.__enter__).result()
    pool.submit(change, store, 1).result()
    tx.__exit__(ZeroDivisionError, ZeroDivisionError(), None)  # and raises nothing itself
    assert (store["a"].n, store.busy) == (0, False)


def test_a_transaction_left_in_another_task_is_rolled_back(store: Store[Any]) -> None:
    tx = store.transaction()

    async def begin() -> None:
        tx.__enter__()
        change(store, 1)

    async def end() -> None:
        tx.__exit__(None, None, None)

    async def main() -> None:
        await asyncio.create_task(begin())
        with pytest.raises(TransactionError, match="begun by another thread or task"):
            await asyncio.create_task(end())

    asyncio.run(main())
    assert (store["a"].n, store.head, store.busy) == (0, 1, False)


def test_a_coroutine_leaves_what_it_began(store: Store[Any]) -> None:
    async def main() -> None:
        with store.transaction():
            change(store, 1)
            await asyncio.sleep(0)
            with store.transaction(), store.snapshot_view():
                await asyncio.to_thread(store.log)

    asyncio.run(main())
    assert store["a"].n == 1


def test_a_savepoint_left_elsewhere_is_taken_back(
    store: Store[Any], pool: ThreadPoolExecutor
) -> None:
    with store.transaction():
        change(store, 1)
        savepoint = store.transaction()
        savepoint.__enter__()
        change(store, 2)
        with pytest.raises(TransactionError, match="begun by another thread or task"):
            pool.submit(savepoint.__exit__, None, None, None).result()
        assert store["a"].n == 1
        other = store.transaction()
        with pytest.raises(TransactionError, match="begun by another thread or task"):
            pool.submit(other.__enter__).result()
    assert store["a"].n == 1


def test_a_savepoint_of_what_has_ended_says_so(store: Store[Any]) -> None:
    tx = store.transaction()
    tx.__enter__()
    savepoint = store.transaction()
    savepoint.__enter__()
    change(store, 1)
    tx.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    with pytest.raises(TransactionError, match="is ended, not running"):
        savepoint.__exit__(None, None, None)
    assert store["a"].n == 0


def test_a_view_left_elsewhere_is_over(store: Store[Any], pool: ThreadPoolExecutor) -> None:
    view = store.snapshot_view()
    pool.submit(view.__enter__).result()
    with pytest.raises(TransactionError, match="begun by another thread or task"):
        view.__exit__(None, None, None)
    assert not store.busy
    pool.submit(change, store, 1).result()
    with store.transaction():
        inner = store.snapshot_view()
        inner.__enter__()
        with pytest.raises(TransactionError, match="begun by another thread or task"):
            pool.submit(inner.__exit__, None, None, None).result()
        change(store, 2)
    assert store["a"].n == 2


def test_what_was_left_elsewhere_is_not_kept(store: Store[Any], pool: ThreadPoolExecutor) -> None:
    """A pool's thread goes on for as long as the program."""
    from objstore.transaction import _active

    for _ in range(3):
        tx = store.transaction()
        pool.submit(tx.__enter__).result()
        with pytest.raises(TransactionError):
            tx.__exit__(None, None, None)
    pool.submit(change, store, 1).result()
    with store.transaction():
        assert len(_active.get()) == 1
    pool.submit(store.transaction().__enter__).result()
    assert pool.submit(lambda: len(_active.get())).result() == 1
