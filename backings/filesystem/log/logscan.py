"""Reading a file of the commit log past what is damaged in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from objstore.errors import CorruptionError

from . import frames
from .frames import HEADER_SIZE
from .logfile import Frame, LogFile

_LEAST: Final = HEADER_SIZE + 3
"""The size of the smallest frame, in bytes: its payload is ``{}``."""


class Gap(NamedTuple):
    """Bytes that are no frame."""

    offset: int
    end: int
    last: int
    """The greatest number of a record that may have been there, as far as headers in it tell."""
    most: int
    """How many frames it may have been, at the most."""


Piece: TypeAlias = "Frame | Gap"


def pieces(file: LogFile, limit: int | None = None) -> Iterator[Piece]:
    """The frames of a file behind the first, with the gaps between them; up to ``limit``.

    Zeros at the end are none.
    """
    offset = _begin(file)
    while True:
        for frame in file.frames(offset):
            if limit is not None and frame.offset >= limit:
                return
            yield frame
            offset = frame.end
        end = file.size() if limit is None else limit
        data = file.read(offset, max(end - offset, 0))
        if frames.is_zero(data):
            return
        gap = _gap(file, offset, data)
        yield gap
        offset = gap.end


def _begin(file: LogFile) -> int:
    try:
        return file.begin
    except CorruptionError:
        return 0


def _gap(file: LogFile, offset: int, data: bytes) -> Gap:
    """What is at the start of ``data``, up to the next whole frame."""
    at, last, count = 0, 0, 0
    while (found := file.codec.find(data, at)) is not None:
        at, header = found
        if file.codec.frame(data, at) is not None:
            break
        last, count = max(last, header.number), count + 1
        at += 1
    else:
        at = len(data.rstrip(b"\0"))
    return Gap(offset, offset + at, last, max(count, at // _LEAST, 1))
