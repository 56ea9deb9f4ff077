"""Pauses between attempts."""

from __future__ import annotations

import time
from typing import Final

_FIRST: Final = 0.001
_LONGEST: Final = 0.064


def pause(attempt: int) -> None:
    """Wait a random while, up to 64 ms after more attempts, so that rivals get out of step."""
    import random  # 1 ms, which programs without conflicts save

    limit = min(_LONGEST, _FIRST * 2 ** min(attempt, 10))
    time.sleep(random.uniform(0, limit))  # noqa: S311 - nothing depends on its being secret
