"""Errors that are raised in several places, in the same words; and what is none of them."""

from __future__ import annotations

import errno
from typing import Any

from ._merge import Conflict
from .documents import Change
from .errors import CommitNotFoundError, ConflictError, KeyNameError, LayoutError, ReadOnlyError
from .values import show


def conflict(change: Change, theirs: Any) -> ConflictError:
    """The error of a change that rests on what is no longer so; ``theirs`` is there now."""
    return ConflictError(
        f"{change.unit} was changed by somebody else since it was read",
        pointer=change.unit,
        base=change.old,
        ours=change.new,
        theirs=theirs,
    )


def merge_conflict(message: str, unit: str, conflict: Conflict) -> ConflictError:
    """The error of two changes of a unit that a merge could not bring together."""
    return ConflictError(
        message,
        pointer=unit + conflict.pointer,
        base=conflict.base,
        ours=conflict.ours,
        theirs=conflict.theirs,
    )


def not_a_file(path: str) -> LayoutError:
    """The error of using a directory as a file."""
    return LayoutError(errno.EISDIR, f"{path} is a directory where a file should be", path)


def not_a_directory(path: str, unit: str | None = None) -> LayoutError:
    """The error of using a file as a directory, perhaps for a unit in it."""
    reason = f"{path} is a file where a directory should be"
    return LayoutError(errno.ENOTDIR, reason, path if unit is None else unit)


def require_refusal(error: OSError) -> None:
    """Raise ``error`` itself where it is no answer of the system's, which all have a number.

    Then the handler of a signal has raised it amid a call, as many do a TimeoutError. That is an
    interrupt like Ctrl-C, and says nothing of the medium.
    """
    try:
        if error.errno is None:
            raise error
    finally:
        del error  # a cycle with its traceback, which would keep all that was interrupted


def require_storable(name: str, what: str) -> None:
    """Raise KeyNameError for a name with a lone surrogate, which no file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise KeyNameError(f"the {what} {show(name)} has a lone surrogate") from error


def no_commit_yet(number: int, head: int) -> CommitNotFoundError:
    """The error of asking for a commit that is yet to come."""
    return CommitNotFoundError(f"there is no commit {number} yet: the newest is {head}")


def in_a_view() -> ReadOnlyError:
    """The error of changing something in a snapshot view."""
    return ReadOnlyError("nothing can be changed in a snapshot view")
