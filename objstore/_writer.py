"""The contract of a Writer: a writable blob that its maker holds open."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import Final, Self

from ._depot_checks import check_number
from ._identifiers import Identifier
from ._ranges import MAX_PARTS, Range, Ranges, choose_part_size
from .errors import StorageError


class Writer(ABC):
    """Writes one blob. Used by one thread at a time.

    Each method raises StorageError where the blob was finalized or purged by somebody else.
    """

    def __init__(self, identifier: Identifier, size: int | None, part_size: int) -> None:
        self.identifier: Final = identifier
        self.size: Final = size
        """What was reserved; None where the blob is as long as what is written."""
        self.part_size: Final = part_size

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes within what was reserved. They may still be lost with the machine."""
        end = offset + len(data)
        if self.size is not None and end > self.size:
            raise StorageError(
                f"the blob {self.identifier} has {self.size} bytes, and cannot take {len(data)} at"
                f" {offset}"
            )
        if end > self.part_size * MAX_PARTS:
            raise StorageError(
                f"the blob {self.identifier} would have more than {MAX_PARTS} parts of"
                f" {self.part_size} bytes"
            )
        if data:
            self._write(offset, data)

    def truncate(self, size: int) -> None:
        """Make a blob that has no promised size so long; what is new is zero, and written.

        Raises io.UnsupportedOperation for another length than the one that was promised,
        TypeError and ValueError for what is no size, or has more parts than the grid.
        """
        check_number("size", size)
        if self.size is None:
            choose_part_size(size, self.part_size)
            self._truncate(size)
        elif size != self.size:
            reason = f"the blob {self.identifier} was reserved with {self.size} bytes"
            raise io.UnsupportedOperation(f"{reason}, and cannot be made {size} long")

    @abstractmethod
    def _write(self, offset: int, data: memoryview) -> None:
        """Write at least one byte."""

    @abstractmethod
    def _truncate(self, size: int) -> None: ...

    @abstractmethod
    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Read back what is there, zero where nothing was written. Returns how much it is."""

    @abstractmethod
    def length(self) -> int:
        """Where reading back ends."""

    @abstractmethod
    def missing(self) -> list[Range]:
        """What has not been written, by anybody."""

    def note(self) -> None:  # noqa: B027 - a maker whose writes are known at once has nothing to do
        """Have others that open the blob know of all that was written so far."""

    @abstractmethod
    def sync(self) -> None:
        """Return once what was written survives the machine."""

    @abstractmethod
    def finalize(
        self, sha256: str | None, *, zeroes: bool = False, sought_over: Ranges | None = None
    ) -> None:
        """Make the blob readable; return once that survives the machine.

        ``sha256`` is the digest of all that this Writer wrote, if that is the whole blob; None
        where it is to be counted. What of ``sought_over`` was never written is zero, as in a file,
        if nobody but this Writer has written. Raises StorageError as ``Depot.finalize`` does.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the blob. It stays as it is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What makers check in the same words

    def _require_all(
        self, written: Ranges, size: int, meant: Ranges | None, *, zeroes: bool
    ) -> list[Range]:
        """What is to be zero, as it was never written: with ``zeroes`` all of that is ``meant``."""
        missing = lost = written.missing(size)
        if missing and meant is not None:
            lost = written.joined(meant).missing(size)
        if lost and not zeroes:
            count = sum(one.size for one in lost)
            raise StorageError(
                f"of the blob {self.identifier} {count} bytes were never written, the first at"
                f" {lost[0].at}; zeroes=True takes them for zeroes"
            )
        return missing

    def _require_promised(self, sha256: str, promised: str | None) -> None:
        if promised not in (None, sha256):
            raise StorageError(
                f"the blob {self.identifier} has the SHA-256 {sha256}, and {promised} was promised"
            )
