"""Which commit set each leaf of a value, found by walking back from the newest commit.

The leaves that no commit has been found for yet are kept as a tree of the tokens that lead to them.
Going back over a commit, those of its new contents that its old ones do not have are its own; the
others are looked for at their places in the old ones, where elements of arrays stood elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, TypeAlias

from ._align import align
from .documents import Commit
from .errors import HistoryGone
from .paths import below
from .pointer import join
from .values import JSON, Missing, is_array, is_object, same

Tree: TypeAlias = "dict[str | int, Tree] | str"
"""Leaves by their place; a leaf is the pointer that it has now."""

Backwards: TypeAlias = "Callable[[Callable[[int], Iterator[Commit]], int], Iterator[Commit]]"

_WINDOW: Final = 16
"""How many commits are read at first; each time, twice as many as before."""


def leaves(value: JSON, pointer: str) -> Tree:
    """A value's leaves: scalars, and objects and arrays that are empty."""
    if is_object(value) and value:
        return {key: leaves(part, join(pointer, key)) for key, part in value.items()}
    if is_array(value) and value:
        return {i: leaves(part, join(pointer, i)) for i, part in enumerate(value)}
    return pointer


def tree_at(value: JSON, pointer: str, tokens: Sequence[str]) -> Tree | None:
    """The leaves at a place within a value, as part of the value's tree; None for no such place."""
    if not tokens:
        return leaves(value, pointer)
    part = below(value, tokens[0])
    if isinstance(part, Missing):
        return None
    tree = tree_at(part, join(pointer, tokens[0]), tokens[1:])
    return None if tree is None else {int(tokens[0]) if is_array(value) else tokens[0]: tree}


def flat(tree: Tree) -> Iterator[str]:
    """The leaves of a tree, in order."""
    if isinstance(tree, str):
        yield tree
    else:
        for branch in tree.values():
            yield from flat(branch)


def backwards(read: Callable[[int], Iterator[Commit]], newest: int) -> Iterator[Commit]:
    """Commits from the newest back, as they are asked for; ``read`` gives those after a number."""
    upper, size = newest, _WINDOW
    while upper > 0:
        lower, wanted = max(0, upper - size), _up_to(upper)
        try:
            found = list(takewhile(wanted, read(lower)))
        except HistoryGone:  # nothing says which numbers are left; the start always is
            lower = 0
            found = list(takewhile(wanted, read(lower)))
        yield from reversed(found)
        upper, size = lower, size * 2


def at_once(read: Callable[[int], Iterator[Commit]], newest: int) -> Iterator[Commit]:
    """The same, all of them read together."""
    yield from reversed(list(takewhile(_up_to(newest), read(0))))


def _up_to(number: int) -> Callable[[Commit], bool]:
    return lambda commit: commit.number <= number


class GapError(Exception):
    """A commit did not leave what the next one found: between two windows commits were removed."""


class Blame:
    """The search for who set the leaves of some units.

    ``units`` has their contents, and the leaves of those. Where a commit did not leave what the
    next one found, GapError is raised, or, ``over_gaps``, nobody has set what differs.
    """

    def __init__(self, units: Mapping[str, tuple[JSON, Tree]], *, over_gaps: bool = False) -> None:
        self.found: Final[dict[str, Commit]] = {}
        """By leaf."""
        self._sought: Final[dict[str, tuple[Any, Tree]]] = dict(units)
        self._over_gaps: Final = over_gaps

    @property
    def done(self) -> bool:
        """Whether every leaf's commit was found."""
        return not self._sought

    def go_back(self, commit: Commit) -> None:
        """Take the step over one commit. Raises GapError."""
        for change in commit.changes:
            value, tree = self._sought.pop(change.unit, (None, None))
            if tree is not None and not same(change.new, value):
                if not self._over_gaps:
                    raise GapError
                tree = _before(change.new, value, tree, [])
            if tree is None or change.unit in commit.unknown:
                continue  # nobody knows what of it was there before
            own: list[str] = []
            before = _before(change.old, change.new, tree, own)
            if before is not None:
                self._sought[change.unit] = change.old, before
            self.found.update(dict.fromkeys(own, commit))


def _before(old: Any, new: Any, tree: Tree, own: list[str]) -> Tree | None:
    """The leaves of ``new`` at their places in ``old``; ``own`` gets those that it has not."""
    if old is new:
        return tree
    if isinstance(tree, str):
        if same(old, new):
            return tree
        own.append(tree)
        return None
    partners = _partners(old, new)
    before: dict[str | int, Tree] = {}
    for key, branch in tree.items():
        place = partners(key)
        if place is None:
            own += flat(branch)
        else:
            found = _before(old[place], new[key], branch, own)
            if found is not None:
                before[place] = found
    return before or None


def _partners(old: Any, new: Any) -> Callable[[Any], str | int | None]:
    """Where in ``old`` is what is at a key or index of ``new``; None for nowhere."""
    if is_object(old) and is_object(new):
        return lambda key: key if key in old else None
    if is_array(old) and is_array(new):
        return align(old, new).__getitem__
    return lambda _: None
