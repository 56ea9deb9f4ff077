"""How transactions know the elements of Lists that they moved."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import pytest

import objstore
from objstore._origins import Order, fresh_tokens
from objstore.errors import ConflictError
from objstore.objects import Part

from .counting import calls_of

NOBODY = cast("Part", None)


@pytest.mark.parametrize("seed", range(20))
def test_every_element_is_found_where_it_is(seed: int) -> None:
    pick = random.Random(seed)  # noqa: S311
    order, gone = Order(NOBODY, list(range(30))), list[int]()
    for _ in range(60):
        at, tokens = pick.randint(0, len(order.tokens)), order.tokens
        kind = pick.choice(["append", "insert", "delete", "extend", "swap"])
        if kind == "append":
            tokens.append(next(fresh_tokens))
        elif kind == "insert":
            tokens.insert(at, next(fresh_tokens))
        elif kind == "extend":
            tokens[at:at] = [next(fresh_tokens) for _ in range(5)]
        elif kind == "swap":
            pick.shuffle(tokens)
        elif tokens[at : at + 3]:
            gone += tokens[at : at + 3]
            del tokens[at : at + 3]
        for token in pick.sample([*tokens, *gone], 10):
            expected = tokens.index(token) if token in tokens else -1
            assert order.place(token) == expected


def test_an_element_costs_the_same_however_many_lists_were_changed(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"all": []}')
    with objstore.open(tmp_path) as store, store.transaction():
        every = store["file/all"]
        every.extend({"n": n, "tags": []} for n in range(400))

        def work(index: int) -> None:
            one = every[index]
            one.tags.append("x")
            one.n = -1
            assert one.tags[0] == "x"

        costs = [calls_of(partial(work, index)) for index in range(400)]
    assert median(costs[300:]) < 1.2 * median(costs[:100])


def test_a_list_that_was_replaced_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"in": {"all": [1, 2, 3]}}')
    with objstore.open(tmp_path) as store, store.transaction():
        inner: Any = store["file/in"]
        every = inner.all
        del every[0]
        store["file"]["in"] = {"all": [[7], [8], [9]]}
        assert store["file/in/all"][0][0] == 7
        assert [one[0] for one in store["file/in/all"]] == [7, 8, 9]


def test_a_list_is_forgotten_where_others_moved_what_it_is_in(tmp_path: Path) -> None:
    """Another transaction gives the elements of a list new indices while this one has changed a
    list within one of them; then that one is replaced."""
    (tmp_path / "file.json").write_text('{"all": [{"in": [0, 1]}, {"in": [2, 3]}, {"in": [4, 5]}]}')
    with objstore.open(tmp_path) as store:

        def insert() -> None:
            store["file/all"].insert(0, {"in": []})

        def change() -> None:
            with store.transaction():
                last = store["file/all"][2]
                last["in"].pop(0)
                run(insert)
                assert list(last["in"]) == [5]
                store["file/all"][2] = {"in": [[6], [7]]}
                assert [one[0] for one in store["file/all"][2]["in"]] == [6, 7]
                assert [one["in"][0] for one in store["file/all"]] == [0, 2, [6]]

        with pytest.raises(ConflictError, match="/all"):
            change()
        assert len(store["file/all"]) == 4


def run(work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
