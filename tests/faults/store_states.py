"""A store's workload as a recorded disk sees it, and what may be found of it after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.documents import DIRECTORY, Change
from objstore.errors import FormatError, HistoryGone
from objstore.layout import ANYTHING
from objstore.pointer import aboves
from objstore.retention import Retention
from objstore.values import MISSING
from tests.faults.crash_states import Quick, Recording

UNITS = ("/ada", "/people/bob", "/people/eve", "/new/folder/dan", "/counter")
SCOPES = ("draft", "")


class Before(Recording):
    """The disk in a run of the machine, the first one if nothing is said."""

    __slots__ = ("number",)

    def __init__(self, root: Path, number: int = 1, *, sync: bool = True) -> None:
        super().__init__(root, sync=sync)
        self.number = number

    def run(self) -> bytes:
        return b"run %d" % self.number


class Run(Quick):
    """The disk in another run of the machine."""

    __slots__ = ("number",)

    def __init__(self, root: Path, number: int) -> None:
        super().__init__(str(root))
        self.number = number

    def run(self) -> bytes:
        return b"run %d" % self.number


def opened(files: Files, *, lazy: bool = False) -> FilesystemDocuments:
    return FilesystemDocuments(files, ANYTHING, lazy=lazy)


class Seen(NamedTuple):
    """A store as of one commit."""

    units: dict[str, Any]
    scopes: dict[str, dict[str, Any]]


class Workload:
    """Commits of several handles, with edits in between, and what the store was after each."""

    def __init__(self, files: Recording, seed: int) -> None:
        self.files = files
        self.random = Random(seed)  # noqa: S311
        self.seen = {0: Seen(dict.fromkeys(UNITS, MISSING), {})}
        self.edits: dict[str, list[Any]] = {unit: [] for unit in UNITS}
        self.removed: set[int] = set()
        self.turn = 0
        self.handles = [opened(files), opened(files, lazy=True)]

    def run(self, steps: int) -> None:
        kinds = (
            *["commit"] * 9,
            *["edit"] * 3,
            *["scoped"] * 2,
            "delete scope",
            "switch",
            "compact",
            *["close"] * 2,
            *["abandon"] * 2,
            "flush",
        )
        self.commit(self.handles[0], UNITS)  # what is no commit's has no past
        self.learn(self.handles[0])
        for _ in range(steps):
            self.step(self.random.choice(kinds))

    def again(self, root: Path, run: int) -> tuple[Workload, int]:
        """Go on after a crash with one commit and a clean end; and how many commits there were."""
        twin = Workload(Before(root, run), self.turn)
        store = twin.handles[0]
        known = store.head()
        twin.seen = {number: seen for number, seen in self.seen.items() if number <= known}
        twin.removed = {number for number in self.removed if number <= known}
        twin.edits, twin.turn = self.edits, self.turn + 1
        twin.commit(store, UNITS[1:])
        twin.learn(store)
        store.close()
        return twin, known

    def step(self, kind: str) -> None:
        self.turn += 1
        which = self.random.randrange(2)
        store = self.handles[which]
        if kind == "commit":
            self.commit(store, self.random.sample(UNITS, self.random.choice((1, 1, 2, 4))))
        elif kind == "edit":
            self.edit(self.random.choice(UNITS[:3]))
        elif kind == "scoped":
            self.scoped(store, self.random.choice(SCOPES))
        elif kind == "delete scope" and store.scopes():
            self.report(store.delete_scope(self.random.choice(store.scopes())).number)
        elif kind == "switch":
            store.switch_and_snapshot()
        elif kind == "compact":
            self.compact(store)
        elif kind == "close":
            store.close()
            self.handles[which] = opened(self.files, lazy=which == 1)
        elif kind == "abandon":
            self.handles[which] = opened(self.files, lazy=which == 1)
        else:
            store.flush()
        self.learn(self.handles[which])

    def value(self, unit: str, by: str) -> Any:
        # An edit fits into a sector: what is left of several may parse and be nobody's.
        size = self.random.choice((0, 10, 10 if by == "edit" else 900))
        return {"of": unit, "by": by, "turn": self.turn, "fill": "x" * size}

    def commit(self, store: FilesystemDocuments, units: Sequence[str]) -> None:
        if not units:
            return
        changes: list[Change] = []
        base = store.head()
        for unit in units:
            try:
                old, stamp = store.load(unit)
            except FormatError:
                continue  # what is left of an edit
            new: Any = self.value(unit, "commit")
            if old is not MISSING and self.random.random() < 0.25:
                new = MISSING
            changes.append(Change(unit, old, new, stamp))
        self.report(store.commit(changes, base=base).number)

    def scoped(self, store: FilesystemDocuments, scope: str) -> None:
        unit, base = self.random.choice(UNITS), store.head()
        overlay = store.overlays(scope).get(unit)
        old, stamp = store.load(unit) if overlay is None else (overlay.value, overlay.stamp)
        if overlay is None:
            stamp = None
        change = Change(unit, old, self.value(unit, f"scope {scope!r}"), stamp)
        self.report(store.commit([change], base=base, scope=scope).number)

    def compact(self, store: FilesystemDocuments) -> None:
        # What came and went is forgotten with the commits that say so, and reads as it is now.
        self.commit(store, [unit for unit in UNITS if store.load(unit).value is MISSING])
        store.switch_and_snapshot()  # which may find edits
        self.learn(store)
        retention = Retention(keep=timedelta(0), every=timedelta(days=1), slots=1)
        self.removed.update(store.compact(retention))

    def edit(self, unit: str) -> None:
        """As editors do it: a new file in the place of the old one, or the old one rewritten."""
        path = f"{self.files.root}{unit}.json"
        new = self.value(unit, "edit")
        data = json.dumps(new).encode()
        there = self.files.open(path, write=True)
        how = self.random.choice(("replace", "rewrite", "remove"))
        if there is None or how == "replace":
            if Path(path).parent.is_dir():
                self.edits[unit].append(new)
                self.files.write(f"{path}~", data, path, sync=False)
                self.files.rename(f"{path}~", path)
        elif how == "rewrite":
            self.edits[unit].append(new)
            self.files.truncate(there, 0)
            self.files.write_at(there, 0, data)
        else:
            self.edits[unit].append(MISSING)
            self.files.unlink(path)
        if there is not None:
            self.files.close(there)

    def report(self, number: int) -> None:
        if self.files.sync:
            self.files.note(number)

    def learn(self, store: FilesystemDocuments) -> None:
        """Remember what the store is after each commit that came with this step."""
        last = max(self.seen)
        head = store.head()
        for number in range(last + 1, head + 1):
            if number in self.removed:
                continue
            units = {unit: store.load(unit, at=number).value for unit in UNITS}
            # Before the step's own commit there may be one of edits.
            scopes = scopes_of(store) if number == head else self.seen[last].scopes
            self.seen[number] = Seen(units, scopes)


def scopes_of(store: FilesystemDocuments) -> dict[str, dict[str, Any]]:
    return {
        scope: {unit: one.value for unit, one in store.overlays(scope).items()}
        for scope in store.scopes()
    }


BROKEN = "what is left of an edit"


def values_of(store: FilesystemDocuments) -> dict[str, Any]:
    return {unit: value_of(store, unit) for unit in UNITS}


def value_of(store: FilesystemDocuments, unit: str) -> Any:
    try:
        return store.load(unit).value
    except FormatError:
        return BROKEN


def files_of(root: Path) -> dict[str, Any]:
    """The units' files, read without the store."""
    return {unit: in_file(root / f"{unit[1:]}.json") for unit in UNITS}


