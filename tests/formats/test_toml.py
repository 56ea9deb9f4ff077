"""TOML: what is read, what is refused, how new files look, and edits of old ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats import by_ending
from objstore.formats import toml as format_toml
from objstore.formats.toml import dump, edit, parse
from objstore.values import JSON, MAX_DEPTH, is_object, same

from .pages import examples
from .random_edits import change, copied, identical
from .random_toml import PARTS, TABLES, written

Update: TypeAlias = Callable[[Any], object]
SEEDS = st.randoms(use_true_random=False)


def read(text: str) -> Any:
    return parse(text.encode(), "f.toml")


def refused(data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        parse(data, "f.toml")
    assert caught.value.source == "f.toml"
    return caught.value


def nested(depth: int, kinds: str) -> dict[str, Any]:
    value: Any = 1
    for level in range(depth - 1):
        value = [value] if kinds[level % len(kinds)] == "[" else {"a": value}
    return {"a": value}


def test_found_by_its_ending() -> None:
    assert by_ending(".toml").parse(b"a = 1", "f.toml") == {"a": 1}


# Reading


def test_values() -> None:
    text = (
        "i = 0x1F\nf = 1.5e3\nb = true\ns = 'it\"s'\nm = '''\na\nb'''\nl = [1, 'x', [2.0]]\n"
        "t = {a = 1, b.c = 2}\nd.e = 3\n[x.y]\nz = 1_000\n[[rows]]\na = 1\n[[rows]]\n"
    )
    value: dict[str, Any] = {
        "i": 31,
        "f": 1500.0,
        "b": True,
        "s": 'it"s',
        "m": "a\nb",
        "l": [1, "x", [2.0]],
        "t": {"a": 1, "b": {"c": 2}},
        "d": {"e": 3},
        "x": {"y": {"z": 1000}},
        "rows": [{"a": 1}, {}],
    }
    assert identical(read(text), value)


def test_an_empty_file_is_an_empty_object() -> None:
    assert read("") == read("# a comment\n") == {}


def test_dates_and_times_are_strings() -> None:
    text = (
        "a = 1979-05-27\nb = 07:32:00\nc = 1979-05-27 07:32:00.5\nd = [1979-05-27T07:32:00Z]\n"
        "e = 1979-05-27T00:32:00-07:00\n"
    )
    assert read(text) == {
        "a": "1979-05-27",
        "b": "07:32:00",
        "c": "1979-05-27T07:32:00.500000",
        "d": ["1979-05-27T07:32:00+00:00"],
        "e": "1979-05-27T00:32:00-07:00",
    }


def test_integers_of_any_size() -> None:
    for value in (2**63, -(2**64), 10**4000):
        data = dump({"a": value}, "f.toml")
        assert parse(data, "f.toml") == {"a": value}
        assert parse(edit(data, {"a": value}, {"a": value + 1}, "f.toml"), "f.toml") == {
            "a": value + 1
        }


def test_a_byte_order_mark_stays() -> None:
    data = b"\xef\xbb\xbfa = 1 # c\n"
    assert parse(data, "f.toml") == {"a": 1}
    assert edit(data, {"a": 1}, {"a": 2}, "f.toml") == b"\xef\xbb\xbfa = 2 # c\n"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\na = 2\n", 2, 6),
        ("a = 1\nb = ", 2, 5),
        ("a = 1\nb = [1,\n", 3, 1),
        ("a = 1\n  b c", 2, 5),
        ("é = 1", 1, 1),
        ('a = "\\ud800"', 1, 12),
        ("a = 'x'\nb = 'y", 2, 7),
        ("a = inf", 1, 5),
        ("a = 'inf' # inf\nb = [1, -nan]", 2, 9),
        ("inf = 1\nnan.inf = 2\nb = +inf\n", 3, 5),
        ('a = """\nnan\n"""\nb = {c = nan}', 4, 10),
        ("a = 1.0\nb = 1e999", 2, 5),
        ("a = " + "9" * 5000, 1, 5005),
        ("a = " + "[" * 10_000, 1, 4 + MAX_DEPTH),
        ("a = 1\nb = " + "{a=" * 10_000, 2, 5 + 3 * (MAX_DEPTH - 1)),
        ("a = " + "[" * MAX_DEPTH + "]" * MAX_DEPTH, 1, 4 + MAX_DEPTH),
        ("a = 1\n" + "a." * 100_000 + "b = 1", 2, 1),
        ("a = 1\n[" + "a." * MAX_DEPTH + "b]", 2, 2),
    ],
)
def test_refuses_with_the_place(text: str, line: int, column: int) -> None:
    error = refused(text.encode())
    assert (error.line, error.column) == (line, column)


def test_refuses_what_is_no_text() -> None:
    error = refused(b"a = 1\nb = '\xff'")
    assert (error.line, error.column) == (2, 6)


def test_refuses_depth_of_tables_and_arrays_together() -> None:
    half = MAX_DEPTH // 2
    text = f"[{'a.' * half}b]\nc = {'[' * half}{']' * half}"
    assert "deeper" in refused(text.encode()).reason


@pytest.mark.parametrize("kinds", ["[", "{", "[{"])
def test_depth(kinds: str) -> None:
    deepest = nested(MAX_DEPTH, kinds)
    assert same(parse(dump(deepest, "f.toml"), "f.toml"), deepest)
    with pytest.raises(FormatError, match="deeper"):
        dump(nested(MAX_DEPTH + 1, kinds), "f.toml")


def test_many_dots_within_strings_are_no_depth() -> None:
    text = f'a = \'{"." * 1000}\' # {"." * 1000}\nb = """\n{"." * 1000}"""\n'
    assert len(read(text)["a"]) == 1000


# Writing


def test_the_style_of_new_files() -> None:
    value: dict[str, Any] = {
        "title": "An example",
        "owner": {"name": "Ada", "tags": ["a", "b"], "address": {"city": "London"}},
        "rows": [{"x": 1, "y": 2.5}, {"x": 2}],
        "mixed": [1, {"a": True}, [2]],
        "empty": {},
    }
    assert dump(value, "f.toml").decode() == NEW_FILE


NEW_FILE = """\
title = "An example"
mixed = [1, {a = true}, [2]]

