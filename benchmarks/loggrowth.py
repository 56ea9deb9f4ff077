"""What a commit costs where there are many files, and how long the log gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import objstore
from objstore.backings.filesystem.history.record import decode, patch_text
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog

from . import plain
from .data import key, record, records
from .harness import Contender, Measure, Scene, Work
from .loghistory import MOST, changing_in_turn, scaled
from .models import People
from .targets import Targets, times
from .units import MICROSECONDS, Unit

_FEWEST: Final = "objstore, 100 files"
_CHANGED: Final = 100
_CONTENT: Final = "patches and images"
_COMMITS: Final = 2_000
_BYTES: Final = Unit("bytes a commit", lambda size: size, "size")


def works() -> list[Work]:
    return [_growing(), *(_size(case) for case in _CASES)]


# Files


def _growing() -> Work:
    sizes = (1_000, 10_000, MOST)
    return Work(
        "log-grown-files",
        "Change of one key, by the number of files in the store",
        "Documents of 1 KB, all in one folder; 100 of them are changed in turn, each file "
        "replaced; left to the operating system (durability=os), as the disk's share would hide "
        "what grows.",
        MICROSECONDS,
        [
            Contender(_FEWEST, _committing(_CHANGED), "", "ours", judged=False),
            *(
                Contender(f"objstore, {size:,} files", _committing(size), "", "ours")
                for size in sizes
            ),
        ],
        Targets(times(_FEWEST, 1.25)),
    )


def _committing(files: int) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        folder = scene.new_folder("files")
        os.mkdir(f"{folder}/people")
        number, data = scaled(scene, files), plain.dump(record(0))
        for each in range(number):
            plain.write(f"{folder}/people/{key(each)}.json", data)
        store = scene.stack.enter_context(objstore.open(folder, People, durability="os"))
        changed = range(0, number, number // scaled(scene, _CHANGED))
        return changing_in_turn([store.root.people[key(each)] for each in changed])

    return start


# Bytes


class Case(NamedTuple):
    """What is committed again and again."""

    name: str
    title: str
    about: str
    change: Callable[[list[Any], int], None]


def _one_number(people: list[Any], number: int) -> None:
    people[number % len(people)]["visits"] = 1_000_000 + number


def _all_numbers(people: list[Any], number: int) -> None:
    for person in people:
        person["visits"] = 1_000_000 + number


def _one_text(people: list[Any], number: int) -> None:
    people[number % len(people)]["about"] = record(number + 1)["about"]


_CASES: Final = (
    Case("log-size", "one number each", "A number in one of 20 documents of 1 KB.", _one_number),
    Case(
        "log-size-together",
        "a number in each of 20 documents",
        "A number in each of 20 documents of 1 KB, in one transaction.",
        _all_numbers,
    ),
    Case("log-size-text", "one text each", "700 bytes of text in one of 20 documents.", _one_text),
)


def _size(case: Case) -> Work:
    return Work(
        case.name,
        f"Length of the log after {_COMMITS:,} commits, {case.title}",
        f"{case.about} Patches and images (a whole document now and then, so that reading back "
        "takes few patches) count as they are in the log, without anything around them.",
        _BYTES,
        [
            Contender(_CONTENT, _logged(case, _content), "", "limit"),
            Contender(
                "objstore", _logged(case, _length), "all files of the log, after a close", "ours"
            ),
        ],
        Targets(times(_CONTENT, 2)),
        rounds=1,
    )


def _logged(case: Case, measure: Callable[[str], int]) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        folder = plain.people_files(scene.new_folder("size"), records(20))
        commits = scaled(scene, _COMMITS)
        with objstore.open(folder, durability="os", apply="lazy") as store:
            people = list(store.root["people"].values())
            for number in range(commits):
                with store.transaction():
                    case.change(people, number)
        return lambda: measure(folder) / commits

    return start


def _length(folder: str) -> int:
    logs = f"{folder}/.objstore/log"
    return sum(os.path.getsize(f"{logs}/{name}") for name in os.listdir(logs))


def _content(folder: str) -> int:
    log = CommitLog.open(Files(folder, sync=False))
    size = sum(_sizes(log))
    log.close()
    return size


def _sizes(log: CommitLog) -> Iterator[int]:
    for one in log.records():
        for entry in decode(one.payload, one.link.generation).entries:
            yield len(patch_text(entry)) + len(entry.image or b"")
