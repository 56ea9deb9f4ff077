"""Every error that objstore raises.

    ObjstoreError
    ├── SchemaError (TypeError)               a class or a JSON Schema is wrong in itself
    ├── ValidationError (ValueError)          contents do not fit their schema; lists every failure
    ├── FormatError (ValueError)              a file does not parse, or cannot hold what it should
    ├── KeyNotFoundError (KeyError)           no such key, file or element
    │   └── AttributeNotFoundError (AttributeError)    the same, asked for as an attribute
    ├── DefinedKeyError (AttributeError)      a defined key without a setter was set or deleted
    ├── DetachedError (KeyError)              an Object whose element or file is gone
    ├── KeyNameError (ValueError)             a key that can be no file's name
    ├── LayoutError (OSError)                 a file where a directory should be, or the reverse
    ├── OutsideError (PermissionError)        a symbolic link that leads out of the store
    ├── StoreNotFoundError (FileNotFoundError)    nothing to open, and create=False
    ├── SchemaNotFoundError (FileNotFoundError)   no schema at the path that was given
    ├── UnknownSchemeError (ValueError)       no backing for the URL's scheme is installed
    ├── CommitNumberError (ValueError)        a number that no commit can have
    ├── CommitNotFoundError (KeyError)        a commit that is yet to come, or not of this scope
    ├── HistoryGone (KeyError)                a commit that compaction removed
    ├── ScopeNotFoundError (KeyError)         no such scope
    ├── PatchError (ValueError)               a JSON Patch that is malformed, or does not fit
    ├── PathError (ValueError)                text that is neither a JSON Pointer nor a path
    ├── SlowConsumerError (RuntimeError)      more commits came than wait for one to take them
    ├── EventNotFoundError (ValueError)       no event with that UUID
    ├── DuplicateEventError (ValueError)      an event with that UUID, and of other content
    ├── VerificationError                     an event that does not fit the ones before it
    └── StorageError                          what keeps the data refused, or was used wrongly
        ├── StorageNotFoundError (FileNotFoundError)    no storage there, and create=False
        ├── DuplicateStorageError (FileExistsError)     something there already, and create=True
        ├── ContainerNotFoundError (LookupError)        no container by that name
        ├── DuplicateContainerError (ValueError)        a container by that name already
        ├── CapacityExceeded                  a value that does not fit into its file
        ├── BusyError (TimeoutError)          others wrote for longer than this writer would wait
        ├── ReadOnlyError (PermissionError)   a write to a store that was opened read-only
        ├── ClosedError (ValueError)          use of a store after it was closed
        ├── ConflictError                     somebody else changed the same thing first
        ├── TransactionError (RuntimeError)   a transaction used out of its turn
        │   ├── TransactionTimeoutError (TimeoutError)      participants that never came
        │   └── TransactionNotFoundError (LookupError)      a joint transaction that is over
        ├── CorruptionError                   bytes on the medium are not the ones that were written
        └── BackingError (OSError)            the medium refused: full, read-only, broken
            └── SourceNotFoundError (FileNotFoundError)     no file where a blob was to come from

Where Python has a convention, an error is also the built-in exception that it names. Errors of the
libraries below (orjson, yaml, jsonschema, OSError itself) never reach a caller unmapped; they stay
visible as ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .values import copy_of

if TYPE_CHECKING:
    from uuid import UUID

__all__ = [
    "AttributeNotFoundError",
    "BackingError",
    "BusyError",
    "CapacityExceeded",
    "ClosedError",
    "CommitNotFoundError",
    "CommitNumberError",
    "ConflictError",
    "ContainerNotFoundError",
    "CorruptionError",
    "DefinedKeyError",
    "DetachedError",
    "DuplicateContainerError",
    "DuplicateEventError",
    "DuplicateStorageError",
    "EventNotFoundError",
    "Failure",
    "FormatError",
    "HistoryGone",
    "KeyNameError",
    "KeyNotFoundError",
    "LayoutError",
    "ObjstoreError",
    "OutsideError",
    "PatchError",
    "PathError",
    "ReadOnlyError",
    "SchemaError",
    "SchemaNotFoundError",
    "ScopeNotFoundError",
    "SlowConsumerError",
    "SourceNotFoundError",
    "StorageError",
    "StorageNotFoundError",
    "StoreNotFoundError",
    "TransactionError",
    "TransactionNotFoundError",
    "TransactionTimeoutError",
    "UnknownSchemeError",
    "ValidationError",
    "VerificationError",
]


class ObjstoreError(Exception):
    """The root of all errors of this package."""


class SchemaError(ObjstoreError, TypeError):
    """A class or a JSON Schema that cannot describe a store."""


class Failure(NamedTuple):
    """One place where contents do not fit their schema."""

    source: str
    """The file, relative to the store; the class's name for an unattached Object."""
    pointer: str
    """JSON Pointer (RFC 6901) of the value within the file; "" is the whole file."""
    expected: str
    """What the schema asks for, as a phrase: ``a string``, ``at least 0``."""
    found: str
    """What stood there, shortened: ``42``, ``"abc"``, ``nothing``."""
    keyword: str = ""
    """The JSON Schema keyword that refused it: ``type``, ``required``."""
    offset: int | None = None
    """The byte in a file of the store's own, counted from 0; None elsewhere."""
    advice: str = ""
    """What to tell besides where the file is one of YAML: ``str`` does."""

    def __str__(self) -> str:
        where = f"{self.source} at {self.pointer}" if self.pointer else self.source
        where += "" if self.offset is None else f", byte {self.offset}"
        text = f"{where}: expected {self.expected}, found {self.found}"
        if self.advice and self.source.endswith((".yaml", ".yml")):
            text += f" ({self.advice})"
        # Half a surrogate pair in a key could not be printed.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class ValidationError(ObjstoreError, ValueError):
    """Contents do not fit their schema; nothing was written.

    ``failures`` lists all of them, in the order of the contents.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n".join(str(failure) for failure in self.failures))

    def __reduce__(self) -> tuple[type[ValidationError], tuple[tuple[Failure, ...]]]:
        return type(self), (self.failures,)


class FormatError(ObjstoreError, ValueError):
    """A file that does not parse, or contents that its format cannot hold.

    ``line`` and ``column`` count from 1, in characters; they are None when the fault is in the
    contents to be written, and ``pointer`` says where in them.
    """

    def __init__(
        self,
        reason: str,
        *,
        source: str,
        line: int | None = None,
        column: int | None = None,
        pointer: str | None = None,
    ) -> None:
        self.reason = reason
        self.source = source
        self.line = line
        self.column = column
        self.pointer = pointer
        where = source
        if line is not None:
            where += f", line {line}"
            if column is not None:
                where += f", column {column}"
        elif pointer:
            where += f" at {pointer}"
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments, so that two numbers are never mixed up; pickling needs telling.
        return _format_error, (self.reason, self.source, self.line, self.column, self.pointer)


def _format_error(
    reason: str, source: str, line: int | None, column: int | None, pointer: str | None
) -> FormatError:
    return FormatError(reason, source=source, line=line, column=column, pointer=pointer)


class _PlainMessage(ObjstoreError, KeyError):  # noqa: N818 - a base, never raised itself
    """A KeyError whose text is its message; KeyError itself shows the repr of its argument."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class KeyNotFoundError(_PlainMessage):
    """There is no such key, file or element."""


