"""A handle that has learned of less than others have committed, while their files come later."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history.ledger import Ledger

from .conformance.test_amid_commits import pausing
from .counting import calls_of

UNIT = "/counter"
TEXT = "so that changes are small beside it " * 100


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Store[Any]]:
    """Another process's, whose files come a while after its commits."""
    with objstore.open(tmp_path, apply="lazy") as store:
        store["counter"] = {"n": 0, "of": "theirs", "text": TEXT}
        store.flush()
        yield store
        store.flush()
        assert store.check() == []


@pytest.fixture
def ours(tmp_path: Path, theirs: Store[Any]) -> Iterator[Store[Any]]:
    with objstore.open(tmp_path) as store:
        assert store["counter/n"] == 0
        yield store


def ledger_of(store: Store[Any]) -> Ledger:
    documents = store._documents
    assert isinstance(documents, FilesystemDocuments)
    return documents._engine.ledger


def commits(store: Store[Any], count: int) -> None:
    for _ in range(count):
        store["counter"].n += 1


def test_a_file_that_is_ahead_of_what_is_known_has_the_rest_learned(
    ours: Store[Any], theirs: Store[Any]
) -> None:
    commits(theirs, 5)
    ledger = ledger_of(ours)
    ledger.refresh()
    assert len(ledger.strange(UNIT)) == 5
    commits(theirs, 5)
    theirs.flush()
    ours._documents.look(UNIT)
    assert ledger.taken == theirs.head
    assert not ledger.strange(UNIT)


def test_what_a_file_is_takes_as_long_as_the_changes_that_may_be_missing_are_many(
    ours: Store[Any], theirs: Store[Any], tmp_path: Path
) -> None:
    """In one that was written amid many changes: their bytes are not known, only the contents."""
    file = tmp_path / "counter.json"

    def cost(count: int) -> int:
        theirs.flush()
        before, text = theirs["counter/n"], file.read_text()
        commits(theirs, count)
        ledger_of(ours).refresh()
        file.write_text(json.dumps({"n": before + 1, "of": "theirs", "text": TEXT}))
        calls = calls_of(lambda: ours._documents.look(UNIT))
        assert len(ledger_of(ours).strange(UNIT)) == count
        file.write_text(text)
        return calls

    few = cost(25)
    assert cost(100) < 6 * few


def test_a_scope_is_changed_where_the_base_has_commits_that_its_file_has_not(
    ours: Store[Any], theirs: Store[Any]
) -> None:
    scope = ours.scope("draft")
    scope["counter"].of = "ours"
    commits(theirs, 5)
    scope["counter"].name = "drafted"  # with a stamp from the log
    expected = {"n": 5, "of": "ours", "text": TEXT, "name": "drafted"}
    assert scope["counter"].contents == expected
    commits(theirs, 5)
    with scope.transaction(serializable=True):
        assert scope["counter"].n == 10
        scope["other"] = {}
    assert scope["counter"].contents == {**expected, "n": 10}
    commits(theirs, 1)
    ours.delete_scope("draft")


def test_contents_of_before_are_told_from_an_edit(
    ours: Store[Any], theirs: Store[Any], tmp_path: Path
) -> None:
    """Whichever commit's they are, also of one that was made after an edit by hand."""
    file = tmp_path / "counter.json"

    def shown(contents: dict[str, Any]) -> Any:
        text = file.read_text()
        file.write_text(json.dumps(contents, indent=1))
        with ours.transaction():
            found = ours["counter"].contents
        file.write_text(text)
        return found

    commits(theirs, 2)
    theirs.flush()
    file.write_text('{"n": 100}')
    commits(theirs, 5)
    for number in range(100, 106):
        assert shown({"n": number}) == {"n": 105}
    assert shown({"n": 55}) == {"n": 55}
    assert shown({"n": 2}) == {"n": 2}


def test_a_transaction_sees_what_others_committed_while_a_thread_waits(tmp_path: Path) -> None:
    there, goes_on = threading.Event(), threading.Event()
    with objstore.open(tmp_path) as store, objstore.open(tmp_path) as other:
        for name in "ab":
            store[name] = {"n": 0}
        pausing(store, there, goes_on)

        def read() -> tuple[int, int]:
            with store.transaction():
                return store["a"]["n"], store["b"]["n"]

        with ThreadPoolExecutor(2) as pool:
            changing = pool.submit(lambda: store["a"].update(n=1))
            assert there.wait(20)
            other["b"]["n"] = 1
            reading = pool.submit(read)
            wait([reading], 0.3)  # it has begun, and waits or has not seen it
            goes_on.set()
            assert reading.result(20) == (1, 1)
            changing.result(20)


def test_what_another_removed_with_its_folder_can_be_made_and_removed_again(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as other, objstore.open(tmp_path, apply="lazy") as lazy:
        other["place/ball"] = {"n": 1}
        del lazy["place/ball"]
        other.flush()
        assert not (tmp_path / "place").exists()
        lazy["place/ball"] = {"n": 2}
        del lazy["place/ball"]
        lazy["place/ball"] = {"n": 3}
        lazy.flush()
        assert other["place/ball/n"] == 3
        assert json.loads((tmp_path / "place/ball.json").read_text()) == {"n": 3}
        assert not any(commit.external for commit in other.log())
