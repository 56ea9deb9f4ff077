"""Load a large document, and read one leaf."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any, Final

import orjson

import objstore

from . import peers, plain
from .data import document, key
from .harness import Contender, Measure, Scene, Work, timed
from .models import Documents
from .targets import Targets, below, times
from .units import MILLISECONDS

_LEAF: Final = key(1)

_EXACT: Final = "refuses doubled keys, keeps large integers"

Make = Callable[[Scene], str]
"""Makes the folder that the document is in."""


def works() -> list[Work]:
    targets = Targets(times("orjson", 1.2), below("orjson"))
    return [
        Work(
            "load",
            "Load a document of 10 MB and read one leaf",
            "One file of 25,000 small records, indented by two spaces, opened anew each time.",
            MILLISECONDS,
            [
                Contender("orjson", _by_hand(plain.load), "read the file, parse it", "limit"),
                Contender("orjson, collector off", _by_hand(_load_paused), "gc disabled", "limit"),
                Contender("json", _by_hand(_load_json), "the standard library", "limit"),
                Contender("objstore, untyped", _untyped(plain.large_document), _EXACT, "ours"),
                Contender("objstore, typed", _typed, "validates every record as well", "ours"),
                Contender("pydantic", _pydantic, "orjson, then models of every record"),
                Contender("ZODB", _zodb, "one record, unpickled"),
                Contender("tinydb", _tinydb, "one document in its JSON file"),
                Contender("signac", _signac, "a wrapper for every container"),
                Contender("datafiles", _datafiles, "records as plain dicts"),
            ],
            targets,
        ),
        Work(
            "load-flat",
            "Load the same document as one line, and read one leaf",
            "The same contents as programs write them, with no indentation: 6 MB.",
            MILLISECONDS,
            _ours_and_orjson(plain.large_in_one_line),
            targets,
        ),
        Work(
            "load-text",
            "Load a document of 10 MB, most of it text, and read one leaf",
            "9,000 records of 1 KB, of which one string is two thirds: the least that a parser has "
            "to do for its megabytes.",
            MILLISECONDS,
            _ours_and_orjson(plain.large_text),
            targets,
        ),
    ]


def _ours_and_orjson(make: Make) -> list[Contender]:
    return [
        Contender("orjson", _by_hand(plain.load, make), "read the file, parse it", "limit"),
        Contender("objstore, untyped", _untyped(make), _EXACT, "ours"),
    ]


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
    peers.zodb_document(path, document(scene.sizes.large, dense=True))

    def work() -> object:
        with peers.zodb_root(path) as root:
            found = root["doc"]
            return found, found["records"][_LEAF]["address"]["city"]

    return timed(work)


def _tinydb(scene: Scene) -> Measure:
    tinydb = peers.need("tinydb")
    path = f"{scene.new_folder('tinydb')}/doc.json"
    peers.tinydb_people(path, {"doc": document(scene.sizes.large, dense=True)})

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
    plain.write(job.fn(job.FN_DOCUMENT), orjson.dumps(document(scene.sizes.large, dense=True)))

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