class AttributeNotFoundError(KeyNotFoundError, AttributeError):
    """The same, asked for as an attribute; ``hasattr`` and ``getattr`` defaults work."""


class DetachedError(_PlainMessage):
    """The Object's element or file is gone."""


class DefinedKeyError(ObjstoreError, AttributeError):
    """A defined key (a ``get_`` method) that has no ``set_`` method was set or deleted."""


class KeyNameError(ObjstoreError, ValueError):
    """A key that can be no file's name: too long, empty, or clashing with another in case only."""


class StorageError(ObjstoreError):
    """What keeps the data refused, or was used wrongly: the base of all errors of a Storage.

    Source: seed 002.
    """


class StorageNotFoundError(StorageError, FileNotFoundError):
    """No storage is at that path, and ``create=False``. Source: seed 002."""


class DuplicateStorageError(StorageError, FileExistsError):
    """Something is at that path already, and ``create=True``. Source: seed 002."""


class ContainerNotFoundError(StorageError, LookupError):
    """No container by that name exists. Source: seed 002.

    No KeyError: whoever catches that for a missing key wants to hear of a missing container.
    """


class DuplicateContainerError(StorageError, ValueError):
    """A container by the same name already exists. Source: seed 002."""


class BusyError(StorageError, TimeoutError):
    """Others were writing for longer than this writer was told to wait; nothing was written."""


class CapacityExceeded(StorageError):  # noqa: N818 - the name is the seed's
    """A value does not fit into its file any more, or into any; nothing was written.

    Source: seed 003.
    """


class BackingError(StorageError, OSError):
    """The medium refused: it is full, read-only, broken. ``errno`` and ``filename`` say more."""


class SourceNotFoundError(BackingError, FileNotFoundError):
    """No file is at the path that a blob was to be made of."""


class LayoutError(ObjstoreError, OSError):
    """A file where a directory should be, or the reverse, or two files for one key."""


class OutsideError(ObjstoreError, PermissionError):
    """A symbolic link that leads out of the store's folder; it is not followed."""


class ReadOnlyError(StorageError, PermissionError):
    """A write to a store that was opened with ``readonly=True``, or to a past state."""


class StoreNotFoundError(ObjstoreError, FileNotFoundError):
    """Nothing is there to be opened, and ``create=False``."""


class SchemaNotFoundError(ObjstoreError, FileNotFoundError):
    """No schema is at the path that was given."""


class UnknownSchemeError(ObjstoreError, ValueError):
    """No backing for the URL's scheme is installed."""


class ClosedError(StorageError, ValueError):
    """The store was closed."""


