"""Joint transactions (5): what merges, what conflicts, and what is no patch."""

from __future__ import annotations

from typing import Any

import pytest

import objstore
from objstore import Store

from .joint import add, commit, replace, store
from .stores import reopen_logged

__all__ = ["reopen_logged", "store"]


def test_05_siblings_and_disjoint_roots_merge(store: Store[Any]) -> None:
    result = commit(
        store,
        ("/doc/a", [add("/z", 1)]),
        ("/doc/b/y", [replace(5)]),
        ("/doc/list/1/n", [replace(20)]),
        ("/other", [add("", {"new": True})]),
        ("folder/below/file", [add("", [1])]),
    )
    assert result.committed
    assert store["/doc"] == {
        "a": {"x": 1, "z": 1},
        "b": {"y": 5},
        "list": [{"n": 1}, {"n": 20}, {"n": 3}],
    }
    assert store["/other"] == {"new": True}
    assert store["/folder/below/file"] == [1]
    assert store.head == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/doc/a", "/doc/a"),
        ("/doc", "/doc/a"),
        ("/doc/list/1", "/doc/list"),
        ("", "/doc/a"),
        ("/doc/a", "doc.a"),
    ],
)
def test_05_the_same_path_an_ancestor_or_a_descendant_conflicts(
    store: Store[Any], one: str, other: str
) -> None:
    patch = [{"op": "copy", "from": "", "path": "/z"}]
    for paths in ((one, other), (other, one)):
        result = commit(store, *((path, patch) for path in paths))
        assert (result.committed, result.matched, result.commit) == (False, True, None)
        assert isinstance(result.error, objstore.ConflictError)
        assert result.error.pointer == max(one, other.replace("doc.a", "/doc/a"), key=len)
    assert store.head == 1


def test_paths_that_are_close_are_not_the_same(store: Store[Any]) -> None:
    store["/docs"] = {"a": 1}
    assert commit(store, ("/doc", [add("/z", 1)]), ("/docs", [add("/z", 1)])).committed


def test_elements_that_move_conflict_with_changes_behind_them(store: Store[Any]) -> None:
    gone = ("/doc/list/0", [{"op": "remove", "path": ""}])
    result = commit(store, gone, ("/doc/list/1/n", [replace(20)]))
    assert isinstance(result.error, objstore.ConflictError)
    assert result.error.pointer == "/doc/list"
    assert store.head == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("doc.list[0]", "doc.list.a"), ("doc.a.x", "doc[0]"), ("doc.a.x", "doc{3}.x")],
)
def test_05_mixed_kinds_are_refused(store: Store[Any], one: str, other: str) -> None:
    result = commit(store, (one, [replace(1)]), (other, [replace(1)]))
    assert isinstance(result.error, objstore.PathError)
    assert store.head == 1


@pytest.mark.parametrize("path", ["doc[0]", "doc.list.n", "doc.list{0}"])
def test_kinds_that_do_not_fit_what_is_there_are_refused(store: Store[Any], path: str) -> None:
    result = commit(store, (path, [add("", 1)]))
    assert isinstance(result.error, objstore.PathError)
    assert store.head == 1


@pytest.mark.parametrize("path", ["a..b", "doc[", "doc.a[-1]", "/doc/~2", "/doc~", "doc.a.*"])
def test_05_bad_paths_are_refused(store: Store[Any], path: str) -> None:
    with pytest.raises(objstore.PathError):
        store.new_tx(1).patcher(path, [])


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "ad", "path": ""}],
        [{"op": "add", "path": ""}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "move", "path": "/a"}],
        [5],
        ["add"],
    ],
)
def test_bad_patches_are_refused(store: Store[Any], patch: Any) -> None:
    with pytest.raises(objstore.PatchError):
        store.new_tx(1).patcher("/doc", patch)


def test_what_is_no_json_is_refused(store: Store[Any]) -> None:
    for value in (float("nan"), object(), {1: 2}):
        with pytest.raises(objstore.ValidationError):
            store.new_tx(1).patcher("/doc", [add("/x", value)])
        with pytest.raises(objstore.ValidationError):
            store.new_tx(1).patcher("/doc", [], {"x": value})
        with pytest.raises(objstore.ValidationError):
            store.new_tx(1, {"x": value})


def test_a_patch_that_does_not_fit_aborts(store: Store[Any]) -> None:
    result = commit(store, ("/doc/a", [add("/z", 1)]), ("/doc/b", [add("/z", 1), replace(1, "/q")]))
    assert isinstance(result.error, objstore.PatchError)
    assert result.error.number == 2
    assert store.head == 1
