"""Keys and values: ours, what they are made on, and others."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from itertools import count, cycle, islice
from typing import Any, Final, NamedTuple

import objstore

from . import peers, shelves
from .harness import Contender, Kind, Measure, Scene, Work, timed
from .shelves import Make, Pair, Shelf
from .targets import Targets, ahead_of, times
from .units import A_SECOND, MEGABYTES, MILLISECONDS, Unit

_VALUE: Final = 50
"""Random bytes of a value, which is twice as long as text."""

_GETS: Final = 2000
_OVERWRITES: Final = 10


Row = tuple[str, Make, str]
"""A contender's name, how it is opened, and what is to be said of it."""


class Family(NamedTuple):
    """A Storage of ours, what it is held against, and by how much it may be slower."""

    name: str
    ours: Sequence[Row]
    limits: Sequence[Row]
    peers: Sequence[Row]
    shares: dict[str, float]
    """By line, the share of the first limit's speed that is asked for."""


def _ours(name: str, **options: Any) -> Make:
    def make(path: str) -> Shelf:
        return shelves.Ours(getattr(objstore, name), path, **options)

    return make


FAMILIES: Final = (
    Family(
        "sqlite",
        [("SqliteStorage", _ours("SqliteStorage"), "a checksum on every item, counted")],
        [
            ("sqlite3", shelves.Sqlite, "WAL, full; the same kind of table"),
            ("sqlite3, rowid", lambda path: shelves.Sqlite(path, table=""), "the default table"),
        ],
        [
            ("sqlitedict", shelves.sqlitedict, "journal, synchronous off: it never syncs"),
            ("diskcache", shelves.DiskCache, "WAL, synchronous full"),
            ("apsw", shelves.Apsw, "SQLite as above"),
        ],
        {"batch": 0.8, "put": 0.9, "get": 0.7, "scan": 0.7},
    ),
    Family(
        "lmdb",
        [("LmdbStorage", _ours("LmdbStorage"), "a checksum on every item, counted")],
        [("lmdb", shelves.Lmdb, "text encoded and decoded")],
        [
            ("rocksdict", shelves.RocksDict, "synced"),
            ("shelve", shelves.shelved, peers.shelve_note()),
        ],
        {"batch": 0.7, "put": 0.9, "get": 0.6, "scan": 0.6},
    ),
)
"""A Storage joins by standing here."""


class Line(NamedTuple):
    """One thing that is measured, in every family."""

    name: str
    title: str
    about: str
    unit: Unit
    start: Callable[[Make, Scene], Measure]


def works() -> list[Work]:
    return [_work(family, line) for line in _LINES for family in FAMILIES]


def _work(family: Family, line: Line) -> Work:
    def contenders(rows: Sequence[Row], kind: Kind) -> list[Contender]:
        return [
            Contender(name, lambda scene, make=make: line.start(make, scene), note, kind)  # type: ignore[misc]
            for name, make, note in rows
        ]

    return Work(
        f"{family.name}-{line.name}",
        f"{line.title} ({family.name})",
        line.about,
        line.unit,
        [
            *contenders(family.limits, "limit"),
            *contenders(family.ours, "ours"),
            *contenders(family.peers, "peer"),
        ],
        _targets(family, line),
        rounds=None if line.name != "batch" else 3,
    )


def _targets(family: Family, line: Line) -> Targets:
    ahead = ahead_of("sqlitedict", "diskcache") if family.name == "sqlite" else None
    share = family.shares.get(line.name)
    least = None if share is None else times(family.limits[0][0], round(1 / share, 2))
    return Targets(least, ahead)


def _pairs(scene: Scene) -> list[Pair]:
    """Items in no order."""
    pick = random.Random(7)
    pairs = [(f"key{n:07}", pick.randbytes(_VALUE).hex()) for n in range(scene.sizes.files * 10)]
    pick.shuffle(pairs)
    return pairs


