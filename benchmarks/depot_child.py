"""``python -m benchmarks.depot_child HOW SOURCE FOLDER``: the memory that a blob takes, as JSON."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections.abc import Callable
from typing import Final

from objstore.backings.filesystem import Depot

_CHUNK: Final = 1 << 20


def whole(source: str, folder: str) -> None:
    with open(source, "rb") as file:
        data = file.read()
    hashlib.sha256(data).hexdigest()
    with open(f"{folder}/copy", "wb") as file:
        file.write(data)


def put(source: str, folder: str) -> None:
    Depot(folder).put(source)


def create(source: str, folder: str) -> None:
    with Depot(folder).create() as blob, open(source, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            blob.write(data)


def reading(source: str, folder: str) -> None:
    depot = Depot(folder)
    with depot.open(depot.put(source)) as blob:
        while blob.read(_CHUNK):
            pass


def get_to(source: str, folder: str) -> None:
    depot = Depot(folder)
    depot.get_to(depot.put(source), f"{folder}/copy")


def scrub(source: str, folder: str) -> None:
    depot = Depot(folder)
    depot.put(source)
    depot.scrub()


_WAYS: Final[dict[str, Callable[[str, str], None]]] = {
    "whole": whole,
    "put": put,
    "create": create,
    "open": reading,
    "get_to": get_to,
    "scrub": scrub,
}


def main(how: str, source: str, folder: str) -> None:
    before = _peak()
    _WAYS[how](source, folder)
    # A little is at least told of, so that no figure is none.
    print(json.dumps(max(_peak() - before, 1)))


def _peak() -> int:
    """The most memory that was resident so far, in bytes."""
    if sys.platform == "linux":
        # Not by getrusage: that counts what the parent had when it made this process.
        with open("/proc/self/status", encoding="ascii") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


if __name__ == "__main__":
    main(*sys.argv[1:])
