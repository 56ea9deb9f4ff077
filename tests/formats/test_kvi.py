"""KVI: the grammar, what it cannot hold, and edits line by line."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats import _text
from objstore.formats.kvi import dump, edit, parse, read_kvi
from objstore.values import MAX_DEPTH, is_array, is_object

from .pages import examples
from .random_edits import SCALARS, change, contents, identical

KEYS = st.sampled_from(["a", "b", "name", "é", "x:y", "k#1", "T|", "ключ", "z{}"])
LINES = SCALARS.filter(lambda value: not isinstance(value, str) or "\n" not in value).map(
    lambda value: value.rstrip("\r") if isinstance(value, str) else value
)
PARTS = contents(KEYS, LINES)
FILES = st.one_of(st.dictionaries(KEYS, PARTS, max_size=5), st.lists(PARTS, min_size=1, max_size=5))
SEEDS = st.randoms(use_true_random=False)

EXAMPLE = """\
# a person

name |Ada Lovelace
born 1815
# in metres
height 1.65
alive :F
email -
home ~/ada
langs []:
  |en
  # and
  |fr

addresses :
    {}:
        street |St. James's  Square
        no 12
    {}
tags []
extra {}
"""

VALUE: Any = {
    "name": "Ada Lovelace",
    "born": 1815,
    "height": 1.65,
    "alive": False,
    "email": None,
    "home": "~/ada",
    "langs": ["en", "fr"],
    "addresses": [{"street": "St. James's  Square", "no": 12}, {}],
    "tags": [],
    "extra": {},
}


def changed(text: str, new: Any) -> str:
    return edit(text.encode(), read_kvi(text), new, "f.kvi").decode()


# Reading


def test_the_example_is_read() -> None:
    assert identical(read_kvi(EXAMPLE), VALUE)
    assert identical(parse(EXAMPLE.encode(), "f.kvi"), VALUE)
    assert identical(parse(b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode(), "f"), VALUE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("|text", "text"),
        ("|", ""),
        ("| # |x  ", " # |x  "),
        ("|\t{}:", "\t{}:"),
        ("|a\x0b\x0c\x85\u2028b", "a\x0b\x0c\x85\u2028b"),
        ("|a\rb", "a\rb"),
        ("0", 0),
        ("-0", 0),
        ("+17 ", 17),
        ("-17", -17),
        ("007", 7),
        (str(2**70), 2**70),
        ("1.", 1.0),
        ("+1.50", 1.5),
        ("-2.5e-3", -0.0025),
        ("1.0E+22", 1e22),
        (":T", True),
        (":F\t", False),
        ("-", None),
        ("{}", {}),
        ("[]  ", []),
        ("{}:", {}),
        ("[]:", []),
        ("/etc/a file", "/etc/a file"),
        ("/", "/"),
        ("./x", "./x"),
        ("../x/", "../x/"),
        ("~/x ", "~/x"),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert identical(read_kvi(text), [value])
    assert identical(read_kvi(f"key {text}\n"), {"key": value})
    assert identical(
        read_kvi(f"a:\n  key \t {text}\nz 1".replace("a:", "a :")),
        {
            "a": {"key": value},
            "z": 1,
        },
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("\n  \n\t# nothing\n", {}),
        ("a :\n   b :\n    |x\n", {"a": {"b": ["x"]}}),
        ("a :\n  - \nb :\n  c -", {"a": [None], "b": {"c": None}}),
        (":\n  :\n    1\n  2\n3", [[[1], 2], 3]),
        ("a {}:\n# far left\n      # far right\n  b 1\n\n  c 2\n", {"a": {"b": 1, "c": 2}}),
        ("[]:\n  1\n[]:\n    2\n{}:\n x 1", [[1], [2], {"x": 1}]),
        ("é_1.x |v", {"é_1.x": "v"}),
        ("a |1\r\nb :\r\n  |2\r\n", {"a": "1", "b": ["2"]}),
    ],
)
def test_blocks(text: str, value: Any) -> None:
    assert identical(read_kvi(text), value)


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("a 1\n\tb 2", 2, 1, "indentation is made of spaces only"),
        ("a :\n  \tb 2", 2, 3, "indentation is made of spaces only"),
        ("a :\n \u00a0b 2", 2, 2, "indentation is made of spaces only"),
        ("  a 1", 1, 3, "indented like no list or dict above"),
        ("a 1\n  b 2", 2, 3, "indented like no list or dict above"),
        ("a :\n    b 1\n  c 2", 3, 3, "indented like no list or dict above"),
        ("a :\n  b 1\n   c 2", 3, 4, "indented like no list or dict above"),
        ("a {}\n  b 1", 2, 3, "indented like no list or dict above"),
        ("a 1\n\nb :", 3, 3, 'no entry follows the ":"'),
        ("a :\nb 1", 1, 3, 'no entry follows the ":"'),
        ("a", 1, 1, 'the key "a" has no value'),
        ("x 1\n  # no\na  \n", 3, 1, 'the key "a" has no value'),
        ("a 1\nb 2\na 3", 3, 1, 'the key "a" comes twice'),
        ("a 1\n|b", 2, 1, "a value without a key in a dict"),
        ("|b\na 1", 2, 1, "a key in a list"),
        ("a []:\n  b 1", 2, 3, "a key in a list"),
        ("a {}:\n  |b", 2, 3, "a value without a key in a dict"),
        ("a text", 1, 3, 'no value: "text"'),
        ("a  'x'", 1, 4, "no value: \"'x'\""),
        ("a :t", 1, 3, 'no value: ":t"'),
        ("a 1e5", 1, 3, 'no value: "1e5"'),
        ("a 1_000", 1, 3, 'no value: "1_000"'),
        ("a 2024-01-01", 1, 3, 'no value: "2024-01-01"'),
        ("a .5", 1, 3, 'no value: ".5"'),
        ("a \u0661", 1, 3, 'no value: "\u0661"'),
        ("a {x}", 1, 3, 'no value: "{x}"'),
        ("a ~", 1, 3, 'no value: "~"'),
        ("_a 1", 1, 1, 'neither a key nor a value: "_a 1"'),
        ("a 1.0e999", 1, 3, "1.0e999 is out of a float's range"),
        ("a -" + "9" * 5000, 1, 3, "an integer of 5001 digits"),
    ],
)
def test_reading_says_what_is_wrong_and_where(
    text: str, line: int, column: int, reason: str
) -> None:
    with pytest.raises(FormatError) as caught:
        parse(text.encode(), "people/ada.kvi")
    error = caught.value
    assert (error.source, error.line, error.column) == ("people/ada.kvi", line, column)
    assert error.reason == reason
    with pytest.raises(FormatError, match=r"^text, line"):
        read_kvi(text)


def test_broken_text_and_sizes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FormatError, match="line 2, column 4: byte 0xff is not UTF-8"):
        parse(b"a 1\nb |\xff", "f.kvi")
    monkeypatch.setattr(_text, "MAX_SIZE", 3)
    assert parse(b"a 1", "f.kvi") == {"a": 1}
    with pytest.raises(FormatError, match="4 bytes are more than 3"):
        parse(b"a 1\n", "f.kvi")


def test_nesting_has_a_limit() -> None:
    fitting = "\n".join(" " * depth + ":" for depth in range(MAX_DEPTH - 1))
    value = read_kvi(f"{fitting}\n{' ' * MAX_DEPTH}1")
    assert identical(read_kvi(dump(value, "f").decode()), value)
    with pytest.raises(FormatError, match="nested deeper than 200"):
        read_kvi(f"{fitting}\n{' ' * MAX_DEPTH}:\n{' ' * MAX_DEPTH}  1")
    with pytest.raises(FormatError, match="nested deeper than 200"):
        read_kvi(f"{fitting}\n{' ' * MAX_DEPTH}{{}}")
    with pytest.raises(FormatError, match="nested deeper than 200"):
        read_kvi("\n".join(" " * depth + ":" for depth in range(10_000)))
    with pytest.raises(FormatError, match="nested deeper than 200"):
        dump([value], "f")


class Messy:
    """KVI as nobody would write it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.newline = random.choice(["\n", "\r\n"])

    def write(self, value: Any) -> bytes:
        lines = self._block(value, 0)
        text = "".join(line + self.newline for line in lines)
        return text.removesuffix(self.newline if self.random.random() < 0.3 else "").encode()

    def _block(self, value: Any, indent: int) -> list[str]:
        entries = value.items() if is_object(value) else ((None, part) for part in value)
        lines: list[str] = []
        for key, part in entries:
            lines += self.random.choices(["", "   ", "# no", "  #|", "          # \t"], k=2)[:1]
            first = " " * indent
            if key is not None:
                first += key + self.random.choice([" ", "  ", "\t"])
            lines += self._value(first, part, indent)
        return [*lines, *self.random.choice([[], ["  # end"]])]

    def _value(self, first: str, value: Any, indent: int) -> list[str]:
        space = self.random.choice(["", " "])
        if value and (is_object(value) or is_array(value)):
            opening = self.random.choice([":", "{}:" if is_object(value) else "[]:"])
            deeper = indent + self.random.randrange(1, 5)
            return [first + opening + space, *self._block(value, deeper)]
        if isinstance(value, str):
            return [first + "|" + value]
        return [first + dump([value], "f").decode().rstrip("\n") + space]


