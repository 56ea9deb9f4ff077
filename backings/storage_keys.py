"""The keys of a depot's containers, also those of items that are not what was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from objstore.errors import CorruptionError, KeyNotFoundError
from objstore.storage import Scans, Storage

_LETTERS: Final = "-./0123456789abcdef"
"""Of which identifiers and the keys of blocks are."""

_LONGEST: Final = 36 + 1 + 18 + 1 + 12
"""Such a key: a UUID, a version, and a block's number."""

_PATIENCE: Final = 10_000
"""Scans that fail, before what fails is the storage as a whole."""


def keys(storage: Storage, container: str, prefix: str) -> Iterator[str]:
    """The keys of identifiers and blocks that begin with ``prefix``, in no order.

    Who reads values with their keys gives neither where one is damaged. What is damaged is then
    looked for letter by letter: what else begins so can be read without it. Raises
    ContainerNotFoundError, and CorruptionError where that does not help.
    """
    if not isinstance(storage, Scans):
        yield from (key for key in storage.get_container_keys(container) if key.startswith(prefix))
        return
    failed = 0
    pending = [prefix]
    while pending:
        prefix = pending.pop()
        try:
            found = [key for key, _ in storage.scan(container, prefix)]
        except CorruptionError:
            failed += 1
            if failed > _PATIENCE:
                raise
            found = [prefix] if _is_there(storage, container, prefix) else []
            if len(prefix) < _LONGEST:
                pending += [prefix + letter for letter in _LETTERS]
        yield from found


def _is_there(storage: Storage, container: str, key: str) -> bool:
    try:
        storage.get_container_item(container, key)
    except KeyNotFoundError:
        return False
    except CorruptionError:
        pass
    return True
