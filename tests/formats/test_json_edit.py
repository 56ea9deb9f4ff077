"""JSON: edits change what changed, in the file's own style, and leave the rest alone."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats import json as format_json
from objstore.formats._json_edit import NotAsExpectedError
from objstore.formats.json import dump, edit, parse
from objstore.values import JSON, MAX_DEPTH

from .pages import examples
from .random_edits import KEYS, SCALARS, change, contents, copied, identical
from .random_json import NO_JSON, Messy, Regular

CONTENTS = contents(KEYS, SCALARS)
SEEDS = st.randoms(use_true_random=False)


def edited(data: bytes, old: JSON, new: JSON) -> bytes:
    """The edit, which has to do without writing the whole file anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(format_json, "rewrite_text")
        return edit(data, old, new, "f.json")


def changed(text: str, new: JSON) -> str:
    data = text.encode()
    return edited(data, parse(data, "f.json"), new).decode()


@given(CONTENTS, st.lists(CONTENTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=300)
def test_edit_gives_the_new_contents(old: JSON, parts: list[JSON], random: Random) -> None:
    data = Messy(random).write(old)
    new: Any = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "new", "é"], random)
    assert identical(parse(edited(data, old, new), "f.json"), new)


@given(CONTENTS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_edit_without_a_change_gives_the_same_bytes(old: JSON, random: Random) -> None:
    data = Messy(random).write(old)
    assert edit(data, old, old, "f.json") == data
    assert edit(data, old, copied(old), "f.json") == data


STYLES = st.builds(
    Regular,
    unit=st.sampled_from(["  ", "    ", "\t", " ", "   ", "", None]),
    colon=st.sampled_from([": ", ":", " : "]),
    newline=st.sampled_from(["\n", "\r\n"]),
    end=st.sampled_from(["\n", "", "\n\n"]),
    ascii=st.booleans(),
    broken_empty=st.booleans(),
)


@given(STYLES, CONTENTS, st.lists(CONTENTS, min_size=1, max_size=4), SEEDS)
@settings(deadline=None, max_examples=300)
def test_edit_of_a_regular_text_is_the_new_contents_in_its_style(
    style: Regular, old: JSON, parts: list[JSON], random: Random
) -> None:
    """So all lines that the change leaves alone are as before, whatever the change."""
    if style.unit is None:
        style = style._replace(broken_empty=False)

    def around(value: Any) -> dict[str, Any]:
        # What the text shows of its style, for contents may show little of it.
        return {"é": [[{"empty": {}}], []], "contents": value}

    new: Any = old
    for _ in range(random.randrange(1, 4)):
        new = change(new, parts, ["a", "b", "new", "é"], random)
    before = around(old)
    after = {**before, "contents": new}
    data = style.write(before)
    assert edited(data, before, after).decode() == style.write(after).decode()


NESTED = """\
{
    "n": 1.10,   "m": [1, 2,  3],
    "name" : "A\\/B",

    "people": [{
        "id": 1
    }, {
        "id": 2
    }],
    "tags": ["a", "b"],
    "flags": [],
    "last": {"x": 1}
}"""


LAYOUTS: list[tuple[Any, str, str]] = [
    ({"n": 2}, '"n": 1.10,', '"n": 2,'),
    ({"m": [1, 3]}, "[1, 2,  3]", "[1,  3]"),
    ({"m": [1, 2, 3, 4]}, "[1, 2,  3]", "[1, 2,  3, 4]"),
    ({"m": [0, 1, 2, 3]}, "[1, 2,  3]", "[0, 1, 2,  3]"),
    ({"m": [3]}, "[1, 2,  3]", "[3]"),
    ({"m": {"a": 1}}, "[1, 2,  3]", '{"a": 1}'),
    (
        {"m": {"a": {"b": 1}}},
        "[1, 2,  3]",
        '{\n        "a": {\n            "b": 1\n        }\n    }',
    ),
    ({"tags": ["a", "x", "b"]}, '["a", "b"]', '["a", "x", "b"]'),
    ({"tags": []}, '["a", "b"]', "[]"),
    ({"tags": "é/"}, '["a", "b"]', '"é\\/"'),
    ({"flags": ["x", "y"]}, "[]", '["x", "y"]'),
    ({"flags": [[1], {}]}, "[]", "[\n        [1],\n        {}\n    ]"),
    ({"last": {"x": 1, "y": {"z": 2}}}, '{"x": 1}', '{"x": 1, "y": {"z": 2}}'),
    ({"last": {"w": 0}}, '{"x": 1}', '{"w": 0}'),
    ({"last": {"w": 0, "x": 1}}, '{"x": 1}', '{"w": 0, "x": 1}'),
    ({"last": None}, '{"x": 1}', "null"),
    ({"new": {"x": 2}}, '{"x": 1}', '{"x": 1},\n    "new": {"x": 2}'),
    ({"people": [{"id": 2}]}, '{\n        "id": 1\n    }, {', "{"),
    (
        {"people": [{"id": 1}, {"id": 2}, {"id": 3, "t": []}]},
        '"id": 2\n    }]',
        '"id": 2\n    }, {\n        "id": 3,\n        "t": []\n    }]',
    ),
    (
        {"people": [{"id": 1}, {"id": 2, "more": {"a": 1}}]},
        '"id": 2',
        '"id": 2,\n        "more": {\n            "a": 1\n        }',
    ),
]


@pytest.mark.parametrize(("change", "before", "after"), LAYOUTS)
def test_edit_follows_the_layout_around(change: Any, before: str, after: str) -> None:
    old = parse(NESTED.encode(), "f.json")
    assert isinstance(old, dict)
    assert NESTED.count(before) == 1
    assert changed(NESTED, {**old, **change}) == NESTED.replace(before, after)


STYLED: list[tuple[str, Any, str]] = [
    # The last entry goes with the comma of the one before, wherever commas stand.
    ('{\n  "a": 1,\n  "b": 2\n}', {"a": 1}, '{\n  "a": 1\n}'),
    ('{\n  "a": 1,\n  "b": 2\n}', {"b": 2}, '{\n  "b": 2\n}'),
    ("[\n    1\n  , 2\n  , 3\n]", [1, 2], "[\n    1\n  , 2\n]"),
    ("[\n    1\n  , 2\n]", [1, 2, 3], "[\n    1\n  , 2\n  , 3\n]"),
    ("[ 1, 2 ]", [1, 2, 3], "[ 1, 2, 3 ]"),
    ("[1 ,2,3]", [1, 2, 3, 4], "[1 ,2,3 ,4]"),
    ("[1 ,2,3]", [2, 3, 1], "[2,3 ,1]"),
    ("[ 1 ]", [0, 1], "[ 0, 1 ]"),
    ('{"a":1}', {"a": 1, "b": [2, {}]}, '{"a":1,"b":[2,{}]}'),
    ('{"a": 1}\n\n', {"a": 1, "b": [2, 3]}, '{"a": 1, "b": [2, 3]}\n\n'),
    # Blank lines stay where they are, and are not copied.
    (
        '{\n  "a": 1,\n\n  "b": 2\n}\n',
        {"a": 1, "n": 0, "b": 2, "z": 9},
        '{\n  "a": 1,\n  "n": 0,\n\n  "b": 2,\n  "z": 9\n}\n',
    ),
    ("[\n  1,\n\n  2\n]", [1, 2, 3], "[\n  1,\n\n  2,\n  3\n]"),
    # Several elements on a line.
    ("[\n  1, 2,\n  3, 4\n]", [1, 2, 3, 4, 5], "[\n  1, 2,\n  3, 4, 5\n]"),
    # Reordered entries keep their text.
    (
        '{\n  "a": 1.0,\n  "b":2,\n  "c": [ ]\n}\n',
        {"c": [], "a": 1.0, "b": 2},
        '{\n  "c": [ ],\n  "a": 1.0,\n  "b":2\n}\n',
    ),
    # A moved key, together with changes within.
    (
        '{\n  "a": {\n    "x": 1\n  },\n  "b": 2\n}\n',
        {"b": 2, "a": {"x": 1, "y": 2}},
        '{\n  "b": 2,\n  "a": {\n    "x": 1,\n    "y": 2\n  }\n}\n',
    ),
    # Equal values keep their text, others of the same look do not.
    ('[1.10, 1E2, "\\u0041", -0]', [1.1, 100.0, "A", 0], '[1.10, 1E2, "\\u0041", -0]'),
    ("[1, 1.0, true, null]", [1.0, 1, 1, 0], "[1.0, 1, 1, 0]"),
    # ASCII stays ASCII; what is not stays as it is.
    (
        '{"a":"\\u00e9"}',
        {"a": "\u00e9", "b": "ü😀"},
        '{"a":"\\u00e9","b":"\\u00fc\\ud83d\\ude00"}',
    ),
    ('{"a":"é \\u00e9"}', {"a": "é é", "b": "ü"}, '{"a":"é \\u00e9","b":"ü"}'),
    ('{"a":"\\u0007"}', {"a": "\a", "b": "ü"}, '{"a":"\\u0007","b":"ü"}'),
    # Windows and no newline at the end.
    ('{\r\n\t"a": []\r\n}', {"a": [{}]}, '{\r\n\t"a": [\r\n\t\t{}\r\n\t]\r\n}'),
    # A file whose whole value is replaced.
    ("{}", {"a": [1]}, '{\n  "a": [\n    1\n  ]\n}'),
    (" [1, 2]\n", {"a": 1}, ' {"a": 1}\n'),
    ("1\n\n", "x", '"x"\n\n'),
    ("[1]", [], "[]"),
    ('{\n    "a": 1\n}', [[1], 2], "[\n    [\n        1\n    ],\n    2\n]"),
    ("\ufeff[1]", [1, 2], "\ufeff[1, 2]"),
    ("\ufeff[\n  1\n]\n", [1, 2], "\ufeff[\n  1,\n  2\n]\n"),
    # Integers of any size.
    (f"[{2**64},{2**65}]", [2**64, 2**66, 1], f"[{2**64},{2**66},1]"),
    # Brackets in strings, and containers that close at odd places.
    (
        '{\n"a":["}\\n]"\n],\n"b":{\n"c":"]"}\n,"d":1}',
        {"a": ["}\n]"], "b": {"c": "]"}, "d": 2},
        '{\n"a":["}\\n]"\n],\n"b":{\n"c":"]"}\n,"d":2}',
    ),
    (
        '{\n  "a": {\n    "b": {\n  }\n  },\n  "d": 1\n}',
        {"a": {"b": {}}, "d": 2},
        '{\n  "a": {\n    "b": {\n  }\n  },\n  "d": 2\n}',
    ),
]


@pytest.mark.parametrize(("text", "new", "result"), STYLED)
def test_edit_keeps_the_style(text: str, new: JSON, result: str) -> None:
    assert changed(text, new) == result


LIST = "[\n" + ",\n".join(f'  {{"id": {n}, "v": [{n}.50]}}' for n in range(8)) + "\n]\n"


@pytest.mark.parametrize(
    ("kept", "change"),
    [
        ([0, 1, 2, 3, 4, 5, 6], {}),
        ([1, 2, 3, 4, 5, 6, 7], {}),
        ([0, 1, 5, 6, 7], {}),
        ([0, 2, 3, 5, 6, 7], {}),
        ([0, 2, 3, 5, 6, 7], {3: "w"}),
        ([1, 2, 3, 4, 5, 6, 7], {1: "w"}),
        ([0, 1, 2, 3, 4, 5, 6], {6: "w", 2: "w"}),
        ([2, 5], {2: "w", 5: "w"}),
        ([4, 0, 1, 2, 3, 5, 6, 7], {}),
    ],
)
def test_elements_of_a_list_that_stayed_keep_their_text(
    kept: list[int], change: dict[int, str]
) -> None:
    old: Any = parse(LIST.encode(), "f.json")
    new = [old[n] | ({"v": change[n]} if n in change else {}) for n in kept]
    lines = LIST.splitlines()[1:-1]
    wanted = [
        lines[n].rstrip(",").replace(f"[{n}.50]", '"w"' if n in change else f"[{n}.50]")
        for n in kept
    ]
    if kept[0] == 4:  # It is taken out and put in again, for all others stay.
        wanted[0] = wanted[0].replace("4.50", "4.5")
    assert changed(LIST, new).splitlines()[1:-1] == [f"{line}," for line in wanted[:-1]] + [
        wanted[-1]
    ]


def test_elements_of_a_long_list_that_stayed_keep_their_text() -> None:
    lines = [f"  {n}.50" for n in range(200)]
    old = [n + 0.5 for n in range(200)]
    new = [0.25, *old[3:50], *old[52:120], "x", "y", *old[121:199], None]
    wanted = ["  0.25", *lines[3:50], *lines[52:120], '  "x"', '  "y"', *lines[121:199], "  null"]
    text = "[\n{}\n]\n"
    assert changed(text.format(",\n".join(lines)), new) == text.format(",\n".join(wanted))


def test_an_unchanged_part_is_not_looked_at() -> None:
    """It is the same object, so that its text is kept, whatever a look at it would find."""
    text = '{"a": {"x": 1.0}, "b": [{}, [{"x": 2}]], "c": 1}'
    old: Any = {"a": {"y": [2]}, "b": [None], "c": 1}

    def trusting(*_: object) -> bool:
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(format_json, "has_contents", trusting)
        result = edited(text.encode(), old, {**old, "c": 2})
    assert result.decode() == text.replace('"c": 1', '"c": 2')


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": [1, 2]}', '{\n  "a": 1,\n  "b": [\n    1,\n    2\n  ]\n}']
)
def test_old_contents_may_be_in_another_order_or_not_those_of_the_file(text: str) -> None:
    olds: list[Any] = [{"b": [1, 2], "a": 1}, {"a": 1}, {"a": 1, "b": [1], "c": {}}]
    for old in olds:
        result = edited(text.encode(), old, {"a": 5, "b": [1, 2]})
        assert result.decode() == text.replace('"a": 1', '"a": 5')


