"""SHA-256 of a stream, counted in a thread beside the reading or writing of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import cycle
from typing import Final

from ._aside import Aside

CHUNK: Final = 1 << 20
"""How much is moved at once: more is no faster."""

AHEAD: Final = 6
"""How many chunks may wait to be counted. On a machine that is busy with other things the threads
take turns of milliseconds; with one chunk at a time, each would wait for the other."""

_SMALL: Final = 1 << 16
"""How much is moved at first. To make a long buffer takes longer than all else that is done for a
small blob."""

_WORTH_A_THREAD: Final = 1 << 17
"""To hand bytes over to a thread takes as long as to count some 100 KB."""


class Digest:
    """The digest of the bytes from the first on, as far as they came in order."""

    def __init__(self) -> None:
        self._sha256: Final = hashlib.sha256()
        self._aside: Final = Aside("objstore-digest")
        self._pending: Final[deque[Future[object]]] = deque()
        self.length = 0
        """Of how many bytes it is."""

    def start(self, data: memoryview) -> None:
        """Begin to count the next bytes, which must not change until AHEAD more calls."""
        self.length += len(data)
        if len(data) < _WORTH_A_THREAD:
            self.wait()
            self._sha256.update(data)
            return
        while len(self._pending) >= AHEAD:
            self._pending.popleft().result()
        self._pending.append(self._aside.start(self._sha256.update, data))

    def wait(self) -> None:
        """Return once all that came is counted."""
        while self._pending:
            self._pending.popleft().result()

    def hexdigest(self) -> str:
        self.wait()
        return self._sha256.hexdigest()

    def close(self) -> None:
        self._aside.close()


def buffers() -> Iterator[memoryview]:
    """Buffers to read into, by turns: each stays as it is while AHEAD more are used."""
    for _ in range(2):  # for what is small, and for its end
        yield _buffer(_SMALL)
    made: list[memoryview] = []
    for _ in range(AHEAD + 1):
        made.append(_buffer(CHUNK))
        yield made[-1]
    yield from cycle(made)


def _buffer(size: int) -> memoryview:
    return memoryview(bytearray(size))


def digest_of(read_into: Callable[[memoryview], int], tell: Callable[[int], object]) -> str:
    """The digest of what ``read_into`` gives, until it gives nothing; ``tell`` hears how far."""
    digest = Digest()
    try:
        for buffer in buffers():
            count = read_into(buffer)
            if not count:
                break
            digest.start(buffer[:count])
            tell(digest.length)
        return digest.hexdigest()
    finally:
        digest.close()
