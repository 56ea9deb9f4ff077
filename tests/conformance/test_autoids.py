"""Numbers that the schema asks for: ``"autoid": true`` (conformance, line 7)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event, Thread
from typing import Annotated, Any

import pytest

import objstore
from objstore import Commit, Dict, Directory, List, Store, ValidationError

from .aftermaths import KEEPING_THE_PAST, name_of
from .retentions import NEWEST
from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

Id = Annotated[int, {"autoid": True}]


class Task(Dict):
    id: Id
    name: str
    parts: List[Part] | None = None


class Part(Dict):
    id: Id


class Board(Directory):
    tasks: List[Task]
    people: Directory[Task]
    named: Dict[str, Task]
    settings: Task


CLASSES: list[Any] = [Board, objstore.schema.from_json(Board.__schema__)]
classes = pytest.mark.parametrize("schema", CLASSES, ids=["class", "schema"])


def ids(tasks: Any) -> list[int]:
    return [task["id"] for task in tasks]


@pytest.fixture(params=KEEPING_THE_PAST, ids=name_of)
def store(request: pytest.FixtureRequest, reopen_logged: Opener) -> Store[Any]:
    store = reopen_logged(Board)
    store["/tasks"] = []
    found: Store[Any] = request.param(store, lambda: reopen_logged(Board))
    return found


@classes
def test_07_they_fill_missing_or_null_keys_and_keep_given_ones(
    reopen_logged: Opener, schema: Any
) -> None:
    store = reopen_logged(schema)
    store["/tasks"] = [{"name": "a"}, {"name": "b", "id": None}, {"name": "c", "id": 7}]
    assert ids(store["/tasks"]) == [8, 9, 7]
    store["/tasks"].append({"name": "d"})
    store["/tasks"].append({"name": "e", "id": 3})
    store["/tasks"].append({"name": "f"})
    assert ids(store["/tasks"]) == [8, 9, 7, 10, 3, 11]
    assert store["/tasks/3"] == {"name": "d", "id": 10}


def test_a_float_without_a_fraction_is_a_number_that_was_given(reopen_logged: Opener) -> None:
    store = reopen_logged(Board)
    store["/tasks"] = [{"name": "a", "id": 2.0}, {"name": "b"}]
    store["/people/ada"] = {"name": "Ada", "id": 2.0}
    for key in ("bob", "eve"):
        store["/tasks"].append({"name": key})
        store["/people"][key] = {"name": key}
    assert ids(store["/tasks"]) == [2, 3, 4, 5]
    assert ids(store["/people"].values()) == [2, 3, 4]
    again = reopen_logged(Board)
    again["/people/zoe"] = {"name": "Zoe"}
    assert again["/people/zoe"]["id"] == 5


def test_of_what_was_there_before_floats_count_too(reopen_logged: Opener) -> None:
    reopen_logged(None)["/tasks"] = [{"name": "a", "id": 2.0}]
    store = reopen_logged(Board)
    store["/tasks"].append({"name": "b"})
    store["/tasks"].append({"name": "c"})
    assert ids(store["/tasks"]) == [2, 3, 4]


@classes
def test_every_collection_counts_for_itself(reopen_logged: Opener, schema: Any) -> None:
    store = reopen_logged(schema)
    with store.transaction():
        store["/tasks"] = [{"name": "a", "parts": [{}, {}]}, {"name": "b", "parts": [{}]}]
        store["/people/ada"] = {"name": "Ada"}
        store["/people/bob"] = {"name": "Bob", "parts": [{}]}
        store["/named"] = {"x": {"name": "x"}, "y": {"name": "y"}}
        store["/settings"] = {"name": "s"}
    assert store.head == 1
    assert ids(store["/tasks"]) == [1, 2]
    assert [ids(task["parts"]) for task in store["/tasks"]] == [[1, 2], [3]]
    assert ids(store["/people"].values()) == [1, 2]
    assert ids(store["/people/bob/parts"]) == [1]
    assert ids(store["/named"].values()) == [1, 2]
    assert store["/settings/id"] == 1


def test_07_they_only_rise(reopen_logged: Opener) -> None:
    store = reopen_logged(Board)
    store["/tasks"] = [{"name": "a"}, {"name": "b"}]
    store["/people/ada"] = {"name": "Ada"}
    del store["/tasks"][1]
    del store["/people/ada"]
    store["/tasks"].append({"name": "c"})
    assert ids(store["/tasks"]) == [1, 3]
    del store["/tasks"][1]
    store.close()
    store = reopen_logged(Board)
    store["/people/eve"] = {"name": "Eve"}
    assert store["/people/eve/id"] == 2
    del store["/people/eve"]
    for number in range(50):
        store["/settings"] = {"name": str(number), "id": 1}
    store.compact(NEWEST)
    store.close()
    store = reopen_logged(Board)
    store["/tasks"].append({"name": "d"})
    store["/people/zoe"] = {"name": "Zoe"}
    assert ids(store["/tasks"]) == [1, 4]
    assert store["/people/zoe/id"] == 3


def test_a_collection_that_the_schema_has_lost_keeps_its_numbers(reopen_logged: Opener) -> None:
    store = reopen_logged(Board)
    store["/people/ada"] = {"name": "Ada"}
    store["/people/bob"] = {"name": "Bob"}
    del store["/people/bob"]
    store.close()
    store = reopen_logged({"properties": {"settings": {}}, "additionalProperties": False})
    for number in range(3):
        store["/settings"] = {"name": str(number), "id": 1}
    assert store.compact(NEWEST) != []
    assert store.compact(NEWEST) == []
    store.close()
    store = reopen_logged(Board)
    store["/people/eve"] = {"name": "Eve"}
    assert store["/people/eve/id"] == 3


def test_what_was_given_counts_though_it_is_gone(store: Store[Any]) -> None:
    store["/tasks"].append({"name": "a", "id": 100})
    del store["/tasks"][0]
    store["/tasks"].append({"name": "b"})
    assert ids(store["/tasks"]) == [101]


def test_what_another_store_gave_is_not_given_again(reopen_logged: Opener) -> None:
    one, other = reopen_logged(Board), reopen_logged(Board)
    one["/tasks"] = []
    for number in range(10):
        one["/tasks"].append({"name": f"one {number}"})
        other["/tasks"].append({"name": f"other {number}"})
        one[f"/people/one{number}"] = {"name": "one"}
        other[f"/people/other{number}"] = {"name": "other"}
    assert ids(one["/tasks"]) == list(range(1, 21))
    assert sorted(ids(one["/people"].values())) == list(range(1, 21))


def test_what_compaction_removed_is_not_given_again(reopen_logged: Opener) -> None:
    """Also by who knows an older number, and was not there when those after it were given."""
    store, other = reopen_logged(Board), reopen_logged(Board)
    store.root.people["first"] = {"name": "1"}
    for number in range(2, 12):
        other.root.people[str(number)] = {"name": "n"}
    for number in range(20):
        other.root.settings = {"id": 1, "name": str(number)}
    other.compact(NEWEST)
    store.root.people["last"] = {"name": "12"}
    assert store.root.people["last"].id == 12


def test_rivals_get_different_numbers(reopen_logged: Opener) -> None:
    stores = [reopen_logged(Board, durability="os") for _ in range(2)]
    stores[0]["/tasks"] = []

    def make(who: int) -> None:
        store = stores[who % 2]
        for number in range(15):
            store[f"/people/{who}-{number}"] = {"name": "x"}
            store.run(lambda _: store["/tasks"].append({"name": "x"}), retries=100)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert sorted(ids(stores[0]["/tasks"])) == list(range(1, 61))
    assert sorted(ids(stores[0]["/people"].values())) == list(range(1, 61))


def test_a_transaction_that_merges_gets_the_next_ones(store: Store[Any]) -> None:
    with store.transaction():
        store["/tasks"].append({"name": "ours"})
        ours = store["/tasks/0"]
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: store["/tasks"].append({"name": "theirs"})).result(timeout=20)
        assert "id" not in ours
    assert [(task.id, task.name) for task in store["/tasks"]] == [(1, "theirs"), (2, "ours")]
    assert (ours.id, ours.name) == (2, "ours")


def test_what_fails_takes_no_number(store: Store[Any]) -> None:
    with pytest.raises(objstore.ValidationError):
        store["/tasks"].append({})
    with pytest.raises(ZeroDivisionError), store.transaction():
        store["/tasks"].append({"name": "a"})
        raise ZeroDivisionError
    store["/tasks"].append({"name": "a"})
    assert ids(store["/tasks"]) == [1]


def test_files_that_were_there_before_count(reopen_logged: Opener) -> None:
    store = reopen_logged()
    store["/tasks"] = [{"name": "a", "id": 5}]
    store["/people/ada"] = {"name": "Ada", "id": 8}
    store.close()
    store = reopen_logged(Board)
    store["/people/bob"] = {"name": "Bob"}
    store["/tasks"].append({"name": "b"})
    assert (store["/people/bob/id"], ids(store["/tasks"])) == (9, [5, 6])


def test_joint_transactions_get_them_too(store: Store[Any]) -> None:
    tx = store.new_tx(2)
    parts = [
        tx.patcher("/tasks", [{"op": "add", "path": "/-", "value": {"name": "a"}}]),
        tx.patcher("/people/ada", [{"op": "add", "path": "", "value": {"name": "A", "id": None}}]),
    ]
    with ThreadPoolExecutor(2) as pool:
        results = [one.result(timeout=20) for one in [pool.submit(p.commit) for p in parts]]
    assert [result.data for result in results] == [
        [{"name": "a", "id": 1}],
        {"name": "A", "id": 1},
    ]
    assert store.head == 2


@pytest.mark.parametrize("value", ["x", {"/tasks/*/id": 7}, {"/tasks/*/id": "x"}, None])
def test_what_was_given_is_not_said_by_others(store: Store[Any], value: Any) -> None:
    store["/tasks"].append({"name": "a"})
    meta, head = {"$autoid": value}, store.head
    refusal = "meta: expected no key '\\$autoid'"
    with pytest.raises(ValueError, match=refusal), store.transaction(meta):
        store["/tasks/0/name"] = "b"
    with pytest.raises(ValueError, match=refusal), store.transaction() as tx:
        store["/tasks"].append({"name": "b"})
        tx.meta.update(meta)
    with pytest.raises(ValueError, match=refusal):
        store.undo(head, meta)
    with pytest.raises(ValueError, match=refusal):
        store.new_tx(2, meta=meta)
    assert store.head == head
    assert store["/tasks"] == [{"name": "a", "id": 1}]
    store["/tasks"].append({"name": "b"})
    assert store["/tasks/1/id"] == 2


def test_a_change_of_another_key_takes_no_number(store: Store[Any]) -> None:
    store["/tasks"].append({"name": "a"})
    store["/tasks/0/name"] = "b"
    commits = list(store.log())
    assert [commit.meta for commit in commits] == [{}, {}, {}]
    commits = list(store._documents.commits())
    assert [("$autoid" in commit.meta) for commit in commits] == [False, True, False]
    assert commits[1].meta == {"$autoid": {"/tasks/*/id": 1}}


def test_a_commit_that_takes_no_number_waits_with_others(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the disk, and where there is more than one thread."""
    store["/tasks"] = [{"name": "a"}]
    store["/people/ada"] = {"name": "Ada"}
    commit, shares = store._documents.commit, list[bool]()

    def seen(*args: Any, **options: Any) -> Commit:
        shares.append(options["waiting"] is not None)
        return commit(*args, **options)

    monkeypatch.setattr(store._documents, "commit", seen)
    done = Event()
    other = Thread(target=done.wait)
    other.start()
    try:
        store["/tasks/0/name"] = "b"
        store["/people/ada/name"] = "A"
        store["/tasks"].append({"name": "c"})
        store["/people/bob"] = {"name": "Bob"}
        store["/people/ada/id"] = 9
        del store["/people/bob"]
    finally:
        done.set()
        other.join()
    assert shares == [True, True, False, False, False, True]
    store["/people/eve"] = {"name": "Eve"}
    assert store["/people/eve/id"] == 10


