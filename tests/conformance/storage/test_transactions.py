"""Transactions and isolation. Tests are named after the lines of the rules of Storage."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from objstore.errors import (
    ClosedError,
    ConflictError,
    ContainerNotFoundError,
    DuplicateContainerError,
    FormatError,
    ReadOnlyError,
    StorageError,
    TransactionError,
)
from objstore.storage import Savepoints, Storage
from tests.conformance.storage.calls import READS, WRITES, in_thread, read_a
from tests.conformance.storages import StorageMaker, dump

# 5. rollback undoes everything since begin, containers added and deleted too.


def change_everything(storage: Storage) -> None:
    storage.set_container_item("letters", "a", "changed")
    storage.set_container_items("letters", {"b": b"changed", "new": "new"})
    storage.delete_container_item("letters", "c")
    storage.delete_container_items("letters", ["d"])
    storage.add_container("added")
    storage.set_container_item("added", "x", "y")
    storage.clear_container("cleared")
    storage.delete_container("deleted")
    storage.delete_container("again")
    storage.add_container("again")


CHANGED = {
    "added": {"x": "y"},
    "again": {},
    "cleared": {},
    "letters": {"a": "changed", "b": b"changed", "e": "E", "new": "new"},
}


def test_5_rollback_undoes_everything(full: Storage) -> None:
    before = dump(full)
    full.begin()
    change_everything(full)
    assert {c: dict(full.get_container_items(c)) for c in CHANGED} == CHANGED
    full.rollback()
    assert dump(full) == before
    full.begin()
    full.clear()
    full.add_container("only")
    full.rollback()
    assert dump(full) == before


def test_5_commit_keeps_everything(full: Storage, maker: StorageMaker, path: str) -> None:
    full.begin()
    change_everything(full)
    full.commit()
    assert dump(full) == CHANGED
    full.close()
    with maker.make(path) as opened:
        assert dump(opened) == CHANGED


def test_5_what_is_not_committed_at_close_is_lost(
    full: Storage, maker: StorageMaker, path: str
) -> None:
    before = dump(full)
    full.begin()
    change_everything(full)
    full.close()
    with maker.make(path) as opened:
        assert dump(opened) == before


def test_5_a_transaction_is_a_block(full: Storage) -> None:
    before = dump(full)
    with pytest.raises(ZeroDivisionError), full.transaction():
        change_everything(full)
        raise ZeroDivisionError
    assert dump(full) == before
    with full.transaction() as storage:
        assert storage is full
        change_everything(full)
    assert dump(full) == CHANGED


def test_5_transactions_out_of_turn(full: Storage) -> None:
    for end in (full.commit, full.rollback):
        with pytest.raises(TransactionError, match="has not begun"):
            end()
    full.begin()
    with pytest.raises(TransactionError, match="has begun a transaction already"):
        full.begin()
    full.set_container_item("letters", "a", "1")
    full.commit()
    assert full.get_container_item("letters", "a") == "1"
    with pytest.raises(TransactionError):
        full.commit()
    assert in_thread(lambda: isinstance(full, Savepoints) and full.in_transaction) is False


def test_5_after_an_error_in_a_transaction_it_goes_on(full: Storage) -> None:
    with full.transaction():
        full.set_container_item("letters", "a", "1")
        with pytest.raises(KeyError):
            full.get_container_item("letters", "missing")
        with pytest.raises(DuplicateContainerError):
            full.add_container("letters")
        with pytest.raises(FormatError):
            full.set_container_items("letters", [("b", "1"), ("c", "\ud800")])
        with pytest.raises(ZeroDivisionError):
            full.set_container_items("letters", ((str(n), 1 // (3 - n)) for n in range(9)))
        full.set_container_item("letters", "z", "1")
    assert dict(full.get_container_items("letters")) == {
        "a": "1",
        "b": "B",
        "c": "C",
        "d": "D",
        "e": "E",
        "z": "1",
    }


def test_5_a_savepoint_undoes_its_part(full: Storage) -> None:
    assert isinstance(full, Savepoints)
    with full.transaction():
        full.set_container_item("letters", "a", "kept")
        before = {c: dict(full.get_container_items(c)) for c in ("letters", "again", "cleared")}
        with pytest.raises(ZeroDivisionError), full.savepoint():
            change_everything(full)
            raise ZeroDivisionError
        assert {c: dict(full.get_container_items(c)) for c in before} == before
        assert full.get_container_len("letters") == 5
        with pytest.raises(ContainerNotFoundError):
            full.get_container_len("added")
        with full.savepoint():
            full.set_container_item("letters", "b", "kept")
            with pytest.raises(ZeroDivisionError), full.savepoint():
                full.clear()
                raise ZeroDivisionError
        with full.transaction():
            full.set_container_item("letters", "c", "kept")
        with pytest.raises(ZeroDivisionError), full.transaction():
            full.delete_container("letters")
            raise ZeroDivisionError
    assert dict(full.get_container_items("letters")) == {
        "a": "kept",
        "b": "kept",
        "c": "kept",
        "d": "D",
        "e": "E",
    }


def test_5_a_savepoint_lies_in_a_transaction(full: Storage) -> None:
    assert isinstance(full, Savepoints)
    with pytest.raises(TransactionError), full.savepoint():
        pass
    with pytest.raises(ZeroDivisionError), full.transaction(), full.savepoint():
        full.clear()
        raise ZeroDivisionError
    assert len(dump(full)) == 4


def test_5_the_first_write_may_come_in_savepoints(full: Storage) -> None:
    full.begin()
    with full.transaction():
        full.set_container_item("letters", "b", "by begin")
    full.commit()
    full.begin()
    with full.transaction():
        with pytest.raises(ZeroDivisionError), full.transaction():
            change_everything(full)
            raise ZeroDivisionError
        full.set_container_item("letters", "c", "behind a savepoint")
    with pytest.raises(ZeroDivisionError), full.transaction():
        full.clear()
        raise ZeroDivisionError
    full.commit()
    assert len(dump(full)) == 4
    assert dump(full)["letters"] == {
        "a": "A",
        "b": "by begin",
        "c": "behind a savepoint",
        "d": "D",
        "e": "E",
    }


def test_5_an_error_in_a_savepoint_of_a_reader_is_its_own(full: Storage) -> None:
    full.begin()
    with pytest.raises(DuplicateContainerError), full.transaction():
        full.add_container("letters")
    with pytest.raises(ZeroDivisionError), full.transaction(), full.transaction():
        full.set_container_item("letters", "a", "undone")
        raise ZeroDivisionError
    full.set_container_item("letters", "b", "kept")
    full.commit()
    assert dict(full.get_container_items("letters", "ab")) == {"a": "A", "b": "kept"}


# 6. Isolation: uncommitted writes are seen by no one else; after commit, by those who begin
# afterwards and not by those who had begun.


def test_6_uncommitted_writes_are_seen_by_no_one_else(letters: Storage, another: Storage) -> None:
    letters.begin()
    letters.set_container_item("letters", "a", "new")
    letters.add_container("added")
    assert read_a(letters) == "new"
    for other in (another, letters):
        assert in_thread(lambda: read_a(other)) == "A"  # noqa: B023
        with pytest.raises(ContainerNotFoundError):
            in_thread(lambda: other.get_container_len("added"))  # noqa: B023
    assert read_a(another) == "A"
    another.begin()
    assert read_a(another) == "A"
    another.rollback()
    letters.commit()
    assert read_a(another) == "new"
    assert in_thread(lambda: read_a(letters)) == "new"


def test_6_not_seen_by_those_who_had_begun(letters: Storage, another: Storage) -> None:
    another.begin()  # reads nothing yet
    letters.begin()
    letters.set_container_item("letters", "a", "new")
    letters.delete_container_item("letters", "b")
    letters.add_container("added")
    letters.commit()
    assert read_a(another) == "A"
    assert dict(another.get_container_items("letters"))["b"] == "B"
    assert another.get_container_len("letters") == 5
    assert list(another.get_container_keys("letters")) == list("abcde")
    with pytest.raises(ContainerNotFoundError):
        another.get_container_len("added")
    another.rollback()
    another.begin()
    assert read_a(another) == "new"
    assert another.get_container_len("added") == 0
    another.commit()


def test_6_a_deleted_container_is_there_for_those_who_had_begun(
    letters: Storage, another: Storage
) -> None:
    another.begin()
    letters.delete_container("letters")
    letters.add_container("letters")
    letters.set_container_item("letters", "a", "other")
    assert dict(another.get_container_items("letters")) == {c: c.upper() for c in "abcde"}
    another.commit()
    assert dict(another.get_container_items("letters")) == {"a": "other"}


def test_6_who_has_read_and_was_overtaken_may_not_write(letters: Storage, another: Storage) -> None:
    letters.begin()
    assert read_a(letters) == "A"
    another.set_container_item("letters", "b", "theirs")
    with pytest.raises(ConflictError, match="was changed by somebody else"):
        letters.set_container_item("letters", "a", "ours")
    with pytest.raises(TransactionError):
        letters.commit()
    assert dict(letters.get_container_items("letters", "ab")) == {"a": "A", "b": "theirs"}
    letters.set_container_item("letters", "a", "ours")


@pytest.mark.parametrize("is_savepoint", [False, True])
@pytest.mark.parametrize("call", [*WRITES, *READS])
def test_6_nothing_of_a_block_is_stored_alone_behind_an_error_that_ended_it(
    letters: Storage,
    another: Storage,
    monkeypatch: pytest.MonkeyPatch,
    is_savepoint: bool,
    call: str,
) -> None:
    real = letters._begin

    def begin(*, write: bool) -> None:
        real(write=False)

    # A block waits for its turn at once, and is not overtaken.
    monkeypatch.setattr(letters, "_begin", begin)
    if is_savepoint:
        letters.begin()
    words = "an error has ended the transaction of this block"
    with pytest.raises(TransactionError, match=words), letters.transaction():
        read_a(letters)
        another.set_container_item("letters", "b", "theirs")
        with pytest.raises(ConflictError):
            letters.set_container_item("letters", "a", "ours")
        with pytest.raises(TransactionError, match=words):
            {**WRITES, **READS}[call](letters)
        with pytest.raises(TransactionError, match=words), letters.transaction():
            pass
        with pytest.raises(TransactionError, match=words):
            letters.commit()
    assert dump(another) == {"letters": {"a": "A", "b": "theirs", "c": "C", "d": "D", "e": "E"}}
    with pytest.raises(TransactionError, match="has not begun"):
        letters.commit()
    letters.set_container_item("letters", "a", "ours")
    with letters.transaction():
        assert read_a(letters) == "ours"


def test_6_who_has_not_read_begins_anew(letters: Storage, another: Storage) -> None:
    letters.begin()
    another.set_container_item("letters", "b", "theirs")
    letters.set_container_item("letters", "a", "ours")
    assert dict(letters.get_container_items("letters", "ab")) == {"a": "ours", "b": "theirs"}
    letters.commit()
    assert dict(another.get_container_items("letters", "ab")) == {"a": "ours", "b": "theirs"}


@pytest.mark.parametrize("depth", [1, 2])
def test_6_a_savepoint_of_who_begins_anew_undoes_its_own_part(
    letters: Storage, another: Storage, depth: int
) -> None:
    letters.begin()
    with pytest.raises(ZeroDivisionError), ExitStack() as savepoints:
        for _ in range(depth):
            savepoints.enter_context(letters.transaction())
        another.set_container_item("letters", "theirs", "T")
        another.add_container("theirs")
        letters.set_container_item("letters", "mine", "undone")
        raise ZeroDivisionError
    letters.set_container_item("letters", "last", "L")
    letters.commit()
    kept = {letter: letter.upper() for letter in "abcde"}
    assert dump(another) == {"letters": {**kept, "last": "L", "theirs": "T"}, "theirs": {}}


def test_6_a_block_for_reading_waits_for_nobody(letters: Storage, another: Storage) -> None:
    with letters.transaction():
        letters.set_container_item("letters", "a", "new")
        with another.transaction(write=False):
            assert read_a(another) == "A"
    with another.transaction(write=False):
        assert read_a(another) == "new"


# 7. readonly refuses every write. close is final and repeatable; use after close is a StorageError.


def test_7_readonly_refuses_every_write(letters: Storage, maker: StorageMaker, path: str) -> None:
    before = dump(letters)
    with maker.make(path, readonly=True) as reader:
        for write in WRITES.values():
            with pytest.raises(ReadOnlyError) as caught:
                write(reader)
            assert isinstance(caught.value, StorageError)
            assert isinstance(caught.value, PermissionError)
            reader.begin()
            with pytest.raises(ReadOnlyError):
                write(reader)
            assert dict(reader.get_container_items("letters")) == before["letters"]
            reader.rollback()
        assert dump(reader) == before
        with reader.transaction():
            assert read_a(reader) == "A"
        letters.set_container_item("letters", "a", "new")
        assert read_a(reader) == "new"


def test_7_use_after_close(letters: Storage) -> None:
    def transaction(storage: Storage) -> None:
        with storage.transaction():
            pass

    letters.close()
    letters.close()
    ends: list[Callable[[Storage], object]] = [
        lambda s: s.begin(),
        lambda s: s.commit(),
        lambda s: s.rollback(),
        transaction,
    ]
    for use in (*WRITES.values(), *READS.values(), *ends):
        with pytest.raises(ClosedError) as caught:
            use(letters)
        assert isinstance(caught.value, StorageError)
        assert isinstance(caught.value, ValueError)


def test_7_close_is_final_for_all_threads(letters: Storage) -> None:
    reached, closed = threading.Event(), threading.Event()

    def use() -> None:
        letters.begin()
        letters.set_container_item("letters", "a", "lost")
        items = letters.get_container_items("letters")
        next(items)
        reached.set()
        assert closed.wait(30)
        for call in (lambda: read_a(letters), letters.commit):
            with pytest.raises(ClosedError):
                call()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(use)
        assert reached.wait(30)
        letters.close()
        closed.set()
        done.result(timeout=30)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns amid everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_7_who_is_amid_a_call_at_the_close_is_told_so(
    maker: StorageMaker, path: str, letters: Storage
) -> None:
    """And whoever opens the same afterwards finds nothing in the way."""
    letters.close()
    calls = [*READS.values(), WRITES["set_container_item"], WRITES["set_container_items"]]

    def use(storage: Storage, call: Callable[[Storage], object], begun: threading.Barrier) -> None:
        call(storage)
        begun.wait(30)
        with pytest.raises(ClosedError):
            while True:
                call(storage)

    with ThreadPoolExecutor(len(calls)) as pool:
        for _ in range(60):
            storage, begun = maker.make(path), threading.Barrier(len(calls) + 1)
            done = [pool.submit(use, storage, call, begun) for call in calls]
            begun.wait(30)
            time.sleep(0.002)
            storage.close()
            for one in done:
                one.result(timeout=30)


def test_7_an_iterator_that_outlives_its_storage(letters: Storage) -> None:
    items = letters.get_container_items("letters")
    assert next(items) == ("a", "A")
    letters.close()
    try:
        rest = list(items)
    except ClosedError:
        return
    assert [key for key, _ in rest] == list("bcde")
