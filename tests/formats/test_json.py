"""JSON: exact reading and writing; test_json_edit.py has the edits."""

from __future__ import annotations

import gc
import json
import threading
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats import _json_read, _text
from objstore.formats import json as format_json
from objstore.formats.json import dump, edit, parse
from objstore.values import JSON, MAX_DEPTH, same

from .random_edits import KEYS, SCALARS, contents, identical
from .random_json import NO_JSON, Messy

CONTENTS = contents(KEYS, SCALARS)
SEEDS = st.randoms(use_true_random=False)


# Reading


@given(CONTENTS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_parse_reads_what_the_standard_library_reads(value: JSON, random: Random) -> None:
    data = Messy(random).write(value)
    assert identical(parse(data, "f.json"), value)
    assert identical(value, json.loads(data.decode("utf-8-sig")))


@given(CONTENTS, SEEDS)
@settings(deadline=None, max_examples=200)
def test_no_dropped_key_goes_unseen(value: JSON, random: Random) -> None:
    """Any entry of any text, put in a second time with another value, is refused."""
    data = Messy(random).write({"x": value, "y": ":"})
    again = random.choice(['"y":1', '"\\u0079" : null', '"y":":::"', '"y" :\n[]'])
    twice = data.rstrip(b" \t\r\n")[:-1] + b"," + again.encode() + b"}"
    with pytest.raises(FormatError, match="comes twice") as caught:
        parse(twice, "f.json")
    assert caught.value.line is not None


def test_a_dropped_key_is_not_hidden_by_an_escaped_colon() -> None:
    # One colon less for the key that goes, one more for the colon that orjson writes unescaped.
    with pytest.raises(FormatError, match='"a" comes twice'):
        parse(b'{"a": 1, "a": "\\u003a"}', "f.json")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", 2**64),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", -(2**63) - 1),
        (b'{"a":[18446744073709551616 , -1e2]}', {"a": [2**64, -100.0]}),
        (b'["x 18446744073709551616", 1]', ["x 18446744073709551616", 1]),
        (b"[12345678901234567890.5]", [12345678901234567890.5]),
        (b"[0.12345678901234567890123]", [0.12345678901234567890123]),
        (b"1" * 4000, int("1" * 4000)),
        (b'"\\ud83d\\ude00 \\\\ud800"', "😀 \\ud800"),
        (b'{"a\\u003ab": 1, "b": ":"}', {"a:b": 1, "b": ":"}),
        (b'\xef\xbb\xbf {"a": 1}', {"a": 1}),
        (b"-0", 0),
        (b"1.0", 1.0),
        (b" null ", None),
    ],
)
def test_parse_is_exact(data: bytes, value: JSON) -> None:
    assert identical(parse(data, "f.json"), value)


@pytest.mark.parametrize(
    ("data", "line", "column", "reason"),
    [
        (b"", 1, 1, "the file is empty"),
        (b"\xef\xbb\xbf", 1, 1, "the file is empty"),
        (b" \n ", 2, 2, "the file is empty"),
        (b'{\n "\xc3\xa9": 1, "a": 2,\n "\\u0061": 3}', 3, 2, 'the key "a" comes twice'),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', 1, 24, 'the key "b" comes twice'),
        (b"[1,\n2,]", 2, 2, 'a comma before the closing "]"'),
        (b'{"a": 1,\n}', 1, 8, 'a comma before the closing "}"'),
        (b"[NaN]", 1, 2, 'expected a value, found "NaN"'),
        (b"-Infinity", 1, 1, 'expected a value, found "-Infinity"'),
        (b"[1, 1e400]", 1, 5, "1e400 is out of the range of a float"),
        (b"[-1e400, 1]", 1, 2, "-1e400 is out of the range of a float"),
        (b"9" * 5000, 1, 1, "an integer of 5000 digits"),
        (b'["a", "\\ud800"]', 1, 8, "half of a surrogate pair"),
        (b'["\\udc00\\ud800"]', 1, 3, "half of a surrogate pair"),
        (b'["\\ud83d\\ude00\\ud83d"]', 1, 15, "half of a surrogate pair"),
        (b'{"\\udfff": 18446744073709551616}', 1, 3, "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', 1, 2, "byte 0xed is not UTF-8"),
        (b'["\xc3\xa9",\n "\xff"]', 2, 3, "byte 0xff is not UTF-8"),
        (b"\xff\xfe[\x00", 1, 1, "byte 0xff is not UTF-8"),
        (b"{'a': 1}", 1, 2, 'expected a key in double quotes, found "\'"'),
        (b'{"a" 1}', 1, 6, 'expected ":" after the key, found "1"'),
        (b'{"a": 1 "b": 2}', 1, 9, 'expected "," or "}", found a string'),
        (b"[1 2]", 1, 4, 'expected "," or "]", found "2"'),
        (b"[1}", 1, 3, 'expected "," or "]", found "}"'),
        (b"[[1], 2", 1, 8, 'expected "," or "]", found the end of the file'),
        (b'{"a":', 1, 6, "expected a value, found the end of the file"),
        (b"[1] [2]", 1, 5, 'expected the end of the file, found "["'),
        (b"// no\n{}", 1, 1, 'expected a value, found "/"'),
        (b"01", 1, 1, 'expected a value, found "01"'),
        (b"[1.]", 1, 2, 'expected a value, found "1."'),
        (b"[+1]", 1, 2, 'expected a value, found "+1"'),
        (b"[truth]", 1, 2, 'expected a value, found "truth"'),
        (b'"a\nb"', 1, 3, "a line ends within a string"),
        (b'"a\tb"', 1, 3, "a control character, U+0009, in a string"),
        (b'"a\\x"', 1, 3, 'no such escape: "\\x"'),
        (b'["abc', 1, 2, "a string without its closing quote"),
    ],
)
def test_parse_says_what_is_wrong_and_where(
    data: bytes, line: int, column: int, reason: str
) -> None:
    with pytest.raises(FormatError) as caught:
        parse(data, "people/ada.json")
    error = caught.value
    assert (error.source, error.line, error.column) == ("people/ada.json", line, column)
    assert error.reason == reason


@given(st.binary(max_size=40) | st.text('[]{}",:\\u01eE+-.tfn \n', max_size=30).map(str.encode))
@settings(deadline=None, max_examples=500)
def test_parse_takes_what_is_json_and_refuses_the_rest_with_a_place(data: bytes) -> None:
    try:
        value = parse(data, "f.json")
    except FormatError as error:
        place = error.line, error.column
    else:
        assert same(value, json.loads(data.decode("utf-8-sig")))
        return
    assert None not in place


@pytest.mark.parametrize("brackets", ["[]", '{"a":}'])
def test_containers_nest_as_deep_as_contents_may(brackets: str) -> None:
    opening, closing = brackets[:-1], brackets[-1]

    def nested(depth: int, inner: str) -> bytes:
        return (opening * depth + inner + closing * depth).encode()

    fitting = nested(MAX_DEPTH - 1, "[]")
    value = parse(fitting, "f.json")
    assert parse(dump(value, "f.json"), "f.json") == value
    assert parse(nested(MAX_DEPTH, "18446744073709551616"), "f.json")
    for inner in ("[]", "[1]", "[18446744073709551616]"):
        with pytest.raises(FormatError, match="nested deeper than 200") as caught:
            parse(nested(MAX_DEPTH, inner), "f.json")
        assert caught.value.column == len(opening) * MAX_DEPTH + 1


@pytest.mark.parametrize("depth", [250, 300, 2000, 10_000])
def test_no_depth_is_too_deep_for_the_error(depth: int) -> None:
    for data in (b"[" * depth + b"]" * depth, b'{"a":' * depth, b"[" * depth):
        with pytest.raises(FormatError, match="nested deeper than 200"):
            parse(data, "f.json")


def test_indentation_in_strings_is_not_depth() -> None:
    value = ["\n".join(" " * 450 for _ in range(200)), {"a": " " * 40_500}]
    assert parse(dump(value, "f.json"), "f.json") == value


def test_files_that_are_too_large_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_text, "MAX_SIZE", 10)
    assert parse(b"[1,2,3,45]", "f.json") == [1, 2, 3, 45]
    with pytest.raises(FormatError, match="11 bytes are more than 10"):
        parse(b"[1,2,3,456]", "f.json")
    assert format_json.MAX_SIZE == 1 << 30


