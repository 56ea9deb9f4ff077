"""The machine that the figures are of, and who else used it meanwhile."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import sys
import time
from typing import Final

from . import peers, plain

_SYNCS: Final = 50
_LOOPS: Final = 9
_BLOCK: Final = b"." * 4096
# Columns of the first line of /proc/stat (proc_stat(5)) that say that a processor was used.
_USED: Final = (1, 2, 3, 6, 7, 8)


def describe(folder: str) -> dict[str, str]:
    """What a reader has to know to compare figures with their own."""
    filesystem, device = _filesystem(folder)
    return {
        "processors": f"{os.cpu_count()} ({_processor()}, {platform.machine()})",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "file system": f"{filesystem} on {device}",
        "append of 4 KB and fsync": f"{_sync_time(folder) * 1e3:.3g} ms at the median",
        "a million turns of a loop in Python": f"{_loop_time() * 1e3:.3g} ms at the median",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version}" for name, version in peers.versions().items()),
        "shelve": f"on dbm.{peers.shelve_dbm()}",
    }


def is_in_memory(folder: str) -> bool:
    """Whether a folder is on no disk, so that durability costs nothing there."""
    return _filesystem(folder)[0] in ("tmpfs", "ramfs")


def _sync_time(folder: str) -> float:
    took: list[float] = []
    with plain.Log(os.path.join(folder, "sync")) as log:
        for _ in range(_SYNCS):
            start = time.perf_counter()
            log.append(_BLOCK)
            took.append(time.perf_counter() - start)
    return statistics.median(took)


def _loop_time() -> float:
    took: list[float] = []
    for _ in range(_LOOPS):
        start = time.perf_counter()
        for _turn in range(1_000_000):
            pass
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def _filesystem(folder: str) -> tuple[str, str]:
    """The type and the device of the file system that a folder is on."""
    try:
        with open("/proc/self/mounts", encoding="utf-8") as file:
            mounts = [line.split() for line in file]
    except FileNotFoundError:
        return "unknown", "an unknown device"
    path = os.path.realpath(folder) + "/"
    holding = [mount for mount in mounts if path.startswith(mount[1].rstrip("/") + "/")]
    device, _, kind, *_ = max(holding, key=lambda mount: len(mount[1]))
    return kind, device


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or "unknown"


class Load:
    """How much of the machine others used since this was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._used = _used()
        self._own = _own()

    def describe(self) -> str:
        seconds = time.monotonic() - self._start
        if self._used is None or (used := _used()) is None:
            return "use of the machine by others not known"
        others = max(0.0, used - self._used - (_own() - self._own)) / seconds
        loaded = ": **a loaded machine**" if others > 0.1 else ""
        return f"took {seconds:.0f} s, other processes used {others:.2f} processors{loaded}"


def _used() -> float | None:
    if sys.platform != "linux":
        return None
    with open("/proc/stat", encoding="ascii") as file:
        columns = file.readline().split()
    return sum(int(columns[column]) for column in _USED) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
