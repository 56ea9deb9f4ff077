"""Scopes as Stores (conformance, "Documents and the commit log", lines 9 to 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, cast

import pytest

import objstore
from objstore import Dict, Directory, List, Store
from objstore.documents import Change, Commit
from objstore.errors import (
    BackingError,
    ClosedError,
    CommitNotFoundError,
    ConflictError,
    HistoryGone,
    KeyNameError,
    LayoutError,
    ReadOnlyError,
    ScopeNotFoundError,
    ValidationError,
)
from objstore.patch import apply
from objstore.values import MISSING
from tests.conformance.makers import LOGGED, Maker
from tests.conformance.retentions import NEWEST, only
from tests.conformance.stores import Opener, reopen_logged

__all__ = ["reopen_logged"]


class Entry(Dict):
    name: str
    tags: list[str] = []
    born: int | None = None


class Place(Directory):
    people: Directory[Entry]


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store[Place]]:
    maker: Maker = request.param
    with objstore.open(maker.url(tmp_path), Place) as store:
        store.root.people["ada"] = {"name": "Ada", "tags": ["a"], "born": 1815}
        store.root.people["bob"] = {"name": "Bob"}
        yield store
        assert store.check() == []
        for name in store.scopes():
            assert store.scope(name).check() == []


def contents(store: Store[Place]) -> dict[str, Any]:
    return {key: person.contents for key, person in store.root.people.items()}


def test_09_what_a_scope_did_not_touch_is_as_in_the_base_now(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "Mine"
    ada = scope.root.people["ada"]
    place.root.people["ada"].born = 1
    place.root.people["bob"].born = 2
    place.root.people["eve"] = {"name": "Eve"}
    assert scope.root.people["ada"].contents == {"name": "Mine", "tags": ["a"], "born": 1}
    assert (ada.name, ada.born) == ("Mine", 1)
    assert scope.root.people["bob"].born == 2
    assert list(scope.root.people) == ["ada", "bob", "eve"]
    assert place.root.people["ada"].name == "Ada"
    assert place.scope("other").root.people["ada"].name == "Ada"


def test_09_where_both_changed_the_same_the_scope_has_its_own(place: Store[Place]) -> None:
    scope = place.scope("mine")
    with scope.transaction():
        scope.root.people["ada"].name = "Mine"
        del scope.root.people["bob"]
        scope.root.people["eve"] = {"name": "Mine"}
    with place.transaction():
        place.root.people["ada"].name = "Base"
        place.root.people["ada"].born = 1
        place.root.people["bob"].name = "Base"
        place.root.people["eve"] = {"name": "Base", "born": 3}
    assert contents(scope) == {
        "ada": {"name": "Mine", "tags": ["a"], "born": 1},
        "eve": {"name": "Mine"},
    }
    place.root.people["bob"].born = 3
    del place.root.people["ada"]
    assert scope.root.people["ada"].name == "Mine"
    assert "bob" not in scope.root.people


def test_09_what_both_appended_is_there_once(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].tags.append("mine")
    place.root.people["ada"].tags.append("base")
    assert list(scope.root.people["ada"].tags) == ["a", "base", "mine"]
    scope.root.people["ada"].born = 7
    assert list(scope.root.people["ada"].tags) == ["a", "base", "mine"]
    place.root.people["ada"].tags.append("later")
    assert list(scope.root.people["ada"].tags) == ["a", "base", "later", "mine"]
    assert list(place.root.people["ada"].tags) == ["a", "base", "later"]


def test_09_so_is_what_both_made_of_a_default(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["bob"].tags.append("mine")
    place.root.people["bob"].tags.append("base")
    assert list(scope.root.people["bob"].tags) == ["base", "mine"]
    scope.root.people["bob"].tags.append("more")
    assert list(scope.root.people["bob"].tags) == ["base", "mine", "more"]
    assert list(place.root.people["bob"].tags) == ["base"]
    seen: list[Any] = [commit.changes[0].new for commit in scope.log("people/bob")]
    assert [new.get("tags") for new in seen] == [
        None,
        ["mine"],
        ["base", "mine"],
        ["base", "mine", "more"],
    ]


class Task(Dict):
    id: int
    done: bool = False


class Board(Dict):
    tasks: Annotated[List[Task], {"mergeKey": "id"}]


class Office(Directory):
    boards: Directory[Board]


@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
def test_09_lists_merge_by_their_key(maker: Maker, tmp_path: Path) -> None:
    store = objstore.open(maker.url(tmp_path), Office)
    store.root.boards["b"] = {"tasks": [{"id": 1}, {"id": 2}, {"id": 3}]}
    scope = store.scope("mine")
    scope.root.boards["b"].tasks[1].done = True
    del store.root.boards["b"].tasks[0]
    store.root.boards["b"].tasks.insert(0, {"id": 4})
    expected = [{"id": 4}, {"id": 2, "done": True}, {"id": 3}]
    assert scope.root.boards["b"].tasks.contents == expected


def test_09_a_scope_is_kept_for_whoever_opens_it(place: Store[Place]) -> None:
    place.scope("mine").root.people["ada"].name = "Mine"
    with objstore.open(place.url, Place) as again:
        assert again.scopes() == ["mine"]
        scope = again.scope("mine", create=False)
        assert scope.root.people["ada"].name == "Mine"
        scope.root.people["ada"].name = "Mine, too"
    assert place.scope("mine").root.people["ada"].name == "Mine, too"


def test_10_a_deleted_scope_reverts_to_the_base(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "Mine"
    ada = scope.root.people["ada"]
    del scope.root.people["bob"]
    commit = place.delete_scope("mine")
    assert commit.scope == "mine"
    assert place.scopes() == []
    assert contents(scope) == contents(place)
    assert scope.root.people["ada"] is ada
    assert ada.name == "Ada"


def test_10_an_unknown_scope_is_an_error_where_one_must_be(place: Store[Place]) -> None:
    place.scope("mine")  # writes nothing
    assert place.scopes() == []
    for act in (
        lambda: place.delete_scope("mine"),
        lambda: place.scope("mine", create=False),
        lambda: place.at(1).scope("mine"),
    ):
        with pytest.raises(ScopeNotFoundError, match='"mine"'):
            act()
    place.scope("mine").root.people["ada"].name = "Mine"
    with objstore.open(place.url, Place, readonly=True) as readonly:
        assert readonly.scope("mine").root.people["ada"].name == "Mine"
        with pytest.raises(ScopeNotFoundError, match='"other"'):
            readonly.scope("other")
        with pytest.raises(ReadOnlyError):
            readonly.delete_scope("mine")
        with pytest.raises(ReadOnlyError):
            readonly.scope("mine").root.people["ada"].name = "Ada"
    with pytest.raises(TypeError, match="a scope's name is text, not 7"):
        place.scope(cast(str, 7))


def test_a_name_that_no_file_can_hold_is_refused(place: Store[Place]) -> None:
    with pytest.raises(KeyNameError, match=r"the scope's name .* has a lone surrogate"):
        place.scope("\ud800")
    with pytest.raises(ScopeNotFoundError):
        place.scope("\ud800", create=False)
    with pytest.raises(KeyNameError, match=r"the key .* has a lone surrogate"):
        place.scope("mine").root.people["\ud800"] = {"name": "X"}
    assert place.scopes() == []


def test_a_scope_has_no_scopes(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "Mine"
    assert scope.scopes() == []
    for act in (lambda: scope.scope("other"), lambda: scope.delete_scope("mine")):
        with pytest.raises(ScopeNotFoundError, match="no scopes of its own"):
            act()


def test_contents_are_checked_as_they_are_in_the_scope(place: Store[Place]) -> None:
    scope = place.scope("mine")
    with pytest.raises(ValidationError):
        scope.root.people["ada"].name = cast(str, 7)
    assert place.scopes() == []
    assert scope.root.people["ada"].name == "Ada"


def test_closing_a_scope_leaves_the_store(place: Store[Place]) -> None:
    with place.scope("mine") as scope:
        scope.root.people["ada"].name = "Mine"
    with pytest.raises(ClosedError):
        _ = scope.root
    assert place.root.people["ada"].name == "Ada"
    assert place.scope("mine").root.people["ada"].name == "Mine"


def test_transactions_of_a_scope_read_as_of_their_start(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "Mine"

    def change() -> None:
        place.root.people["bob"].name = "Later"
        place.root.people["eve"] = {"name": "Later"}
        with objstore.open(place.url, Place) as another:
            another.scope("mine").root.people["ada"].name = "Later"

    with scope.transaction():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(change).result(20)
        assert contents(scope) == {
            "ada": {"name": "Mine", "tags": ["a"], "born": 1815},
            "bob": {"name": "Bob"},
        }
    assert [person["name"] for person in contents(scope).values()] == ["Later"] * 3


def test_two_writers_of_a_scope_merge_or_conflict(place: Store[Place]) -> None:
    one, two = place.scope("mine"), place.scope("mine")
    with one.transaction():
        one.root.people["ada"].name = "One"
        two.root.people["ada"].born = 2
    assert two.root.people["ada"].contents == {"name": "One", "tags": ["a"], "born": 2}
    with pytest.raises(ConflictError) as caught, one.transaction():
        one.root.people["ada"].name = "Three"
        two.root.people["ada"].name = "Four"
    assert caught.value.pointer == "/people/ada/name"
    assert one.root.people["ada"].name == "Four"


def test_a_transaction_of_a_scope_meets_the_base(place: Store[Place]) -> None:
    scope = place.scope("mine")
    with scope.transaction():
        scope.root.people["ada"].name = "Mine"
        place.root.people["ada"].born = 2
    assert scope.root.people["ada"].contents == {"name": "Mine", "tags": ["a"], "born": 2}
    with pytest.raises(ConflictError), scope.transaction():
        scope.root.people["bob"].name = "Mine"
        place.root.people["bob"].name = "Base"
    assert scope.root.people["bob"].name == "Base"


@pytest.mark.parametrize("where", ["base", "scope"])
def test_a_serializable_transaction_of_a_scope_rests_on_both(
    place: Store[Place], where: str
) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "Mine"
    writer = place if where == "base" else place.scope("mine")
    acts: list[Callable[[], object]] = [
        lambda: setattr(writer.root.people["ada"], "born", 1),
        lambda: setattr(writer.root.people["bob"], "born", 1),
    ]
    for act in acts:
        with pytest.raises(ConflictError), scope.transaction(serializable=True):
            born = [person.born for person in scope.root.people.values()]
            scope.root.people["eve"] = {"name": str(born)}
            act()
        assert "eve" not in scope.root.people
    with scope.transaction(serializable=True):
        assert scope.root.people["ada"].name == "Mine"
        scope.root.people["eve"] = {"name": "Eve"}
    assert "eve" in scope.root.people


# The past of a scope


def test_the_past_of_a_scope_is_that_of_both(place: Store[Place]) -> None:
    scope = place.scope("mine")
    states = {place.head: contents(scope)}
    acts: list[Callable[[], object]] = [
        lambda: setattr(scope.root.people["ada"], "name", "Mine"),
        lambda: setattr(place.root.people["ada"], "born", 1),
        lambda: place.DELETE("/people/bob"),
        lambda: scope.PUT("/people/bob", {"name": "Mine"}),
        lambda: place.scope("other").DELETE("/people/ada"),
        lambda: setattr(place.root.people["ada"], "name", "Base"),
        lambda: scope.DELETE("/people/ada"),
        lambda: place.delete_scope("mine"),
        lambda: scope.PUT("/people/eve", {"name": "Mine"}),
    ]
    for act in acts:
        act()
        states[place.head] = contents(scope)
    assert {n: contents(scope.at(n)) for n in states} == states
    mine = [commit for commit in scope.log() if commit.number > 2]
    assert [commit.scope for commit in mine] == ["mine", None, None, "mine", "mine", "mine", "mine"]
    state: dict[str, Any] = {"/people/" + key: value for key, value in states[2].items()}
    for commit in mine:
        for one in commit.changes:
            assert state.pop(one.unit, MISSING) == one.old
            if one.new is not MISSING:
                state[one.unit] = one.new
        expected = {"/people/" + key: value for key, value in states[commit.number].items()}
        assert state == expected


def test_listeners_in_a_scope_hear_what_is_seen_there(place: Store[Place]) -> None:
    scope = place.scope("mine")
    heard: list[Commit] = []
    end = scope._documents.listen(heard.append)
    scope.root.people["ada"].name = "Mine"
    place.scope("other").root.people["ada"].name = "Other"
    place.root.people["ada"].name = "Base"  # not seen in the scope
    place.root.people["ada"].born = 1
    assert [(commit.number, commit.scope) for commit in heard] == [(3, "mine"), (6, None)]
    assert heard[1].changes[0][1:3] == (
        {"name": "Mine", "tags": ["a"], "born": 1815},
        {"name": "Mine", "tags": ["a"], "born": 1},
    )
    end()
    place.root.people["ada"].born = 2
    assert len(heard) == 2


def test_a_commit_that_the_scope_hides_is_none_of_it(place: Store[Place]) -> None:
    scope = place.scope("mine")
    del scope.root.people["bob"]
    place.root.people["bob"].born = 1
    hidden = place.head
    for call in (scope.undo, scope.patch_of):
        with pytest.raises(CommitNotFoundError, match='nothing that the scope "mine" shows'):
            call(hidden)
    place.root.people["ada"].born = 2
    scope.root.people["ada"].born = 3
    place.compact(NEWEST)
    for call in (scope.undo, scope.patch_of):
        with pytest.raises(HistoryGone, match="removed by compaction"):
            call(hidden)


def test_the_past_of_a_scope_that_compaction_may_have_taken_is_gone(place: Store[Place]) -> None:
    scope = place.scope("mine")
    scope.root.people["ada"].name = "First"  # 3
    place.root.people["bob"].born = 1  # 4
    scope.root.people["ada"].name = "Second"  # 5
    place.root.people["bob"].born = 2  # 6
    place.compact(only(4))
    again = place.scope("mine")
    assert [again.at(n).root.people["ada"].name for n in (5, 6)] == ["Second", "Second"]
    with pytest.raises(HistoryGone, match="mine"):
        _ = again.at(4).root.people["ada"].name
    assert place.at(4).root.people["bob"].born == 1


def test_what_a_scope_was_before_commits_that_are_gone_is_not_made_up(untyped: Store) -> None:
    scope = untyped.scope("mine")
    scope["/own"] = {"a": 1}  # 1
    untyped["/u"] = [1]  # 2
    scope["/u"] = [8, 9]  # 3
    del untyped["/u"]  # 4
    del scope["/u/0"]  # 5
    untyped.delete_scope("mine")  # 6
    untyped["/v"] = [2]  # 7
    assert untyped.compact(only(2, 6)) == [1, 3, 5]
    for seen in (scope, untyped.scope("mine")):
        assert [one.number for one in seen.log()] == [2, 4, 6, 7]
        for start, end in ((0, 2), (0, 4), (0, 6), (0, 7)):
            with pytest.raises(HistoryGone):
                seen.diff(start, end)
        for number in (2, 4, 6):
            with pytest.raises(HistoryGone):
                seen.undo(number)
        assert seen.diff(6, 7) == [{"op": "add", "path": "/v", "value": [2]}]
        assert [(one.old, one.new) for one in next(seen.log(after=6)).changes] == [(MISSING, [2])]


def test_the_past_of_a_scope_whose_deletion_was_removed_is_gone(place: Store[Place]) -> None:
    place.scope("mine").root.people["ada"].name = "Mine"  # 3
    place.root.people["bob"].born = 1  # 4
    place.delete_scope("mine")  # 5
    place.root.people["bob"].born = 2  # 6
    place.compact(only(4))
    scope = place.scope("mine")
    assert scope.at(6).root.people["ada"].name == "Ada"
    with pytest.raises(HistoryGone, match="mine"):
        _ = scope.at(4).root.people["ada"].name


def test_a_transaction_of_a_scope_reads_its_start_whatever_was_compacted(
    place: Store[Place],
) -> None:
    scope = place.scope("mine")
    for name in ("First", "Second"):
        scope.root.people["ada"].name = name
        place.root.people["ada"].tags.append(name)
    place.compact(NEWEST)
    with scope.transaction():
        place.scope("mine").root.people["ada"].name = "Third"
        place.root.people["bob"].name = "Third"
        assert scope.root.people["ada"].contents == {
            "name": "Second",
            "tags": ["a", "First", "Second"],
            "born": 1815,
        }
        assert scope.root.people["bob"].name == "Bob"


# Places


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def untyped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    maker: Maker = request.param
    with objstore.open(maker.url(tmp_path)) as store:
        yield store


def test_a_scope_has_its_files_and_folders_where_the_base_has_others(untyped: Store) -> None:
    untyped["/was/file"] = {"n": 1}
    scope = untyped.scope("mine")
    del scope["/was/file"]
    assert list(scope) == []
    assert "/was" not in scope
    scope["/was"] = {"n": 2}
    scope["/a/b"] = {"n": 3}
    untyped["/a"] = {"n": 4}
    assert list(scope) == ["/a/b", "/was"]
    assert scope["/was/n"] == 2
    assert scope["/a/b/n"] == 3
    assert list(scope["/a"]) == ["b"]
    assert untyped["/a/n"] == 4
    untyped["/was/more"] = {"n": 5}
    assert list(scope) == ["/a/b", "/was"]
    del scope["/was"]
    assert list(scope) == ["/a/b", "/was/more"]


def test_what_a_scope_hides_of_the_base_is_no_change_of_it(untyped: Store) -> None:
    scope = untyped.scope("mine")
    acts: list[Callable[[], object]] = [
        lambda: scope.PUT("/d", {"n": 1}),
        lambda: untyped.PUT("/d/u", {"n": 2}),  # hidden, until the scope's file goes
        lambda: untyped.PUT("/d/e/v", {"n": 3}),
        lambda: scope.PUT("/a/b", {"n": 4}),
        lambda: untyped.PUT("/a", {"n": 5}),
        lambda: scope.DELETE("/d"),
        lambda: scope.PUT("/f", {"n": 6}),
        lambda: scope.DELETE("/a/b"),
        lambda: untyped.PUT("/d/u", {"n": 7}),
        lambda: scope.PUT("/d/u/n", 8),
        lambda: untyped.PUT("/f/g", {"n": 9}),
        lambda: untyped.delete_scope("mine"),
    ]
    heard: list[Commit] = []
    scope._documents.listen(heard.append)
    for act in acts:
        act()
    states = [scope.read_at("", number) for number in range(len(acts) + 1)]
    for start, before in enumerate(states):
        for end, after in enumerate(states):
            assert apply(before, scope.diff(start, end)) == after
    assert states[2] == states[3] == states[1] == {"d": {"n": 1}}
    for told in (heard, [*scope.log()]):
        assert [one.number for one in told] == [1, 4, 6, 7, 8, 9, 10, 12]
        assert [(one.unit, one.old, one.new) for one in told[2].changes] == [
            ("/d", {"n": 1}, MISSING),
            ("/d/e/v", MISSING, {"n": 3}),
            ("/d/u", MISSING, {"n": 2}),
        ]
    with pytest.raises(CommitNotFoundError, match='nothing that the scope "mine" shows'):
        scope.undo(2)


def test_a_scope_cannot_have_a_file_for_its_directory(untyped: Store) -> None:
    untyped["/base/file"] = {"n": 1}
    untyped["/file"] = {"n": 1}
    documents = untyped.scope("mine")._documents
    for changes in (
        [Change("/base", MISSING, {})],
        [Change("/file/below", MISSING, {})],
        [Change("/x", MISSING, {}), Change("/x/y", MISSING, {})],
    ):
        with pytest.raises(LayoutError):
            documents.commit(changes, base=2)
    assert untyped.scopes() == []


class Once(Directory):
    people: Directory[Dict]
    tasks: Directory[Dict]


class Today(Directory):
    people: Directory[Dict]


def test_a_scope_has_nothing_where_the_schema_has_no_place_any_more(reopen_logged: Opener) -> None:
    with reopen_logged(Once) as store:
        store["people/ada"] = {"n": 1}
        store.scope("draft")["tasks/a"] = {"n": 1}
    scope = reopen_logged(Today).scope("draft")
    scope["people/bob"] = {"n": 1}
    assert scope.read_at("", 3) == {"people": {"ada": {"n": 1}, "bob": {"n": 1}}}
    assert set(scope) == {"/people/ada", "/people/bob"}
    assert [commit.number for commit in scope.log()] == [1, 2, 3]
    assert [commit.number for commit in scope.log("people/bob")] == [3]
    assert scope.diff(2, 3) == [{"op": "add", "path": "/people/bob", "value": {"n": 1}}]
    assert set(scope.blame()) == {"/people/ada/n", "/people/bob/n"}
    assert scope.check() == []


def test_what_the_schema_has_no_place_for_keeps_no_feed_from_the_rest(
    reopen_logged: Opener,
) -> None:
    store, other = reopen_logged(Today), reopen_logged(Once)
    with store.scope("draft").changes() as feed:
        other.scope("draft")["tasks/a"] = {"n": 1}
        store["people/ada"] = {"n": 1}
        heard = [feed.take(20.0), feed.take(20.0)]
    assert [str(one) for one in heard] == [str(one) for one in store.scope("draft").log()]
    units = [one.changes[0].unit for one in heard if isinstance(one, Commit)]
    assert units == ["/tasks/a", "/people/ada"]


def test_what_cannot_be_read_for_a_scopes_feed_is_no_failure_of_the_commit(
    reopen_logged: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = reopen_logged()
    scope = store.scope("draft")
    scope["a"] = store["b"] = {"n": 1}
    load = store._documents.load

    def failing(unit: str, *, at: int | None = None) -> Any:
        if unit == "/a":
            raise BackingError(5, "no")
        return load(unit, at=at)

    with scope.changes() as feed:
        monkeypatch.setattr(store._documents, "load", failing)
        other = reopen_logged().scope("draft")
        other["a/n"] = 2
        store["b/n"] = 2
        monkeypatch.undo()
        other["a/n"] = 3
        store["b/n"] = 3
        taken = [feed.take(20.0) for _ in range(4)]
    heard = [one for one in taken if isinstance(one, Commit)]
    seen = [(one.number, str(one.changes[0])) for one in heard]
    assert seen == [(3, "/a made"), (4, "/b changed"), (5, "/a changed"), (6, "/b changed")]
    assert [one.unknown for one in heard] == [{"/a"}, set(), set(), set()]
