"""Joint transactions: what seed 001 promises of them, and what its original got wrong.

The numbers in the names are those of the conformance list, "Documents and the commit log".
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import objstore
from objstore import MISSING, Result, Store
from objstore.joint import Tx

from .joint import add, commit, replace, store, together
from .library import ADA, BOB, Library, fill
from .stores import Opener, reopen_logged

__all__ = ["reopen_logged", "store"]


# --- 1: as many as it takes -----------------------------------------------------------------------


def test_01_it_is_incomplete_until_all_have_joined(store: Store[Any]) -> None:
    tx = store.new_tx(3, timeout=30)
    before = store.head
    with ThreadPoolExecutor(3) as pool:
        running: list[Future[Result]] = []
        for number in range(3):
            assert store.head == before
            assert not any(one.done() for one in running)
            patcher = tx.patcher("/doc", [add(f"/{number}", number)] if number == 2 else [])
            running.append(pool.submit(patcher.commit))
            time.sleep(0.05)
        assert {one.result(timeout=30).commit for one in running} == {before + 1}


def test_01_one_more_is_refused(store: Store[Any]) -> None:
    tx: Tx = store.new_tx(2, timeout=5)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(tx.patcher("/doc/a", [add("/z", 1)]).commit)
        while len(tx._meetings.notes(tx.id)) < 2:
            time.sleep(0.001)
        # The second and the third find each other there; only one of them is the second.
        results = [pool_result(tx, "/doc/b"), pool_result(tx, "/doc/list")]
        assert first.result(timeout=30).committed
    refused = [one for one in results if isinstance(one, objstore.TransactionError)]
    assert len(refused) == 1
    assert store.head == 2


def pool_result(tx: Tx, path: str) -> Result | objstore.TransactionError:
    try:
        return tx.patcher(path, []).commit()
    except objstore.TransactionError as error:
        return error


def test_numbers_that_make_no_sense_are_refused(store: Store[Any]) -> None:
    for participants in (0, -1, True, "2", 1.5):
        with pytest.raises(ValueError, match="participants"):
            store.new_tx(participants)  # type: ignore[arg-type]
    for timeout in (0, -1, 86401):
        with pytest.raises(ValueError, match="timeout"):
            store.new_tx(1, timeout=timeout)


# --- 2: one commit --------------------------------------------------------------------------------


def test_02_the_commit_is_the_last_plus_one_and_every_participant_gets_it(
    reopen_logged: Opener,
) -> None:
    store = reopen_logged()
    assert store.head == 0
    ids: list[str] = []
    for number in range(1, 4):
        tx = store.new_tx(3, {"author": "all", "number": number})
        parts = [tx.patcher(f"/d{n}", [add("", {"n": number})]) for n in range(3)]
        ids.append(tx.id)
        results = together(*parts)
        assert [one.commit for one in results] == [number] * 3
        assert [one.data for one in results] == [{"n": number}] * 3
        assert all(one.committed and one.matched and one.error is None for one in results)
        assert store.head == number
    found = list(store.log())
    assert [one.number for one in found] == [1, 2, 3]
    assert [len(one.changes) for one in found] == [3, 3, 3]
    assert found[2].meta == {"author": "all", "number": 3}
    assert [one.tx for one in found] == ids


def test_participants_of_another_store_find_it_by_its_id(reopen_logged: Opener) -> None:
    one, other = reopen_logged(), reopen_logged()
    tx = one.new_tx(2, {"why": "both"}, timeout=30)
    same = other.get_tx(tx.id)
    assert (same.participants, same.meta, same.timeout) == (2, {"why": "both"}, 30)
    parts = [tx.patcher("/a", [add("", {"n": 1})]), same.patcher("/b", [add("", {"n": 2})])]
    assert [result.commit for result in together(*parts)] == [1, 1]
    assert (one["/b"], other["/a"]) == ({"n": 2}, {"n": 1})


def test_the_data_of_a_result_is_its_participants_own(store: Store[Any]) -> None:
    tx = store.new_tx(2)
    add_z = [add("/z", [1])]
    one, other = together(tx.patcher("/doc/a", add_z), tx.patcher("/doc/b", add_z))
    data: Any = one.data
    data["z"].append("ours")
    assert (store["/doc/a"], other.data) == ({"x": 1, "z": [1]}, {"y": 2, "z": [1]})


def test_the_seeds_names(store: Store[Any]) -> None:
    tx = store.new_tx(1)
    assert tx.new_patcher("/doc/a", [add("/z", 1)]).wait_for_completion().committed


# --- 3: matches -----------------------------------------------------------------------------------

HOLD: list[tuple[str, Any]] = [
    ("/doc", {"a": {"x": 1}}),
    ("/doc", {"a": {}, "list": [{"n": 1}, {}, {"n": 3}]}),
    ("/doc/a/x", 1),
    ("/doc/a/x", 1.0),
    ("", {"doc": {"b": {"y": 2}}}),
    ("/doc/nothing", MISSING),
    ("/nothing", MISSING),
    ("/doc/list/0", [{"op": "test", "path": "/n", "value": 1}]),
    ("/doc/list", [{"n": 1}, {"n": 2}, {"n": 3}]),
    ("", [{"op": "test", "path": "/doc/a", "value": {"x": 1}}]),
    ("doc.list[1].n", 2),
]

FAIL: list[tuple[str, Any]] = [
    ("/doc", {"a": {"x": 2}}),
    ("/doc", {"c": {}}),
    ("/doc/a/x", True),
    ("/doc/a", {"x": None}),
    ("/doc/list", [{"n": 1}]),
    ("", {"other": {}}),
    ("", {"doc": 5}),
    ("", 5),
    ("/nothing", {}),
    ("/doc", MISSING),
    ("/doc/a", [{"op": "test", "path": "", "value": {}}]),
    ("/doc/a", [{"op": "test", "path": "/z", "value": 1}]),
    ("/other", [{"op": "test", "path": "/z", "value": 1}]),
]


@pytest.mark.parametrize(("path", "match"), HOLD)
def test_a_match_that_holds(store: Store[Any], path: str, match: Any) -> None:
    assert commit(store, (path, [], match), ("/doc/b", [add("/z", 1)])).committed


@pytest.mark.parametrize(("path", "match"), FAIL)
def test_03_a_failed_match_is_no_error_and_nothing_is_written(
    store: Store[Any], path: str, match: Any
) -> None:
    tx = store.new_tx(2)
    parts = [tx.patcher("/doc/b", [add("/z", 1)]), tx.patcher(path, [], match)]
    assert together(*parts) == [Result(False, False, None, MISSING, None)] * 2
    assert store.head == 1
    assert store["/doc/b"] == {"y": 2}
    with pytest.raises(objstore.TransactionNotFoundError):
        store.get_tx(tx.id)


def test_03_a_match_that_cannot_be_read_aborts(reopen_logged: Opener) -> None:
    store = reopen_logged(Library)
    fill(store)
    test = {"op": "test", "path": "/name", "value": "Ada"}
    for match in (
        [{"op": "test", "path": "name", "value": 1}],
        [{"op": "test", "path": ""}],
        [test, {"op": "remove", "path": "/name"}],
        [{"op": "remove", "path": "/name"}],
    ):
        with pytest.raises(objstore.PatchError):
            store.new_tx(1).patcher("/people/ada", [], match)
    with pytest.raises(objstore.KeyNameError, match=r"the participant's name .* lone surrogate"):
        store.new_tx(1).patcher("/people/ada", [], name="\ud800")
    result = commit(store, ("/people/ada", [add("/email", "x")]), ("/nowhere", [], {"a": 1}))
    assert (result.committed, result.commit) == (False, None)
    assert isinstance(result.error, objstore.ValidationError)
    assert store.root.people["ada"] == ADA


# --- 4: again, and never --------------------------------------------------------------------------


def test_04_committing_again_returns_the_same(store: Store[Any]) -> None:
    tx = store.new_tx(1)
    patcher = tx.patcher("/doc/list/-", [add("", {"n": 4})])
    first = patcher.commit()
    assert first.committed
    assert patcher.commit() is first
    assert len(store["/doc/list"]) == 4
    again = store.get_tx(tx.id).patcher("/doc/list", [add("/-", {"n": 4})]).commit()
    assert again[:3] == first[:3]
    assert again.data == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert len(store["/doc/list"]) == 4


def test_04_who_was_interrupted_as_the_last_to_leave_gets_it_again(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tx = store.new_tx(1, timeout=30)
    part, late = (tx.patcher("/doc/a", [add("/z", 1)]) for _ in range(2))
    leave = Tx._leave

    def interrupted(self: Tx, seat: str) -> None:
        leave(self, seat)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Tx, "_leave", interrupted)
        part.commit()
    assert part.commit() == part.commit()
    assert part.commit().commit == store.head == 2
    with pytest.raises(objstore.TransactionError, match="is over"):
        late.commit()


def test_04_where_one_never_comes_the_others_time_out(store: Store[Any]) -> None:
    tx = store.new_tx(3, timeout=1.5)
    parts = [tx.patcher("/doc/a", [add("/z", 1)]), tx.patcher("/doc/b", [add("/z", 1)])]
    for result in together(*parts):
        assert (result.committed, result.commit) == (False, None)
        assert isinstance(result.error, objstore.TransactionTimeoutError)
        assert isinstance(result.error, TimeoutError)
        assert "1 of 3" in str(result.error)
    late = store.get_tx(tx.id).patcher("/doc/list", []).commit()
    assert isinstance(late.error, objstore.TransactionTimeoutError)
    assert store.head == 1
    with pytest.raises(objstore.TransactionNotFoundError):
        store.get_tx(tx.id)


def test_unknown_transactions_are_not_found(store: Store[Any]) -> None:
    for id in ("", "0" * 32, "../../etc", "x" * 1000):
        with pytest.raises(objstore.TransactionNotFoundError):
            store.get_tx(id)


def test_a_participant_with_a_name_keeps_its_seat(store: Store[Any]) -> None:
    tx = store.new_tx(2, timeout=20)
    died = tx.patcher("/doc/a", [add("/z", 1)], name="first")
    with ThreadPoolExecutor(3) as pool:
        waiting = pool.submit(died.commit)
        while len(tx._meetings.notes(tx.id)) < 2:
            time.sleep(0.001)
        again = pool.submit(
            store.get_tx(tx.id).patcher("/doc/a", [add("/z", 1)], name="first").commit
        )
        time.sleep(0.02)
        assert not waiting.done()
        last = tx.patcher("/doc/b", [add("/z", 2)]).commit()
        assert waiting.result(timeout=30).commit == last.commit == 2
        assert again.result(timeout=30).commit == 2
    assert store["/doc/a"] == {"x": 1, "z": 1}


# --- 6: nothing -----------------------------------------------------------------------------------


def test_06_an_empty_merge_commits_nothing(store: Store[Any]) -> None:
    there_and_back = [add("/z", 1), {"op": "remove", "path": "/z"}]
    for one, other in (([], []), ([replace(1)], there_and_back)):
        result = commit(store, ("/doc/a/x", one), ("/doc/b", other))
        assert result == Result(False, True, None, result.data, None)
    assert result.data == 1
    assert store.head == 1
    assert len(list(store.log())) == 1


# --- 8: two compare-and-set -----------------------------------------------------------------------


@pytest.mark.parametrize("handles", [1, 2], ids=["one store", "two stores"])
def test_08_of_two_compare_and_set_exactly_one_wins(reopen_logged: Opener, handles: int) -> None:
    rounds = 200
    stores = [reopen_logged(durability="os") for _ in range(handles)] * (3 - handles)
    stores[0]["/counter"] = {"n": 0}
    barrier = threading.Barrier(2)

    def compare_and_set(who: int) -> list[int]:
        won: list[int] = []
        for number in range(rounds):
            tx = stores[who].new_tx(1)
            patcher = tx.patcher("/counter", [replace(number + 1, "/n")], {"n": number})
            barrier.wait(timeout=30)
            result = patcher.commit()
            assert result.error is None
            assert result.committed is result.matched
            if result.committed:
                won.append(number)
        return won

    with ThreadPoolExecutor(2) as pool:
        one, other = (
            won.result(timeout=60) for won in [pool.submit(compare_and_set, w) for w in (0, 1)]
        )
    assert sorted(one + other) == list(range(rounds))
    assert stores[0]["/counter"] == stores[1]["/counter"] == {"n": rounds}


@pytest.mark.parametrize("handles", [1, 2], ids=["one store", "two stores"])
def test_what_matched_still_holds_at_the_commit(reopen_logged: Opener, handles: int) -> None:
    """Each sets its own file if the other's is not set: both would change different places."""
    stores = [reopen_logged(durability="os") for _ in range(handles)] * (3 - handles)
    barrier = threading.Barrier(2)

    def set_alone(who: int, number: int) -> bool:
        tx = stores[who].new_tx(2)
        patch = [add("", {"set": who})]
        guard = tx.patcher(f"/round{number}/{1 - who}", [], MISSING)
        setter = tx.patcher(f"/round{number}/{who}", patch)
        barrier.wait(timeout=30)
        return together(guard, setter)[0].committed

    with ThreadPoolExecutor(2) as pool:
        for number in range(40):
            won = [pool.submit(set_alone, who, number) for who in (0, 1)]
            assert sorted(one.result(timeout=30) for one in won) == [False, True]


