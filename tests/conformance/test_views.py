"""Snapshot views: what is as of their start in them, what is of the moment, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from objstore import ReadOnlyError, Retention, Store

from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

CHANGES: dict[str, Callable[[Store[Any]], object]] = {
    "undo": lambda s: s.undo(2),
    "undo of what was changed again": lambda s: s.undo(1),
    "undo of what was never there": lambda s: s.undo(99),
    "set": lambda s: s.PUT("a", {"n": 9}),
    "delete": lambda s: s.DELETE("a"),
    "delete_scope": lambda s: s.delete_scope("draft"),
    "delete_scope of what is not there": lambda s: s.delete_scope("other"),
    "new_tx": lambda s: s.new_tx(1),
    "pin": lambda s: s.pin(1),
    "unpin": lambda s: s.unpin(1),
    "compact": lambda s: s.compact(Retention(timedelta(0), timedelta(1))),
    "switch_and_snapshot": lambda s: s.switch_and_snapshot(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_view_refuses_what_changes_something(
    reopen_logged: Opener, change: Callable[[Store[Any]], object]
) -> None:
    with reopen_logged() as store:
        store["a"] = {"n": 1}
        store["a"].n = 2
        store.scope("draft")["a"].n = 3
        with store.snapshot_view():
            with pytest.raises(ReadOnlyError, match="in a snapshot view"):
                change(store)
            with store.transaction(), pytest.raises(ReadOnlyError, match="in a snapshot view"):
                change(store)
        with (
            store.transaction(),
            store.snapshot_view(),
            pytest.raises(ReadOnlyError, match="in a snapshot view"),
        ):
            change(store)
        assert (store.head, store["a"].n, store.scopes()) == (3, 2, ["draft"])
        assert not store.pins()


def test_what_tells_of_commits_is_of_the_moment(reopen_logged: Opener) -> None:
    with reopen_logged() as store, reopen_logged() as other:
        store["a"] = {"n": 1}
        with store.snapshot_view() as number:
            other["a"].n = 2
            assert (number, store["a"].n) == (1, 1)
            assert [one.number for one in store.log()] == [1, 2]
            blamed = store.blame("a")["/a/n"]
            assert blamed is not None
            assert (store.head, blamed.number, store.read_at("a/n", store.head)) == (2, 2, 2)
            past = store.at(number).blame("a")["/a/n"]
            assert past is not None
            assert (store.at(number)["a"].n, past.number) == (1, 1)
