"""What lies beside objects, interrupted: events, blobs, subscriptions and feeds of commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore._feed import Feed
from objstore.backings.filesystem.events import eventindex
from objstore.depot import BlobInfo, ObjectStateT
from objstore.documents import Commit
from objstore.errors import StorageError
from objstore.store import Store
from tests.conformance.storage.calls import in_thread
from tests.faults.interruptions import INTERRUPTS, AlarmError, Interruption

# What is freed amid an interrupt tells of it, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BYTES = bytes(range(256)) * 300


def append(store: Store[Any], turn: int) -> None:
    store.events.append("one", {"turn": turn})


def extend(store: Store[Any], turn: int) -> None:
    store.events.extend([("three", {"turn": turn, "n": n}) for n in range(3)])


def look(store: Store[Any], _: int) -> None:
    events = store.events
    last = events[-1]
    assert last.uuid in events
    assert events[last.uuid] == last
    assert events.verify().position == len(events) == len(list(events))


def follow(store: Store[Any], turn: int) -> None:
    store["a"] = {"n": turn}
    store.follow_commits()


def create(store: Store[Any], turn: int) -> None:
    with store.depot.create(meta={"turn": turn}) as blob:
        blob.write(BYTES)
        blob.write(b"end")


def put(store: Store[Any], _: int) -> None:
    found = store.depot.put(BYTES)
    with store.depot.open(found) as blob:
        assert blob.read() == BYTES
    store.depot.purge(found)


def write_parts(store: Store[Any], _: int) -> None:
    identifier = objstore.Identifier.new()
    store.depot.reserve(identifier, 1000)
    for at in (500, 0):
        store.depot.write(identifier, at, b"x" * 500)
    store.depot.finalize(identifier)


def scrub(store: Store[Any], _: int) -> None:
    store.depot.put(BYTES)
    store.depot.sweep(timedelta(0))
    assert store.depot.scrub().damaged == ()


def set_both(store: Store[Any], turn: int) -> None:
    with store.containers.transaction():
        for name in "ab":
            store.containers[name]["n"] = turn


CALLS = [append, extend, look, follow, create, put, write_parts, scrub, set_both]


def check(store: Store[Any], folder: Path, turn: int) -> None:
    """That everybody sees the same, nothing by halves, and can go on."""
    check_events(store, folder, turn)
    check_blobs(store)
    with objstore.open(folder, durability="os") as other:
        for containers in (store.containers, other.containers):
            assert containers["a"]["n"] == containers["b"]["n"]
        other.containers["c"]["n"] = turn
    in_thread(lambda: store.containers["d"].update(n=turn))
    assert store.containers["c"]["n"] == store.containers["d"]["n"] == turn


def check_events(store: Store[Any], folder: Path, turn: int) -> None:
    seen = list(store.events)
    assert store.events.verify().position == len(seen) == len({event.uuid for event in seen})
    assert all(event.uuid in store.events for event in seen)
    numbers = [event.data["n"] for event in seen if event.type == "three"]
    assert numbers == [0, 1, 2] * (len(numbers) // 3)
    with objstore.open(folder, durability="os") as other:
        assert list(other.events) == seen
        other.events.append("other", {"turn": turn})
    in_thread(lambda: store.events.append("thread", {"turn": turn}))
    assert [event.type for event in store.events[-2:]] == ["other", "thread"]
    store.follow_commits()
    commits = [event.data["number"] for event in store.events if event.type == "commit"]
    assert commits == list(range(1, store.head + 1))


def check_blobs(store: Store[Any]) -> None:
    """That each is readable and whole, or writable and of no harm."""
    depot = store.depot
    assert depot.scrub().damaged == ()
    found: list[BlobInfo] = list(depot.blobs())
    for one in found:
        if one.state is ObjectStateT.WRITABLE:
            with suppress(StorageError):  # it is one that has less than it was promised
                depot.finalize(one.identifier)
        depot.purge(one.identifier)
    assert list(depot.blobs()) == []
    assert depot.read(depot.put(b"more"), 0, 9) == b"more"


def interrupt(folder: Path, call: Callable[[Store[Any], int], None], most: int) -> None:
    """Interrupt a call at so many moments, all if there are no more."""
    with objstore.open(folder) as store:
        set_both(store, 0)
        append(store, 0)
        follow(store, 0)
        call(store, 1)
        with Interruption(0) as moments:
            call(store, 2)
        assert moments.seen > 100
        for turn, at in enumerate(range(1, moments.seen, max(moments.seen // most, 1)), 3):
            with Interruption(at, INTERRUPTS[turn % 2]):
                call(store, turn)
            check(store, folder, turn)
            if turn % 20 == 0:
                assert list(store.check()) == []
    with objstore.open(folder) as store:
        assert list(store.check()) == []


@pytest.fixture(autouse=True)
def _small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of events has its runs written, and made one, every few events."""
    monkeypatch.setattr(eventindex, "_FULL", 5)