@given(FILES, SEEDS)
@settings(deadline=None, max_examples=200)
def test_any_layout_is_read(value: Any, random: Random) -> None:
    assert identical(parse(Messy(random).write(value), "f.kvi"), value)


@given(st.text("ab1.-+|:T{}[]/~# \t\n\r", max_size=30))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        value = read_kvi(text)
    except FormatError as error:
        place = error.line, error.column
    else:
        assert value == [] or identical(parse(dump(value, "f"), "f"), value)
        return
    assert None not in place


@pytest.mark.parametrize("text", ["|\r\r\n", "x |a\r\r\n", "|a\r\r"])
def test_a_carriage_return_at_the_end_of_a_string_is_refused(text: str) -> None:
    """It could not be written again: it would read as the end of the line."""
    with pytest.raises(FormatError, match="carriage return") as caught:
        read_kvi(text)
    assert caught.value.column == text.index("\r") + 1


# Writing


def test_dump() -> None:
    empty: Any = {}
    value = {
        "a": [1, [2.0, {"b": "x "}], empty],
        "p": "/x",
        "n": None,
        "t": [True, 1e22, 1e-7, [empty]],
    }
    assert dump(value, "f.kvi").decode() == (
        "a []:\n  1\n  []:\n    2.0\n    {}:\n      b |x \n  {}\n"
        "p |/x\nn -\nt []:\n  :T\n  1.0e+22\n  1.0e-07\n  []:\n    {}\n"
    )
    assert dump(["x", {"y": 1}], "f.kvi") == b"|x\n{}:\n  y 1\n"
    assert dump({}, "f.kvi") == b""


