"""Stores whose callers are interrupted, as by Ctrl-C, at moments at which they can be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

import objstore
from objstore import Commit
from objstore._feed import Feed
from objstore._news import News
from objstore.backings.filesystem import committer
from objstore.backings.filesystem.telling import Teller
from objstore.backings.memory_contents import Hearing
from objstore.store import Store
from tests.conformance.storage.calls import in_thread
from tests.faults.interruptions import INTERRUPTS, Interruption

# What is freed amid an interrupt tells of it, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def set_one(store: Store[Any], turn: int) -> None:
    store["a"]["n"] = turn


def set_many(store: Store[Any], turn: int) -> None:
    with store.transaction():
        for name in "ab":
            store[name]["n"] = turn
        with suppress(ZeroDivisionError), store.transaction():
            store["c"]["n"] = -1
            raise ZeroDivisionError
        store["c"]["n"] = turn


def make_and_delete(store: Store[Any], turn: int) -> None:
    with store.transaction():
        if "made" in store:
            del store["made"]
        else:
            store["made"] = {"n": turn}


def move_elements(store: Store[Any], turn: int) -> None:
    rows = store["rows"]["rows"]
    with store.transaction():
        rows.insert(0, {"id": turn})
        del rows[-2]


def set_again(store: Store[Any], turn: int) -> None:
    store.run(lambda _: store["b"].update(n=turn))


def read(store: Store[Any], _: int) -> None:
    with store.snapshot_view():
        assert store["a"]["n"] >= 0
    assert "/a/n" in store.blame("a")
    assert store.at(store.head)["b"]["n"] >= 0


def snapshot(store: Store[Any], turn: int) -> None:
    store["b"]["n"] = turn
    store.switch_and_snapshot()


def undo(store: Store[Any], turn: int) -> None:
    store["a"]["n"] = turn
    store.undo(store.head)


CALLS = [set_one, set_many, make_and_delete, move_elements, set_again, read, snapshot, undo]


class Mode(NamedTuple):
    kind: str
    apply: str = "eager"
    durability: str = "full"

    def url(self, folder: Path) -> str:
        return f"memory://{folder}" if self.kind == "memory" else str(folder)

    def open(self, url: str) -> Store[Any]:
        return objstore.open(url, apply=self.apply, durability=self.durability)


MODES = [
    Mode("files"),
    Mode("files", apply="lazy"),
    Mode("files", durability="os"),
    Mode("memory"),
]


def contents(store: Store[Any]) -> dict[str, Any]:
    return {key: store[key].contents for key in store.root}


def fill(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name] = {"n": 0}
        store["rows"] = {"rows": [{"id": -3}, {"id": -2}, {"id": -1}]}


def check(store: Store[Any], held: Any, turn: int) -> None:
    """That everybody sees the same, and can go on."""
    assert store.current() is None
    seen = contents(store)
    assert held["id"] == -1  # the last row stays, wherever it is
    assert held.contents == seen["rows"]["rows"][-1]
    with objstore.open(store.url, durability="os") as other:
        assert store.head == other.head
        assert contents(other) == seen
        other["b"]["n"] = turn
        assert other.head == store.head  # which has all commits seen
    assert store["b"]["n"] == turn

    def change() -> None:
        with store.transaction():
            store["c"]["n"] = turn
            store["a"]["n"] = turn

    in_thread(change)
    assert store["c"]["n"] == store["a"]["n"] == turn
    store["a"]["n"] = turn + 1
    with objstore.open(store.url, durability="os") as other:
        assert other.at(other.head)["a"]["n"] == turn + 1


def interrupt(url: str, call: Callable[[Store[Any], int], None], mode: Mode, most: int) -> None:
    """Interrupt a call at so many moments, all if there are no more."""
    with mode.open(url) as store:
        fill(store)
        held = store["rows"]["rows"][-1]
        call(store, 1)
        with Interruption(0) as moments:
            call(store, 2)
        assert moments.seen > 200
        for turn, at in enumerate(range(1, moments.seen, max(moments.seen // most, 1)), 1):
            with Interruption(at, INTERRUPTS[turn % 2]):
                call(store, turn * 10)
            changed = [store[name]["n"] == turn * 10 for name in "abc"]
            assert call is not set_many or changed.count(True) in (0, 3)
            assert call is not move_elements or len(store["rows"]["rows"]) == 3
            check(store, held, turn * 10 + 5)
            if turn % 20 == 0:
                store.flush()
                assert list(store.check()) == []
    with mode.open(url) as store:
        assert list(store.check()) == []


@pytest.fixture(params=MODES, ids="-".join)
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported at the first call is imported: to interrupt that tells nothing."""
    for mode in MODES:
        with mode.open(mode.url(tmp_path_factory.mktemp("warm"))) as store:
            fill(store)
            for call in CALLS:
                call(store, 1)


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_after_an_interrupt(
    call: Callable[[Store[Any], int], None], mode: Mode, tmp_path: Path
) -> None:
    interrupt(mode.url(tmp_path), call, mode, 20)


