"""``python -m benchmarks.log_child``: a process that has a store open.

``history FOLDER COMMITS`` makes so many commits and ends without closing, as if it were killed.
``commit FOLDER KEY APPLY`` makes as many commits as a line on standard input says, and tells when
they are made, again and again.
"""

from __future__ import annotations

import os
import sys
from itertools import chain, count, cycle, islice

import objstore

from .models import People


def main() -> None:
    what, folder, *more = sys.argv[1:]
    if what == "history":
        _history(folder, int(more[0]))
    else:
        _commit(folder, *more)


def _history(folder: str, commits: int) -> None:
    """Every other commit changes one and the same document, those between the others in turn."""
    store = objstore.open(folder, durability="os", apply="lazy")
    first, *others = store.root["people"].values()
    in_turn = chain.from_iterable((first, other) for other in cycle(others))
    for number, person in enumerate(islice(in_turn, commits)):
        person["visits"] = 1_000_000 + number
    print(store.head, flush=True)
    os._exit(0)


def _commit(folder: str, name: str, apply: str) -> None:
    numbers = count(1_000_000)
    with objstore.open(folder, People, apply=apply) as store:
        person = store.root.people[name]
        person.visits = next(numbers)
        print("ready", flush=True)
        for line in sys.stdin:
            for number in islice(numbers, int(line)):
                person.visits = number
            print("done", flush=True)


if __name__ == "__main__":
    main()
