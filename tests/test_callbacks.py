"""Callbacks go on whatever happens to the feed that they are told of."""

from __future__ import annotations

import errno
import threading
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import objstore
from objstore import _callbacks
from objstore._callbacks import Callbacks
from objstore._feed import Feed
from objstore._news import Invalid, News
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.log.logview import Position
from objstore.errors import BackingError, CorruptionError, HistoryGone, ObjstoreError

PATIENCE = 60.0


class Flawed(Feed[News]):
    """Raises an error once, before anything is taken."""

    error: ObjstoreError | None = None

    def take(self, timeout: float | None = None) -> News | None:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return super().take(timeout)


class Told:
    """A callback that keeps what it is told, and waits at the first until it is let go."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.begun = threading.Event()
        self.may_go = threading.Event()
        self.has_last = threading.Event()

    def __call__(self, news: News) -> None:
        assert isinstance(news, objstore.Commit)
        self.numbers.append(news.number)
        self.begun.set()
        assert self.may_go.wait(PATIENCE)
        if news.meta.get("last"):
            self.has_last.set()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_callbacks, "_PAUSE", 0.001)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[objstore.Store]:
    with objstore.open(tmp_path, durability="os") as store:
        store["doc"] = {"n": 0}
        yield store


@pytest.mark.parametrize(
    ("error", "misses"),
    [
        (None, False),
        (BackingError(errno.EMFILE, "too many open files", "log"), False),
        (HistoryGone("it was compacted"), True),
        (CorruptionError("damaged", file="log"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_callbacks_go_on(
    store: objstore.Store,
    caplog: pytest.LogCaptureFixture,
    error: ObjstoreError | None,
    misses: bool,
) -> None:
    told, made = Told(), list[Flawed]()

    def make_feed(after: int | None, _: Mapping[str, Invalid]) -> Feed[News]:
        feed = Flawed(store._documents, after=after, limit=2)
        feed.error = error if len(made) == 1 else None  # of the one that catches up
        made.append(feed)
        return feed

    callbacks = Callbacks(make_feed, store.head, {}, "test")
    try:
        callbacks.add("", told, store.head)
        store["doc"]["n"] = 1
        assert told.begun.wait(PATIENCE)
        for n in range(2, 7):  # more than wait for it: the feed is dropped
            store["doc"]["n"] = n
        told.may_go.set()
        while len(made) < 2 + misses:
            threading.Event().wait(0.001)
        with store.transaction(meta={"last": True}):
            store["doc"]["n"] = 7
        assert told.has_last.wait(PATIENCE)
    finally:
        told.may_go.set()
        callbacks.end()
    if misses:
        assert told.numbers == [2, 3, 4, 8]
        assert "callbacks missed changes" in caplog.text
    else:
        assert told.numbers == [2, 3, 4, 5, 6, 7, 8]
        assert ("callbacks hear of changes later" in caplog.text) == (error is not None)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, CancelledError])
def test_a_callback_that_raises_keeps_none_from_hearing(
    store: objstore.Store, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    """Nobody else gets it: the thread is the store's."""
    heard: SimpleQueue[int] = SimpleQueue()

    def fail(_: News) -> None:
        raise kind("it fails")

    def hear(news: News) -> None:
        assert isinstance(news, objstore.Commit)
        heard.put(news.number)

    store.on_change("", fail)
    store.on_change("", hear)
    for n in range(1, 3):
        store["doc"]["n"] = n
        assert heard.get(timeout=PATIENCE) == n + 1
    assert "a callback for changes of '' failed" in caplog.text
    assert "it fails" in caplog.text


def test_nobody_is_told_before_it_is_on_the_disk(
    store: objstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = CommitLog.sync
    waits, may_go = threading.Event(), threading.Event()

    def slow(log: CommitLog, position: Position | None = None) -> None:
        if threading.current_thread() is not threading.main_thread():
            waits.set()
            assert may_go.wait(PATIENCE)
        sync(log, position)

    def commit() -> None:
        with store.transaction():
            store["doc"]["n"] = 1

    monkeypatch.setattr(CommitLog, "sync", slow)
    with store.changes() as feed:
        thread = threading.Thread(target=commit)
        thread.start()
        assert waits.wait(PATIENCE)
        with store.transaction():
            assert store["doc"]["n"] == 0
        with pytest.raises(TimeoutError):
            feed.take(0.05)
        may_go.set()
        thread.join()
        news = feed.take(PATIENCE)
    assert isinstance(news, objstore.Commit)
    assert news.number == 2


async def coroutine(_: object) -> None:
    pass


def generator(_: object) -> Iterator[None]:
    yield


async def both(_: object) -> AsyncIterator[None]:
    yield


class Awaited:
    async def __call__(self, _: object) -> None:
        pass

    method = __call__


@pytest.mark.parametrize(
    "callback",
    [coroutine, generator, both, Awaited(), Awaited().method, partial(coroutine), 5, None, "f"],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_what_would_never_run_is_refused(store: objstore.Store, callback: Any) -> None:
    is_function = callable(callback)
    expected = "a plain function: a coroutine or a generator would never run"
    with pytest.raises(TypeError, match=expected if is_function else "takes a function, not"):
        store.on_change("", callback)
    assert store._callbacks is None  # and no thread waits for anything
    log = store.events
    for name in ("validate", "consume"):
        made = staticmethod(callback) if is_function else callback
        one: Any = type("One", (), {name: made})()
        with pytest.raises(TypeError, match=f"{name} of a .* is a|an object with a"):
            log.register(one)
    with pytest.raises(TypeError, match="an upcaster is a"):
        log.upcaster("sold")(callback)
    assert log.append("sold", {"n": 1}).version == 1
