"""Units in memory, and how a transaction sees them.

A *unit* is what a backing reads and writes whole: a file. Its committed contents never change in
place. A transaction that touches it works on a ``View``: the root that it sees, with copies of the
containers that it changed.

Elements of a list are known by *tokens*, so that an Object follows its element: in committed
contents an element's token is its index; a view in which elements moved keeps, for each such list,
the tokens of its elements in their present order (the list's *origin*). A commit gives the elements
their new indices as tokens. Tokens below zero belong to elements that no commit has, or no longer.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ._align import align
from ._left import EVERYBODYS, Left
from ._origins import NOTHING_MOVED, Origins, fresh_tokens
from .errors import DetachedError, Failure, ValidationError
from .pointer import build, split
from .values import JSON, MISSING, Missing, is_array, is_object, same, show

if TYPE_CHECKING:
    from ._merge import Lineage
    from ._shapes import Shape
    from .documents import Stamp
    from .objects import Part
    from .transaction import Host

Container: TypeAlias = "dict[str, Any] | list[Any]"


class Unloaded(Enum):
    """The type of UNLOADED."""

    UNLOADED = "UNLOADED"


UNLOADED: Final = Unloaded.UNLOADED
"""What a unit holds in place of contents before they are first needed."""


class Unit:
    """One unit's committed contents in this process."""

    __slots__ = (
        "__weakref__",
        "changed",
        "checked",
        "drafts",
        "failures",
        "former",
        "host",
        "mirrored",
        "object",
        "past",
        "pointer",
        "shape",
        "since",
        "stamp",
        "value",
    )

    # All but the first three are guarded by host.lock.
    def __init__(
        self, host: Host, pointer: str, shape: Shape, value: JSON | Missing | Unloaded = UNLOADED
    ) -> None:
        self.host = host
        self.pointer = pointer
        self.shape = shape
        self.value = value
        self.stamp: Stamp = None
        self.failures: list[Failure] = []
        """Where the contents as found do not fit the schema; such contents are not handed out."""
        self.since = 0
        """The newest commit when the contents were taken, or the unit's newest when they were found
        again: a transaction that began before it may have to see older ones. 0 where none was
        running."""
        self.changed = 0
        """``Documents.changed`` when they were taken, or were found again."""
        self.checked = 0
        """The era (``Host.era``) in which the medium was last asked for changes made outside."""
        self.drafts = 0
        """Transactions that have a view of this unit; none may be when Objects mirror values."""
        self.mirrored: list[weakref.ref[Part]] = []
        """Objects that hold values of committed contents where attribute access finds them."""
        self.object: weakref.ref[Part] | None = None
        """The Object of the root, while anyone holds it."""
        self.former: tuple[weakref.ref[Part], ...] = ()
        """Others of it, as it was a Dict and is a List by now, or the other way round."""
        self.past: Container | None = None
        """The contents in which Objects know their elements, while ``value`` are others that they
        have not followed to."""

    def root(self) -> JSON | Missing:
        """The committed contents, or the default in their place; loaded if they were not.

        Call with ``host.lock`` held.

        Raises ValidationError where they do not fit the schema, FormatError where they do not
        parse.
        """
        if self.value is UNLOADED:
            self.host.load(self)
        if self.failures:
            raise ValidationError(self.failures)
        value = cast("JSON | Missing", self.value)
        return self.shape.default if value is MISSING else value

    def held(self) -> list[Part]:
        """The Objects of the root that anyone holds."""
        references = self.former if self.object is None else (self.object, *self.former)
        return [part for reference in references if (part := reference()) is not None]

    def clear_mirrors(self) -> None:
        """Take back every value that Objects hold; call with ``host.lock`` held."""
        for reference in self.mirrored:
            holder = reference()
            if holder is not None:
                holder._forget()
        self.mirrored.clear()

    def may_mirror(self) -> bool:
        """Whether every thread and task may be shown the same contents."""
        return not self.drafts and self.host.quiet(self)


