"""How measured figures are shown. Less is better for every figure as it is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple


class Unit(NamedTuple):
    """A unit, and a figure's value in it."""

    name: str
    value: Callable[[float], float]
    measured: str = "time"
    """What ratios are of."""

    def show(self, figure: float) -> str:
        value = self.value(figure)
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


NANOSECONDS: Final = Unit("ns", lambda seconds: seconds * 1e9)
MICROSECONDS: Final = Unit("µs", lambda seconds: seconds * 1e6)
MILLISECONDS: Final = Unit("ms", lambda seconds: seconds * 1e3)
SECONDS: Final = Unit("s", lambda seconds: seconds)
A_SECOND: Final = Unit("ops/s", lambda seconds: 1 / seconds)
MEGABYTES: Final = Unit("MB", lambda size: size / 1e6, "size")
