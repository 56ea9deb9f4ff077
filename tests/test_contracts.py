"""A Dict obeys the contract of dict, a List that of list, in and out of transactions.

Random operations are done to an Object and to a plain value beside it. Both must agree on results,
on the kind of exception, and on the contents; Objects of elements that are held must follow them.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, cast

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import objstore
from objstore import Dict, Directory, List

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
text_ok = finite.filter(lambda v: not isinstance(v, str) or v.isprintable())
keys = st.sampled_from(["a", "b", "c", "items", "keys", "_x", "é/~", ""])
values = st.recursive(
    text_ok, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)
indices = st.integers(-6, 6)
slices = st.builds(
    slice, st.none() | indices, st.none() | indices, st.sampled_from([None, 1, 2, -1])
)


def both(act: Callable[[Any], Any], real: Any, model: Any) -> None:
    """Do the same to both; they must return or raise alike."""
    try:
        expected = act(model)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            act(real)
        return
    found = act(real)
    if expected is model:
        assert found is real
    else:
        assert found == expected


class Transactions(RuleBasedStateMachine):
    """Objects in a store beside plain values, with transactions that end well or badly."""

    def __init__(self) -> None:
        super().__init__()
        self.store = objstore.open("memory://")
        self.open: list[tuple[Any, Any]] = []  # transactions, and the model to go back to

    real: Any
    model: Any

    def restore(self, model: Any) -> None:
        self.model = model

    @rule()
    def begin(self) -> None:
        if len(self.open) < 3:
            transaction = self.store.transaction()
            transaction.__enter__()
            self.open.append((transaction, _copy(self.model)))

    @rule()
    def commit(self) -> None:
        if self.open:
            self.open.pop()[0].__exit__(None, None, None)

    @rule()
    def roll_back(self) -> None:
        if self.open:
            transaction, before = self.open.pop()
            transaction.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
            self.restore(before)

    @invariant()
    def the_same(self) -> None:
        if hasattr(self, "model"):
            assert self.real == self.model
            assert self.real.contents == self.model
            assert len(self.real) == len(self.model)
            assert list(self.real) == list(self.model)

    def teardown(self) -> None:
        while self.open:
            self.commit()
        if hasattr(self, "model"):
            assert self.store["/doc"] == self.model
        self.store.close()


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in cast("dict[str, Any]", value).items()}
    return [_copy(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _rank(value: Any) -> str:
    return repr(value.contents if isinstance(value, objstore.Object) else value)


class DictMachine(Transactions):
    @initialize(start=st.dictionaries(keys, values, max_size=4))
    def start(self, start: dict[str, Any]) -> None:
        self.store["/doc"] = start
        self.model = _copy(start)
        self.real = self.store["/doc"]
        assert type(self.real) is Dict

    @rule(key=keys, value=values)
    def set(self, key: str, value: Any) -> None:
        both(lambda d: d.__setitem__(key, _copy(value)), self.real, self.model)

    @rule(key=keys)
    def get(self, key: str) -> None:
        both(lambda d: d[key], self.real, self.model)
        both(lambda d: d.get(key, 5), self.real, self.model)
        both(lambda d: key in d, self.real, self.model)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        both(lambda d: d.__delitem__(key), self.real, self.model)

    @rule(key=keys, default=values)
    def pop(self, key: str, default: Any) -> None:
        both(lambda d: d.pop(key), self.real, self.model)
        both(lambda d: d.pop(key, _copy(default)), self.real, self.model)

    @rule()
    def popitem(self) -> None:
        both(lambda d: d.popitem(), self.real, self.model)

    @rule(key=keys, default=values)
    def setdefault(self, key: str, default: Any) -> None:
        both(lambda d: d.setdefault(key, _copy(default)), self.real, self.model)

    @rule(other=st.dictionaries(keys, values, max_size=3))
    def merge(self, other: dict[str, Any]) -> None:
        both(lambda d: d | _copy(other), self.real, self.model)
        both(lambda d: _copy(other) | d, self.real, self.model)
        both(lambda d: d.update(_copy(other)), self.real, self.model)
        both(lambda d: d.__ior__(_copy(other)), self.real, self.model)

    @rule()
    def clear(self) -> None:
        both(lambda d: d.clear(), self.real, self.model)

    @rule()
    def views(self) -> None:
        assert list(self.real.items()) == list(self.model.items())
        assert list(self.real.values()) == list(self.model.values())
        assert list(self.real.keys()) == list(self.model.keys())


class ListMachine(Transactions):
    @initialize(start=st.lists(values, max_size=5))
    def start(self, start: list[Any]) -> None:
        self.store["/doc"] = start
        self.model = _copy(start)
        self.real = self.store["/doc"]
        assert type(self.real) is List

    @rule(index=indices | slices)
    def get(self, index: Any) -> None:
        both(lambda s: s[index], self.real, self.model)

    @rule(index=indices, value=values)
    def set(self, index: int, value: Any) -> None:
        both(lambda s: s.__setitem__(index, _copy(value)), self.real, self.model)

    @rule(index=slices, new=st.lists(values, max_size=3))
    def set_slice(self, index: slice, new: list[Any]) -> None:
        both(lambda s: s.__setitem__(index, _copy(new)), self.real, self.model)

    @rule(index=indices | slices)
    def delete(self, index: Any) -> None:
        both(lambda s: s.__delitem__(index), self.real, self.model)

    @rule(index=indices, value=values)
    def insert(self, index: int, value: Any) -> None:
        both(lambda s: s.insert(index, _copy(value)), self.real, self.model)

    @rule(value=values, more=st.lists(values, max_size=3))
    def append(self, value: Any, more: list[Any]) -> None:
        both(lambda s: s.append(_copy(value)), self.real, self.model)
        both(lambda s: s.extend(_copy(more)), self.real, self.model)
        both(lambda s: s.__iadd__(_copy(more)), self.real, self.model)
        both(lambda s: s + more, self.real, self.model)

    @rule(index=indices)
    def pop(self, index: int) -> None:
        both(lambda s: s.pop(index), self.real, self.model)
        both(lambda s: s.pop(), self.real, self.model)

    @rule(value=values)
    def find(self, value: Any) -> None:
        both(lambda s: s.index(value), self.real, self.model)
        both(lambda s: s.count(value), self.real, self.model)
        both(lambda s: value in s, self.real, self.model)
        both(lambda s: s.remove(value), self.real, self.model)

    @rule()
    def order(self) -> None:
        both(lambda s: s.reverse(), self.real, self.model)
        both(lambda s: s.sort(key=_rank), self.real, self.model)
        both(lambda s: list(reversed(s)), self.real, self.model)

    @rule(times=st.integers(-1, 2))
    def repeat(self, times: int) -> None:
        if len(self.model) < 20:
            both(lambda s: s.__imul__(times), self.real, self.model)
        both(lambda s: s * times, self.real, self.model)

    @rule()
    def clear(self) -> None:
        both(lambda s: s.clear(), self.real, self.model)


class FollowMachine(Transactions):
    """Elements with a number each; who holds one always finds its number, or that it is gone."""

    @initialize()
    def start(self) -> None:
        self.count = 0
        self.store["/doc"] = {"list": []}
        self.model = []
        self.real = self.store["/doc"]["list"]
        self.grips: list[tuple[Any, int]] = []

    def new(self) -> dict[str, Any]:
        self.count += 1
        return {"n": self.count, "inner": {"n": self.count}}

    @rule(index=st.integers(-6, 6))
    def insert(self, index: int) -> None:
        element = self.new()
        both(lambda s: s.insert(index, _copy(element)), self.real, self.model)

    @rule(index=slices, many=st.integers(0, 3))
    def set_slice(self, index: slice, many: int) -> None:
        new = [self.new() for _ in range(many)]
        both(lambda s: s.__setitem__(index, _copy(new)), self.real, self.model)

    @rule(index=indices | slices)
    def delete(self, index: Any) -> None:
        both(lambda s: s.__delitem__(index), self.real, self.model)

    @rule(seed=st.integers(1, 7))
    def shuffle(self, seed: int) -> None:
        def rank(element: Any) -> int:
            return cast(int, element["n"] * seed % 5)

        both(lambda s: s.sort(key=rank), self.real, self.model)
        both(lambda s: s.reverse(), self.real, self.model)

    @rule(index=st.integers(0, 5), inner=st.booleans())
    def hold(self, index: int, inner: bool) -> None:
        if index < len(self.model):
            found = self.real[index]
            number = self.model[index]["n"]
            self.grips.append((found["inner"] if inner else found, number))

    @rule(index=st.integers(0, 20))
    def change_a_held_one(self, index: int) -> None:
        if index < len(self.grips):
            part, number = self.grips[index]
            mine = [e for e in self.model if e["n"] == number]
            if mine:
                part["touched"] = self.count
                target = mine[0] if "inner" in part else mine[0]["inner"]
                target["touched"] = self.count
            else:
                with pytest.raises(objstore.DetachedError):
                    part["touched"] = self.count

    @invariant()
    def held_ones_follow(self) -> None:
        if not hasattr(self, "model"):
            return
        there = {element["n"] for element in self.model}
        for part, number in self.grips:
            if number in there:
                assert part["n"] == number
                assert part.n == number
            else:
                with pytest.raises(objstore.DetachedError):
                    part["n"]

    def teardown(self) -> None:
        while self.open:
            self.commit()
        self.store.close()


_SETTINGS = settings(max_examples=60, stateful_step_count=30, deadline=None)

TestDict = DictMachine.TestCase
TestDict.settings = _SETTINGS
TestList = ListMachine.TestCase
TestList.settings = _SETTINGS
TestFollow = FollowMachine.TestCase
TestFollow.settings = _SETTINGS


def repeat_in_place(sequence: Any) -> None:
    sequence *= 1.5


WRONG_INDICES: list[Callable[[Any], object]] = [
    lambda s: s["q"],
    lambda s: s.__setitem__("q", 1),
    lambda s: s.__delitem__("q"),
    lambda s: s[1.0],
    lambda s: s[None],
    lambda s: s["a":],
    lambda s: s.insert("q", 1),
    lambda s: s.pop("q"),
    repeat_in_place,
    lambda s: s * 1.5,
    lambda s: s * "q",
]


@pytest.mark.parametrize("act", WRONG_INDICES)
def test_an_index_of_the_wrong_type_is_a_type_error(act: Callable[[Any], Any]) -> None:
    real: Any = List([1, 2])
    both(act, real, [1, 2])
    assert real == [1, 2]
    with pytest.raises(TypeError):
        real.HEAD("q")


class Circle(Dict):
    radius: float

    @property
    def diameter(self) -> float:
        return 2 * self.radius

    @diameter.setter
    def diameter(self, value: float) -> None:
        self.radius = value / 2


def test_properties_of_a_class_are_no_keys() -> None:
    circle = Circle(radius=1)
    circle.diameter = 6
    assert circle.contents == {"radius": 3.0}
    assert (circle.diameter, list(circle)) == (6.0, ["radius"])
    with pytest.raises(AttributeError, match="__slots__"):
        setattr(circle, "__slots__", 1)  # noqa: B010 - mypy knows what it is
    with pytest.raises(AttributeError, match="no attributes such as 'note'"):
        List([1]).note = "lost"
    assert List[int]([1]) == [1]
    assert Dict[str, int](a=1) == {"a": 1}


def test_a_directory_is_neither_copied_nor_pickled() -> None:
    with objstore.open("memory://") as store:
        store["people/bob"] = {"name": "Bob"}
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="/people stands for a folder"):
                make(store.root.people)
        assert pickle.loads(pickle.dumps(store.root.people.bob)) == {"name": "Bob"}  # noqa: S301


def test_what_is_in_no_list_is_named() -> None:
    for act in (List[Any].index, List[Any].remove):
        with pytest.raises(ValueError, match=r'^"x" is not in the list$'):
            act(List(["y"]), "x")
    assert List(["x", "y", "x"]).index("x", 1) == 2
    with pytest.raises(ValueError, match="not in the list"):
        List(["x"]).index("x", 0, 0)


def test_lists_are_ordered_as_lists_are() -> None:
    one, two = List([1, [2]]), List([1, [3]])
    plain: list[Any] = [1, [2]]
    both_ways: list[tuple[Any, Any]] = [(one, two), (one, [1, [3]]), (plain, two)]
    for less, more in both_ways:
        assert less < more
        assert less <= more
        assert more > less
        assert more >= less
        assert [less > more, less >= more, more < less, more <= less] == [False] * 4
    assert one <= plain
    assert one >= plain
    assert sorted([two, one]) == [one, two]
    assert List[date]([date(2020, 1, 1)]) < [date(2021, 1, 1)]
    untyped: Any = one
    for other in (5, (1,), Dict()):
        with pytest.raises(TypeError, match="'<' not supported"):
            _ = untyped < other


def test_a_dict_is_made_of_pairs_and_of_keys() -> None:
    assert Dict([("a", 1)], b=2) == {"a": 1, "b": 2}
    assert Dict(iter([("a", 1)])) == {"a": 1}
    assert Dict.fromkeys("ab") == {"a": None, "b": None}
    assert type(Circle.fromkeys(["radius"], 2.0)) is Circle
    with pytest.raises(objstore.ValidationError, match="/radius"):
        Circle.fromkeys(["radius"])
    untyped: Any = Dict
    with pytest.raises(TypeError, match="int"):
        untyped(5)
    with pytest.raises(ValueError, match="2 is required"):
        untyped(["abc"])


def test_an_empty_dict_or_directory_has_no_last_item() -> None:
    with pytest.raises(KeyError, match="Dict has no stored key"):
        Dict().popitem()
    with objstore.open("memory://") as store, pytest.raises(KeyError, match="the store is empty"):
        store.root.popitem()


def test_what_is_in_the_place_of_an_object_is_named(tmp_path: Path) -> None:
    class Root(Directory):
        d: Dict = objstore.file("d.json")

    (tmp_path / "d.json").write_text('{"n": 1, "part": {"x": 1}}')
    with objstore.open(str(tmp_path), Root) as store:
        held: Any = store.root.d
        part = held.part
        held.part = 5
        with pytest.raises(objstore.DetachedError, match=r"/part is no longer there: 5 is in its"):
            _ = part.x
        (tmp_path / "d.json").write_text("[1]")
        with pytest.raises(objstore.DetachedError, match=r"there: an array of 1 is in its place$"):
            held.n = 2
