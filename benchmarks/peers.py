"""Stores of the peers, filled with our records. No peer is imported before it is needed."""

from __future__ import annotations

import importlib
import json
import logging
import shelve
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from .data import Record
from .datafiles_models import make_models
from .harness import MissingPeerError

DISTRIBUTIONS: Final = (
    *("objstore", "orjson", "jsonschema", "jsonschema-rs", "PyYAML"),
    *("signac", "datafiles", "ZODB", "persistent", "tinydb", "pydantic"),
    *("watchdog", "watchfiles", "eventsourcing"),
    *("lmdb", "sqlitedict", "diskcache", "apsw", "rocksdict"),
)


def need(module: str) -> Any:
    """A module that may not be installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPeerError(f"not installed, or does not run on this Python: {error}") from error


def versions() -> dict[str, str]:
    """The versions of all that is compared; "not installed" is one."""
    return {name: _version(name) for name in DISTRIBUTIONS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


# signac: a job is a folder, named by the hash of its state point, with a document in it.


def signac_project(folder: str, people: Mapping[str, Record]) -> list[str]:
    """Fill a project; the ids of its jobs."""
    project = need("signac").init_project(folder)
    ids: list[str] = []
    for name, person in people.items():
        job = project.open_job({"key": name}).init()
        job.document.update(person)
        ids.append(job.id)
    return ids


# datafiles: dataclasses whose attributes are read from and written to files.


def datafiles_people(folder: str) -> Any:
    """The model of ``people/<key>.json`` below a folder."""
    return _datafile(f"{folder}/people/{{self.key}}.json")(make_models()[0])


def datafiles_document(folder: str) -> Any:
    """The model of one large document, ``<key>.json``."""
    return _datafile(f"{folder}/{{self.key}}.json")(make_models()[1])


def _datafile(pattern: str) -> Any:
    module = need("datafiles")
    logging.getLogger("datafiles").setLevel(logging.CRITICAL)
    return module.datafile(pattern)


# ZODB: one file of pickles.


@contextmanager
def zodb_open(path: str) -> Iterator[Any]:
    """A database, open."""
    storage = need("ZODB.FileStorage").FileStorage(path)
    with closing(need("ZODB").DB(storage)) as database:
        yield database


@contextmanager
def zodb_root(path: str) -> Iterator[Any]:
    """The root of a database, in a connection of its own."""
    with zodb_open(path) as database, closing(database.open()) as connection:
        yield connection.root()


def zodb_people(path: str, people: Mapping[str, Record]) -> None:
    """Fill a database: a B-tree of people, each a record of its own."""
    mapping = need("persistent.mapping").PersistentMapping
    with zodb_open(path) as database, database.transaction() as connection:
        tree = need("BTrees.OOBTree").OOBTree()
        tree.update({name: mapping(person) for name, person in people.items()})
        connection.root()["people"] = tree


def zodb_document(path: str, document: Record) -> None:
    """Fill a database with one large record."""
    mapping = need("persistent.mapping").PersistentMapping
    with zodb_open(path) as database, database.transaction() as connection:
        connection.root()["doc"] = mapping(document)


# sqlite3: a table of JSON texts by key.


def sqlite_people(path: str, people: Mapping[str, Record]) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table people (key text primary key, contents text)")
        rows = [(name, json.dumps(person)) for name, person in people.items()]
        connection.executemany("insert into people values (?, ?)", rows)
    connection.close()


def sqlite_durable(path: str) -> sqlite3.Connection:
    """A connection as fast as it gets with commits that survive a power cut."""
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


# tinydb: one JSON file, read and written whole.


def tinydb_people(path: str, people: Mapping[str, Record]) -> None:
    with need("tinydb").TinyDB(path) as database:
        database.insert_multiple(people.values())


# shelve: pickles in the dbm that this Python has.


def shelve_people(path: str, people: Mapping[str, Record]) -> None:
    with shelve.open(path) as shelf:
        shelf.update(people)


def shelve_dbm() -> str:
    """What shelves lie on: the best module that this Python was built with."""
    return next(name for name in ("sqlite3", "gnu", "ndbm", "dumb") if _has_dbm(name))


def shelve_note() -> str:
    synced = "" if shelve_dbm() == "gnu" else ", which is no fsync there"
    return f"on dbm.{shelve_dbm()}, `sync()` after each change{synced}"


def _has_dbm(name: str) -> bool:
    try:
        importlib.import_module(f"dbm.{name}")
    except ImportError:
        return False
    return True
