"""Kinded paths: their notation, to JSON Pointers and back."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import ObjstoreError, PathError
from objstore.paths import Step, address, build, parse, to_kinded, to_pointer
from objstore.pointer import build as build_pointer
from objstore.values import MISSING

from .formats.random_edits import TEXTS

PATHS = [
    ("", ""),
    ("a", "/a"),
    ("a.b", "/a/b"),
    ("a.b[0]", "/a/b/0"),
    ("[0][1].c", "/0/1/c"),
    ("{3}", "/3"),
    ("a{13}.b", "/a/13/b"),
    ('a."odd key".b', "/a/odd key/b"),
    ("a.'odd key'[2]", "/a/odd key/2"),
    ('"a.b"', "/a.b"),
    ('""', "/"),
    ('a.""', "/a/"),
    ('metadata."app.kubernetes.io/name"', "/metadata/app.kubernetes.io~1name"),
    ("a.~b", "/a/~0b"),
    ('"/a"', "/~1a"),
    ("größe.名前", "/größe/名前"),
    ("x-y_z$.@id", "/x-y_z$/@id"),
    ('"0"."17"', "/0/17"),
    ("2024.01", "/2024/01"),
    (r'"a\"b\\c\/d"', '/a"b\\c~1d'),
    (r"'it\'s'", "/it's"),
    ("\"it's\".'\"'", "/it's/\""),
    (r'"\b\f\n\r\t\u00e9\ud83d\ude00"', "/\b\f\n\r\té😀"),
    (r'"\ud83d"', "/\ud83d"),
]


@pytest.mark.parametrize(("path", "pointer"), PATHS)
def test_a_kinded_path_is_a_pointer(path: str, pointer: str) -> None:
    assert to_pointer(path) == pointer
    assert to_pointer(to_kinded(pointer)) == pointer
    assert build_pointer(step.token for step in parse(path)) == pointer


@pytest.mark.parametrize("pointer", ["", "/", "/a", "/a/b~1c/0", "//", "/a b"])
def test_a_pointer_is_taken_as_it_is(pointer: str) -> None:
    assert to_pointer(pointer) == pointer


ADDRESSES = [
    ("", ""),
    ("/", ""),
    ("//", ""),
    ("/people/ada", "/people/ada"),
    ("//people", "/people"),
    ("/v1.0/a[0]", "/v1.0/a[0]"),
    ("/doc/", "/doc/"),
    ("people", "/people"),
    ("people/ada//", "/people/ada"),
    ("odd key", "/odd key"),
    ("people/ada/emails/0", "/people/ada/emails/0"),
    ("people/", "/people"),
    ("v1.0/x", "/v1.0/x"),
    ("a~1b/c", "/a~1b/c"),
    ("people.ada.emails[0]", "/people/ada/emails/0"),
    ("rows{3}", "/rows/3"),
    ("v1.0", "/v1/0"),
    ('doc.""', "/doc/"),
    ('labels."app/name"', "/labels/app~1name"),
    ("'a/b'", "/a~1b"),
]


@pytest.mark.parametrize(("text", "pointer"), ADDRESSES)
def test_an_address_is_a_pointer_a_pathname_or_a_kinded_path(text: str, pointer: str) -> None:
    assert address(text) == pointer


@pytest.mark.parametrize("text", ["a[", "it's", 'labels."a/b', "a.*", "x(1)", "a..b", "."])
def test_an_address_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        address(text)


@given(st.lists(TEXTS.filter(bool)))
def test_a_pointer_is_its_own_address(tokens: list[str]) -> None:
    assert address(build_pointer(tokens)) == build_pointer(tokens)


WRONG = [
    ("a..b", 3, "expected a key"),
    (".a", 1, "expected a key"),
    ("a.", 3, "expected a key"),
    (".", 1, "expected a key"),
    ("*", 1, "expected a key"),
    ("a.*", 3, "expected a key"),
    ("(jane)", 1, "expected a key"),
    ("a(jane)", 2, 'expected ".", "[" or "{"'),
    ("a b", 2, 'expected ".", "[" or "{"'),
    ("a/b", 2, 'expected ".", "[" or "{"'),
    ("a]", 2, 'expected ".", "[" or "{"'),
    ("it's", 3, 'expected ".", "[" or "{"'),
    ("a[0]b", 5, 'expected ".", "[" or "{"'),
    ('"a"b', 4, 'expected ".", "[" or "{"'),
    ("a[b]", 3, "expected a number"),
    ("a[]", 3, "expected a number"),
    ("a[", 3, "expected a number"),
    ("a[*]", 3, "expected a number"),
    ("a[-1]", 3, "expected a number"),
    ("a[01]", 4, 'without leading zeros and "]"'),
    ("a[1}", 4, 'and "]"'),
    ("a{1", 4, 'and "}"'),
    ("a[\u0661]", 3, "expected a number"),
    ('a."b', 3, "the quote is not closed"),
    ("a.'b\"", 3, "the quote is not closed"),
    (r'a."b\"', 3, "the quote is not closed"),
    (r'a."b\x"', 5, "no escape of JSON strings"),
    (r'a."b\u12g4"', 5, "no escape of JSON strings"),
    ('a."b\\', 5, "no escape of JSON strings"),
]


@pytest.mark.parametrize(("path", "position", "reason"), WRONG)
def test_what_is_no_path_is_told_with_its_position(path: str, position: int, reason: str) -> None:
    with pytest.raises(PathError) as caught:
        to_pointer(path)
    error = caught.value
    assert (error.path, error.position) == (path, position)
    assert reason in error.reason
    assert str(error) == f"{path!r}, character {position}: {error.reason}"
    assert isinstance(error, ObjstoreError)
    assert isinstance(error, ValueError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301


KINDED: list[tuple[str, Any, str]] = [
    ("", {"a": 1}, ""),
    ("/a/b", {"a": {"b": 1}}, "a.b"),
    ("/a/0", {"a": [1]}, "a[0]"),
    ("/a/0/b", {"a": [{"b": 1}]}, "a[0].b"),
    ("/a/3", {"a": {"3": 1, "17": 2}}, "a{3}"),
    ("/a/3", {"a": {"3": 1, "x": 2}}, 'a."3"'),
    ("/a/03", {"a": {"03": 1}}, "a.03"),
    ("/3/0", {"3": [1]}, "{3}[0]"),
    ("/a/-", {"a": [1]}, "a.-"),
    ("/a/5", {"a": [1]}, "a[5]"),
    ("/b/5/c", {"a": 1}, "b[5].c"),
    ("/a/0", {"a": 1}, "a[0]"),
    ("/a/0", MISSING, "a[0]"),
    ("/a/0", None, "a[0]"),
    ("/a b/c.d/~1e/", MISSING, '"a b"."c.d"."/e".""'),
    ("/*/(x)/\\/\"/'", MISSING, '"*"."(x)"."\\\\"."\\""."\'"'),
    ("/a\nb", MISSING, r'"a\u000ab"'),
]


@pytest.mark.parametrize(("pointer", "value", "path"), KINDED)
def test_a_pointer_shows_what_it_leads_through(pointer: str, value: Any, path: str) -> None:
    assert to_kinded(pointer, value) == path
    assert to_pointer(path) == pointer


def test_what_is_no_pointer_has_no_kinded_path() -> None:
    with pytest.raises(ValueError, match="JSON Pointer"):
        to_kinded("a/b")


NUMBERS = st.integers(0, 10**20).map(str)
STEPS = st.one_of(
    st.builds(
        Step, st.just("key"), st.one_of(TEXTS, NUMBERS, st.text("'\"\\u0a.[{/ -*", max_size=5))
    ),
    st.builds(Step, st.sampled_from(["index", "sparse"]), NUMBERS),
)


@given(st.lists(STEPS, max_size=5))
@settings(deadline=None, max_examples=300)
def test_what_is_built_is_parsed(steps: list[Step]) -> None:
    assert parse(build(steps)) == steps
    assert to_pointer(build(steps)) == build_pointer(step.token for step in steps)


@given(st.lists(st.one_of(TEXTS, NUMBERS), max_size=5))
@settings(deadline=None, max_examples=200)
def test_any_pointer_comes_back(tokens: list[str]) -> None:
    pointer = build_pointer(tokens)
    assert to_pointer(to_kinded(pointer)) == pointer


@given(st.text("ab01.[]{}\"'\\u/ *", max_size=10))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_path_or_told_to_be_none(text: str) -> None:
    position = 1
    try:
        steps = parse(text)
    except PathError as error:
        steps, position = [], error.position
    assert parse(build(steps)) == steps
    assert 1 <= position <= len(text) + 1
