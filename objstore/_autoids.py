"""Numbers that a schema asks for: ``"autoid": true`` fills a key that is missing or null.

A *place* is where one count runs: the pointer of a key, with ``*`` for the elements of a collection
(``/people/*/id`` for a directory's files, ``/tasks/*/id`` for the elements of a list in a file). A
count only rises: the greatest number ever given, by whomever, is in the commits' ``meta``, under
``$autoid`` by place, so that it outlives the element that had it (docs/decisions/0012). Commits of
what people edited say nothing there: of these, the contents are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from ._apply import apply
from ._encode import encode
from ._meta import given_meta
from ._past import contents_at
from ._shapes import ANY, Shape
from ._units import View
from .documents import AUTOID
from .errors import HistoryGone, KeyNotFoundError
from .pointer import build, join, split
from .retention import Retention
from .values import JSON, MISSING, Missing, is_array, is_object, same

if TYPE_CHECKING:
    from datetime import datetime

    from ._references import References
    from ._units import Unit
    from .documents import Commit, Documents, Meta

_WINDOWS: Final = (16, 512, 16384)
"""How many commits back a place's last number is looked for, before all are."""


class Numbers(NamedTuple):
    """What one attempt at a commit was given."""

    greatest: dict[str, int]
    """By place, for the commit's meta."""
    listed: dict[str, tuple[str, ...]]
    """The directories whose files are counted, with their keys: what the commit rests on."""
    before: list[tuple[View, JSON | Missing]]
    """The views in which something is counted, as they were."""

    @property
    def are_given(self) -> bool:
        """Whether there are any; the commit rests on no more than what it changes otherwise."""
        return bool(self.greatest)

    def undo(self) -> None:
        """Take the numbers back, for another attempt."""
        for view, root in self.before:
            view.refill(root)


class Numbering:
    """The counts of one store; to be used with its lock."""

    def __init__(self, documents: Documents, units: References[str, Unit]) -> None:
        """``units`` are those in memory, by their pointers."""
        self._documents: Final = documents
        self._units: Final = units
        self._counts: Final = Counts(documents)
        self._scanned: Final[WeakKeyDictionary[Unit, tuple[object, dict[str, int]]]] = (
            WeakKeyDictionary()
        )

    def fill(self, views: Iterable[View], declares: Callable[[str], bool]) -> Numbers | None:
        """Give numbers where the views have none yet; None where nothing is counted.

        ``declares`` tells whether a unit's directory names it: the others are a collection.
        """
        counted = [view for view in views if view.unit.shape.numbered and view.root is not MISSING]
        if not counted:
            return None
        numbers = Numbers({}, {}, [(view, view.root) for view in counted])
        walks = [_Walk(view, declares(view.unit.pointer)) for view in counted]
        for directory in dict.fromkeys(walk.directory for walk in walks):
            if directory is None:
                continue
            # Before the counts are read: a file that comes in between is a conflict.
            numbers.listed[directory] = tuple(self._documents.keys(directory))
        self._counts.refresh()
        for walk in walks:
            self._fill(walk, numbers)
        return numbers

    def keep(self, commit: Commit, numbers: Numbers) -> None:
        """Know what was committed without reading it."""
        self._counts.keep(commit)
        for view, _ in numbers.before:
            base, known = self._scanned.get(view.unit, (None, {}))
            if base is view.base:
                self._scanned[view.unit] = (view.root, known)

    def _fill(self, walk: _Walk, numbers: Numbers) -> None:
        operations: list[dict[str, Any]] = []
        for place, number in walk.given.items():
            last = self._last(place, walk, numbers)
            if number > last:
                numbers.greatest[place] = number
        for path, place in walk.missing:
            number = self._last(place, walk, numbers) + 1
            numbers.greatest[place] = number
            operations.append({"op": "add", "path": build(path), "value": number})
        if operations:
            walk.view.refill(apply(walk.view.root, operations))

    def _last(self, place: str, walk: _Walk, numbers: Numbers) -> int:
        """The greatest number given at a place until now."""
        if place in numbers.greatest:
            return numbers.greatest[place]
        counted = self._counts.last(place)
        if place.startswith(f"{walk.view.unit.pointer}/"):
            found = self._in_unit(place, walk.view)
        else:
            found = self._in_memory(place, numbers)
            if counted is None:
                found = max(found, _greatest_at(self._documents, place, self._documents.head()))
        return max(counted or 0, self._counts.outside(place), found)

    def _in_unit(self, place: str, view: View) -> int:
        """The greatest number in a unit, which somebody may have given by hand."""
        base, known = self._scanned.get(view.unit, (None, {}))
        if base is not view.base:
            known = {}
            self._scanned[view.unit] = (view.base, known)
        if place not in known:
            rest = split(place[len(view.unit.pointer) :])
            known[place] = greatest(view.base, rest)
        return known[place]

    def _in_memory(self, place: str, numbers: Numbers) -> int:
        """The greatest number in those files of a directory that are read, by whomever it is."""
        directory, rest = _split(place)
        units = (self._units.get(join(directory, key)) for key in numbers.listed.get(directory, ()))
        values = {unit.pointer: cast("Any", unit.value) for unit in units if unit is not None}
        return greatest(values, rest)


