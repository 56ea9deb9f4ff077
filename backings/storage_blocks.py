"""The bytes of blobs as blocks in a container of a Storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from objstore._identifiers import Identifier
from objstore.errors import CorruptionError
from objstore.storage import Storage

from .storage_keys import keys

BLOCK: Final = 1 << 16
"""How many bytes a block has: fixed, as blocks are found by it."""


class _Piece(NamedTuple):
    """What a range of bytes has of one block."""

    key: str
    start: int
    end: int
    """Within the block."""


class Blocks:
    """Blocks of BLOCK bytes by identifier and number. What is missing is zero, so are ends."""

    container: Final = "depot blocks"

    def __init__(self, storage: Storage) -> None:
        self._storage: Final = storage

    def write(self, identifier: Identifier, offset: int, data: memoryview) -> None:
        """Write bytes, within a transaction."""
        done = 0
        changed: list[tuple[str, bytes]] = []
        for piece in _pieces(identifier, offset, offset + len(data)):
            size = piece.end - piece.start
            block = bytes(data[done : done + size])
            if size < BLOCK:
                old = self._read([piece.key])[0] or b""
                start = old[: piece.start].ljust(piece.start, b"\0")
                block = start + block + old[piece.end :]
            changed.append((piece.key, block))
            done += size
        self._storage.set_container_items(self.container, changed)

    def delete(self, identifier: Identifier, start: int, end: int) -> None:
        """Make bytes zero that nothing follows, within a transaction."""
        gone: list[str] = []
        for piece in _pieces(identifier, start, end):
            if piece.start == 0:
                gone.append(piece.key)
            elif old := self._read([piece.key])[0]:
                self._storage.set_container_item(self.container, piece.key, old[: piece.start])
        self._storage.delete_container_items(self.container, gone)

    def delete_all(self, identifier: Identifier) -> None:
        """Delete whatever blocks there are, of a blob whose length nobody knows."""
        gone = list(keys(self._storage, self.container, f"{identifier}/"))
        self._storage.delete_container_items(self.container, gone)

    def read_into(self, identifier: Identifier, offset: int, buffer: memoryview) -> None:
        """Fill a buffer."""
        pieces = list(_pieces(identifier, offset, offset + len(buffer)))
        blocks = self._read([piece.key for piece in pieces])
        done = 0
        for piece, block in zip(pieces, blocks, strict=True):
            size = piece.end - piece.start
            part = (block or b"")[piece.start : piece.end]
            buffer[done : done + size] = part.ljust(size, b"\0")
            done += size

    def _read(self, keys: list[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for key, value in self._storage.get_container_items(self.container, keys):
            if isinstance(value, str):
                raise CorruptionError("text stands where a blob's bytes should", file=key)
            found.append(value)
        return found


def _pieces(identifier: Identifier, start: int, end: int) -> Iterator[_Piece]:
    at = start
    while at < end:
        number, within = divmod(at, BLOCK)
        size = min(BLOCK - within, end - at)
        yield _Piece(f"{identifier}/{number:012}", within, within + size)
        at += size
