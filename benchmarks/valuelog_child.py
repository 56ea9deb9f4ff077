"""``python -m benchmarks.valuelog_child``: a process that has a value log open.

``get PATH ITEMS`` prints as JSON how far the resident set rose for each item, in bytes, and what a
get takes, in seconds; ``write PATH`` sets items until it is ended.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from itertools import count

from objstore.backings.valuelog import ValueLogStorage

_GETS = 50_000


def main() -> None:
    what, path, *more = sys.argv[1:]
    if what == "write":
        _write(path)
    else:
        print(json.dumps(_get(path, int(more[0]))))


def _write(path: str) -> None:
    with ValueLogStorage(path) as storage:
        for number in count():
            storage.set_container_item("c", f"written{number % 1000}", "x" * 100)
            if not number:
                print("writing", flush=True)


def _get(path: str, items: int) -> dict[str, float]:
    before = own_memory()
    with ValueLogStorage(path, readonly=True) as storage:
        # Keys are taken apart when they are needed.
        storage.get_container_len("c")
        rise = own_memory() - before
        pick = random.Random(items)
        keys = [f"key{pick.randrange(items):07}" for _ in range(_GETS)]
        for _ in range(2):
            start = time.perf_counter()
            for key in keys:
                storage.get_container_item("c", key)
            took = (time.perf_counter() - start) / _GETS
    return {"memory": max(rise / items, 1.0), "get": took}


def own_memory() -> int:
    """Resident, without mapped files, which the system takes back as it needs."""
    with open("/proc/self/statm") as file:
        resident, shared = map(int, file.read().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
