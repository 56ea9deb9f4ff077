"""How a joint transaction ended, as participants in other processes are told it: in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

from . import errors
from .errors import (
    ConflictError,
    Failure,
    FormatError,
    ObjstoreError,
    PatchError,
    PathError,
    ValidationError,
)
from .meetings import Note
from .values import JSON, MISSING, Missing


class Outcome(NamedTuple):
    """How a joint transaction ended, for all participants."""

    committed: bool = False
    matched: bool = True
    commit: int | None = None
    data: Mapping[str, JSON] = {}
    """What is at each participant's path after it, by their seats; without a key for nothing."""
    error: ObjstoreError | None = None


def to_note(outcome: Outcome) -> Note:
    """An outcome as it is left for the other participants (docs/formats/meetings.md)."""
    note: Note = {
        "committed": outcome.committed,
        "matched": outcome.matched,
        "commit": outcome.commit,
        "data": dict(outcome.data),
    }
    if outcome.error is not None:
        note["error"] = _error_note(outcome.error)
    return note


def from_note(note: Note) -> Outcome:
    """The inverse of ``to_note``."""
    error = cast("Note | None", note.get("error"))
    return Outcome(
        committed=note["committed"] is True,
        matched=note["matched"] is True,
        commit=cast("int | None", note["commit"]),
        data=cast("dict[str, JSON]", note["data"]),
        error=None if error is None else _error(error),
    )


def _error_note(error: ObjstoreError) -> Note:
    return {"type": type(error).__name__, "arguments": _arguments(error)}


def _arguments(error: ObjstoreError) -> list[JSON]:
    if isinstance(error, ConflictError):
        sides = [_wrapped(side) for side in (error.base, error.ours, error.theirs)]
        return [str(error), error.pointer, *sides]
    if isinstance(error, ValidationError):
        return [list(failure[:5]) for failure in error.failures]
    if isinstance(error, PatchError):
        return [str(error), error.number, error.pointer, error.expected, error.found]
    if isinstance(error, FormatError):
        return [error.reason, error.source, error.line, error.column, error.pointer]
    if isinstance(error, PathError):
        return [error.reason, error.path, error.position]
    if isinstance(error, OSError) and error.errno is not None:
        return [error.errno, error.strerror, cast("str | None", error.filename)]
    return [str(error)]


def _error(note: Note) -> ObjstoreError:
    name, arguments = cast(str, note["type"]), cast("list[Any]", note["arguments"])
    make = _MAKERS.get(name)
    if make is not None:
        return make(*arguments)
    found: Any = getattr(errors, name, ObjstoreError)
    # One that is made in a way of its own is told by its message alone.
    plain = "__init__" not in vars(found)
    return cast(ObjstoreError, (found if plain else ObjstoreError)(*arguments))


def _wrapped(side: object) -> JSON:
    return [] if side is MISSING else [cast("JSON", side)]


def _unwrapped(side: list[JSON]) -> JSON | Missing:
    return side[0] if side else MISSING


def _conflict(message: str, pointer: str, *sides: list[JSON]) -> ConflictError:
    base, ours, theirs = map(_unwrapped, sides)
    return ConflictError(message, pointer=pointer, base=base, ours=ours, theirs=theirs)


def _validation(*failures: list[Any]) -> ValidationError:
    return ValidationError([Failure(*failure) for failure in failures])


def _patch(message: str, number: int, pointer: str | None, expected: str, found: str) -> PatchError:
    return PatchError(message, number=number, pointer=pointer, expected=expected, found=found)


def _format(
    reason: str, source: str, line: int | None, column: int | None, pointer: str | None
) -> FormatError:
    return FormatError(reason, source=source, line=line, column=column, pointer=pointer)


_MAKERS: Final[Mapping[str, Callable[..., ObjstoreError]]] = {
    "ConflictError": _conflict,
    "ValidationError": _validation,
    "PatchError": _patch,
    "FormatError": _format,
    "PathError": PathError,
}
