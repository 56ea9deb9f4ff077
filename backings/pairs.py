"""Pairs of key and value, as they come in a batch: put in order before they are stored.

In the order of keys they are stored in half the time, and lie so that who reads them in order reads
one behind the other. What is done to all of them is done part by part, as long as that is in the
processor's cache, by functions in C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import eq, itemgetter
from typing import Any, Final

from objstore.storage import Items, as_pairs, as_text

_PART: Final = 1 << 10

_key: Final = itemgetter(0)
_value: Final = itemgetter(1)


class Pairs:
    """The pairs of a batch in the order of their keys; of one that comes twice the last.

    Keys are coerced, and all are ``str`` itself. Raises FormatError for those that are none after
    that, TypeError and ValueError for what are no pairs.
    """

    def __init__(self, items: Items) -> None:
        given: list[Any] = list(as_pairs(items))
        try:
            self._take(sorted(given, key=_key))
            is_plain = set(map(type, self.keys)) <= {str} and set(map(len, self._pairs)) <= {2}
        except (TypeError, LookupError):
            is_plain = False
        if not is_plain:
            coerced = {as_text(key): value for key, value in given}
            self._take(sorted(coerced.items(), key=_key))
        elif any(map(eq, self.keys, islice(self.keys, 1, None))):
            self._take(list(dict(self._pairs).items()))

    def _take(self, pairs: Sequence[Any]) -> None:
        self._pairs = pairs
        self.keys: list[str] = list(map(_key, pairs))

    def parts(self) -> Iterator[tuple[list[str], list[Any]]]:
        """Keys and values, some at a time."""
        for at in range(0, len(self.keys), _PART):
            part = self._pairs[at : at + _PART]
            yield self.keys[at : at + _PART], list(map(_value, part))