class View:
    """A unit as one transaction sees it."""

    __slots__ = ("_origins", "_owned", "base", "left", "root", "unit")

    def __init__(self, unit: Unit, base: JSON | Missing, left: Left = EVERYBODYS) -> None:
        self.unit = unit
        self.left: Final = left
        """What the transaction has changed about Objects as values."""
        self.base = base
        """The committed contents that the transaction started from."""
        self.root = base
        self._owned: dict[int, Container] = {}
        # Copies that this transaction made, and may change, by id; kept so that ids stay theirs.
        self._origins = NOTHING_MOVED

    def replace(self, root: JSON | Missing) -> None:
        """Give the unit other contents as a whole."""
        before, known = self._visible_root(), set[int]()
        lists = [one for part in self.unit.held() for one in self.leave(part, before, known)]
        self.root = root
        self._owned.clear()
        self._origins = NOTHING_MOVED
        self.renew(lists)

    def leave(self, part: Part, contents: JSON | Missing, known: set[int]) -> Iterator[Part]:
        """Have an Object, and those of parts of it, leave contents that are about to be replaced or
        removed; the Lists among them, whose elements go.

        ``known`` are the places that were gone through: not once for each Object that they have.
        """
        if part._fits(contents):
            self.left.leave(part, contents)
            kids = part._kids
            if kids and id(kids) not in known:
                known.add(id(kids))
                for kid in kids.held():
                    yield from self.leave(kid, self.below(contents, kid), known)
                if part._kind == "list":
                    yield part

    def renew(self, lists: Iterable[Part]) -> None:
        """Have the elements of Lists that were replaced be others than before."""
        for part in lists:
            tokens = [next(fresh_tokens) for _ in range(_length(self.locate(part)))]
            self.origins().put(part, tokens)

    def refill(self, root: JSON | Missing) -> None:
        """The same with other values in it; whatever moved has stayed where it is."""
        self.root = root
        self._owned.clear()

    def locate(self, part: Part) -> JSON | Missing:
        """What an Object stands for in this view; MISSING where its element is gone."""
        if part._parent is None:
            return self._visible_root()
        return self.below(self.locate(part._parent), part)

    def _visible_root(self) -> JSON | Missing:
        return self.unit.shape.default if self.root is MISSING else self.root

    def below(self, container: JSON | Missing, part: Part) -> JSON | Missing:
        """The element of its parent's ``container`` that an Object stands for."""
        parent, key = part._parent, part._key
        if isinstance(container, list) and isinstance(key, int):
            return _at(container, self.index(cast("Part", parent), key))
        if isinstance(container, dict) and isinstance(key, str):
            return cast("JSON | Missing", cast("Part", parent)._element(container, key))
        return MISSING

    def index(self, parent: Part, token: int) -> int:
        """The present index of a list's element; -1 where it is gone."""
        order = self._origins.get(parent)
        return token if order is None else order.place(token)

    def token(self, parent: Part, index: int) -> int:
        """The token of the element that is at ``index`` now."""
        order = self._origins.get(parent)
        return index if order is None else order.tokens[index]

    def own(self, part: Part) -> Container:
        """The container that an Object stands for, as a copy that may be changed in place.

        Raises DetachedError where its element is gone.
        """
        if part._parent is None:
            found = self._visible_root()
            if id(found) in self._owned:
                return cast("Container", found)
            self.root = copy = self._copy(found, part)
            return copy
        container = self.own(part._parent)
        found = self.below(container, part)
        if id(found) in self._owned:
            return cast("Container", found)
        copy = self._copy(found, part)
        if isinstance(container, list):
            container[self.index(part._parent, cast(int, part._key))] = copy
        else:
            container[cast(str, part._key)] = copy
        return copy

    def _copy(self, found: JSON | Missing, part: Part) -> Container:
        if not part._fits(found):
            raise part._gone(found)
        copy = cast("Container", found).copy()
        self._owned[id(copy)] = copy
        return copy

    def origin(self, parent: Part, length: int) -> list[int]:
        """The tokens of a list's elements, to be changed along with them."""
        return self.origins().tokens(parent, length)

    def origins(self) -> Origins:
        """Those of its Lists, to be changed."""
        if self._origins is NOTHING_MOVED:  # as in most transactions
            self._origins = Origins()
        return self._origins

    def drop_below(self, parent: Part, key: str | int) -> None:
        """Forget what moved within an element that was replaced as a whole."""
        if self._origins is not NOTHING_MOVED:
            self._origins.drop_below(parent, key)

    def save(self) -> View:
        """It as it is now, to come back to; copies made so far are no longer owned."""
        self._owned = {}
        saved = View(self.unit, self.base)
        saved.root, saved._origins = self.root, self._origins.copy()
        return saved

    def restore(self, saved: View) -> None:
        """Come back to what was saved."""
        self._owned = {}
        self.root, self._origins = saved.root, saved._origins

    def rebase(self, merged: JSON | Missing, theirs: JSON | Missing) -> None:
        """Go on from contents that others committed meanwhile, with both changes in ``merged``."""
        lists = [(one.part, self.locate(one.part), one.tokens) for one in self._origins]
        before, self.root, self.base = View(self.unit, theirs), merged, theirs
        self._owned = {}
        for part, ours, origin in sorted(lists, key=lambda entry: _depth(entry[0])):
            tokens = _tokens(
                _elements(self.locate(part)),
                _elements(before.locate(part)),
                zip(_elements(ours), origin, strict=False),
                _name(part, self),
            )
            self.origins().put(part, tokens)

    def become(self, root: JSON | Missing, lineage: Lineage) -> None:
        """Take contents that were made of the ones here; elements that stayed are followed.

        ``lineage`` tells which containers were copied to be changed, and of what.
        """
        self._go_on(root, lambda _, now, before: _inherited(now, before, lineage))

    def follow(self, root: JSON | Missing) -> None:
        """Take contents that nobody knows how they were made; elements are followed by what they
        are."""
        self._go_on(root, lambda part, now, before: followed(now, before, _name(part, self)))

    def _go_on(
        self,
        root: JSON | Missing,
        inherited: Callable[[Part, list[Any], list[Any]], Iterable[int | None]],
    ) -> None:
        lists = [
            (part, _elements(self.locate(part)), self.origin(part, _length(self.locate(part))))
            for part in _lists_of(self.unit)
        ]
        self.root = root
        self._owned = {}
        for part, before, origin in sorted(lists, key=lambda entry: _depth(entry[0])):
            indices = inherited(part, _elements(self.locate(part)), before)
            tokens = [next(fresh_tokens) if index is None else origin[index] for index in indices]
            self.origins().put(part, tokens)

    @property
    def is_moved(self) -> bool:
        """Whether elements were moved or replaced, and the committed contents are what they were:
        there is nothing to commit then, and Objects have to follow all the same."""
        unit = self.unit
        moved = self._origins is not NOTHING_MOVED and unit.past is None
        return moved and self.base is unit.value and same(self.root, self.base)

    def publish_moves(self, others: list[View]) -> None:
        """Give elements that moved their committed tokens, in the Objects that follow them.

        ``others`` are the views that other transactions have of the unit: they go on seeing every
        element where it was.
        """
        if self._origins is NOTHING_MOVED:
            return
        moves = [(order.part, order.tokens) for order in self._origins]
        lengths = [[_length(view.locate(part)) for part, _ in moves] for view in others]
        for number, (part, tokens) in enumerate(moves):
            renamed = _Renaming(tokens)
            for view, sizes in zip(others, lengths, strict=True):
                view.origins().rename(part, sizes[number], renamed)
            part._own_kids().rename(renamed)


