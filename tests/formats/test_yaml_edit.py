"""YAML: edits change what changed, in the file's own style, and leave the rest alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats import _yaml_load
from objstore.formats import yaml as format_yaml
from objstore.formats.yaml import edit, parse
from objstore.values import JSON, same

from .pages import examples
from .random_edits import change, copied
from .random_yaml import CONTENTS, linked, written

Update: TypeAlias = Callable[[Any], object]
Case: TypeAlias = tuple[str, Update, str]
"""The text before, what changes its contents in place, the text after."""
Change: TypeAlias = tuple[Update, Sequence[str], Sequence[str]]
"""What changes the contents, the lines that go, the lines that come."""

SEEDS = st.randoms(use_true_random=False)


def by_spans(data: bytes, old: JSON, new: JSON) -> bytes:
    """The edit, which has to do without rendering the file anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_yaml, "_by_ruamel", _not_by_spans)
        return edit(data, old, new, "f.yaml")


def _not_by_spans(*_: object) -> Iterator[str]:
    yield pytest.fail("not edited by spans")


def edited(text: str, update: Update) -> str:
    """The text after ``update`` changed its contents in place; checked to hold them."""
    old = parse(text.encode(), "f.yaml")
    new = copied(old)
    update(new)
    data = by_spans(text.encode(), old, new)
    assert same(parse(data, "f.yaml"), new)
    return data.decode()


def put(*path: Any) -> Callable[[Any], None]:
    """An update that sets the value at a path, given as the last of the arguments."""
    *keys, last, value = path

    def update(contents: Any) -> None:
        for key in keys:
            contents = contents[key]
        contents[last] = value

    return update


def drop(*path: Any) -> Callable[[Any], None]:
    """An update that removes what is at a path."""
    *keys, last = path

    def update(contents: Any) -> None:
        for key in keys:
            contents = contents[key]
        del contents[last]

    return update


def insert(*path: Any) -> Callable[[Any], None]:
    """An update that inserts the last of the arguments at a path."""
    *keys, index, value = path

    def update(contents: Any) -> None:
        for key in keys:
            contents = contents[key]
        contents.insert(index, value)

    return update


FILE = """\
# The head.
name: web   # of the service
image: "nginx:1"  # quoted

items:   # a list
- plain # one
# about the next
- name: x # X
  port: 80
-   - p
    - q
deep:
    # about y
    y: [1, 2, 3] # flow
    z: {a: 1, b: 'two'}
text: |  # literal
    hello
    world
nothing:
empty: {}   # filled later
flag: yes
# The end.
"""


def lines_of(text: str, update: Update) -> tuple[list[str], list[str]]:
    """The lines that an update takes from a text, and those that it adds."""
    before, after = text.splitlines(), edited(text, update).splitlines()
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return before[head : len(before) - tail], after[head : len(after) - tail]