def in_file(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return MISSING
    except ValueError:
        return BROKEN


def check_listed(store: FilesystemDocuments, found: Mapping[str, Any]) -> None:
    """What is there is listed, with all that it is in; and nothing else is."""
    for unit, value in found.items():
        above, _, key = unit.rpartition("/")
        is_there = value is not MISSING
        assert (key in store.keys(above)) is is_there, unit
        assert (store.look(unit) is not None) is is_there, unit
        for folder in aboves(unit) if is_there else ():
            assert store.look(folder) is DIRECTORY, folder


def check(workload: Workload, root: Path, run: int, reported: int) -> int:
    """What is in ``root`` is a store that lost nothing reported, has nothing by half, and goes on.

    Returns how many commits it had.
    """
    store = opened(Run(root, run))
    head = store.head()
    assert reported <= head <= max(workload.seen), "nothing is lost, nothing is made up"
    found = values_of(store)
    check_listed(store, found)
    check_past(workload, store, head)
    expected = workload.seen[head].units
    edited = {unit for unit in UNITS if found[unit] != expected[unit]}
    for unit in edited:
        # What nobody has synced may be lost in part: only what was committed is put back.
        edits = [*workload.edits[unit], *[BROKEN] * bool(workload.edits[unit])]
        assert found[unit] in edits, f"{unit} is of no commit and no edit"
    new = {"of": "the next run", "after": head}
    old, stamp = store.load("/counter")
    number = store.commit([Change("/counter", old, new, stamp)], base=head).number
    assert head < number <= head + 1 + bool(edited), "no number is used twice, none is left out"
    found["/counter"] = new
    assert values_of(store) == found
    assert files_of(root) == found, "files are what the log says"
    store.close()
    again = opened(Run(root, run))
    assert again.head() == number
    assert values_of(again) == found
    there = {unit: again.load(unit, at=number).value for unit in UNITS}
    assert {unit for unit in UNITS if there[unit] != found[unit]} <= edited
    fresh = [change.unit for commit in again.commits(after=head) for change in commit.changes]
    assert set(fresh) <= {"/counter", *edited}
    assert len(fresh) == len(set(fresh))
    check_past(workload, again, head)
    return head


def check_past(workload: Workload, store: FilesystemDocuments, head: int) -> None:
    assert scopes_of(store) == workload.seen[head].scopes
    commits = list(store.commits())
    numbers = [commit.number for commit in commits]
    # What is left of no commit reads as it is now.
    known = {change.unit for commit in commits if commit.scope is None for change in commit.changes}
    gone = set(range(1, head + 1)) - set(numbers)
    assert gone <= workload.removed
    for number in {head, *workload.random.sample(range(1, head + 1), min(head, 3))} - {0}:
        if number in gone:
            try:
                store.load(UNITS[0], at=number)
            except HistoryGone:
                continue
            raise AssertionError(f"commit {number} is gone")
        for unit in known:
            assert store.load(unit, at=number).value == workload.seen[number].units[unit]
