"""Large blobs: in with their digest, out again, and what memory it takes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from objstore.backings.filesystem import Depot

from . import children
from .harness import Contender, Kind, Measure, MissingPeerError, Scene, Work
from .targets import Targets, at_most, times
from .units import MEGABYTES, SECONDS

_CP: Final = "cp and sha256sum"
_CP_BACK: Final = "cp"
_READ: Final = "plain file"
_CHUNK: Final = 1 << 20
_SIZES: Final = {"full": 1 << 30, "quick": 64 << 20, "tiny": 1 << 20}
_ROUNDS: Final = 5
_LIMIT: Final = 32 << 20


def works() -> list[Work]:
    return [_writing(), _copying_back(), _reading(), _memory()]


class Step(NamedTuple):
    """What a contender does, and what comes after it, outside of the clock."""

    work: Callable[[], object]
    clean: Callable[[], object] = int


class Row(NamedTuple):
    """A contender."""

    name: str
    start: Callable[[Scene], Step]
    note: str
    kind: Kind = "ours"


class Series:
    """All contenders of a work, one after the other, five times.

    The harness takes one sample of what lasts for seconds, and a disk is not as fast each time.
    """

    def __init__(self, *rows: Row) -> None:
        self._rows: Final = rows

    def contenders(self) -> list[Contender]:
        return [
            Contender(one.name, self._start(one.name), one.note, one.kind) for one in self._rows
        ]

    def _start(self, name: str) -> Callable[[Scene], Measure]:
        return lambda scene: lambda: scene.once(self._medians)[name]

    def _medians(self, scene: Scene) -> dict[str, float]:
        steps: dict[str, Step] = {}
        for row in self._rows:
            with contextlib.suppress(MissingPeerError):
                steps[row.name] = row.start(scene)
        took: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(_ROUNDS if scene.sizes.rounds > 1 else 1):
            for name, step in steps.items():
                took[name].append(_time(step))
        return {name: statistics.median(samples) for name, samples in took.items()}


def _time(step: Step) -> float:
    start = time.perf_counter()
    step.work()
    took = time.perf_counter() - start
    step.clean()
    return took


def _writing() -> Work:
    return _in_turn(
        "blob-write",
        "Write a blob of 1 GiB with its SHA-256",
        "The source is in the operating system's cache; what is written is synced, and removed "
        "outside of the clock.",
        Targets(times(_CP, 1 / 0.9), times(_CP, 0.5)),
        Row(_CP, _cp_and_sum, "cp, sync, then sha256sum of the copy", "limit"),
        Row("shutil and hashlib", _shutil_and_hashlib, "the same in Python", "limit"),
        Row("objstore, put", _put, "digest counted beside, finalized"),
        Row("objstore, create", _create, "a file object, 1 MiB at a time"),
    )


def _copying_back() -> Work:
    return _in_turn(
        "blob-copy",
        "Copy a blob of 1 GiB into a file",
        "From the operating system's cache, and synced.",
        Targets(times(_CP_BACK, 1 / 0.9), times(_CP_BACK, 1)),
        Row(_CP_BACK, _cp, "cp, sync", "limit"),
        Row("objstore, get_to", _get_to, "whole or not at all"),
    )


def _reading() -> Work:
    return _in_turn(
        "blob-read",
        "Read a blob of 1 GiB",
        "From the operating system's cache, 1 MiB at a time, by `readinto`.",
        Targets(times(_READ, 1 / 0.9), times(_READ, 1)),
        Row(_READ, _read_plainly, "open(path, 'rb')", "limit"),
        Row("objstore, open", _read_blob, "a file object"),
    )


def _in_turn(name: str, title: str, about: str, targets: Targets, *rows: Row) -> Work:
    about = f"{about} The median of five, in turn."
    return Work(name, title, about, SECONDS, Series(*rows).contenders(), targets, rounds=1)


def _memory() -> Work:
    ways = ("put", "create", "open", "get_to", "scrub")
    return Work(
        name="blob-memory",
        title="Memory for a blob of 1 GiB",
        about="How far the peak of the resident set rose, in a process each.",
        unit=MEGABYTES,
        contenders=[
            Contender("the whole in memory", _peak("whole"), "read, hash, write", "limit"),
            *(Contender(f"objstore, {way}", _peak(way), kind="ours") for way in ways),
        ],
        targets=Targets(at_most(_LIMIT, "32 MiB")),
        rounds=1,
    )


def source(scene: Scene) -> str:
    """A file of the size that is asked, with bytes that no disk can make less of."""
    path = os.path.join(scene.new_folder("source"), "source")
    with open(path, "wb") as file:
        for _ in range(_SIZES[scene.sizes.name] // _CHUNK):
            file.write(os.urandom(_CHUNK))
        file.flush()
        os.fsync(file.fileno())
    return path


def _cp_and_sum(scene: Scene) -> Step:
    return _shell(scene, 'cp "$0" "$1" && sync -d "$1" && sync "$(dirname "$1")" && sha256sum "$1"')


def _cp(scene: Scene) -> Step:
    return _shell(scene, 'cp "$0" "$1" && sync -d "$1" && sync "$(dirname "$1")"')


def _shell(scene: Scene, command: str) -> Step:
    if not all(map(shutil.which, ("cp", "sync", "sha256sum"))):
        raise MissingPeerError("needs coreutils")
    target = os.path.join(scene.new_folder("cp"), "target")
    words = ["sh", "-c", command, scene.once(source), target]
    return Step(
        lambda: subprocess.run(words, check=True, capture_output=True), lambda: os.unlink(target)
    )


def _shutil_and_hashlib(scene: Scene) -> Step:
    path, folder = scene.once(source), scene.new_folder("shutil")
    target = f"{folder}/target"

    def work() -> str:
        shutil.copyfile(path, target)
        with open(target, "rb+") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        return digest

    return Step(work, lambda: os.unlink(target))


def _put(scene: Scene) -> Step:
    path = scene.once(source)
    return _filling(scene, lambda depot: depot.put(path))


def _create(scene: Scene) -> Step:
    path = scene.once(source)

    def work(depot: Depot) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        with depot.create() as blob, open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                blob.write(buffer[:count])

    return _filling(scene, work)


def _filling(scene: Scene, work: Callable[[Depot], object]) -> Step:
    depot = Depot(scene.new_folder("depot"))

    def clean() -> None:
        for identifier in depot.identifiers():
            depot.purge(identifier)

    return Step(lambda: work(depot), clean)


def filled(scene: Scene) -> Depot:
    """A depot with the source in it."""
    depot = Depot(scene.new_folder("depot"))
    depot.put(scene.once(source))
    return depot


def _get_to(scene: Scene) -> Step:
    depot, target = scene.once(filled), os.path.join(scene.new_folder("out"), "target")
    [identifier] = depot.identifiers()
    return Step(lambda: depot.get_to(identifier, target), lambda: os.unlink(target))


def _read_blob(scene: Scene) -> Step:
    depot = scene.once(filled)
    [identifier] = depot.identifiers()

    def work() -> None:
        buffer = memoryview(bytearray(_CHUNK))
        with depot.open(identifier) as blob:
            while blob.readinto(buffer):
                pass

    return Step(work)


def _read_plainly(scene: Scene) -> Step:
    path = scene.once(source)

    def work() -> None:
        buffer = memoryview(bytearray(_CHUNK))
        with open(path, "rb") as file:
            while file.readinto(buffer):
                pass

    return Step(work)


def _peak(how: str) -> Callable[[Scene], Measure]:
    def start(scene: Scene) -> Measure:
        path, folder = scene.once(source), scene.new_folder("memory")
        return lambda: float(children.call("-m", "benchmarks.depot_child", how, path, folder))

    return start
