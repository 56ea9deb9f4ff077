"""Reading back (conformance, "Documents and the commit log", lines 12 to 14, and 22)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from objstore._scoped import ScopedDocuments
from objstore.documents import Change, Commit, Documents
from objstore.errors import (
    ClosedError,
    CommitNotFoundError,
    CommitNumberError,
    ConflictError,
    LayoutError,
    ReadOnlyError,
)
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import (
    ADA,
    BOB,
    before_and_after_reopening,
    change,
    count_up,
    numbers,
    put,
    reopened,
)
from tests.conformance.makers import Maker
from tests.conformance.retentions import NEWEST

# The state at a commit


def test_12_a_unit_reads_as_it_was_after_each_commit(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/bob": BOB})
    put(documents, {"/ada": [1, 2, 3], "/bob": MISSING})
    put(documents, {"/ada": MISSING})
    put(documents, {"/ada": BOB})
    assert [documents.read("/ada", at=n) for n in range(6)] == [
        MISSING,
        ADA,
        ADA,
        [1, 2, 3],
        MISSING,
        BOB,
    ]
    assert [documents.read("/bob", at=n) for n in range(6)] == [MISSING, MISSING, BOB] + 3 * [
        MISSING
    ]


def test_12_the_past_is_there_after_reopening(maker: Maker, url: str, documents: Documents) -> None:
    count_up(documents, 10)
    again = reopened(maker, url, documents)
    assert again.head() == 10
    assert [again.read("/n", at=n) for n in range(1, 11)] == [[n] for n in range(1, 11)]
    count_up(again, 1)
    assert again.head() == 11


def test_12_old_commits_stay_readable_across_many_snapshots(
    maker: Maker, url: str, documents: Documents
) -> None:
    for n in range(1, 13):
        put(documents, {"/n": [n], f"/people/{n % 4}": {"n": n}})
        if not n % 3:
            assert documents.switch_and_snapshot() == n
    expected = {n: {str(k % 4): {"n": k} for k in range(1, n + 1)} for n in range(13)}
    for opened in before_and_after_reopening(maker, url, documents):
        for n in range(13):
            keys = opened.keys("/people", at=n)
            assert {key: opened.read(f"/people/{key}", at=n) for key in keys} == expected[n]
            assert opened.read("/n", at=n) == ([n] if n else MISSING)


def test_12_a_snapshot_equals_the_replay(documents: Documents) -> None:
    for n in range(1, 9):
        put(documents, {f"/{n % 3}": {"n": n}, f"/{(n + 1) % 3}": MISSING})
    before = [*documents.commits()]
    assert documents.switch_and_snapshot() == 8
    replay: dict[str, Any] = {}
    for commit in documents.commits():
        for done in commit.changes:
            replay[done.unit] = done.new
            assert documents.read(done.unit, at=commit.number) == done.new
    assert [*documents.commits()] == before
    assert {unit: documents.read(unit) for unit in replay} == replay


def test_13_reads_and_writes_go_on_while_snapshots_are_taken(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=ANYTHING, durability="os")
    count_up(documents, 5)
    stop = threading.Event()

    def write() -> None:
        writer = maker.open(url, layout=ANYTHING, durability="os")
        while not stop.is_set():
            count_up(writer, 1)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(5):
                number = documents.switch_and_snapshot()
                assert documents.read("/n", at=number) == [number]
                assert documents.read("/n", at=3) == [3]
        finally:
            stop.set()
        writing.result()
    assert documents.read("/n") == [documents.head()]


def test_13_a_snapshot_of_nothing_is_of_commit_0(documents: Documents) -> None:
    assert documents.switch_and_snapshot() == 0
    count_up(documents, 1)
    assert documents.switch_and_snapshot() == 1
    assert documents.switch_and_snapshot() == 1


def test_a_stamp_of_the_past_is_refused(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    put(documents, {"/ada": BOB})
    old = documents.load("/ada", at=1)
    with pytest.raises(ConflictError):
        documents.commit([Change("/ada", old.value, {}, old.stamp)], base=2)
    assert documents.read("/ada") == BOB


def test_keys_are_those_of_the_commit(documents: Documents) -> None:
    put(documents, {"/people/ada": ADA, "/people/b~1b": BOB})
    put(documents, {"/people/ada": MISSING, "/people/in/eve": ADA})
    put(documents, {"/people/in/eve": MISSING, "/people/b~1b": MISSING})
    assert [documents.keys("/people", at=n) for n in range(4)] == [
        [],
        ["ada", "b/b"],
        ["b/b", "in"],
        [],
    ]
    assert [documents.keys("", at=n) for n in range(4)] == [[], ["people"], ["people"], []]
    assert documents.keys("/people/in", at=2) == ["eve"]
    assert documents.keys("/people/in", at=1) == []


def test_a_file_was_a_directory_once(documents: Documents) -> None:
    put(documents, {"/a": ADA})
    put(documents, {"/a": MISSING})
    put(documents, {"/a/b": BOB})
    assert documents.read("/a", at=1) == ADA
    assert documents.read("/a", at=2) is MISSING
    assert documents.keys("/a", at=3) == ["b"]
    with pytest.raises(LayoutError, match="a"):
        documents.keys("/a", at=1)
    with pytest.raises(LayoutError, match="a"):
        documents.load("/a", at=3)


def test_what_is_nothing_by_now_was_a_directory_once(documents: Documents) -> None:
    put(documents, {"/a/b": ADA, "/c": BOB})
    put(documents, {"/a/b": MISSING})
    assert documents.keys("", at=1) == ["a", "c"]
    with pytest.raises(LayoutError, match="a"):
        documents.load("/a", at=1)
    assert documents.read("/a", at=2) is MISSING


@pytest.mark.parametrize(
    ("number", "error"),
    [(-1, CommitNumberError), (4, CommitNotFoundError), (99, CommitNotFoundError)],
)
def test_14_a_negative_commit_and_one_in_the_future_are_errors(
    documents: Documents, number: int, error: type[Exception]
) -> None:
    count_up(documents, 3)
    uses: list[Callable[[], object]] = [
        lambda: documents.load("/n", at=number),
        lambda: documents.read("/nothing", at=number),
        lambda: documents.keys("", at=number),
        lambda: list(documents.commits(number)),
        lambda: documents.pin(number),
    ]
    for use in uses:
        with pytest.raises(error, match=str(number)):
            use()


def test_past_contents_cost_the_present_nothing(documents: Documents) -> None:
    """What was read stays as it was, and what is committed later changes nothing of it."""
    put(documents, {"/ada": ADA})
    past = documents.read("/ada", at=1)
    put(documents, {"/ada": {**ADA, "name": "A."}})
    assert past == documents.read("/ada", at=1) == ADA


# Commits


def test_commits_tell_what_was_committed(maker: Maker, url: str, documents: Documents) -> None:
    before = datetime.now(UTC)
    documents.commit([Change("/ada", MISSING, ADA)], base=0, meta={"author": "é"}, tx="t-1")
    put(documents, {"/ada": BOB, "/in/bob": BOB})
    put(documents, {"/ada": MISSING})
    for opened in before_and_after_reopening(maker, url, documents):
        first, second, third = opened.commits()
        assert [first.number, second.number, third.number] == [1, 2, 3]
        assert before <= first.time <= second.time <= third.time <= datetime.now(UTC)
        assert (first.meta, second.meta) == ({"author": "é"}, {})
        assert (first.tx, second.tx) == ("t-1", None)
        assert not any(commit.external or commit.scope for commit in (first, second, third))
        assert first.changes == (Change("/ada", MISSING, ADA),)
        assert sorted(second.changes) == [Change("/ada", ADA, BOB), Change("/in/bob", MISSING, BOB)]
        assert third.changes == (Change("/ada", BOB, MISSING),)


def test_commits_begin_behind_a_number(documents: Documents) -> None:
    count_up(documents, 5)
    assert numbers(documents) == [1, 2, 3, 4, 5]
    assert numbers(documents, after=3) == [4, 5]
    assert numbers(documents, after=5) == []


def test_commits_are_those_up_to_the_head_as_it_was(documents: Documents) -> None:
    count_up(documents, 3)
    found = documents.commits()
    first = next(found)
    count_up(documents, 2)
    assert [first.number, *[commit.number for commit in found]] == [1, 2, 3]


def test_commits_of_a_path_touch_it_or_its_children_or_its_ancestors(documents: Documents) -> None:
    put(documents, {"/people/ada": {"name": "Ada", "emails": ["a"]}})  # 1
    put(documents, {"/people/bob": BOB})  # 2
    put(documents, {"/people/ada": {"name": "Ada", "emails": ["a", "b"]}})  # 3
    put(documents, {"/people/ada": {"name": "A.", "emails": ["a", "b"]}})  # 4
    put(documents, {"/peoples": BOB})  # 5
    put(documents, {"/people/ada": MISSING})  # 6
    put(documents, {"/people/ada": ["a"]})  # 7
    put(documents, {"/people/ada": {"name": "A.", "emails": "none"}})  # 8
    expected = {
        "": [1, 2, 3, 4, 5, 6, 7, 8],
        "/people": [1, 2, 3, 4, 6, 7, 8],
        "/people/ada": [1, 3, 4, 6, 7, 8],
        "/people/bob": [2],
        "/people/bob/name": [2],
        "/people/ada/name": [1, 4, 6, 7, 8],
        "/people/ada/emails": [1, 3, 6, 7, 8],
        "/people/ada/emails/0": [1, 6, 7, 8],
        "/people/ada/emails/1": [1, 3, 6, 7, 8],
        "/people/ada/born": [1, 6, 7, 8],
        "/people/ad": [],
        "/nothing": [],
    }
    found = {path: numbers(documents, path=path) for path in expected}
    assert found == expected
    assert numbers(documents, after=3, path="/people/ada/name") == [4, 6, 7, 8]
    with pytest.raises(ValueError, match="JSON Pointer"):
        list(documents.commits(path="people"))


def test_a_retry_is_found_by_its_transaction(maker: Maker, url: str, documents: Documents) -> None:
    documents.commit([Change("/ada", MISSING, ADA)], base=0, tx="one")
    documents.commit([Change("/bob", MISSING, BOB)], base=1, tx="two")
    again = reopened(maker, url, documents)
    assert [commit.number for commit in again.commits() if commit.tx == "two"] == [2]


def test_the_commit_of_a_transaction(maker: Maker, url: str, documents: Documents) -> None:
    told = ["one", 'a "b"\t\\é', "\u2028"]
    for n, tx in enumerate(told):
        documents.commit([Change(f"/{n}", MISSING, ["one"])], base=0, meta={"tx": "none"}, tx=tx)
        count_up(documents, 2)
    documents.switch_and_snapshot()
    documents.commit([Change("/0", MISSING, {"tx": "none"})], base=9, scope="draft", tx="four")
    for opened in before_and_after_reopening(maker, url, documents):
        found = [opened.commit_of(tx) for tx in [*told, "four", "none", "\ud800", ""]]
        assert [one and one.number for one in found] == [1, 4, 7, 10, None, None, None]
        assert found[1] == next(opened.commits(3))
        assert opened.commit_of("one", after=1) is None
        assert opened.commit_of("four", after=9) == found[3]


def test_the_commit_of_a_transaction_behind_a_removed_one(documents: Documents) -> None:
    count_up(documents, 3)
    documents.commit([Change("/ada", MISSING, ADA)], base=3, tx="one")
    documents.pin(4)
    count_up(documents, 2)
    documents.compact(NEWEST)
    assert numbers(documents) == [4, 6]
    found = [documents.commit_of("one", after) for after in (0, 2, 3, 4, 5)]
    assert [one and one.number for one in found] == [4, 4, 4, None, None]


def test_a_scope_sees_the_commit_of_a_transaction_as_it_sees_others(documents: Documents) -> None:
    scope, other = (ScopedDocuments(documents, name) for name in ("draft", "other"))
    documents.commit([Change("/ada", MISSING, ADA)], base=0, tx="one")
    scope.commit([Change("/bob", MISSING, BOB)], base=1, tx="two")
    assert scope.commit_of("one") == next(scope.commits())
    assert scope.commit_of("two") == next(scope.commits(1))
    assert scope.commit_of("three") is None
    assert other.commit_of("two") is None


# What a commit rests on


def test_a_commit_rests_on_units_that_it_does_not_change(documents: Documents) -> None:
    put(documents, {"/ada": ADA})
    ada = documents.load("/ada").stamp
    documents.commit([Change("/bob", MISSING, BOB)], base=1, match={"/ada": ada, "/eve": None})
    put(documents, {"/ada": {}})
    with pytest.raises(ConflictError) as caught:
        documents.commit([Change("/zoe", MISSING, BOB)], base=2, match={"/ada": ada})
    assert caught.value.pointer == "/ada"
    with pytest.raises(ConflictError) as caught:
        documents.commit([Change("/zoe", MISSING, BOB)], base=2, match={"/bob": None})
    assert caught.value.pointer == "/bob"
    assert documents.keys("") == ["ada", "bob"]
    assert documents.head() == 3


def test_a_commit_rests_on_the_keys_of_a_directory(documents: Documents) -> None:
    put(documents, {"/people/ada": ADA, "/people/b~1b": BOB})
    match = {"/people": ("ada", "b/b"), "/empty": ()}
    documents.commit([Change("/count", MISSING, [2])], base=1, match=match)
    put(documents, {"/people/eve": BOB})
    with pytest.raises(ConflictError) as caught:
        documents.commit([change(documents, "/count", [3])], base=3, match=match)
    assert caught.value.pointer == "/people"
    assert documents.read("/count") == [2]


# Listening (line 22)


def test_22_listeners_hear_every_commit_once_and_in_order(
    maker: Maker, url: str, documents: Documents
) -> None:
    heard: list[Commit] = []
    other = maker.open(url, layout=ANYTHING)
    count_up(documents, 1)
    documents.listen(heard.append)
    count_up(documents, 2)
    count_up(other, 2)
    documents.load("/n")  # a handle of another process's store learns when it looks
    documents.head()
    put(documents, {"/ada": ADA})
    assert [commit.number for commit in heard] == [2, 3, 4, 5, 6]
    assert heard[-1].changes[0][:3] == ("/ada", MISSING, ADA)
    assert [commit._replace(changes=()) for commit in heard] == [
        commit._replace(changes=()) for commit in documents.commits(1)
    ]


def test_22_who_ends_listening_hears_no_more(documents: Documents) -> None:
    heard: list[int] = []
    end = documents.listen(lambda commit: heard.append(commit.number))
    count_up(documents, 1)
    end()
    end()
    count_up(documents, 1)
    assert heard == [1]


def test_22_a_listener_may_read(documents: Documents) -> None:
    heard: list[Any] = []

    def hear(commit: Commit) -> None:
        unit = commit.changes[0].unit
        heard.append((documents.head(), documents.read(unit), documents.keys("")))
        heard.append([one.number for one in documents.commits()])

    documents.listen(hear)
    count_up(documents, 1)
    assert heard == [(1, [1], ["n"]), [1]]


def test_22_threads_that_commit_are_heard_in_order(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=ANYTHING, durability="os")
    heard: list[int] = []
    documents.listen(lambda commit: heard.append(commit.number))
    with ThreadPoolExecutor(4) as pool:
        for n in range(4):
            pool.submit(count_up, documents, 10, f"/{n}")
    assert heard == list(range(1, 41))


# Read-only, closed


def test_a_readonly_store_has_a_past_and_changes_nothing_of_it(maker: Maker, url: str) -> None:
    with_past = maker.open(url, layout=ANYTHING)
    count_up(with_past, 3)
    documents = maker.open(url, layout=ANYTHING, readonly=True)
    assert documents.read("/n", at=1) == [1]
    assert numbers(documents) == [1, 2, 3]
    uses: list[Callable[[], object]] = [
        documents.switch_and_snapshot,
        lambda: documents.pin(1),
        lambda: documents.unpin(1),
        lambda: documents.delete_scope("x"),
    ]
    for use in uses:
        with pytest.raises(ReadOnlyError):
            use()


def test_a_closed_store_has_no_past_to_show(documents: Documents) -> None:
    count_up(documents, 2)
    heard: list[Commit] = []
    documents.listen(heard.append)
    documents.close()
    uses: list[Callable[[], object]] = [
        documents.commits,
        documents.scopes,
        documents.switch_and_snapshot,
        documents.pins,
        lambda: documents.load("/n", at=1),
        lambda: documents.keys("", at=1),
        lambda: documents.listen(heard.append),
        lambda: documents.overlays("x"),
        lambda: documents.delete_scope("x"),
        lambda: documents.pin(1),
        lambda: documents.unpin(1),
    ]
    for use in uses:
        with pytest.raises(ClosedError):
            use()
