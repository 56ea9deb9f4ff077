"""What a transaction sees of its own changes, before anybody else does."""

from __future__ import annotations

import math
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
