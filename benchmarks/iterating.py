"""Read one key of every file in a directory."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable

import objstore

from . import peers, plain
from .data import records
from .harness import Contender, Measure, Scene, Work, timed
from .models import People
from .units import MILLISECONDS


def works() -> list[Work]:
    return [
        Work(
            "iterate",
            "Read one key of each of 1,000 files",
            "The store is opened anew, the directory listed, every file loaded. Files are in the "
            "operating system's cache.",
            MILLISECONDS,
            [
                Contender("orjson", _orjson, "list, then open, read and parse each", "limit"),
                Contender("objstore, typed", _typed, "validates what it loads", "ours"),
                Contender("objstore, untyped", _untyped, "plain Dicts, of any keys", "ours"),
                Contender("signac", _signac, "a job is a folder with two files"),
                Contender("datafiles", _datafiles, "`objects.all()` of a model made before"),
                Contender("ZODB", _zodb, "one file"),
                Contender("sqlite3", _sqlite, "one file"),
                Contender("tinydb", _tinydb, "one file, read whole"),
            ],
        )
    ]


def _summing(work: Callable[[], int], scene: Scene) -> Measure:
    count = scene.sizes.listed
    if work() != count * (count - 1) // 2:
        raise ValueError("not every record was read")
    return timed(work)


def _orjson(scene: Scene) -> Measure:
    folder = f"{scene.once(plain.some_people)}/people"
    return _summing(
        lambda: sum(plain.load(f"{folder}/{name}")["visits"] for name in os.listdir(folder)), scene
    )


def _typed(scene: Scene) -> Measure:
    folder = scene.once(plain.some_people)

    def work() -> int:
        with objstore.open(folder, People) as store:
            return sum(person.visits for person in store.root.people.values())

    return _summing(work, scene)


def _untyped(scene: Scene) -> Measure:
    folder = scene.once(plain.some_people)

    def work() -> int:
        with objstore.open(folder) as store:
            return sum(person["visits"] for person in store.root["people"].values())

    return _summing(work, scene)


def _signac(scene: Scene) -> Measure:
    signac = peers.need("signac")
    folder = scene.new_folder("signac")
    peers.signac_project(folder, records(scene.sizes.listed))
    return _summing(lambda: sum(job.document["visits"] for job in signac.Project(folder)), scene)


def _datafiles(scene: Scene) -> Measure:
    model = peers.datafiles_people(scene.once(plain.some_people))
    return _summing(lambda: sum(person.visits for person in model.objects.all()), scene)


def _zodb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/people.fs"
    peers.zodb_people(path, records(scene.sizes.listed))

    def work() -> int:
        with peers.zodb_root(path) as root:
            return sum(int(person["visits"]) for person in root["people"].values())

    return _summing(work, scene)


def _sqlite(scene: Scene) -> Measure:
    path = f"{scene.new_folder('sqlite')}/people.db"
    peers.sqlite_people(path, records(scene.sizes.listed))

    def work() -> int:
        connection = sqlite3.connect(path)
        rows = connection.execute("select contents from people")
        total = sum(int(json.loads(contents)["visits"]) for (contents,) in rows)
        connection.close()
        return total

    return _summing(work, scene)


def _tinydb(scene: Scene) -> Measure:
    tinydb = peers.need("tinydb")
    path = f"{scene.new_folder('tinydb')}/people.json"
    peers.tinydb_people(path, records(scene.sizes.listed))

    def work() -> int:
        with tinydb.TinyDB(path) as database:
            return sum(int(person["visits"]) for person in database)

    return _summing(work, scene)