# --- files, directories and Objects ---------------------------------------------------------------


def test_patches_reach_over_files_and_directories(store: Store[Any]) -> None:
    store["/people/ada"] = {"name": "Ada"}
    store["/people/bob"] = {"name": "Bob"}
    result = commit(
        store,
        (
            "",
            [
                {"op": "move", "from": "/people/ada", "path": "/former/ada"},
                {"op": "copy", "from": "/people/bob/name", "path": "/doc/a/name"},
                {"op": "move", "from": "/doc/b", "path": "/b"},
                add("/people/eve", {"name": "Eve"}),
                {
                    "op": "test",
                    "path": "/people",
                    "value": {"bob": {"name": "Bob"}, "eve": {"name": "Eve"}},
                },
                {"op": "copy", "from": "/people", "path": "/copies/people"},
                {"op": "remove", "path": "/people"},
                {"op": "remove", "path": "/doc/list"},
            ],
        ),
    )
    assert result.error is None
    both = {"bob": {"name": "Bob"}, "eve": {"name": "Eve"}}
    expected = {
        "former": {"ada": {"name": "Ada"}},
        "copies": {"people": both},
        "doc": {"a": {"x": 1, "name": "Bob"}},
        "b": {"y": 2},
    }
    assert store.root.contents == result.data == expected


