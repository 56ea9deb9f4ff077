"""What a measured figure is held against, and the verdict; neither is ever written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Medians = Mapping[str, float]
"""What was measured, by the contender's name."""

Verdict = Literal["aim met", "met", "lost", "not judged"]


class Bound(NamedTuple):
    """A figure that is not to be exceeded: None where nothing tells it."""

    text: str
    limit: Callable[[Medians], float | None]


@dataclass(frozen=True)
class Targets:
    """What is asked of a work at least, and what would be best."""

    at_least: Bound | None = None
    aim: Bound | None = None

    def verdict(self, figure: float, medians: Medians) -> Verdict:
        least = None if self.at_least is None else self.at_least.limit(medians)
        best = None if self.aim is None else self.aim.limit(medians)
        if best is not None and figure <= best:
            return "aim met" if least is None or figure <= least else "lost"
        if least is None:
            return "not judged" if best is None else "lost"
        return "met" if figure <= least else "lost"

    def text(self) -> str:
        least = "" if self.at_least is None else f"at least {self.at_least.text}"
        best = "" if self.aim is None else f"aim {self.aim.text}"
        return "; ".join(filter(None, [least, best]))


def times(name: str, factor: float) -> Bound:
    """So many times what ``name`` takes."""
    text = f"{factor:g} times {name}" if factor != 1 else f"as {name}"
    return Bound(text, lambda medians: _scaled(medians.get(name), factor))


def faster(name: str, factor: float) -> Bound:
    """So many times faster than ``name``."""
    text = f"{factor:g} times faster than {name}"
    return Bound(text, lambda medians: _scaled(medians.get(name), 1 / factor))


def below(name: str) -> Bound:
    return Bound(f"below {name}", lambda medians: medians.get(name))


def ahead_of(*names: str) -> Bound:
    """Ahead of every contender whose name starts with one of these, as far as they ran."""

    def limit(medians: Medians) -> float | None:
        return min((v for name, v in medians.items() if name.startswith(names)), default=None)

    return Bound(f"ahead of {', '.join(names)}", limit)


def all_of(*bounds: Bound) -> Bound:
    """All of these, as far as they can be told."""

    def limit(medians: Medians) -> float | None:
        limits = [bound.limit(medians) for bound in bounds]
        return min((one for one in limits if one is not None), default=None)

    return Bound(" and ".join(bound.text for bound in bounds), limit)


def at_most(figure: float, text: str) -> Bound:
    return Bound(text, lambda medians: figure)


def _scaled(figure: float | None, factor: float) -> float | None:
    return None if figure is None else figure * factor