@pytest.fixture(scope="module")
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported at the first call is imported: to interrupt that tells nothing."""
    folder = tmp_path_factory.mktemp("warm") / "store"
    with objstore.open(folder) as store:
        for call in CALLS:
            call(store, 1)
        check(store, folder, 1)


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_what_is_beside_goes_on_after_an_interrupt(
    call: Callable[[Store[Any], int], None], tmp_path: Path
) -> None:
    interrupt(tmp_path / "store", call, 20)


@pytest.mark.torture
@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_what_is_beside_goes_on_after_many_interrupts(
    call: Callable[[Store[Any], int], None], tmp_path: Path
) -> None:
    interrupt(tmp_path / "store", call, 500)


# Who is interrupted in taking something has not got it, and gets it the next time


def interrupted_taking(following: Iterator[Any], count: int) -> list[Any]:
    """So many, where each comes after interrupts in taking it, a few moments later each time."""
    found: list[Any] = []
    at = 0
    while len(found) < count:
        at += 7
        took: list[Any] = []
        with Interruption(at, INTERRUPTS[len(found) % 2]) as moments:
            took.extend(islice(following, 1))
        found += took
        at -= moments.seen if moments.seen < at else 0
    return found


def test_an_interrupt_takes_nothing_from_a_subscription(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "store") as store:
        for turn in range(10):
            append(store, turn)
        with store.events.subscribe(after=0) as subscription:
            found = interrupted_taking(subscription, 8)
            append(store, 10)
            found += interrupted_taking(subscription, 3)
    assert [event.data["turn"] for event in found] == list(range(11))


def test_an_interrupt_amid_many_events_comes_out_of_a_subscription(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "store") as store:
        extend(store, 0)
        at = 0
        while True:
            at += 1
            with store.events.subscribe(after=0) as subscription:
                with Interruption(at, AlarmError) as moments:
                    next(subscription)
                if moments.seen < at:
                    break
                assert moments.came_out
                assert [next(subscription).data["n"] for _ in range(3)] == [0, 1, 2]
        assert at > 50


def test_an_interrupt_comes_out_of_a_feed_that_is_awaited() -> None:
    def interrupt(_: Commit) -> None:
        raise AlarmError

    with objstore.open("memory://") as store:
        store["a"] = {"n": 1}

        async def take() -> Any:
            feed = Feed(store._documents, after=0, before=interrupt)
            return await asyncio.wait_for(anext(feed), 10)

        with pytest.raises(AlarmError):
            asyncio.run(take())


def test_an_interrupt_takes_nothing_from_a_feed(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "store") as store:
        for turn in range(10):
            store["a"] = {"n": turn}
        with store.changes(after=0) as feed:
            found = interrupted_taking(feed, 8)
            for turn in range(10, 14):
                store["a"] = {"n": turn}
            found += interrupted_taking(feed, 6)
    assert [commit.number for commit in found] == list(range(1, 15))
