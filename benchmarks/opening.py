"""Open a store of many files, and read one value."""

from __future__ import annotations

import json
import shelve
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle
from random import Random
from typing import Any, Final

import objstore

from . import peers, plain
from .data import key, record, records
from .harness import Contender, Measure, Scene, Work, timed
from .models import People
from .targets import Targets, ahead_of, at_most
from .units import MILLISECONDS

_SAMPLE: Final = 0.1
"""Long enough that what the contender before has left in the processor matters to none."""


def works() -> list[Work]:
    return [
        Work(
            name="open",
            title="Open a store of 10,000 files and read one value",
            about=(
                "A program that looks something up and ends: each time the store is opened anew, "
                "and another record of 1 KB is read. Files are in the operating system's cache."
            ),
            unit=MILLISECONDS,
            contenders=[
                Contender("orjson", _orjson, "open, read and parse the file by its name", "limit"),
                Contender("objstore, typed", _typed, "validates what it loads", "ours"),
                Contender("objstore, untyped", _untyped, "plain Dicts, of any keys", "ours"),
                Contender("signac, by state point", _signac_by_state_point, "its hash is the name"),
                Contender("signac, by id", _signac_by_id, "the hash is known"),
                Contender("datafiles", _datafiles, "`objects.get(key)` of a model made before"),
                Contender("ZODB", _zodb, "a B-tree of records in one file"),
                Contender("sqlite3", _sqlite("delete"), "a table of JSON texts by key"),
                Contender("sqlite3, WAL", _sqlite("wal"), "in the mode of durable programs"),
                Contender("tinydb", _tinydb, "reads the whole file"),
                Contender("shelve", _shelve, "on the `dbm` that this Python has"),
            ],
            targets=Targets(
                ahead_of("signac", "ZODB", "datafiles", "sqlite3"), at_most(0.0003, "0.3 ms")
            ),
        )
    ]


def _numbers(scene: Scene) -> Iterator[int]:
    """Which records are read: another one each time, in no order that a disk would like."""
    order = list(range(scene.sizes.files))
    Random(1).shuffle(order)
    return cycle(order)


def _reading(scene: Scene, read: Callable[[str], Any]) -> Measure:
    numbers = _numbers(scene)
    expected = record(0)["name"]
    if (found := read(key(0))) != expected:
        raise ValueError(f"read {found!r}, not {expected!r}")
    return timed(lambda: read(key(next(numbers))), at_least=_SAMPLE)


def _orjson(scene: Scene) -> Measure:
    folder = scene.once(plain.many_people)
    return _reading(scene, lambda name: plain.load(f"{folder}/people/{name}.json")["name"])


def _typed(scene: Scene) -> Measure:
    folder = scene.once(plain.many_people)

    def read(name: str) -> Any:
        with objstore.open(folder, People) as store:
            return store.root.people[name].name

    return _reading(scene, read)


def _untyped(scene: Scene) -> Measure:
    folder = scene.once(plain.many_people)

    def read(name: str) -> Any:
        with objstore.open(folder) as store:
            return store.root["people"][name]["name"]

    return _reading(scene, read)


def _signac_filled(scene: Scene) -> tuple[str, list[str]]:
    folder = scene.new_folder("signac")
    return folder, peers.signac_project(folder, records(scene.sizes.files))


def _signac_by_state_point(scene: Scene) -> Measure:
    signac = peers.need("signac")
    folder, _ = scene.once(_signac_filled)
    return _reading(
        scene, lambda name: signac.get_project(folder).open_job({"key": name}).document["name"]
    )


def _signac_by_id(scene: Scene) -> Measure:
    signac = peers.need("signac")
    folder, ids = scene.once(_signac_filled)
    by_key = {key(number): id for number, id in enumerate(ids)}
    return _reading(
        scene, lambda name: signac.Project(folder).open_job(id=by_key[name]).document["name"]
    )


def _datafiles(scene: Scene) -> Measure:
    model = peers.datafiles_people(scene.once(plain.many_people))
    return _reading(scene, lambda name: model.objects.get(key=name).name)


def _zodb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/people.fs"
    peers.zodb_people(path, records(scene.sizes.files))

    def read(name: str) -> Any:
        with peers.zodb_root(path) as root:
            return root["people"][name]["name"]

    return _reading(scene, read)


def _sqlite(mode: str) -> Callable[[Scene], Measure]:
    query = "select contents from people where key = ?"

    def start(scene: Scene) -> Measure:
        path = f"{scene.new_folder('sqlite')}/people.db"
        peers.sqlite_people(path, records(scene.sizes.files))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"pragma journal_mode = {mode}")

        def read(name: str) -> Any:
            with closing(sqlite3.connect(path)) as connection:
                return json.loads(connection.execute(query, (name,)).fetchone()[0])["name"]

        return _reading(scene, read)

    return start


def _tinydb(scene: Scene) -> Measure:
    tinydb = peers.need("tinydb")
    path = f"{scene.new_folder('tinydb')}/people.json"
    peers.tinydb_people(path, records(scene.sizes.files))

    def read(name: str) -> Any:
        with tinydb.TinyDB(path) as database:
            return database.get(doc_id=int(name[1:]) + 1)["name"]

    return _reading(scene, read)


def _shelve(scene: Scene) -> Measure:
    path = f"{scene.new_folder('shelve')}/people"
    peers.shelve_people(path, records(scene.sizes.files))

    def read(name: str) -> Any:
        with shelve.open(path, "r") as shelf:
            return shelf[name]["name"]

    return _reading(scene, read)
