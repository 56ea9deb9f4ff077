"""The makers of Storage side by side: what one chooses among them by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from . import children, shelves, storage
from .harness import Contender, Measure, Scene, Work
from .report import Measured
from .storage import Line
from .units import A_SECOND, Unit

_ON_DISK: Final = ("SqliteStorage", "LmdbStorage", "ValueLogStorage")
_ALL: Final = (*_ON_DISK, "MemoryStorage")
_BYTES: Final = Unit("bytes", lambda size: size, "size")

_COLUMNS: Final = {
    "makers-batch": "batch",
    "makers-put": "durable put",
    "makers-get": "get",
    "makers-scan": "scan",
    "makers-open": "open, get, close",
    "makers-size": "size",
    "makers-memory": "memory an item",
}
_UNITS: Final = {A_SECOND.name: "/s"}


def works() -> list[Work]:
    lines = {line.name: line for line in storage._LINES}
    return [
        *(_beside(lines[name], _ALL) for name in ("batch", "put", "get", "scan")),
        *(_beside(lines[name], _ON_DISK) for name in ("open", "size")),
        _memory(),
    ]


def choices(all_measured: Sequence[Measured]) -> Iterator[str]:
    """A row for each maker; nothing where they were not measured."""
    measured = {one.work.name: one for one in all_measured if one.work.name in _COLUMNS}
    if not measured:
        return
    yield "## Storages side by side"
    yield ""
    yield "100,000 items of 100 bytes with keys of 10; each figure is from its table below."
    yield ""
    yield f"| | {' | '.join(_COLUMNS[name] for name in measured)} |"
    yield f"| --- |{' ---: |' * len(measured)}"
    for maker in _ALL:
        cells = [_cell(one, maker) for one in measured.values()]
        yield f"| `{maker}` | {' | '.join(cells)} |"
    yield ""


def _cell(measured: Measured, maker: str) -> str:
    median, unit = measured.medians.get(maker), measured.work.unit
    return "-" if median is None else f"{unit.show(median)}{_UNITS.get(unit.name, f' {unit.name}')}"


def _beside(line: Line, makers: Sequence[str]) -> Work:
    def starting(maker: str) -> Callable[[Scene], Measure]:
        return lambda scene: line.start(storage._ours(maker), scene)

    return Work(
        f"makers-{line.name}",
        f"{line.title} (makers)",
        line.about,
        line.unit,
        [Contender(maker, starting(maker), _NOTES.get(maker, ""), "ours") for maker in makers],
        rounds=3 if line.name == "batch" else None,
    )


_NOTES: Final = {"MemoryStorage": "nothing is durable"}


def _memory() -> Work:
    def starting(maker: str) -> Callable[[Scene], Measure]:
        return lambda scene: _of_child(scene, maker)

    return Work(
        "makers-memory",
        "Memory of what is open (makers)",
        "100,000 items of 100 bytes: how far the resident set of a process rises for each, that"
        " opens them and gets 2,000, mapped files left out.",
        _BYTES,
        [Contender(maker, starting(maker), _NOTES.get(maker, ""), "ours") for maker in _ALL],
        rounds=1,
    )


def _of_child(scene: Scene, maker: str) -> Measure:
    path, items = f"{scene.new_folder('makers')}/kv", 10 * scene.sizes.files
    if maker in _ON_DISK:
        shelf: shelves.Shelf = storage._ours(maker)(path)
        shelf.batch([(f"key{n:07}", "x" * 100) for n in range(items)])
        shelf.close()
    rise = float(children.call("-m", "benchmarks.makers_child", maker, path, str(items)))
    return lambda: rise
