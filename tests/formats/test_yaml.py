"""YAML: what is read, what is refused, how new files look."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from objstore.errors import FormatError
from objstore.formats import _yaml_load, by_ending
from objstore.formats.yaml import dump, parse
from objstore.values import JSON, MAX_DEPTH, same

from .pages import examples
from .random_edits import identical
from .random_yaml import CONTENTS, TRICKY


@pytest.fixture(params=["FastLoader", "SlowLoader"])
def scanner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of PyYAML's scanners: the one in libyaml and the one in Python."""
    monkeypatch.setattr(_yaml_load, "LOADER", getattr(_yaml_load, request.param))
    return str(request.param)


def read(text: str) -> JSON:
    return parse(text.encode(), "f.yaml")


def refused(data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        parse(data, "f.yaml")
    assert caught.value.source == "f.yaml"
    return caught.value


def nested(depth: int, kinds: str) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if kinds[level % len(kinds)] == "[" else {"a": value}
    return value


def test_both_endings_are_yaml() -> None:
    assert by_ending(".yaml") is by_ending(".yml")
    assert by_ending(".yml").parse(b"a: 1", "f.yml") == {"a": 1}


# Reading


@pytest.mark.parametrize(
    "text",
    [
        "a: yes\nb: No\nc: on\nd: OFF\ne: true\nf: FALSE\ng: y\nh: n",
        "a: 1\nb: -0\nc: +7\nd: 0x1f\ne: 010\nf: 0b11\ng: 1_000\nh: 12:30\ni: 1:30:45\nj: 0o7",
        "a: 1.5\nb: 1.\nc: .5\nd: 1e3\ne: 1.0e+3\nf: 1_0.5\ng: 1:30.5\nh: -0.0\ni: 1.0e3",
        "a: ~\nb: null\nc:\nd: Null\ne: ''",
        "a: !!str 12\nb: !!int '12'\nc: !!float 3\nd: !!bool 'yes'\ne: !!null ''\nf: ! 12",
        "a: !!map {b: !!seq [1]}",
        "a: 'it''s'\nb: \"\\u00e9\\n\\x41\"\nc: plain text # comment\nd: a#b",
        "a: |\n  x\n   y\n\nb: >-\n  x\n  y\n\n  z\nc: |+\n  x\n\nd: |2\n    x\n",
        "a: [1, {b: 2}, c: 3, ]\nb: {x: , y}\n",
        "? a\n: - 1\n  - 2\n? b\n",
        "- 1\n-\n- - 2\n  - a: 1\n",
        "a: &x [1, 2]\nb: *x\nc: &y text\nd: *y",
        "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc:\n  <<: [{q: 4}, *a]\n  r: 5",
        "a: &a {p: 1}\nb: &b {<<: *a, q: 2}\nc: {<<: *b}\nd: {'<<': 1}",
        "%YAML 1.1\n---\na: 1\n...\n",
        "plain",
        "[]",
    ],
)
@pytest.mark.usefixtures("scanner")
def test_reads_what_pyyaml_reads(text: str) -> None:
    assert same(read(text), yaml.safe_load(text))
    assert repr(read(text)) == repr(yaml.safe_load(text))  # in the same order, too


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "---\n", "--- # c\n...\n", "\ufeff"])
@pytest.mark.usefixtures("scanner")
def test_an_empty_file_is_an_empty_object(text: str) -> None:
    assert read(text) == {}


def test_null_that_is_written_out_is_null() -> None:
    assert read("null") is None
    assert read("--- ~") is None


@pytest.mark.usefixtures("scanner")
def test_timestamps_are_read_as_they_are_written() -> None:
    texts = ["2020-01-01", "2020-01-01T10:00:00Z", "2020-01-01 10:00:00.5 +2"]
    assert read("".join(f"- {text}\n" for text in texts)) == texts
    assert read("!!timestamp '2001-1-1'") == "2001-1-1"


@pytest.mark.usefixtures("scanner")
def test_keys_are_read_as_they_are_written() -> None:
    text = "1: a\n0x1F: b\nyes: c\n~: d\n1.50: f\n2020-01-01: g\n!!int '7': h\non: i\n=: j"
    keys = ["1", "0x1F", "yes", "~", "1.50", "2020-01-01", "7", "on", "="]
    assert read(text) == dict(zip(keys, "abcdfghij", strict=True))
    assert read("?\n: x\n? y") == {"": "x", "y": None}


