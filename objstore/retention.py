"""Which commits compaction keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

_START: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Where the first stretch of time begins, whatever the length of stretches."""


class _Fields(NamedTuple):
    keep: timedelta
    every: timedelta
    slots: int
    factor: int


class Retention(_Fields):
    """Keep every commit that is younger than ``keep``, and older ones ever further apart.

    What is older falls into tiers. The first has one commit, the newest, of each stretch of
    ``every``, and reaches back over ``slots`` such stretches. In each tier after it the stretches
    are ``factor`` times as long. There is no last tier: a few commits stay for each time that the
    store's age multiplies by ``factor``.

    Stretches lie at fixed times, in UTC, whenever compaction runs: running it often removes no more
    than running it once.

    Raises TypeError or ValueError unless ``keep`` is a timedelta and not negative, ``every`` one
    of more than nothing, ``slots`` an integer of at least 1 and ``factor`` one of at least 2.
    """

    __slots__ = ()

    def __new__(cls, keep: timedelta, every: timedelta, slots: int = 8, factor: int = 2) -> Self:
        _require_time("keep", keep, timedelta(0))
        _require_time("every", every, timedelta(microseconds=1))
        _require_whole("slots", slots, 1)
        _require_whole("factor", factor, 2)
        return super().__new__(cls, keep, every, slots, factor)

    def survivors(
        self,
        commits: Iterable[tuple[int, datetime]],
        now: datetime,
        pins: Collection[int] = (),
    ) -> set[int]:
        """The numbers, of these commits (number, time), that stay at the time ``now``.

        The newest and those in ``pins`` always do.
        """
        newest_first = sorted(commits, key=lambda commit: (commit[1], commit[0]), reverse=True)
        numbers = {number for number, _ in newest_first}
        stay = numbers.intersection(pins)
        if numbers:
            stay.add(max(numbers))
        cutoff = (now - _START) - self.keep  # in this order, as ``keep`` may be longer than time
        start, stretch = _tier(cutoff, self.every, self.slots), self.every
        newer: timedelta | None = None
        for number, time in newest_first:
            since = time - _START
            while since < start:
                stretch = _times(stretch, self.factor)
                start = _tier(start, stretch, self.slots)
            # The next newer one may be in a younger tier. It then stays for this stretch as well:
            # it is the one that will be there once all of the stretch has come to this tier.
            if since > cutoff or newer is None or newer // stretch != since // stretch:
                stay.add(number)
            newer = since
        return stay


def _tier(end: timedelta, stretch: timedelta, slots: int) -> timedelta:
    """Where a tier starts that ends at ``end``: so that it has as many stretches, or parts."""
    return _times(stretch, -(-end // stretch) - slots)


def _times(stretch: timedelta, factor: int) -> timedelta:
    """A length of time so often; the longest that there is, either way, where that is longer."""
    try:
        return stretch * factor
    except OverflowError:
        return timedelta.max if factor > 0 else timedelta.min


def _require_time(name: str, value: object, least: timedelta) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def _require_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
