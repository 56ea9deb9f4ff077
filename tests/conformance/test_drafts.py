"""What a transaction sees of its own changes, before anybody else does."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objstore import Directory, ValidationError

from .stores import Opener, reopen

__all__ = ["reopen"]


def test_a_transaction_finds_what_it_makes_in_new_folders(reopen: Opener) -> None:
    store = reopen()
    with store.transaction():
        store["/a/b/c"] = {"x": 1}
        assert store["/a/b/c/x"] == 1
        assert isinstance(store["/a"], Directory)
        assert "/a/b" in store
        assert "a" in store.root
        assert list(store) == ["/a/b/c"]
        assert store.root.contents == {"a": {"b": {"c": {"x": 1}}}}
        with pytest.raises(ZeroDivisionError), store.transaction():
            store["/d/e"] = []
            store["/d/e"].append(1 // 0)
        assert "/d" not in store
        store["/d/e"] = []
        assert store.pop("/d/e") == []
        assert "/d" not in store
        store["/a/f"] = {}
        del store["/a/b"]
        assert store["/a"].contents == {"f": {}}
    assert list(store) == ["/a/f"]


@pytest.mark.parametrize("value", [object(), math.nan, {1: 2}, "\ud800"])
def test_a_commit_says_about_itself_what_is_json(reopen: Opener, value: Any) -> None:
    store = reopen()
    why: list[Any] = []
    transaction = store.transaction(meta={"why": value})
    with pytest.raises(ValidationError, match="meta at /why"), transaction:
        store["/a"] = {}
    assert list(store) == []
    transaction = store.transaction(meta={"why": why})
    with transaction:
        store["/a"] = {}
    why.append(1)
    assert transaction.commit is not None
    assert transaction.commit.meta == {"why": []}


def test_a_folder_that_a_transaction_removes_is_gone_for_it(reopen: Opener) -> None:
    store = reopen()
    store["/a/b/c"], store["/a/d"], store["/e"] = {"x": 1}, {}, {}
    root = store.root
    with store.transaction():
        del root["a"]["b"]
        assert list(root["a"]) == ["d"]
        with pytest.raises(ZeroDivisionError), store.transaction():
            del root["a"]
            assert ("a" in root, list(root), root.get("a")) == (False, ["e"], None)
            raise ZeroDivisionError
        assert list(root) == ["a", "e"]
        del root["a"]
        assert ("/a" in store, list(root), root.get("a")) == (False, ["e"], None)
        root["a"] = {"f": {"x": 2}}
        assert list(root) == ["a", "e"]
    assert dict(store) == {"/a/f": {"x": 2}, "/e": {}}


def test_a_transaction_finds_what_it_makes_where_it_saw_nothing(reopen: Opener) -> None:
    store = reopen()

    def elsewhere() -> None:
        store["/new/x"] = {"n": 1}
        del store["/new/x"]

    with store.transaction():
        assert "/q" not in store
        with ThreadPoolExecutor(1) as threads:
            threads.submit(elsewhere).result()
        assert "/new/x" not in store
        store["/new/x"] = {"n": 2}
        assert store["/new/x"] == {"n": 2}
    assert store["/new/x"] == {"n": 2}
