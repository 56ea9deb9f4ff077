"""Measuring contenders in turn.

A *work* is something to be done, a *contender* a way to do it. All contenders of a work are set up
first; then each is measured once a round, in an order that rotates, so that a machine that slows
down or speeds up does so for all. The median of the rounds counts.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, Literal, TypeVar

from .data import Sizes
from .targets import Targets
from .units import Unit

T = TypeVar("T")

Measure = Callable[[], float]
"""Takes one sample: seconds for an operation, or bytes."""

Kind = Literal["ours", "limit", "peer"]

_ONCE: Final = 1.5
"""A sample that takes more seconds than this is taken once."""


class MissingPeerError(Exception):
    """A contender cannot run here; says why."""


@dataclass(frozen=True)
class Contender:
    """One way to do a work. ``start`` sets it up and returns how to take a sample."""

    name: str
    start: Callable[[Scene], Measure]
    note: str = ""
    kind: Kind = "peer"
    judged: bool = True
    """Whether the work's targets are meant for it, where it is ours."""
    targets: Targets | None = None
    """Its own, in place of the work's."""


@dataclass(frozen=True)
class Work:
    """Something to be done, by its contenders."""

    name: str
    title: str
    about: str
    unit: Unit
    contenders: Sequence[Contender]
    targets: Targets = field(default_factory=Targets)
    rounds: int | None = None
    """How often it is measured, if that is not for the run to say."""

    def targets_of(self, contender: Contender) -> Targets:
        return contender.targets or self.targets


@dataclass(frozen=True)
class Result:
    """What was measured of a contender, or why nothing was."""

    contender: Contender
    samples: Sequence[float] = ()
    failure: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None


class Scene:
    """Where works are done: a folder, sizes, and what several contenders need made once."""

    def __init__(self, folder: str, sizes: Sizes) -> None:
        self.folder: Final = folder
        self.sizes: Final = sizes
        self.stack = ExitStack()
        """Closed when the work is done."""
        self._made: dict[Hashable, Any] = {}

    def new_folder(self, name: str) -> str:
        return tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)

    def once(self, make: Callable[[Scene], T]) -> T:
        """What ``make`` makes of this scene, made when first asked for."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]  # type: ignore[no-any-return]


def timed(work: Callable[[], object], *, per: int = 1, at_least: float = 0.02) -> Measure:
    """Seconds for an operation, of which a call of ``work`` does ``per``.

    A sample makes as many calls as last ``at_least`` seconds. What the last call returns is let go
    when the clock has stopped: freeing it is not part of the work.
    """
    took = _time(work, 1)
    if took < _ONCE:
        took = _time(work, 1)
    calls = max(1, round(at_least / took))
    return lambda: _time(work, calls) / per


def _time(work: Callable[[], object], calls: int) -> float:
    gc.collect()
    kept: object = None
    start = time.perf_counter()
    for _ in repeat(None, calls):
        kept = work()
    took = time.perf_counter() - start
    del kept
    return took / calls


def run(work: Work, scene: Scene, *, peers: bool = True) -> list[Result]:
    """Measure every contender; what cannot be is reported, not left out."""
    rounds = min(work.rounds or scene.sizes.rounds, 5 * scene.sizes.rounds)
    wanted = [one for one in work.contenders if peers or one.kind != "peer"]
    with scene.stack:
        entries = [_Entry(one, scene) for one in wanted]
        for number in range(rounds):
            for entry in _rotated(entries, number):
                entry.sample(first=number == 0)
    return [entry.result() for entry in entries]


class _Entry:
    """A contender while it is measured."""

    def __init__(self, contender: Contender, scene: Scene) -> None:
        self._contender = contender
        self._folder = scene.folder
        self._samples: list[float] = []
        self._failure = ""
        self._measure: Measure | None = None
        self._attempt(lambda: setattr(self, "_measure", contender.start(scene)))

    def sample(self, *, first: bool) -> None:
        measure = self._measure
        if measure is None:
            return
        start = time.perf_counter()
        self._attempt(lambda: self._samples.append(measure()))
        if first and time.perf_counter() - start > _ONCE:
            self._measure = None

    def result(self) -> Result:
        return Result(self._contender, [] if self._failure else self._samples, self._failure)

    def _attempt(self, step: Callable[[], object]) -> None:
        """Do what may fail: other people's programs fail in ways of their own."""
        try:
            step()
        except MissingPeerError as error:
            self._failure, self._measure = str(error), None
        except Exception as error:
            if self._contender.kind != "peer":
                raise
            reason = " ".join(str(error).replace(self._folder, "").split())
            self._failure, self._measure = f"failed: {type(error).__name__}: {reason:.200}", None


def _rotated(entries: list[_Entry], by: int) -> Iterator[_Entry]:
    return (entries[(index + by) % len(entries)] for index in range(len(entries)))
