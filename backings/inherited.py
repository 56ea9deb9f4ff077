"""What a forked child must never close, as its parent is using it."""

from __future__ import annotations


def keep_for_ever(thing: object) -> None:
    """Have an object outlive even the end of the interpreter, which frees what modules hold."""
    import ctypes  # takes 5 ms, and hardly any child needs it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
