"""Merging two changes of one value: what is kept, what conflicts, and laws that hold for any."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.patch import Conflict, Merged, apply, diff, merge
from objstore.values import JSON, MISSING, is_array, is_object, same

from .formats.random_edits import KEYS, SCALARS, change, contents, copied

SEEDS = st.randoms(use_true_random=False)
CONTENTS = contents(KEYS, SCALARS)
PARTS = st.lists(CONTENTS, min_size=1, max_size=4)
LEAVES = st.sampled_from([0, 1, True, 1.0, "a", None])
TREES = st.recursive(
    LEAVES, lambda parts: st.dictionaries(st.sampled_from("abc"), parts, max_size=3), max_leaves=8
)
"""Objects and leaves only, so alike that two of them often touch the same."""


class Untouchable(list[Any]):
    """A value that must not be looked at: nobody changed it."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __iter__(self) -> Any:
        raise AssertionError("iterated over")

    __hash__ = None


def by_id(pointer: str) -> str | None:
    return "id" if pointer.endswith("items") else None


def conflict(pointer: str, base: Any, ours: Any, theirs: Any) -> Conflict:
    return Conflict(pointer, base, ours, theirs)


# --- what merges ----------------------------------------------------------------------------------

MERGED: list[tuple[str, Any, Any, Any, Any]] = [
    ("other keys", {"a": 1, "b": 2}, {"a": 9, "b": 2}, {"a": 1, "b": 8}, {"a": 9, "b": 8}),
    ("deeper", {"a": {"b": 1, "c": 2}}, {"a": {"b": 9, "c": 2}}, {"a": {"b": 1}}, {"a": {"b": 9}}),
    ("new keys", {}, {"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ("the same change", {"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
    ("the same new object", {}, {"a": {"b": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ("both removed", {"a": 1, "b": 2}, {"b": 2}, {"b": 2}, {"b": 2}),
    ("one removed", {"a": 1, "b": 2}, {"b": 2}, {"a": 1, "b": 3}, {"b": 3}),
    ("both made", MISSING, {"a": 1}, {"a": 1}, {"a": 1}),
    ("both deleted", {"a": 1}, MISSING, MISSING, MISSING),
    ("appends", [1], [1, "o"], [1, "t"], [1, "t", "o"]),
    ("several appends", [], [1, 2], [3, 4], [3, 4, 1, 2]),
    ("equal appends", ["x"], ["x", "y"], ["x", "y"], ["x", "y", "y"]),
    ("an equal append among keys", {"l": [1]}, {"l": [1, 2]}, {"l": [1, 2]}, {"l": [1, 2, 2]}),
    ("other elements", [1, 2, 3], [9, 2, 3], [1, 2, 8], [9, 2, 8]),
    ("an element and an append", [1, 2], [9, 2], [1, 2, 3], [9, 2, 3]),
    ("elements and appends", [1, 2], [9, 2, "o"], [1, 8, "t"], [9, 8, "t", "o"]),
    ("within one element", [{"a": 1, "b": 2}], [{"a": 9, "b": 2}], [{"a": 1, "b": 8}],
     [{"a": 9, "b": 8}]),
    ("the same element alike", [1, 2], [1, 9], [1, 9], [1, 9]),
    ("only ours", [1, 2, 3], [3, 1], [1, 2, 3], [3, 1]),
    ("only theirs", [1, 2, 3], [1, 2, 3], [3, 1], [3, 1]),
    ("both rearranged alike", [1, 2, 3], [3, 1, 2], [3, 1, 2], [3, 1, 2]),
    ("both removed the same element", [1, 2, 3], [1, 3], [1, 3], [1, 3]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [case[1:] for case in MERGED],
    ids=[case[0] for case in MERGED],
)
def test_what_does_not_overlap_merges(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    value, conflicts = merge(base, ours, theirs)
    assert conflicts == ()
    assert same(value, merged)


CONFLICTS: list[tuple[str, Any, Any, Any, Conflict]] = [
    ("a key", {"a": 1}, {"a": 2}, {"a": 3}, conflict("/a", 1, 2, 3)),
    ("numbers alike", {"a": 0}, {"a": 1}, {"a": True}, conflict("/a", 0, 1, True)),
    ("deeper", {"x/y": {"a": 1}}, {"x/y": {"a": 2}}, {"x/y": {"a": 3}},
     conflict("/x~1y/a", 1, 2, 3)),
    ("a new key", {}, {"a": 1}, {"a": 2}, conflict("/a", MISSING, 1, 2)),
    ("new objects", {}, {"a": {"x": 1}}, {"a": {"y": 2}},
     conflict("/a", MISSING, {"x": 1}, {"y": 2})),
    ("we removed", {"a": {"b": 1}}, {}, {"a": {"b": 2}},
     conflict("/a", {"b": 1}, MISSING, {"b": 2})),
    ("they removed", {"a": {"b": 1}}, {"a": {"b": 2}}, {},
     conflict("/a", {"b": 1}, {"b": 2}, MISSING)),
    ("another kind", {"a": {"b": 1}}, {"a": []}, {"a": {"b": 2}},
     conflict("/a", {"b": 1}, [], {"b": 2})),
    ("the whole", {"a": 1}, MISSING, {"a": 2}, conflict("", {"a": 1}, MISSING, {"a": 2})),
    ("an element", [1, 2], [1, 3], [1, 4], conflict("/1", 2, 3, 4)),
    ("within an element", [{"a": 1}], [{"a": 2}], [{"a": 3}], conflict("/0/a", 1, 2, 3)),
    ("an insertion and an append", [1, 2], [0, 1, 2], [1, 2, 3],
     conflict("", [1, 2], [0, 1, 2], [1, 2, 3])),
    ("a removal and an append", [1, 2], [2], [1, 2, 3], conflict("", [1, 2], [2], [1, 2, 3])),
    ("a removal and an element", [1, 2], [2], [1, 9], conflict("", [1, 2], [2], [1, 9])),
    ("two orders", [1, 2, 3], [3, 1, 2], [2, 3, 1], conflict("", [1, 2, 3], [3, 1, 2], [2, 3, 1])),
    ("a window that moved", [5, 0, 0, 0], [0, 0, 0, 6], [5, 0, 8, 0],
     conflict("", [5, 0, 0, 0], [0, 0, 0, 6], [5, 0, 8, 0])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [case[1:] for case in CONFLICTS],
    ids=[case[0] for case in CONFLICTS],
)
def test_what_both_changed_conflicts(base: Any, ours: Any, theirs: Any, expected: Conflict) -> None:
    assert merge(base, ours, theirs) == Merged(theirs, (expected,))
    swapped = conflict(expected.pointer, expected.base, expected.theirs, expected.ours)
    assert merge(base, theirs, ours) == Merged(ours, (swapped,))


@pytest.mark.parametrize(
    ("base", "both", "pointer"),
    [
        ({"n": 5, "m": 0}, {"n": 6, "m": 0}, "/n"),
        ({"n": 5, "m": 0}, {"m": 0}, "/n"),
        ({}, {"n": 1}, "/n"),
        ([1, 2], [1, 3], "/1"),
        ([1, 2, 3], [1, 3], ""),
        (MISSING, {"a": 1}, ""),
    ],
)
def test_the_same_change_twice_conflicts_if_asked(base: Any, both: Any, pointer: str) -> None:
    theirs = copied(both)
    assert merge(base, both, theirs).conflicts == ()
    found = merge(base, both, theirs, agree=False).conflicts
    assert [place for place, *_ in found] == [pointer]
    assert merge([1], [1, 2], [1, 2], agree=False) == Merged([1, 2, 2], ())


def test_all_conflicts_are_told_and_the_rest_is_merged() -> None:
    base: Any = {"a": 1, "b": {"c": 2, "d": 3}, "e": [4], "f": 5}
    ours = {"a": 10, "b": {"c": 20, "d": 3}, "e": [40], "f": 50}
    theirs = {"a": 11, "b": {"c": 21, "d": 3}, "e": [41], "f": 5}
    value, conflicts = merge(base, ours, theirs)
    assert [found.pointer for found in conflicts] == ["/a", "/b/c", "/e/0"]
    assert value == {"a": 11, "b": {"c": 21, "d": 3}, "e": [41], "f": 50}


# --- arrays merged by a key -----------------------------------------------------------------------


def items(*pairs: tuple[object, object]) -> Any:
    return {"items": [{"id": key, "n": value} for key, value in pairs]}


A, B, C = ("a", 1), ("b", 2), ("c", 3)
KEYED: list[tuple[str, Any, Any, Any, Any]] = [
    ("insertion and removal", items(A, B), items(("x", 0), A, B), items(B), items(("x", 0), B)),
    ("both removed", items(A, B, C), items(B, C), items(A, B), items(B)),
    ("element and removal", items(A, B), items(A, ("b", 9)), items(B), items(("b", 9))),
    ("appends", items(A), items(A, ("o", 1)), items(A, ("t", 1)), items(A, ("t", 1), ("o", 1))),
    ("the same append", items(A), items(A, B), items(A, B), items(A, B)),
    ("each behind another", items(A, B), items(A, ("o", 1), B), items(A, B, ("t", 1)),
     items(A, ("o", 1), B, ("t", 1))),
    ("both behind the same", items(A, B), items(A, ("o", 1), B), items(A, ("t", 1), B),
     items(A, ("t", 1), ("o", 1), B)),
    ("both at the front", items(A), items(("o", 1), A), items(("t", 1), A),
     items(("t", 1), ("o", 1), A)),
    ("we rearranged", items(A, B, C), items(C, A, B), items(A, B, C, ("t", 1)),
     items(C, ("t", 1), A, B)),
    ("they rearranged", items(A, B, C), items(A, B, ("c", 9), ("o", 1)), items(C, A, B),
     items(("c", 9), ("o", 1), A, B)),
    ("behind what they removed", items(A, B), items(A, B, ("o", 1)), items(A), items(A, ("o", 1))),
    ("integer keys", items((1, 1), (2, 2)), items((2, 2)), items((1, 1), (2, 3)), items((2, 3))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [case[1:] for case in KEYED],
    ids=[case[0] for case in KEYED],
)
def test_arrays_with_a_key_merge_by_it(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    assert merge(base, ours, theirs, schema_keys=by_id) == Merged(merged, ())
    swapped, conflicts = merge(base, theirs, ours, schema_keys=by_id)
    assert conflicts == ()
    assert orderless(swapped) == orderless(merged)


KEYED_CONFLICTS: list[tuple[str, Any, Any, Any, str]] = [
    ("an element", items(A, B), items(A, ("b", 8)), items(A, ("b", 9)), "/items/1/n"),
    ("a removed element", items(A, B), items(A), items(A, ("b", 9)), "/items/1"),
    ("a new element", items(A), items(A, ("b", 8)), items(B, A), "/items/0"),
    ("two orders", items(A, B, C), items(C, A, B), items(B, A, C), "/items"),
    ("keys that are none", items((1.5, 1), B), items(B), items((1.5, 2), B), "/items"),
    ("a key twice", items(A, A), items(A), items(A, A, A), "/items"),
    ("elements without it", {"items": [{"id": "a"}, 1]}, items(A), items(B), "/items"),
]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "pointer"),
    [case[1:] for case in KEYED_CONFLICTS],
    ids=[case[0] for case in KEYED_CONFLICTS],
)
def test_conflicts_in_arrays_with_a_key(base: Any, ours: Any, theirs: Any, pointer: str) -> None:
    value, conflicts = merge(base, ours, theirs, schema_keys=by_id)
    assert [found.pointer for found in conflicts] == [pointer]
    assert same(value, theirs)


def test_the_schema_is_asked_for_the_array_at_its_pointer() -> None:
    asked: list[str] = []

    def none(pointer: str) -> None:
        asked.append(pointer)

    base = {"a": [{"b": [1]}], "c": [1]}
    merge(
        base, {"a": [{"b": [1, 2]}], "c": [1]}, {"a": [{"b": [1, 3]}], "c": [1]}, schema_keys=none
    )
    assert asked == ["/a", "/a/0/b", "/c"]


# --- laws -----------------------------------------------------------------------------------------


def edited(value: Any, parts: list[JSON], random: Random) -> Any:
    for _ in range(random.randrange(1, 4)):
        value = change(value, parts, ["a", "b", "new"], random)
    return value


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_one_change_alone_is_taken_as_it_is(base: JSON, parts: list[JSON], random: Random) -> None:
    changed = edited(base, parts, random)
    assert merge(base, changed, base).value is changed
    assert merge(base, base, changed).value is changed
    for ours, theirs in [(changed, copied(base)), (copied(base), changed)]:
        value, conflicts = merge(base, ours, theirs)
        assert conflicts == ()
        assert same(value, changed)


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_sides_differ_in_nothing_but_the_order_of_what_they_appended(
    base: JSON, parts: list[JSON], random: Random
) -> None:
    ours, theirs = edited(base, parts, random), edited(base, parts, random)
    befores = copied(base), copied(ours), copied(theirs)
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)
    assert [c.pointer for c in one.conflicts] == [c.pointer for c in other.conflicts]
    if not one.conflicts:
        assert orderless(one.value) == orderless(other.value)
    assert same(one.value, merge(copied(base), copied(ours), copied(theirs)).value)
    assert all(map(same, befores, (base, ours, theirs)))


def orderless(value: Any) -> str:
    if is_object(value):
        return repr(sorted((key, orderless(part)) for key, part in value.items()))
    return repr(sorted(map(orderless, value))) if is_array(value) else repr(value)


@given(TREES, TREES, TREES)
@settings(deadline=None, max_examples=400)
def test_conflicts_are_where_both_changed_one_pointer_differently(
    base: JSON, ours: JSON, theirs: JSON
) -> None:
    value, conflicts = merge(base, ours, theirs)
    assert {place for place, *_ in conflicts} == {
        "".join(f"/{key}" for key in place) for place in overlaps(base, ours, theirs)
    }
    for place in places(base) | places(ours) | places(theirs):
        before, mine, other, merged = (at(side, place) for side in (base, ours, theirs, value))
        if is_object(mine) or is_object(other) or is_object(merged):
            continue
        if same(other, before) and not inside(place, overlaps(base, ours, theirs)):
            assert same(merged, mine)  # what only we changed
        if same(mine, before):
            assert same(merged, other)  # what only they changed


def overlaps(base: Any, ours: Any, theirs: Any) -> set[tuple[str, ...]]:
    """Where all three are no objects that could be merged, and all three differ."""
    found: set[tuple[str, ...]] = set()
    for place in sorted(places(base) | places(ours) | places(theirs), key=len):
        above = [[at(side, place[:n]) for side in (base, ours, theirs)] for n in range(len(place))]
        sides = [at(side, place) for side in (base, ours, theirs)]
        mergeable = all(map(is_object, sides))
        differ = not (same(sides[0], sides[1]) or same(sides[0], sides[2]) or same(*sides[1:]))
        if differ and not mergeable and all(all(map(is_object, three)) for three in above):
            found.add(place)
    return found


def inside(place: tuple[str, ...], others: set[tuple[str, ...]]) -> bool:
    return any(place[: len(other)] == other for other in others)


def places(value: Any, place: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = {place}
    if is_object(value):
        found.update(*(places(part, (*place, key)) for key, part in value.items()))
    return found


def at(value: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        value = value.get(key, MISSING) if is_object(value) else MISSING
    return value


@given(TREES, TREES, TREES)
@settings(deadline=None, max_examples=400)
def test_changes_of_other_places_can_be_applied_in_either_order(
    base: JSON, ours: JSON, theirs: JSON
) -> None:
    our_patch = diff(base, ours)
    their_patch = [
        operation
        for operation in diff(base, theirs)
        if not any(overlap(operation["path"], other["path"]) for other in our_patch)
    ]
    value, conflicts = merge(base, ours, apply(base, their_patch))
    assert conflicts == ()
    assert same(value, apply(apply(base, our_patch), their_patch))
    assert same(value, apply(apply(base, their_patch), our_patch))


def overlap(one: str, other: str) -> bool:
    return (one + "/").startswith(other + "/") or (other + "/").startswith(one + "/")


NUMBERS = st.lists(st.integers(0, 3), max_size=3)


@given(st.integers(0, 4), st.data())
@settings(deadline=None, max_examples=200)
def test_arrays_changed_in_place_and_appended_to(size: int, data: st.DataObject) -> None:
    base = [f"base {index}" for index in range(size)]
    ours, theirs = ([data.draw(st.sampled_from([old, "x", "y"])) for old in base] for _ in "ot")
    our_tail, their_tail = data.draw(NUMBERS), data.draw(NUMBERS)
    value, conflicts = merge(base, ours + our_tail, theirs + their_tail)
    triples = list(zip(base, ours, theirs, strict=True))
    assert [c.pointer for c in conflicts] == [
        f"/{index}" for index, three in enumerate(triples) if len(set(three)) == 3
    ]
    in_place = [mine if other == old else other for old, mine, other in triples]
    assert value == in_place + their_tail + our_tail


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), SEEDS)
@settings(deadline=None, max_examples=200)
def test_arrays_with_a_key_lose_nothing(ids: list[str], random: Random) -> None:
    """With elements taken away and put in anywhere by both: theirs and ours, in their order."""
    base = [{"id": key} for key in ids]
    ours, theirs = some_inserted(base, "o", random), some_inserted(base, "t", random)
    value, conflicts = merge(base, ours, theirs, schema_keys=lambda _: "id")
    assert conflicts == ()
    kept: Any = [entry for entry in base if entry in ours and entry in theirs]
    for side in (ours, theirs):
        added = [entry for entry in side if entry not in base]
        expected = [entry for entry in side if entry in kept or entry in added]
        assert [entry for entry in value if entry in expected] == expected  # type: ignore[union-attr]
        kept = kept + added
    assert orderless(value) == orderless(kept)


def some_inserted(base: list[Any], name: str, random: Random) -> list[Any]:
    side = [entry for entry in base if random.random() < 0.8]
    for number in range(random.randrange(3)):
        side.insert(random.randrange(len(side) + 1), {"id": f"{name}{number}"})
    return side


@pytest.mark.parametrize(
    ("default", "ours", "theirs", "merged"),
    [
        ([], ["o"], ["t"], ["t", "o"]),
        ([1], [1, 2], [], None),
        ({"x": 1}, {"x": 1, "o": 1}, {"x": 1, "t": 1}, {"x": 1, "t": 1, "o": 1}),
        ({"x": 1}, {"o": 1}, {"x": 1, "t": 1}, {"t": 1, "o": 1}),
        ({"x": 1}, {"x": 1}, {"x": 2}, {"x": 2}),
        ([], {"o": 1}, {"t": 1}, None),
        (None, {"o": 1}, {"t": 1}, None),
        (MISSING, {"o": 1}, {"t": 1}, None),
        (5, 6, 5, None),
    ],
)
def test_what_both_made_where_nothing_was_is_of_the_default(
    default: Any, ours: Any, theirs: Any, merged: Any
) -> None:
    value, conflicts = merge(
        {},
        {"a": ours},
        {"a": theirs},
        agree=False,
        schema_defaults=lambda pointer: default if pointer == "/a" else MISSING,
    )
    if merged is None:
        base = default if isinstance(ours, list) else MISSING
        assert conflicts == (Conflict("/a", base, ours, theirs),)
    else:
        assert (value, conflicts) == ({"a": merged}, ())


def test_what_nobody_changed_is_not_looked_at_and_shared() -> None:
    quiet = Untouchable()
    base: Any = {"a": {"b": 1, "q": quiet}, "c": {"d": 2, "q": quiet}, "l": [quiet, 1, quiet]}
    ours = {**base, "a": {"b": 9, "q": quiet}, "l": [quiet, 8, quiet, "o"]}
    theirs = {**base, "c": {"d": 7, "q": quiet}, "l": [quiet, 1, quiet, "t"]}
    value: Any = merge(base, ours, theirs).value
    assert value["a"] is ours["a"]
    assert value["c"] is theirs["c"]
    assert value["l"][1] == 8
    assert value["l"][3:] == ["t", "o"]
    assert merge(base, {**base}, theirs).value is theirs
