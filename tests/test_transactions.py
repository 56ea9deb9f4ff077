"""Transactions: drafts, rollback, savepoints, and who sees what when."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest

import objstore
from objstore import Dict, Directory, List, Store

from .conformance.library import ADA, BOB, Library, fill


@pytest.fixture
def store() -> Iterator[Store[Library]]:
    with objstore.open("memory://", Library) as store:
        fill(store)
        yield store


def elsewhere(act: Callable[[], Any]) -> Any:
    """Do something in another thread, and wait for it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result(timeout=20)


# --- one transaction ------------------------------------------------------------------------------


def test_both_or_neither(store: Store[Library]) -> None:
    with store.transaction() as transaction:
        store.root.people["eve"] = {"name": "Eve", "born": 1990}
        del store.root.people["bob"]
    assert transaction.commit is not None
    assert transaction.commit.number == store.head
    assert set(store.root.people) == {"ada", "eve"}
    with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
        store.root.people["zoe"] = {"name": "Zoe", "born": 1991}
        del store.root.people["ada"]
        store.root.people["eve"].name = "Eva"
        raise ZeroDivisionError
    assert transaction.commit is None
    assert set(store.root.people) == {"ada", "eve"}
    assert store.root.people["eve"].name == "Eve"


def test_meta_goes_into_the_commit(store: Store[Library]) -> None:
    with store.transaction(meta={"author": "me"}) as transaction:
        store.root.people["ada"].email = "a"
        with store.transaction(meta={"reason": "because"}):
            store.root.people["ada"].email = "b"
    assert transaction.commit is not None
    assert transaction.commit.meta == {"author": "me", "reason": "because"}


def test_nothing_changed_is_no_commit(store: Store[Library]) -> None:
    head = store.head
    with store.transaction() as transaction:
        ada = store.root.people["ada"]
        ada.born = 1
        ada.born = 1815
        ada.email = "x"
        del ada.email
    assert transaction.commit is None
    store.root.people["ada"].name = "Ada"
    assert store.head == head


