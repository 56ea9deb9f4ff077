"""What is held of a store ends with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore import ClosedError, Store

from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

USES: dict[str, Callable[[Store[Any]], object]] = {
    "root": lambda s: s.root,
    "item": lambda s: s["a"],
    "keys": list,
    "head": lambda s: s.head,
    "log": lambda s: s.log(),
    "transaction": lambda s: s.transaction(),
    "changes": lambda s: s.changes(),
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_a_scope_and_the_past_of_a_closed_store_are_closed(
    reopen_logged: Opener, use: Callable[[Store[Any]], object]
) -> None:
    store = reopen_logged()
    store["a"] = {"n": 1}
    scope, past = store.scope("draft"), store.at(1)
    assert (scope["a"].n, past["a"].n) == (1, 1)
    store.close()
    for one in (store, scope, past):
        with pytest.raises(ClosedError):
            use(one)
        one.close()


def test_a_log_that_is_read_ends_with_its_store(reopen_logged: Opener) -> None:
    store = reopen_logged()
    for number in range(4):
        store["a"] = {"n": number}
    logs = [store.log(), store.log("a/n", after=1), store.scope("draft").log(), store.at(3).log()]
    for log in logs:
        next(log)
    feed = store.changes(after=0)
    assert feed.take() is not None
    store.close()
    for log in logs:
        with pytest.raises(ClosedError):
            next(log)
    assert list(feed) == []
