"""What is called back is a plain function: nobody would await a coroutine, or iterate."""

from __future__ import annotations

from typing import Any

from .values import show


def require_plain(one: Any, what: str) -> None:
    """Raise TypeError for what cannot be called, and for coroutine and generator functions.

    ``what`` is it that takes, or has, the function.
    """
    import inspect  # only who is called back has paid for it

    if not callable(one):
        raise TypeError(f"{what} a function, not {show(one)}")
    for function in (one, type(one).__call__):
        if (
            inspect.iscoroutinefunction(function)
            or inspect.isgeneratorfunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(f"{what} a plain function: a coroutine or a generator would never run")
