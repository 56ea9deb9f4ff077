"""Durable commits by many threads, and by many processes, to different files of one store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import IO, TYPE_CHECKING, Final, cast

import objstore

from . import children, plain
from .data import key, records
from .harness import Contender, Measure, Scene, Work
from .models import People
from .targets import Targets, faster, times
from .units import A_SECOND

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_THREADS: Final = 16
_PROCESSES: Final = 4
_COMMITS: Final = 64
"""In a sample, by all together, for each round."""

_EAGER: Final = "objstore, one thread"
_LAZY: Final = "objstore, lazy, one thread"
_ALONE: Final = "objstore, one process"
_ALONE_LAZY: Final = "objstore, lazy, one process"


_SLOW: Final = 0.002
"""Seconds that a sync takes longer on the slow disk, as on many a server's network volume."""

_ALONE_SLOWLY: Final = "objstore, slow disk, one thread"


def works() -> list[Work]:
    return [_by_threads(), _by_threads_slowly(), _by_processes()]


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


def _by_threads_slowly() -> Work:
    return Work(
        "log-threads-slow",
        "Durable change of one key by 16 threads, on a disk whose sync takes 2 ms longer",
        "As above, with a pause in each sync: what sharing it gives where the disk is short.",
        A_SECOND,
        [
            Contender(_ALONE_SLOWLY, _threads(1, "eager", slow=_SLOW), "", "ours", judged=False),
            Contender(
                "objstore, slow disk, 16 threads",
                _threads(_THREADS, "eager", slow=_SLOW),
                "",
                "ours",
            ),
        ],
        Targets(faster(_ALONE_SLOWLY, 1.5), faster(_ALONE_SLOWLY, 4)),
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


def _threads(threads: int, apply: str, *, slow: float = 0) -> Callable[[Scene], Measure]:
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
            with _syncing(slow):
                began = time.perf_counter()
                list(pool.map(change, range(threads)))
                took = time.perf_counter() - began
            store.flush()  # between samples, so that it disturbs no other's
            return took / (each * threads)

        sample()
        return sample

    return start


@contextmanager
def _syncing(slow: float) -> Generator[None]:
    """Have each sync of a file's bytes take so many seconds longer."""
    quickly = os.fdatasync

    def slowly(fd: FileDescriptorLike) -> None:
        quickly(fd)
        time.sleep(slow)

    if slow:
        os.fdatasync = slowly
    try:
        yield
    finally:
        os.fdatasync = quickly


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