LINES = FILE.splitlines()
UPDATES: list[Change] = [
    # Scalars, in their old style where it can hold the new value
    (put("name", "db"), ["name: web   # of the service"], ["name: db   # of the service"]),
    (put("name", "yes"), ["name: web   # of the service"], ['name: "yes"   # of the service']),
    (put("name", "a: b"), ["name: web   # of the service"], ['name: "a: b"   # of the service']),
    (put("name", 7), ["name: web   # of the service"], ["name: 7   # of the service"]),
    (put("image", "x"), ['image: "nginx:1"  # quoted'], ['image: "x"  # quoted']),
    (put("image", 'a"\n'), ['image: "nginx:1"  # quoted'], ['image: "a\\"\\n"  # quoted']),
    (put("flag", False), ["flag: yes"], ["flag: no"]),
    (put("deep", "z", "b", "it's"), ["    z: {a: 1, b: 'two'}"], ["    z: {a: 1, b: 'it''s'}"]),
    (put("nothing", 1), ["nothing:"], ["nothing: 1"]),
    (put("flag", None), ["flag: yes"], ["flag: null"]),
    (put("text", "hello\nthere\n"), ["    world"], ["    there"]),
    (put("text", "hello\nworld"), ["text: |  # literal"], ["text: |-  # literal"]),
    (put("text", "one"), FILE.splitlines()[15:18], ["text: one  # literal"]),
    (
        put("name", "a\nb\n"),
        ["name: web   # of the service"],
        ["name: |   # of the service", "    a", "    b"],
    ),
    # Added entries
    (put("new", 1), [], ["new: 1"]),
    (put("deep", "new", {"k": [1]}), [], ["    new:", "        k:", "        - 1"]),
    (put("deep", "z", "c", 2), ["    z: {a: 1, b: 'two'}"], ["    z: {a: 1, b: 'two', c: 2}"]),
    (put("items", 1, "new", "v"), [], ["  new: v"]),
    (insert("items", 0, "first"), [], ["- first"]),
    (insert("items", 1, {"a": 1, "b": 2}), [], ["- a: 1", "  b: 2"]),
    (insert("items", 3, [1, 2]), [], ["- - 1", "  - 2"]),
    (insert("items", 2, 0, "o"), ["-   - p"], ["-   - o", "    - p"]),
    (insert("deep", "y", 0, 0), ["    y: [1, 2, 3] # flow"], ["    y: [0, 1, 2, 3] # flow"]),
    (insert("deep", "y", 3, 4), ["    y: [1, 2, 3] # flow"], ["    y: [1, 2, 3, 4] # flow"]),
    # Removed entries
    (drop("name"), ["name: web   # of the service"], []),
    (drop("text"), FILE.splitlines()[15:18], []),
    (drop("items", 0), ["- plain # one"], []),
    (drop("items", 1), ["- name: x # X", "  port: 80"], []),
    (drop("items", 1, "name"), ["- name: x # X", "  port: 80"], ["- port: 80"]),
    (drop("items", 1, "port"), ["  port: 80"], []),
    (drop("items", 2, 0), ["-   - p", "    - q"], ["-   - q"]),
    (drop("deep"), FILE.splitlines()[11:15], []),
    (drop("deep", "y", 1), ["    y: [1, 2, 3] # flow"], ["    y: [1, 3] # flow"]),
    (drop("deep", "y", 2), ["    y: [1, 2, 3] # flow"], ["    y: [1, 2] # flow"]),
    (drop("deep", "z", "a"), ["    z: {a: 1, b: 'two'}"], ["    z: {b: 'two'}"]),
    # Scalars to collections and back
    (
        put("name", {"first": "a"}),
        ["name: web   # of the service"],
        ["name:   # of the service", "    first: a"],
    ),
    (put("name", [1]), ["name: web   # of the service"], ["name:   # of the service", "- 1"]),
    (put("nothing", [1, [2]]), [], ["- 1", "- - 2"]),
    (
        put("empty", {"k": 1}),
        ["empty: {}   # filled later"],
        ["empty:   # filled later", "    k: 1"],
    ),
    (put("items", 0, {"a": 1, "b": 2}), ["- plain # one"], ["- a: 1 # one", "  b: 2"]),
    (put("items", 1, 5), ["- name: x # X", "  port: 80"], ["- 5"]),
    (put("items", []), FILE.splitlines()[4:11], ["items: []   # a list"]),
    (put("deep", 5), FILE.splitlines()[11:15], ["deep: 5", "    # about y"]),
    (put("deep", [1]), FILE.splitlines()[13:15], ["    - 1"]),
    (put("deep", "y", {}), ["    y: [1, 2, 3] # flow"], ["    y: {} # flow"]),
    (put("deep", "y", {"k": [1]}), ["    y: [1, 2, 3] # flow"], ["    y: {k: [1]} # flow"]),
]


@pytest.mark.parametrize(("update", "gone", "new"), UPDATES)
def test_only_the_lines_of_a_change_change(
    update: Update, gone: Sequence[str], new: Sequence[str]
) -> None:
    assert lines_of(FILE, update) == (list(gone), list(new))


