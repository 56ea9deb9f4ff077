"""What a store tells of commits, on every maker: conformance of the commit log, line 22."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any, cast
from unittest.mock import ANY
from weakref import ref

import pytest

import objstore
from objstore import Commit, CommitNotFoundError, CommitNumberError, DetachedError, Store
from objstore._news import News

from .library import ADA, BOB, Library, fill
from .stores import Opener, reopen_logged

__all__ = ["reopen_logged"]

PATIENCE = 60.0


@pytest.fixture
def store(reopen_logged: Opener) -> Store[Library]:
    store: Store[Library] = reopen_logged(Library)
    fill(store)
    return store


class Told:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self._changed = threading.Condition()

    def __call__(self, news: News) -> None:
        with self._changed:
            self.news.append(news)
            self._changed.notify()

    def numbers(self, count: int) -> list[int]:
        """The numbers of the first so many commits, once they were told."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.news) >= count, PATIENCE)
            return [news.number for news in self.news if isinstance(news, Commit)]


CHANGES: dict[str, Callable[[Store[Any]], object]] = {
    "ada": lambda store: store.PUT("people/ada/born", 1816),
    "ada's name": lambda store: store.PUT("people/ada/name", "Eda"),
    "bob": lambda store: store.PUT("people/bob/born", 1971),
    "settings": lambda store: store.PUT("settings/theme", "light"),
    "ada as a whole": lambda store: store.DELETE("people/ada"),
}


@pytest.mark.parametrize(
    ("path", "heard"),
    [
        ("", ["ada", "ada's name", "bob", "settings", "ada as a whole"]),
        ("/", ["ada", "ada's name", "bob", "settings", "ada as a whole"]),
        ("people", ["ada", "ada's name", "bob", "ada as a whole"]),
        ("/people/ada", ["ada", "ada's name", "ada as a whole"]),
        ("people.ada.born", ["ada", "ada as a whole"]),
        ("/people/ada/email", ["ada as a whole"]),
        ("/people/ad", []),
        ("/people/ada2", []),
        ("/settings", ["settings"]),
        ("/nowhere", []),
    ],
)
def test_22_a_watcher_hears_of_its_path_its_children_and_its_ancestors_alone(
    store: Store[Library], path: str, heard: list[str]
) -> None:
    names: dict[int, str] = {}
    everything, told = Told(), Told()
    with store.changes(path) as feed:
        store.on_change(path, told)
        store.on_change("", everything)
        for name, change in CHANGES.items():
            change(store)
            names[store.head] = name
        everything.numbers(len(CHANGES))  # one thread tells in order, so the other has its own
        assert [names[number] for number in told.numbers(0)] == heard
        taken = [feed.take(PATIENCE) for _ in heard]
        assert [names[news.number] for news in taken if isinstance(news, Commit)] == heard
        with pytest.raises(TimeoutError):
            feed.take(0)


def test_22_after_is_a_commit_or_its_number(store: Store[Library]) -> None:
    first = next(store.log())
    store["settings/theme"] = "light"
    for after in (first, first.number):
        with store.changes(after=after) as feed:
            assert feed.take(PATIENCE) == next(store.log(after=first))


def test_22_a_wrong_commit_to_begin_after_is_refused_at_once(store: Store[Library]) -> None:
    for wrong in ("1", True, 1.0):
        with pytest.raises(TypeError, match="a commit is its number or a Commit"):
            store.changes(after=cast(int, wrong))
    with pytest.raises(CommitNumberError):
        store.changes(after=-1)
    with pytest.raises(CommitNotFoundError):
        store.changes(after=store.head + 1)


def test_22_replay_then_live_without_a_gap_or_a_double(reopen_logged: Opener) -> None:
    store = reopen_logged()
    store["counter"] = {"n": 0}

    def count() -> None:
        for n in range(1, 200):
            store["counter/n"] = n

    thread = threading.Thread(target=count)
    thread.start()
    with store.changes(after=0) as feed:
        taken = [feed.take(PATIENCE) for _ in range(200)]
        thread.join()
        with pytest.raises(TimeoutError):
            feed.take(0)
    commits = [one for one in taken if isinstance(one, Commit)]
    assert [one.number for one in commits] == list(range(1, 201))
    assert [one.changes[0].new for one in commits] == [{"n": n} for n in range(200)]


