"""Histories of concurrent transactions, from threads and processes, against snapshot isolation."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.backings.filesystem.committer import Committer
from objstore.patch import Merged
from objstore.transaction import Host
from tests.faults.machine import start_child

from .histories import Anomaly, Done, check, load, save
from .makers import LOGGED, Maker

FILES = 4
KEYS = 3
REGISTERS = [f"/file{file}/key{key}" for file in range(FILES) for key in range(KEYS)]


class Client:
    """Makes transactions of its own, and notes what it saw."""

    def __init__(self, url: str, name: str, *, serializable: bool) -> None:
        self.store: Store[Any] = objstore.open(url)
        self.history: list[Done] = []
        self._name = name
        self._random = random.Random(name)  # noqa: S311 - a history that can be had again
        self._serializable = serializable

    def run(self, operations: int) -> None:
        while operations > 0:
            operations -= self._transaction()

    def _transaction(self) -> int:
        name = f"{self._name}-{len(self.history)}"
        reads: dict[str, str] = {}
        writes: list[str] = []
        chosen = [self._random.choice(REGISTERS) for _ in range(self._random.randint(1, 6))]
        failed = False
        begun: Any = self.store.transaction(serializable=self._serializable)
        try:
            with begun:
                for register in chosen:
                    self._step(register, name, reads, writes)
                    time.sleep(0)  # others' turn
                if self._random.random() < 0.1:
                    raise ZeroDivisionError
        except (ZeroDivisionError, objstore.ConflictError):
            failed = True
        number = None if begun.commit is None else begun.commit.number
        self.history.append(Done(name, begun.base, number, failed, reads, tuple(writes)))
        return len(chosen)

    def _step(self, register: str, name: str, reads: dict[str, str], writes: list[str]) -> None:
        file, key = register[1:].split("/")
        unit = self.store[file]
        how = self._random.randrange(3)
        if register not in writes:
            seen = [unit[key], self.store[register], getattr(unit, key)][how]
            assert reads.setdefault(register, seen) == seen
        else:
            assert self.store[register] == name
        if self._random.random() < 0.5:
            unit[key] = f"draft of {name}"
            unit[key] = name
            if register not in writes:
                writes.append(register)


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    """Have threads take turns within a transaction, and not only between them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def begin(url: str) -> None:
    with objstore.open(url) as store, store.transaction():
        for file in range(FILES):
            store[f"/file{file}"] = {f"key{key}": "" for key in range(KEYS)}