@pytest.mark.parametrize(
    "operation",
    [
        add("/people", 5),
        {"op": "remove", "path": "/nothing/below"},
        replace({}, "/people/nobody"),
        {"op": "test", "path": "/people", "value": {}},
        {"op": "move", "from": "/people/nobody", "path": "/x"},
        add("/new", 5),
    ],
)
def test_what_does_not_fit_directories_is_refused(store: Store[Any], operation: Any) -> None:
    store["/people/bob"] = {"name": "Bob"}
    result = commit(store, ("", [add("/doc/z", 1), operation]))
    assert isinstance(result.error, objstore.PatchError | objstore.ValidationError)
    assert store.head == 2
    assert "z" not in store["/doc"]


def test_the_schema_is_asked_as_always(reopen_logged: Opener) -> None:
    store = reopen_logged(Library)
    fill(store)
    wrong = commit(
        store, ("/people/ada", [add("/email", "x")]), ("/people/bob/born", [replace("?")])
    )
    assert isinstance(wrong.error, objstore.ValidationError)
    assert wrong.error.failures[0].pointer == "/born"
    assert store.root.people == {"ada": ADA, "bob": BOB}
    right = commit(
        store, ("/people/ada", [add("/email", "x")]), ("/settings/theme", [replace("light")])
    )
    assert right.committed
    assert store.root.people["ada"].email == "x"


