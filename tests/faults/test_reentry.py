"""A store that is used by the handler of a signal, or a finalizer, amid what the same thread does
with it: that is refused, and what it interrupted goes on."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Commit, TransactionError
from objstore.backings.filesystem.history.ledger import Ledger
from objstore.backings.filesystem.log.logview import View
from objstore.backings.filesystem.pending import Pending
from objstore.store import Store
from tests.faults.interruptions import Interruption

PLACES: list[tuple[type[Any], str]] = [
    (Ledger, "enter"),
    (Ledger, "_learn"),
    (Pending, "prepare"),
    (Pending, "put"),
    (View, "_advance"),
    (View, "move"),
]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[f"{a.__name__}.{b}" for a, b in PLACES])
@pytest.mark.parametrize("apply", ["eager", "lazy"])
def test_within_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type[Any], name: str, apply: str
) -> None:
    with objstore.open(tmp_path, apply=apply) as store, objstore.open(tmp_path) as other:
        store["main"], store["handler"] = {"n": 0}, {"n": 0}
        other["handler"]["n"] = 1  # so that there is something to learn
        original = getattr(owner, name)
        refused, done = list[TransactionError](), list[int]()

        def interrupted(self: Any, *args: Any, **options: Any) -> Any:
            if not refused and not done:
                try:
                    store["handler"]["n"] = 2
                    done.append(2)
                except TransactionError as error:
                    refused.append(error)
            return original(self, *args, **options)

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, interrupted)
            store["main"]["n"] = 1
            store.flush()
        assert refused or done
        store["main"]["n"] += 1
        store["handler"]["n"] += 1
    with objstore.open(tmp_path) as store:
        assert store["main"]["n"] == 2
        assert store["handler"]["n"] == (2 if refused else 3)
        assert store.check() == []


def test_by_a_signal_at_any_moment(tmp_path: Path) -> None:
    """What is refused, or done, is so wholly; nothing waits for itself for ever."""
    counts = {"main": 0, "handler": 0}
    refused: list[str] = []

    def count_up(key: str) -> None:
        store[f"{key}/n"] = counts[key] + 1
        counts[key] += 1

    def handle(*_: object) -> None:
        try:
            count_up("handler")
        except TransactionError as error:
            refused.append(str(error))

    generator = random.Random(1)  # noqa: S311
    before = signal.signal(signal.SIGALRM, handle)
    try:
        with objstore.open(tmp_path, durability="os") as store:
            store["main"], store["handler"] = {"n": 0}, {"n": 0}
            end = time.monotonic() + 3
            while time.monotonic() < end:
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(1e-5, 2e-3))
                count_up("main")
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert refused
    assert all("set a flag" in text for text in refused)
    with objstore.open(tmp_path) as store:
        assert {key: store[key]["n"] for key in counts} == counts
        assert store.check() == []


class Handler(Interruption):
    """Of a signal that comes at the ``at``-th moment: uses the store, as it should not."""

    def __init__(self, at: int, store: Store[Any], other: Store[Any]) -> None:
        super().__init__(at)
        self._store, self._other = store, other
        self.done = 0

    def come(self) -> None:
        with suppress(TransactionError):
            assert self._store.head >= 2
            self._other["handler"]["n"] += 1
            self.done += 1


def test_in_memory_at_every_moment() -> None:
    """Another handle's commits, as the same one's are refused above the backing."""
    with objstore.open("memory://reentry") as store, objstore.open("memory://reentry") as other:
        store["main"], store["handler"] = {"n": 0}, {"n": 0}
        feed, turn, done = store.changes(), 0, 0
        is_over = False
        while not is_over:
            turn += 1
            with Handler(turn, store, other) as handler:
                store["main"]["n"] = turn
            is_over = handler.seen < turn
            done += handler.done
            assert store["main"]["n"] == turn
            assert store["handler"]["n"] == done
        assert turn > 200
        assert 0 < done < turn
        heard = [feed.take(0) for _ in range(turn + done)]
        assert [news.number for news in heard if isinstance(news, Commit)] == [
            *range(3, store.head + 1)
        ]


def test_what_was_interrupted_as_it_ended_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with objstore.open(tmp_path) as store:
        store["main"] = {"n": 0}

        def interrupted() -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(store, "_end_all", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store["main"]["n"] = 1
        store["main"]["n"] += 1
        assert store["main"]["n"] == 2
