"""Transactions whose files others change again and again while they commit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import ConflictError, Dict, Directory, List, Store
from objstore.values import MISSING
from tests.faults.machine import start_child

from .stores import Opener, reopen

__all__ = ["reopen"]

OFTEN = 12
"""How many times in a row somebody else is faster."""


def outrun(store: Store[Any], rival: Callable[[int], None], times: int) -> None:
    """Have ``rival`` commit right before each of the next commits of ``store``."""
    commit = store._documents.commit
    left = list(range(times))

    def late(*args: Any, **options: Any) -> Any:
        if left:
            rival(left.pop(0))
        return commit(*args, **options)

    store._documents.commit = late  # type: ignore[method-assign]


def test_what_does_not_overlap_merges_however_often_others_are_faster(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    store["a"] = {"ours": 0, "theirs": -1}

    done = [-1]

    def rival(n: int) -> None:
        other["a"]["theirs"] = n
        done.append(n)

    outrun(store, rival, OFTEN)
    store["a"]["ours"] = 1
    assert len(done) > 1
    assert reopen()["a"].contents == {"ours": 1, "theirs": done[-1]}


def test_a_change_alone_is_of_what_was_committed_before_it(reopen: Opener) -> None:
    """Also where the file does not have it yet, and nobody here has read it."""
    store, other = reopen(), reopen(apply="lazy")
    store["a"] = {"by": "us", "tags": [1]}
    other["a"]["by"] = "them"
    store["a"]["by"] = "us again"
    other["new"] = {"by": "them"}
    store["new"] = {"by": "us"}
    other["gone"] = [1]
    del store["gone"]
    found = reopen().root
    assert {key: found[key].contents for key in found} == {
        "a": {"by": "us again", "tags": [1]},
        "new": {"by": "us"},
    }


def test_what_is_due_here_does_not_hide_what_others_commit(reopen: Opener) -> None:
    store, other = reopen(apply="lazy"), reopen()
    other["a"] = {"ours": 0, "theirs": 0}
    for n in (1, 2):
        store["a"]["ours"] = n
        other["a"]["theirs"] = n
        assert store["a"].contents == {"ours": n, "theirs": n}


def test_so_it_does_in_a_scope(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    store["a"] = {"ours": 0, "theirs": -1}
    scope = store.scope("draft")

    done = [-1]

    def rival(n: int) -> None:
        other["a"]["theirs"] = n
        done.append(n)

    outrun(scope, rival, OFTEN)
    scope["a"]["ours"] = 1
    assert len(done) > 1
    assert reopen().scope("draft")["a"].contents == {"ours": 1, "theirs": done[-1]}
    assert reopen()["a"].contents == {"ours": 0, "theirs": done[-1]}


def test_what_overlaps_conflicts_at_once(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    store["a"] = {"ours": 0}
    calls = list[int]()

    def rival(n: int) -> None:
        calls.append(n)
        other["a"]["ours"] = n + 2

    outrun(store, rival, OFTEN)
    with pytest.raises(ConflictError) as error:
        store["a"]["ours"] = 1
    assert (error.value.pointer, error.value.base, error.value.theirs) == ("/a/ours", 0, 2)
    assert calls == [0]


def test_what_a_conflict_tells_is_its_programs_own(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    store["a"] = {"doc": {"n": 0}}

    def conflict() -> ConflictError:
        with pytest.raises(ConflictError) as caught, store.transaction():
            del store["a"]["doc"]
            other["a"]["doc"] = {"n": store.head}
            store["a"].get("doc")
        return caught.value

    error = conflict()
    told: Any = error.theirs
    told["ours"] = "too"
    assert error.theirs == {"n": 1}
    assert store["a"] == other["a"] == {"doc": {"n": 1}}
    store["a"]["doc"] = told
    assert store["a"] == reopen()["a"] == {"doc": {"n": 1, "ours": "too"}}
    told = error.base
    told["n"] = -1
    assert store.read_at("/a/doc", 1) == {"n": 0}


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("name", [None, "draft"], ids=["base", "scope"])
def test_processes_that_change_different_places_of_a_file(
    tmp_path: Path, apply: str, name: str | None
) -> None:
    """Half of them in a scope, where one is named."""
    folder, processes, times = tmp_path / "store", 4, 60

    def opened(who: int) -> Store[Any]:
        store: Store[Any] = objstore.open(folder, apply=apply, durability="os")
        return store if name is None or who % 2 else store.scope(name)

    def count_up(who: int) -> None:
        store = opened(who)
        for n in range(times):
            store["a"][f"of {who}"] = n

    with objstore.open(folder) as store:
        store["a"] = {f"of {who}": -1 for who in range(processes)}
    children = [start_child(lambda who=who: count_up(who)) for who in range(processes)]  # type: ignore[misc]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * processes
    for who in range(processes):
        assert opened(who)["a"][f"of {who}"] == times - 1


CHANGES: list[tuple[Any, Any, Callable[[Any], Any], Any, Any]] = [
    (["a"], ["b", "a"], lambda held: held.append("x"), None, ["b", "a", "x"]),
    (["a"], ["b", "a"], lambda held: held.extend("xy"), None, ["b", "a", "x", "y"]),
    (["a"], ["b", "a"], lambda held: held.remove("a"), None, ["b"]),
    (["a"], ["b", "a"], lambda held: held.pop(0), "b", ["a"]),
    (["a"], ["a", "b"], lambda held: held.pop(), "b", ["a"]),
    (["c"], ["c", "b", "a"], lambda held: held.sort(), None, ["a", "b", "c"]),
    (["a"], ["a", "b"], lambda held: held.reverse(), None, ["b", "a"]),
    (["a"], ["a", "b"], lambda held: held.__imul__(2).contents, ["a", "b"] * 2, ["a", "b"] * 2),
    ({"n": 1}, {"n": 2}, lambda held: held.pop("n"), 2, {}),
    ({"n": 1}, {"m": 2}, lambda held: held.pop("n", None), None, {"m": 2}),
    ({}, {"n": 2}, lambda held: held.pop("n", None), 2, {}),
    ({"n": 1}, {"n": 1, "m": 2}, lambda held: held.popitem(), ("m", 2), {"n": 1}),
    ({}, {"n": 2}, lambda held: held.setdefault("n", 5), 2, {"n": 2}),
]


@pytest.mark.parametrize(("before", "meanwhile", "change", "returned", "after"), CHANGES)
def test_a_change_is_of_what_is_there_as_it_begins(
    reopen: Opener,
    before: Any,
    meanwhile: Any,
    change: Callable[[Any], Any],
    returned: Any,
    after: Any,
) -> None:
    """And not of what a held Object has shown, which takes out what it has not seen."""
    store, other = reopen(), reopen()
    store["a"] = {"part": before}
    held = store["a"]["part"]
    assert held.contents == before
    other["a"]["part"] = meanwhile
    assert change(held) == returned
    assert reopen()["a"].contents == {"part": after}


class Part(Dict):
    name: str
    tags: list[str] = []


class Whole(Dict):
    tags: list[str] = []
    sizes: dict[str, int] = {"a": 1}
    parts: list[Part] = []
    inner: Part = Part(name="inner")
    given: dict[str, int] | None = None


class Wholes(Directory):
    wholes: Directory[Whole]
    rules: List[Dict] = objstore.file("rules.yaml", default=[])


Change = Callable[[Any, str], object]

NAMED = [{"name": "theirs"}, {"name": "ours"}]

OF_DEFAULTS: list[tuple[str, Change, Any]] = [
    ("/wholes/a/tags", lambda tags, who: tags.append(who), ["theirs", "ours"]),
    (
        "/wholes/a/sizes",
        lambda sizes, who: sizes.update({who: 2}),
        {"a": 1, "theirs": 2, "ours": 2},
    ),
    ("/wholes/a/parts", lambda parts, who: parts.append({"name": who}), NAMED),
    ("/wholes/a/inner/tags", lambda tags, who: tags.append(who), ["theirs", "ours"]),
    ("/rules", lambda rules, who: rules.append({"name": who}), NAMED),
]

SCHEMAS = [Wholes, objstore.schema.from_json(Wholes.__schema__)]
schemas = pytest.mark.parametrize("schema", SCHEMAS, ids=["class", "schema"])


@schemas
@pytest.mark.parametrize(("path", "change", "after"), OF_DEFAULTS)
def test_what_both_make_of_a_default_merges(
    reopen: Opener, schema: Any, path: str, change: Change, after: Any
) -> None:
    store, other = reopen(schema), reopen(schema)
    store["/wholes/a"] = {}
    held: Any = store[path]
    with store.transaction():
        change(held, "ours")
        ours = held[-1] if after is NAMED else None
        change(other[path], "theirs")
    assert held.contents == after
    if ours is not None:
        assert ours is held[1]


@schemas
def test_of_a_default_too_a_place_that_both_set_is_a_conflict(reopen: Opener, schema: Any) -> None:
    store, other = reopen(schema), reopen(schema)
    for path, base, ours, theirs in [
        ("/wholes/a/sizes/a", 1, 2, 2),
        ("/wholes/a/sizes/b", MISSING, 2, 3),
        ("/wholes/a/given", MISSING, {"a": 1}, {"b": 1}),
    ]:
        store["/wholes/a"] = {}
        with pytest.raises(ConflictError) as caught, store.transaction():
            store[path] = ours
            other[path] = theirs
        error = caught.value
        assert (error.pointer, error.base, error.ours, error.theirs) == (path, base, ours, theirs)


def test_changes_of_a_default_one_by_one_are_all_there(reopen: Opener) -> None:
    store, other = reopen(Wholes), reopen(Wholes)
    store["/wholes/a"] = {}
    outrun(store, lambda n: other["/wholes/a"].tags.append(str(n)), 1)
    store["/wholes/a"].tags.append("ours")
    assert reopen(Wholes)["/wholes/a"].tags == ["0", "ours"]