def test_22_a_slow_consumer_is_dropped_and_sees_why(store: Store[Library]) -> None:
    with store.changes(limit=3) as feed:
        for born in range(5):
            store.root.people["ada"].born = born
        taken = [feed.take(0) for _ in range(3)]
        assert [one.number for one in taken if isinstance(one, Commit)] == [2, 3, 4]
        with pytest.raises(objstore.SlowConsumerError) as caught:
            feed.take(0)
    with store.changes(after=caught.value.after) as feed:
        again = [feed.take(PATIENCE) for _ in range(2)]
    assert [one.number for one in again if isinstance(one, Commit)] == [5, 6]


def test_22_a_feed_that_nobody_has_any_more_hears_of_no_commit(
    store: Store[Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = store._documents
    listen, hearing = documents.listen, set[object]()

    def listening(_: object, hear: Callable[[Commit], None]) -> Callable[[], None]:
        one, end = object(), listen(hear)
        hearing.add(one)

        def ended() -> None:
            hearing.discard(one)
            end()

        return ended

    monkeypatch.setattr(type(documents), "listen", listening)
    kept = store.changes()
    dropped = [ref(store.changes()) for _ in range(3)]
    gc.collect()
    assert [feed() for feed in dropped] == [None] * 3
    assert len(hearing) == 4  # who is interrupted by a finalizer may hold any lock
    store.root.people["ada"].born = 1816
    assert len(hearing) == 1
    assert isinstance(kept.take(PATIENCE), Commit)
    kept.close()
    assert not hearing


def test_22_a_slow_callback_never_blocks_a_commit_and_misses_none(reopen_logged: Opener) -> None:
    store = reopen_logged(durability="os")
    told, go_on = Told(), threading.Event()

    def wait(news: News) -> None:
        assert go_on.wait(PATIENCE)
        told(news)

    store.on_change("", wait)
    count = 1100  # more than wait to be told
    for n in range(count):
        store["counter"] = {"n": n}
    go_on.set()
    assert told.numbers(count) == list(range(1, count + 1))


def test_a_callback_hears_of_nothing_before_and_nothing_after(store: Store[Library]) -> None:
    first, second, last = Told(), Told(), Told()
    go_on = threading.Event()
    go_on.set()
    store.on_change("", lambda _: go_on.wait(PATIENCE))
    store.on_change("", last)
    end = store.on_change("people", first)
    store.root.people["ada"].born = 1
    assert first.numbers(1) == [2]
    end()
    go_on.clear()
    store.root.people["ada"].born = 2  # which is yet to be told when the next one begins to hear
    store.on_change("people", second)
    go_on.set()
    store.root.people["ada"].born = 3
    last.numbers(3)
    assert first.numbers(0) == [2]
    assert second.numbers(1) == [4]


def test_a_callback_may_use_the_store(store: Store[Library]) -> None:
    ada = store.root.people["ada"]
    seen: list[int] = []
    done = threading.Event()

    def follow(news: News) -> None:
        seen.append(ada.born)
        if ada.born < 1820:
            ada.born += 1
        else:
            done.set()

    store.on_change("people/ada/born", follow)
    ada.born = 1816
    assert done.wait(PATIENCE)
    assert seen == [1816, 1817, 1818, 1819, 1820]


def test_commits_say_what_they_were(store: Store[Library]) -> None:
    with store.changes("people") as feed:
        with store.transaction(meta={"author": "me"}):
            store.root.people["ada"].born = 1816
            del store.root.people["bob"]
        commit = feed.take(PATIENCE)
    assert isinstance(commit, Commit)
    assert (commit.meta, commit.external) == ({"author": "me"}, False)
    assert [(c.unit, c.old, c.new) for c in commit.changes] == [
        ("/people/ada", ADA, {**ADA, "born": 1816}),
        ("/people/bob", BOB, objstore.MISSING),
    ]


def test_another_handle_is_heard_of(reopen_logged: Opener, store: Store[Library]) -> None:
    other = reopen_logged(Library)
    with store.changes() as feed:
        other.root.people["ada"].born = 1816
        assert store.head == 2  # whoever asks learns of it
        commit = feed.take(PATIENCE)
    assert isinstance(commit, Commit)
    assert commit.number == 2


@pytest.mark.parametrize("scope", [None, "draft"])
def test_a_callback_finds_objects_as_of_the_change(
    reopen_logged: Opener, store: Store[Any], scope: str | None
) -> None:
    other = reopen_logged(Library)
    here, there = (one if scope is None else one.scope(scope) for one in (store, other))
    ada, shown = here.root.people.ada, Queue[tuple[int, int, int]]()

    def hear(news: News) -> None:
        assert isinstance(news, Commit)
        new: Any = news.changes[0].new
        shown.put((news.number, new["born"], ada.born))

    here.on_change("people/ada", hear)
    for born in (1816, 1817):
        there["people/ada/born"] = born
        head = here.head  # whoever asks learns of it
        assert shown.get(timeout=PATIENCE) == (head, born, born)
    other["people/ada/name"] = "Eda"
    head = here.head
    assert shown.get(timeout=PATIENCE) == (head, 1817 if scope is None else ANY, 1817)
    assert ada.name == "Eda"


def test_what_is_deleted_meanwhile_is_not_shown_again(
    reopen_logged: Opener, store: Store[Library]
) -> None:
    other = reopen_logged(Library)
    with store.changes() as changes:
        other["people/eve"] = ADA
        eve = store["people/eve"]
        del other["people/eve"]
        assert store.head == 3
        assert "people/eve" not in store
        for _ in range(2):
            assert changes.take(PATIENCE) is not None
            with pytest.raises(DetachedError):
                eve.name


def test_who_begins_later_hears_of_nothing_before(reopen_logged: Opener) -> None:
    """Also where another hearer is yet to be told of what others have committed."""
    store, other = reopen_logged(), reopen_logged()
    with store.changes() as early:
        other["a"] = {"n": 0}
        with store.changes() as late:
            store["b"] = {"n": 1}
            told = [
                [feed.take(PATIENCE) for _ in range(few)] for feed, few in ((early, 2), (late, 1))
            ]
    assert [[getattr(news, "number", None) for news in some] for some in told] == [[1, 2], [2]]


def test_closing_the_store_ends_who_waits(store: Store[Library]) -> None:
    feed = store.changes()
    waiting = threading.Thread(target=lambda: list(feed))
    waiting.start()
    store.close()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    with pytest.raises(objstore.ClosedError):
        store.changes()
    with pytest.raises(objstore.ClosedError):
        store.on_change("", print)


def test_closing_the_store_ends_a_callback_that_waits(store: Store[Library]) -> None:
    """For news, and for more whenever it is told that there are none: close waits for it."""
    waits, rounds = threading.Event(), list[int]()

    def listen(_: News) -> None:
        for number in range(2):
            with store.changes("people") as changes:
                waits.set()
                rounds.extend([number, *(1 for _ in changes)])

    store.on_change("", listen)
    store.PUT("people/ada/email", "x")
    assert waits.wait(60)
    closing = threading.Thread(target=store.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    assert rounds == [0, 1]


def test_async_for(store: Store[Library]) -> None:
    async def first_two() -> list[int]:
        numbers: list[int] = []
        async for news in store.changes(after=0):
            assert isinstance(news, Commit)
            numbers.append(news.number)
            if len(numbers) == 1:
                store.root.people["ada"].born = 1816
            else:
                break
        return numbers

    assert asyncio.run(first_two()) == [1, 2]
