"""Commits by who has not seen yet that somebody else has compacted."""

from __future__ import annotations

import pytest

from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import before_and_after_reopening, put
from tests.conformance.makers import Maker
from tests.conformance.retentions import NEWEST


def test_a_unit_that_compaction_left_nothing_of(maker: Maker, url: str) -> None:
    """Its newest change is part of a commit that stays, and says nothing there any more."""
    documents, other = maker.open(url, layout=ANYTHING), maker.open(url, layout=ANYTHING)
    put(documents, {"/a": [1]})
    assert other.read("/n", at=1) is MISSING  # so that it knows the newest changes
    assert other.head() == 1
    put(documents, {"/a": MISSING})
    assert other.head() == 2
    assert documents.compact(NEWEST) == [1]
    for opened in (other, documents):
        assert opened.read("/a", at=0) is MISSING
        assert opened.read("/a", at=2) is MISSING
        assert opened.read("/a") is MISSING
    put(other, {"/a": [3]})
    for opened in before_and_after_reopening(maker, url, documents):
        assert opened.read("/a", at=2) is MISSING
        assert opened.read("/a", at=3) == [3]
    other.close()


def test_who_has_only_read_before_others_compact_may_write(maker: Maker, url: str) -> None:
    documents, other = maker.open(url, layout=ANYTHING), maker.open(url, layout=ANYTHING)
    put(documents, {"/a": [1]})
    assert other.head() == 1
    for n in (2, 3):
        put(documents, {"/a": [n]})
        documents.compact(NEWEST)
    put(other, {"/a": [4]})
    assert documents.read("/a") == [4]
    other.close()


def test_changes_that_compaction_left_nothing_of(maker: Maker, url: str) -> None:
    """/a was changed back by the time of the commit that stays, and /b deleted again."""
    documents, other = maker.open(url, layout=ANYTHING), maker.open(url, layout=ANYTHING)
    put(documents, {"/a": [1]})
    for n in (2, 1):
        put(documents, {"/a": [n]})
    put(documents, {"/b": [1]})
    put(documents, {"/b": MISSING})
    put(other, {"/n": [0]})
    assert other.read("/a", at=5) == [1]
    documents.pin(1)
    assert documents.compact(NEWEST) == [2, 3, 4, 5]
    put(other, {"/a": [3], "/b": [3]})
    for opened in before_and_after_reopening(maker, url, documents):
        for at in (1, 6):
            assert opened.read("/a", at=at) == [1]
            assert opened.read("/b", at=at) is MISSING
        assert (opened.read("/a", at=7), opened.read("/b", at=7)) == ([3], [3])
        changes = {change.unit: change.old for change in list(opened.commits())[-1].changes}
        assert changes == {"/a": [1], "/b": MISSING}
    other.close()


def test_a_record_that_was_read_before_it_took_in_others(maker: Maker, url: str) -> None:
    documents, other = maker.open(url, layout=ANYTHING), maker.open(url, layout=ANYTHING)
    old, mid, new = ({"n": n, "text": "x" * 500} for n in (1, 2, 3))
    for unit, value in (("/a", old), ("/b", [1]), ("/a", mid), ("/a", new)):
        put(documents, {unit: value})
    assert other.read("/b", at=3) == [1]
    documents.pin(2)
    documents.pin(3)
    assert documents.compact(NEWEST) == [1]
    changes = [change[:3] for one in other.commits(2) for change in one.changes]
    assert changes == [("/a", old, mid), ("/a", mid, new)]
    other.close()
    documents.close()


@pytest.mark.parametrize("look", ["keys", "has_keys"])
def test_a_directory_of_whose_files_compaction_left_nothing(
    maker: Maker, url: str, look: str
) -> None:
    """That nothing is left of the second is found as the first is looked at."""
    documents, other = maker.open(url, layout=ANYTHING), maker.open(url, layout=ANYTHING)
    put(documents, {"/a": {}})
    put(documents, {"/d/u": {"x": 0}, "/d/v": {"x": 0}})
    put(other, {"/n": []})
    put(documents, {"/d/u": MISSING, "/d/v": MISSING})
    put(other, {"/n": [1]})
    documents.pin(1)
    assert documents.compact(NEWEST) == [2, 3, 4]
    assert not getattr(other, look)("/d", at=1)
    other.close()
