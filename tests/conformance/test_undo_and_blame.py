"""Undo and blame (objstore/history.py), on every maker that keeps a past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest

import objstore
from objstore import (
    Commit,
    ConflictError,
    Dict,
    Directory,
    KeyNotFoundError,
    List,
    ReadOnlyError,
    Store,
    ValidationError,
)

from .library import BOB, Library
from .pasts import anything, numbers, store
from .retentions import NEWEST
from .stores import Opener, reopen_logged

__all__ = ["anything", "reopen_logged", "store"]


# --- undo -----------------------------------------------------------------------------------------


def test_undo_takes_back_a_change_and_keeps_later_ones(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    commit = store.undo(2, meta={"author": "me"})
    assert commit is not None
    assert commit.number == store.head == 6
    assert commit.meta == {"author": "me", "undoes": 2}
    assert ada == {"name": "Ada King", "born": 1815}
    assert ada.email is None


def test_undo_brings_back_what_was_deleted(store: Store[Library]) -> None:
    store.undo(4)
    assert store.root.people["bob"] == BOB
    store.undo(6)
    assert "bob" not in store.root.people
    assert [change.meta for change in store.log(after=5)] == [{"undoes": 4}, {"undoes": 6}]


def test_undo_deletes_what_was_made(store: Store[Library], reopen_logged: Opener) -> None:
    store.root.people["eve"] = {"name": "Eve", "born": 2000}
    store.undo(store.head)
    assert "eve" not in store.root.people
    assert "eve" not in reopen_logged(Library).root.people


@pytest.mark.parametrize("number", [1, 2, 3])
def test_undo_is_refused_where_the_same_was_changed_later(
    store: Store[Library], number: int
) -> None:
    if number > 1:
        with store.transaction():
            store.root.people["ada"].update(name="A", email="a")
            store.root.people["eve"] = {"name": "Eve", "born": 2000}
    before, head = store.root.contents, store.head
    with pytest.raises(ConflictError, match=f"was changed again after commit {number}") as conflict:
        store.undo(number)
    assert conflict.value.pointer.startswith("/people/")
    assert (store.root.contents, store.head) == (before, head)


def test_undo_twice_is_refused(store: Store[Library]) -> None:
    store.undo(2)
    with pytest.raises(ConflictError) as conflict:
        store.undo(2)
    assert conflict.value.pointer == "/people/ada/email"


def test_undo_in_lists_that_a_key_tells_apart(reopen_logged: Opener) -> None:
    class Task(Dict):
        id: int
        done: bool = False

    class Plan(Directory):
        tasks: Annotated[List[Task], {"mergeKey": "id"}]

    store = reopen_logged(Plan)
    store["tasks"] = [{"id": 1}, {"id": 2}]
    store["tasks"].insert(0, {"id": 0})
    store["tasks"].append({"id": 3})
    store.undo(2)
    assert store["tasks"] == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_undo_within_a_transaction_is_part_of_it(store: Store[Library]) -> None:
    with store.transaction() as transaction:
        store.root.settings.theme = "light"
        assert store.undo(4) is None
        assert store.root.people["bob"] == BOB
        with pytest.raises(ConflictError):
            store.undo(1)
    assert transaction.commit is not None
    assert transaction.commit.number == store.head == 6
    assert transaction.commit.meta == {"undoes": 4}
    assert {change.unit for change in transaction.commit.changes} == {"/people/bob", "/settings"}


def test_what_several_undone_in_one_transaction_say(anything: Store[Directory[Any]]) -> None:
    for key in ("a", "b", "c"):
        anything.root[key] = {}
    with anything.transaction({"why": "all wrong"}) as transaction:
        for number in (3, 2, 1):
            anything.undo(number)
            with pytest.raises(ConflictError):
                anything.undo(number)
    commit = transaction.commit
    assert commit is not None
    assert commit.meta == {"why": "all wrong", "undoes": [3, 2, 1]}
    anything.undo(4)
    assert [commit.meta for commit in anything.log(after=4)] == [{"undoes": 4}]


def test_undo_of_what_does_not_fit_todays_schema_is_refused(reopen_logged: Opener) -> None:
    then = reopen_logged()
    then["settings"] = {"theme": 1}
    then["settings"] = {"theme": "dark"}
    today = reopen_logged(Library)
    with pytest.raises(ValidationError, match="/theme: expected a string, found 1"):
        today.undo(2)
    assert today.root.settings == {"theme": "dark"}
    assert today.head == 2


def test_undo_where_a_directory_lies_by_now_is_refused(anything: Store[Directory[Any]]) -> None:
    anything["a"] = {"x": 1}
    del anything["a"]
    anything["a/b"] = {"y": 2}
    with pytest.raises(objstore.LayoutError):
        anything.undo(2)
    assert anything.root.contents == {"a": {"b": {"y": 2}}}


def test_undo_needs_a_store_that_may_be_changed(
    store: Store[Library], reopen_logged: Opener
) -> None:
    with pytest.raises(ReadOnlyError):
        reopen_logged(Library, readonly=True).undo(2)
    assert store.head == 5


# --- blame ----------------------------------------------------------------------------------------


def test_blame_tells_who_set_each_leaf(store: Store[Library]) -> None:
    assert numbers(store.blame()) == {
        "/people/ada/born": 1,
        "/people/ada/email": 2,
        "/people/ada/name": 3,
        "/reading/0/title": 1,
        "/reading/1/title": 1,
        "/settings/theme": 1,
        "/settings/size": 5,
    }
    assert numbers(store.blame("people.ada.email")) == {"/people/ada/email": 2}
    assert numbers(store.at(1).blame("people/bob/tags")) == {
        "/people/bob/tags/0": 1,
        "/people/bob/tags/1": 1,
    }
    (commit,) = store.blame("people/ada/name").values()
    assert commit is not None
    assert commit.meta == {"author": "me"}


def test_blame_follows_elements_that_move(anything: Store[Directory[Any]]) -> None:
    anything["doc"] = {"rows": [{"n": 1}, {"n": 2}]}
    anything["doc.rows"].insert(0, {"n": 0})
    anything["doc.rows[2].n"] = 22
    del anything["doc.rows[0]"]
    anything["doc.rows[0].more"] = []
    assert numbers(anything.blame("doc")) == {
        "/doc/rows/0/n": 1,
        "/doc/rows/0/more": 5,
        "/doc/rows/1/n": 3,
    }
    assert numbers(anything.blame("doc.rows[1]")) == {"/doc/rows/1/n": 3}


def test_blame_in_a_scope_makes_nothing_up_once_its_past_is_compacted(
    anything: Store[Directory[Any]],
) -> None:
    anything["doc"] = {"a": 1, "b": 1}
    scope = anything.scope("draft")
    scope["doc/c"] = 1
    anything["doc/b"] = 2
    scope["doc/d"] = 1
    assert numbers(scope.blame("doc")) == {"/doc/a": 1, "/doc/b": 3, "/doc/c": 2, "/doc/d": 4}
    anything.compact(NEWEST)
    assert numbers(scope.blame("doc")) == dict.fromkeys(("/doc/a", "/doc/b", "/doc/c", "/doc/d"))
    assert numbers(anything.blame("doc")) == {"/doc/a": 3, "/doc/b": 3}


def test_blame_of_nothing_is_a_key_error(store: Store[Library]) -> None:
    for path in ("people/bob", "people.ada.tags", "reading[2]"):
        with pytest.raises(KeyNotFoundError):
            store.blame(path)
    assert store.at(0).blame() == {}


def test_blame_tells_numbers_of_different_types_apart(anything: Store[Directory[Any]]) -> None:
    anything["doc"] = {"a": 1, "b": 1, "c": 1}
    anything["doc/a"] = 1.0
    anything["doc/b"] = True
    anything["doc/c"] = 1
    assert numbers(anything.blame()) == {"/doc/a": 2, "/doc/b": 3, "/doc/c": 1}


def test_blame_reads_no_further_back_than_it_has_to(
    anything: Store[Directory[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    anything["doc"] = {"a": 0}
    for number in range(2, 201):
        anything["doc"] = {"a": number, "b": number if number < 130 else 130}
    asked: list[int] = []
    commits = anything._documents.commits

    def noting(after: int, path: str) -> Iterator[Commit]:
        asked.append(after)
        return commits(after, path)

    monkeypatch.setattr(anything._documents, "commits", noting)
    assert numbers(anything.blame("doc.a")) == {"/doc/a": 200}
    assert min(asked) > 180
    assert numbers(anything.blame()) == {"/doc/a": 200, "/doc/b": 130}
    assert min(asked) > 80
