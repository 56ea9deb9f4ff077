"""The value log: what it is held against, alone, by many threads, beside a writer, and grown."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, cycle
from typing import Final

from objstore.backings.valuelog import ValueLogStorage

from . import children, shelves, storage
from .harness import Contender, Measure, Scene, Work, timed
from .shelves import Make, Pair, Shelf
from .storage import Line
from .targets import Targets, ahead_of, at_most, faster, times
from .units import A_SECOND, MEGABYTES, MICROSECONDS, Unit

_OURS: Final = "ValueLogStorage"
_APPEND: Final = "append and fdatasync"
_ONE: Final = "ValueLogStorage, one thread"
_ALONE: Final = "ValueLogStorage, reader alone"
_LIVE: Final = "keys and values"
_THREADS: Final = 16
_EACH: Final = 50
_GETS: Final = 20_000
_TURNS: Final = 10
_ITEMS: Final = "100,000 items of 100 bytes."
_BYTES: Final = Unit("bytes an item", lambda size: size, "size")

_PEERS: Final[tuple[tuple[str, Make, str], ...]] = (
    ("sqlite3", shelves.Sqlite, "WAL, synchronous = full"),
    ("lmdb", shelves.Lmdb, "text encoded and decoded"),
    ("rocksdict", shelves.RocksDict, "synced"),
)


def _ours(path: str) -> Shelf:
    return shelves.Ours(ValueLogStorage, path)


def works() -> list[Work]:
    lines = {line.name: line for line in storage._LINES}
    return [
        _beside(lines["batch"], Targets(faster("sqlite3", 4), ahead_of("lmdb", "rocksdict")), 3),
        _put(lines["put"]),
        _threads(),
        _beside(lines["get"], Targets(faster("sqlite3", 4), ahead_of("lmdb"))),
        _beside(lines["gets"], Targets(aim=ahead_of("sqlite3"))),
        _beside(lines["scan"], Targets(ahead_of("sqlite3"))),
        _beside(lines["open"], Targets(at_most(0.015, "15 ms"))),
        _size(),
        _together(),
        _grown("get", "Get, by the number of items", MICROSECONDS),
        _grown("memory", "Memory of what is open, by the number of items", _BYTES),
    ]


def _beside(line: Line, targets: Targets, rounds: int | None = None) -> Work:
    """What is measured of other storages too, with other ones beside it."""

    def starting(make: Make) -> Callable[[Scene], Measure]:
        return lambda scene: line.start(make, scene)

    return Work(
        f"valuelog-{line.name}",
        f"{line.title} (value log)",
        line.about,
        line.unit,
        [
            Contender(_OURS, starting(_ours), "a checksum on every item, checked", "ours"),
            *(Contender(name, starting(make), note) for name, make, note in _PEERS),
        ],
        targets,
        rounds,
    )


def _put(line: Line) -> Work:
    work = _beside(line, Targets(times(_APPEND, round(1 / 0.85, 3))))
    limit = Contender(_APPEND, _append, "100 bytes, a file that nobody reads", "limit")
    return Work(
        work.name, work.title, work.about, work.unit, [limit, *work.contenders], work.targets
    )


def _threads() -> Work:
    return Work(
        "valuelog-threads",
        "Durable put by 16 threads (value log)",
        "One after the other each; threads that wait for the disk share one sync.",
        A_SECOND,
        [
            Contender(_ONE, _putting(1), "", "ours", judged=False),
            Contender("ValueLogStorage, 16 threads", _putting(_THREADS), "", "ours"),
        ],
        Targets(faster(_ONE, 3)),
    )


def _size() -> Work:
    return Work(
        "valuelog-size",
        "Size after ten overwrites of all, and compaction (value log)",
        f"{_ITEMS} The files' lengths; SQLite's and LMDB's after what they have for that.",
        MEGABYTES,
        [
            Contender(_LIVE, _live, "what has to be there at least", "limit"),
            Contender(_OURS, _compacted, "", "ours"),
        ],
        Targets(times(_LIVE, 1.15)),
    )


def _together() -> Work:
    return Work(
        "valuelog-two",
        "Get beside a process that writes (value log)",
        f"{_ITEMS} The other process sets single items, durably, as fast as it can.",
        A_SECOND,
        [
            Contender(_ALONE, _reading(writes=False), "", "ours", judged=False),
            Contender("ValueLogStorage, beside a writer", _reading(writes=True), "", "ours"),
        ],
        Targets(times(_ALONE, 1.25)),
    )


def _grown(what: str, title: str, unit: Unit) -> Work:
    def contender(share: int) -> Contender:
        return Contender(
            f"ValueLogStorage, {share * 10_000:,} items",
            lambda scene: _of_child(scene, share, what),
            "",
            "ours",
            judged=False,
        )

    return Work(
        f"valuelog-grown-{what}",
        f"{title} (value log)",
        "Values of 100 bytes, keys of 10; a process that has them open, and gets some at random.",
        unit,
        [contender(share) for share in (1, 10, 100, 300)],
        rounds=1,
    )


# How it is done


def _pairs(scene: Scene) -> list[Pair]:
    return storage._pairs(scene)


def _filled(scene: Scene) -> str:
    path = f"{scene.new_folder('valuelog')}/kv"
    shelf = _ours(path)
    shelf.batch(scene.once(_pairs))
    shelf.close()
    return path


def _append(scene: Scene) -> Measure:
    path = f"{scene.new_folder('append')}/log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    scene.stack.callback(os.close, descriptor)
    data = bytes(100)

    def work() -> None:
        os.write(descriptor, data)
        os.fdatasync(descriptor)

    return timed(work, at_least=0.1)


def _putting(threads: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        opened = scene.stack.enter_context(ValueLogStorage(_filled(scene)))
        pool = scene.stack.enter_context(ThreadPoolExecutor(threads))
        numbers = count()
        value = "x" * 100

        def put(_: int) -> None:
            for _ in range(_EACH):
                opened.set_container_item("c", f"new{next(numbers) % 10_000}", value)

        return timed(lambda: list(pool.map(put, range(threads))), per=threads * _EACH)

    return start


def _live(scene: Scene) -> Measure:
    size = float(sum(len(key) + len(value) for key, value in scene.once(_pairs)))
    return lambda: size


def _compacted(scene: Scene) -> Measure:
    path = _filled(scene)
    pairs = scene.once(_pairs)
    with ValueLogStorage(path) as opened:
        for turn in range(_TURNS):
            moved = [(key, value[turn:] + value[:turn]) for key, value in pairs]
            opened.set_container_items("c", moved)
        opened.compact()
    size = float(
        sum(
            os.path.getsize(os.path.join(place, name))
            for place, _, names in os.walk(path)
            for name in names
        )
    )
    return lambda: size


def _reading(*, writes: bool) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        path = _filled(scene)
        opened = scene.stack.enter_context(ValueLogStorage(path, readonly=True))
        keys = cycle([key for key, _ in scene.once(_pairs)])

        def work() -> None:
            for _, key in zip(range(_GETS), keys, strict=False):
                opened.get_container_item("c", key)

        sample = timed(work, per=_GETS, at_least=0.25)

        def measure() -> float:
            with _writer(path):
                return sample()

        return measure if writes else sample

    return start


class _writer:  # noqa: N801 - used like a function
    """Another process that writes for as long as the block runs."""

    def __init__(self, path: str) -> None:
        arguments = [sys.executable, "-m", "benchmarks.valuelog_child", "write", path]
        self._child = subprocess.Popen(arguments, cwd=children.ROOT, stdout=subprocess.PIPE)

    def __enter__(self) -> None:
        if self._child.stdout is not None:
            self._child.stdout.readline()

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.communicate()


def _of_child(scene: Scene, share: int, what: str) -> Measure:
    figures = scene.once(_Grown).of(share)
    return lambda: figures[what]


class _Grown:
    """Storages of several sizes, and what a process takes that has one open."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._figures: dict[int, dict[str, float]] = {}

    def of(self, share: int) -> dict[str, float]:
        if share not in self._figures:
            items = share * self._scene.sizes.files
            path = f"{self._scene.new_folder('grown')}/kv"
            with ValueLogStorage(path, create=True, durability="os") as made:
                made.add_container("c")
                for part in _many(items):
                    made.set_container_items("c", part)
            took = children.call("-m", "benchmarks.valuelog_child", "get", path, str(items))
            self._figures[share] = took
        return self._figures[share]


def _many(items: int) -> Iterator[list[Pair]]:
    pick = random.Random(items)
    for start in range(0, items, 100_000):
        part = range(start, min(start + 100_000, items))
        yield [(f"key{n:07}", pick.randbytes(50).hex()) for n in part]
