"""``python -m benchmarks.memory_child WAY FOLDER MODE``: what a loaded document takes, as JSON.

In the mode "traced" every byte counts that Python allocated, as tracemalloc knows it; in any other,
what the process as a whole needed at most.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from .data import key

_LEAF: Final = key(1)


class Way(ABC):
    """A way to have the document: what it needs imported, and the steps."""

    modules: tuple[str, ...] = ()

    @abstractmethod
    def load(self, folder: str) -> Any: ...

    def leaf(self, held: Any) -> Any:
        return held["records"][_LEAF]["address"]["city"]

    def all(self, held: Any) -> Any:
        return [person["address"]["city"] for person in held["records"].values()]


class Orjson(Way):
    modules: tuple[str, ...] = ("benchmarks.plain",)

    def load(self, folder: str) -> Any:
        return importlib.import_module("benchmarks.plain").load(f"{folder}/doc.json")


class Json(Way):
    def load(self, folder: str) -> Any:
        with open(f"{folder}/doc.json", encoding="utf-8") as file:
            return json.load(file)


class Untyped(Way):
    modules: tuple[str, ...] = ("objstore", "objstore.backings.filesystem", "objstore.formats.json")

    def load(self, folder: str) -> Any:
        objstore = importlib.import_module("objstore")
        self.store = objstore.open(folder)
        held = self.store.root["doc"]
        len(held)
        return held


class Typed(Untyped):
    modules: tuple[str, ...] = (
        *Untyped.modules,
        "objstore.validation",
        "jsonschema_rs",
        "benchmarks.models",
    )

    def load(self, folder: str) -> Any:
        models = importlib.import_module("benchmarks.models")
        self.store = importlib.import_module("objstore").open(folder, models.Documents)
        held = self.store.root.doc
        len(held)
        return held

    def leaf(self, held: Any) -> Any:
        return held.records[_LEAF].address.city

    def all(self, held: Any) -> Any:
        return [person.address.city for person in held.records.values()]


class Pydantic(Typed):
    modules: tuple[str, ...] = ("benchmarks.plain", "benchmarks.pydantic_models")

    def load(self, folder: str) -> Any:
        model = importlib.import_module("benchmarks.pydantic_models").Document
        return model.model_validate(Orjson().load(folder))


class Zodb(Way):
    modules: tuple[str, ...] = ("ZODB", "ZODB.FileStorage", "benchmarks.peers")

    def load(self, folder: str) -> Any:
        peers = importlib.import_module("benchmarks.peers")
        self.open = peers.zodb_root(f"{folder}/doc.fs")
        held = self.open.__enter__()["doc"]
        len(held)
        return held


WAYS: Final[dict[str, Callable[[], Way]]] = {
    way.__name__.lower(): way for way in (Orjson, Json, Untyped, Typed, Pydantic, Zodb)
}


def main(name: str, folder: str, mode: str) -> dict[str, int]:
    way = WAYS[name]()
    for module in way.modules:
        importlib.import_module(module)
    return _traced(way, folder) if mode == "traced" else _peak(way, folder)


def _peak(way: Way, folder: str) -> dict[str, int]:
    before = _resident()
    way.load(folder)
    return {"peak": max(_resident() - before, resource.getpagesize())}


def _traced(way: Way, folder: str) -> dict[str, int]:
    gc.collect()
    tracemalloc.start()
    held = way.load(folder)
    sizes = {"loaded": _allocated()}
    way.leaf(held)
    sizes["leaf"] = _allocated()
    kept = way.all(held)
    sizes["all"] = _allocated()
    del kept
    return sizes


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _resident() -> int:
    """The most that this process has had in memory, in bytes.

    Not getrusage's ru_maxrss, which on Linux counts what the parent had before this was started.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        [line] = [line for line in file if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
