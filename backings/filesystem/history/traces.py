"""Changes that may not be in their files: what is told of a file by, without its contents."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from ..log.logview import Link
from .past import Past
from .record import Edited, Entry, Touched

_number: Final = attrgetter("number")


class Trace(NamedTuple):
    """A change that may not be in the unit's file yet."""

    link: Link
    before: str | None
    after: str | None
    edited: Edited | None

    @property
    def number(self) -> int:
        """The commit's."""
        return self.link.number


def trace_of(link: Link, entry: Entry | Touched) -> Trace:
    """That of an entry, which the link leads to."""
    return Trace(link, entry.before, entry.after, entry.edited)


class Traces:
    """The traces of units, each chain read once: of two processes that change a file in turn,
    lazily, each asks with every commit for all since the file was last written."""

    def __init__(self, past: Past) -> None:
        self._past: Final = past
        self._known: Final[dict[str, tuple[int, Sequence[Trace]]]] = {}
        """By unit, from which commit on it was read, and what was found."""

    def since(self, unit: str, newest: Link | None, number: int) -> list[Trace]:
        """Those of commit ``number`` and later, oldest first; ``newest`` leads to the last."""
        begin, known = self._known.get(unit, (0, ()))
        if begin > number:
            known = ()  # there may be more before
        link, traces = newest, list[Trace]()
        while link is not None and link.number >= number:
            if known and known[-1].number == link.number:
                traces += reversed(known[bisect_left(known, number, key=_number) :])
                break
            entry = self._past.change(unit, link).entry
            traces.append(trace_of(link, entry))
            link = entry.last
        traces.reverse()
        self._known[unit] = number, tuple(traces)
        return traces

    def drop(self, done: int) -> None:
        """Forget those of units whose changes are all in their files, up to commit ``done``."""
        for unit, (_, traces) in list(self._known.items()):
            if not traces or traces[-1].number <= done:
                del self._known[unit]

    def forget(self) -> None:
        """Forget all: the log's records are elsewhere, or may be."""
        self._known.clear()
