"""Change one key, durably."""

from __future__ import annotations

import json
import shelve
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import objstore

from . import peers, plain
from .data import Record, document, key, record
from .harness import Contender, Measure, Scene, Work, timed
from .models import Documents, People
from .targets import Targets, ahead_of, all_of, faster, times
from .units import A_SECOND

_HAND: Final = "orjson, atomic and durable"
_APPEND: Final = "append and fsync"
_RECORD: Final = "a record and fdatasync"
_BOTH: Final = "a record, fdatasync, the file"
_ONE_RECORD: Final = "ZODB, one record"
_SPLIT: Final = "ZODB, split by hand"
_LAZY: Final = "in the log; the file follows within a second, and is not counted"
_SAMPLE: Final = 0.2
_KEY: Final = key(0)
_PATCH: Final = b'{"op":"replace","path":"/visits","value":%d}\n'


def works() -> list[Work]:
    return [_small(), _medium()]


def _small() -> Work:
    return Work(
        "commit",
        "Durable change of one key, document of 1 KB",
        "The document is loaded and held; a number in it is set, again and again.",
        A_SECOND,
        [
            Contender(
                _HAND, _by_hand(_one), "temporary file, fsync, rename, fsync folder", "limit"
            ),
            Contender(
                "orjson, folder not synced",
                _by_hand(_one, sync_folder=False),
                "a power cut may bring the old file back",
                "limit",
            ),
            Contender(_APPEND, _append(_one), "a log that nobody reads", "limit"),
            Contender(
                _RECORD, _record(), "in space set aside: the least that lazy has to do", "limit"
            ),
            Contender(
                _BOTH,
                _record(with_file=True),
                "the file exchanged and not synced: the least that eager has to do",
                "limit",
            ),
            Contender("objstore, typed", _typed(), "validates, checks for other writers", "ours"),
            Contender("objstore, untyped", _untyped, "checks for other writers", "ours"),
            Contender(
                "objstore, lazy",
                _typed(apply="lazy"),
                _LAZY,
                "ours",
                targets=Targets(faster(_HAND, 3), times(_APPEND, 1)),
            ),
            Contender(
                "objstore, durability=os", _typed(durability="os"), "no fsync", "ours", judged=False
            ),
            Contender("ZODB", _zodb, "appends the record to its file"),
            Contender("sqlite3", _sqlite(_one), "WAL, synchronous = full"),
            Contender("tinydb", _tinydb(_one), "in place: a crash in between tears the file"),
            Contender("datafiles", _datafiles, "no fsync"),
            Contender("signac", _signac(_one), "no fsync"),
            Contender("shelve", _shelve(_one), peers.shelve_note()),
        ],
        Targets(faster(_HAND, 1.5), ahead_of("ZODB")),
    )


def _medium() -> Work:
    return Work(
        "commit-1mb",
        "Durable change of one key, document of 1 MB",
        "As above; the number is in one of a thousand records of the one document.",
        A_SECOND,
        [
            Contender(_HAND, _by_hand(_many), "the whole file is written", "limit"),
            Contender(_APPEND, _append(_many), "the whole document", "limit"),
            Contender("objstore, typed", _typed_many(), "the whole file is written", "ours"),
            Contender("objstore, untyped", _untyped_many, "the whole file is written", "ours"),
            Contender(
                "objstore, lazy",
                _typed_many(apply="lazy"),
                _LAZY,
                "ours",
                targets=Targets(
                    all_of(faster(_HAND, 8), faster(_ONE_RECORD, 50)), ahead_of(_SPLIT)
                ),
            ),
            Contender(_ONE_RECORD, _zodb_many, "appends the whole, pickled"),
            Contender(_SPLIT, _zodb, "each of the thousand is a record of its own"),
            Contender("sqlite3", _sqlite(_many), "one row"),
            Contender("tinydb", _tinydb(_many), "in place: a crash in between tears the file"),
            Contender("datafiles", _datafiles_many, "no fsync; has to be told to save"),
            Contender("signac", _signac(_many), "no fsync"),
            Contender("shelve", _shelve(_many), peers.shelve_note()),
        ],
        Targets(times(_HAND, 1)),
    )


# What is changed: ``change`` sets a number in a document of one record, or of many.

Change = Callable[[Any, int], None]
Case = Callable[[Scene], tuple[Record, Change]]


def _change_one(document: Any, number: int) -> None:
    document["visits"] = number


def _change_many(document: Any, number: int) -> None:
    document["records"][_KEY]["visits"] = number


def _one(scene: Scene) -> tuple[Record, Change]:
    return record(0), _change_one


def _many(scene: Scene) -> tuple[Record, Change]:
    return document(scene.sizes.medium), _change_many


def _changing(change: Callable[[int], object]) -> Measure:
    numbers = count(1_000_000)
    return timed(lambda: change(next(numbers)), at_least=_SAMPLE)


def _flushing(store: objstore.Store[Any], change: Callable[[int], object]) -> Measure:
    """As above; what is written later is written between samples, and disturbs no other's."""
    measure = _changing(change)

    def sample() -> float:
        took = measure()
        store.flush()
        return took

    return sample


