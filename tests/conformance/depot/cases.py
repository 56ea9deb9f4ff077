"""What the tests of depots share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

import pytest

from objstore import StorageError
from objstore.depot import Depot, Identifier

HELLO: Final = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
ONE: Final = Identifier(UUID("62af3937-4c5b-405b-a170-6ef12a5e246a"), 1)
LARGE: Final = bytes(range(256)) * 12_000
"""3 MB: more than any buffer."""


class Place(NamedTuple):
    """A depot, and another way to see what is in it."""

    depot: Depot
    peek: Callable[[Identifier], bytes | None]


def refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(StorageError, match=words):
        call()