def test_a_transaction_reads_its_own_writes(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    tags = bob.tags
    with store.transaction():
        bob.name = "Rob"
        tags.append("c")
        assert (bob.name, bob["name"], bob.get_initial()) == ("Rob", "Rob", "R")
        assert tags == bob.tags == ["a", "b", "c"]
        assert store.root.people == {
            "ada": ADA,
            "bob": {**BOB, "name": "Rob", "tags": tags.contents},
        }
        store.root.people["new"] = ADA
        assert "new" in store.root.people
        del store.root.people["ada"]
        assert list(store.root.people) == ["bob", "new"]
        with pytest.raises(KeyError):
            store.root.people["ada"]


def test_a_failed_commit_takes_everything_back(store: Store[Library]) -> None:
    bob = store.root.people["bob"]
    with pytest.raises(objstore.ValidationError), store.transaction():
        bob.name = "Rob"
        bob.PUT("born", "x")
    assert bob == BOB
    assert bob.name == "Bob"
    bob.name = "Rob"
    assert bob.name == "Rob"


def test_contents_may_be_wrong_in_between(store: Store[Library]) -> None:
    bob = store.root.people["bob"]
    with store.transaction():
        del bob.born
        bob.born = 1971
    assert bob.born == 1971


# --- savepoints -----------------------------------------------------------------------------------


def test_a_savepoint_has_what_a_transaction_has(store: Store[Library]) -> None:
    base, ada = store.head, store.root.people["ada"]

    def work(n: int) -> None:
        with store.transaction({"n": n}) as tx:
            assert (tx.meta["n"], tx.base, tx.id, tx.serializable) == (n, base, None, True)
            tx.meta["by"] = f"work {n}"
            ada.email = f"ada{n}@example.org"
            if n > 1:
                raise ZeroDivisionError

    with store.transaction({"why": "a test"}, serializable=True) as outer:
        work(1)
        with pytest.raises(ZeroDivisionError):
            work(2)
    assert outer.commit is not None
    assert outer.commit.meta == {"why": "a test", "n": 1, "by": "work 1"}
    assert ada.email == "ada1@example.org"


def test_savepoints_take_back_what_was_done_since(store: Store[Library]) -> None:
    bob = store.root.people["bob"]
    with store.transaction():
        bob.tags.append("kept")
        with pytest.raises(ZeroDivisionError), store.transaction():
            bob.tags.append("lost")
            bob.tags.insert(0, "lost")
            store.root.people["ada"].email = "lost"
            store.root.people["eve"] = ADA
            raise ZeroDivisionError
        assert bob.tags == ["a", "b", "kept"]
        assert "eve" not in store.root.people
        with store.transaction():
            bob.tags.append("too")
    assert bob.tags == ["a", "b", "kept", "too"]
    assert store.root.people["ada"] == ADA


def test_transactions_end_in_order_and_once(store: Store[Library]) -> None:
    transaction = store.transaction()
    with transaction:
        pass
    with pytest.raises(objstore.TransactionError), transaction:
        pass
    with pytest.raises(objstore.TransactionError):
        transaction.__exit__(None, None, None)


# --- threads and tasks ----------------------------------------------------------------------------


def test_threads_do_not_see_each_others_drafts(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"  # mirrored from here on
    with store.transaction():
        ada.name = "Draft"
        assert ada.name == "Draft"
        assert elsewhere(lambda: (ada.name, ada["name"], ada.contents["name"])) == ("Ada",) * 3
        assert elsewhere(lambda: "eve" in store.root.people) is False
        store.root.people["eve"] = ADA
        assert elsewhere(lambda: list(store.root.people)) == ["ada", "bob"]
    assert elsewhere(lambda: ada.name) == "Draft"


def test_a_transaction_does_not_see_later_commits(store: Store[Library]) -> None:
    ada, tags = store.root.people["ada"], store.root.people["bob"].tags
    assert ada.name == "Ada"
    with store.transaction():

        def others_commit() -> None:
            ada.name = "Later"
            tags.insert(0, "later")
            store.root.people["eve"] = ADA
            del store.root.people["bob"].tags[1]

        elsewhere(others_commit)
        assert elsewhere(lambda: (ada.name, list(tags))) == ("Later", ["later", "b"])
        assert ada.name == "Ada"
        assert tags == ["a", "b"]
        assert "eve" not in store.root.people
        assert list(store) == ["/people/ada", "/people/bob", "/reading", "/settings"]
    assert ada.name == "Later"
    assert "eve" in store.root.people


def test_held_elements_stay_where_each_transaction_has_them(store: Store[Library]) -> None:
    reading = store.root.reading
    emma, ulysses = reading
    with store.transaction():

        def others_commit() -> None:
            reading.insert(0, {"title": "Dubliners"})
            reading.pop(1)
            assert ulysses.title == "Ulysses"
            assert reading.index(ulysses) == 1

        elsewhere(others_commit)
        assert emma.title == "Emma"
        assert reading[0] is emma
        assert reading[1] is ulysses
    assert ulysses.title == "Ulysses"
    with pytest.raises(objstore.DetachedError):
        emma.title


# --- two transactions on one file -----------------------------------------------------------------


def test_changes_of_different_places_merge(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    with store.transaction():
        bob.email = "ours"
        bob.tags.append("ours")

        def others_commit() -> None:
            bob.born = 1971
            bob.tags.append("theirs")
            bob.PUT("friends", [{"street": "theirs"}])

        elsewhere(others_commit)
        assert (bob.born, bob.tags) == (1970, ["a", "b", "ours"])
    assert bob == {
        **BOB,
        "email": "ours",
        "born": 1971,
        "tags": ["a", "b", "theirs", "ours"],
        "friends": [{"street": "theirs"}],
    }
    assert store.head == 5


@pytest.mark.parametrize(
    ("ours", "theirs", "pointer"),
    [
        ({"name": "Ours"}, {"name": "Theirs"}, "/people/bob/name"),
        ({"born": 1971}, {"born": 1971}, "/people/bob/born"),  # both counted one up
        ({"tags": ["a"]}, {"tags": ["a", "b", "c"]}, "/people/bob/tags"),
        ({"tags": ["x", "a", "b"]}, {"tags": ["b"]}, "/people/bob/tags"),
        ({"address": {"street": "o"}}, {"address": {"street": "t"}}, "/people/bob/address"),
    ],
)
def test_changes_of_one_place_conflict(
    store: Store[Library], ours: dict[str, Any], theirs: dict[str, Any], pointer: str
) -> None:
    bob = store.root.people["bob"]
    key = pointer.split("/")[3]
    with pytest.raises(objstore.ConflictError) as caught, store.transaction():
        bob.update(ours)
        store.root.people["ada"].email = "not written either"
        elsewhere(lambda: bob.update(theirs))
        assert bob[key] == ours[key]
    error = caught.value
    assert error.pointer == pointer
    assert error.base == BOB.get(key, objstore.MISSING)
    assert (error.ours, error.theirs) == (ours[key], theirs[key])
    assert bob == {**BOB, **theirs}
    assert store.root.people["ada"] == ADA


def test_a_deleted_file_conflicts_with_its_change(store: Store[Library]) -> None:
    people = store.root.people
    with pytest.raises(objstore.ConflictError) as caught, store.transaction():
        people["bob"].email = "ours"
        elsewhere(lambda: people.__delitem__("bob"))
    assert caught.value.pointer == "/people/bob"
    assert caught.value.theirs is objstore.MISSING
    with pytest.raises(objstore.ConflictError), store.transaction():
        people["new"] = ADA
        elsewhere(lambda: people.__setitem__("new", BOB))
    assert people["new"] == BOB


def test_a_merge_must_fit_the_schema_as_a_whole() -> None:
    schema = {"additionalProperties": {"type": "object", "maxProperties": 2}}
    with objstore.open("memory://", schema) as store:
        store["x"] = {"a": 1}
        with pytest.raises(objstore.ValidationError, match="at most 2"), store.transaction():
            store["x"]["b"] = 1
            elsewhere(lambda: store["x"].__setitem__("c", 1))
        assert store["x"] == {"a": 1, "c": 1}


class Task(Dict):
    id: int
    done: bool = False


class Board(Directory):
    tasks: Annotated[List[Task], {"mergeKey": "id"}]


@pytest.mark.parametrize("schema", [Board, objstore.schema.from_json(Board.__schema__)])
def test_lists_merge_by_the_key_that_their_schema_names(schema: Any) -> None:
    with objstore.open("memory://", schema) as store:
        store["tasks"] = [{"id": 1}, {"id": 2}, {"id": 3}]
        tasks: Any = store["tasks"]
        third = tasks[2]

        def others_commit() -> None:
            del tasks[0]
            tasks.append({"id": 4})

        with store.transaction():
            tasks.insert(0, {"id": 9})
            tasks[2].done = True
            elsewhere(others_commit)
        assert {task.id: task.done for task in tasks} == {9: False, 2: True, 3: False, 4: False}
        assert third.id == 3


def test_held_elements_follow_through_a_merge(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    with store.transaction():
        bob.PUT("friends", [{"street": street} for street in "abc"])
    a, b, c = list(bob.friends)
    with store.transaction():
        bob.friends.insert(1, {"street": "new"})
        new = bob.friends[1]
        elsewhere(lambda: setattr(bob, "email", "theirs"))
    assert [part.street for part in (a, new, b, c)] == ["a", "new", "b", "c"]
    with store.transaction():
        bob.name = "Ours"

        def others_commit() -> None:
            del bob.friends[0]
            bob.friends.append({"street": "last"})

        elsewhere(others_commit)
        assert a.street == "a"
    assert [part.street for part in (new, b, c)] == ["new", "b", "c"]
    with pytest.raises(objstore.DetachedError):
        a.street
    assert bob.friends[3].street == "last"


@pytest.mark.parametrize("keyed", [False, True])
def test_an_element_that_both_sides_changed_is_still_the_one_held(keyed: bool) -> None:
    items: dict[str, Any] = {"items": {"type": "object"}, "type": "array"}
    schema = {"properties": {"list": {**items, **({"mergeKey": "n"} if keyed else {})}}}
    with objstore.open("memory://", schema) as store:
        store["list"] = [{"n": 1}, {"n": 2}, {"n": 3}]
        found: Any = store["list"]
        held = list(found)

        def others_commit() -> None:
            held[1]["theirs"] = held[2]["theirs"] = True
            found.append({"n": 5})
            if keyed:
                del found[0]

        with store.transaction():
            held[1]["ours"] = held[2]["ours"] = True
            found.append({"n": 4})
            last = found[3]
            elsewhere(others_commit)
        both = {"ours": True, "theirs": True}
        assert (held[1], held[2], last) == ({"n": 2, **both}, {"n": 3, **both}, {"n": 4})
        if not keyed:
            assert held[0] == {"n": 1}
        held[1]["more"] = 1
        assert held[1] == {"n": 2, **both, "more": 1}


def test_savepoints_and_merges_together(store: Store[Library]) -> None:
    bob: Any = store.root.people["bob"]
    with store.transaction():
        bob.email = "ours"
        elsewhere(lambda: setattr(bob, "born", 1971))
        with pytest.raises(ZeroDivisionError), store.transaction():
            bob.name = "lost"
            raise ZeroDivisionError
    assert bob == {**BOB, "email": "ours", "born": 1971}


def test_tasks_do_not_see_each_others_drafts(store: Store[Library]) -> None:
    ada = store.root.people["ada"]

    async def write(started: asyncio.Event, go_on: asyncio.Event) -> None:
        with store.transaction():
            ada.name = "Draft"
            started.set()
            await go_on.wait()
            assert ada.name == "Draft"

    async def main() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()
        writer = asyncio.create_task(write(started, go_on))
        await started.wait()
        assert ada.name == "Ada"
        with store.transaction():
            # A task started here has a copy of this context, and still its own view.
            ada.email = "draft"
            other = asyncio.create_task(asyncio.to_thread(lambda: ada.email))
            assert await other is None
            assert await asyncio.create_task(read(ada)) is None
            assert ada.email == "draft"
            del ada.email
        go_on.set()
        await writer
        assert ada.name == "Draft"

    async def read(person: Any) -> Any:
        return person.email

    asyncio.run(main())


def test_many_threads_lose_no_update(store: Store[Library]) -> None:
    bob = store.root.people["bob"]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(25):
                bob.tags.append(f"{number}-{step}")
                assert f"{number}-{step}" in bob.tags
                assert bob.name == "Bob"
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(bob.tags) == 2 + 6 * 25
    assert len(set(bob.tags)) == 2 + 6 * 25


def test_readers_see_transactions_whole(store: Store[Library]) -> None:
    """Two files always change together; nobody may see one of them ahead."""
    ada, bob = store.root.people["ada"], store.root.people["bob"]
    with store.transaction():
        ada.born = bob.born = 0
    done = threading.Event()
    torn: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            with store.transaction():
                first, second = ada.born, bob.born
                if first != second or (ada["born"], bob["born"]) != (first, second):
                    torn.append((first, second))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 150):
        with store.transaction():
            ada.born = number
            bob.born = number
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []


# --- mirrored values ------------------------------------------------------------------------------


def test_clean_values_are_found_without_a_call(store: Store[Library]) -> None:
    bob = store.root.people["bob"]

    def mirrored() -> set[str]:
        return vars(bob).keys() & BOB.keys()

    assert mirrored() == set()
    assert bob.name == "Bob"
    assert mirrored() == set()  # it may be the only one that anybody wants of it
    assert (bob.name, bob.tags[0], bob.age) == ("Bob", "a", 56)
    assert mirrored() == {"name", "tags", "born"}
    with store.transaction():
        assert bob.name == "Bob"
        assert "name" in mirrored()
        bob.email = "x"
        assert mirrored() == set()
        assert bob.name == "Bob"
        assert mirrored() == set()
    assert bob.name == "Bob"
    assert "name" in mirrored()
    elsewhere(lambda: setattr(bob, "name", "Rob"))
    assert bob.name == "Rob"


def test_objects_that_nobody_holds_leave_nothing_behind() -> None:
    with objstore.open("memory://") as store:
        store["many"] = [{"n": number} for number in range(500)]
        many: Any = store["many"]
        unit = many._unit
        sizes: list[tuple[int, int]] = []
        for _ in range(6):
            assert sum(part.n for part in many) == 499 * 250
            gc.collect()
            sizes.append((len(unit.mirrored), len(many._kids)))
        assert max(sizes) == max(sizes[:2])
        assert sizes[-1][0] < 100
        first = many[0]
        assert many[0] is first


def test_keys_named_like_methods_are_items(store: Store[Library]) -> None:
    store.root["anything"] = {"items": 1, "keys": {"contents": 2}, "_unit": 3, "a b": 4}
    found = store.root.anything
    assert (found["items"], found["keys"]["contents"], found["_unit"], found["a b"]) == (1, 2, 3, 4)
    assert found["items"] == 1
    assert callable(found.items)
    with pytest.raises(AttributeError, match=r"obj\['items'\]"):
        found.items = 5  # type: ignore[assignment, method-assign]
    found["items"] = 5
    assert dict(found.items())["items"] == 5


def test_who_asks_for_the_end_of_a_transaction_does_not_end_it(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["a"] = {"n": 0}
        with store.transaction() as tx:
            assert hasattr(tx, "__exit__")
            store["a"]["n"] = 1
            assert store.current() is tx
        tx = store.transaction()
        assert hasattr(tx, "__exit__")
        tx.__enter__()
        store["a"]["n"] = 2
        assert store.current() is tx
        tx.__exit__(None, None, None)
        with ExitStack() as stack:
            inner = stack.enter_context(store.transaction())
            store["a"]["n"] = 3
            assert store.current() is inner
            assert stack.enter_context(store.snapshot_view()) == 3
            assert store["a"]["n"] == 3
        assert [one.number for one in store.log("a/n")] == [1, 2, 3, 4]


def test_a_savepoint_that_is_taken_back_empties_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with objstore.open(tmp_path) as store, store.transaction():
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.root["empty"].clear()
            assert "empty" not in store.root
            raise ZeroDivisionError
        assert "empty" in store.root
