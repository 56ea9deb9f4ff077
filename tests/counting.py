"""What work costs, counted: unlike time, it is the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls_of(work: Callable[[], object], of: object = None) -> int:
    """How many functions are called; or how often one that is in C, such as ``sorted``."""
    number = 0

    def count(_frame: object, event: str, argument: object) -> None:
        nonlocal number
        number += event == "call" if of is None else event == "c_call" and argument is of

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return number


def steps_of(work: Callable[[], object]) -> int:
    """How many lines are run, each turn of a loop as one more, also of those within a line."""
    number = 0

    def count(_frame: object, event: str, _argument: object) -> Any:
        nonlocal number
        number += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return number