def of_threads(url: str, operations: int, *, serializable: bool) -> list[Done]:
    """A history of five threads on two stores."""
    clients = [Client(url, f"t{n}", serializable=serializable) for n in range(5)]
    for client in clients[2:]:
        client.store.close()
        client.store = clients[0].store
    with ThreadPoolExecutor(5) as pool:
        running = [pool.submit(client.run, operations // 5) for client in clients]
        for one in running:
            one.result()
    for client in clients:
        client.store.close()
    return [done for client in clients for done in client.history]


def of_processes(url: str, folder: Path, operations: int, *, serializable: bool) -> list[Done]:
    """A history of three processes with a thread each."""

    def work(number: int) -> None:
        client = Client(url, f"p{number}", serializable=serializable)
        client.run(operations // 3)
        save(folder / f"history{number}", client.history)
        client.store.close()

    children = [start_child(partial(work, number)) for number in range(3)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 3
    return [done for number in range(3) for done in load(folder / f"history{number}")]


def judge(url: str, history: list[Done], *, serializable: bool) -> None:
    assert check(history, serializable=serializable) == []
    assert sum(done.commit is not None for done in history) > len(history) // 10
    numbers = [done.commit for done in history if done.commit is not None]
    assert len(set(numbers)) == len(numbers)
    last: dict[str, tuple[int, str]] = {}
    for done in history:
        for register in done.writes if done.commit is not None else ():
            last[register] = max((done.commit or 0, done.name), last.get(register, (0, "")))
    with objstore.open(url) as store:
        assert {r: store[r] for r in REGISTERS} == {r: last.get(r, (0, ""))[1] for r in REGISTERS}
        assert store.check() == []


serializables = pytest.mark.parametrize("serializable", [False, True], ids=["snapshot", "strict"])


@serializables
@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
def test_threads(maker: Maker, tmp_path: Path, serializable: bool) -> None:
    url = maker.url(tmp_path)
    begin(url)
    history = of_threads(url, 2_000, serializable=serializable)
    judge(url, history, serializable=serializable)


@serializables
def test_processes(tmp_path: Path, serializable: bool) -> None:
    url = str(tmp_path / "store")
    begin(url)
    history = of_processes(url, tmp_path, 1_500, serializable=serializable)
    judge(url, history, serializable=serializable)


@pytest.mark.torture
@serializables
@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
def test_many_operations_of_threads(maker: Maker, tmp_path: Path, serializable: bool) -> None:
    url = maker.url(tmp_path)
    begin(url)
    history = of_threads(url, 100_000, serializable=serializable)
    judge(url, history, serializable=serializable)


@pytest.mark.torture
@serializables
def test_many_operations_of_processes(tmp_path: Path, serializable: bool) -> None:
    url = str(tmp_path / "store")
    begin(url)
    history = of_processes(url, tmp_path, 100_000, serializable=serializable)
    judge(url, history, serializable=serializable)


# --- the checker itself ---------------------------------------------------------------------------


def done(name: str, start: int, commit: int | None, reads: dict[str, str], *writes: str) -> Done:
    return Done(name, start, commit, False, reads, writes)


ANOMALIES: list[tuple[str, list[Done]]] = [
    ("dirty read", [done("a", 0, None, {}, "x"), done("b", 0, None, {"x": "a"})]),
    ("dirty read", [done("a", 0, 1, {}, "x"), done("b", 1, None, {"x": "draft of a"})]),
    ("read skew", [done("a", 0, 1, {}, "x", "y"), done("b", 0, None, {"x": "", "y": "a"})]),
    ("read skew", [done("a", 0, 1, {}, "x", "y"), done("b", 1, None, {"x": "", "y": "a"})]),
    ("lost update", [done("a", 0, 1, {"x": ""}, "x"), done("b", 0, 2, {"x": ""}, "x")]),
    ("write skew", [done("a", 0, 1, {"x": ""}, "y"), done("b", 0, 2, {"y": ""}, "x")]),
]


@pytest.mark.parametrize(("kind", "history"), ANOMALIES)
def test_the_checker_finds(kind: str, history: list[Done]) -> None:
    found = check(history, serializable=kind == "write skew")
    assert [one.kind for one in found] == [kind]
    assert found[0].transaction == "b"
    if kind == "write skew":
        assert check(history, serializable=False) == []


def test_the_checker_finds_who_is_not_shown_its_own_commits() -> None:
    history = [
        done("a-0", 0, 2, {}, "x"),
        done("b-0", 0, 1, {}, "y"),
        done("a-1", 1, None, {"x": ""}),
        done("b-1", 1, None, {"x": ""}),
    ]
    [found] = check(history, serializable=False)
    assert (found.kind, found.transaction) == ("stale start", "a-1")


def test_the_checker_takes_what_is_right() -> None:
    history = [
        done("a", 0, 1, {"x": ""}, "x", "y"),
        done("b", 0, 2, {"z": ""}, "z"),
        done("c", 1, 3, {"x": "a", "z": ""}, "y"),
        done("d", 3, None, {"x": "a", "y": "c", "z": "b"}),
        done("e", 3, None, {"x": "a"}, "x"),
    ]
    assert check(history, serializable=False) == []
    assert check(history, serializable=True) == [
        Anomaly("write skew", "c", "z", "b had written it since")
    ]


def break_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the later of two writers win: a lost update."""

    def merge(base: Any, ours: Any, theirs: Any, **_: Any) -> Merged:
        changed = {key: value for key, value in ours.items() if value != base[key]}
        return Merged({**theirs, **changed}, ())

    monkeypatch.setattr("objstore._reconciling.merge", merge)


def break_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what was read change: a write skew."""

    def nothing(*_: Any) -> dict[str, Any]:
        return {}

    monkeypatch.setattr("objstore._reconciling._rests_on", nothing)
    monkeypatch.setattr(Store, "_require_unchanged", nothing)


BREAKS: list[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = [
    ("lost update", break_merges),
    ("write skew", break_guards),
]


@pytest.mark.parametrize(("kind", "breaks"), BREAKS)
def test_a_broken_store_shows(
    kind: str, breaks: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://broken {kind}"
    begin(url)
    breaks(monkeypatch)
    strict = kind == "write skew"
    history = of_threads(url, 2_000, serializable=strict)
    assert kind in {one.kind for one in check(history, serializable=strict)}


def test_a_store_that_shows_each_commit_by_itself_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by the thread that made it, as soon as that is awake, in whichever order."""
    publish_line, apply_due = Host._publish_line, Committer._apply_or_defer
    pick = random.Random(0)  # noqa: S311

    def publish(self: Host, number: int) -> None:
        others = {one: self._line.pop(one) for one in list(self._line) if one != number}
        publish_line(self, number)
        self._line.update(others)

    def wait_for_nobody(self: Host, number: int) -> None:
        pass

    def late(self: Committer, writer: Any = None, **options: Any) -> None:
        time.sleep(pick.random() * 0.002)
        apply_due(self, writer, **options)

    url = str(tmp_path)
    begin(url)
    monkeypatch.setattr(Committer, "_apply_or_defer", late)
    history = of_threads(url, 2_000, serializable=False)
    assert check(history, serializable=False) == []
    begin(url)
    monkeypatch.setattr(Host, "_publish_line", publish)
    monkeypatch.setattr(Host, "_wait_for_line", wait_for_nobody)
    history = of_threads(url, 2_000, serializable=False)
    assert "stale start" in {one.kind for one in check(history, serializable=False)}