@given(FILES)
@settings(deadline=None, max_examples=200)
def test_dump_is_read_back(value: Any) -> None:
    assert identical(parse(dump(value, "f.kvi"), "f.kvi"), value)


BAD: list[tuple[Any, str]] = [
    ({"a": {"b c": 1}}, "/a/b c"),
    ({"a": {"b\u00a0": 1}}, "/a/b\u00a0"),
    ({"": 1}, "/"),
    ({"_x": 1}, "/_x"),
    ([{"1": 1}], "/0/1"),
    ({"a": ["x", "y\nz"]}, "/a/1"),
    ({"a": "y\r"}, "/a"),
    ({"a": [{"b/c": float("inf")}]}, "/a/0/b~1c"),
    ({"a": "\ud800"}, "/a"),
    ({"a": [10**5000]}, "/a/0"),
    ({"a": {2: 1}}, "/a"),
    ({"a": b""}, "/a"),
    ([], ""),
    ("text", ""),
    (None, ""),
]


@pytest.mark.parametrize(("value", "pointer"), BAD)
def test_what_kvi_cannot_hold_is_named_by_its_pointer(value: Any, pointer: str) -> None:
    with pytest.raises(FormatError) as caught:
        dump(value, "f.kvi")
    assert caught.value.pointer == pointer
    with pytest.raises(FormatError) as caught:
        edit(b"a 1\n", {"a": 1}, value, "f.kvi")
    assert caught.value.pointer == pointer


