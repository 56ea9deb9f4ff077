"""Patches: what diff makes, what apply and invert do with it, against RFC 6902 and jsonpatch."""

from __future__ import annotations

import pickle
from random import Random
from typing import Any

import jsonpatch
import jsonpointer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import ObjstoreError
from objstore.formats.json import parse
from objstore.patch import Operation, PatchError, apply, diff, invert
from objstore.pointer import join, split
from objstore.values import JSON, MISSING, Missing, is_array, is_object, same

from .formats.pages import examples
from .formats.random_edits import KEYS, SCALARS, change, contents, copied
from .realdata import caniuse_files

# Few values, among them those that == takes for one another.
LIKE = st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, 2, "", "a", "1"])
CONTENTS = st.one_of(contents(KEYS, SCALARS), contents(st.sampled_from(["a", "b", "0"]), LIKE))
LISTS = st.lists(st.one_of(LIKE, st.lists(LIKE, max_size=2)), max_size=9)
PARTS = st.lists(CONTENTS, min_size=1, max_size=4)
SEEDS = st.randoms(use_true_random=False)


class Untouchable(list[Any]):
    """A value that must not be looked at: it was not changed."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __iter__(self) -> Any:
        raise AssertionError("iterated over")

    __hash__ = None


def changed(value: Any, parts: list[JSON], random: Random) -> Any:
    for _ in range(random.randrange(1, 5)):
        value = change(value, parts, ["a", "b", "new", "x/y", "~0"], random)
    return value


# --- diff -----------------------------------------------------------------------------------------


DIFFS: list[tuple[Any, Any, list[tuple[Any, ...]]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, [("replace", "/a/b", 2)]),
    ({"a": 1}, {"a": 1, "b": None}, [("add", "/b", None)]),
    ({"a": 1, "b": None}, {"a": 1}, [("remove", "/b")]),
    ({"a": 1}, {"a": 1.0}, [("replace", "/a", 1.0)]),
    ({"a": 1}, {"a": True}, [("replace", "/a", True)]),
    ({"a": {}}, {"a": []}, [("replace", "/a", [])]),
    ({"x/y": {"~": 1}}, {"x/y": {"~": 2}}, [("replace", "/x~1y/~0", 2)]),
    ({"": 1}, {"": 2}, [("replace", "/", 2)]),
    ([1, 2, 3], [1, 2, 3, 4], [("add", "/3", 4)]),
    ([1, 2, 3], [0, 1, 2, 3], [("add", "/0", 0)]),
    ([1, 2, 3], [1, 3], [("remove", "/1")]),
    ([1, 2, 3], [1, 9, 3], [("replace", "/1", 9)]),
    ([1, 2, 3, 4], [2, 3, 4, 5], [("remove", "/0"), ("add", "/3", 5)]),
    ([0, {"a": 1, "b": 2}], [0, {"a": 1, "b": 3}], [("replace", "/1/b", 3)]),
    ([{"a": 1, "b": 2}], ["x", {"a": 1, "b": 3}], [("add", "/0", "x"), ("replace", "/1/b", 3)]),
    ([1, 2, 3], [4, 5], [("replace", "", [4, 5])]),
    ({"a": 1, "b": 2}, {"c": 3}, [("replace", "", {"c": 3})]),
    ([0, {"a": 1, "b": 2}], [0, {"a": 2, "b": 3}], [("replace", "/1", {"a": 2, "b": 3})]),
    ({"a": {}, "b": 1}, {"a": {}, "b": 2, "c": 3}, [("replace", "/b", 2), ("add", "/c", 3)]),
    (1, "1", [("replace", "", "1")]),
    (MISSING, {"a": 1}, [("add", "", {"a": 1})]),
    ({"a": 1}, MISSING, [("remove", "")]),
    (MISSING, MISSING, []),
]


@pytest.mark.parametrize(("old", "new", "patch"), DIFFS)
def test_diff_is_small(old: Any, new: Any, patch: list[tuple[Any, ...]]) -> None:
    names = ("op", "path", "value")
    assert diff(old, new) == [dict(zip(names, operation, strict=False)) for operation in patch]
    assert same(apply(old, diff(old, new)), new)


def test_what_is_the_same_object_is_not_looked_at() -> None:
    quiet = Untouchable()
    old = {"a": [quiet, {"b": 1, "c": quiet}, quiet], "d": quiet}
    new = {**old, "a": [quiet, {"b": 2, "c": quiet}, quiet]}
    assert diff(old, new) == [{"op": "replace", "path": "/a/1/b", "value": 2}]
    longer = {**old, "a": [*old["a"], 3]}
    assert diff(old, longer) == [{"op": "add", "path": "/a/3", "value": 3}]
    patched: Any = apply(old, [{"op": "remove", "path": "/a/0"}])
    assert patched["d"] is quiet


@given(CONTENTS, CONTENTS)
@settings(deadline=None, max_examples=150)
def test_diff_leads_from_any_value_to_any_other(old: JSON, new: JSON) -> None:
    check_diff(old, new)


@given(LISTS, LISTS)
@settings(deadline=None, max_examples=150)
def test_diff_leads_from_any_list_to_any_other(old: list[JSON], new: list[JSON]) -> None:
    check_diff(old, new)


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_diff_of_values_that_share(old: JSON, parts: list[JSON], random: Random) -> None:
    new = changed(old, parts, random)
    check_diff(old, new)
    assert same(apply(old, diff(old, copied(new))), new)


def check_diff(old: Any, new: Any) -> None:
    before, after = copied(old), copied(new)
    patch = diff(old, new)
    assert same(apply(old, patch), new)
    # jsonpatch writes into the values of the patch that it is given.
    assert same(jsonpatch.apply_patch(old, copied(patch)), new)
    assert bool(patch) is not same(old, new)
    assert same(old, before)
    assert same(new, after)


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_a_patch_names_nothing_that_stayed(old: JSON, parts: list[JSON], random: Random) -> None:
    """A replaced value has nothing in common with the one before, but where it is an array."""
    value: Any = old
    for operation in diff(old, changed(old, parts, random)):
        if operation["op"] == "replace":
            before = found(value, operation["path"])
            assert not shares_an_entry(before, operation["value"])
        value = apply(value, [operation])


def found(value: Any, pointer: str) -> Any:
    return jsonpointer.resolve_pointer(value, pointer)


def shares_an_entry(value: Any, other: Any) -> bool:
    if is_object(value) and is_object(other):
        common = value.keys() & other.keys()
        return any(shares_an_entry(value[key], other[key]) for key in common)
    if is_array(value) or is_array(other):
        return False
    return same(value, other)


# --- apply: RFC 6902 ------------------------------------------------------------------------------


def add(path: str, value: Any = 1) -> Operation:
    return {"op": "add", "path": path, "value": value}


def check(path: str, value: Any) -> Operation:
    return {"op": "test", "path": path, "value": value}


def remove(path: str) -> Operation:
    return {"op": "remove", "path": path}


def replace(path: str, value: Any = 1) -> Operation:
    return {"op": "replace", "path": path, "value": value}


def move(source: str, path: str) -> Operation:
    return {"op": "move", "from": source, "path": path}


def copy(source: str, path: str) -> Operation:
    return {"op": "copy", "from": source, "path": path}


A: Any = {"a": 1}

FOO: Any = {"foo": "bar"}
NAMES: Any = {"/": 9, "~1": 10}
FRED: Any = {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}
APPENDIX_A: list[tuple[str, Any, list[Operation], Any]] = [
    ("A.1", FOO, [add("/baz", "qux")], {"baz": "qux", "foo": "bar"}),
    ("A.2", {"foo": ["bar", "baz"]}, [add("/foo/1", "qux")], {"foo": ["bar", "qux", "baz"]}),
    ("A.3", {"baz": "qux", "foo": "bar"}, [remove("/baz")], FOO),
    ("A.4", {"foo": ["bar", "qux", "baz"]}, [remove("/foo/1")], {"foo": ["bar", "baz"]}),
    ("A.5", {"baz": "qux", **FOO}, [replace("/baz", "boo")], {"baz": "boo", **FOO}),
    ("A.6", FRED, [move("/foo/waldo", "/qux/thud")],
     {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}),
    ("A.7", {"foo": ["all", "grass", "cows", "eat"]}, [move("/foo/1", "/foo/3")],
     {"foo": ["all", "cows", "eat", "grass"]}),
    ("A.8", {"baz": "qux", "foo": ["a", 2, "c"]}, [check("/baz", "qux"), check("/foo/1", 2)],
     {"baz": "qux", "foo": ["a", 2, "c"]}),
    ("A.9", {"baz": "qux"}, [check("/baz", "bar")], PatchError),
    ("A.10", FOO, [add("/child", {"grandchild": {}})], {**FOO, "child": {"grandchild": {}}}),
    ("A.11", FOO, [{**add("/baz", "qux"), "xyz": 123}], {**FOO, "baz": "qux"}),
    ("A.12", FOO, [add("/baz/bat", "qux")], PatchError),
    ("A.13", FOO, [{**add("/baz", "qux"), "op": "remove"}], PatchError),
    ("A.14", NAMES, [check("/~01", 10)], NAMES),
    ("A.15", NAMES, [check("/~01", "10")], PatchError),
    ("A.16", {"foo": ["bar"]}, [add("/foo/-", ["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "patch", "expected"),
    [case[1:] for case in APPENDIX_A],
    ids=[case[0] for case in APPENDIX_A],
)
def test_appendix_a_of_rfc_6902(value: Any, patch: list[Operation], expected: Any) -> None:
    before = copied(value)
    if expected is PatchError:
        with pytest.raises(PatchError):
            apply(value, patch)
    else:
        assert same(apply(value, patch), expected)
    assert same(value, before)


APPLIED: list[tuple[Any, Operation, Any]] = [
    (A, add("", [1]), [1]),
    (A, replace("", None), None),
    (A, remove(""), MISSING),
    (MISSING, add("", 0), 0),
    (A, add("/a", 2), {"a": 2}),
    (A, add("/", 2), {"a": 1, "": 2}),
    ([1], add("/1", 2), [1, 2]),
    ([1], add("/0", 2), [2, 1]),
    ([1], add("/-", 2), [1, 2]),
    ({"0": 1}, replace("/0", 2), {"0": 2}),
    ({"-": 1, "01": 1}, remove("/-"), {"01": 1}),
    ({"-": 1, "01": 1}, remove("/01"), {"-": 1}),
    (A, move("/a", "/a"), A),
    ({"a": 1, "b": 2}, move("/a", "/b"), {"b": 1}),
    ({"a": {"b": 1}}, move("/a/b", "/a"), {"a": 1}),
    ({"a": {"b": 1}}, move("/a", ""), {"b": 1}),
    ([1, [2]], move("/1/0", "/0"), [2, 1, []]),
    ([1, 2], move("/0", "/-"), [2, 1]),
    ({"a": [1]}, copy("/a", "/a/0"), {"a": [[1], 1]}),
    (A, copy("", "/b"), {"a": 1, "b": {"a": 1}}),
    ({"a": None}, check("/a", None), {"a": None}),
    (A, check("/a", 1.0), A),
    ([1, {"b": 2, "a": []}], check("", [1.0, {"a": [], "b": 2}]), [1, {"b": 2, "a": []}]),
]


@pytest.mark.parametrize(("value", "operation", "expected"), APPLIED)
def test_apply(value: Any, operation: Operation, expected: Any) -> None:
    assert same(apply(value, [operation]), expected)


UNFIT: list[tuple[Any, Any, str | None, str]] = [
    (A, remove("/b"), "/b", "(remove /b): expected a value, found nothing"),
    (A, replace("/b"), "/b", "(replace /b): expected a value, found nothing"),
    (A, add("/b/c"), "/b", "(add /b/c): expected a value at /b, found nothing"),
    (A, add("/a/c"), "/a", "(add /a/c): expected an object or array at /a, found 1"),
    ("x", remove("/a"), "", '(remove /a): expected an object or array at the root, found "x"'),
    ([1], add("/2"), "/2", '(add /2): expected an index below 2, found "2"'),
    ([1], add("/01"), "/01", 'expected an index below 2, found "01"'),
    ([1], add("/\u0660"), "/\u0660", "expected an index below 2"),
    ([1], remove("/-"), "/-", 'expected an index below 1, found "-"'),
    ([1], remove("/-1"), "/-1", "expected an index below 1"),
    ([1], remove("/1e0"), "/1e0", "expected an index below 1"),
    ([1], remove("/" + "9" * 5000), "/" + "9" * 5000, "expected an index below 1"),
    ([], remove("/0"), "/0", "expected no index of an empty array"),
    (A, move("/a", "/a/b"), "/a/b", "expected a place outside of what is moved"),
    (A, move("/b", "/b"), "/b", "expected a value, found nothing"),
    (A, copy("/b", "/a"), "/b", "(copy /a): expected a value at /b, found nothing"),
    (A, check("/a", True), "/a", "(test /a): expected true, found 1"),
    ({"a": [1, {"b": 2}]}, check("/a", [1, {"b": 3}]), "/a/1/b", "expected 3 at /a/1/b, found 2"),
    ({"a": [1]}, check("/a", [1, 2]), "/a/1", "expected 2 at /a/1, found nothing"),
    ({"a": {"b": 1}}, check("/a", {}), "/a/b", "expected nothing at /a/b, found 1"),
    (A, {"op": "spam", "path": "/a"}, None, 'expected an "op" of add, remove'),
    (A, {"path": "/a"}, None, "found nothing"),
    (A, {"op": ["add"], "path": "/a"}, None, "found an array of 1"),
    (A, {"op": "add", "path": "/a"}, None, 'expected a "value", found nothing'),
    (A, {"op": "remove"}, None, 'operation 2: expected a "path" that is a JSON Pointer'),
    (A, remove("a"), None, 'expected a "path" that is a JSON Pointer, found "a"'),
    (A, remove("/~2"), None, 'JSON Pointer, found "/~2"'),
    (A, {"op": "remove", "path": ["a"]}, None, "JSON Pointer, found an array of 1"),
    (A, {"op": "move", "path": "/a"}, None, 'expected a "from" that is a JSON Pointer'),
    (A, "remove /a", None, 'expected an object, found "remove /a"'),
]


@pytest.mark.parametrize(("value", "operation", "pointer", "told"), UNFIT)
def test_a_patch_that_does_not_fit_says_where(
    value: Any, operation: Any, pointer: str | None, told: str
) -> None:
    before = copied(value)
    with pytest.raises(PatchError) as caught:
        apply(value, [check("", value), operation])
    error = caught.value
    assert str(error).startswith("operation 2")
    assert told in str(error)
    assert (error.number, error.pointer) == (2, pointer)
    assert error.expected in str(error)
    assert error.found in str(error)
    assert same(value, before)


@pytest.mark.parametrize("operation", [replace(""), remove(""), check("", None), remove("/a")])
def test_nothing_is_there_before_the_first_add(operation: Operation) -> None:
    with pytest.raises(PatchError, match="found nothing"):
        apply(MISSING, [operation])


def test_a_patch_error_is_a_value_error_and_travels() -> None:
    with pytest.raises(PatchError) as caught:
        apply({}, [{"op": "remove", "path": "/a"}])
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert isinstance(again, ObjstoreError)
    assert isinstance(again, ValueError)
    assert str(again) == str(caught.value)
    assert vars(again) == vars(caught.value)


# --- apply: sharing -------------------------------------------------------------------------------


def test_what_a_patch_does_not_touch_is_shared() -> None:
    old: Any = {"a": {"b": [1, {"c": 2}], "d": {"e": 3}}, "f": {"g": 4}}
    new: Any = apply(old, [{"op": "replace", "path": "/a/b/0", "value": 9}])
    assert new["f"] is old["f"]
    assert new["a"]["d"] is old["a"]["d"]
    assert new["a"]["b"][1] is old["a"]["b"][1]
    assert apply(old, []) is old
    assert apply(old, [{"op": "test", "path": "/f/g", "value": 4}]) is old


def test_many_operations_on_one_container() -> None:
    value: Any = {"a": [0, 0, 0]}
    patch = [add("/a/-", n) for n in range(1000)]
    assert apply(value, patch) == {"a": [0, 0, 0, *range(1000)]}
    assert value == {"a": [0, 0, 0]}


def test_values_of_a_patch_are_not_written_to() -> None:
    patch = [add("/a", {"b": []}), add("/a/b/-", 1), add("/c", [[]]), add("/c/0/-", 2)]
    before: Any = copied(patch)
    assert apply({}, patch) == {"a": {"b": [1]}, "c": [[2]]}
    assert same(patch, before)


def test_a_copy_is_another_value_from_then_on() -> None:
    patch = [add("/a/x", 1), copy("/a", "/b"), add("/a/y", 2), add("/b/z", 3)]
    assert apply({"a": {}}, patch) == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "z": 3}}


def test_a_copy_into_what_is_copied() -> None:
    patch = [add("/x", 1), copy("", "/all"), replace("/all/x", 2)]
    assert apply({"a": {}}, patch) == {"a": {}, "x": 1, "all": {"a": {}, "x": 2}}
    assert apply({"a": {}}, [add("/a/x", 1), copy("/a", "/a/old")]) == {
        "a": {"x": 1, "old": {"x": 1}}
    }


# --- against jsonpatch ----------------------------------------------------------------------------


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_patches_of_jsonpatch_do_the_same_here(
    old: JSON, parts: list[JSON], random: Random
) -> None:
    patch = jsonpatch.make_patch(old, changed(old, parts, random)).patch
    # What it makes may not be what was asked for (it has taken True for 1), but means one thing.
    assert same(apply(old, patch), jsonpatch.apply_patch(old, patch))


@given(contents(KEYS, st.sampled_from(["a", "b", 2, 3])), PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_patches_of_jsonpatch_lead_to_the_new_value(
    old: JSON, parts: list[JSON], random: Random
) -> None:
    new = changed(old, [text(part) for part in parts], random)
    assert same(apply(old, jsonpatch.make_patch(old, new).patch), new)


def text(value: Any) -> JSON:
    """The value with text for every scalar: there is no telling apart 1, 1.0 and True."""
    if is_object(value):
        return {key: text(part) for key, part in value.items()}
    return [text(part) for part in value] if is_array(value) else repr(value)


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_any_operations_do_what_jsonpatch_does(
    old: JSON, parts: list[JSON], random: Random
) -> None:
    value: Any = old
    for _ in range(random.randrange(1, 6)):
        operation = some_operation(value, parts, random)
        ours, theirs = outcome(value, operation), peers_outcome(value, operation)
        assert ours == theirs if ours is PatchError else same(ours, theirs), operation
        value = value if ours is PatchError else ours


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_many_operations_do_what_jsonpatch_does(
    old: JSON, parts: list[JSON], random: Random
) -> None:
    value: Any = old
    patch: list[Operation] = []
    for _ in range(random.randrange(2, 8)):
        operation = some_operation(value, parts, random)
        if outcome(value, operation) is not PatchError:
            patch.append(operation)
            value = peers_outcome(value, operation)
    before = copied(old)
    assert same(apply(old, patch), value), patch
    assert same(old, before)


def some_operation(value: Any, parts: list[JSON], random: Random) -> Operation:
    places = [place for place in pointers(value) if place]
    near = [
        join(place, random.choice(["0", "1", "2", "-", "a", "00", "x"])) for place in ["", *places]
    ]
    path = random.choice([*places, *near])
    match random.choice(["add", "remove", "replace", "move", "copy"]):
        case "remove":
            return remove(path)
        case "move" | "copy" as name:
            return {"op": name, "from": random.choice([*places, *near]), "path": path}
        case name:
            return {"op": name, "path": path, "value": copied(random.choice(parts))}


def pointers(value: Any, pointer: str = "") -> list[str]:
    """The pointers of all values within."""
    entries: Any = ()
    if is_object(value):
        entries = value.items()
    elif is_array(value):
        entries = enumerate(value)
    return [pointer, *(p for key, part in entries for p in pointers(part, join(pointer, key)))]


def outcome(value: Any, operation: Operation) -> Any:
    before = copied(value)
    try:
        return apply(value, [operation])
    except PatchError:
        return PatchError
    finally:
        assert same(value, before)


def peers_outcome(value: Any, operation: Operation) -> Any:
    try:
        # Copied without sharing: jsonpatch changes in place, and what we copied is there twice.
        return jsonpatch.apply_patch(copied(value), [copied(operation)])
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
        return PatchError


# --- invert ---------------------------------------------------------------------------------------


@given(CONTENTS, PARTS, SEEDS)
@settings(deadline=None, max_examples=150)
def test_invert_leads_back(old: JSON, parts: list[JSON], random: Random) -> None:
    value: Any = old
    patch: list[Operation] = []
    for _ in range(random.randrange(1, 6)):
        operation = some_operation(value, parts, random)
        result = outcome(value, operation)
        if result is not PatchError:
            patch.append(operation)
            value = result
    back = invert(old, patch)
    assert same(apply(value, back), old)
    assert same(apply(apply(old, patch), back), old)


@pytest.mark.parametrize(
    ("value", "new"), [(MISSING, {"a": 1}), ({"a": 1}, MISSING), ({"a": [1]}, {"a": []})]
)
def test_invert_of_making_and_removing(value: JSON | Missing, new: JSON | Missing) -> None:
    patch = diff(value, new)
    assert same(apply(new, invert(value, patch)), value)


def test_invert_of_what_does_not_fit() -> None:
    with pytest.raises(PatchError, match=r"operation 1 \(remove /b\)"):
        invert({"a": 1}, [{"op": "remove", "path": "/b"}])


# --- real files -----------------------------------------------------------------------------------


def test_real_files_with_a_change_each() -> None:
    random = Random(6902)  # noqa: S311
    for file in caniuse_files()[::12]:
        old = parse(file.read_bytes(), file.name)
        place = random.choice([place for place in pointers(old) if place.count("/") == 3])
        patch = [replace(place, {"changed": [place]})]
        new = apply(old, patch)
        assert diff(old, new) == patch
        assert diff(copied(old), new) == patch
        assert same(apply(new, invert(old, patch)), old)
        assert split(place)


def test_the_example_on_the_page() -> None:
    old, new, patch = (parse(text.encode(), "patch.md") for text in examples("patch.md")[1:4])
    operations: Any = patch
    assert same(apply(old, operations), new)
    assert diff(old, new) == operations