# By hand


def _by_hand(case: Case, *, sync_folder: bool = True) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        path = f"{scene.new_folder('hand')}/doc.json"

        def work(number: int) -> None:
            change(value, number)
            plain.replace(path, plain.dump(value), sync_folder=sync_folder)

        return _changing(work)

    return start


def _append(case: Case) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        log = scene.stack.enter_context(plain.Log(f"{scene.new_folder('log')}/log.json"))

        def work(number: int) -> None:
            change(value, number)
            log.append(plain.dump(value))

        return _changing(work)

    return start


def _record(*, with_file: bool = False) -> Callable[[Scene], Measure]:
    """The system calls without which a change is not in a log, or in log and file."""

    def start(scene: Scene) -> Measure:
        value, change = _one(scene)
        folder = scene.new_folder("record")
        path = f"{folder}/doc.json"
        plain.write(path, plain.dump(value))
        log = scene.stack.enter_context(plain.Reserved(f"{folder}/log.json"))

        def work(number: int) -> None:
            change(value, number)
            log.append(_PATCH % number)
            if with_file:
                plain.exchange(path, plain.dump(value))

        return _changing(work)

    return start


# Ours


def _people(scene: Scene) -> str:
    return plain.people_files(scene.new_folder("objstore"), {_KEY: record(0)})


def _documents(scene: Scene) -> str:
    folder = scene.new_folder("objstore")
    plain.write(f"{folder}/doc.json", plain.dump(document(scene.sizes.medium)))
    return folder


def _typed(**options: Any) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        store = scene.stack.enter_context(objstore.open(_people(scene), People, **options))
        person = store.root.people[_KEY]
        return _flushing(store, lambda number: setattr(person, "visits", number))

    return start


def _untyped(scene: Scene) -> Measure:
    store = scene.stack.enter_context(objstore.open(_people(scene)))
    person = store.root["people"][_KEY]
    return _changing(lambda number: _change_one(person, number))


def _typed_many(**options: Any) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        store = scene.stack.enter_context(objstore.open(_documents(scene), Documents, **options))
        doc = store.root.doc
        return _flushing(store, lambda number: _change_many(doc, number))

    return start


def _untyped_many(scene: Scene) -> Measure:
    store = scene.stack.enter_context(objstore.open(_documents(scene)))
    doc = store.root["doc"]
    return _changing(lambda number: _change_many(doc, number))


# Peers


def _zodb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/people.fs"
    peers.zodb_people(path, document(scene.sizes.medium)["records"])
    person = scene.stack.enter_context(peers.zodb_root(path))["people"][_KEY]
    transaction = peers.need("transaction")

    def work(number: int) -> None:
        person["visits"] = number
        transaction.commit()

    return _changing(work)


def _zodb_many(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/doc.fs"
    peers.zodb_document(path, document(scene.sizes.medium))
    doc = scene.stack.enter_context(peers.zodb_root(path))["doc"]
    transaction = peers.need("transaction")

    def work(number: int) -> None:
        _change_many(doc, number)
        doc._p_changed = True
        transaction.commit()

    return _changing(work)


def _sqlite(case: Case) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        path = f"{scene.new_folder('sqlite')}/people.db"
        peers.sqlite_people(path, {_KEY: value})
        connection = peers.sqlite_durable(path)
        scene.stack.callback(connection.close)

        def work(number: int) -> None:
            change(value, number)
            with connection:
                row = (json.dumps(value), _KEY)
                connection.execute("update people set contents = ? where key = ?", row)

        return _changing(work)

    return start


def _tinydb(case: Case) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        path = f"{scene.new_folder('tinydb')}/people.json"
        peers.tinydb_people(path, {_KEY: value})
        database = scene.stack.enter_context(peers.need("tinydb").TinyDB(path))
        return _changing(lambda number: database.update(lambda it: change(it, number), doc_ids=[1]))

    return start


def _datafiles(scene: Scene) -> Measure:
    person = peers.datafiles_people(_people(scene)).objects.get(key=_KEY)
    return _changing(lambda number: setattr(person, "visits", number))


def _datafiles_many(scene: Scene) -> Measure:
    found = peers.datafiles_document(_documents(scene)).objects.get("doc")

    def work(number: int) -> None:
        found.records[_KEY]["visits"] = number
        found.datafile.save()

    return _changing(work)


def _signac(case: Case) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        signac = peers.need("signac")
        folder = scene.new_folder("signac")
        [id] = peers.signac_project(folder, {_KEY: value})
        job = signac.Project(folder).open_job(id=id)
        return _changing(lambda number: change(job.document, number))

    return start


def _shelve(case: Case) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        value, change = case(scene)
        path = f"{scene.new_folder('shelve')}/people"
        shelf = scene.stack.enter_context(shelve.open(path))  # noqa: SIM115 - the stack closes it

        def work(number: int) -> None:
            change(value, number)
            shelf[_KEY] = value
            shelf.sync()

        return _changing(work)

    return start