# Editing


@given(FILES, st.lists(PARTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=300)
def test_edit_gives_the_new_contents(old: Any, parts: list[Any], random: Random) -> None:
    data = Messy(random).write(old)
    new = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "new", "é"], random)
    if new == [] or not (is_object(new) or is_array(new)):
        new = {"was": old}
    result = edit(data, old, new, "f.kvi")
    assert identical(parse(result, "f.kvi"), new)
    assert result.endswith(b"\n") or not data.endswith(b"\n") or not result


@given(FILES, SEEDS)
@settings(deadline=None, max_examples=200)
def test_edit_without_a_change_gives_the_same_bytes(old: Any, random: Random) -> None:
    data = Messy(random).write(old)
    assert edit(data, old, old, "f.kvi") == data
    assert edit(data, old, parse(data, "f.kvi"), "f.kvi") == data


@given(FILES, st.lists(PARTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=200)
def test_edit_of_a_regular_file_is_the_new_contents_in_its_style(
    old: Any, parts: list[Any], random: Random
) -> None:
    """So all lines that the change leaves alone are as before, whatever the change."""
    new = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "new", "é"], random)
    before, after = {"first": {"x": 1}, "rest": old}, {"first": {"x": 1}, "rest": new}
    assert edit(dump(before, "f"), before, after, "f") == dump(after, "f")


EDITS: list[tuple[dict[str, Any], str, str]] = [
    ({"born": 1816}, "born 1815", "born 1816"),
    ({"name": "Ada "}, "name |Ada Lovelace", "name |Ada "),
    ({"home": "/ada"}, "home ~/ada", "home |/ada"),
    ({"height": 165}, "height 1.65", "height 165"),
    ({"height": 1.65}, "height 1.65", "height 1.65"),
    ({"email": {"x": [1]}}, "email -\n", "email {}:\n  x []:\n    1\n"),
    ({"langs": ["en", "it", "fr"]}, "  |en\n", "  |en\n  |it\n"),
    ({"langs": ["fr"]}, "  |en\n", ""),
    ({"langs": ["en"]}, "  |fr\n", ""),
    ({"langs": ["en", "fr", []]}, "  |fr\n", "  |fr\n  []\n"),
    ({"langs": []}, "langs []:\n  |en\n  # and\n  |fr\n", "langs []\n"),
    ({"tags": ["x"]}, "tags []\n", "tags []:\n  |x\n"),
    (
        {"addresses": [{"street": "S", "no": 12}, {}]},
        "|St. James's  Square",
        "|S",
    ),
    (
        {"addresses": [{**VALUE["addresses"][0], "zip": "x"}, {}]},
        "no 12\n",
        "no 12\n        zip |x\n",
    ),
    ({"addresses": VALUE["addresses"][:1]}, "    {}\n", ""),
    ({"new": True}, "extra {}\n", "extra {}\nnew :T\n"),
]


