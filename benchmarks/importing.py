"""What a program waits for before it does anything."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NamedTuple

from . import children, peers, plain
from .data import key, records
from .harness import Contender, Kind, Measure, MissingPeerError, Scene, Work
from .targets import Targets, at_most
from .units import MILLISECONDS

_ROUNDS: Final = 15
_PATHS: Final = [children.ROOT, *(path for path in sys.path if path.endswith("-packages"))]


class _Code(NamedTuple):
    """A program in two parts, of which the second is timed. ``FOLDER`` is that of the records."""

    timed: str
    before: str = ""


def works() -> list[Work]:
    return [_imports(), _open(), _value()]


def _imports() -> Work:
    modules = {
        **{name: name for name in ("orjson", "json", "sqlite3", "shelve", "jsonschema")},
        **{name: name for name in ("tinydb", "signac", "datafiles")},
        "jsonschema-rs": "jsonschema_rs",
        "pydantic": "pydantic, pydantic.main",
        "ZODB": "ZODB, ZODB.FileStorage, persistent.mapping",
    }
    contenders = [
        _contender("objstore", _Code("import objstore"), "the core; no backing yet", "ours"),
        *(_contender(name, _Code(f"import {what}"), f"`{what}`") for name, what in modules.items()),
    ]
    return Work(
        "import",
        "`import objstore`",
        "In a new process each; the interpreter's own start is not counted.",
        MILLISECONDS,
        contenders,
        Targets(at_most(0.06, "60 ms"), at_most(0.025, "25 ms")),
        _ROUNDS,
    )


def _open() -> Work:
    return Work(
        "first-open",
        "The first `objstore.open` of a process",
        "objstore and the classes are imported before the clock starts.",
        MILLISECONDS,
        [
            _contender(
                "objstore, untyped",
                _Code("objstore.open(FOLDER)", "import objstore"),
                "imports the backing",
                "ours",
            ),
            _contender(
                "objstore, typed",
                _Code(
                    "objstore.open(FOLDER, People)",
                    "import objstore; from benchmarks.models import People",
                ),
                "and reads the layout off the class",
                "ours",
            ),
        ],
        rounds=_ROUNDS,
    )


def _value() -> Work:
    """Everything from the first import to the value in hand."""
    name = key(1)
    path = f"FOLDER + '/people/{name}.json'"
    programs: dict[str, tuple[str, Kind]] = {
        "json": (f"import json; json.load(open({path}))['name']", "limit"),
        "orjson": (f"import orjson; orjson.loads(open({path}, 'rb').read())['name']", "limit"),
        "objstore, untyped": (
            f"import objstore; objstore.open(FOLDER).root['people']['{name}']['name']",
            "ours",
        ),
        "objstore, typed": (
            "import objstore; from benchmarks.models import People\n"
            f"objstore.open(FOLDER, People).root.people.{name}.name",
            "ours",
        ),
        "sqlite3": (
            "import json, sqlite3; connection = sqlite3.connect(FOLDER + '/peers/people.db')\n"
            f"query = \"select contents from people where key = '{name}'\"\n"
            "json.loads(connection.execute(query).fetchone()[0])['name']",
            "peer",
        ),
        "tinydb": (
            "import tinydb; tinydb.TinyDB(FOLDER + '/peers/people.json').get(doc_id=2)['name']",
            "peer",
        ),
        "ZODB": (
            "import ZODB, ZODB.FileStorage\n"
            "storage = ZODB.FileStorage.FileStorage(FOLDER + '/peers/people.fs')\n"
            f"ZODB.DB(storage).open().root()['people']['{name}']['name']",
            "peer",
        ),
        "signac": (
            "import signac; project = signac.Project(FOLDER + '/peers')\n"
            f"project.open_job({{'key': '{name}'}}).document['name']",
            "peer",
        ),
        "datafiles": (
            "from benchmarks.peers import datafiles_people\n"
            f"datafiles_people(FOLDER).objects.get(key='{name}').name",
            "peer",
        ),
    }
    return Work(
        "first-value",
        "Import, open and read one value",
        "All that a short program waits for, in a new process each, but the interpreter's start. "
        "Each reads one record in its own way: a file of its own, a row, a job, a key of a tree.",
        MILLISECONDS,
        [_contender(name, _Code(code), kind=kind) for name, (code, kind) in programs.items()],
        rounds=_ROUNDS,
    )


def _contender(name: str, code: _Code, note: str = "", kind: Kind = "peer") -> Contender:
    def start(scene: Scene) -> Measure:
        folder = scene.once(_stores)
        program = "\n".join(
            [
                f"import sys, time; sys.path += {_PATHS!r}; FOLDER = {folder!r}",
                code.before,
                "start = time.perf_counter()",
                code.timed,
                "print(time.perf_counter() - start)",
            ]
        )
        # Without what an environment adds to the interpreter's start: an editable install, as this
        # may be, imports there some of what is to be measured.
        run = ("-S", "-E", "-c", program)
        children.call(*run)  # which writes what Python compiled
        return lambda: float(children.call(*run))

    return Contender(name, start, note, kind)


def _stores(scene: Scene) -> str:
    """A folder with a few records, in the store of every peer that is here."""
    few = records(10)
    folder = plain.people_files(scene.new_folder("few"), few)
    beside = f"{folder}/peers"
    os.mkdir(beside)
    peers.sqlite_people(f"{beside}/people.db", few)
    with suppress(MissingPeerError):  # which the peer's own program will say
        peers.tinydb_people(f"{beside}/people.json", few)
    with suppress(MissingPeerError):
        peers.zodb_people(f"{beside}/people.fs", few)
    with suppress(MissingPeerError):
        peers.signac_project(beside, few)
    return folder
