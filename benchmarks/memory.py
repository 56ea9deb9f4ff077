"""What a loaded document takes in memory."""

from __future__ import annotations

from dataclasses import dataclass

from . import children, peers, plain
from .data import document
from .harness import Contender, Kind, Measure, Scene, Work
from .targets import Targets, times
from .units import MEGABYTES

_DICT = "dict (orjson)"


def works() -> list[Work]:
    targets = Targets(times(_DICT, 1.1))
    untouched = "Memory of a loaded document of 10 MB, untouched"
    traced = "25,000 small records. As tracemalloc counts it, in a process each. "
    return [
        _work("memory", untouched, traced, targets, "loaded"),
        _work("memory-leaf", "Memory after one leaf was read", traced, targets, "leaf"),
        _work(
            "memory-all",
            "Memory after every record was read",
            f"{traced}A value three levels down was read in each record, and let go.",
            Targets(),
            "all",
        ),
        _work(
            "memory-peak",
            "Memory needed while loading",
            "How far the peak of the resident set rose, in a process each, not traced.",
            Targets(),
            "peak",
        ),
    ]


def _work(name: str, title: str, about: str, targets: Targets, what: str) -> Work:
    contenders = [
        _contender(_DICT, "orjson", what, "nested plain dicts", "limit"),
        _contender("dict (json)", "json", what, "nested plain dicts", "limit"),
        _contender("objstore, untyped", "untyped", what, "plain Dicts", "ours"),
        _contender("objstore, typed", "typed", what, "of declared classes, validated", "ours"),
        _contender("pydantic", "pydantic", what, "models of every record"),
        _contender("ZODB", "zodb", what, "one record"),
    ]
    return Work(name, title, about.strip(), MEGABYTES, contenders, targets, rounds=1)


def _contender(name: str, way: str, what: str, note: str = "", kind: Kind = "peer") -> Contender:
    def start(scene: Scene) -> Measure:
        if kind == "peer":
            peers.need(name)
        folder = scene.once(_zodb_folder if way == "zodb" else plain.large_document)
        sizes = _Sizes(way, folder, "plain" if what == "peak" else "traced")
        return lambda: float(scene.once(sizes)[what])

    return Contender(name, start, note, kind)


@dataclass(frozen=True)
class _Sizes:
    """What one process measures: several works take their figures from it."""

    way: str
    folder: str
    mode: str

    def __call__(self, scene: Scene) -> dict[str, int]:
        found: dict[str, int] = children.call(
            "-m", "benchmarks.memory_child", self.way, self.folder, self.mode
        )
        return found


def _zodb_folder(scene: Scene) -> str:
    folder = scene.new_folder("zodb")
    peers.zodb_document(f"{folder}/doc.fs", document(scene.sizes.large, dense=True))
    return folder
