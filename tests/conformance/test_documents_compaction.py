"""Compaction (conformance, "Documents and the commit log", lines 15 to 17)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objstore._feed import Feed
from objstore._scoped import ScopedDocuments
from objstore.documents import Change, Documents
from objstore.errors import CommitNotFoundError, CommitNumberError, HistoryGone, ReadOnlyError
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import (
    ADA,
    BOB,
    before_and_after_reopening,
    count_up,
    numbers,
    put,
    reopened,
)
from tests.conformance.makers import Maker
from tests.conformance.retentions import ALL, NEWEST, only

# What stays


def test_15_all_within_the_cut_off_stay(documents: Documents) -> None:
    count_up(documents, 5)
    assert documents.compact(ALL) == []
    assert numbers(documents) == [1, 2, 3, 4, 5]


def test_15_of_what_is_older_the_newest_of_its_stretch_stays(documents: Documents) -> None:
    count_up(documents, 5)
    assert documents.compact(NEWEST) == [1, 2, 3, 4]
    assert numbers(documents) == [5]
    assert documents.head() == 5
    assert documents.read("/n") == documents.read("/n", at=5) == [5]


def test_15_pinned_commits_stay(maker: Maker, url: str, documents: Documents) -> None:
    count_up(documents, 6)
    assert documents.pins() == set()
    documents.pin(2)
    documents.pin(4)
    documents.pin(2)
    documents.unpin(6)
    for opened in before_and_after_reopening(maker, url, documents):
        assert opened.pins() == {2, 4}
        opened.compact(NEWEST)
        assert numbers(opened) == [2, 4, 6]
        assert [opened.read("/n", at=n) for n in (2, 4, 6)] == [[2], [4], [6]]
    again = maker.open(url, layout=ANYTHING)
    again.unpin(4)
    assert again.pins() == {2}
    assert again.compact(NEWEST) == [4]
    assert numbers(again) == [2, 6]


def test_15_a_commit_that_is_not_there_cannot_be_pinned(documents: Documents) -> None:
    count_up(documents, 3)
    documents.compact(NEWEST)
    for number, error in (
        (-1, CommitNumberError),
        (0, CommitNumberError),
        (4, CommitNotFoundError),
        (2, HistoryGone),
    ):
        with pytest.raises(error, match=str(number)):
            documents.pin(number)
    assert documents.pins() == set()


# What can be read


def test_16_survivors_are_read_as_before(maker: Maker, url: str, documents: Documents) -> None:
    put(documents, {"/ada": ADA, "/people/eve": ADA})
    put(documents, {"/bob": BOB})
    put(documents, {"/ada": BOB, "/people/eve": MISSING})
    put(documents, {"/ada": MISSING, "/people/zoe": BOB})
    put(documents, {"/bob": ADA})
    state = {n: _state(documents, n) for n in range(6)}
    assert documents.compact(only(2, 4)) == [1, 3]
    for opened in before_and_after_reopening(maker, url, documents):
        assert numbers(opened) == [2, 4, 5]
        assert {n: _state(opened, n) for n in (2, 4, 5)} == {n: state[n] for n in (2, 4, 5)}
        assert opened.compact(only(2, 4)) == []


def _state(documents: Documents, at: int) -> dict[str, Any]:
    """The units that the test above makes, at a commit."""
    found = {f"/people/{key}" for key in documents.keys("/people", at=at)}
    found |= {f"/{key}" for key in documents.keys("", at=at) if key != "people"}
    return {unit: documents.read(unit, at=at) for unit in found}


def test_14_a_removed_commit_is_gone(maker: Maker, url: str, documents: Documents) -> None:
    count_up(documents, 5)
    documents.compact(only(3))
    for opened in before_and_after_reopening(maker, url, documents):
        for number in (1, 2, 4):
            with pytest.raises(HistoryGone, match=str(number)):
                opened.load("/n", at=number)
            with pytest.raises(HistoryGone, match=str(number)):
                opened.load("/nothing", at=number)
            with pytest.raises(HistoryGone, match=str(number)):
                opened.keys("", at=number)
            with pytest.raises(HistoryGone, match=str(number)):
                list(opened.commits(number))
        assert opened.read("/n", at=0) is MISSING
        assert numbers(opened, after=0) == [3, 5]


def test_16_a_change_that_goes_is_part_of_the_next_commit_that_stays(
    maker: Maker, url: str, documents: Documents
) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB, "/new": ADA})
    put(documents, {"/bob": BOB})
    put(documents, {"/new": MISSING, "/bob": ADA})
    put(documents, {"/ada": ADA})
    kept = {commit.number: commit for commit in documents.commits()}
    documents.compact(only(3))
    for opened in before_and_after_reopening(maker, url, documents):
        third, fifth = opened.commits()
        assert third._replace(changes=()) == kept[3]._replace(changes=())
        assert sorted(third.changes) == [
            Change("/ada", MISSING, BOB),
            Change("/bob", MISSING, BOB),
            Change("/new", MISSING, ADA),
        ]
        assert sorted(fifth.changes) == [
            Change("/ada", BOB, ADA),
            Change("/bob", BOB, ADA),
            Change("/new", ADA, MISSING),
        ]
        assert numbers(opened, path="/new") == [3, 5]
        assert numbers(opened, after=3, path="/bob") == [5]


def test_16_a_change_that_was_taken_back_is_none(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB, "/new": ADA})
    put(documents, {"/ada": ADA, "/new": MISSING})
    documents.compact(only(1))
    first, third = documents.commits()
    assert first.changes == (Change("/ada", MISSING, ADA),)
    assert third.changes == ()
    assert documents.keys("", at=3) == ["ada"]


def test_16_compaction_of_nothing_removes_nothing(documents: Documents) -> None:
    assert documents.compact(NEWEST) == []
    assert numbers(documents) == []


def test_16_two_compactions_equal_the_model(documents: Documents) -> None:
    for n in range(1, 13):
        put(documents, {f"/{n % 3}": {"n": n}})
    state = {n: _state(documents, n) for n in range(13)}
    assert documents.compact(only(*range(2, 13, 2))) == [1, 3, 5, 7, 9, 11]
    assert documents.compact(only(*range(3, 13, 3))) == [2, 4, 8, 10]
    assert numbers(documents) == [6, 12]
    assert {n: _state(documents, n) for n in (6, 12)} == {n: state[n] for n in (6, 12)}
    assert documents.compact(only(6)) == []


def test_16_a_reader_that_began_before_is_not_disturbed(documents: Documents) -> None:
    count_up(documents, 6)
    found = documents.commits()
    first = next(found)
    documents.compact(NEWEST)
    rest = [*found]
    assert [commit.number for commit in (first, *rest)] == [1, 2, 3, 4, 5, 6]
    assert [commit.changes[0].new for commit in (first, *rest)] == [[n] for n in range(1, 7)]


def test_16_nor_is_one_that_reads_the_commits_of_a_path(documents: Documents) -> None:
    for n in range(6):
        put(documents, {"/seldom": [n]})
        count_up(documents, 8)
    documents.read("/seldom", at=1)
    found = documents.commits(1, "/seldom")
    first = next(found)
    documents.compact(NEWEST)
    rest = [*found]
    assert [commit.number for commit in (first, *rest)] == [10, 19, 28, 37, 46]
    assert [commit.changes[0][1:3] for commit in (first, *rest)] == [
        ([n - 1], [n]) for n in range(1, 6)
    ]


def test_16_reads_and_writes_go_on_meanwhile(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=ANYTHING, durability="os")
    count_up(documents, 5)
    documents.pin(3)
    stop = threading.Event()

    def write() -> int:
        writer = maker.open(url, layout=ANYTHING, durability="os")
        written = 0
        while not stop.is_set():
            count_up(writer, 1)
            written += 1
        return written

    removed: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(10):
                removed += documents.compact(NEWEST)
                assert documents.read("/n", at=3) == [3]
        finally:
            stop.set()
        head = 5 + writing.result()
    assert documents.head() == head
    assert documents.read("/n") == documents.read("/n", at=head) == [head]
    assert sorted(removed) == removed
    assert {*removed, *numbers(documents)} == {*range(1, head + 1)}
    assert not {*removed} & {*numbers(documents)}


def test_16_a_feed_goes_on_after_compaction(documents: Documents) -> None:
    count_up(documents, 3)
    with Feed(documents, after=3) as feed:
        documents.compact(NEWEST)
        count_up(documents, 1)
        commit = feed.take(5)
    assert commit is not None
    assert commit.number == 4


def test_17_a_store_opens_after_compaction(maker: Maker, url: str, documents: Documents) -> None:
    count_up(documents, 5)
    documents.compact(NEWEST)
    for turn in range(3):
        documents = reopened(maker, url, documents)
        assert documents.head() == 5 + turn
        assert documents.read("/n") == [5 + turn]
        count_up(documents, 1)
        documents.compact(NEWEST)
    assert numbers(documents) == [8]


def test_what_was_changed_rests_on_its_stamp_after_compaction(documents: Documents) -> None:
    """Contents that nobody changed keep their stamps."""
    put(documents, {"/ada": ADA})
    count_up(documents, 3)
    before = documents.load("/ada")
    documents.compact(NEWEST)
    assert documents.look("/ada", before.stamp) is before.stamp
    documents.commit([Change("/ada", ADA, BOB, before.stamp)], base=4)
    assert documents.read("/ada", at=4) == ADA


def test_a_readonly_store_is_not_compacted(maker: Maker, url: str, documents: Documents) -> None:
    count_up(documents, 2)
    with pytest.raises(ReadOnlyError):
        maker.open(url, layout=ANYTHING, readonly=True).compact(NEWEST)
    assert numbers(documents) == [1, 2]


# Scopes


def test_a_scope_stays_as_it_is_whatever_is_removed(
    maker: Maker, url: str, documents: Documents
) -> None:
    count_up(documents, 2)
    put(documents, {"/n": ["theirs"], "/m": ["theirs"]}, scope="s")  # 3
    put(documents, {"/n": ["newer"]}, scope="s")  # 4
    count_up(documents, 2)  # 5, 6
    put(documents, {"/n": ["other"]}, scope="t")  # 7
    assert documents.compact(NEWEST) == [1, 3, 5]
    for opened in before_and_after_reopening(maker, url, documents):
        assert opened.scopes() == ["s", "t"]
        assert opened.overlays("s")["/n"][:2] == ([2], ["newer"])
        assert opened.overlays("s")["/m"][:2] == (MISSING, ["theirs"])
        second, fourth, sixth, seventh = opened.commits()
        assert second.changes == (Change("/n", MISSING, [2]),)
        assert (fourth.number, fourth.scope, len(fourth.changes)) == (4, "s", 2)
        assert sixth.changes == (Change("/n", [2], [4]),)
        assert (seventh.number, seventh.scope) == (7, "t")


def test_a_scope_stays_whose_changes_rest_on_more_than_its_last(
    maker: Maker, url: str, documents: Documents
) -> None:
    """As the base has changed in between, and the changes are shorter than the whole."""
    scope, text = ScopedDocuments(documents, "s"), "x" * 500
    for number in (1, 2, 3):
        put(documents, {"/b": [number]})  # 1, 4, 7
        put(documents, {"/a": {"text": text, "base": list(range(number))}})  # 2, 5, 8
        loaded = scope.load("/a")  # 3, 6, 9
        assert isinstance(loaded.value, dict)
        new = {**loaded.value, f"scope{number}": number}
        scope.commit([Change("/a", loaded.value, new, loaded.stamp)], base=documents.head())
    made = scope.load("/a").value
    assert made == {"text": text, "base": [0, 1, 2], "scope1": 1, "scope2": 2, "scope3": 3}
    assert documents.compact(only(3, 6, 9)) == [1, 4, 7]
    assert documents.compact(only(3, 9)) == [5, 6]
    for opened in before_and_after_reopening(maker, url, documents):
        assert ScopedDocuments(opened, "s").load("/a").value == made


def test_a_scope_that_was_deleted_by_a_commit_that_goes_stays_deleted(
    maker: Maker, url: str, documents: Documents
) -> None:
    put(documents, {"/a": ["first"]}, scope="s")  # 1
    documents.delete_scope("s")  # 2
    put(documents, {"/b": ["second"]}, scope="s")  # 3
    assert documents.compact(only(1, 3)) == [2]
    assert documents.compact(only(3)) == [1]
    for opened in before_and_after_reopening(maker, url, documents):
        assert [*opened.overlays("s")] == ["/b"]


def test_what_a_scope_took_back_stays_as_well(maker: Maker, url: str, documents: Documents) -> None:
    """It is what the scope says, once the base has become something else."""
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB}, scope="s")
    put(documents, {"/ada": {"name": "A."}})
    put(documents, {"/ada": ADA, "/eve": BOB}, scope="s")
    put(documents, {"/eve": MISSING}, scope="s")
    documents.compact(NEWEST)
    for opened in before_and_after_reopening(maker, url, documents):
        overlays = opened.overlays("s")
        assert overlays["/ada"][:2] == ({"name": "A."}, ADA)
        assert overlays["/eve"][:2] == (MISSING, MISSING)


def test_with_a_commit_of_a_scope_the_base_below_it_stays(documents: Documents) -> None:
    count_up(documents, 2)
    put(documents, {"/n": ["theirs"]}, scope="s")
    count_up(documents, 2)
    assert documents.compact(only(3)) == [1, 4]
    assert numbers(documents) == [2, 3, 5]
    assert [documents.read("/n", at=n) for n in (2, 3, 5)] == [[2], [2], [4]]


def test_a_deleted_scope_is_compacted_away(documents: Documents) -> None:
    put(documents, {"/n": ["theirs"]}, scope="s")
    documents.delete_scope("s")
    count_up(documents, 1)
    assert documents.compact(NEWEST) == [1, 2]
    assert numbers(documents) == [3]
    assert documents.scopes() == []


def test_a_new_scope_has_nothing_of_a_deleted_one_of_its_name(
    maker: Maker, url: str, documents: Documents
) -> None:
    put(documents, {"/n": ["first"], "/m": ["first"]}, scope="s")
    put(documents, {"/n": ["base"]})
    documents.delete_scope("s")
    put(documents, {"/o": ["second"]}, scope="s")
    assert documents.compact(NEWEST) == [1, 3]
    for opened in before_and_after_reopening(maker, url, documents):
        assert [*opened.overlays("s")] == ["/o"]
        assert [change.unit for commit in opened.commits(2) for change in commit.changes] == ["/o"]