def test_what_other_scopes_commit_is_looked_at_once(
    reopen_logged: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reopen_logged(Board)
    store["/people/ada"] = {"name": "Ada"}
    one, two = store.scope("one"), store.scope("two")
    one["/people/a"] = two["/people/a"] = {"name": "a"}
    commits, looked = one._documents.commits, list[int]()

    def counted(*args: Any, **options: Any) -> list[Commit]:
        found = [*commits(*args, **options)]
        looked.append(len(found))
        return found

    monkeypatch.setattr(one._documents, "commits", counted)
    for turn in range(10):
        one[f"/people/{turn}"] = {"name": "x"}
    assert max(looked) <= 1
    assert one["/people/9/id"] == 12


def test_compaction_pins_nothing_of_its_own(store: Store[Any]) -> None:
    store.pin(store.head)
    pinned = store.pins()
    for turn in range(1, 4):
        store["/people/ada"] = {"name": "Ada"}
        assert store["/people/ada/id"] == turn
        del store["/people/ada"]
        told = store.head - 1
        store["/tasks"].append({"name": "x"})
        for place in (store, store.scope("one")):
            place.compact(NEWEST)
            assert store.pins() == pinned
            assert {one.number for one in store.log()} == {*pinned, told, store.head}


def test_commits_have_the_meta_that_they_were_given(store: Store[Any]) -> None:
    heard: Queue[Any] = Queue()
    store.on_change("", heard.put)
    live, meta = store.changes(), {"author": "me"}
    with store.transaction(meta) as tx:
        store["/tasks"].append({"name": "a"})
    commit = next(store.log(after=tx.base))
    shown = [
        tx.commit,
        commit,
        next(store.log(newest_first=True)),
        store.blame("tasks")["/tasks/0/id"],
        store.changes(after=tx.base).take(),
        live.take(),
        heard.get(timeout=20),
    ]
    assert [one.meta for one in shown if isinstance(one, Commit)] == [meta] * len(shown)
    assert {hash(one) for one in shown} == {hash(commit)}
    store.follow_commits()
    assert store.events[-1].data["meta"] == meta
    with store.transaction(commit.meta), store.transaction(commit.meta):
        store["/tasks"].append({"name": "b"})
    assert store["/tasks/1/id"] == 2


@pytest.mark.parametrize("meta", [5, "text", ["a"], [("a", 1)]])
def test_meta_is_refused_before_anything_is_done(store: Store[Any], meta: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.transaction(meta),
        lambda: store.run(print, meta=meta),
        lambda: store.new_tx(1, meta),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="meta is a mapping of text to JSON values, not"):
            call()
    with store.transaction(), pytest.raises(TypeError, match="meta is a mapping"):
        store.transaction(meta)
    with pytest.raises(ValueError, match="meta: expected no key"):
        store.transaction({"$autoid": 1})


TASKS: list[Any] = [Task, objstore.schema.from_json(Task.__schema__)]


@pytest.mark.parametrize("cls", TASKS, ids=["class", "schema"])
def test_an_object_of_no_store_may_lack_them(reopen_logged: Opener, cls: Any) -> None:
    task = cls(name="a", parts=[{}, {"id": 5}])
    task.parts.append({"id": None})
    task.name = "b"
    assert task == {"name": "b", "parts": [{}, {"id": 5}, {"id": None}]}
    assert "id" not in task
    store = reopen_logged(Board)
    store["/people/ada"] = task
    store["/tasks"] = [task, cls(name="c", id=None), cls(name="d", id=9)]
    store["/tasks"].append(cls(name="e"))
    assert store["/people/ada"] == {
        "id": 1,
        "name": "b",
        "parts": [{"id": 6}, {"id": 5}, {"id": 7}],
    }
    assert ids(store["/tasks"]) == [10, 11, 9, 12]
    assert "id" not in task


class Numbered(Dict):
    number: Annotated[int, {"autoid": True, "minimum": 100}]
    name: str
    parts: List[Part] = List[Part]()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, 'Numbered: expected key "name", found nothing'),
    ({"name": 1, "parts": [{}]}, "Numbered at /name: expected a string, found 1"),
    ({"name": "a", "number": "x"}, 'Numbered at /number: expected an integer, found "x"'),
    ({"name": "a", "number": 99}, "Numbered at /number: expected at least 100, found 99"),
    ({"name": "a", "parts": [{"id": "x"}, {}]}, "Numbered at /parts/0/id: expected an integer"),
]


@pytest.mark.parametrize(("contents", "words"), REFUSED)
def test_what_else_is_wrong_with_it_is_told(contents: dict[str, Any], words: str) -> None:
    cls: Any = Numbered
    assert cls(name="a", parts=[{}]).contents == {"name": "a", "parts": [{}]}
    with pytest.raises(ValidationError) as caught:
        cls(contents)
    assert len(caught.value.failures) == 1
    assert str(caught.value).startswith(words)