class Counts:
    """The greatest numbers that commits tell of, by place."""

    def __init__(self, documents: Documents) -> None:
        self._documents: Final = documents
        self._known: dict[str, int] = {}
        self._outside: dict[str, int] = {}
        """Those in what people edited. By every place that was searched for."""
        self._upto = documents.head()
        # Every commit up to there was looked at; of the first ones, for what is in _outside.

    def refresh(self) -> None:
        """Look at what was committed since."""
        head = self._documents.head()
        try:
            for commit in self._documents.commits(self._upto):
                self.keep(commit)
            self._upto = max(self._upto, head)  # a scope is not shown what others commit
        except HistoryGone:
            self._upto = self._documents.head()
            self._known.clear()  # or it would be taken for the newest that commits tell of
            self._outside.clear()

    def keep(self, commit: Commit) -> None:
        """Take note of the numbers that a commit gave."""
        if commit.number == self._upto + 1:
            self._upto = commit.number
        for place, number in numbers_of(commit.meta).items():
            self._known[place] = max(number, self._known.get(place, 0))
        for place in self._outside if commit.external else ():
            self._note_outside(commit, place)

    def last(self, place: str) -> int | None:
        """The greatest number at a place; None where no commit tells of any."""
        if place not in self._outside:
            self._outside[place] = 0
            for window in (*_WINDOWS, self._upto):
                after = max(0, self._upto - window)
                if self._found(place, after) or not after:
                    break
        return self._known.get(place)

    def outside(self, place: str) -> int:
        """The greatest number that people wrote there since one was given; 0 where they did not.

        Of a place that ``last`` was asked for.
        """
        return self._outside[place]

    def _found(self, place: str, after: int) -> bool:
        """Look for a place's numbers in the commits behind ``after``."""
        try:
            commits = list(self._documents.commits(after, _split(place)[0]))
        except HistoryGone:  # further back there are commits again
            return False
        for commit in commits:
            number = numbers_of(commit.meta).get(place)
            if number is not None:
                self._known[place] = max(number, self._known.get(place, 0))
            if commit.external:
                self._note_outside(commit, place)
        return place in self._known

    def _note_outside(self, commit: Commit, place: str) -> None:
        self._outside[place] = max(self._outside[place], _greatest_in(commit, split(place)))


class _Walk:
    """One view's numbers: those that it has and those that it lacks, where it changed."""

    def __init__(self, view: View, declared: bool) -> None:
        self.view: Final = view
        self.missing: Final[list[tuple[list[str | int], str]]] = []
        self.given: Final[dict[str, int]] = {}
        self.directory: str | None = None
        """The directory whose files are counted, where this is one that gets a number."""
        pointer = view.unit.pointer
        own = pointer if declared else join(pointer.rpartition("/")[0], "*")
        self._visit(view.base, view.root, view.unit.shape, [], own, pointer)
        if not declared and any(place.startswith(f"{own}/") for _, place in self.missing):
            self.directory = pointer.rpartition("/")[0]

    def _visit(
        self,
        old: Any,
        new: Any,
        shape: Shape,
        path: Sequence[str | int],
        own: str,
        below: str,
    ) -> None:
        """``own`` is the place of the value's own keys, ``below`` that of what is deeper."""
        if new is old or not shape.numbered:
            return
        if is_object(new):
            info = shape.info_for(new)
            if info is None:
                return
            for key, inner in info.keys.items():
                if inner.autoid:
                    self._count(new.get(key), [*path, key], join(own, key))
            for key, child in new.items():
                inner = info.shape_for(key) or ANY
                place = join(below, key if key in info.keys else "*")
                before = old.get(key) if is_object(old) else None
                self._visit(before, child, inner, [*path, key], place, place)
        elif is_array(new):
            known = set(map(id, old)) if is_array(old) else set[int]()
            info = shape.class_for([])._info
            for index, child in enumerate(new):
                if id(child) not in known:
                    place = join(below, "*")
                    self._visit(None, child, info.shape_at(index), [*path, index], place, place)

    def _count(self, value: Any, path: list[str | int], place: str) -> None:
        if value is None:
            self.missing.append((path, place))
        number = _number(value)
        if number is not None:
            self.given[place] = max(number, self.given.get(place, number))


def numbers_of(meta: Meta) -> Mapping[str, int]:
    """The greatest numbers that a commit tells of, by place."""
    found = meta.get(AUTOID)
    return cast("Mapping[str, int]", found) if is_object(found) else {}