VARIANTS: dict[str, Callable[[str], str]] = {
    "CR LF": lambda text: text.replace("\n", "\r\n"),
    "no line break at the end": lambda text: text.removesuffix("\n"),
    "document markers": lambda text: f"%YAML 1.1\n--- # start\n{text}...\n# after\n",
    "blank lines": lambda text: f"\n\n---\n{text}\n\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_ways_to_write_the_same(name: str) -> None:
    variant = VARIANTS[name]
    for update, _, _ in UPDATES:
        assert edited(variant(FILE), update) == variant(edited(FILE, update))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_the_encoding_stays(encoding: str) -> None:
    mark = "\ufeff" if encoding.startswith("utf-16") else ""
    data = (mark + FILE).encode(encoding)
    old: Any = parse(data, "f.yaml")
    result = by_spans(data, old, {**old, "name": "é😀"})
    assert result.decode(encoding) == mark + edited(FILE, put("name", "é😀"))


@pytest.mark.parametrize("text", [FILE, "", "# only a comment", "a: 1\r\n...\r\n"])
def test_no_change_of_contents_is_no_change_of_bytes(text: str) -> None:
    old = parse(text.encode(), "f.yaml")
    assert edit(text.encode(), old, old, "f.yaml") == text.encode()
    assert edit(text.encode(), old, copied(old), "f.yaml") == text.encode()


# One kind of file each: before, update, after.


EDGES: list[Case] = [
    ("", put("a", 1), "a: 1\n"),
    ("# c", put("a", [1]), "# c\na:\n  - 1"),
    ("# c\n---\n# d\n", put("a", 1), "# c\n---\na: 1\n# d\n"),
    ("{}\n", put("a", {"b": 1}), "a:\n  b: 1\n"),
    ("--- {} # c\n", put("a", 1), "--- # c\na: 1\n"),
    ("[]", insert(0, "x"), "- x"),
    ("a: 1\n# c\n", drop("a"), "{}\n# c\n"),
    ("- a # c\n", drop(0), "[]\n"),
    ("a: 1", put("b", "x\ny\n"), "a: 1\nb: |\n  x\n  y\n"),
    ("a: |\n  x", put("b", 1), "a: |-\n  x\nb: 1"),
    ("a: |+\n  x", put("b", 1), "a: |-\n  x\nb: 1"),
    ("a: |\n  x  # c", put("b", 1), "a: |-\n  x  # c\nb: 1"),
    ("b: 1\na: |\n  x", put("b", 2), "b: 2\na: |\n  x"),
    ("b: 1\na: |\n  x", put("a", "y"), "b: 1\na: y"),
    ("a: |\n  x\nb: 1", drop("b"), "a: |\n  x\n"),
]


@pytest.mark.parametrize(("before", "update", "after"), EDGES)
def test_edges_of_the_file(before: str, update: Update, after: str) -> None:
    assert edited(before, update) == after


STRINGS: list[Case] = [
    ("a: |+\n  x\n\nb: 1\n", put("c", 2), "a: |+\n  x\n\nb: 1\nc: 2\n"),
    ("a: |+\n  x\n\n", put("c", 2), "a: |+\n  x\n\nc: 2\n"),
    ("a: |+\n  x\n\nb: 1\n", put("a", "y\nz\n\n"), "a: |+\n  y\n  z\n\nb: 1\n"),
    ("a: |\n  x\n\nb: 1\n", drop("a"), "\nb: 1\n"),
    ("a: |2\n    x\n", put("a", "  y\nz\n"), "a: |2\n    y\n  z\n"),
    ("a: |\n    x\n", put("a", "  y\nz\n"), "a: |4\n      y\n    z\n"),
    ("a: |\n      x\n\n      y\n", put("a", "x\n\nz\n"), "a: |\n      x\n\n      z\n"),
    (
        "a: >-\n  some words\n  in lines\nb: 1\n",
        put("a", "some more words in lines\nnext"),
        "a: >-\n  some more words\n  in lines\n\n  next\nb: 1\n",
    ),
    ("a: 'x\n\n  y' # c\n", put("a", "z"), "a: 'z' # c\n"),
    ("a: x\n  y # c\n", put("a", "z"), "a: z # c\n"),
    ("- |\n  x\n# c\n- b\n", put(0, 5), "- 5\n# c\n- b\n"),
    ("a: b\n  # deeper\nc: 1\n", put("a", "x\ny"), 'a: "x\\ny"\n  # deeper\nc: 1\n'),
    ("a: []\n\n\nb: 1\n", put("a", "x\n\n"), 'a: "x\\n\\n"\n\n\nb: 1\n'),
]


@pytest.mark.parametrize(("before", "update", "after"), STRINGS)
def test_strings_of_several_lines(before: str, update: Update, after: str) -> None:
    assert edited(before, update) == after


FLOW: list[Case] = [
    ("a: [\n  1, # one\n  2, # two\n  3\n]\n", drop("a", 1), "a: [\n  1, # one\n  3\n]\n"),
    ("a: [\n  1, # one\n  2\n]\n", drop("a", 1), "a: [\n  1 # one\n]\n"),
    ("a: [\n  1,\n  2 # two\n]\n", insert("a", 2, 3), "a: [\n  1,\n  2, # two\n  3\n]\n"),
    ("a: [\n  1,\n  2, # two\n]\n", insert("a", 2, 3), "a: [\n  1,\n  2, # two\n  3,\n]\n"),
    ("a: [\n  1,\n]\n", insert("a", 0, 0), "a: [\n  0,\n  1,\n]\n"),
    ('{\n  "a": 1,\n  "b": 2\n}', put("c", "x"), '{\n  "a": 1,\n  "b": 2,\n  "c": "x"\n}'),
    ('{\n  "a": 1,\n  "b": 2\n}', drop("b"), '{\n  "a": 1\n}'),
    ('{"a":{"b":[]}}', put("a", "b", ["x"]), '{"a":{"b":["x"]}}'),
    ("{a: , b, c: 1}", put("a", 5), "{a: 5, b, c: 1}"),
    ("{a: , b, c: 1}", put("b", 5), "{a: , b: 5, c: 1}"),
    ("[a: 1, b]", put(0, "a", 2), "[a: 2, b]"),
    ("[a: 1, b]", put(0, "b", 2), "[{a: 1, b: 2}, b]"),
    ("[1, 2, 3]", lambda new: (new.pop(0), new.append(4)), "[2, 3, 4]"),
    ("[x, y]", put(0, "a, b"), '["a, b", y]'),
    ("[x, y]", put(0, {"k": ["v"]}), "[{k: [v]}, y]"),
    ("[[1], [2]]", put(0, []), "[[], [2]]"),
]


@pytest.mark.parametrize(("before", "update", "after"), FLOW)
def test_flow_collections(before: str, update: Update, after: str) -> None:
    assert edited(before, update) == after


BLOCK: list[Case] = [
    ("a:\n  - 1\nb: {}\n", put("b", [2]), "a:\n  - 1\nb:\n  - 2\n"),
    ("a:\n- 1\nb: {}\n", put("b", [2]), "a:\n- 1\nb:\n- 2\n"),
    ("a:\n    b: 1\n", put("c", {"d": 1}), "a:\n    b: 1\nc:\n    d: 1\n"),
    ("a:\n- 1\n", put("a", {"b": 1}), "a:\n  b: 1\n"),
    ("-\n  # c\n  a: 1\n", put(0, "b", 2), "-\n  # c\n  a: 1\n  b: 2\n"),
    ("-\n  # c\n  a: 1\n", put(0, 5), "- 5\n  # c\n"),
    ("-   a\n-   b\n", insert(2, {"k": 1, "l": 2}), "-   a\n-   b\n-   k: 1\n    l: 2\n"),
    ("- a: 1\n  # about b\n  b: 2\n", drop(0, "a"), "-\n  # about b\n  b: 2\n"),
    ("- a: 1\n  b: 2\n  c: 3\n", lambda new: put(0, {"c": 3})(new), "-\n  c: 3\n"),
    ("-\n- 1\n", put(0, {"a": [1]}), "- a:\n    - 1\n- 1\n"),
    ("? a\n: 1\n? b\n: 2\n", drop("a"), "? b\n: 2\n"),
    ("? a\n: 1\n", put("a", {"b": 1}), "? a\n:\n  b: 1\n"),
    ("'a': 1\n", put("b", "x"), "'a': 1\n'b': x\n"),
    ("80: a\n", put("443", "b"), "80: a\n443: b\n"),
    ("x80: a\n", put("443", "b"), 'x80: a\n"443": b\n'),
    ("a: 'x'\nb: 'y'\n", put("c", "1"), "a: 'x'\nb: 'y'\nc: '1'\n"),
    ("a: !!str 1\n", put("a", 2), "a: 2\n"),
    (
        "a:\n  x: 1\n    # deeper\nb: 1\n",
        put("a", "y", 2),
        "a:\n  x: 1\n    # deeper\n  y: 2\nb: 1\n",
    ),
    ("a:\n  x: 1\n  # in a\nb: 1\n", drop("a"), "b: 1\n"),
    ("a: 1\n# about b\nb: 2\n", drop("b"), "a: 1\n# about b\n"),
    ("a: On\nb: FALSE\n", lambda new: new.update(a=False, b=True), "a: Off\nb: TRUE\n"),
    ("a: 1\n", lambda new: (new.clear(), new.update(b=2, c=3)), "b: 2\nc: 3\n"),
    ("b: 2\n", lambda new: new.update({"a": 1, **new, "b": 2}), "b: 2\na: 1\n"),
]


@pytest.mark.parametrize(("before", "update", "after"), BLOCK)
def test_block_collections(before: str, update: Update, after: str) -> None:
    assert edited(before, update) == after


def test_a_new_key_goes_behind_the_one_before_it() -> None:
    new = {"zero": 0, "a": 1, "one": 1, "b": 2, "two": 2}
    text = b"# first\na: 1\n# second\nb: 2\n"
    result = by_spans(text, {"a": 1, "b": 2}, new)
    assert result == b"# first\nzero: 0\na: 1\none: 1\n# second\nb: 2\ntwo: 2\n"


def test_list_items_keep_their_comments_as_others_come_and_go() -> None:
    text = "- a # A\n- b # B\n- c # C\n- d # D\n"
    result = edited(text, lambda new: (new.pop(0), new.insert(1, "x"), new.append("e")))
    assert result == "- b # B\n- x\n- c # C\n- d # D\n- e\n"


# Anchors, aliases, merge keys

LINKED = """\
base: &base   # shared
  x: 1
  y: [2]
word: &word text
user:
  <<: *base # merged
  z: 3
copy: *base
again: *word
"""


LINKS: list[Change] = [
    (put("user", "z", 4), ["  z: 3"], ["  z: 4"]),
    (put("user", "x", 9), [], ["  x: 9"]),
    (put("new", 1), [], ["new: 1"]),
    (drop("user", "x"), ["  <<: *base # merged"], ["  y:", "    - 2"]),
    (put("copy", "x", 5), ["copy: *base"], ["copy:", "  x: 5", "  y:", "    - 2"]),
    (put("copy", 5), ["copy: *base"], ["copy: 5"]),
    (put("again", "other"), ["again: *word"], ["again: other"]),
    (drop("copy"), ["copy: *base"], []),
    (
        lambda new: [new[key].update(x=7) for key in ("base", "copy", "user")],
        ["  x: 1"],
        ["  x: 7"],
    ),
    (lambda new: new.update(word="w", again="w"), ["word: &word text"], ["word: &word w"]),
    (
        put("word", "w"),
        ["word: &word text", *LINKED.splitlines()[4:8], "again: *word"],
        ["word: &word w", *LINKED.splitlines()[4:8], "again: text"],
    ),
    (
        drop("word"),
        ["word: &word text", *LINKED.splitlines()[4:8], "again: *word"],
        [*LINKED.splitlines()[4:8], "again: text"],
    ),
    (
        lambda new: new["base"].update(x=7) or new["copy"].update(x=7),
        ["  x: 1", *LINKED.splitlines()[2:6]],
        ["  x: 7", *LINKED.splitlines()[2:6], "  x: 1"],
    ),
]


@pytest.mark.parametrize(("update", "gone", "new"), LINKS)
def test_anchors_and_aliases_stay_where_they_can(
    update: Update, gone: Sequence[str], new: Sequence[str]
) -> None:
    assert lines_of(LINKED, update) == (list(gone), list(new))


def test_an_alias_whose_anchor_goes_is_written_out() -> None:
    result = edited(LINKED, drop("base"))
    assert result == (
        "word: &word text\nuser:\n  x: 1\n  y:\n    - 2\n  z: 3\n"
        "copy:\n  x: 1\n  y:\n    - 2\nagain: *word\n"
    )


def test_the_example_of_the_page() -> None:
    _, *parts = examples("yaml.md")

    def update(new: Any) -> None:
        new.update(name="shop", version="1.10", motd="Welcome.\nBe kind.\n")
        new["defaults"]["tags"].append("c")
        new["servers"][0]["tls"] = True
        new["servers"][1]["tags"] = []
        new["servers"].append({"host": "gamma"})

    assert edited("\n".join(parts[:2]), update) == "\n".join(parts[2:])


# Random files


@given(CONTENTS, st.lists(CONTENTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=400)
@pytest.mark.filterwarnings("ignore:.*comments could not be kept:UserWarning")
def test_edit_gives_the_new_contents(old: JSON, parts: list[JSON], random: Random) -> None:
    data = written(old, random).encode()
    new: Any = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "new", "é", "yes", "x: y"], random)
    assert same(parse(edit(data, old, new, "f.yaml"), "f.yaml"), new)


