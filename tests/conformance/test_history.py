"""The past of a store (objstore/history.py), on every maker that keeps one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import objstore
from objstore import (
    ClosedError,
    CommitNotFoundError,
    CommitNumberError,
    Dict,
    Directory,
    HistoryGone,
    KeyNotFoundError,
    List,
    ReadOnlyError,
    Store,
)
from objstore.documents import Loaded
from objstore.patch import apply

from .library import ADA, BOB, Library, fill
from .pasts import anything, numbers, store
from .retentions import NEWEST
from .stores import Opener, reopen_logged

__all__ = ["anything", "reopen_logged", "store"]


# --- as of a commit -------------------------------------------------------------------------------


def test_a_store_as_of_a_commit_has_objects(store: Store[Library]) -> None:
    past = store.at(2)
    assert past.head == 2
    assert past.root.people["ada"].name == "Ada"
    assert past.root.people["ada"].email == "ada@example.org"
    assert past.root.people["ada"].age == 211
    assert past.root.people["bob"] == BOB
    assert list(past.root.people) == ["ada", "bob"]
    assert past["people.bob.tags[1]"] == "b"
    assert past.root.settings == {"theme": "dark"}
    assert past.root.settings.size == 12
    assert sorted(past) == ["/people/ada", "/people/bob", "/reading", "/settings"]
    assert store.root.people["ada"].name == "Ada King"


def test_before_the_first_commit_nothing_is_there(store: Store[Library]) -> None:
    past = store.at(0)
    assert list(past) == []
    assert list(past.root.people) == []
    assert "settings" not in past.root
    assert past.read_at("", 0) == {}


LOOKS: list[Callable[[Store[Any]], object]] = [
    lambda store: store.read_at("", 0),
    lambda store: store.scopes(),
    lambda store: list(store.at(0)),
    lambda store: store.scope("s").log(),
    lambda store: store.blame(),
    lambda store: store.diff(0, store.head),
    lambda store: store.check(),
]


@pytest.mark.parametrize("look", LOOKS)
def test_who_looked_before_the_first_commit_learns_of_it(
    reopen_logged: Opener, look: Callable[[Store[Any]], object]
) -> None:
    early, other = reopen_logged(), reopen_logged()
    look(early)
    other["u"] = {"n": 1}
    other["v"] = {"n": 2}
    past = [{}, {"u": {"n": 1}}, {"u": {"n": 1}, "v": {"n": 2}}]
    assert [early.read_at("", number) for number in range(3)] == past
    early["u"]["n"] = 3
    assert [commit.number for commit in reopen_logged().log("u")] == [1, 3]
    assert reopen_logged().read_at("", 3) == {"u": {"n": 3}, "v": {"n": 2}}


def test_the_past_stays_whatever_is_committed(store: Store[Library]) -> None:
    past = store.at(3)
    held = past.root.people["ada"]
    seen = (held.contents, list(past.root.people))
    store.root.people["ada"].name = "A"
    store.root.people["eve"] = {"name": "Eve", "born": 2000}
    assert (held.contents, list(past.root.people)) == seen
    assert past.root.people["ada"] is held
    assert past.head == 3
    with past.transaction():
        assert past.root.people["ada"].name == "Ada King"


def test_going_to_and_fro_in_the_past_reads_each_file_once(
    store: Store[Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    load = store._documents.load

    def noting(unit: str, *, at: int | None = None) -> Loaded:
        read.append(unit)
        return load(unit, at=at)

    monkeypatch.setattr(store._documents, "load", noting)
    past = store.at(3)
    assert past.root.people["ada"].name == "Ada King"
    for _ in range(3):
        with past.transaction():
            assert past.root.people["ada"].born == 1815
            assert past["people/ada/email"] == "ada@example.org"
    assert read == ["/people/ada"]


def test_the_past_cannot_be_changed(store: Store[Library]) -> None:
    past = store.at(4)
    ada = past.root.people["ada"]
    changes: list[Callable[[], object]] = [
        lambda: setattr(ada, "name", "x"),
        lambda: ada.update(email=None),
        lambda: ada.tags.append("x"),
        lambda: past.PUT("people/eve", ADA),
        lambda: past.DELETE("people.ada"),
        lambda: past.root.people.clear(),
        lambda: past.undo(2),
        lambda: past.switch_and_snapshot(),
        lambda: past.compact(NEWEST),
        lambda: past.pin(1),
        lambda: past.unpin(1),
    ]
    for change in changes:
        with pytest.raises(ReadOnlyError, match="the store as it was at commit 4"):
            change()
    assert ada == {"name": "Ada King", "born": 1815, "email": "ada@example.org"}
    assert past.readonly
    assert store.head == 5


def test_closing_the_past_leaves_the_store(store: Store[Library]) -> None:
    with store.at(1) as past:
        assert past.root.people["bob"].name == "Bob"
    with pytest.raises(ClosedError):
        past.root.people["bob"]
    past.close()
    assert store.root.people["ada"].name == "Ada King"
    other = store.at(1)
    store.close()
    with pytest.raises(ClosedError):
        other.root.people["bob"].name
    with pytest.raises(ClosedError):
        store.at(1)


ASKING: list[Callable[[Store[Library], str], object]] = [
    lambda store, path: store.get(path),
    lambda store, path: path in store,
    lambda store, path: store.HEAD(path),
    lambda store, path: store.GET(path),
    lambda store, path: store.pop(path, None),
    lambda store, path: store.setdefault(path, {}),
    lambda store, path: store.root.people.get("ada"),
    lambda store, path: "ada" in store.root.people,
    lambda store, path: store.root.people.HEAD("ada"),
    lambda store, path: store.root.people.GET("ada"),
    lambda store, path: store.root.people.pop("ada", None),
    lambda store, path: store.root.people.setdefault("ada", {}),
]


@pytest.mark.parametrize("ask", ASKING)
def test_what_nobody_knows_is_not_told_to_be_missing(
    store: Store[Library], ask: Callable[[Store[Library], str], object]
) -> None:
    past = store.at(3)
    assert store.compact(NEWEST) == [1, 2, 3, 4]
    with pytest.raises(HistoryGone):
        ask(past, "/people/ada")


def test_the_past_has_a_past(store: Store[Library]) -> None:
    past = store.at(4)
    assert [one.number for one in past.log()] == [1, 2, 3, 4]
    assert past.at(2).root.people["ada"].name == "Ada"
    assert past.read_at("people/bob/name", 3) == "Bob"
    assert past.diff(3, 4) == [{"op": "remove", "path": "/people/bob"}]
    assert numbers(past.blame("settings")) == {"/settings/theme": 1}
    calls: list[Callable[[], object]] = [
        lambda: past.at(5),
        lambda: past.read_at("", 5),
        lambda: past.diff(0, 5),
        lambda: past.patch_of(5),
        lambda: past.log(after=5),
    ]
    for call in calls:
        with pytest.raises(CommitNotFoundError):
            call()


def test_documents_of_the_past_know_nothing_later(store: Store[Library]) -> None:
    documents = store.at(3)._documents
    calls: list[Callable[[int], object]] = [
        lambda number: documents.load("/people/ada", at=number),
        lambda number: documents.keys("/people", at=number),
        lambda number: list(documents.commits(number)),
    ]
    for call in calls:
        with pytest.raises(CommitNotFoundError, match="the newest is 3"):
            call(4)
        with pytest.raises(CommitNumberError):
            call(-1)
    assert documents.load("/people/ada", at=1).value == ADA
    assert documents.load("/people/ada").value == {
        **ADA,
        "name": "Ada King",
        "email": "ada@example.org",
    }
    assert documents.keys("/people", at=0) == []
    assert documents.keys("/people") == ["ada", "bob"]


def test_a_store_says_which_past_it_is(store: Store[Library]) -> None:
    assert repr(store.at(2)) == f"<Store {store.url} as of commit 2>"


def test_contents_that_do_not_fit_todays_schema_read_as_they_are(reopen_logged: Opener) -> None:
    then = reopen_logged(Library)
    fill(then)
    with then.transaction():
        for path in list(then):
            del then[path]

    class Person(Dict):
        name: int
        email: str

    class Today(Directory):
        people: Directory[Person]
        settings: List[str]
        reading: Dict = objstore.file("reading.yaml")

    today = reopen_logged(Today)
    past = today.at(1)
    ada: Any = past.root.people["ada"]
    assert (ada.name, ada.born, ada["name"]) == ("Ada", 1815, "Ada")
    assert ada == ADA
    assert "email" not in ada
    with pytest.raises(KeyNotFoundError):
        ada["email"]
    assert past["settings"] == {"theme": "dark"}
    assert past["settings/theme"] == "dark"
    assert past["reading"] == [{"title": "Emma"}, {"title": "Ulysses"}]
    assert past["reading[1].title"] == "Ulysses"
    assert past.check() == []


# --- errors of commit numbers (14) ----------------------------------------------------------------


def test_14_each_wrong_number_has_its_error(store: Store[Library]) -> None:
    store.compact(NEWEST)
    calls: list[Callable[[Any], object]] = [
        lambda number: store.read_at("people/ada", number),
        lambda number: store.at(number),
        lambda number: store.diff(number, 5),
        lambda number: store.diff(5, number),
        lambda number: store.diff(number, number, "people.ada"),
        lambda number: list(store.log(after=number)),
    ]
    by_number: list[Callable[[Any], object]] = [store.undo, store.patch_of]
    for call in [*calls, *by_number]:
        with pytest.raises(CommitNumberError):
            call(-1)
        with pytest.raises(CommitNotFoundError):
            call(6)
        with pytest.raises(HistoryGone):
            call(3)
        for wrong in (True, 1.0, "1", None):
            with pytest.raises(TypeError, match="a commit is its number or a Commit"):
                call(wrong)
    for call in by_number:
        with pytest.raises(CommitNumberError):
            call(0)


def test_14_read_at_gives_the_node_and_not_the_document_around_it(store: Store[Library]) -> None:
    assert store.read_at("/people/ada/name", 1) == "Ada"
    assert store.read_at("people.bob.tags[0]", 3) == "a"
    assert store.read_at("people/bob", 3) == BOB
    assert store.read_at("/people", 2) == {"ada": {**ADA, "email": "ada@example.org"}, "bob": BOB}
    assert store.read_at("people/", 5) == store.root.people.contents
    assert store.read_at("", 5) == store.root.contents


@pytest.mark.parametrize("path", ["people/eve", "people.ada.name.x", "reading[2]", "anything"])
def test_14_what_is_missing_is_a_key_error(store: Store[Library], path: str) -> None:
    with pytest.raises(KeyNotFoundError):
        store.read_at(path, 5)
    with pytest.raises(KeyError):
        store.read_at("people/bob", 4)


def test_14_what_is_read_is_the_callers_to_change(store: Store[Library]) -> None:
    store.read_at("", 1)["people"]["bob"]["tags"].append("x")
    store.diff(0, 1)[0]["value"]["bob"]["tags"].append("x")
    assert store.read_at("people.bob.tags", 1) == ["a", "b"]


# --- log ------------------------------------------------------------------------------------------


def test_the_log_of_a_path_is_oldest_first(store: Store[Library]) -> None:
    def log(path: str, after: int = 0) -> list[int]:
        return [commit.number for commit in store.log(path, after)]

    assert log("") == log("/") == [1, 2, 3, 4, 5]
    assert log("", 3) == [4, 5]
    assert log("people") == log("/people/") == [1, 2, 3, 4]
    assert log("/people/ada") == log("people.ada") == [1, 2, 3]
    assert log("people.ada.name") == [1, 3]
    assert log("people.bob.tags[0]") == [1, 4]
    assert log("people/eve") == []


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("path", ["", "/settings", "/nothing"])
def test_the_log_after_a_commit_that_was_removed(
    store: Store[Library], path: str, newest_first: bool
) -> None:
    store.pin(2)
    assert store.compact(NEWEST) == [1, 3, 4]
    for removed in (1, 3, 4):
        with pytest.raises(HistoryGone):
            list(store.log(path, removed, newest_first=newest_first))
    for there in (0, 2, 5):
        found = [one.number for one in store.log(path, there)]
        back = store.log(path, there, newest_first=True)
        assert [one.number for one in back] == found[::-1]


def test_the_log_takes_commits_for_numbers(store: Store[Library]) -> None:
    *_, third, _, _ = store.log()
    assert [commit.number for commit in store.log(after=third)] == [4, 5]
    assert store.at(third).head == 3
    assert store.read_at("people/ada/name", third) == "Ada King"
    assert store.diff(third, third) == []
    assert store.patch_of(third) == store.diff(2, third)


def test_a_commit_prints_as_a_line(store: Store[Library]) -> None:
    commits = list(store.log())
    when = f"{commits[3].time:%Y-%m-%d %H:%M:%S}"
    assert str(commits[3]) == f"commit 4, {when}: /people/bob deleted"
    assert repr(commits[3]) == f"<{commits[3]}>"
    assert str(commits[2]).endswith('/people/ada changed (author: "me")')
    assert re.search(r": /\S+ made, /\S+ made, /\S+ made, 1 more$", str(commits[0]))


# --- diff -----------------------------------------------------------------------------------------


def test_a_diff_is_a_patch_over_the_whole_store(store: Store[Library]) -> None:
    name = {"op": "replace", "path": "/people/ada/name", "value": "Ada King"}
    assert store.diff(2, 5) == [
        {"op": "remove", "path": "/people/bob"},
        name,
        {"op": "add", "path": "/settings/size", "value": 14},
    ]
    assert store.diff(2, 5, "people.ada") == [name]
    assert store.diff(2, 5, "people.ada.name") == [name]
    assert store.diff(2, 5, "people.ada.born") == []
    assert store.diff(5, 2, "people/ada") == [{**name, "value": "Ada"}]
    assert store.diff(5, 2, "people/bob") == [{"op": "add", "path": "/people/bob", "value": BOB}]


def test_a_diff_makes_and_removes_directories(anything: Store[Directory[Any]]) -> None:
    anything["a/b/c"] = {"x": 1}
    anything["a/b/d"] = [1]
    del anything["a"]
    anything["a"] = {"b": 2}
    assert anything.diff(0, 2) == [
        {"op": "add", "path": "/a", "value": {"b": {"c": {"x": 1}, "d": [1]}}}
    ]
    assert anything.diff(1, 2) == [{"op": "add", "path": "/a/b/d", "value": [1]}]
    assert anything.diff(2, 3) == [{"op": "remove", "path": "/a"}]
    assert anything.diff(2, 3, "a/b") == [{"op": "remove", "path": "/a/b"}]
    assert anything.diff(2, 4) == [
        {"op": "remove", "path": "/a"},
        {"op": "add", "path": "/a", "value": {"b": 2}},
    ]
    assert anything.diff(0, 3) == []


def test_a_diff_of_a_path_has_nothing_from_beside_it(anything: Store[Directory[Any]]) -> None:
    with anything.transaction():
        anything["a"] = {"x": 1, "xy": 1, "stays": 1}
        anything["ab"] = {"x": 1}
        anything["b"] = {"x": 1}
    with anything.transaction():
        for path in ("a.x", "a.xy", "ab.x", "b.x"):
            anything[path] = 2
    change = {"op": "replace", "path": "/a/x", "value": 2}
    assert anything.diff(1, 2, "a") == [change, {**change, "path": "/a/xy"}]
    assert anything.diff(1, 2, "a.x") == [change]
    assert anything.diff(0, 1, "b") == [{"op": "add", "path": "/b", "value": {"x": 1}}]


def test_a_diff_has_what_todays_schema_has_no_place_for(reopen_logged: Opener) -> None:
    then = reopen_logged()
    then["old/x"] = {"n": 1}
    then["old/y"] = {"n": 2}
    today = reopen_logged(Library)
    assert today.read_at("", 2) == {}
    assert today.diff(0, 2) == [
        {"op": "add", "path": "/old", "value": {"x": {"n": 1}, "y": {"n": 2}}}
    ]


def test_a_diff_of_what_went_back_is_empty(store: Store[Library]) -> None:
    store.root.people["bob"] = BOB
    store.root.people["ada"].name = "Ada"
    assert store.diff(2, 7, "people") == []
    assert [one.number for one in store.log("people", 2)] == [3, 4, 6, 7]


# --- keeping less ---------------------------------------------------------------------------------


def test_15_pinned_commits_stay(store: Store[Library]) -> None:
    two = next(store.log(after=1))
    store.pin(two)
    store.pin(3)
    store.unpin(3)
    assert store.pins() == {2}
    assert store.compact(NEWEST) == [1, 3, 4]
    assert [commit.number for commit in store.log()] == [2, 5]
    assert store.at(2).root.people["ada"].name == "Ada"
    with pytest.raises(HistoryGone):
        store.at(3)


def test_what_is_no_retention_is_refused(store: Store[Library]) -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match="a Retention, not null"):
        store.compact(nothing)


def test_what_compaction_left_can_be_compared_undone_and_blamed(store: Store[Library]) -> None:
    store.pin(2)
    store.compact(NEWEST)
    assert store.diff(2, 5) == store.patch_of(5)
    assert {one["path"] for one in store.diff(0, 2)} == {"/people", "/reading", "/settings"}
    assert numbers(store.blame("people")) == {
        "/people/ada/born": 2,
        "/people/ada/email": 2,
        "/people/ada/name": 5,
    }
    store.undo(5)
    assert store.root.people["bob"] == BOB
    assert store.root.people["ada"].name == "Ada"
    assert store.root.settings == {"theme": "dark"}


def test_blame_over_more_commits_than_are_read_at_once(anything: Store[Directory[Any]]) -> None:
    anything["doc"] = {"a": 0}
    for number in range(100):
        anything["other"] = {"n": number}
        anything["doc.b"] = number
    for number in (2, 60, 100):
        anything.pin(number)
    anything.compact(NEWEST)
    assert numbers(anything.blame("doc")) == {"/doc/a": 2, "/doc/b": 201}


def test_13_a_snapshot_changes_nothing(store: Store[Library]) -> None:
    before = [store.read_at("", number) for number in range(6)]
    assert store.switch_and_snapshot() == 5
    store.root.settings.size = 15
    assert store.switch_and_snapshot() == 6
    assert [store.read_at("", number) for number in range(6)] == before
    assert store.at(5).root.settings.size == 14


# --- scopes ---------------------------------------------------------------------------------------


def test_a_scope_has_a_past_of_its_own(store: Store[Library]) -> None:
    scope = store.scope("draft")
    scope.root.people["ada"].email = "draft@example.org"
    scope.root.people["eve"] = {"name": "Eve", "born": 2000}
    store.root.people["ada"].born = 1816
    assert [one.number for one in store.log()] == [1, 2, 3, 4, 5, 8]
    assert [one.number for one in scope.log()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [one.number for one in scope.log("people.ada.email")] == [1, 2, 6]
    assert {one["path"] for one in store.diff(5, 8)} == {"/people/ada/born"}
    places = {one["path"] for one in scope.diff(5, 8)}
    assert places == {"/people/ada/born", "/people/ada/email", "/people/eve"}
    assert apply(scope.read_at("", 5), scope.diff(5, 8)) == scope.root.contents
    assert scope.at(6).root.people["ada"].email == "draft@example.org"
    assert "eve" not in scope.at(6).root.people
    assert store.at(7).root.people["ada"].email == "ada@example.org"
    assert numbers(scope.blame("people.ada")) == {
        "/people/ada/name": 3,
        "/people/ada/born": 8,
        "/people/ada/email": 6,
    }


def test_undo_in_a_scope_is_the_scopes_alone(store: Store[Library]) -> None:
    scope = store.scope("draft")
    scope.undo(4)
    assert scope.root.people["bob"] == BOB
    assert "bob" not in store.root.people
    commit = scope.undo(6)
    assert commit is not None
    assert commit.scope == "draft"
    assert "bob" not in scope.root.people
    for call in (store.undo, store.patch_of):
        with pytest.raises(CommitNotFoundError, match='commit 6 is of the scope "draft"'):
            call(6)


# --- seed 001 -------------------------------------------------------------------------------------

SEED_001 = ["Close", "GetCurrentCommit", "GetTx", "NewTx", "ReadStateAt", "SwitchAndSnapshot"]


@pytest.mark.parametrize("name", SEED_001)
def test_the_names_of_seed_001(store: Store[Library], name: str) -> None:
    ours = re.sub("(?<!^)([A-Z])", r"_\1", name).lower()
    assert callable(getattr(store, ours))


def test_the_calls_of_seed_001(store: Store[Library]) -> None:
    assert store.get_current_commit() == store.head == 5
    assert store.read_state_at("people.ada.name", 2) == "Ada"
    tx = store.new_tx(1)
    assert store.get_tx(tx.id).id == tx.id
    assert store.switch_and_snapshot() == 5
