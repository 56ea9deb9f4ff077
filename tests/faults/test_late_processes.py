"""Processes that append to lists in all the ways there are, lazily and eagerly, and are killed.

Whatever was reported is there once: no edit is entered without the commits that its file lacked,
and no commit twice. What was taken back stays away, what moves is in one place, and a scope shows
its own and what the base has.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
import traceback
from collections import Counter
from datetime import timedelta
from io import FileIO
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

import objstore
from objstore import BusyError, HistoryGone, Retention, Store, TransactionError
from objstore.backings.filesystem import names
from objstore.backings.filesystem.contents import parse, render
from objstore.values import JSON, MISSING
from tests.faults.machine import start_child

FORMATS: Final = (".json", ".yaml", ".toml", ".kvi")
"""Of the writers' own files."""
WRITERS: Final = len(FORMATS)
LISTS: Final = ("committed", "edited")
PLACES: Final = 3
"""The folders among which each writer's ball moves."""

ACTS: Final = (
    *["committed"] * 6,
    *["edited"] * 3,
    *["all"] * 3,
    *["undone", "moved", "drafted"] * 2,
    *["other"] * 2,
)

pytestmark = pytest.mark.damage


def append_for_ever(folder: Path, told: Path, who: int) -> None:
    """Append to its own lists and to one of all, and move its ball."""
    luck = random.Random(f"{who} {os.getpid()}")  # noqa: S311
    store: Store[Any] = objstore.open(
        folder, apply=luck.choice(["eager", "lazy"]), durability="os", watch=luck.random() < 0.2
    )
    with told.open("ab", buffering=0) as notes:
        for number in count():
            token = f"{time.time_ns()}.{number}"
            act = luck.choice(ACTS)
            if act == "other":
                tidy(store, luck)
                continue
            note(notes, "begun", act, token)
            if act == "committed":
                own = store[f"own{who}"]
                with store.transaction():
                    own["committed"].append(token)
                    own["count"] += 1
            elif act == "edited":
                edit(folder, own_file(who), token)
            elif act == "undone":
                if not is_undone(store, who, token):
                    continue
            elif act == "moved":
                move(store, who)
            elif act == "drafted":
                draft(store, who, token)
            else:
                store["all"]["all"].append(token)
            note(notes, "done", act, token)
            time.sleep(luck.random() * 0.01)


def told_of(error: Path, folder: Path, told: Path, who: int) -> None:
    """Append for ever, and write down what ends it."""
    try:
        append_for_ever(folder, told, who)
    except Exception:
        with error.open("a") as file:
            file.write(traceback.format_exc())
        raise


def is_undone(store: Store[Any], who: int, token: str) -> bool:
    with store.transaction() as transaction:
        store[f"undone{who}"]["undone"].append(token)
    assert transaction.commit is not None
    try:
        store.undo(transaction.commit.number)
    except HistoryGone:
        return False  # compaction was faster
    return True


def draft(store: Store[Any], who: int, token: str) -> None:
    store.scope("draft")[f"own{who}"]["drafted"].append(token)


def places_of(store: Store[Any], who: int) -> list[str]:
    places = (f"place{place}/ball{who}" for place in range(PLACES))
    return [place for place in places if store.HEAD(place)]


def move(store: Store[Any], who: int) -> None:
    with store.transaction():
        (place,) = places_of(store, who)
        other = f"place{(int(place[5]) + 1) % PLACES}/ball{who}"
        store[other] = {"moves": store[place]["moves"] + 1}
        store.DELETE(place)


def own_file(who: int) -> str:
    return f"own{who}{FORMATS[who]}"


def note(notes: FileIO, *words: str) -> None:
    notes.write(" ".join(words).encode() + b"\n")


def tidy(store: Store[Any], luck: random.Random) -> None:
    try:
        what = luck.randrange(4)
        if what == 0:
            store.flush()
        elif what == 1:
            store.switch_and_snapshot()
        elif what == 2:
            store.compact(Retention(keep=timedelta(seconds=1), every=timedelta(seconds=1)))
    except (BusyError, TransactionError):
        return  # another process is at it


def edit(folder: Path, name: str, token: str) -> None:
    """As an editor does, but for what no store can see: that it had read the file before another
    wrote it. So nobody writes meanwhile."""
    lock = os.open(names.lock(str(folder)), os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        data = (folder / name).read_bytes()
        old: Any = parse(data, name)
        contents = {**old, "edited": [*old["edited"], token]}
        new = folder / f"{name}~"
        new.write_bytes(render(data, old, contents, name))
        new.rename(folder / name)
    finally:
        os.close(lock)


def kill_again_and_again(folder: Path, rounds: int) -> int:
    """How much was appended in all."""
    moments = random.Random(rounds)  # noqa: S311
    root, told = folder / "store", [folder / f"told-{who}" for who in range(WRITERS)]
    empty: dict[str, JSON] = {"drafted": [], "count": 0, **{name: [] for name in LISTS}}
    with objstore.open(root) as store:
        store["all"] = {"all": []}
        for who in range(WRITERS):
            (root / own_file(who)).write_bytes(render(None, MISSING, empty, own_file(who)))
            store[f"place0/ball{who}"] = {"moves": 0}
            store[f"undone{who}"] = {"undone": []}
            store.scope("draft")[f"own{who}"]["drafted"].append("")
    there = 0
    for _ in range(rounds):
        children = [
            start_child(lambda who=who: told_of(folder / "error", root, told[who], who))  # type: ignore[misc]
            for who in range(WRITERS)
        ]
        time.sleep(0.3 + moments.random())
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert not (folder / "error").exists(), (folder / "error").read_text()
        there = check(root, told)
    return there


def check(root: Path, told: list[Path]) -> int:
    begun: dict[str, set[str]] = {}
    done: dict[str, set[str]] = {}
    for who, path in enumerate(told):
        for line in path.read_text().splitlines() if path.exists() else []:
            how, act, token = line.split()
            place = "all" if act == "all" else f"own{who} {act}"
            assert act in ACTS
            (begun if how == "begun" else done).setdefault(place, set()).add(token)
    there = 0
    with objstore.open(root) as store:
        store.flush()
        lists: dict[str, list[str]] = {"all": store["all"]["all"].contents}
        for who in range(WRITERS):
            own = store[f"own{who}"].contents
            draft = store.scope("draft")[f"own{who}"].contents
            assert draft == {**own, "drafted": draft["drafted"]}
            assert own["drafted"] == []
            lists |= {f"own{who} {name}": own[name] for name in LISTS}
            lists[f"own{who} drafted"] = draft["drafted"][1:]
            assert own["count"] == len(own["committed"])
            assert done.get(f"own{who} undone", set()).isdisjoint(store[f"undone{who}"]["undone"])
            (place,) = places_of(store, who)
            assert store[place]["moves"] >= len(done.get(f"own{who} moved", ()))
        for place, found in lists.items():
            assert [one for one, times in Counter(found).items() if times > 1] == [], place
            assert done.get(place, set()) <= set(found) <= begun.get(place, set()), place
            there += len(found)
        findings = [one for one in store.check() if not one.found.startswith("a temporary file")]
        assert [one for one in findings if one.found != "an older file of it"] == []
    return there


def test_what_was_appended_is_there_once(tmp_path: Path) -> None:
    assert kill_again_and_again(tmp_path, rounds=4) > 50


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
def test_what_was_appended_for_long_is_there_once(tmp_path: Path, part: int) -> None:
    assert kill_again_and_again(tmp_path, rounds=60 + part) > 1000
