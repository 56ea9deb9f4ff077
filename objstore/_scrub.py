"""Scrub: reads all blobs of a depot, and compares them with their digests."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

from ._digests import digest_of
from ._identifiers import BlobInfo, Damage, Identifier, ObjectStateT, Scrubbed
from ._moving import Progress, reading
from .errors import CorruptionError, FormatError, ObjstoreError, StorageError

if TYPE_CHECKING:
    from .depot import Depot


class Scrub:
    """One pass over all blobs."""

    def __init__(self, depot: Depot, progress: Progress | None) -> None:
        self._depot = depot
        self._progress = progress
        self._done = 0
        self._total: int | None = None
        self._sound = 0
        self._damaged: list[Damage] = []
        self._unknown: list[Identifier] = []

    def run(self) -> Scrubbed:
        """Look at every blob; what is wrong with one does not keep from the next."""
        if self._progress is not None:
            self._total = sum(self._size(one) for one in self._depot.identifiers())
        for identifier in self._depot.identifiers():
            try:
                self._look(identifier)
            except ObjstoreError as error:
                # What was purged meanwhile is no damage.
                if self._is_there(identifier):
                    self._damaged.append(Damage(identifier, str(error)))
        return Scrubbed(self._sound, tuple(self._damaged), tuple(self._unknown))

    def _is_there(self, identifier: Identifier) -> bool:
        try:
            return self._depot.exists(identifier)
        except (CorruptionError, FormatError):  # what tells whether it is there is damaged
            return True

    def _size(self, identifier: Identifier) -> int:
        try:
            info = self._depot.info(identifier)
        except ObjstoreError:  # the second pass tells
            return 0
        return info.size if info.state is ObjectStateT.READABLE else 0

    def _look(self, identifier: Identifier) -> None:
        info = self._depot.info(identifier)
        if info.state is not ObjectStateT.READABLE:
            return
        if info.sha256 is None:
            self._unknown.append(identifier)
            self._count(info.size)
            return
        self._compare(info, info.sha256)

    def _compare(self, info: BlobInfo, expected: str) -> None:
        base = self._done
        with self._depot.open(info.identifier) as blob:
            source = cast("io.RawIOBase", blob.raw)
            found = digest_of(reading(source), lambda done: self._count(base + done - self._done))
        if found != expected:
            raise StorageError(
                f"the blob {info.identifier} has the SHA-256 {found}, and had {expected} when it"
                " was finalized"
            )
        self._sound += 1

    def _count(self, size: int) -> None:
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)