@given(st.lists(CONTENTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=300)
def test_anchors_and_aliases_at_random(parts: list[JSON], random: Random) -> None:
    data = linked(random).encode()
    old = parse(data, "f.yaml")
    new: Any = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "c", "new"], random)
    assert same(parse(by_spans(data, old, new), "f.yaml"), new)


@given(CONTENTS, SEEDS)
@settings(deadline=None, max_examples=100)
def test_random_files_without_a_change_stay(old: JSON, random: Random) -> None:
    data = written(old, random).encode()
    assert edit(data, old, copied(old), "f.yaml") == data


@given(CONTENTS, CONTENTS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_comments_outlive_what_is_added_and_set(old: JSON, part: JSON, random: Random) -> None:
    text = written({"contents": old, "last": [0]}, random)
    before: Any = parse(text.encode(), "f.yaml")
    new = {**before, "last": [random.choice([0, 1]), "two"], "é": part, "one": 1}
    result = by_spans(text.encode(), before, new).decode()
    assert same(parse(result.encode(), "f.yaml"), new)
    comments = [word for word in text.split() if word in {f"c{number}" for number in range(6)}]
    assert [word for word in result.split() if word in comments] == comments


# The other ways, where spans will not do

BY_RUAMEL = """\
# The head.
key: &key name   # the key
*key : value     # of the alias
other: 1         # one
"""


def test_what_spans_cannot_do_ruamel_does() -> None:
    old: Any = parse(BY_RUAMEL.encode(), "f.yaml")
    result = edit(
        BY_RUAMEL.encode(), old, {**old, "name": "yes", "new": [1, "no"]}, "f.yaml"
    ).decode()
    assert parse(result.encode(), "f.yaml") == {**old, "name": "yes", "new": [1, "no"]}
    assert result.count("#") == 4
    assert "*key" in result


def test_without_ruamel_comments_go_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    monkeypatch.delitem(sys.modules, "objstore.formats._yaml_ruamel", raising=False)
    old: Any = parse(BY_RUAMEL.encode(), "f.yaml")
    new = {**old, "other": 2}
    with pytest.warns(UserWarning, match=r"f\.yaml: comments .*pip install objstore\[yaml\]"):
        result = edit(BY_RUAMEL.encode(), old, new, "f.yaml")
    assert result == b"key: name\nname: value\nother: 2\n"
    bare = b"key: &key name\n*key : value\nother: 1\n"
    assert edit(bare, old, new, "f.yaml") == result  # nothing is lost, so nothing is said


def test_where_ruamel_fails_comments_go_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_yaml, "_by_ruamel", _wrongly)
    old: Any = parse(BY_RUAMEL.encode(), "f.yaml")
    with pytest.warns(UserWarning, match="cannot be made in its text"):
        result = edit(BY_RUAMEL.encode(), old, {**old, "other": 2}, "f.yaml")
    assert parse(result, "f.yaml") == {**old, "other": 2}