def test_objects_that_are_held_follow_their_elements(store: Store[Any]) -> None:
    doc: Any = store["/doc"]
    first, second, third = doc.list
    a = doc.a
    patch = [
        {"op": "remove", "path": "/0"},
        {"op": "move", "from": "/0", "path": "/-"},
        add("/0", {"n": 0}),
        add("/1/m", 3),
    ]
    assert commit(store, ("/doc/list", patch), ("/doc/a", [add("/z", 1)])).error is None
    assert doc.list == [{"n": 0}, {"n": 3, "m": 3}, {"n": 2}]
    assert (second.n, third.n, third.m, a.z) == (2, 3, 3, 1)
    assert doc.list[2] is second
    with pytest.raises(objstore.DetachedError):
        first.n


def test_transactions_of_before_see_what_was_before(store: Store[Any]) -> None:
    with store.transaction():
        assert store["/doc/a"] == {"x": 1}
        with ThreadPoolExecutor(1) as pool:
            patcher = store.new_tx(1).patcher("/doc/a", [add("/z", 1)])
            assert pool.submit(patcher.commit).result(timeout=30).committed
        assert store["/doc/a"] == {"x": 1}
        store["/doc/b/y"] = 3
    assert store["/doc/a"] == {"x": 1, "z": 1}
    assert store["/doc/b"] == {"y": 3}


def test_a_joint_transaction_is_no_part_of_another_one(store: Store[Any]) -> None:
    tx = store.new_tx(1)
    with store.transaction(), pytest.raises(objstore.TransactionError, match="not part"):
        tx.patcher("/doc", []).commit()
    assert store.get_tx(tx.id).id == tx.id