[owner]
name = "Ada"
tags = ["a", "b"]

[owner.address]
city = "London"

[[rows]]
x = 1
y = 2.5

[[rows]]
x = 2

[empty]
"""


@given(TABLES)
@settings(deadline=None, max_examples=200)
def test_what_is_written_reads_back(value: dict[str, Any]) -> None:
    assert same(parse(dump(value, "f.toml"), "f.toml"), value)


@pytest.mark.parametrize(
    ("value", "pointer", "reason"),
    [
        ({"a": {"b": [1, None]}}, "/a/b/1", "no null"),
        ({"a": float("nan")}, "/a", "nan"),
        ({"a": "\ud800"}, "/a", "surrogate"),
        ({"a": 10**5000}, "/a", "digits"),
        ({"a": {1: 2}}, "/a", "string"),
        ([1], "", "object"),
        (None, "", "object"),
    ],
)
def test_refuses_to_write_what_toml_cannot_hold(value: Any, pointer: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason) as caught:
        dump(value, "f.toml")
    assert caught.value.pointer == pointer
    with pytest.raises(FormatError, match=reason) as caught:
        edit(b"a = 1", {"a": 1}, value, "f.toml")
    assert caught.value.pointer == pointer


# Edits

FILE = """\
# The head.
title = "old"   # of the file
born = 1979-05-27 # a date
at = 07:32:00
list = [
  1, # one
  2, # two
]
point = {x = 1, y = 2} # inline
site.name = "x"
site."a b" = 1

[owner] # of it
# about the name
name = "Ada"

[[rows]]
a = 1 # first

[[rows]]
a = 2 # second