def test_a_plain_equals_sign_is_text() -> None:
    assert read("a: =\nb: [<<]") == {"a": "=", "b": ["<<"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    assert parse((mark + "a: é😀").encode(encoding), "f.yaml") == {"a": "é😀"}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3", 3, 1),
        ("1: a\n'1': b", 2, 1),
        ("a: {b: 1, b: 2}", 1, 11),
        ("a: 1\nb: [.inf]", 2, 5),
        ("a: -.INF", 1, 4),
        ("a: .nan", 1, 4),
        ("a: 1.0e+999", 1, 4),
        ("a: !!binary aGk=", 1, 4),
        ("a:\n  !!set {x}", 2, 3),
        ("a: !!omap [b: 1]", 1, 4),
        ("a: !!pairs [b: 1]", 1, 4),
        ("- !!python/object/apply:os.getcwd []", 1, 3),
        ("a: !mine 1", 1, 4),
        ("!!binary aGk=: 1", 1, 1),
        ("a: !!int x", 1, 4),
        ("a: !!int ''", 1, 4),
        ("a: !!bool maybe", 1, 4),
        ("a: !!str [1]", 1, 4),
        ("a: !!map [1]", 1, 4),
        ("a: " + "9" * 5000, 1, 4),
        ("? [a]\n: 1", 1, 3),
        ("{{a: 1}: 2}", 1, 2),
        ("a: &x [1, *x]", 1, 4),
        ("a: &x {b: {c: *x}}", 1, 4),
        ("a: &x\n  <<: *x", 1, 4),
        ("<<: 1", 1, 5),
        ("<<: [{a: 1}, 2]", 1, 14),
        ("<<: {a: 1}\n<<: {b: 2}", 2, 1),
    ],
)
@pytest.mark.usefixtures("scanner")
def test_refuses_what_is_no_json_value(text: str, line: int, column: int) -> None:
    error = refused(text.encode())
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: *nowhere", 1),
        ("a: &x 1\nb: &x 2", 2),
        ("a: 1\n---\nb: 2", 2),
        ("a: 1\n---\n", 2),
        ("a: 1\nb: c: d", 2),
        ("a: 1\n b: 2", 2),
        ("a: 1\nb: ]", 2),
        ("a: 'x\n", 2),
        ("a:\n\t- 1", 2),
        ("a: |x\n  b", 1),
        ("%YAML 2.0\n--- a", 1),
        ("é: 1\nb: \x07", 2),
        ('a: 1\nb: "\\ud800"', 2),
        ('a: 1\nb: "\\ud83d\\ude00"', 2),
    ],
)
@pytest.mark.usefixtures("scanner")
def test_refuses_what_is_no_yaml(text: str, line: int) -> None:
    error = refused(text.encode())
    assert error.line == line
    assert (error.column or 0) >= 1


def test_errors_say_what_is_wrong_and_where() -> None:
    assert str(refused(b"a: 1\na: 2")) == 'f.yaml, line 2, column 1: the key "a" stands here twice'
    assert str(refused(b"a: !!set {x}")).endswith("a !!set is no JSON value")


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"a: 1\nb: \xff", 2, 4),
        (b"\xef\xbb\xbfa: \xc3", 1, 4),
        (b"\xff\xfea\x00\n\x00\x00\xd8", 2, 1),
    ],
)
def test_refuses_what_is_no_text(data: bytes, line: int, column: int) -> None:
    error = refused(data)
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize("kinds", ["[", "{", "[{"])
@pytest.mark.usefixtures("scanner")
def test_depth(kinds: str) -> None:
    deepest = nested(MAX_DEPTH, kinds)
    assert same(parse(dump(deepest, "f.yaml"), "f.yaml"), deepest)
    deeper = yaml.safe_dump(nested(MAX_DEPTH + 1, kinds), default_flow_style=True)
    assert "deeper" in refused(deeper.encode()).reason


@pytest.mark.parametrize("part", ["[", "- ", "{a: ", "? ", "[[], "])
@pytest.mark.usefixtures("scanner")
def test_depth_beyond_the_stack_is_an_error(part: str) -> None:
    error = refused((part * 100_000).encode())
    assert error.line == 1
    assert (error.column or 0) < 2000


@pytest.mark.usefixtures("scanner")
def test_depth_counts_through_aliases() -> None:
    half = MAX_DEPTH // 2
    text = f"- &a {'[' * half}{']' * half}\n- {'[' * (half - 1)}*a{']' * (half - 1)}\n"
    assert isinstance(read(text), list)
    error = refused(text.replace("*a", "[*a]").encode())
    assert "deeper" in error.reason
    assert error.line == 1  # where the alias leads


@pytest.mark.parametrize("kind", ["sequences", "mappings", "merges", "strings"])
def test_alias_bombs_are_refused_before_they_go_off(kind: str) -> None:
    patterns = {
        "sequences": "a{}: &a{} [{}]",
        "mappings": "a{}: &a{} {{{}}}",
        "merges": "a{}: &a{} {{<<: [{}]}}",
        "strings": "a{}: &a{} [{}]",
    }
    lines = ["a0: &a0 " + {"strings": "x" * 10_000, "sequences": "[x]"}.get(kind, "{k: 1}")]
    for level in range(1, 30):
        parts = [f"*a{level - 1}"] * 10
        if kind == "mappings":
            parts = [f"k{index}: {part}" for index, part in enumerate(parts)]
        lines.append(patterns[kind].format(level, level, ", ".join(parts)))
    error = refused("\n".join(lines).encode())
    assert error.reason == "aliases that expand to too much"
    assert (error.line or 0) < 10