@pytest.fixture
def _collector() -> Any:
    yield
    gc.enable()


@pytest.mark.usefixtures("_collector")
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("broken", [True, False])
def test_the_garbage_collector_is_left_as_it_was_found(
    enabled: bool, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b'["' + b"x" * _json_read.LARGE + b'"' + (b"" if broken else b"]")
    seen: list[bool] = []

    def loads(body: bytes) -> Any:
        seen.append(gc.isenabled())
        return orjson.loads(body)

    monkeypatch.setattr(_json_read, "orjson", _Loader(loads))
    (gc.enable if enabled else gc.disable)()
    if broken:
        with pytest.raises(FormatError):
            parse(data, "f.json")
    else:
        parse(data, "f.json")
    assert gc.isenabled() is enabled
    assert seen == [False]


class _Loader:
    JSONDecodeError = orjson.JSONDecodeError

    def __init__(self, loads: Any) -> None:
        self.loads = loads


@pytest.mark.usefixtures("_collector")
def test_threads_leave_the_garbage_collector_enabled() -> None:
    data = dump(["x" * 100] * 2000, "f.json")
    threads = [
        threading.Thread(target=lambda: [parse(data, "f.json") for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.isenabled()


# Writing


def test_dump_writes_as_people_keep_json_in_git() -> None:
    empty: Any = [{}, []]
    value = {"name": "Ada Lövelace", "n": [1, 2**70, 1.5], "empty": empty, "a": {"b": None}}
    assert dump(value, "f.json").decode() == (
        '{\n  "name": "Ada Lövelace",\n'
        '  "n": [\n    1,\n    1180591620717411303424,\n    1.5\n  ],\n'
        '  "empty": [\n    {},\n    []\n  ],\n  "a": {\n    "b": null\n  }\n}\n'
    )


@given(CONTENTS)
@settings(deadline=None, max_examples=200)
def test_dump_is_read_back(value: JSON) -> None:
    assert identical(parse(dump(value, "f.json"), "f.json"), value)


@pytest.mark.parametrize(("value", "pointer"), NO_JSON)
def test_dump_refuses_what_json_cannot_hold(value: Any, pointer: str) -> None:
    with pytest.raises(FormatError) as caught:
        dump(value, "f.json")
    assert caught.value.pointer == pointer


def test_nothing_is_written_that_is_too_deep_to_be_read() -> None:
    value: Any = 2**70
    for _ in range(MAX_DEPTH):
        value = [value]
    for inner in (value, json.loads(json.dumps(value).replace(str(2**70), "1"))):
        assert identical(parse(dump(inner, "f.json"), "f.json"), inner)
        with pytest.raises(FormatError, match="nested deeper"):
            dump([inner], "f.json")
        for data in (b"[\n  1\n]\n", b"[1]"):
            with pytest.raises(FormatError, match="nested deeper"):
                edit(data, [1], [inner], "f.json")
