"""What is there as it is listed, and gone as it is read: others may delete files at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore import Store

from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

KEPT = {"a": {"n": 1}, "c": {"n": 3}}

Look = Callable[[Store[Any]], object]

LOOKS: dict[str, tuple[Look, object]] = {
    "contents": (lambda s: s["d"].contents, KEPT),
    "contents of what is above": (lambda s: s.root.contents, {"d": KEPT}),
    "items": (lambda s: dict(s["d"].items()), KEPT),
    "values": (lambda s: list(iter(s["d"].values())), [{"n": 1}, {"n": 3}]),
    "equal": (lambda s: s["d"] == KEPT, True),
    "copy": (lambda s: s["d"].copy(), KEPT),
    "or": (lambda s: s["d"] | {"e": 1}, {**KEPT, "e": 1}),
    "items of the store": (lambda s: dict(s.items()), {"/d/a": {"n": 1}, "/d/c": {"n": 3}}),
    "values of the store": (lambda s: list(iter(s.values())), [{"n": 1}, {"n": 3}]),
    "check": (lambda s: s.check(), []),
    "dangling": (lambda s: s.dangling(), []),
}


GIVES_OBJECTS = {"items", "values", "or", "items of the store", "values of the store"}


def deleting(by: Store[Any], path: str, found: Callable[..., Any]) -> Any:
    todo = [path]

    def then_delete(of: str, *more: Any, **options: Any) -> Any:
        answer = found(of, *more, **options)
        if of in todo:
            todo.remove(of)
            by.DELETE("/d/b")
        return answer

    return then_delete


@pytest.fixture
def store(reopen_logged: Opener) -> Store[Any]:
    store = reopen_logged()
    for key, value in {**KEPT, "b": {"n": 2}}.items():
        store[f"d/{key}"] = value
    return store


@pytest.mark.parametrize("look", LOOKS)
def test_who_reads_all_passes_over_what_others_delete_once_it_is_listed(
    store: Store[Any], reopen_logged: Opener, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    other = reopen_logged()
    monkeypatch.setattr(store, "keys_of", deleting(other, "/d", store.keys_of))
    ask, expected = LOOKS[look]
    assert ask(store) == expected
    assert not other.HEAD("/d/b")


@pytest.mark.parametrize("look", sorted(LOOKS.keys() - GIVES_OBJECTS))
def test_who_reads_all_passes_over_what_is_deleted_once_it_is_found(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    monkeypatch.setattr(store, "member", deleting(store, "/d/b", store.member))
    ask, expected = LOOKS[look]
    assert ask(store) == expected
    assert not store.HEAD("/d/b")
