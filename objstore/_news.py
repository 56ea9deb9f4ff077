"""News of a store: what a watcher is told."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from .documents import Commit
from .errors import FormatError, ObjstoreError


class Invalid(NamedTuple):
    """A file was edited so that it does not parse, or does not fit its schema.

    Its Objects show what they last showed, until it is mended.
    """

    unit: str
    """The unit's JSON Pointer."""
    source: str
    """The file's path within the store."""
    line: int | None
    """Where in the file, from 1; None where the schema refuses it, and ``reason`` names a place."""
    reason: str
    """What is wrong, file and place included."""
    error: ObjstoreError
    """The same as the error that reading the file raises: FormatError, ValidationError."""


class Mended(NamedTuple):
    """A file that was invalid is valid again, or gone."""

    unit: str
    """The unit's JSON Pointer."""
    source: str
    """The file's path within the store."""


News: TypeAlias = Commit | Invalid | Mended


def invalid(unit: str, source: str, error: ObjstoreError) -> Invalid:
    """What is told of an error that reading a file raised."""
    line = error.line if isinstance(error, FormatError) else None
    return Invalid(unit, source, line, str(error), error)


def concerns(unit: str, path: str) -> bool:
    """Whether who hears of ``path`` hears of a unit: it, what is below it, what it is in."""
    return not path or unit == path or unit.startswith(path + "/") or path.startswith(unit + "/")
