"""Feeds of commits (objstore/_feed.py): conformance, "Documents and the commit log", line 22."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from objstore._feed import Feed
from objstore.documents import Commit, Documents
from objstore.errors import (
    BackingError,
    CommitNotFoundError,
    CommitNumberError,
    HistoryGone,
    SlowConsumerError,
)
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.documents import (
    ADA,
    BOB,
    count_up,
    put,
)
from tests.conformance.makers import Maker
from tests.conformance.retentions import NEWEST


def taken(feed: Feed, count: int, documents: Documents | None = None) -> list[int]:
    """The numbers of the next commits; asks ``documents`` for its head while there are none.

    That is when a handle learns of other processes' commits, unless it watches.
    """
    found: list[int] = []
    until = monotonic() + 20
    while len(found) < count and monotonic() < until:
        try:
            commit = feed.take(0 if documents else 20)
        except TimeoutError:
            if documents is not None:
                documents.head()
        else:
            assert commit is not None
            found.append(commit.number)
    return found


def test_a_feed_replays_and_then_follows(documents: Documents) -> None:
    count_up(documents, 3)
    with Feed(documents, after=1) as feed:
        assert taken(feed, 2) == [2, 3]
        count_up(documents, 2)
        assert taken(feed, 2) == [4, 5]
        with pytest.raises(TimeoutError):
            feed.take(0)


def test_a_feed_from_now_on_has_nothing_of_the_past(documents: Documents) -> None:
    count_up(documents, 3)
    with Feed(documents) as feed:
        with pytest.raises(TimeoutError):
            feed.take(0.01)
        count_up(documents, 1)
        commit = feed.take(5)
        assert commit is not None
        assert (commit.number, commit.changes[0].new) == (4, [4])


def test_who_ends_listening_is_looked_up_and_ends_nobody_elses(documents: Documents) -> None:
    compared = 0

    class Hear:
        def __init__(self) -> None:
            self.heard: list[int] = []

        def __call__(self, commit: Commit) -> None:
            self.heard.append(commit.number)

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        __hash__ = None  # type: ignore[assignment]

    some, twice = [Hear() for _ in range(10)], Hear()
    ends = [documents.listen(hear) for hear in some]
    first, second = documents.listen(twice), documents.listen(twice)
    first()
    first()
    for end in ends[::-1]:
        end()
    count_up(documents, 1)
    second()
    count_up(documents, 1)
    assert ([hear.heard for hear in some], twice.heard) == ([[]] * 10, [1])
    assert compared == 0


def test_a_feed_hears_of_the_commits_of_other_handles(
    maker: Maker, url: str, documents: Documents
) -> None:
    with Feed(documents, after=0) as feed:
        count_up(maker.open(url, layout=ANYTHING), 3)
        assert taken(feed, 3) == [1, 2, 3]


def test_a_feed_of_a_path_hears_of_it_its_children_and_its_ancestors(documents: Documents) -> None:
    put(documents, {"/people/ada": ADA, "/people/bob": BOB})
    with Feed(documents, path="/people/ada/born") as feed:
        put(documents, {"/people/ada": {**ADA, "name": "A."}})  # beside it
        put(documents, {"/people/bob": MISSING})
        put(documents, {"/people/ada": {**ADA, "born": [1815, 12, 10]}})
        put(documents, {"/people/ada": {**ADA, "born": [1815, 12, 11]}})
        put(documents, {"/people/ada": MISSING})
        put(documents, {"/people/ad": ADA})
        assert taken(feed, 3) == [4, 5, 6]
        with pytest.raises(TimeoutError):
            feed.take(0)


def test_no_gap_and_no_double_while_others_commit(maker: Maker, url: str) -> None:
    """Feeds begin at any moment of a run of commits."""
    documents = maker.open(url, layout=ANYTHING, durability="os")
    count_up(documents, 20)
    stop = threading.Event()

    def write() -> None:
        writer = maker.open(url, layout=ANYTHING, durability="os")
        while not stop.is_set():
            count_up(writer, 1)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(20):
                after = documents.head() - 20
                with Feed(documents, after=after, limit=1_000_000) as feed:
                    assert taken(feed, 60, documents) == list(range(after + 1, after + 61))
        finally:
            stop.set()
        writing.result()


@pytest.mark.parametrize("step", ["head", "commits", "listen"])
def test_no_gap_and_no_double_by_a_commit_at_any_step(
    documents: Documents, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A commit is made right after each step that a feed takes to get from the past to now."""
    count_up(documents, 3)
    real = getattr(documents, step)

    def act(*arguments: Any) -> Any:
        result = real(*arguments)
        with monkeypatch.context() as quiet:
            quiet.setattr(documents, step, real)
            count_up(documents, 1)
        return result

    with Feed(documents, after=1) as feed:
        monkeypatch.setattr(documents, step, act)
        found = taken(feed, 3)
        monkeypatch.undo()
        found += taken(feed, documents.head() - found[-1])
        assert found == list(range(2, documents.head() + 1))
        with pytest.raises(TimeoutError):
            feed.take(0)