class ConflictError(StorageError):
    """Somebody else changed the same thing first; nothing of this transaction was written.

    ``pointer`` is the JSON Pointer of what both changed; ``base``, ``ours`` and ``theirs`` are its
    value when the transaction began, as this transaction has it, and as it is now; copies.
    """

    def __init__(self, message: str, *, pointer: str, base: object, ours: object, theirs: object):
        super().__init__(message)
        self.pointer = pointer
        self._sides = base, ours, theirs

    # Copied when they are asked for, as whoever begins again at once does not ask.

    @property
    def base(self) -> object:
        return copy_of(self._sides[0])

    @property
    def ours(self) -> object:
        return copy_of(self._sides[1])

    @property
    def theirs(self) -> object:
        return copy_of(self._sides[2])

    def __reduce__(self) -> tuple[object, ...]:
        return _conflict_error, (str(self), self.pointer, *self._sides)


def _conflict_error(
    message: str, pointer: str, base: object, ours: object, theirs: object
) -> ConflictError:
    return ConflictError(message, pointer=pointer, base=base, ours=ours, theirs=theirs)


class CommitNumberError(ObjstoreError, ValueError):
    """A number that no commit can have: a negative one, or 0 where the state before all is none."""


class CommitNotFoundError(_PlainMessage):
    """A commit that is yet to come, or that this scope, or the store itself, does not show."""


class HistoryGone(_PlainMessage):
    """A past that is not kept: compaction removed the commit, or it is from before the first."""


class ScopeNotFoundError(_PlainMessage):
    """No such scope has been written to, or it was deleted."""


class SlowConsumerError(ObjstoreError, RuntimeError):
    """More commits came than wait to be taken; the one who was to take them hears of no more.

    ``after`` is the number of the last commit that was taken: one may begin again behind it.
    """

    def __init__(self, message: str, *, after: int) -> None:
        super().__init__(message)
        self.after = after

    def __reduce__(self) -> tuple[object, ...]:
        return _slow_consumer_error, (str(self), self.after)


def _slow_consumer_error(message: str, after: int) -> SlowConsumerError:
    return SlowConsumerError(message, after=after)


class PatchError(ObjstoreError, ValueError):
    """A patch that is malformed, or does not fit the value; nothing was changed.

    ``number`` is the operation's place in the patch, from 1; ``pointer`` is the place in the value,
    None where the operation itself is malformed; ``expected`` and ``found`` are phrases.
    """

    def __init__(
        self, message: str, *, number: int, pointer: str | None, expected: str, found: str
    ) -> None:
        super().__init__(message)
        self.number = number
        self.pointer = pointer
        self.expected = expected
        self.found = found

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments, so that texts are never mixed up; pickling needs telling.
        return _patch_error, (str(self), self.number, self.pointer, self.expected, self.found)


def _patch_error(
    message: str, number: int, pointer: str | None, expected: str, found: str
) -> PatchError:
    return PatchError(message, number=number, pointer=pointer, expected=expected, found=found)


class PathError(ObjstoreError, ValueError):
    """A text that is no path; ``position`` is where it goes wrong, in characters from 1."""

    def __init__(self, reason: str, path: str, position: int) -> None:
        super().__init__(f"{path!r}, character {position}: {reason}")
        self.reason = reason
        self.path = path
        self.position = position

    def __reduce__(self) -> tuple[type[PathError], tuple[str, str, int]]:
        return type(self), (self.reason, self.path, self.position)


class TransactionError(StorageError, RuntimeError):
    """A transaction that was used out of its turn: ended already, or left in the wrong order."""


class TransactionTimeoutError(TransactionError, TimeoutError):
    """Some participants of a joint transaction never came; nothing was written."""


class TransactionNotFoundError(TransactionError, LookupError):
    """A joint transaction that was never made, or is over."""


class CorruptionError(StorageError):
    """Bytes on the medium are not the ones that were written. Nothing is read from there.

    ``file`` is relative to the store; ``offset`` counts its bytes from 0, and is None where the
    file is wrong as a whole; ``reason`` says what stands there.
    """

    def __init__(self, reason: str, *, file: str, offset: int | None = None) -> None:
        self.reason = reason
        self.file = file
        self.offset = offset
        where = file if offset is None else f"{file}, byte {offset}"
        super().__init__(f"{where}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return _corruption_error, (self.reason, self.file, self.offset)


def _corruption_error(reason: str, file: str, offset: int | None) -> CorruptionError:
    return CorruptionError(reason, file=file, offset=offset)


class EventNotFoundError(ObjstoreError, ValueError):
    """The log has no event with that UUID."""


class DuplicateEventError(ObjstoreError, ValueError):
    """The log has an event with that UUID already, and it says something else."""


class VerificationError(ObjstoreError):
    """An event does not fit the ones before it: it was forged, changed, moved, or some are missing.

    ``position`` is its place in the log, from 1; ``uuid`` is None where nothing can be read there.
    """

    def __init__(self, reason: str, *, position: int, uuid: UUID | None = None) -> None:
        self.reason = reason
        self.position = position
        self.uuid = uuid
        what = f"event {position}" if uuid is None else f"event {position}, {uuid}"
        super().__init__(f"{what}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return _verification_error, (self.reason, self.position, self.uuid)


def _verification_error(reason: str, position: int, uuid: UUID | None) -> VerificationError:
    return VerificationError(reason, position=position, uuid=uuid)
