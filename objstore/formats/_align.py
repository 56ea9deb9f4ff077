"""Which elements of a changed list are which of the old one's.

Any answer that keeps the order is right, for elements that are paired are compared again; a good
one makes a small change of the text. Elements at both ends that stayed are paired first, then those
between that stayed, then those in the gaps that are most alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Any, Final

import orjson

from ..values import MISSING, same
from ._text import is_array, is_object

_GAP_LIMIT: Final = 400
"""Gaps of more pairs than this are paired by position: likeness is quadratic."""


def align(old: Sequence[Any], new: Sequence[Any]) -> list[int | None]:
    """For each element of ``new``, the index of the element of ``old`` that it was, or None.

    The indices rise.
    """
    head = _common(old, new, range(min(len(old), len(new))))
    shorter = min(len(old), len(new)) - head
    tail = _common(old, new, range(-1, -shorter - 1, -1))
    between = _between(old[head : len(old) - tail], new[head : len(new) - tail])
    return [
        *range(head),
        *(None if index is None else head + index for index in between),
        *range(len(old) - tail, len(old)),
    ]


def _common(old: Sequence[Any], new: Sequence[Any], indices: range) -> int:
    for count, index in enumerate(indices):
        if not same(old[index], new[index]):
            return count
    return len(indices)


def _between(old: Sequence[Any], new: Sequence[Any]) -> list[int | None]:
    partners: list[int | None] = [None] * len(new)
    after_old = after_new = 0
    for at_old, at_new in [*_unchanged(old, new), (len(old), len(new))]:
        for i, j in _alike(old[after_old:at_old], new[after_new:at_new]):
            partners[after_new + j] = after_old + i
        if at_new < len(new):
            partners[at_new] = at_old
        after_old, after_new = at_old + 1, at_new + 1
    return partners


def _unchanged(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int]]:
    """The longest run of pairs of equal elements that rises in both lists.

    The n-th of several equal elements is paired with the n-th only, which makes this the longest
    rising subsequence of a permutation.
    """
    if not old or not new:
        return []
    places = {key: index for index, key in enumerate(_numbered(old))}
    pairs = [(places[key], index) for index, key in enumerate(_numbered(new)) if key in places]
    return _longest_rising(pairs)


def _numbered(values: Sequence[Any]) -> list[tuple[Hashable, int]]:
    counts: dict[Hashable, int] = {}
    keys: list[tuple[Hashable, int]] = []
    for value in values:
        key = _key(value)
        counts[key] = counts.get(key, 0) + 1
        keys.append((key, counts[key]))
    return keys


def _key(value: object) -> Hashable:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        return repr(value)


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest subsequence whose first members rise (patience sorting); the second ones do."""
    tops: list[int] = []
    piles: list[int] = []
    previous: list[int] = []
    for index, (first, _) in enumerate(pairs):
        pile = bisect_left(tops, first)
        previous.append(piles[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [first]
        piles[pile : pile + 1] = [index]
    chain: list[tuple[int, int]] = []
    index = piles[-1] if piles else -1
    while index >= 0:
        chain.append(pairs[index])
        index = previous[index]
    return chain[::-1]


def _alike(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int]]:
    """Pairs of a gap that rise in both lists and are, taken together, the most alike."""
    if len(old) * len(new) > _GAP_LIMIT or len(old) == len(new) == 1:
        return [(index, index) for index in range(min(len(old), len(new)))]
    likeness = [[_likeness(before, after) for after in new] for before in old]
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            paired = likeness[i][j] + best[i + 1][j + 1]
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    return _trace(likeness, best)


def _trace(likeness: list[list[int]], best: list[list[int]]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(best) - 1 and j < len(best[0]) - 1:
        if best[i][j] == likeness[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _likeness(old: object, new: object) -> int:
    """How much of an element stayed, at least 1."""
    if is_object(old) and is_object(new):
        return 1 + sum(_weight(part, new.get(key, MISSING)) for key, part in old.items())
    if is_array(old) and is_array(new):
        return 1 + sum(map(_weight, old, new))
    return 1


def _weight(old: object, new: object) -> int:
    if old is new or (type(old) is type(new) and not is_object(old) and old == new):
        return 2
    return int(type(old) is type(new))
