"""The data that every contender gets: records of 1 KB, the same in every run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

Record = dict[str, Any]

_WORDS: Final = (
    *("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "indigo", "jasper"),
    *("kelp", "lumen", "mango", "nectar", "opal", "pewter", "quartz", "raven", "sable", "topaz"),
    *("umber", "violet", "willow", "xenon", "yarrow", "zephyr"),
)
_TEXT_SIZE: Final = 708


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything; large, medium and small documents in bytes."""

    name: str
    files: int
    listed: int
    together: int
    large: int
    medium: int
    validated: int
    rounds: int
    most: int
    """How many files, or commits, the largest store has."""


FULL: Final = Sizes(
    "full", 10_000, 1_000, 100, 10_000_000, 1_000_000, 100_000, rounds=7, most=100_000
)
QUICK: Final = Sizes("quick", 500, 100, 20, 500_000, 100_000, 20_000, rounds=3, most=2_000)
TINY: Final = Sizes("tiny", 6, 4, 3, 6_000, 3_000, 3_000, rounds=1, most=200)


def record(number: int) -> Record:
    """A person, 1 KB when written with an indentation of two."""
    pick = random.Random(number)
    first, last = pick.choice(_WORDS), pick.choice(_WORDS)
    return {
        "name": f"{first} {last}".title(),
        "born": pick.randrange(1900, 2020),
        "email": f"{first}.{last}{number}@example.org",
        "address": {
            "street": f"{pick.choice(_WORDS)} road {pick.randrange(1, 300)}".title(),
            "city": pick.choice(_WORDS).title(),
            "geo": {"lat": round(pick.uniform(-90, 90), 6), "long": round(pick.uniform(0, 180), 6)},
        },
        "tags": pick.sample(_WORDS, 3),
        "about": _text(pick),
        "visits": number,
    }


def key(number: int) -> str:
    return f"p{number:05}"


def records(count: int) -> dict[str, Record]:
    return {key(number): record(number) for number in range(count)}


def document(size: int, *, dense: bool = False) -> Record:
    """One document of about so many bytes: records by key, ``dense`` ones without long text."""
    people = records(max(2, size // (397 if dense else 1088)))
    if dense:
        people = {name: {**person, "about": ""} for name, person in people.items()}
    return {"title": "people", "records": people}


def _text(pick: random.Random) -> str:
    words: list[str] = []
    length = 0
    while length < _TEXT_SIZE:
        word = pick.choice(_WORDS)
        words.append(word)
        length += len(word) + 1
    return " ".join(words)
