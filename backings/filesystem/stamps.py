"""Stamps: which version of a file its contents were read from.

A file's signature (``io.Signature``) tells versions apart at the cost of one stat, but only as fast
as the file system's clock ticks: two edits within one tick that keep the size look the same, which
git knows as the racy index problem. Hence a signature is trusted only once the clock has moved on;
until then the digest of the bytes decides. Where every change has a time of its own, which is
``learned`` when the first file is written, it is trusted at once.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from hashlib import sha256
from typing import Final

from .io import Files, Signature, signature

TICK_NS: Final = 20_000_000
"""How long a file counts as young: the kernel's coarse clock ticks every 1 to 10 ms, doubled."""

_COARSE_TICK_NS: Final = 2_000_000_000
"""The same where times have no fraction of a second (HFS+, ext3, FAT with its two seconds)."""

_SECOND_NS: Final = 1_000_000_000

_TRIES: Final = 3

_tells: Final[dict[int, bool]] = {}
"""By device, whether every change of a file changes its signature. Missing ones are as False."""


class Stamp:
    """A version of one file. Compared by identity; its signature is refreshed in place."""

    __slots__ = ("digest", "likely", "number", "path", "signature", "through")

    def __init__(
        self,
        path: str,
        digest: str | None,
        signature: Signature | None,
        likely: Signature | None = None,
    ) -> None:
        self.path: Final = path
        self.digest = digest
        """Of the file's bytes; None where it was not needed."""
        self.signature = signature
        """What the file looks like as long as it is this version; None while that tells nothing.

        Written and read as a whole, hence without a lock.
        """

        self.likely = likely
        """The signature when the contents were read: with another one they are others, with the
        same they may be. None where nobody read them."""
        self.number = 0
        """The commit whose contents these are, once it is known."""
        self.through = 0
        """The commit that is not in the file yet, and that the contents are of all the same."""

    def __repr__(self) -> str:
        return f"<Stamp of {self.path}>"


def digest(data: bytes) -> str:
    """What tells a file's bytes from others: the first 96 bits of their SHA-256, in base64.

    With the instructions that most processors have for it, twice as fast as BLAKE2. So many bits
    are no defence against who looks for two files with one digest, and need not be.
    """
    return b2a_base64(sha256(data).digest()[:12], newline=False).decode()


def settled(found: os.stat_result, now: int) -> Signature | None:
    """The signature, if an edit made after ``now`` (``time.time_ns``) is sure to change it.

    ctime rather than mtime, as no program can set it: ``touch -r`` and ``rsync -t`` rewind mtime.
    """
    if _tells.get(found.st_dev, False):
        return signature(found)
    tick = TICK_NS if found.st_ctime_ns % _SECOND_NS else _COARSE_TICK_NS
    return signature(found) if found.st_ctime_ns < now - tick else None


def learned(files: Files, found: os.stat_result, folder: str) -> bool:
    """Whether every change of a file changes its signature; tried in ``folder`` the first time."""
    known = _tells.get(found.st_dev)
    if known is None:
        tried = (files.tells_changes(folder) for _ in range(_TRIES))
        known = _tells[found.st_dev] = found.st_dev in tried
    return known