class _Renaming:
    """Committed tokens after a commit, by the tokens before it."""

    def __init__(self, tokens: Iterable[int | None]) -> None:
        """``tokens`` are those before it of the elements there are now; None for a new one's."""
        self._tokens: Final = tokens
        self._positions: dict[int | None, int] = {}

    def __call__(self, token: int) -> int:
        if not self._positions:  # mostly nobody asks
            self._positions.update(zip(self._tokens, itertools.count()))
        found = self._positions.get(token)
        if found is None:
            # Gone from committed contents; still there for a transaction that began earlier.
            found = self._positions[token] = next(fresh_tokens)
        return found


def follow(unit: Unit, before: JSON | Missing, views: list[View]) -> None:
    """Have Objects follow their elements to the unit's contents, which others have made.

    ``before`` are those that they are known in. ``views`` are what running transactions have of the
    unit: they go on seeing every element where it was. Call with ``host.lock`` held.
    """
    lists = [part for part in _lists_of(unit) if part._kids]
    olds = [_elements(part._locate_committed(before)) for part in lists]
    lengths = [[_length(view.locate(part)) for part in lists] for view in views]
    numbered = sorted(enumerate(lists), key=lambda entry: _depth(entry[1]))
    for number, part in numbered:
        now = _elements(part._locate_committed(unit.value))
        partners = followed(now, olds[number], _name(part, None))
        length = len(olds[number])
        if partners[:length] == list(range(length)):
            continue
        renamed = _Renaming(partners)
        for view, sizes in zip(views, lengths, strict=True):
            view.origins().rename(part, sizes[number], renamed)
        part._own_kids().rename(renamed)


