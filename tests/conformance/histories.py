"""Histories of concurrent transactions, and a checker of what isolation they show.

Every transaction reads and writes *registers*. A write sets a register to the transaction's own
name, which nobody else writes, so that each read tells whose write it saw. The store gives every
commit a number; that is the order of versions, and nothing has to be guessed (as in Adya's
definitions, with versions known).

    dirty read     a value that was never committed, or not the last one of its transaction
    read skew      values of which no one moment had all: something read is older than the start,
                   or younger
    lost update    two committed transactions wrote one register, each having seen the same version
    write skew     under serializable only: something that was read was overwritten between the
                   start and the commit
    stale start    it began before a commit that its own client had made by then
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

Register = str


class Done(NamedTuple):
    """One transaction that ended. Those of one client stand in a history in their order."""

    name: str
    """The client's, and a number where it has several."""
    start: int
    """The newest commit when it began."""
    commit: int | None
    """Its commit's number; None where it wrote nothing, or was rolled back or refused."""
    failed: bool
    reads: dict[Register, str]
    """What it read before it wrote there itself: the name of the writer; "" for the beginning."""
    writes: tuple[Register, ...]

    @property
    def client(self) -> str:
        """Who made it, one after the other."""
        return self.name.rpartition("-")[0] or self.name


class Anomaly(NamedTuple):
    """Something that may not be."""

    kind: str
    transaction: str
    register: Register
    what: str


def check(history: Iterable[Done], *, serializable: bool) -> list[Anomaly]:
    """Every anomaly of a history."""
    done = list(history)
    committed = {one.name: one for one in done if one.commit is not None}
    versions: dict[Register, list[int]] = defaultdict(lambda: [0])
    writers: dict[tuple[Register, int], str] = {}
    for one in sorted(committed.values(), key=lambda one: one.commit or 0):
        for register in one.writes:
            versions[register].append(one.commit or 0)
            writers[register, one.commit or 0] = one.name
    found: list[Anomaly] = []
    for one in done:
        found += _reads(one, committed, versions, writers)
        if one.commit is not None:
            found += _overwritten("lost update", one, one.writes, versions, writers)
            if serializable:
                found += _overwritten("write skew", one, one.reads, versions, writers)
    return [*found, *_stale_starts(done)]


def _reads(
    one: Done,
    committed: dict[str, Done],
    versions: dict[Register, list[int]],
    writers: dict[tuple[Register, int], str],
) -> Iterable[Anomaly]:
    for register, seen in one.reads.items():
        if seen and (seen not in committed or register not in committed[seen].writes):
            yield Anomaly("dirty read", one.name, register, f"{seen} never committed that")
            continue
        history = versions[register]
        newest = history[bisect_right(history, one.start) - 1]
        expected = writers.get((register, newest), "")
        if seen != expected:
            what = (
                f"{expected or 'nothing'} at its start {one.start}, and it saw {seen or 'nothing'}"
            )
            yield Anomaly("read skew", one.name, register, what)


def _stale_starts(done: Iterable[Done]) -> Iterable[Anomaly]:
    last: dict[str, int] = {}
    for one in done:
        if one.start < last.get(one.client, 0):
            what = f"it began at {one.start}, and its client had made commit {last[one.client]}"
            yield Anomaly("stale start", one.name, "", what)
        last[one.client] = one.commit or last.get(one.client, 0)


def _overwritten(
    kind: str,
    one: Done,
    registers: Iterable[Register],
    versions: dict[Register, list[int]],
    writers: dict[tuple[Register, int], str],
) -> Iterable[Anomaly]:
    """Registers that somebody else wrote between the start of a transaction and its commit."""
    for register in registers:
        history = versions[register]
        next_one = bisect_right(history, one.start)
        if next_one < len(history) and history[next_one] < (one.commit or 0):
            what = f"{writers[register, history[next_one]]} had written it since"
            yield Anomaly(kind, one.name, register, what)


def save(path: Path, history: Iterable[Done]) -> None:
    path.write_text(json.dumps(list(history)))


def load(path: Path) -> list[Done]:
    lines: list[Any] = json.loads(path.read_text())
    return [Done._make([*one[:5], tuple(one[5])]) for one in lines]
