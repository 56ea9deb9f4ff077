"""Read a value three levels down, of what is loaded."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import objstore

from . import peers, plain
from .data import key, record, records
from .harness import Contender, Kind, Measure, Scene, Work
from .models import People
from .targets import Targets, times
from .units import NANOSECONDS

_UNROLLED: Final = 50
_ROUNDS: Final = 35
_ATTRIBUTES: Final = "it.address.geo.lat"
_ITEMS: Final = "it['address']['geo']['lat']"

Find = Callable[[Scene], Any]
"""Gives the loaded record to read from."""


def works() -> list[Work]:
    limit = _read("dict", _dict, _ITEMS, "three items of nested dicts", "limit")
    about = "The record is loaded and held; `address`, `geo` and `lat` are read one after another."
    return [
        Work(
            "attribute",
            "Attribute read three levels down, loaded",
            about,
            NANOSECONDS,
            [
                limit,
                _read("objstore, typed", _typed, _ATTRIBUTES, "of declared classes", "ours"),
                _read("objstore, untyped", _untyped, _ATTRIBUTES, "plain Dicts", "ours"),
                _in_transaction(_ATTRIBUTES),
                _read("SimpleNamespace", _namespace, _ATTRIBUTES, "no store, no types"),
                _read("pydantic", _pydantic, _ATTRIBUTES, "no store"),
                _read("ZODB, Persistent", _persistent, _ATTRIBUTES, "the base class is C"),
                _read("datafiles", _datafiles, _ATTRIBUTES, "asks the file at every hop"),
                _read("signac", _signac, _ATTRIBUTES, "reads the file at every hop"),
            ],
            Targets(times("dict", 5), times("dict", 2)),
            _ROUNDS,
        ),
        Work(
            "item",
            "Item read three levels down, loaded",
            about,
            NANOSECONDS,
            [
                limit,
                _read("objstore, typed", _typed, _ITEMS, "of declared classes", "ours"),
                _read("objstore, untyped", _untyped, _ITEMS, "plain Dicts", "ours"),
                _in_transaction(_ITEMS),
                _read("ZODB, PersistentMapping", _mappings, _ITEMS, "a mapping at every level"),
                _read("signac", _signac, _ITEMS, "reads the file at every hop"),
            ],
            Targets(times("dict", 8), times("dict", 4)),
            _ROUNDS,
        ),
    ]


def _read(name: str, find: Find, expression: str, note: str = "", kind: Kind = "peer") -> Contender:
    return Contender(name, lambda scene: _measure(find(scene), expression), note, kind)


def _in_transaction(expression: str) -> Contender:
    def start(scene: Scene) -> Measure:
        store = _store(scene)
        person = store.root.people[key(0)]
        scene.stack.enter_context(store.transaction())
        person.visits = -1
        return _measure(person, expression)

    note = "the record has an uncommitted change, so that nothing is kept at hand"
    return Contender("objstore, within a transaction", start, note, "ours", judged=False)


def _measure(found: Any, expression: str) -> Measure:
    names = {"found": found}
    timer = timeit.Timer("; ".join([expression] * _UNROLLED), "it = found", globals=names)
    timer.timeit(10)
    calls = max(1, round(0.005 / (timer.timeit(10) / 10)))
    return lambda: timer.timeit(calls) / calls / _UNROLLED


def _dict(scene: Scene) -> Any:
    return record(0)


def _folder(scene: Scene) -> str:
    return plain.people_files(scene.new_folder("access"), records(1))


def _store(scene: Scene) -> objstore.Store[People]:
    return scene.stack.enter_context(objstore.open(_folder(scene), People))


def _typed(scene: Scene) -> Any:
    return _store(scene).root.people[key(0)]


def _untyped(scene: Scene) -> Any:
    store = scene.stack.enter_context(objstore.open(_folder(scene)))
    return store.root["people"][key(0)]


def _namespace(scene: Scene) -> Any:
    return _as_namespace(record(0))


def _as_namespace(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return SimpleNamespace(**{name: _as_namespace(part) for name, part in value.items()})


def _pydantic(scene: Scene) -> Any:
    return peers.need("benchmarks.pydantic_models").Person.model_validate(record(0))


def _persistent(scene: Scene) -> Any:
    root = _zodb_root(scene)
    root["it"] = peers.need("benchmarks.persistent_models").as_persistent(record(0))
    peers.need("transaction").commit()
    return root["it"]


def _mappings(scene: Scene) -> Any:
    root = _zodb_root(scene)
    root["it"] = peers.need("benchmarks.persistent_models").as_mappings(record(0))
    peers.need("transaction").commit()
    return root["it"]


def _zodb_root(scene: Scene) -> Any:
    return scene.stack.enter_context(peers.zodb_root(f"{scene.new_folder('zodb')}/access.fs"))


def _datafiles(scene: Scene) -> Any:
    return peers.datafiles_people(_folder(scene)).objects.get(key=key(0))


def _signac(scene: Scene) -> Any:
    signac = peers.need("signac")
    folder = scene.new_folder("signac")
    [job] = peers.signac_project(folder, records(1))
    return signac.Project(folder).open_job(id=job).document
