"""Which elements of a changed list are which of the old one's.

Any answer that keeps the order is right, for elements that are paired are compared again; a good
one makes a small change. Where all that stayed is the same object at its old index, that is seen at
once, and the cost follows the change. Otherwise elements at both ends that stayed are paired first,
then those between that stayed, then those in the gaps that are most alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from itertools import compress, count, islice
from operator import is_not
from typing import Any, Final, TypeAlias

from .values import MISSING, is_array, is_object, same

_FEW: Final = 20
_PAIRS_LIMIT: Final = _FEW * _FEW
"""How many pairs of elements are compared each with each, at the most."""

Edit: TypeAlias = tuple[int | None, int | None]
"""``(i, j)``: element i of the old list changed and is j of the new one; ``(i, None)``: it is gone;
``(None, j)``: element j is new."""

_Gap: TypeAlias = tuple[int, int, int, int]
"""Elements ``[i:i_end]`` of the old list have become ``[j:j_end]`` of the new one."""


def edits(old: Sequence[Any], new: Sequence[Any]) -> list[Edit]:
    """What makes ``new`` out of ``old``, from left to right; elements that stayed are not named."""
    differing = list(islice(compress(count(), map(is_not, old, new)), _FEW + 1))
    moved = None if len(old) == len(new) else _moved(old, new, differing)
    if moved is not None:
        return moved
    if len(differing) > _FEW:
        gaps = _gaps(old, new)
    else:
        changed = [i for i in differing if not same(old[i], new[i])]
        if len(changed) <= 1 and len(old) == len(new):  # by far the most frequent change
            return [(i, i) for i in changed]
        stayed = _stayed_in_place(old, new, changed)
        gaps = _runs(changed, len(old), len(new)) if stayed else _gaps(old, new)
    return [edit for gap in gaps for edit in _across(old, new, gap)]


def _moved(old: Sequence[Any], new: Sequence[Any], differing: list[int]) -> list[Edit] | None:
    """What makes the one of the other where all that stayed is the same object, and some came or
    went in one place; None for all else.

    To be equal is not enough where that tells which of several: 1.10 and 1.1 are, and read
    differently in a file.
    """
    shorter = min(len(old), len(new))
    start = differing[0] if differing else shorter
    stop = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    if start + stop < shorter:
        return None
    gone, come = range(start, start + len(old) - shorter), range(start, start + len(new) - shorter)
    return [*((i, None) for i in gone), *((None, j) for j in come)]


def align(old: Sequence[Any], new: Sequence[Any]) -> list[int | None]:
    """For each element of ``new``, the index of the element of ``old`` that it was, or None.

    The indices rise.
    """
    partners: list[int | None] = []
    after = 0
    for i, j in [*edits(old, new), (len(old), len(new))]:
        stayed = i - after if i is not None else (j or 0) - len(partners)
        partners += range(after, after + stayed)
        after += stayed
        if j is not None:
            partners.append(i)
        if i is not None:
            after += 1
    return partners[: len(new)]


# --- gaps: all but what stayed --------------------------------------------------------------------


def _stayed_in_place(old: Sequence[Any], new: Sequence[Any], changed: list[int]) -> bool:
    """Whether nothing but the elements ``changed`` and those at the longer list's end is another.

    Where these have nothing in common before and after, no pairing of elements keeps more than the
    one by index. False where that cannot be told cheaply.
    """
    shorter = min(len(old), len(new))
    before = [*(old[i] for i in changed), *old[shorter:]]
    after = [*(new[i] for i in changed), *new[shorter:]]
    if len(before) * len(after) > _PAIRS_LIMIT:
        return False
    return not any(same(a, b) for a in before for b in after)


def _runs(changed: list[int], old_length: int, new_length: int) -> list[_Gap]:
    shorter = min(old_length, new_length)
    gaps: list[_Gap] = []
    for i in changed:
        start = gaps.pop()[0] if gaps and gaps[-1][1] == i else i
        gaps.append((start, i + 1, start, i + 1))
    if old_length != new_length:
        start = gaps.pop()[0] if gaps and gaps[-1][1] == shorter else shorter
        gaps.append((start, old_length, start, new_length))
    return gaps


def _gaps(old: Sequence[Any], new: Sequence[Any]) -> list[_Gap]:
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    old_end, new_end = len(old) - tail, len(new) - tail
    gaps: list[_Gap] = []
    i = j = head
    for at_old, at_new in [*_unchanged(old, new, head, tail), (old_end, new_end)]:
        if at_old > i or at_new > j:
            gaps.append((i, at_old, j, at_new))
        i, j = at_old + 1, at_new + 1
    return gaps


def _common(old: Sequence[Any], new: Sequence[Any]) -> int:
    """How many elements the lists have in common at their start."""
    for index in compress(count(), map(is_not, old, new)):
        if not same(old[index], new[index]):
            return index
    return min(len(old), len(new))


def _unchanged(
    old: Sequence[Any], new: Sequence[Any], head: int, tail: int
) -> list[tuple[int, int]]:
    """The longest run of pairs of equal elements, but for those at both ends, that rises in both.

    The n-th of several equal elements is paired with the n-th only, which makes this the longest
    rising subsequence of a permutation.
    """
    before, after = old[head : len(old) - tail], new[head : len(new) - tail]
    if not before or not after:
        return []
    shared = set(map(id, before)).intersection(map(id, after))
    places = {key: index for index, key in enumerate(_numbered(before, shared), head)}
    numbered = enumerate(_numbered(after, shared), head)
    return _longest_rising([(places[key], index) for index, key in numbered if key in places])


def _numbered(values: Sequence[Any], shared: set[int]) -> Iterator[tuple[Hashable, int]]:
    """A key for each value, the same for equal ones, and how many had it so far."""
    counts: dict[Hashable, int] = {}
    for value in values:
        key = id(value) if id(value) in shared else _key(value)
        counts[key] = counts.get(key, 0) + 1
        yield key, counts[key]


def _key(value: object) -> Hashable:
    # Here, for importing it takes a third as long as importing objstore.
    import orjson

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


# --- within a gap ---------------------------------------------------------------------------------


def _across(old: Sequence[Any], new: Sequence[Any], gap: _Gap) -> Iterator[Edit]:
    i, i_end, j, j_end = gap
    pairs = _alike(old[i:i_end], new[j:j_end])
    for at_old, at_new in [*((i + a, j + b) for a, b in pairs), (i_end, j_end)]:
        yield from ((gone, None) for gone in range(i, at_old))
        yield from ((None, added) for added in range(j, at_new))
        if at_old < i_end and at_new < j_end and not same(old[at_old], new[at_new]):
            yield at_old, at_new
        i, j = at_old + 1, at_new + 1


def _alike(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int]]:
    """Pairs of a gap that rise in both lists and are, taken together, the most alike."""
    if len(old) * len(new) > _PAIRS_LIMIT or len(old) == len(new) == 1:
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
