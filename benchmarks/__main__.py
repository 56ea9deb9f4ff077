"""``python -m benchmarks``: see the package."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from . import (
    access,
    committing,
    depot,
    events,
    importing,
    iterating,
    loading,
    loggrowth,
    loghistory,
    logparallel,
    makers,
    memory,
    opening,
    storage,
    together,
    validating,
    valuelog,
    watching,
)
from .data import FULL, QUICK, Sizes
from .harness import Scene, Work, run
from .machine import Load, describe, is_in_memory
from .report import Measured, page, summary, table

_HERE: Final = os.path.dirname(os.path.abspath(__file__))
_FAMILIES: Final = (
    *(opening, access, loading, committing, validating),
    *(memory, importing, together, iterating, loghistory, loggrowth, logparallel),
    *(watching, depot, events, storage, valuelog, makers),
)


def all_works() -> list[Work]:
    return [work for family in _FAMILIES for work in family.works()]


def measure(works: Sequence[Work], folder: str, sizes: Sizes, *, peers: bool) -> list[Measured]:
    """Run the works one after another, and print the table of each as soon as it is there."""
    scene = Scene(folder, sizes)
    measured: list[Measured] = []
    for work in works:
        one = Measured(work, run(work, scene, peers=peers))
        print("\n".join(table(one)), flush=True)
        measured.append(one)
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    works = all_works()
    options = _parser(works).parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    chosen = [work for work in works if work.name.startswith(tuple(options.only or [""]))]
    with tempfile.TemporaryDirectory(prefix="objstore-bench-", dir=options.dir) as folder:
        machine = describe(folder)
        notes = _notes(folder, sizes)
        print("\n".join([notes, "", *[f"- {name}: {value}" for name, value in machine.items()]]))
        load = Load()
        measured = measure(chosen, folder, sizes, peers=not options.no_peers)
        machine["run"] = load.describe()
    choices = list(makers.choices(measured))
    print("\n".join([*summary(measured), *choices, machine["run"]]))
    if options.write:
        with open(os.path.join(_HERE, "RESULTS.md"), "w", encoding="utf-8") as file:
            file.write(page(machine, measured, notes, choices))
    return 0


def _notes(folder: str, sizes: Sizes) -> str:
    notes = [f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."]
    if sizes is not FULL:
        notes.append("**With --quick: sizes are reduced, whatever the titles say.**")
    if is_in_memory(folder):
        notes.append("**No disk: durable figures mean nothing in memory; see --dir.**")
    return " ".join(notes)


def _parser(works: Sequence[Work]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours and others.")
    names = ", ".join(work.name for work in works)
    parser.add_argument("--quick", action="store_true", help="less of everything, in half a minute")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"a work, or several by what their names start with: {names}",
    )
    parser.add_argument("--no-peers", action="store_true", help="ours and the limits alone")
    parser.add_argument("--write", action="store_true", help="keep the results in RESULTS.md")
    parser.add_argument(
        "--dir",
        default=os.getcwd(),
        help="where files are written; a disk, as durability costs nothing in memory",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
