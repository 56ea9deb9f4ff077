"""SHA-256 of a stream, counted in a thread beside the reading or writing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import Final

CHUNK: Final = 1 << 20
"""How much is moved at once: more is no faster."""

_WORTH_A_THREAD: Final = 1 << 17
"""To hand bytes over to a thread takes as long as to count some 100 KB."""


class Digest:
    """The digest of the bytes from the first on, as far as they came in order."""

    def __init__(self) -> None:
        self._sha256: Final = hashlib.sha256()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None
        self.length = 0
        """Of how many bytes it is."""

    def start(self, data: memoryview) -> None:
        """Begin to count the next bytes; they must not change until ``wait`` returns."""
        self.wait()
        self.length += len(data)
        if len(data) < _WORTH_A_THREAD:
            self._sha256.update(data)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "objstore-digest")
        self._pending = self._pool.submit(self._sha256.update, data)

    def wait(self) -> None:
        """Return once all that came is counted."""
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def hexdigest(self) -> str:
        self.wait()
        return self._sha256.hexdigest()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def digest_of(read_into: Callable[[memoryview], int], tell: Callable[[int], object]) -> str:
    """The digest of what ``read_into`` gives, until it gives nothing; ``tell`` hears how far."""
    digest = Digest()
    try:
        # While one buffer is counted, the other one is read into.
        for buffer in cycle((memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK)))):
            count = read_into(buffer)
            if not count:
                break
            digest.start(buffer[:count])
            tell(digest.length)
        return digest.hexdigest()
    finally:
        digest.close()