[rows.deep]
b = 3
"""


def edited(text: str, update: Update) -> str:
    """The text after ``update`` changed its contents in place; checked to hold them."""
    old = read(text)
    new = copied(old)
    update(new)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_toml, "dump", _anew)
        data = edit(text.encode(), old, new, "f.toml")
    assert same(parse(data, "f.toml"), new)
    return data.decode()


def _anew(*_: object) -> bytes:
    pytest.fail("written anew")


CHANGES: list[tuple[Update, Sequence[str], Sequence[str]]] = [
    (
        lambda new: new.update(title="new"),
        ['title = "old"   # of the file'],
        ['title = "new"   # of the file'],
    ),
    (
        lambda new: new.update(born="1980-01-02"),
        ["born = 1979-05-27 # a date"],
        ["born = 1980-01-02 # a date"],
    ),
    (
        lambda new: new.update(born="1980-01-02T10:00:00"),
        ["born = 1979-05-27 # a date"],
        ["born = 1980-01-02T10:00:00 # a date"],
    ),
    (
        lambda new: new.update(born="1980-01-02 10:00:00"),
        ["born = 1979-05-27 # a date"],
        ['born = "1980-01-02 10:00:00" # a date'],
    ),
    (lambda new: new.update(at="later"), ["at = 07:32:00"], ['at = "later"']),
    (lambda new: new["list"].append(3), [], ["  3,"]),
    (lambda new: new["list"].pop(0), ["  1, # one"], []),
    (
        lambda new: new["point"].update(x=5),
        ["point = {x = 1, y = 2} # inline"],
        ["point = {x = 5, y = 2} # inline"],
    ),
    (lambda new: new["site"].update(name="y"), ['site.name = "x"'], ['site.name = "y"']),
    (lambda new: new["owner"].update(name="Bob"), ['name = "Ada"'], ['name = "Bob"']),
    (lambda new: new["owner"].update(age=36), [], ["age = 36"]),
    (lambda new: new["rows"][1].update(a=5), ["a = 2 # second"], ["a = 5 # second"]),
    (lambda new: new["rows"][1]["deep"].update(c=4), [], ["c = 4"]),
    (lambda new: new.pop("at"), ["at = 07:32:00"], []),
    (
        lambda new: new.update(point=7),
        ["point = {x = 1, y = 2} # inline"],
        ["point = 7 # inline"],
    ),
    (
        lambda new: new.update(title={"a": [{"b": 1}]}),
        ['title = "old"   # of the file'],
        ["title = {a = [{b = 1}]}   # of the file"],
    ),
]


@pytest.mark.parametrize(("update", "gone", "new"), CHANGES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_the_lines_of_a_change_change(
    update: Update, gone: Sequence[str], new: Sequence[str], newline: str
) -> None:
    before = FILE.splitlines()
    after = edited(FILE.replace("\n", newline), update).split(newline)
    assert [line for line in before if line not in after] == list(gone)
    assert [line for line in after if line and line not in before] == list(new)


def test_rows_come_and_go_with_their_comments() -> None:
    text = edited(FILE, lambda new: (new["rows"].pop(0), new["rows"].append({"a": 9})))
    assert "first" not in text
    assert text.endswith("[[rows]]\na = 2 # second\n\n[rows.deep]\nb = 3\n\n[[rows]]\na = 9\n")


def test_the_examples_of_the_page() -> None:
    parts = examples("toml.md")
    new = "\n".join(parts[:4])
    assert dump(read(new), "f.toml").decode() == new

    def update(new: Any) -> None:
        new.update(title="new", due="1980-01-02")
        new["ports"].append(8080)
        new["hosts"].append({"name": "beta"})

    assert edited("\n".join(parts[4:6]), update) == "\n".join(parts[6:])


def test_no_change_of_contents_is_no_change_of_bytes() -> None:
    assert edit(FILE.encode(), read(FILE), copied(read(FILE)), "f.toml") == FILE.encode()


@given(TABLES, st.lists(PARTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=250)
@pytest.mark.filterwarnings("ignore:.*comments could not be kept:UserWarning")
def test_edit_gives_the_new_contents(
    old: dict[str, Any], parts: list[JSON], random: Random
) -> None:
    data = written(old, random).encode()
    before = parse(data, "f.toml")
    assert same(before, old)
    new: Any = before
    for _ in range(random.randrange(1, 4)):
        changed = change(new, parts, ["a", "b", "new", "é", "x y"], random)
        new = changed if is_object(changed) else new
    assert same(parse(edit(data, before, new, "f.toml"), "f.toml"), new)


@given(TABLES, SEEDS)
@settings(deadline=None, max_examples=100)
def test_comments_outlive_added_keys(old: dict[str, Any], random: Random) -> None:
    text = written({**old, "last": 1}, random)
    before = read(text)
    result = edited(text, lambda new: new.update(last=2, added="x"))
    assert same(read(result), {**before, "last": 2, "added": "x"})
    assert result.count("# a comment") == text.count("# a comment")
    assert result.count("# on its own") == text.count("# on its own")


# Where tomlkit is missing or wrong


def test_without_tomlkit_files_are_read_but_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    monkeypatch.delitem(sys.modules, "objstore.formats._toml_write", raising=False)
    assert read("a = 1") == {"a": 1}
    assert edit(b"a = 1", {"a": 1}, {"a": 1}, "f.toml") == b"a = 1"
    with pytest.raises(FormatError, match=r"pip install objstore\[toml\]"):
        dump({"a": 1}, "f.toml")
    with pytest.raises(FormatError, match=r"pip install objstore\[toml\]"):
        edit(b"a = 1", {"a": 1}, {"a": 2}, "f.toml")


def test_what_tomlkit_gets_wrong_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        @staticmethod
        def edited_texts(*_: object) -> list[str]:
            return ["a = 3 # c", "a = [broken"]

        @staticmethod
        def dumps(value: object) -> str:
            return "a = 2\n" if value == {"a": 2} else ""

    def writer(source: str) -> type[Wrong]:
        return Wrong

    monkeypatch.setattr(format_toml, "_writer", writer)
    with pytest.warns(UserWarning, match=r"f\.toml: comments could not be kept"):
        assert edit(b"a = 1 # c", {"a": 1}, {"a": 2}, "f.toml") == b"a = 2\n"
    assert edit(b"a = 1", {"a": 1}, {"a": 2}, "f.toml") == b"a = 2\n"  # nothing lost or said


DATES = """\
days = [2020-01-01, 2021-01-01] # of rest
times = [
  07:32:00, # early
]
mixed = [2020-01-01, "later"]
text = ["2020-01-01"]
none = []

