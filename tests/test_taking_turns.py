"""Handles that change one file in turn, lazily: what a commit costs does not grow with the number
of those that the file lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.documents import Change
from objstore.layout import ANYTHING
from objstore.retention import Retention
from objstore.values import JSON, Missing
from tests.counting import calls_of


@pytest.fixture
def handles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FilesystemDocuments]]:
    """Two of one store, which write no file of themselves."""
    monkeypatch.setattr("objstore.backings.filesystem.later._DELAY", 3600)
    opened = [
        FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING, lazy=True) for _ in range(2)
    ]
    yield opened
    for one in opened:
        one.close()


def value(documents: FilesystemDocuments) -> JSON | Missing:
    documents.head()  # see what others did
    return documents.load("/a").value


def count_up(documents: FilesystemDocuments, upto: int) -> None:
    documents.head()
    loaded = documents.load("/a")
    documents.commit([Change("/a", loaded.value, {"n": upto}, loaded.stamp)], base=0)


def test_commits_in_turn_cost_the_same_each(handles: list[FilesystemDocuments]) -> None:
    costs = list[int]()
    for upto in range(200):
        costs.append(calls_of(lambda upto=upto: count_up(handles[upto % 2], upto)))  # type: ignore[misc]
    # Now and then one looks at the file, or writes an image; hence sums.
    early, late = sum(costs[20:80]), sum(costs[140:])
    assert late < 1.5 * early
    assert [value(one) for one in handles] == [{"n": 199}] * 2


def test_what_is_missing_in_the_file_is_told_after_a_compaction_too(
    handles: list[FilesystemDocuments], tmp_path: Path
) -> None:
    for upto in range(20):
        count_up(handles[upto % 2], upto)
    handles[0].compact(Retention(timedelta(0), timedelta(days=1)))
    for upto in range(20, 40):
        count_up(handles[upto % 2], upto)
    assert [value(one) for one in handles] == [{"n": 39}] * 2
    handles[0].flush()
    assert json.loads((tmp_path / "a.json").read_text()) == {"n": 39}


def test_what_was_missing_earlier_is_told_too(
    handles: list[FilesystemDocuments],
) -> None:
    """Also where less of it was asked for before."""
    for upto in range(6):
        count_up(handles[upto % 2], upto)
    ledger = handles[0]._engine.ledger
    ledger.refresh()
    for since, numbers in ((4, [4, 5, 6]), (2, [2, 3, 4, 5, 6]), (3, [3, 4, 5, 6])):
        ledger.doubt("/a", since)
        assert [trace.number for trace in ledger.strange("/a")] == numbers
