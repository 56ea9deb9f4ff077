"""CRC-32C (RFC 3720, appendix B.4), as storages keep it beside what it is of.

These are the functions in C themselves, as some are called for every value. By way of vars, as the
package says that it is typed, and is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Final, cast

import google_crc32c

crc32c: Final = cast("Callable[[bytes], int]", vars(google_crc32c)["value"])
"""The checksum of some bytes."""

extend: Final = cast("Callable[[int, bytes], int]", vars(google_crc32c)["extend"])
"""The checksum of what has the first one, and of the bytes behind it."""

SUM: Final = Struct("<I")
"""A checksum at the end of what it is of."""

SOUND: Final = 0x48674BC7
"""The checksum of anything with its own behind it, as SUM: one call verifies, nothing is cut."""


@lru_cache(maxsize=1024)
def sound_together(size: int, count: int) -> int:
    """The checksum of ``count`` such things in a row, of ``size`` bytes each with their own.

    A CRC is in the same state behind each of them, whatever is in it. So that of all depends on
    their lengths alone, and a bit that is wrong in any of them makes it another.
    """
    blank = bytes(size - SUM.size)
    return crc32c((blank + SUM.pack(crc32c(blank))) * count)