def test_a_text_that_cannot_be_followed_is_written_anew_in_its_style(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise NotAsExpectedError

    monkeypatch.setattr(format_json, "edit_text", fail)
    text = '\ufeff{\n\t"a":"\\u00e9",\n\t"b":[\n\t\t1.0\n\t]\n}\n\n'
    new: Any = {"a": "é", "b": [1.0], "c": {"d": {}}}
    result = edit(text.encode(), {}, new, "f.json").decode()
    assert result == text.replace("\n\t]\n", '\n\t],\n\t"c":{\n\t\t"d":{}\n\t}\n')
    result = edit(b' {"a":1}', {}, new, "f.json").decode()
    assert result == ' {"a":"é","b":[1.0],"c":{"d":{}}}'


def test_a_result_that_would_be_read_otherwise_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def twice(*_: object, **__: object) -> str:
        return '{"a": 1, "a": 2}'

    monkeypatch.setattr(format_json, "edit_text", twice)
    assert edit(b'{"a": 1}', {"a": 1}, {"a": 2}, "f.json") == b'{"a": 2}'


@pytest.mark.parametrize(("value", "pointer"), NO_JSON)
@pytest.mark.parametrize("data", [b'{\n  "k": 1\n}\n', b'{"k":1}', b'{\n\t"k": "\\u00e9"\n}'])
def test_edit_refuses_what_json_cannot_hold(data: bytes, value: Any, pointer: str) -> None:
    old = parse(data, "f.json")
    with pytest.raises(FormatError) as caught:
        edit(data, old, {"k": value}, "f.json")
    assert caught.value.pointer == "/k" + pointer
    with pytest.raises(FormatError) as caught:
        edit(data, old, {"k": 1, "l": [value, None]}, "f.json")
    assert caught.value.pointer == "/l/0" + pointer


def test_a_number_that_was_always_there_is_not_looked_at_again() -> None:
    old: Any = parse(b'{\n  "a": null,\n  "b": [\n    1.5\n  ]\n}\n', "f.json")
    new = {**old, "a": [old["b"], None]}
    assert parse(edit(dump(old, "f"), old, new, "f"), "f") == new


def test_the_examples_of_the_page() -> None:
    written, before, after = examples("json.md")
    assert dump(parse(written.encode(), "f.json"), "f.json").decode() == written
    new: Any = parse(before.encode(), "f.json")
    del new["height"]
    new["emails"].append("b@example.org")
    new["links"].append({"url": "u"})
    assert changed(before, new) == after


def test_the_innermost_of_the_deepest_is_edited() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = opening * MAX_DEPTH + "1" + closing * MAX_DEPTH
        new = parse(text.replace("1", "2").encode(), "f.json")
        assert changed(text, new) == text.replace("1", "2")
        indented = dump(parse(text.encode(), "f.json"), "f.json").decode().replace("  ", "\t")
        assert changed(indented, new) == indented.replace("1", "2")


@pytest.mark.parametrize("index", range(3))
def test_of_numbers_that_are_equal_the_one_that_went_goes(index: int) -> None:
    """They are read differently, and a list tells which of them are left."""
    texts = ["1.10", "1.1", "1.100"]
    data = f'{{"l": [{", ".join(texts)}]}}'.encode()
    old: Any = parse(data, "a.json")
    new = {"l": [*old["l"][:index], *old["l"][index + 1 :]]}
    del texts[index]
    assert edit(data, old, new, "a.json") == f'{{"l": [{", ".join(texts)}]}}'.encode()