def followed(now: list[Any], before: list[Any], name: str | None) -> list[int | None]:
    """For each element the index that it had before, as far as what it is tells; None for none.

    The key tells, where the list has one; otherwise what is the same, wherever it is, and of the
    rest what is most alike. Only containers count.
    """
    found: list[int | None] = [None] * len(now)

    def tell(element: Any) -> str:
        return repr(element if name is None else _key(element, name))

    # Mostly all but a few are where they were, from either end.
    start = _as_before(now, before)
    stop = _as_before(now[start:][::-1], before[start:][::-1])
    moved, end = len(now) - len(before), len(before) - stop
    found[:start] = range(start)
    found[end + moved :] = range(end, len(before))
    there: dict[str, deque[int]] = {}
    for index, element in enumerate(before[start:end], start):
        if _is_container(element):
            there.setdefault(tell(element), deque()).append(index)
    for at, element in enumerate(now[start : end + moved], start):
        alike = there.get(tell(element)) if _is_container(element) else None
        if alike:
            found[at] = alike.popleft()
    if name is None:
        olds = sorted(index for some in there.values() for index in some)
        news = [at for at, index in enumerate(found) if index is None and _is_container(now[at])]
        rest = align([before[index] for index in olds], [now[at] for at in news])
        for at, partner in zip(news, rest, strict=True):
            found[at] = None if partner is None else olds[partner]
    return found


def _as_before(now: list[Any], before: list[Any]) -> int:
    """How many elements at the beginning are the same."""
    pairs = zip(now, before, strict=False)
    return next(
        (at for at, pair in enumerate(pairs) if not same(*pair)), min(len(now), len(before))
    )


def _name(part: Part, view: View | None) -> str | None:
    """The key that tells a list's elements apart; None where it has none."""
    return part._unit.shape.merge_key_at(build(path_of(part, view)))


def _lists_of(unit: Unit) -> list[Part]:
    """The Objects of lists in a unit that are held, one for each place."""
    known = set[int]()
    return [one for part in unit.held() for one in _lists_below(part, known)]


def _lists_below(part: Part, known: set[int]) -> Iterator[Part]:
    """``known`` are the places that were gone through."""
    kids = part._own_kids() if part._kind == "list" else part._kids
    if kids is not None and id(kids) not in known:
        known.add(id(kids))
        if part._kind == "list":
            yield part
        for kid in kids.held():
            yield from _lists_below(kid, known)


def _at(elements: list[Any], index: int) -> JSON | Missing:
    return elements[index] if 0 <= index < len(elements) else MISSING


