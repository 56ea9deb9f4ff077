"""Durable commits by many threads, and by many processes, to different files of one store."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import IO, Final, cast

import objstore

from . import children, plain
from .data import key, records
from .harness import Contender, Measure, Scene, Work
from .models import People
from .targets import Targets, faster, times
from .units import A_SECOND

_THREADS: Final = 16
_PROCESSES: Final = 4
_COMMITS: Final = 64
"""In a sample, by all together, for each round."""

_EAGER: Final = "objstore, one thread"
_LAZY: Final = "objstore, lazy, one thread"
_ALONE: Final = "objstore, one process"
_ALONE_LAZY: Final = "objstore, lazy, one process"


def works() -> list[Work]:
    return [_by_threads(), _by_processes()]


def _by_threads() -> Work:
    return Work(
        "log-threads",
        "Durable change of one key by 16 threads, each in a document of its own",
        "Documents of 1 KB, one store. Threads that wait for the disk share one sync.",
        A_SECOND,
        [
            Contender(_EAGER, _threads(1, "eager"), "", "ours", judged=False),
            Contender("objstore, 16 threads", _threads(_THREADS, "eager"), "", "ours"),
            Contender(_LAZY, _threads(1, "lazy"), "", "ours", judged=False),
            Contender(
                "objstore, lazy, 16 threads",
                _threads(_THREADS, "lazy"),
                "",
                "ours",
                targets=Targets(faster(_LAZY, 2.5), faster(_LAZY, 4)),
            ),
        ],
        Targets(faster(_EAGER, 1.5), faster(_EAGER, 4)),
    )


def _by_processes() -> Work:
    return Work(
        "log-processes",
        "Durable change of one key by 4 processes, each in a document of its own",
        "As above; all that the processes share is the folder.",
        A_SECOND,
        [
            Contender(_ALONE, _processes(1, "eager"), "", "ours", judged=False),
            Contender("objstore, 4 processes", _processes(_PROCESSES, "eager"), "", "ours"),
            Contender(_ALONE_LAZY, _processes(1, "lazy"), "", "ours", judged=False),
            Contender(
                "objstore, lazy, 4 processes",
                _processes(_PROCESSES, "lazy"),
                "",
                "ours",
                targets=Targets(times(_ALONE_LAZY, 1)),
            ),
        ],
        Targets(times(_ALONE, 1)),
    )


def _folder(scene: Scene) -> str:
    return plain.people_files(scene.new_folder("parallel"), records(_THREADS))


def _threads(threads: int, apply: str) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        store = scene.stack.enter_context(objstore.open(_folder(scene), People, apply=apply))
        people = [store.root.people[key(each)] for each in range(threads)]
        pool = scene.stack.enter_context(ThreadPoolExecutor(threads))
        numbers = count(1_000_000)
        each = scene.sizes.rounds * _COMMITS // threads

        def change(which: int) -> None:
            for _ in range(each):
                people[which].visits = next(numbers)

        def sample() -> float:
            began = time.perf_counter()
            list(pool.map(change, range(threads)))
            took = time.perf_counter() - began
            store.flush()  # between samples, so that it disturbs no other's
            return took / (each * threads)

        sample()
        return sample

    return start


def _processes(processes: int, apply: str) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        folder = _folder(scene)
        running = [_Process(scene.stack, folder, key(n), apply) for n in range(processes)]
        for process in running:
            process.hear("ready")
        each = scene.sizes.rounds * _COMMITS // processes

        def sample() -> float:
            began = time.perf_counter()
            _together(running, each)
            return (time.perf_counter() - began) / (each * processes)

        sample()
        return sample

    return start


def _together(running: Sequence[_Process], commits: int) -> None:
    for process in running:
        process.begin(commits)
    for process in running:
        process.hear("done")


class _Process:
    """A process that commits when it is told to."""

    def __init__(self, stack: ExitStack, folder: str, name: str, apply: str) -> None:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.log_child", "commit", folder, name, apply],
            cwd=children.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(child)  # which closes its input, and waits
        self._input = cast("IO[str]", child.stdin)
        self._output = cast("IO[str]", child.stdout)

    def begin(self, commits: int) -> None:
        print(commits, file=self._input, flush=True)

    def hear(self, word: str) -> None:
        if (found := self._output.readline().strip()) != word:
            raise RuntimeError(f"a process said {found!r}, not {word!r}")
