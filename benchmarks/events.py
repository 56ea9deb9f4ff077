"""Append events, replay them, and find one among many."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import count, islice
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import orjson

from objstore.backings.filesystem import RecordKeeper, open_events
from objstore.events import EventLog

from . import children, peers, plain
from .harness import Contender, Measure, Scene, Work, timed
from .targets import Bound, Medians, Targets, ahead_of, at_most, faster, times
from .units import A_SECOND, MICROSECONDS, Unit

_LINE: Final = "JSON line and fsync"
_AHEAD: Final = "JSON line and fdatasync"
_SHARED: Final = "16 threads, one fdatasync, by hand"
_GROUP: Final = "100 lines, one fdatasync"
_HAND: Final = "a durable file each, by hand"
_ORJSON: Final = "orjson alone"
_CHAIN: Final = "orjson and SHA-256"
_ONE: Final = "objstore, one thread"
_PEER: Final = "eventsourcing"
_SAMPLE: Final = 0.2
_BATCH: Final = 100
_THREADS: Final = 16
_READS: Final = 200

_BYTES: Final = Unit("bytes an event", lambda size: size, "size")


def works() -> list[Work]:
    return [_append(), _batch(), _threads(), _replay(), _verify(), _tree(), _read(), _memory()]


def _append() -> Work:
    return Work(
        "events-append",
        "Durable append of an event of 200 bytes, one at a time",
        "Each is on the disk before the next begins.",
        A_SECOND,
        [
            Contender(_LINE, _lines(1, os.fsync), "a file that nobody reads", "limit"),
            Contender(_AHEAD, _reserved, "the same in space set aside", "limit"),
            Contender("objstore", _segments(1), "locks, checks, chains", "ours"),
            Contender(_PEER, _eventsourcing(1), "its recorder on SQLite, WAL, synchronous = full"),
            Contender("sqlite3", _sqlite(1), "a table, WAL, synchronous = full"),
        ],
        Targets(_both(times(_LINE, 1.25), faster(_PEER, 3)), times(_LINE, 1 / 1.2)),
    )


def _batch() -> Work:
    return Work(
        "events-batch",
        "Durable append of events, 100 at a time",
        "Figures are for an event.",
        A_SECOND,
        [
            Contender(_GROUP, _lines(_BATCH, os.fdatasync), "a file that nobody reads", "limit"),
            Contender("objstore", _segments(_BATCH), "one record, all or none", "ours"),
            Contender(_PEER, _eventsourcing(_BATCH), "one transaction"),
            Contender("sqlite3", _sqlite(_BATCH), "one transaction"),
        ],
        Targets(faster(_PEER, 5), times(_GROUP, 1 / 0.6)),
    )


def _threads() -> Work:
    return Work(
        "events-threads",
        "Durable append of events by 16 threads, one at a time each",
        "Threads that wait for the disk share one sync.",
        A_SECOND,
        [
            Contender(_ONE, _segments(1), "one at a time", "limit"),
            Contender(_SHARED, _by_hand_together, "lines in space set aside", "limit"),
            Contender("objstore, 16 threads", _threaded, "one log", "ours"),
        ],
        Targets(faster(_ONE, 3)),
    )


def _replay() -> Work:
    return Work(
        "events-replay",
        "Replay of a log",
        "Every event is decoded and its data looked at; figures are for an event.",
        A_SECOND,
        [
            Contender(_ORJSON, _loads, "JSON lines in memory", "limit"),
            Contender("objstore", _replayed(_BATCH), "appended 100 at a time", "ours"),
            Contender(
                "objstore, one by one", _replayed(1), "appended one at a time", "ours", judged=False
            ),
            Contender(_PEER, _scanned, "its notification log, data loaded by orjson"),
            Contender("sqlite3", _selected, "data loaded by orjson"),
        ],
        Targets(
            _both(at_most(1e-6, "1 M/s"), ahead_of(_PEER)),
            times(_ORJSON, 1 / 0.7),
        ),
    )


def _verify() -> Work:
    return Work(
        "events-verify",
        "Replay of a log with verification of its chain",
        "The same, with a SHA-256 for each event.",
        A_SECOND,
        [
            Contender(_CHAIN, _hashed, "JSON lines in memory, each line as it is", "limit"),
            Contender("objstore", _verified, "EventLog.verify", "ours"),
        ],
        Targets(at_most(2e-6, "0.5 M/s"), times(_CHAIN, 1 / 0.7)),
    )


def _tree() -> Work:
    return Work(
        "events-tree",
        "Durable add of an event to seed 000's tree",
        "Folders by three digits, an event a file.",
        A_SECOND,
        [
            Contender(_HAND, _by_hand, "temporary file, fsync, rename, fsync folder", "limit"),
            Contender("objstore", _keeper, "and a link, made exclusively", "ours"),
        ],
        Targets(times(_HAND, 1 / 0.7)),
    )


def _read() -> Work:
    return Work(
        "events-read",
        "Read an event by its UUID, among very many",
        "A thousand times as many as files elsewhere: ten million in a full run. Random ones, so"
        " that each is looked for anew.",
        MICROSECONDS,
        [Contender("objstore", _reading, "in batches of 100", "ours")],
        Targets(at_most(200e-6, "200 µs"), at_most(50e-6, "50 µs")),
    )


def _memory() -> Work:
    return Work(
        "events-memory",
        "Memory of a log that finds events by UUID",
        "How far the resident set of a process rises that opens the same log and reads 2,000 of"
        " its events, files mapped included.",
        _BYTES,
        [Contender("objstore", _resident, "its index is mapped", "ours")],
        Targets(at_most(30, "30 bytes")),
        rounds=1,
    )


def _both(one: Bound, other: Bound) -> Bound:
    """The stricter of two."""

    def limit(medians: Medians) -> float | None:
        known = [limit for limit in (one.limit(medians), other.limit(medians)) if limit is not None]
        return min(known, default=None)

    return Bound(f"{one.text} and {other.text}", limit)


def _data(number: int) -> dict[str, Any]:
    return {"id": f"p{number:07}", "name": "Ada Lovelace", "tags": ["amber", "basil"], "n": number}


def _line(number: int) -> bytes:
    """About what an event says, without its place."""
    event = {"data": _data(number), "time": "2026-11-20T10:00:00.000000Z"}
    return orjson.dumps({**event, "type": "person-added", "uuid": str(uuid4())}) + b"\n"


def _numbers(size: int) -> Callable[[], list[int]]:
    numbers = count()
    return lambda: list(islice(numbers, size))


# Appending


def _lines(size: int, sync: Callable[[int], None]) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        path = f"{scene.new_folder('lines')}/events.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        scene.stack.callback(os.close, descriptor)
        numbers = _numbers(size)

        def work() -> None:
            os.write(descriptor, b"".join(map(_line, numbers())))
            sync(descriptor)

        return timed(work, per=size, at_least=_SAMPLE)

    return start


def _reserved(scene: Scene) -> Measure:
    path = f"{scene.new_folder('reserved')}/events.jsonl"
    log = scene.stack.enter_context(plain.Reserved(path))
    numbers = count()
    return timed(lambda: log.append(_line(next(numbers))), at_least=_SAMPLE)


def _segments(size: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        log = scene.stack.enter_context(open_events(scene.new_folder("events")))
        numbers = _numbers(size)

        def work() -> None:
            if size == 1:
                log.append("person-added", _data(*numbers()))
            else:
                log.extend(("person-added", _data(number)) for number in numbers())

        return timed(work, per=size, at_least=_SAMPLE)

    return start


def _threaded(scene: Scene) -> Measure:
    log = scene.stack.enter_context(open_events(scene.new_folder("events")))
    return _in_threads(scene, lambda number: log.append("person-added", _data(number)))


def _by_hand_together(scene: Scene) -> Measure:
    path = f"{scene.new_folder('together')}/events.jsonl"
    log = scene.stack.enter_context(plain.Shared(path))
    return _in_threads(scene, lambda number: log.append(_line(number)))


def _in_threads(scene: Scene, append: Callable[[int], object]) -> Measure:
    pool = scene.stack.enter_context(ThreadPoolExecutor(_THREADS))
    each = 20

    def some(who: int) -> None:
        for number in range(each):
            append(number)

    def work() -> None:
        list(pool.map(some, range(_THREADS)))

    return timed(work, per=each * _THREADS, at_least=_SAMPLE)


def _recorder(scene: Scene) -> tuple[Any, Any]:
    sqlite = peers.need("eventsourcing.sqlite")
    store = sqlite.SQLiteDatastore(f"{scene.new_folder('eventsourcing')}/events.db")
    scene.stack.callback(store.close)
    recorder = sqlite.SQLiteApplicationRecorder(store)
    recorder.create_table()
    return recorder, peers.need("eventsourcing.persistence").StoredEvent


def _stored(made: Any, number: int) -> Any:
    return made(uuid4(), 1, "person-added", orjson.dumps(_data(number)))


def _eventsourcing(size: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        recorder, made = _recorder(scene)
        numbers = _numbers(size)
        return timed(
            lambda: recorder.insert_events([_stored(made, number) for number in numbers()]),
            per=size,
            at_least=_SAMPLE,
        )

    return start


def _table(scene: Scene) -> sqlite3.Connection:
    connection = peers.sqlite_durable(f"{scene.new_folder('sqlite')}/events.db")
    scene.stack.callback(connection.close)
    connection.execute(
        "create table events (position integer primary key, uuid blob unique, type text,"
        " time text, data text)"
    )
    return connection


_INSERT: Final = "insert into events (uuid, type, time, data) values (?, ?, ?, ?)"


def _row(number: int) -> tuple[bytes, str, str, bytes]:
    time = "2026-11-20T10:00:00.000000Z"
    return uuid4().bytes, "person-added", time, orjson.dumps(_data(number))


def _sqlite(size: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        connection = _table(scene)
        numbers = _numbers(size)

        def work() -> None:
            with connection:
                connection.executemany(_INSERT, map(_row, numbers()))

        return timed(work, per=size, at_least=_SAMPLE)

    return start


# Replaying


def _size(scene: Scene) -> int:
    return 10 * scene.sizes.files


def _texts(scene: Scene) -> list[bytes]:
    return [_line(number) for number in range(_size(scene))]


def _loads(scene: Scene) -> Measure:
    texts = scene.once(_texts)

    def work() -> None:
        for text in texts:
            _look(orjson.loads(text)["data"])

    return timed(work, per=len(texts), at_least=_SAMPLE)


def _hashed(scene: Scene) -> Measure:
    texts = scene.once(_texts)

    def work() -> None:
        digest = bytes(32)
        for text in texts:
            _look(orjson.loads(text)["data"])
            digest = sha256(digest + text).digest()

    return timed(work, per=len(texts), at_least=_SAMPLE)


def _filled(scene: Scene, size: int, batch: int) -> EventLog:
    # Without syncs, as it is the reading that is measured.
    log = open_events(scene.new_folder("events"), sync=False)
    for start in range(0, size, batch):
        some = range(start, min(start + batch, size))
        log.extend(("person-added", _data(number)) for number in some)
    return log


def _replayed(batch: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        log = scene.stack.enter_context(_filled(scene, _size(scene), batch))

        def work() -> None:
            for event in log:
                _look(event.data)

        return timed(work, per=_size(scene), at_least=_SAMPLE)

    return start


def _verified(scene: Scene) -> Measure:
    log = scene.stack.enter_context(_filled(scene, _size(scene), _BATCH))
    return timed(log.verify, per=_size(scene), at_least=_SAMPLE)


def _look(data: object) -> None:
    """What a program does with the data begins here."""


def _scanned(scene: Scene) -> Measure:
    recorder, made = _recorder(scene)
    size = _size(scene)
    for start in range(0, size, 1000):
        some = range(start, min(start + 1000, size))
        recorder.insert_events([_stored(made, number) for number in some])

    def work() -> None:
        start: int | None = 1
        while found := recorder.select_notifications(start, 1000):
            for one in found:
                _look(orjson.loads(one.state))
            start = found[-1].id + 1

    return timed(work, per=size, at_least=_SAMPLE)


def _selected(scene: Scene) -> Measure:
    connection = _table(scene)
    size = _size(scene)
    with connection:
        connection.executemany(_INSERT, map(_row, range(size)))

    def work() -> None:
        for *_, data in connection.execute("select * from events order by position"):
            _look(orjson.loads(data))

    return timed(work, per=size, at_least=_SAMPLE)


# The tree


def _by_hand(scene: Scene) -> Measure:
    root = scene.new_folder("hand")
    made: set[str] = set()
    numbers = count()

    def work() -> None:
        uuid = str(uuid4())
        folder = f"{root}/{'/'.join(uuid[:3])}"
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            above = folder
            while above != root:
                above = os.path.dirname(above)
                _sync_folder(above)
            made.add(folder)
        plain.replace(f"{folder}/{uuid}", _line(next(numbers)))

    return timed(work, at_least=_SAMPLE)


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keeper(scene: Scene) -> Measure:
    log = scene.stack.enter_context(EventLog(RecordKeeper(scene.new_folder("tree"))))
    numbers = count()
    return timed(lambda: log.append("person-added", _data(next(numbers))), at_least=_SAMPLE)


# Very many


class _Many:
    """A log of very many events, and the UUIDs of some."""

    def __init__(self, scene: Scene) -> None:
        self.size = 1000 * scene.sizes.files
        self.folder = scene.new_folder("many")
        self.uuids: list[UUID] = []
        with open_events(self.folder, sync=False) as log:
            for start in range(0, self.size, _BATCH):
                some = ((f"t{n % 7}", _data(n)) for n in range(start, start + _BATCH))
                stored = log.extend(some)
                if Random(start).random() < 0.02 + 2000 / self.size:
                    self.uuids.append(stored[start % 97].uuid)
            log.exists(uuid4())
        Random(1).shuffle(self.uuids)


def _reading(scene: Scene) -> Measure:
    many = scene.once(_Many)
    log = scene.stack.enter_context(open_events(many.folder))
    wanted = _endless(many.uuids)

    def work() -> None:
        for uuid in islice(wanted, _READS):
            log.read(uuid)

    return timed(work, per=_READS)


def _endless(uuids: list[UUID]) -> Iterator[UUID]:
    while True:
        yield from uuids


def _resident(scene: Scene) -> Measure:
    many = scene.once(_Many)
    wanted = [str(uuid) for uuid in many.uuids[:2000]]
    command = ("-m", "benchmarks.events_child", many.folder, *wanted)
    return lambda: float(children.call(*command)["rise"]) / many.size