def test_a_long_past_needs_no_room_in_the_queue(documents: Documents) -> None:
    count_up(documents, 20)
    with Feed(documents, after=0, limit=1) as feed:
        assert taken(feed, 10) == list(range(1, 11))
        count_up(documents, 5)
        assert taken(feed, 15) == list(range(11, 26))


def test_a_slow_consumer_is_dropped_with_an_error_that_it_sees(documents: Documents) -> None:
    with Feed(documents, limit=3) as feed, Feed(documents, limit=5) as other:
        count_up(documents, 5)  # returns: no commit waits for a feed
        assert taken(feed, 3) == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(SlowConsumerError, match="commit 4 came when 3 others") as caught:
                feed.take(5)
            assert caught.value.after == 3
        assert taken(other, 5) == [1, 2, 3, 4, 5]
    with Feed(documents, after=3) as again:
        assert taken(again, 2) == [4, 5]


def test_closing_a_feed_ends_it_for_those_who_wait(documents: Documents) -> None:
    feed = Feed(documents)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(list, feed)
        count_up(documents, 2)
        threading.Timer(0.05, feed.close).start()
        assert [commit.number for commit in waiting.result(5)] in ([], [1], [1, 2])
    feed.close()
    count_up(documents, 1)
    assert feed.take(0) is None
    assert list(feed) == []


def test_threads_share_a_feed(documents: Documents) -> None:
    with Feed(documents, after=0) as feed, ThreadPoolExecutor(4) as pool:
        count_up(documents, 10)
        takers = [pool.submit(taken, feed, 5) for _ in range(4)]
        count_up(documents, 10)
        found = [taker.result(5) for taker in takers]
    assert sorted(number for numbers in found for number in numbers) == list(range(1, 21))
    assert all(numbers == sorted(numbers) for numbers in found)


def test_tasks_wait_for_a_feed(documents: Documents) -> None:
    async def follow() -> list[int]:
        found: list[int] = []
        with Feed(documents, after=0) as feed:
            asyncio.get_running_loop().run_in_executor(None, count_up, documents, 5)
            async for commit in feed:
                found.append(commit.number)
                if commit.number == 7:
                    return found
        return []

    count_up(documents, 2)
    assert asyncio.run(asyncio.wait_for(follow(), 5)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_task_that_gives_up_takes_nothing(documents: Documents) -> None:
    async def follow() -> int:
        with Feed(documents) as feed:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(feed), 0.01)
            count_up(documents, 1)
            return (await asyncio.wait_for(anext(feed), 5)).number

    assert asyncio.run(follow()) == 1


@pytest.mark.parametrize(("after", "error"), [(-1, CommitNumberError), (3, CommitNotFoundError)])
def test_a_feed_begins_behind_a_commit_that_is(
    documents: Documents, after: int, error: type[Exception]
) -> None:
    count_up(documents, 2)
    with pytest.raises(error), Feed(documents, after=after) as feed:
        feed.take(0)


def test_a_feed_has_room_and_a_path(documents: Documents) -> None:
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        Feed(documents, limit=0)
    with pytest.raises(ValueError, match="JSON Pointer"):
        Feed(documents, path="people")


@pytest.mark.parametrize("is_compacted", [False, True])
def test_what_failed_in_the_past_comes_again(
    documents: Documents, monkeypatch: pytest.MonkeyPatch, is_compacted: bool
) -> None:
    count_up(documents, 4)
    whole, fails = documents.commits, [True]

    def commits(after: int = 0, path: str = "") -> Iterator[Commit]:
        for commit in whole(after, path):
            if commit.number == 3 and fails:
                fails.pop()
                raise BackingError("cannot be read just now")
            yield commit

    monkeypatch.setattr(documents, "commits", commits)
    with Feed(documents, after=0) as feed:
        assert taken(feed, 2) == [1, 2]
        with pytest.raises(BackingError):
            feed.take(0)
        if is_compacted:
            documents.compact(NEWEST)
        assert taken(feed, 1 if is_compacted else 2) == ([4] if is_compacted else [3, 4])
        count_up(documents, 1)
        assert taken(feed, 1) == [5]


def test_what_was_taken_may_be_gone_by_the_next(documents: Documents) -> None:
    count_up(documents, 4)
    with Feed(documents, after=0) as feed:
        assert taken(feed, 2) == [1, 2]
        count_up(documents, 3)
        documents.compact(NEWEST)
        assert taken(feed, 3) == [3, 4, 7]
        count_up(documents, 1)
        assert taken(feed, 1) == [8]
    with pytest.raises(HistoryGone), Feed(documents, after=2) as feed:
        feed.take(0)


def test_what_could_not_be_shown_comes_again(documents: Documents) -> None:
    fails = [True]

    def show(_: Commit) -> None:
        if fails:
            fails.pop()
            raise BackingError("cannot be read just now")

    with Feed(documents, before=show) as feed:
        count_up(documents, 2)
        with pytest.raises(BackingError):
            feed.take(0)
        assert taken(feed, 2) == [1, 2]
