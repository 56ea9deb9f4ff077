"""Several transactions at once, in threads that take turns, against a model of snapshot isolation.

Every thread must see the contents as of its transaction's start plus its own changes; those without
a transaction see the last commit; a commit merges or conflicts as ``objstore.patch.merge`` says of
plain values. Objects of list elements that are held, whoever got them and whenever, must show each
thread the element that they were got for, or that it is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import objstore
from objstore.patch import merge
from objstore.values import copy_of

WORKERS = 3
workers = st.integers(0, WORKERS - 1)
indices = st.integers(0, 5)
keys = st.sampled_from("abc")


class Isolation(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pools = [ThreadPoolExecutor(1) for _ in range(WORKERS)]
        self.store = objstore.open("memory://")
        self.count = 0
        self.held: list[tuple[Any, int]] = []
        # By worker: the transaction, the contents at its start, and the contents as it has them.
        self.running: dict[int, tuple[Any, Any, Any]] = {}
        self.committed: Any = None

    def on(self, worker: int, act: Callable[[], Any]) -> Any:
        return self.pools[worker].submit(act).result(timeout=20)

    @initialize()
    def start(self) -> None:
        self.committed = {"dict": {}, "list": [self.element() for _ in range(3)]}
        self.store["/doc"] = copy_of(self.committed)
        self.doc = self.store["/doc"]

    def element(self) -> dict[str, Any]:
        self.count += 1
        return {"n": self.count}

    def change(self, worker: int, act: Callable[[Any], None]) -> None:
        """Do the same to the Object, in the worker's thread, and to its model."""
        self.on(worker, lambda: act(self.doc))
        if worker in self.running:
            act(self.running[worker][2])
        else:
            act(self.committed)

    def length(self, worker: int) -> int:
        model = self.running[worker][2] if worker in self.running else self.committed
        return len(model["list"])

    # --- what may happen --------------------------------------------------------------------------

    @rule(worker=workers)
    def begin(self, worker: int) -> None:
        if worker not in self.running:
            transaction = self.store.transaction()
            self.on(worker, transaction.__enter__)
            base = self.committed
            self.running[worker] = (transaction, copy_of(base), copy_of(base))

    @rule(worker=workers)
    def roll_back(self, worker: int) -> None:
        if worker in self.running:
            transaction, *_ = self.running.pop(worker)
            error = ZeroDivisionError()
            self.on(worker, lambda: transaction.__exit__(ZeroDivisionError, error, None))

    @rule(worker=workers)
    def commit(self, worker: int) -> None:
        if worker not in self.running:
            return
        transaction, base, mine = self.running.pop(worker)
        merged = merge(base, mine, self.committed, agree=False)
        if not merged.conflicts:
            self.on(worker, lambda: transaction.__exit__(None, None, None))
            self.committed = copy_of(merged.value)
            return
        with pytest.raises(objstore.ConflictError) as caught:
            self.on(worker, lambda: transaction.__exit__(None, None, None))
        assert caught.value.pointer == "/doc" + merged.conflicts[0].pointer

    @rule(worker=workers, key=keys)
    def set(self, worker: int, key: str) -> None:
        self.count += 1
        self.change(worker, lambda doc: doc["dict"].__setitem__(key, self.count))

    @rule(worker=workers, key=keys)
    def remove(self, worker: int, key: str) -> None:
        self.change(worker, lambda doc: doc["dict"].pop(key, None))

    @rule(worker=workers, at=indices)
    def insert(self, worker: int, at: int) -> None:
        new = self.element()
        self.change(worker, lambda doc: doc["list"].insert(at, dict(new)))

    @rule(worker=workers)
    def append(self, worker: int) -> None:
        new = self.element()
        self.change(worker, lambda doc: doc["list"].append(dict(new)))

    @rule(worker=workers, at=indices)
    def delete(self, worker: int, at: int) -> None:
        if at < self.length(worker):
            self.change(worker, lambda doc: doc["list"].__delitem__(at))

    @rule(worker=workers)
    def reverse(self, worker: int) -> None:
        self.change(worker, lambda doc: doc["list"].reverse())

    @rule(worker=workers, at=indices, key=keys)
    def set_within(self, worker: int, at: int, key: str) -> None:
        if at < self.length(worker):
            self.count += 1
            self.change(worker, lambda doc: doc["list"][at].__setitem__(key, self.count))

    @rule(worker=workers, at=indices)
    def hold(self, worker: int, at: int) -> None:
        if at < self.length(worker) and len(self.held) < 8:
            part = self.on(worker, lambda: self.doc["list"][at])
            model = self.running[worker][2] if worker in self.running else self.committed
            self.held.append((part, model["list"][at]["n"]))

    # --- what must hold ---------------------------------------------------------------------------

    @invariant()
    def each_sees_its_own(self) -> None:
        if self.committed is None:
            return
        assert self.doc == self.committed
        self.see(self.committed)
        for worker, (_, _, mine) in self.running.items():
            assert self.on(worker, lambda: self.doc.contents) == mine
            self.on(worker, partial(self.see, mine))

    def see(self, contents: Any) -> None:
        assert [element["n"] for element in self.doc["list"]] == [
            element["n"] for element in contents["list"]
        ]
        there = {element["n"]: element for element in contents["list"]}
        for part, number in self.held:
            if number in there:
                assert part == there[number], number
                assert part["n"] == part.n == number
            else:
                try:
                    found = part["n"]
                except objstore.DetachedError:
                    continue
                raise AssertionError(f"element {number} is gone, and reads as {found}")

    def teardown(self) -> None:
        for worker in list(self.running):
            self.roll_back(worker)
        for pool in self.pools:
            pool.shutdown()
        self.store.close()


TestIsolation = Isolation.TestCase
TestIsolation.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