def same_but_numbers(wanted: JSON | Missing, found: JSON | Missing, at: str, meta: Meta) -> bool:
    """Whether what is at a pointer is what was wanted there, but for numbers that its commit, which
    says this about itself, may have given where none was wanted."""
    places: list[Sequence[str]] = [split(place) for place in numbers_of(meta)]
    for token in split(at):
        places = _below(places, token)
    return _same_but(wanted, found, places)


def _same_but(wanted: Any, found: Any, places: Sequence[Sequence[str]]) -> bool:
    if (wanted is None or wanted is MISSING) and [] in places:
        return found is wanted or _number(found) is not None
    if places and is_object(wanted) and is_object(found):
        return all(
            _same_but(wanted.get(key, MISSING), found.get(key, MISSING), _below(places, key))
            for key in wanted.keys() | found.keys()
        )
    if places and is_array(wanted) and is_array(found):
        inner = _below(places, "*")
        return len(wanted) == len(found) and all(
            _same_but(one, other, inner) for one, other in zip(wanted, found, strict=True)
        )
    return same(wanted, found)


def _below(places: Iterable[Sequence[str]], token: str) -> list[Sequence[str]]:
    """What is left of places behind a key or an index."""
    return [place[1:] for place in places if place and place[0] in ("*", token)]


def without_numbers(contents: JSON | Missing, unit: Unit) -> list[str]:
    """Where contents have no number yet that they get once they are stored, by their pointers."""
    view = View(unit, MISSING)
    view.refill(contents)
    return [build(path) for path, _ in _Walk(view, declared=True).missing]


def greatest(contents: JSON | Missing, place: Sequence[str]) -> int:
    """The greatest number at a place of contents; 0 where there is none."""
    nodes: list[Any] = [contents]
    for token in place:
        nodes = [child for node in nodes for child in _children(node, token)]
    return max((n for n in map(_number, nodes) if n is not None), default=0)


def _number(value: Any) -> int | None:
    """The number that a value is; 3.0 is read as 3. None for a value that is none."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _children(node: Any, token: str) -> Iterable[Any]:
    if is_array(node):
        return node
    if not is_object(node):
        return ()
    if token == "*":
        return node.values()
    return (node[token],) if token in node else ()


def _greatest_in(commit: Commit, place: Sequence[str]) -> int:
    """The greatest number at a place in what a commit left; 0 where there is none."""
    units = ((split(change.unit), change.new) for change in commit.changes)
    return max(
        (
            greatest(contents, place[len(unit) :])
            for unit, contents in units
            if len(unit) < len(place)
            and all(token in ("*", key) for token, key in zip(place, unit, strict=False))
        ),
        default=0,
    )


def _split(place: str) -> tuple[str, list[str]]:
    """The part of a place in front of the first collection, and the rest."""
    tokens = split(place)
    end = tokens.index("*") if "*" in tokens else len(tokens) - 1
    return build(tokens[:end]), tokens[end:]


def said(meta: Mapping[str, Any], numbers: Numbers | None) -> Mapping[str, Any]:
    """What a commit says about itself, with the numbers that it gave; a copy.

    Raises ValidationError for what is no JSON, and for numbers that somebody else says were given.
    """
    copy: Any = encode(given_meta(meta), ANY, source="meta") if meta else {}
    if numbers is not None and numbers.greatest:
        copy[AUTOID] = numbers.greatest
    return cast("Mapping[str, Any]", copy)


class _Keeping(Retention):
    """Keeps certain commits besides what another one does."""

    other: Retention
    numbers: Collection[int]

    def survivors(
        self,
        commits: Iterable[tuple[int, datetime]],
        now: datetime,
        pins: Collection[int] = (),
    ) -> set[int]:
        return self.other.survivors(commits, now, {*pins, *self.numbers})


def keeping_counts(documents: Documents, retention: Retention) -> Retention:
    """What a retention keeps, and what tells of numbers that were given."""
    keeping = _Keeping(*retention)
    keeping.other, keeping.numbers = retention, _telling(documents)
    return keeping


def _telling(documents: Documents) -> set[int]:
    """The commits that alone tell of numbers that were given and are gone, or were written by hand
    since: contents are looked at where no commit tells of any."""
    newest: dict[str, tuple[int, int]] = {}
    edits: list[Commit] = []
    for commit in documents.commits():
        for place, number in numbers_of(commit.meta).items():
            newest[place] = max((number, commit.number), newest.get(place, (0, 0)))
        if commit.external:
            edits.append(commit)
    head = documents.head()
    kept: set[int] = set()
    for place, (number, told) in newest.items():
        tokens = split(place)
        by_hand = max(((_greatest_in(edit, tokens), edit.number) for edit in edits), default=(0, 0))
        if by_hand[0] > number:
            kept.add(by_hand[1])
        elif _greatest_at(documents, place, head) < number:
            kept.add(told)
    return kept


def _greatest_at(documents: Documents, place: str, number: int) -> int:
    above, rest = _split(place)
    try:
        return greatest(contents_at(documents, above, number), rest)
    except KeyNotFoundError:
        return 0  # another schema's
