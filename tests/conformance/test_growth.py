"""What Objects do that costs the same however much is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from objstore._deltas import Delta, gather, patch_of
from tests.counting import calls_of, steps_of

from .stores import Opener, reopen

__all__ = ["reopen"]


def test_06_len_and_bool_do_not_go_over_the_keys(reopen: Opener) -> None:
    store = reopen(None)
    store["few"], store["many"] = {}, {f"key{number}": number for number in range(300)}

    def cost(of: str, ask: Callable[[Any], Any]) -> int:
        asked = store[of]
        return min(calls_of(lambda: ask(asked)) for _ in range(3))

    assert (len(store["few"]), len(store["many"])) == (0, 300)
    assert (bool(store["few"]), bool(store["many"])) == (False, True)
    for ask in (len, bool):
        assert cost("many", ask) == cost("few", ask)


class Passes(dict[str, Delta]):
    """Deltas that count how often somebody goes over all of them."""

    passes = 0

    def items(self) -> Any:
        self.passes += 1
        return super().items()


def test_a_patch_does_not_go_over_all_that_changed_for_each_directory(reopen: Opener) -> None:
    store = reopen(None)

    def passes(directories: int) -> int:
        before = store.head
        with store.transaction():
            for number in range(directories):
                store[f"{directories}/{number}/file"] = {"n": number}
        deltas = Passes(gather(store._documents.commits(before), ""))
        (patch,) = patch_of(deltas, "", store._documents, store.head)
        assert len(patch["value"]) == directories
        return deltas.passes

    assert passes(3) == passes(50)


def replace_and_get(store: Any, _held: list[Any]) -> None:
    for key in list(store["dict"]):
        store["dict"][key] = {"n": 1}
        store["dict"][key]["x"] = 1


def get_and_replace_one(store: Any, held: list[Any]) -> None:
    found = store["dict"]
    for number in range(len(held)):
        before = found["0"]
        found["0"] = {"n": number}
        assert "n" in before


def delete_each(store: Any, held: list[Any]) -> None:
    for _ in range(len(held) // 2):
        del store["list"][-1]


def delete_folders(store: Any, _held: list[Any]) -> None:
    folders = store["folders"]
    for key in list(folders):
        del folders[key]
    assert list(folders) == []


def make_each_in_a_savepoint(store: Any, held: list[Any]) -> None:
    for number in range(len(held)):
        with store.transaction():
            store[f"made/{number}"] = {}


@pytest.mark.parametrize(
    "change",
    [
        replace_and_get,
        get_and_replace_one,
        delete_each,
        delete_folders,
        make_each_in_a_savepoint,
    ],
)
def test_what_a_transaction_does_to_each_costs_the_same_however_many_there_are(
    reopen: Opener, change: Callable[[Any, list[Any]], None]
) -> None:
    store = reopen(None)

    def cost(count: int) -> int:
        store.clear()
        with store.transaction():
            store["dict"] = {str(number): {"n": number} for number in range(count)}
            store["list"] = [{"n": number} for number in range(count)]
            for number in range(count):
                store[f"folders/{number}/file"] = {}
        held = [*store["dict"].values(), *store["list"]]
        with store.transaction():
            return steps_of(lambda: change(store, held))

    assert cost(80) < 4.5 * cost(20)