def _path(scene: Scene) -> str:
    return f"{scene.new_folder('kv')}/kv"


def _full(make: Make, scene: Scene) -> Shelf:
    shelf = make(_path(scene))
    scene.stack.callback(shelf.close)
    shelf.batch(scene.once(_pairs))
    return shelf


def _batch(make: Make, scene: Scene) -> Measure:
    pairs = scene.once(_pairs)

    def measure() -> float:
        shelf = make(_path(scene))
        start = time.perf_counter()
        shelf.batch(pairs)
        took = time.perf_counter() - start
        shelf.close()
        return took / len(pairs)

    return measure


def _put(make: Make, scene: Scene) -> Measure:
    shelf = _full(make, scene)
    keys = cycle([key for key, _ in scene.once(_pairs)])
    numbers = count()

    def work() -> None:
        # Never what is there already, as SQLite writes nothing then.
        shelf.put(next(keys), f"{next(numbers):0{2 * _VALUE}}")

    return timed(work, at_least=0.05)


def _get(make: Make, scene: Scene) -> Measure:
    shelf = _full(make, scene)
    keys = cycle([key for key, _ in scene.once(_pairs)])

    gets = min(_GETS, len(scene.once(_pairs)))

    def work() -> None:
        for key in islice(keys, gets):
            shelf.get(key)

    return timed(work, per=gets, at_least=0.05)


def _get_together(make: Make, scene: Scene) -> Measure:
    shelf = _full(make, scene)
    keys = cycle([key for key, _ in scene.once(_pairs)])

    gets = min(_GETS, len(scene.once(_pairs)))

    def work() -> None:
        with shelf.transaction():
            for key in islice(keys, gets):
                shelf.get(key)

    return timed(work, per=gets, at_least=0.05)


def _scan(make: Make, scene: Scene) -> Measure:
    shelf = _full(make, scene)

    def work() -> None:
        for _ in shelf.scan():
            pass

    return timed(work, per=len(scene.once(_pairs)))


def _open(make: Make, scene: Scene) -> Measure:
    path = _path(scene)
    shelf = make(path)
    pairs = scene.once(_pairs)
    shelf.batch(pairs)
    shelf.close()

    def work() -> None:
        shelf = make(path)
        shelf.get(pairs[0][0])
        shelf.close()

    return timed(work)


def _size(make: Make, scene: Scene) -> Measure:
    path = _path(scene)
    pairs = scene.once(_pairs)
    shelf = make(path)
    for turn in range(_OVERWRITES):
        shelf.batch([(key, value[turn:] + value[:turn]) for key, value in pairs])
    shelf.close()
    size = float(sum(_sizes(os.path.dirname(path))))
    return lambda: size


def _sizes(folder: str) -> list[int]:
    return [
        os.stat(os.path.join(place, name)).st_blocks * 512
        for place, _, names in os.walk(folder)
        for name in names
    ]


_ITEMS: Final = "100,000 items of 100 bytes."
_LINES: Final = (
    Line("batch", "Batch put", f"{_ITEMS} All in one commit, in no order.", A_SECOND, _batch),
    Line("put", "Durable put", f"{_ITEMS} One is set, and on the disk.", A_SECOND, _put),
    Line("get", "Get", f"{_ITEMS} One is read, each time anew.", A_SECOND, _get),
    Line(
        "gets",
        "Get in one transaction",
        f"{_ITEMS} As above, of one state.",
        A_SECOND,
        _get_together,
    ),
    Line("scan", "Scan", f"{_ITEMS} All are read in order, item by item.", A_SECOND, _scan),
    Line("open", "Open, get, close", f"{_ITEMS} The files are cached.", MILLISECONDS, _open),
    Line(
        "size",
        "Size after ten overwrites of all",
        f"{_ITEMS} Blocks on the disk after closing.",
        MEGABYTES,
        _size,
    ),
)
