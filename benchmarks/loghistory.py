"""A store of many commits: what is far back is read, the store is opened, one commit more is made.

Every other commit changed one and the same document, those between 99 others in turn.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import count, cycle
from typing import Final

import objstore

from . import children, plain
from .data import key, records
from .harness import Contender, Measure, Scene, Work, timed
from .models import People, Person
from .targets import Targets, all_of, at_most, times
from .units import MICROSECONDS, MILLISECONDS

MOST: Final = 100_000
_DOCUMENTS: Final = 100
_STEP: Final = 7
_FEW: Final = "objstore, 100 back of 1,000"
_MANY: Final = "objstore, 10,000 back of 100,000"
_EMPTY: Final = "objstore, one commit"
_FEWEST: Final = "objstore, 100 commits"
_NOISE: Final = 1.15
"""By how much two of the same may differ."""


def works() -> list[Work]:
    return [_reading(), _opening(), _growing()]


def _reading() -> Work:
    return Work(
        "log-at",
        "Read a document of 1 KB as of 10,000 commits ago, of 100,000",
        "Another commit each time. The document is one that every other commit changed, or one "
        "that one in 198 did.",
        MICROSECONDS,
        [
            Contender(_FEW, _back(1_000, key(0)), "", "ours", judged=False),
            Contender(_MANY, _back(MOST, key(0)), "changed 50,000 times", "ours"),
            Contender(
                "objstore, the same, changed seldom",
                _back(MOST, key(1)),
                "changed 505 times",
                "ours",
            ),
        ],
        Targets(all_of(at_most(0.005, "5 ms"), times(_FEW, 2)), at_most(0.001, "1 ms")),
    )


def _opening() -> Work:
    late = Targets(at_most(1.5, "1.5 s"))
    return Work(
        "log-open",
        "Open a store of 100,000 commits and read one value",
        "100 documents of 1 KB; the newest commit's number is asked for too. Whoever made the "
        "commits closed the store, was killed, or went down with the machine: the log then has "
        "100,000 commits since its last checkpoint. Nothing is written.",
        MILLISECONDS,
        [
            Contender(_EMPTY, _opened(_one), "closed", "ours", judged=False),
            Contender("objstore, closed", _opened(_many_closed), "", "ours"),
            Contender("objstore, killed", _opened(_many), "", "ours", targets=late),
            Contender(
                "objstore, machine stopped",
                _opened(_many_stopped),
                "every file is held against the log",
                "ours",
                targets=late,
            ),
        ],
        Targets(times(_EMPTY, _NOISE)),
        rounds=5,
    )


def _growing() -> Work:
    sizes = (1_000, 10_000, MOST)
    return Work(
        "log-grown-commits",
        "Change of one key, by the number of commits in the store",
        "100 documents of 1 KB, changed in turn, each file replaced; left to the operating system "
        "(durability=os), as the disk's share would hide what grows.",
        MICROSECONDS,
        [
            Contender(_FEWEST, _committing(100), "", "ours", judged=False),
            *(
                Contender(f"objstore, {size:,} commits", _committing(size), "", "ours")
                for size in sizes
            ),
        ],
        Targets(times(_FEWEST, 1.25)),
    )


# Stores


def scaled(scene: Scene, number: int) -> int:
    """So many of 100,000, as many as that is here."""
    return max(1, number * scene.sizes.most // MOST)


def _killed(commits: int, scene: Scene) -> str:
    folder = plain.people_files(scene.new_folder("history"), records(_DOCUMENTS))
    head = children.call("-m", "benchmarks.log_child", "history", folder, str(commits))
    if head != commits:
        raise ValueError(f"{head} commits were made, not {commits}")
    return folder


def _many(scene: Scene) -> str:
    return _killed(scene.sizes.most, scene)


def _many_stopped(scene: Scene) -> str:
    """The same as the next run of the machine finds it."""
    folder = _copy(scene.once(_many), scene)
    plain.write(f"{folder}/.objstore/boot", b"another run")
    return folder


def _many_closed(scene: Scene) -> str:
    return _close(_copy(scene.once(_many), scene))


def _closed(commits: int, scene: Scene) -> str:
    return _close(_killed(commits, scene))


def _copy(folder: str, scene: Scene) -> str:
    return shutil.copytree(folder, scene.new_folder("copy"), dirs_exist_ok=True)


def _close(folder: str) -> str:
    """Leave a store in order: whoever made a commit does."""
    with objstore.open(folder) as store:
        store.root["people"][key(0)]["visits"] = -1
    return folder


# Works


def _back(commits: int, name: str) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        number = scaled(scene, commits)
        make = _many_closed if commits == MOST else _thousand
        store = scene.stack.enter_context(objstore.open(scene.once(make)))
        oldest = number - number // 10
        wanted = cycle(range(oldest, oldest - max(number // 20, 1), -_STEP))
        return timed(lambda: store.read_at(f"/people/{name}", next(wanted)))

    return start


def _thousand(scene: Scene) -> str:
    return _closed(scaled(scene, 1_000), scene)


def _one(scene: Scene) -> str:
    return _closed(1, scene)


def _opened(make: Callable[[Scene], str]) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        folder = scene.once(make)

        def work() -> tuple[int, int]:
            with objstore.open(folder, People) as store:
                return store.head, store.root.people[key(1)].visits

        return timed(work)

    return start


def _committing(commits: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        if commits == MOST:
            folder = _copy(scene.once(_many_closed), scene)
        else:
            folder = _closed(scaled(scene, commits), scene)
        store = scene.stack.enter_context(objstore.open(folder, People, durability="os"))
        return changing_in_turn(list(store.root.people.values()))

    return start


def changing_in_turn(people: Sequence[Person]) -> Measure:
    """Change one document after the other."""
    turns, numbers = cycle(people), count(2_000_000)

    def work() -> None:
        next(turns).visits = next(numbers)

    for _ in people:  # each one's first change carries its image
        work()
    return timed(work, at_least=0.1)
