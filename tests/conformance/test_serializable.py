"""Serializable transactions, transactions that are run again, and blocks that only read."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.transaction import Transaction
from objstore.values import show

from .library import ADA, BOB
from .retentions import NEWEST
from .test_snapshots import Pair, delete, here, pair, put, untyped

__all__ = ["pair", "untyped"]

Act = Callable[[Store[Any]], Any]


def read_ada(store: Store[Any]) -> Any:
    return store.root.people["ada"].name


def list_people(store: Store[Any]) -> Any:
    return list(store.root.people)


def look_for_eve(store: Store[Any]) -> Any:
    return "eve" in store.root.people


def get_eve(store: Store[Any]) -> Any:
    with pytest.raises(KeyError):
        return store.root.people["eve"]


def find_bob(store: Store[Any]) -> Any:
    return "bob" in store.root.people


CHANGED: list[tuple[Act, Act, str]] = [
    (read_ada, put("/people/ada/email", "x"), "/people/ada"),
    (read_ada, delete("/people/ada"), "/people/ada"),
    (list_people, put("/people/eve", ADA), "/people"),
    (look_for_eve, put("/people/eve", ADA), "/people/eve"),
    (get_eve, put("/people/eve", ADA), "/people/eve"),
    (find_bob, delete("/people/bob"), "/people/bob"),
]


@here
@pytest.mark.parametrize("writes", [True, False], ids=["writes", "only reads"])
@pytest.mark.parametrize(("read", "change", "pointer"), CHANGED)
def test_what_was_read_and_changed_is_a_conflict(
    pair: Pair, here: bool, writes: bool, read: Act, change: Act, pointer: str
) -> None:
    store = pair.ours
    conflict = pytest.raises(objstore.ConflictError, match="serializable")
    with conflict as caught, store.transaction(serializable=True):
        read(store)
        if writes:
            store["/settings/theme"] = "light"
        pair.commit(change, here=here)
    assert caught.value.pointer == pointer
    assert store["/settings/theme"] == "dark"


@here
@pytest.mark.parametrize(("read", "change", "pointer"), CHANGED)
def test_the_same_is_none_in_a_snapshot(
    pair: Pair, here: bool, read: Act, change: Act, pointer: str
) -> None:
    store = pair.ours
    with store.transaction():
        before = read(store)
        pair.commit(change, here=here)
        store["/settings/theme"] = "light"
        assert read(store) == before
    assert store["/settings/theme"] == "light"


@here
def test_what_was_not_read_may_change(pair: Pair, here: bool) -> None:
    store = pair.ours
    with store.transaction(serializable=True) as transaction:
        ada = store.root.people["ada"]
        assert ada.name == "Ada"
        assert "zoe" not in store.root.people
        pair.commit(put("/people/bob/email", "x"), here=here)
        pair.commit(put("/people/eve", ADA), here=here)
        ada.email = "y"
    assert transaction.commit is not None
    assert ada.email == "y"


@here
def test_a_file_that_was_changed_and_changed_back_is_as_it_was(pair: Pair, here: bool) -> None:
    store = pair.ours
    with store.transaction(serializable=True):
        assert store.root.people["ada"] == ADA
        pair.commit(put("/people/ada/email", "x"), here=here)
        pair.commit(lambda store: store.DELETE("/people/ada/email"), here=here)
        store["/settings/theme"] = "light"
    assert store["/settings/theme"] == "light"


@here
def test_a_directory_in_the_place_of_what_was_not_there_is_a_conflict(
    untyped: Pair, here: bool
) -> None:
    store = untyped.ours
    store["/a"] = {}
    with (
        pytest.raises(objstore.ConflictError, match="serializable") as caught,
        store.transaction(serializable=True),
    ):
        assert "/x" not in store
        store["/a/n"] = 1
        untyped.commit(put("/x/y", {}), here=here)
    assert caught.value.pointer == "/x"
    assert store["/a"] == {}


@here
def test_no_write_skew(pair: Pair, here: bool) -> None:
    """Each takes away one of two if both are there; one must stay."""
    store = pair.ours

    def take(store: Store[Any], name: str) -> None:
        if len(store.root.people) > 1:
            del store.root.people[name]

    def theirs(store: Store[Any]) -> None:
        with store.transaction(serializable=True):
            take(store, "bob")

    with pytest.raises(objstore.ConflictError), store.transaction(serializable=True):
        take(store, "ada")
        pair.commit(theirs, here=here)
    assert list(store.root.people) == ["ada"]


def test_attributes_found_in_objects_count_as_read(pair: Pair) -> None:
    store = pair.ours
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    with pytest.raises(objstore.ConflictError), store.transaction(serializable=True):
        assert ada.name == "Ada"
        pair.commit(lambda store: store.root.people["ada"].name, here=True)
        assert ada.name == "Ada"
        pair.commit(put("/people/ada/name", "Later"), here=True)


def test_a_change_between_the_look_and_the_commit_is_seen(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backing judges what a commit rests on under its own lock."""
    store = pair.ours
    commit = store._documents.commit

    def change_first(change: Act) -> None:
        def late(*args: Any, **options: Any) -> Any:
            monkeypatch.undo()
            change(pair.theirs)
            return commit(*args, **options)

        monkeypatch.setattr(store._documents, "commit", late)

    for read, change, pointer in CHANGED[:3]:
        with pytest.raises(objstore.ConflictError) as caught, store.transaction(serializable=True):
            read(store)
            store["/settings/theme"] = "light"
            change_first(change)
        assert caught.value.pointer == pointer
        pair.theirs["/people/ada"] = ADA
    assert store["/settings/theme"] == "dark"