[by]
a = 2020-01-01 # first

[inline]
moments = {a = 2020-01-01T07:32:00}
"""


ADDED: list[tuple[Update, str]] = [
    (lambda new: new["days"].append("2022-01-01"), "2021-01-01, 2022-01-01] # of rest\n"),
    (lambda new: new["days"].insert(0, "2019-01-01"), "days = [2019-01-01,"),
    (lambda new: new.update(days=["2022-01-01"]), "days = [2022-01-01] # of rest\n"),
    (lambda new: new["days"].append("soon"), '2021-01-01, "soon"] # of rest\n'),
    (lambda new: new["days"].append("07:32:00"), '2021-01-01, "07:32:00"] # of rest\n'),
    (lambda new: new["times"].append("08:32:00"), "\n  08:32:00,\n"),
    (lambda new: new["mixed"].append("2022-01-01"), ', "later", "2022-01-01"]\n'),
    (lambda new: new["text"].append("2022-01-01"), '["2020-01-01", "2022-01-01"]\n'),
    (lambda new: new["none"].append("2022-01-01"), '["2022-01-01"]\n'),
    (lambda new: new["by"].update(b="2022-01-01"), "\nb = 2022-01-01\n"),
    (lambda new: new["by"].update(b="soon"), '\nb = "soon"\n'),
    (
        lambda new: new["inline"]["moments"].update(b="2020-01-01T08:00:00"),
        "b = 2020-01-01T08:00:00}\n",
    ),
    (lambda new: new["inline"].update(b="2022-01-01"), '\nb = "2022-01-01"\n'),
]


@pytest.mark.parametrize(("update", "new"), ADDED)
def test_what_is_added_to_dates_is_a_date(update: Update, new: str) -> None:
    assert new in edited(DATES, update)
