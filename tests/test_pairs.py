"""The pairs of a batch, against a plain dict."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.backings.pairs import Pairs
from objstore.errors import FormatError


class Colour(enum.StrEnum):
    RED = "red"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


keys = st.text(max_size=3) | st.integers(0, 20) | st.just(Colour.RED) | st.just(Loud("red"))
batches = st.lists(st.tuples(st.text("ab", max_size=2), st.integers()) | st.tuples(keys, keys))


def spread(pairs: Pairs) -> list[tuple[str, Any]]:
    return [pair for part in pairs.parts() for pair in zip(*part, strict=True)]


@given(batches, st.booleans())
@settings(deadline=None)
def test_they_are_what_a_dict_makes_of_them_in_order(given: list[Any], as_dict: bool) -> None:
    items = dict(given).items() if as_dict else given
    known = {str(key): value for key, value in items}
    pairs = Pairs(dict(given) if as_dict else iter(given))
    assert spread(pairs) == sorted(known.items(), key=lambda pair: pair[0])
    assert pairs.keys == sorted(known)
    assert set(map(type, pairs.keys)) <= {str}


def test_many_come_in_parts() -> None:
    pairs = Pairs([(f"{n:05}", n) for n in reversed(range(5000))])
    assert [len(values) for _, values in pairs.parts()] == [1024] * 4 + [904]
    assert [value for _, value in spread(pairs)] == list(range(5000))
    assert list(Pairs({}).parts()) == []


def test_what_are_pairs_for_dict_are_pairs() -> None:
    assert spread(Pairs([["a", 1], "bc", iter(("d", 2))])) == [("a", 1), ("b", "c"), ("d", 2)]  # type: ignore[list-item]


@pytest.mark.parametrize("given", [[("a",)], [("a", 1, 2)], [("a", 1), ("b", 1, 2)], [1], 1, "abc"])
def test_what_are_no_pairs_for_dict_are_none(given: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Pairs(given)


def test_a_key_that_cannot_be_stored() -> None:
    with pytest.raises(FormatError):
        Pairs({1: "a", "\ud800": "b"})
