"""The past of a store against a model that keeps every state, by random operations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import objstore
from objstore import ConflictError, Directory, HistoryGone, LayoutError, Store
from objstore.formats import by_ending
from objstore.patch import apply
from objstore.pointer import join, split
from objstore.values import MISSING, copy_of, is_array, is_object, same

from .makers import LOGGED, Maker
from .retentions import NEWEST

UNITS = ("/a", "/a/b", "/d/x", "/d/y", "/d/e/v1.0", "/d/e/é ~0")
KEYS = st.sampled_from(["k", "", "/", "0", "a.b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: is_object(value) or is_array(value))
PLACES = ("", "/a", "/a/b", "/d", "/d/x", "/d/x/k", "/d/x/0", "/d/e", "/d/e/v1.0/k/k")


class Machine(RuleBasedStateMachine):
    """Opens a store of a maker, and keeps its units after each commit."""

    maker: Maker

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = self.maker.url(Path(self.folder.name))
        self.store: Store[Directory[Any]] = objstore.open(self.url, durability="os")
        self.states: list[dict[str, Any]] = [{}]
        self.gone: set[int] = set()
        """The commits that compaction removed."""

    def note(self) -> None:
        """Take in what was just committed, if anything was."""
        units = {path: self.store[path].contents for path in self.store}
        if not same(units, self.states[-1]):
            self.states.append(units)
        assert self.store.head == len(self.states) - 1

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = objstore.open(self.url, durability="os")

    @property
    def kept(self) -> list[int]:
        """The numbers of the commits that are left, and 0 for the state before them."""
        return [number for number in range(len(self.states)) if number not in self.gone]

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


class HistoryMachine(Machine):
    @initialize(units=st.dictionaries(st.sampled_from(UNITS[1:]), VALUES, min_size=2))
    def start(self, units: dict[str, Any]) -> None:
        with self.store.transaction():
            for unit, value in units.items():
                self.store[unit] = value
        self.note()

    @rule(unit=st.sampled_from(UNITS), value=VALUES)
    def put(self, unit: str, value: Any) -> None:
        if self.has_room(unit):
            self.store[unit] = value
            self.note()

    @rule(unit=st.sampled_from(UNITS), keys=st.lists(KEYS, min_size=1, max_size=2), value=VALUES)
    def put_below(self, unit: str, keys: list[str], value: Any) -> None:
        if unit in self.states[-1] and is_object(_at(self.whole(-1), join(unit, *keys[:-1]))):
            self.store[join(unit, *keys)] = value
            self.note()

    @rule(units=st.sets(st.sampled_from(["/d/x", "/d/y", "/d/e/v1.0"])), value=VALUES)
    def several(self, units: set[str], value: Any) -> None:
        with self.store.transaction():
            for unit in sorted(units):
                if self.has_room(unit):
                    self.store[unit] = value
        self.note()

    @rule(place=st.sampled_from((*UNITS[:3], "/d", "/d/e")))
    def delete(self, place: str) -> None:
        if any((unit + "/").startswith(place + "/") for unit in self.states[-1]):
            del self.store[place]
            self.note()

    @rule(value=VALUES, deep=st.booleans())
    def swap(self, value: Any, deep: bool) -> None:
        """A file where a directory was, or the reverse, or the same again."""
        if "a" in self.store:
            del self.store["a"]
            self.note()
        self.store["a/b" if deep else "a"] = value
        self.note()

    @precondition(lambda self: self.maker.name == "filesystem" and self.states[-1])
    @rule(data=st.data(), values=st.lists(VALUES, min_size=1, max_size=3))
    def rewrite(self, data: st.DataObject, values: list[Any]) -> None:
        """A file becomes one of another format before it is changed, and again; and then the past
        is made shorter."""
        unit = data.draw(st.sampled_from(sorted(self.states[-1])))
        for value in values:
            path = Path(self.url, self.store._documents.source(unit))
            path.unlink()
            ending, note = (".json", b"") if path.suffix == ".yaml" else (".yaml", b"# by hand\n")
            made = path.with_suffix(ending)
            made.write_bytes(note + by_ending(ending).dump(self.states[-1][unit], made.name))
            self.store[unit] = value
            self.note()
        self.compact(data)

    def has_room(self, unit: str) -> bool:
        """Whether no file lies above the unit, and no directory where it should be."""
        there = self.states[-1]
        return not any(
            other.startswith(unit + "/") or unit.startswith(other + "/") for other in there
        )

    @precondition(lambda self: len(self.states) > 1)
    @rule()
    def undo_the_last(self) -> None:
        before = self.states[self.kept[-2]]
        changed = not same(before, self.states[-1])
        try:
            commit = self.store.undo(self.store.head)
        except LayoutError:
            # Compaction may leave one commit of what several did: a file's place changed hands.
            assert self.gone
            assert same(self.store.read_at("", self.store.head), self.whole(-1))
            return
        assert (commit is not None) is changed
        self.note()
        assert same(self.states[-1], before)

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def undo_any(self, data: st.DataObject) -> None:
        """What is undone is gone; what later commits changed is not touched."""
        last, number = data.draw(st.sampled_from(self.pairs))
        before, after, now = (self.whole(at) for at in (last, number, self.store.head))
        try:
            self.store.undo(number)
        except (ConflictError, LayoutError):
            assert same(self.store.read_at("", self.store.head), now)
            return
        self.note()
        undone = self.store.read_at("", self.store.head)
        if same(now, after):
            assert same(undone, before)

    @rule(data=st.data())
    def read_at(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.kept))
        past = self.store.at(number)
        assert same({path: past[path].contents for path in past}, self.states[number])
        assert past.head == number
        whole = self.whole(number)
        assert same(self.store.read_at("", number), whole)
        for place in PLACES:
            found = self.store.read_at(place, number) if past.HEAD(place) else MISSING
            assert same(found, _at(whole, place))

    @rule(data=st.data(), place=st.sampled_from(PLACES))
    def diff(self, data: st.DataObject, place: str) -> None:
        numbers = st.sampled_from(self.kept)
        a, b = data.draw(numbers), data.draw(numbers)
        whole = self.store.diff(a, b)
        assert same(apply(self.whole(a), whole), self.whole(b))
        part = self.store.diff(a, b, place)
        assert all((one["path"] + "/").startswith(place + "/") for one in part)
        before, after = _at(self.whole(a), place), _at(self.whole(b), place)
        assert (part == []) is same(before, after)
        if before is not MISSING and after is not MISSING:
            relative = [{**one, "path": one["path"][len(place) :]} for one in part]
            assert same(apply(before, relative), after)

    @rule(unit=st.sampled_from(UNITS))
    def log(self, unit: str) -> None:
        touched = [
            number
            for last, number in self.pairs
            if any(
                not same(self.states[last].get(path), self.states[number].get(path))
                for path in self.states[last].keys() | self.states[number].keys()
                if path == unit or path.startswith(unit + "/")
            )
        ]
        found = [one.number for one in self.store.log(unit) if _concerns(one, unit)]
        assert found == touched
        assert [one.number for one in self.store.log()] == self.kept[1:]

    @precondition(lambda self: len(self.states) > 1)
    @rule(data=st.data())
    def patch_of(self, data: st.DataObject) -> None:
        last, number = data.draw(st.sampled_from(self.pairs))
        patch = self.store.patch_of(number)
        assert same(apply(self.whole(last), patch), self.whole(number))

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        pins = data.draw(st.sets(st.sampled_from(self.kept)))
        for number in pins - {0}:
            self.store.pin(number)
        removed = self.store.compact(NEWEST)
        assert set(removed) == set(self.kept[1:-1]) - pins
        self.gone.update(removed)
        assert [one.number for one in self.store.log()] == self.kept[1:]
        for number in pins:
            self.store.unpin(number)
        for number in removed:
            with pytest.raises(HistoryGone):
                self.store.at(number)
            with pytest.raises(HistoryGone):
                self.store.diff(0, number)
            with pytest.raises(HistoryGone):
                self.store.undo(number)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Each commit that is left, behind the one before it."""
        return list(zip(self.kept, self.kept[1:], strict=False))

    def whole(self, number: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for unit, value in self.states[number].items():
            folder = made
            *above, key = split(unit)
            for token in above:
                folder = folder.setdefault(token, {})
            folder[key] = value
        return copy_of(made)  # type: ignore[no-any-return]


def _concerns(commit: objstore.Commit, unit: str) -> bool:
    return any((one.unit + "/").startswith(unit + "/") for one in commit.changes)


def _at(whole: Any, place: str) -> Any:
    for token in split(place):
        if is_object(whole) and token in whole:
            whole = whole[token]
        elif is_array(whole) and token.isdecimal() and int(token) < len(whole):
            whole = whole[int(token)]
        else:
            return MISSING
    return whole


# --- blame ----------------------------------------------------------------------------------------


class Noted:
    """A JSON value whose leaves know the commit that set them."""

    def __init__(self, value: Any, by: int) -> None:
        self.by = by
        """Who set it; for a container, who last put something in or took something out."""
        self.value: Any = value
        if is_object(value):
            self.value = {key: Noted(part, by) for key, part in value.items()}
        elif is_array(value):
            self.value = [Noted(part, by) for part in value]

    def leaves(self, place: str) -> Iterator[tuple[str, int]]:
        parts: Any = ()
        if is_object(self.value):
            parts = self.value.items()
        elif is_array(self.value):
            parts = enumerate(self.value)
        if not parts or not self.value:
            yield place, self.by
        else:
            for key, part in parts:
                yield from part.leaves(join(place, key))

    def containers(self, kind: type, place: str) -> Iterator[tuple[str, Noted]]:
        if isinstance(self.value, kind):
            yield place, self
        if is_object(self.value):
            for key, part in self.value.items():
                yield from part.containers(kind, join(place, key))


class BlameMachine(Machine):
    """Sets values that are all different, so that it is plain where each comes from.

    Containers in lists are never emptied, as two empty ones could not be told apart.
    """

    fresh = count()
    model: dict[str, Noted]

    @initialize()
    def start(self) -> None:
        self.model = {}

    def value(self, depth: int) -> Any:
        if not depth:
            return next(self.fresh)
        return {"k": self.value(depth - 1), "l": [next(self.fresh), {"n": next(self.fresh)}]}

    def a_container(self, data: st.DataObject, kind: type) -> tuple[str, Noted] | None:
        found = [one for unit, noted in self.model.items() for one in noted.containers(kind, unit)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(unit=st.sampled_from(UNITS[1:]), depth=st.integers(1, 2))
    def make(self, unit: str, depth: int) -> None:
        value = self.value(depth)
        self.store[unit] = value
        self.model[unit] = Noted(value, self.store.head)

    @rule(data=st.data(), key=KEYS, depth=st.integers(0, 1))
    def put(self, data: st.DataObject, key: str, depth: int) -> None:
        chosen = self.a_container(data, dict)
        if chosen is not None:
            value = self.value(depth)
            self.store.GET(chosen[0])[key] = value
            chosen[1].by = self.store.head
            chosen[1].value[key] = Noted(value, self.store.head)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        chosen = self.a_container(data, dict)
        if chosen is not None and chosen[1].value:
            key = data.draw(st.sampled_from(sorted(chosen[1].value)))
            del self.store.GET(chosen[0])[key]
            chosen[1].by = self.store.head
            del chosen[1].value[key]

    @rule(data=st.data(), depth=st.integers(0, 1))
    def insert(self, data: st.DataObject, depth: int) -> None:
        chosen = self.a_container(data, list)
        if chosen is not None:
            value = self.value(depth)
            index = data.draw(st.integers(0, len(chosen[1].value)))
            self.store.GET(chosen[0]).insert(index, value)
            chosen[1].by = self.store.head
            chosen[1].value.insert(index, Noted(value, self.store.head))

    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        chosen = self.a_container(data, list)
        if chosen is not None and chosen[1].value:
            index = data.draw(st.integers(0, len(chosen[1].value) - 1))
            del self.store.GET(chosen[0])[index]
            chosen[1].by = self.store.head
            del chosen[1].value[index]

    @rule(data=st.data())
    def change_an_element(self, data: st.DataObject) -> None:
        chosen = self.a_container(data, list)
        elements = enumerate(chosen[1].value) if chosen is not None else ()
        inner = [i for i, one in elements if is_object(one.value) and "n" in one.value]
        if chosen is not None and inner:
            index, value = data.draw(st.sampled_from(inner)), next(self.fresh)
            self.store.GET(chosen[0])[index]["n"] = value
            chosen[1].value[index].value["n"] = Noted(value, self.store.head)

    @rule(unit=st.sampled_from(UNITS[1:]))
    def delete(self, unit: str) -> None:
        if unit in self.model:
            del self.store[unit]
            del self.model[unit]

    @invariant()
    def blames_the_right_one(self) -> None:
        expected = dict(one for unit, noted in self.model.items() for one in noted.leaves(unit))
        assert _numbers(self.store.blame()) == expected
        for place in ("/d", "/d/x", "/d/x/l/0", "/d/x/k/l"):
            part = {
                leaf: by for leaf, by in expected.items() if (leaf + "/").startswith(place + "/")
            }
            assert (_numbers(self.store.blame(place)) if self.store.HEAD(place) else {}) == part


def _numbers(blamed: dict[str, objstore.Commit | None]) -> dict[str, int]:
    return {leaf: 0 if commit is None else commit.number for leaf, commit in blamed.items()}


@pytest.mark.parametrize("maker", LOGGED, ids=lambda maker: maker.name)
@pytest.mark.parametrize("machine", [HistoryMachine, BlameMachine])
def test_the_past_is_that_of_the_model(machine: type[Machine], maker: Maker) -> None:
    made = type(machine.__name__, (machine,), {"maker": maker})
    run_state_machine_as_test(
        made, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