@pytest.mark.torture
@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_after_many_interrupts(
    call: Callable[[Store[Any], int], None], mode: Mode, tmp_path: Path
) -> None:
    interrupt(mode.url(tmp_path), call, mode, 500)


def interrupt_once(patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Interrupt the next call of a function as it begins."""
    original = getattr(owner, name)

    def interrupted(*_: Any, **__: Any) -> Any:
        patch.setattr(owner, name, original)
        raise KeyboardInterrupt

    patch.setattr(owner, name, interrupted)


@pytest.mark.parametrize(
    ("url", "owner", "name", "scope"),
    [
        ("{}", committer, "commit_of", None),
        ("{}", Teller, "keep", None),
        ("{}", Teller, "keep", "draft"),
        ("{}", Feed, "_hear", None),
        ("{}", Feed, "_hear", "draft"),
        ("memory://{}", Hearing, "add", None),
        ("memory://{}", Hearing, "add", "draft"),
        ("memory://{}", Feed, "_hear", None),
    ],
)
def test_all_hear_of_a_commit_that_was_interrupted_and_of_those_behind_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    owner: Any,
    name: str,
    scope: str | None,
) -> None:
    """Also where this handle commits nothing more."""
    with objstore.open(url.format(tmp_path)) as base, objstore.open(base.url) as other:
        fill(base)
        store = base if scope is None else base.scope(scope)
        store["a"]["n"] = 1
        with store.changes() as one, store.changes() as two:
            interrupt_once(monkeypatch, owner, name)
            with pytest.raises(KeyboardInterrupt):
                store["a"]["n"] = 2
            assert store.head == 3
            assert [taken(one), taken(two)] == [[3], [3]]
            for n in range(2):
                other["b"]["n"] = n + 1
            assert store.head == 5
            assert [taken(one), taken(two)] == [[4, 5], [4, 5]]


def taken(feed: Feed[News]) -> list[int]:
    """The numbers of the commits that wait to be taken."""
    found: list[int] = []
    with suppress(TimeoutError):
        while isinstance(news := feed.take(0), Commit):
            found.append(news.number)
    return found


def take(store: Store[Any], feed: Feed[News]) -> None:
    with suppress(TimeoutError):
        feed.take(0)


def commit_jointly(store: Store[Any], _: Feed[News]) -> None:
    patch = [{"op": "replace", "path": "/n", "value": 1}]
    store.new_tx(1).patcher("/a", patch).commit()


@pytest.mark.parametrize("call", [take, commit_jointly])
def test_other_threads_go_on_after_an_interrupt(
    call: Callable[[Store[Any], Feed[News]], None],
) -> None:
    """Whatever lock it came upon."""
    with objstore.open("memory://") as store, store.changes() as feed:
        fill(store)
        call(store, feed)
        with Interruption(0) as moments:
            call(store, feed)
        for at in range(1, moments.seen + 1):
            taken(feed)
            store["a"]["n"] = 0
            with Interruption(at, INTERRUPTS[at % 2]):
                call(store, feed)
            thread = Thread(target=commit_jointly, args=(store, feed), daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
            assert store["a"]["n"] == 1
