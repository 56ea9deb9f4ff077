"""Change many documents together."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import objstore

from . import peers, plain
from .data import Record, records
from .harness import Contender, Measure, Scene, Work, timed
from .models import People
from .targets import Targets, ahead_of, at_most, faster
from .units import MILLISECONDS

_HAND = "orjson, atomic and durable, each"


def works() -> list[Work]:
    return [
        Work(
            "together",
            "Change 100 documents of 1 KB together",
            "One number in each. By hand each file is replaced for itself: after a crash some have "
            "changed and some have not.",
            MILLISECONDS,
            [
                Contender(_HAND, _by_hand, "not atomic together", "limit"),
                Contender("objstore, typed", _typed(), "one transaction", "ours"),
                Contender("objstore, untyped", _untyped, "one transaction", "ours"),
                Contender(
                    "objstore, lazy",
                    _typed(apply="lazy"),
                    "in the log; the files follow within a second, and are not counted",
                    "ours",
                    targets=Targets(ahead_of("ZODB"), at_most(0.002, "2 ms")),
                ),
                Contender("ZODB", _zodb, "one transaction"),
                Contender("sqlite3", _sqlite, "one transaction, WAL, synchronous = full"),
                Contender("tinydb", _tinydb, "in place: a crash in between tears the file"),
                Contender("datafiles", _datafiles, "not atomic together, no fsync"),
                Contender("signac", _signac, "buffered; not atomic together, no fsync"),
            ],
            Targets(faster(_HAND, 2.5)),
        )
    ]


def _changing(change: Callable[[int], object]) -> Measure:
    numbers = count(1_000_000)
    return timed(lambda: change(next(numbers)), at_least=0.05)


def _people(scene: Scene) -> dict[str, Record]:
    return records(scene.sizes.together)


def _files(scene: Scene) -> str:
    return plain.people_files(scene.new_folder("together"), _people(scene))


def _by_hand(scene: Scene) -> Measure:
    folder = _files(scene)
    people = _people(scene)

    def work(number: int) -> None:
        for name, person in people.items():
            person["visits"] = number
            plain.replace(f"{folder}/people/{name}.json", plain.dump(person))

    return _changing(work)


def _typed(**options: Any) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        store = scene.stack.enter_context(objstore.open(_files(scene), People, **options))
        people = list(store.root.people.values())

        def work(number: int) -> None:
            with store.transaction():
                for person in people:
                    person.visits = number

        measure = _changing(work)

        def sample() -> float:
            took = measure()
            store.flush()  # between samples, so that it disturbs no other's
            return took

        return sample

    return start


def _untyped(scene: Scene) -> Measure:
    store = scene.stack.enter_context(objstore.open(_files(scene)))
    people = list(store.root["people"].values())

    def work(number: int) -> None:
        with store.transaction():
            for person in people:
                person["visits"] = number

    return _changing(work)


def _zodb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/people.fs"
    peers.zodb_people(path, _people(scene))
    people = list(scene.stack.enter_context(peers.zodb_root(path))["people"].values())
    transaction = peers.need("transaction")

    def work(number: int) -> None:
        for person in people:
            person["visits"] = number
        transaction.commit()

    return _changing(work)


def _sqlite(scene: Scene) -> Measure:
    path = f"{scene.new_folder('sqlite')}/people.db"
    people = _people(scene)
    peers.sqlite_people(path, people)
    connection = peers.sqlite_durable(path)
    scene.stack.callback(connection.close)

    def work(number: int) -> None:
        with connection:
            for name, person in people.items():
                person["visits"] = number
                row = (json.dumps(person), name)
                connection.execute("update people set contents = ? where key = ?", row)

    return _changing(work)


def _tinydb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('tinydb')}/people.json"
    peers.tinydb_people(path, _people(scene))
    database = scene.stack.enter_context(peers.need("tinydb").TinyDB(path))
    return _changing(lambda number: database.update({"visits": number}))


def _datafiles(scene: Scene) -> Measure:
    model = peers.datafiles_people(_files(scene))
    people = [model.objects.get(key=name) for name in _people(scene)]

    def work(number: int) -> None:
        for person in people:
            person.visits = number

    return _changing(work)


def _signac(scene: Scene) -> Measure:
    signac = peers.need("signac")
    folder = scene.new_folder("signac")
    ids = peers.signac_project(folder, _people(scene))
    project = signac.Project(folder)
    jobs = [project.open_job(id=id) for id in ids]

    def work(number: int) -> None:
        with signac.buffered():
            for job in jobs:
                job.document["visits"] = number

    return _changing(work)