def test_many_merges_of_a_large_mapping_are_a_bomb_too() -> None:
    base = "base: &b {" + ", ".join(f"k{index}: 1" for index in range(3000)) + "}\n"
    users = "".join(f"u{index}: {{<<: *b}}\n" for index in range(3000))
    assert "expand" in refused((base + users).encode()).reason
    few = base + "".join(users.splitlines(keepends=True)[:3])
    assert same(read(few + "x: 1"), yaml.safe_load(few + "x: 1"))


def test_a_large_file_without_aliases_is_no_bomb() -> None:
    text = "- [" + ", ".join(["1"] * 1_100) + "]\n"
    assert len(str(read(text * 30))) > 90_000


# Writing


def test_the_style_of_new_files() -> None:
    value: dict[str, Any] = {
        "name": "web",
        "on": True,
        "none": None,
        "numbers": [1, -2.5, 1e20, 10**30],
        "empty": {"list": [], "object": {}, "text": ""},
        "people": [{"name": "Ada", "tags": ["a", "b"]}, [1, [2]], "Bob"],
        "text": "first\n  second\n",
        "unended": "first\nsecond",
        "quoted": ["yes", "1.10", "null", "2020-01-01", "0x1f", "1_000", "12:30", "a: b", "a #b"],
        "plain": ["--port=80", "http://a/b?c=d#e", "it's", "a:b", "é 😀", "x (y)", "a, b"],
    }
    assert dump(value, "f.yaml").decode() == NEW_FILE


def test_the_new_file_of_the_page() -> None:
    new = examples("yaml.md")[0]
    assert dump(read(new), "f.yaml").decode() == new


NEW_FILE = """\
name: web
"on": true
none: null
numbers:
  - 1
  - -2.5
  - 1.0e+20
  - 1000000000000000000000000000000
empty:
  list: []
  object: {}
  text: ""
people:
  - name: Ada
    tags:
      - a
      - b
  - - 1
    - - 2
  - Bob
text: |
  first
    second
unended: |-
  first
  second
quoted:
  - "yes"
  - "1.10"
  - "null"
  - "2020-01-01"
  - "0x1f"
  - "1_000"
  - "12:30"
  - "a: b"
  - "a #b"
plain:
  - --port=80
  - http://a/b?c=d#e
  - it's
  - a:b
  - é 😀
  - x (y)
  - a, b
"""


@pytest.mark.parametrize("value", [{}, [], None, "text", "a\nb\n", " a\nb", 5, "- x", "---", ""])
@pytest.mark.usefixtures("scanner")
def test_any_value_can_be_the_whole_file(value: JSON) -> None:
    assert same(parse(dump(value, "f.yaml"), "f.yaml"), value)


def test_integers_of_any_size() -> None:
    for value in (2**64, -(10**4000), 10**6000, -(10**6000)):
        assert parse(dump([value], "f.yaml"), "f.yaml") == [value]


def test_keys_longer_than_a_simple_key() -> None:
    value = {"k" * 3000: {"x" * 1024: [1]}, "é" * 1020: "v"}
    assert same(parse(dump(value, "f.yaml"), "f.yaml"), value)


@pytest.mark.parametrize("text", TRICKY)
@pytest.mark.usefixtures("scanner")
def test_tricky_strings_as_keys_and_values(text: str) -> None:
    value = {text: text, "list": [text, [text], {text: [text, None]}], "last": text}
    assert same(parse(dump(value, "f.yaml"), "f.yaml"), value)


@given(CONTENTS)
@settings(deadline=None, max_examples=300)
def test_what_is_written_reads_back(value: JSON) -> None:
    data = dump(value, "f.yaml")
    assert identical(parse(data, "f.yaml"), value)


@given(CONTENTS)
@settings(deadline=None, max_examples=150)
def test_strings_are_strings_to_pyyaml_as_well(value: JSON) -> None:
    assert same(yaml.safe_load(dump(value, "f.yaml")), value)


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"a": [1, float("nan")]}, "/a/1"),
        ({"a/b": float("inf")}, "/a~1b"),
        ({"a": "\ud800"}, "/a"),
        ({"a": {"\udc00": 1}}, "/a"),
        ({"a": {1: 2}}, "/a"),
        ([b"x"], "/0"),
        ([{1, 2}], "/0"),
    ],
)
def test_refuses_to_write_what_is_no_json_value(value: Any, pointer: str) -> None:
    with pytest.raises(FormatError) as caught:
        dump(value, "f.yaml")
    assert caught.value.pointer == pointer
    assert caught.value.line is None


def test_refuses_to_write_what_it_would_not_read() -> None:
    with pytest.raises(FormatError, match="deeper"):
        dump(nested(MAX_DEPTH + 1, "["), "f.yaml")