def test_a_patch_is_independent_of_the_callers(store: Store[Any]) -> None:
    value = {"inner": [1]}
    patcher = store.new_tx(1).patcher("/doc", [add("/v", value), add("/w", value)])
    value["inner"].append(2)
    patcher.commit()
    store["/doc/v/inner"].append(3)
    assert (store["/doc/v"], store["/doc/w"]) == ({"inner": [1, 3]}, {"inner": [1]})


def test_a_scope_has_its_own(store: Store[Any]) -> None:
    scope = store.scope("draft")
    tx = scope.new_tx(2, timeout=30)
    with pytest.raises(objstore.TransactionNotFoundError):
        store.get_tx(tx.id)
    parts = [tx.patcher("/doc/a", [add("/z", 1)]), tx.patcher("/new", [add("", {"n": 1})])]
    assert [result.commit for result in together(*parts)] == [2, 2]
    assert store["/doc/a"] == {"x": 1}
    assert (scope["/doc/a"], scope["/new"]) == ({"x": 1, "z": 1}, {"n": 1})


def test_stores_that_are_read_only_or_closed_refuse(reopen_logged: Opener) -> None:
    store = reopen_logged()
    store["/doc"] = {"n": 1}
    tx = store.new_tx(1)
    reader = reopen_logged(readonly=True)
    with pytest.raises(objstore.ReadOnlyError):
        reader.new_tx(1)
    with pytest.raises(objstore.ReadOnlyError):
        reader.get_tx(tx.id).patcher("/doc", []).commit()
    store.close()
    with pytest.raises(objstore.ClosedError):
        store.new_tx(1)
    with pytest.raises(objstore.ClosedError):
        tx.patcher("/doc", []).commit()


# --- who dies -------------------------------------------------------------------------------------


class Died(BaseException):
    """What ends a participant as a signal would."""


@pytest.mark.parametrize("step", ["commit", "committed", "outcome"])
def test_another_one_goes_on_where_one_died(
    store: Store[Any], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tx = store.new_tx(2, timeout=30)
    _die_at(step, store, tx, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(tx.patcher("/doc/a", [add("/z", 1)], name="one").commit)
        died: Any = store.get_tx(tx.id).patcher("/doc/list", [add("/-", {"n": 4})], name="two")
        results: list[Result] = []
        for _ in range(2):
            try:
                results.append(died.commit())
            except Died:
                continue
        try:
            results.append(waiting.result(timeout=30))
        except Died:
            results.append(tx.patcher("/doc/a", [add("/z", 1)], name="one").commit())
    assert {result.commit for result in results} == {2}
    assert store.head == 2
    assert len(store["/doc/list"]) == 4
    assert [one.tx for one in store.log()] == [None, tx.id]


def _die_at(step: str, store: Store[Any], tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first who gets there die at this step."""
    lock, dead = threading.Lock(), [False]

    def first() -> bool:
        with lock:
            dead[0], was = True, dead[0]
            return not was

    documents, meetings = store._documents, type(tx._meetings)
    commit, put = documents.commit, meetings.put

    def dying_commit(*args: Any, **options: Any) -> Any:
        if step == "commit" and first():
            raise Died
        made = commit(*args, **options)
        if step == "committed" and first():
            raise Died
        return made

    def dying_put(self: Any, id: str, name: str, note: Any) -> Any:
        done = put(self, id, name, note)
        if name == step and first():
            raise Died
        return done

    monkeypatch.setattr(documents, "commit", dying_commit)
    monkeypatch.setattr(meetings, "put", dying_put)


def test_a_directory_is_copied_without_what_the_patch_has_emptied(store: Store[Any]) -> None:
    store["d/a"] = {"n": 1}
    store["d/sub/only"] = {"k": 1}
    patch = [
        {"op": "remove", "path": "/d/sub/only"},
        {"op": "copy", "from": "/d", "path": "/backup"},
    ]
    assert commit(store, ("", patch)).committed
    assert store["d"].contents == store["backup"].contents == {"a": {"n": 1}}


@pytest.mark.parametrize("target", ["/d/inner", "/d/sub/only/x"])
def test_a_directory_is_not_moved_into_itself(store: Store[Any], target: str) -> None:
    store["d/sub/only"] = {"k": 1}
    result = commit(store, ("", [{"op": "move", "from": "/d", "path": target}]))
    assert isinstance(result.error, objstore.PatchError)
    assert "expected a place outside of what is moved" in str(result.error)
    assert store["d"].contents == {"sub": {"only": {"k": 1}}}