def _wrongly(*_: object) -> Iterator[str]:
    yield "not: this"
    yield "not: [even yaml"


def test_edits_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_yaml_load, "LOADER", _yaml_load.SlowLoader)
    for update, gone, new in UPDATES:
        assert lines_of(FILE, update) == (list(gone), list(new))


def test_refuses_to_write_what_is_no_json_value() -> None:
    with pytest.raises(FormatError) as caught:
        edit(b"a: 1", {"a": 1}, {"a": [float("nan")]}, "f.yaml")
    assert caught.value.pointer == "/a/0"


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("due: 2026-03-01 # soon\n", "2026-04-01", "due: 2026-04-01 # soon\n"),
        ("due: 2026-03-01T10:00:00Z\n", "2026-04-01", "due: 2026-04-01\n"),
        ("due: '2026-03-01'\n", "2026-04-01", "due: '2026-04-01'\n"),
        ("due: soon\n", "2026-04-01", 'due: "2026-04-01"\n'),
        ("due: 2026-03-01\n", "soon", "due: soon\n"),
        ("due: 2026-03-01\n", "2026-04-01: no", 'due: "2026-04-01: no"\n'),
    ],
)
def test_a_date_stands_for_a_date(text: str, new: str, expected: str) -> None:
    """Other readers of the file have dates where we have text."""
    old = parse(text.encode(), "a.yaml")
    changed: JSON = {"due": new}
    result = edit(text.encode(), old, changed, "a.yaml")
    assert result.decode() == expected
    assert parse(result, "a.yaml") == changed
