"""Frames: how a log file is cut into records. Grammar: docs/formats/commit-log.md.

A frame is a header of 32 bytes, a payload, and a newline. The byte 0xFF begins every header and is
in no payload, as it is in no UTF-8, so that frames are found from anywhere in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from struct import Struct
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID

import google_crc32c

MAX_PAYLOAD: Final = 2**32 - 1

SECTOR: Final = 512
"""What a disk writes whole or not at all."""

_MAGIC: Final = b"\xffO"
_HEADER: Final = Struct(">2scQQIIIc")
_CHECKED: Final = Struct(">2scQQII")
HEADER_SIZE: Final = _HEADER.size
_CHECKED_SIZE: Final = _CHECKED.size

Kind = Literal[b"S", b"R", b"C", b"E"]

START: Final = b"S"
"""The first frame of a file: the store, the generation, what the caller wanted kept."""
RECORD: Final = b"R"
CLOSED: Final = b"C"
"""A mark: whoever wrote it left everything before it on the disk, and nothing behind it."""
END: Final = b"E"
"""The last frame of a file: what follows is in the next generation's."""

_KINDS: Final = frozenset((START, RECORD, CLOSED, END))


# By way of vars, as the package says that it is typed, and is not.
_extend: Final = cast("Callable[[int, bytes], int]", vars(google_crc32c)["extend"])


def crc32c(data: bytes, seed: int = 0) -> int:
    """CRC-32C (RFC 3720, appendix B.4), continued from ``seed``."""
    return _extend(seed, data)


class Header(NamedTuple):
    """What a frame's header says."""

    kind: Kind
    number: int
    """A record's number; for other frames that of the last record before them."""
    synced: int
    """All of the file before this offset was on the disk when the frame was written."""
    length: int
    """The payload's, in bytes."""
    check: int
    """The payload's checksum."""

    @property
    def size(self) -> int:
        """The whole frame's, in bytes."""
        return HEADER_SIZE + self.length + 1


class Codec:
    """Makes and reads the frames of one file: checksums are seeded by store and generation."""

    __slots__ = ("_seed",)

    def __init__(self, store: UUID, generation: int) -> None:
        self._seed: Final = crc32c(store.bytes + generation.to_bytes(8, "big"))

    def encode(self, kind: Kind, number: int, synced: int, payload: bytes) -> bytes:
        """A frame. Raises ValueError for a payload that is not one line of UTF-8, or too long."""
        if b"\n" in payload or b"\xff" in payload or len(payload) > MAX_PAYLOAD:
            raise ValueError(f"a payload is a line of JSON, of up to {MAX_PAYLOAD} bytes")
        check = _extend(self._seed, payload)
        header = _CHECKED.pack(_MAGIC, kind, number, synced, len(payload), check)
        own = _extend(self._seed, header).to_bytes(4, "big")
        return b"".join((header, own, b"\n", payload, b"\n"))

    def header(self, data: bytes, at: int = 0) -> Header | None:
        """The header at ``at``; None where none of this file's is, or not all of it."""
        if not data.startswith(_MAGIC, at) or len(data) < at + HEADER_SIZE:
            return None
        _, kind, number, synced, length, check, own, newline = _HEADER.unpack_from(data, at)
        sound = own == _extend(self._seed, data[at : at + _CHECKED_SIZE])
        if not sound or newline != b"\n" or kind not in _KINDS:
            return None
        return Header(kind, number, synced, length, check)

    def frame(self, data: bytes, at: int = 0) -> tuple[Header, bytes] | None:
        """The header and payload at ``at``; None where no frame of this file is, or not all of it.

        Opening a store after a crash does this for every record.
        """
        header = self.header(data, at)
        if header is None:
            return None
        start = at + HEADER_SIZE
        end = start + header.length
        payload = data[start:end]
        if data[end : end + 1] != b"\n" or _extend(self._seed, payload) != header.check:
            return None
        return header, payload

    def find(self, data: bytes, at: int) -> tuple[int, Header] | None:
        """The first header at or behind ``at``, and where it is."""
        while (at := data.find(_MAGIC, at)) >= 0:
            header = self.header(data, at)
            if header is not None:
                return at, header
            at += 1
        return None

    def is_proven(self, data: bytes, offset: int) -> bool:
        """Whether frames behind the start of ``data``, which is at ``offset``, say it was synced.

        That the bytes at the start are no frame then means that the disk has lost some.
        """
        at = 1
        while (found := self.find(data, at)) is not None:
            at, header = found
            if header.synced > offset:
                return True
            at += HEADER_SIZE
        return False

    def is_torn(self, data: bytes, offset: int) -> bool:
        """Whether what is at the start of ``data``, and no frame, may be a part of one.

        Frames are written over zeros, so that of one that was not written to the end, the end or
        some sectors are zero still. No part of a whole frame is zero for a sector, or at its end.
        """
        header = self.header(data)
        size = HEADER_SIZE if header is None else header.size
        frame = data[:size].ljust(size, b"\0")
        first = SECTOR - offset % SECTOR
        cuts = [0, *range(first, size, SECTOR), size]
        parts = (frame[start:end] for start, end in pairwise(cuts))
        return frame[-1] == 0 or any(is_zero(part) for part in parts)


def is_zero(data: bytes) -> bool:
    """Whether there is nothing but zeros, or nothing at all."""
    return data == bytes(len(data))


def unchecked_payload(data: bytes) -> bytes | None:
    """The payload of the frame that ``data`` may begin with; None where not all of it is there.

    For the first frame of a file, whose payload says what it is checked with.
    """
    if not data.startswith(_MAGIC) or len(data) < HEADER_SIZE:
        return None
    end = HEADER_SIZE + int(_HEADER.unpack_from(data)[4])
    return data[HEADER_SIZE:end] if end < len(data) else None
