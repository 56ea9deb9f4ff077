"""``python -m benchmarks.makers_child MAKER PATH ITEMS``: a process that has a storage open.

Prints how far its resident set rose for each item, in bytes. A MemoryStorage is filled first.
"""

from __future__ import annotations

import random
import sys

import objstore

from .valuelog_child import own_memory

_GETS = 2000


def main() -> None:
    maker, path, count = sys.argv[1:]
    make, items = getattr(objstore, maker), int(count)
    pick = random.Random(items)
    before = own_memory()
    with make(path, create=maker == "MemoryStorage") as storage:
        if maker == "MemoryStorage":
            storage.add_container("c")
            for n in range(items):
                storage.set_container_item("c", f"key{n:07}", f"{n:0100}")
        for _ in range(_GETS):
            storage.get_container_item("c", f"key{pick.randrange(items):07}")
        print(max((own_memory() - before) / items, 1.0))


if __name__ == "__main__":
    main()