def _length(contents: JSON | Missing) -> int:
    return len(_elements(contents))


def _elements(contents: JSON | Missing) -> list[Any]:
    return contents if isinstance(contents, list) else []


def _tokens(
    merged: list[Any], theirs: list[Any], ours: Iterable[tuple[Any, int]], name: str | None
) -> list[int]:
    """The tokens of a merged list's elements.

    A merge takes elements as they are, so that identity tells where they come from, but for those
    that both sides changed. Of these the key tells, where the list has one; lists without one only
    grew, so that they stand in their order. Only containers count: no Object holds a scalar.
    """
    known = {id(element): token for token, element in enumerate(theirs)}
    known.update((id(element), token) for element, token in ours)
    there = set(map(id, merged))
    new = [e for e in merged if id(e) not in known and _is_container(e)]
    gone = [(e, t) for t, e in enumerate(theirs) if id(e) not in there and _is_container(e)]
    if name is not None:
        tokens = {_key(element, name): token for element, token in gone}
        known.update((id(e), tokens[_key(e, name)]) for e in new if _key(e, name) in tokens)
    elif len(new) == len(gone):
        known.update((id(e), token) for e, (_, token) in zip(new, gone, strict=True))
    return [known[id(e)] if id(e) in known else next(fresh_tokens) for e in merged]


def _inherited(now: list[Any], before: list[Any], lineage: Lineage) -> Iterator[int | None]:
    """The indices that elements had before; None for those that are new, and for scalars."""
    known = {id(element): index for index, element in enumerate(before)}
    for element in now:
        while id(element) not in known and id(element) in lineage:
            element = lineage[id(element)][1]
        yield known.pop(id(element), None) if _is_container(element) else None


def _key(element: Any, name: str) -> tuple[str, str | int]:
    value: Any = element.get(name) if is_object(element) else None
    return value.__class__.__name__, value if isinstance(value, str | int) else id(element)


def _is_container(value: Any) -> bool:
    return is_object(value) or is_array(value)


def _depth(part: Part) -> int:
    depth, parent = 0, part._parent
    while parent is not None:
        depth, parent = depth + 1, parent._parent
    return depth


def committed_below(container: JSON | Missing, part: Part) -> JSON | Missing:
    """The element of its parent's committed ``container`` that an Object stands for."""
    parent, key = part._parent, part._key
    if isinstance(container, list) and isinstance(key, int):
        return _at(container, key)
    if isinstance(container, dict) and isinstance(key, str):
        return cast("JSON | Missing", cast("Part", parent)._element(container, key))
    return MISSING


def path_of(part: Part, view: View | None) -> list[str | int]:
    """The path from the unit's root to an Object, as a transaction or everybody sees it."""
    path: list[str | int] = []
    step, parent = part, part._parent
    while parent is not None:
        key = step._key
        if view is not None and isinstance(key, int):
            key = view.index(parent, key)
        path.append(cast("str | int", key))
        step, parent = parent, parent._parent
    path.reverse()
    return path


def detached(part: Part, path: list[str | int], found: JSON | Missing) -> DetachedError:
    """The error of using an Object whose element is gone; ``found`` is in its place."""
    where = part._unit.host.source(part._unit)
    place = f"{where} at {build(path)}" if path and min_token(path) >= 0 else where
    instead = "" if found is MISSING else f": {show(found)} is in its place"
    return DetachedError(f"the {type(part).__name__} of {place} is no longer there{instead}")


def min_token(path: list[str | int]) -> int:
    """The least index in a path; below zero where it leads through an element that is gone."""
    return min((step for step in path if isinstance(step, int)), default=0)


def correct_keys(keys: dict[str, None], path: str, unit: Unit, value: Any) -> None:
    """Have the keys of the directory at ``path`` be those where a unit has a value, or MISSING."""
    if unit.pointer.startswith(path + "/"):
        first, *deeper = split(unit.pointer[len(path) :])
        if value is not MISSING:
            keys[first] = None
        elif not deeper:
            keys.pop(first, None)