@pytest.mark.parametrize(("change", "before", "after"), EDITS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["\n", "", "\n\n# end\n"])
def test_edit_changes_the_lines_of_what_changed(
    change: dict[str, Any], before: str, after: str, newline: str, end: str
) -> None:
    assert EXAMPLE.count(before) == 1
    text = (EXAMPLE.rstrip("\n") + end).replace("\n", newline)
    wanted = (EXAMPLE.replace(before, after).rstrip("\n") + end).replace("\n", newline)
    assert changed(text, {**VALUE, **change}) == wanted


@pytest.mark.parametrize(
    ("text", "new", "result"),
    [
        # Comments go with their entry, and stay where it is removed.
        (
            "# file\n\n# of a\na 1\nb 2\n# of c\nc 3\n# end\n",
            {"c": 3, "a": 1, "b": 2},
            "# file\n\n# of c\nc 3\n# of a\na 1\nb 2\n# end\n",
        ),
        (
            "# of a\na 1\n# of b\nb 2\n# of c\nc 3\n",
            {"a": 1, "c": 3},
            "# of a\na 1\n# of b\n# of c\nc 3\n",
        ),
        ("a 1\n# of b\nb 2\n# end\n", {"a": 1}, "a 1\n# of b\n# end\n"),
        ("# file\n\n# of a\na 1\n", {"new": 0, "a": 1}, "# file\n\nnew 0\n# of a\na 1\n"),
        ("# file\n\na 1\n", {}, "# file\n\n"),
        ("# file\n", {"a": 1}, "# file\na 1\n"),
        ("# file", {"a": [1]}, "# file\na []:\n  1"),
        ("", {"a": 1}, "a 1\n"),
        # Its own endings for each line.
        ("a 1\r\nb 2\nc 3", {"a": 1, "b": 2, "c": 4, "d": 5}, "a 1\r\nb 2\nc 4\r\nd 5"),
        ("a 1\r\nb 2\nc 3", {"a": 1, "b": 2}, "a 1\r\nb 2"),
        ("\ufeffa 1\n", {"a": 2}, "\ufeffa 2\n"),
        # Another kind of file keeps what stands around the entries.
        ("# top\na 1\nb 2\n# end\n", ["x"], "# top\n|x\n# end\n"),
        ("1\n2\n3\n", [1, 3], "1\n3\n"),
        ("{}:\n  # x\n  a 1\n{}:\n  a 2\n", [{"a": 2, "b": 0}], "{}:\n  a 2\n  b 0\n"),
        # An opening stays as it is as long as its kind does.
        ("a {}:\n b 1\n", {"a": {"c": 1}}, "a {}:\n c 1\n"),
        ("a {}:\nb :\n c 1\n", {"a": {"x": 1}, "b": {"c": 1}}, "a :\n x 1\nb :\n c 1\n"),
        ("a :\n b 1\n", {"a": ["b"]}, "a :\n |b\n"),
        ("a {}:\n", {"a": {}}, "a {}:\n"),
        # 1 is not 1.0, and 1.50 is 1.5.
        ("a 1\nb 1.50\nc +1\n", {"a": 1.0, "b": 1.5, "c": 1}, "a 1.0\nb 1.50\nc +1\n"),
    ],
)
def test_edit_keeps_what_it_does_not_change(text: str, new: Any, result: str) -> None:
    assert changed(text, new) == result


def test_the_example_of_the_page() -> None:
    text, contents_as_json, _, edited = examples("kvi.md")
    old = read_kvi(text)
    assert identical(old, json.loads(contents_as_json))
    new: Any = read_kvi(text)
    del new["email"]
    new["born"] = 1816
    new["langs"].insert(0, "it")
    start = edited.partition("  ...")[0]
    assert changed(text, new) == start + text.partition("addresses :\n")[2]


def test_the_innermost_of_the_deepest_is_edited() -> None:
    lines = [" " * depth + ":" for depth in range(MAX_DEPTH - 1)]
    text = "\n".join([*lines, " " * MAX_DEPTH + "+1"])
    new = read_kvi(text.replace("+1", "2"))
    assert changed(text, new) == text.replace("+1", "2")
