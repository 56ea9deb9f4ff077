"""Load a large document, and read one leaf."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import objstore
import orjson

from . import peers, plain
from .data import document, key
from .harness import Contender, Measure, Scene, Work, timed
from .models import Documents
from .targets import Targets, below, times
from .units import MILLISECONDS

_LEAF = key(1)


def works() -> list[Work]:
    targets = Targets(times("orjson", 1.2), below("orjson"))
    return [
        Work(
            "load",
            "Load a document of 10 MB and read one leaf",
            "One file of records, indented by two spaces, opened anew each time.",
            MILLISECONDS,
            [
                Contender("orjson", _by_hand(plain.load), "read the file, parse it", "limit"),
                Contender("orjson, collector off", _by_hand(_load_paused), kind="limit"),
                Contender("json", _by_hand(_load_json), kind="limit"),
                Contender("objstore, untyped", _untyped(plain.large_document), kind="ours"),
                Contender("objstore, typed", _typed, "validates every record", "ours"),
                Contender("pydantic", _pydantic, "orjson, then models of every record"),
                Contender("ZODB", _zodb, "one record"),
                Contender("tinydb", _tinydb),
                Contender("signac", _signac),
                Contender("datafiles", _datafiles),
            ],
            targets,
        ),
        Work(
            "load-flat",
            "Load a document of 10 MB that is one line, and read one leaf",
            "The same contents as programs write them, with no indentation.",
            MILLISECONDS,
            [
                Contender("orjson", _by_hand(plain.load, plain.large_in_one_line), kind="limit"),
                Contender("objstore, untyped", _untyped(plain.large_in_one_line), kind="ours"),
            ],
            targets,
        ),
    ]


Make = Callable[[Scene], str]


def _by_hand(
    load: Callable[[str], Any], make: Make = plain.large_document
) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        path = f"{scene.once(make)}/doc.json"

        def work() -> object:
            found = load(path)
            return found, found["records"][_LEAF]["address"]["city"]

        return timed(work)

    return start


def _load_paused(path: str) -> Any:
    gc.disable()
    try:
        return plain.load(path)
    finally:
        gc.enable()


def _load_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _untyped(make: Make) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        folder = scene.once(make)

        def work() -> object:
            store = objstore.open(folder)
            found = store.root["doc"]
            return store, found, found["records"][_LEAF]["address"]["city"]

        return timed(work)

    return start


def _typed(scene: Scene) -> Measure:
    folder = scene.once(plain.large_document)

    def work() -> object:
        store = objstore.open(folder, Documents)
        found = store.root.doc
        return store, found, found.records[_LEAF].address.city

    return timed(work)


def _pydantic(scene: Scene) -> Measure:
    model = peers.need("benchmarks.pydantic_models").Document
    path = f"{scene.once(plain.large_document)}/doc.json"

    def work() -> object:
        found = model.model_validate(plain.load(path))
        return found, found.records[_LEAF].address.city

    return timed(work)


def _zodb(scene: Scene) -> Measure:
    path = f"{scene.new_folder('zodb')}/doc.fs"
    peers.zodb_document(path, document(scene.sizes.large))

    def work() -> object:
        with peers.zodb_root(path) as root:
            found = root["doc"]
            return found, found["records"][_LEAF]["address"]["city"]

    return timed(work)


def _tinydb(scene: Scene) -> Measure:
    tinydb = peers.need("tinydb")
    path = f"{scene.new_folder('tinydb')}/doc.json"
    peers.tinydb_people(path, {"doc": document(scene.sizes.large)})

    def work() -> object:
        with tinydb.TinyDB(path) as database:
            found = database.get(doc_id=1)
            return found, found["records"][_LEAF]["address"]["city"]

    return timed(work)


def _signac(scene: Scene) -> Measure:
    signac = peers.need("signac")
    folder = scene.new_folder("signac")
    [id] = peers.signac_project(folder, {"doc": {"title": ""}})
    job = signac.Project(folder).open_job(id=id)
    plain.write(job.fn(job.FN_DOCUMENT), orjson.dumps(document(scene.sizes.large)))

    def work() -> object:
        found = signac.Project(folder).open_job(id=id).document
        return found, found["records"][_LEAF]["address"]["city"]

    return timed(work)


def _datafiles(scene: Scene) -> Measure:
    model = peers.datafiles_document(scene.once(plain.large_document))

    def work() -> object:
        found = model.objects.get("doc")
        return found, found.records[_LEAF]["address"]["city"]

    return timed(work)