def test_a_file_that_was_changed_does_not_merge_whenever_others_change_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also right after all that was read was found to be as it was."""
    store = pair.ours
    require_unchanged = store._require_unchanged

    def change_then(tx: Transaction) -> None:
        require_unchanged(tx)
        monkeypatch.undo()
        pair.theirs["/people/ada/email"] = "theirs"

    monkeypatch.setattr(store, "_require_unchanged", change_then)
    with pytest.raises(objstore.ConflictError) as caught, store.transaction(serializable=True):
        store["/people/ada/name"] = f"{store['/people/ada'].get('email')}"
    assert caught.value.pointer == "/people/ada"
    assert store["/people/ada"] == {**ADA, "email": "theirs"}


def test_a_savepoint_is_no_more_serializable_than_what_is_around_it(pair: Pair) -> None:
    store = pair.ours
    with store.transaction(), pytest.raises(objstore.TransactionError, match="as serializable as"):
        store.transaction(serializable=True)
    with store.transaction(serializable=True), store.transaction(serializable=True):
        store["/settings/theme"] = "light"
    assert store["/settings/theme"] == "light"


# --- run ------------------------------------------------------------------------------------------


def test_run_tries_again_after_a_conflict(pair: Pair) -> None:
    def count_up(store: Store[Any]) -> int:
        def act(transaction: Transaction) -> int:
            transaction.meta["by"] = "count"
            bob = store.root.people["bob"]
            bob.born += 1
            return int(bob.born)

        return store.run(act, retries=1000)

    with ThreadPoolExecutor(4) as pool:
        stores = [pair.ours, pair.theirs] * 30
        results = list(pool.map(count_up, stores))
    assert sorted(results) == list(range(1971, 2031))
    assert pair.ours.root.people["bob"].born == 2030


def test_run_tries_again_where_compaction_removed_what_it_began_with(pair: Pair) -> None:
    calls: list[int] = []

    def act(transaction: Transaction) -> str:
        calls.append(transaction.base)
        if len(calls) == 1:
            pair.commit(put("/settings/theme", "light"), here=False)
            pair.commit(put("/people/bob/born", 1980), here=False)
            gone = pair.theirs.compact(NEWEST)
            assert calls[0] in gone
        return str(pair.ours["/settings/theme"])

    assert pair.ours.run(act) == "light"
    assert len(calls) == 2


def test_run_gives_up_after_its_retries(pair: Pair) -> None:
    calls: list[int] = []
    numbers = itertools.count()

    def act(transaction: Transaction) -> None:
        calls.append(1)
        pair.ours.root.people["bob"].born += 1
        pair.commit(put("/people/bob/born", next(numbers)), here=True)

    for retries in (0, 2):
        calls.clear()
        with pytest.raises(objstore.ConflictError):
            pair.ours.run(act, retries=retries)
        assert len(calls) == retries + 1


def test_run_takes_back_what_fails_and_hands_on_the_error(pair: Pair) -> None:
    def act(transaction: Transaction) -> None:
        pair.ours["/settings/theme"] = "light"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pair.ours.run(act)
    assert pair.ours["/settings/theme"] == "dark"


def test_run_within_a_transaction_is_a_savepoint(pair: Pair) -> None:
    store = pair.ours

    def fail(transaction: Transaction) -> None:
        store["/settings/theme"] = "light"
        raise ZeroDivisionError

    with store.transaction() as transaction:
        with pytest.raises(ZeroDivisionError):
            store.run(fail)
        assert store["/settings/theme"] == "dark"
        assert store.run(lambda tx: tx, meta={"who": "run"}) is transaction
        store["/people/ada/email"] = "x"
    assert transaction.commit is not None
    assert transaction.commit.meta == {"who": "run"}


def test_run_refuses_what_would_run_later(pair: Pair) -> None:
    store = pair.ours

    async def later(transaction: Transaction) -> None:
        store["/settings/theme"] = "light"

    async def pieces(transaction: Transaction) -> Any:
        yield 1

    def parts(transaction: Transaction) -> Any:
        store["/settings/theme"] = "light"
        yield 1

    functions: list[Any] = [later, pieces, parts]
    for fn in functions:
        with pytest.raises(TypeError, match="coroutine or a generator"):
            store.run(fn)
    with pytest.raises(ValueError, match="retries must be 0 or more, not -1"):
        store.run(lambda transaction: 5, retries=-1)
    for odd in (1.5, None, "2", True):
        with pytest.raises(TypeError, match=f"retries is a whole number, not {show(odd)}"):
            store.run(lambda transaction: 5, retries=odd)  # type: ignore[arg-type]

    async def main() -> int:
        return store.run(lambda transaction: 5)

    assert asyncio.run(main()) == 5
    assert store["/settings/theme"] == "dark"


# --- snapshot views -------------------------------------------------------------------------------


@here
def test_a_snapshot_view_is_as_of_its_start(pair: Pair, here: bool) -> None:
    store = pair.ours
    head = store.head
    with store.snapshot_view() as number:
        assert number == head
        pair.commit(put("/people/ada/email", "later"), here=here)
        pair.commit(put("/people/eve", ADA), here=here)
        assert store.root.people == {"ada": ADA, "bob": BOB}
    assert list(store.root.people) == ["ada", "bob", "eve"]
    assert store.head == head + 2


def test_nothing_can_be_changed_in_a_snapshot_view(pair: Pair) -> None:
    store = pair.ours
    tags = store.root.people["bob"].tags
    changes: list[Act] = [
        put("/people/ada/email", "x"),
        put("/people/eve", ADA),
        delete("/people/ada"),
        lambda store: store.root.people.clear(),
        lambda store: tags.append("x"),
        lambda store: store.root.settings.update(theme="light"),
    ]
    head = store.head
    for change in changes:
        with store.snapshot_view():
            with pytest.raises(objstore.ReadOnlyError):
                change(store)
            with store.transaction(), pytest.raises(objstore.ReadOnlyError):
                change(store)
    assert store.head == head
    assert store.root.people == {"ada": ADA, "bob": BOB}
    changes[0](store)


def test_a_snapshot_view_within_a_transaction_sees_what_that_does(pair: Pair) -> None:
    store = pair.ours
    with store.transaction():
        store["/people/ada/email"] = "ours"
        with store.snapshot_view():
            assert store["/people/ada/email"] == "ours"
            with store.snapshot_view(), pytest.raises(objstore.ReadOnlyError):
                store["/people/ada/email"] = "more"
            with pytest.raises(objstore.ReadOnlyError):
                store["/people/ada/email"] = "more"
        store["/people/ada/born"] = 1
    assert store.root.people["ada"] == {**ADA, "email": "ours", "born": 1}


def test_a_store_that_is_read_only_has_views(pair: Pair) -> None:
    with objstore.open(pair.ours.url, readonly=True) as store, store.snapshot_view():
        pair.commit(delete("/people/ada"), here=True)
        assert store["/people/ada"] == ADA
