"""Annotations: which types there are, what they are stored as, and what is refused."""

from __future__ import annotations

import copy
import enum
import gc
import math
import pickle
import types
import typing
import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional, TypeVar, cast
from uuid import UUID

import annotated_types as at
import pydantic
import pytest

import objstore
from objstore import Dict, Directory, List


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Typed(Dict, extra="allow"):
    day: date
    moment: datetime
    clock: time
    id: UUID
    price: Decimal
    data: bytes
    colour: Colour
    level: Level
    days: List[date]
    by_name: Dict[str, Decimal]
    maybe: date | None
    number_or_day: int | date


VALUES: dict[str, Any] = {
    "day": date(2026, 11, 20),
    "moment": datetime(2026, 11, 20, 9, 45, tzinfo=UTC),
    "clock": time(9, 45),
    "id": UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    "price": Decimal("1.10"),
    "data": b"\x00\xff",
    "colour": Colour.BLUE,
    "level": Level.HIGH,
    "days": [date(2026, 1, 1), date(2026, 1, 2)],
    "by_name": {"a": Decimal("1e-7")},
    "maybe": None,
    "number_or_day": date(1, 1, 1),
}
STORED: dict[str, Any] = {
    "day": "2026-11-20",
    "moment": "2026-11-20T09:45:00+00:00",
    "clock": "09:45:00",
    "id": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "price": "1.10",
    "data": "AP8=",
    "colour": 2,
    "level": "high",
    "days": ["2026-01-01", "2026-01-02"],
    "by_name": {"a": "1E-7"},
    "maybe": None,
    "number_or_day": "0001-01-01",
}


def test_typed_values_are_stored_as_json_and_come_back_as_themselves() -> None:
    found = Typed(**VALUES)
    assert found.contents == STORED
    for key, value in VALUES.items():
        read = found[key]
        assert (list(read) if key == "days" else dict(read) if key == "by_name" else read) == value
        if not isinstance(value, list | dict):
            assert type(read) is type(value)
    assert found.days[1].year == 2026


def test_typed_values_set_in_place() -> None:
    found = Typed(**VALUES)
    found.day = date(2000, 2, 29)
    found.days.append(date(2027, 1, 1))
    found.by_name["b"] = Decimal(3)
    found.maybe = date(1999, 9, 9)
    found.number_or_day = 7
    assert found.contents["day"] == "2000-02-29"
    assert found.days[-1] == date(2027, 1, 1)
    assert found.by_name.b == 3
    assert (found.maybe, found.number_or_day) == (date(1999, 9, 9), 7)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("day", "2026-02-30"),
        ("day", datetime(2026, 1, 1, tzinfo=UTC)),
        ("day", 5),
        ("moment", date(2026, 1, 1)),
        ("id", "no uuid"),
        ("price", Decimal("NaN")),
        ("price", 1.5),
        ("data", "not base64!"),
        ("colour", "green"),
        ("colour", Level.LOW),
        ("level", "medium"),
        ("number_or_day", "soon"),
        ("free", date(2026, 1, 1)),  # an untyped key could not give it back as a date
        ("free", {1: 2}),
        ("free", object()),
        ("free", math.nan),
        ("free", math.inf),
        ("free", {"deep": ["\ud800"]}),
        ("free", {"\udfff": 1}),
        ("free", {1, 2}),
        ("free", b"bytes"),
        ("free", Colour.RED),
    ],
)
def test_values_of_other_types_are_refused(key: str, value: Any) -> None:
    found = Typed(**VALUES)
    with pytest.raises(objstore.ValidationError) as caught:
        found[key] = value
    assert all(f"/{key}" in failure.pointer for failure in caught.value.failures)
    assert found == STORED


def test_every_part_that_json_cannot_hold_is_listed() -> None:
    with pytest.raises(objstore.ValidationError) as caught:
        Dict({"a": [1, math.nan, {"b": object()}], "c": "\ud800"})
    assert [f.pointer for f in caught.value.failures] == ["/a/1", "/a/2/b", "/c"]


def test_nesting_has_a_limit_and_cycles_meet_it() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    for value in (deep, cycle):
        with pytest.raises(objstore.ValidationError, match="at most 200 levels"):
            Dict(x=value)
    found = Dict()
    at_limit: Any = 1
    for _ in range(199):
        at_limit = [at_limit]
    found.x = at_limit
    assert found == {"x": at_limit}


def test_integers_are_exact_whatever_their_size() -> None:
    class Big(Dict):
        number: int

    found = Big(number=10**40)
    found.number += 1
    assert found.contents == {"number": 10**40 + 1}
    with pytest.raises(objstore.ValidationError, match="at most 4300 digits"):
        found.number = 10**4300


# --- constraints ----------------------------------------------------------------------------------


class Constrained(Dict):
    age: Annotated[int, at.Ge(0), at.Lt(150)] = 1
    step: Annotated[float, at.MultipleOf(0.5)] = 0.5
    name: Annotated[str, at.Len(1, 5)] = "x"
    code: Annotated[str, {"pattern": "^[A-Z]+$"}] = "A"
    tags: Annotated[list[str], at.MinLen(1)] = ["x"]
    both: Annotated[int | str, at.Ge(3), at.MaxLen(2)] = 3
    field: Annotated[int, pydantic.Field(ge=1, le=5, description="from pydantic")] = 1
    twice: Annotated[int, at.Ge(3), at.Ge(1)] = 3
    size: Literal["s", "m", 3] = "s"


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("age", 149, -1),
        ("age", 0, 150),
        ("step", 1.5, 0.3),
        ("name", "abcde", ""),
        ("name", "a", "abcdef"),
        ("code", "ABC", "abc"),
        ("tags", ["a"], []),
        ("both", 3, 2),
        ("both", "ab", "abc"),
        ("field", 1, 0),
        ("field", 5, 6),
        ("twice", 3, 2),
        ("size", 3, "l"),
        ("size", "m", True),
    ],
)
def test_annotated_constraints(key: str, good: Any, bad: Any) -> None:
    found = Constrained()
    found[key] = good
    with pytest.raises(objstore.ValidationError):
        found[key] = bad
    assert found == {key: good}


@pytest.mark.parametrize("least", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("most", [None, 4, 5, 6, 7])
def test_lengths_of_bytes_are_those_of_the_bytes(least: int, most: int | None) -> None:
    class Packed(Dict):
        data: Annotated[bytes, at.MinLen(least), pydantic.Field(max_length=most)] = b"1234"
        maybe: Annotated[bytes | None, at.Len(least, most)] = None

    for cls in (Packed, objstore.schema.from_json(Packed.__schema__)):
        found: Any = cls()
        for data in (b"\xff" * count for count in range(10)):
            for key in ("data", "maybe"):
                if least <= len(data) and (most is None or len(data) <= most):
                    found[key] = data
                    assert found[key] == data
                else:
                    said = f"least {least}" if len(data) < least else f"most {most}"
                    words = rf"/{key}: expected at {said} bytes?, found {len(data)} bytes?$"
                    with pytest.raises(objstore.ValidationError, match=words):
                        found[key] = data


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[Decimal, at.Ge(3)], "ge=3 is about a Decimal"),
        (Annotated[Decimal, at.Interval(gt=1, le=3)], "gt=1, le=3 is about a Decimal"),
        (Annotated[Decimal | None, pydantic.Field(ge=0)], "ge=0 is about a Decimal"),
        (Annotated[int | Decimal, at.MultipleOf(3)], "multiple_of=3 is about a Decimal"),
        (Annotated[Decimal, pydantic.Field(max_digits=3)], "max_digits=3 is about a Decimal"),
        (Annotated[float, pydantic.Field(decimal_places=1)], "decimal_places=1 is nothing that"),
        (Annotated[Decimal, {"minimum": 3}], "minimum=3 is about a Decimal"),
        (Annotated[date, at.Lt(date(2026, 1, 1))], r"lt=.* is about a date"),
        (Annotated[time, at.MinLen(3)], "min_length=3 is about a time"),
        (Annotated[UUID, at.Len(1, 3)], "min_length=1, max_length=3 is about a UUID"),
        (Annotated[Colour, at.Ge(3)], "ge=3 is about a Colour"),
        (Annotated[bytes, at.Ge(3)], "ge=3 is about bytes"),
        (Annotated[bytes | str, at.MaxLen(3)], "max_length=3 is about bytes"),
    ],
)
def test_constraints_that_mean_nothing_of_what_is_stored(hint: Any, words: str) -> None:
    bad: Any = type("Bad", (Dict,), {"__annotations__": {"x": hint}, "__module__": __name__})
    with pytest.raises(objstore.SchemaError, match=rf"Bad\.x: {words}"):
        bad()


def test_keywords_about_what_is_stored() -> None:
    class Stored(Dict):
        price: Annotated[Decimal, pydantic.Field(description="of one"), {"pattern": "^[^-]"}]

    assert Stored(price=Decimal(1)).price == 1
    with pytest.raises(objstore.ValidationError, match="/price"):
        Stored(price=Decimal(-1))


# --- defaults, inheritance, forward references ----------------------------------------------------


class Base(Dict):
    name: str
    kind: str = "base"
    ignored: ClassVar[int] = 3


class Derived(Base):
    size: int
    kind: str  # pyright: ignore[reportGeneralTypeIssues]
    note: Optional["Later"] = None  # noqa: UP037, UP045 - as older code writes it


class Redefault(Derived):
    kind = "given"
    name: str = "anonymous"


class Later(Dict):
    text: str
    more: list["Later"] = []  # noqa: UP037


def test_schemas_are_inherited() -> None:
    assert list(Derived.__schema__["properties"]) == ["name", "kind", "size", "note"]
    assert Derived.__schema__["required"] == ["name", "kind", "size"]
    assert Redefault.__schema__["required"] == ["size"]
    found = Redefault(size=1)  # type: ignore[call-arg]
    assert (found.name, found.kind, found.contents) == ("anonymous", "given", {"size": 1})
    assert Base.ignored == 3
    assert isinstance(Derived(name="n", size=1, kind="k"), Base)


def test_forward_references_and_recursion() -> None:
    found = Derived(name="n", size=1, kind="k", note={"text": "a", "more": [{"text": "b"}]})  # type: ignore[arg-type]
    assert found.note is not None
    assert type(found.note.more[0]) is Later
    assert found.note.more[0].text == "b"
    found.note.more[0].more.append(Later(text="c"))
    assert found.note.more[0].more[0].text == "c"
    with pytest.raises(objstore.ValidationError, match="/note/more/0/more/0/text"):
        found.note.more[0].more[0].PUT("text", 1)


def test_classes_within_functions_see_their_neighbours() -> None:
    class Tree(Dict):
        leaves: list[Leaf] = []
        trees: Dict[str, Tree] = {}  # type: ignore[assignment]
        colour: Local | None = None

    class Local(enum.Enum):
        A = "a"

    class Leaf(Dict):
        n: int

    # Local is an Enum defined after Tree: unlike our own classes it cannot be found by then.
    with pytest.raises(objstore.SchemaError, match="Local"):
        Tree()

    class Tree2(Dict):
        leaves: list[Leaf] = []
        trees: Dict[str, Tree2] = {}  # type: ignore[assignment]
        colour: Local | None = None

    given: Any = {"x": {"leaves": [{"n": 1}], "colour": Local.A}}
    found = Tree2(trees=given)
    assert found.trees["x"].leaves[0].n == 1
    assert found.trees.x.colour is Local.A


def test_a_class_within_a_function_keeps_nothing_else_of_it() -> None:
    class Large:
        pass

    def define() -> tuple[type[Dict], weakref.ref[Large]]:
        large = Large()

        class Leaf(Dict):
            n: int

        class Leaves(List["Leaf"]):
            pass

        class Tree(Dict):
            leaves: Leaves

        Tree(leaves=[{"n": 1}])  # type: ignore[arg-type]
        return Tree, weakref.ref(large)

    tree, large = define()
    gc.collect()
    assert large() is None

    class Derived(tree):  # type: ignore[valid-type, misc]
        more: int

    given: Any = {"leaves": [{"n": 2}], "more": 1}
    found: Any = Derived(**given)
    assert found.leaves[0].n == 2


def test_default_containers_are_not_shared() -> None:
    class Tagged(Dict):
        tags: list[str] = []

    first, second = Tagged(), Tagged()
    first.tags.append("x")
    assert (first.tags, second.tags) == (["x"], [])


UserName = NewType("UserName", str)


def test_other_ways_to_write_types() -> None:
    class Many(Dict):
        a: list[int]
        b: Sequence[str]
        c: dict[str, list[int]]
        d: Mapping[str, Any]
        e: list  # type: ignore[type-arg]
        f: dict  # type: ignore[type-arg]
        g: Any
        h: object
        i: UserName
        j: None
        k: bool
        m: typing.List  # type: ignore[type-arg]  # noqa: UP006 - as older code writes it
        n: typing.Dict  # type: ignore[type-arg]  # noqa: UP006

    given: dict[str, Any] = {
        "a": [1],
        "b": ["x"],
        "c": {"x": [2]},
        "d": {"y": None},
        "e": [1, "a"],
        "f": {},
        "g": 1.5,
        "h": [],
        "i": "u",
        "j": None,
        "k": True,
        "m": [1, "a"],
        "n": {"x": [None]},
    }
    found: Any = Many(**given)
    assert isinstance(found.a, List)
    assert found.c["x"][0] == 2
    found.n = {}
    for key, bad in [("a", ["x"]), ("b", [1]), ("c", {"x": 1}), ("i", 1), ("j", 0), ("k", 1)]:
        with pytest.raises(objstore.ValidationError):
            found[key] = bad


class Cat(Dict):
    claws: int


class Dog(Dict):
    tricks: List[str]
    born: date | None = None


def test_unions_of_classes_are_told_apart_by_their_contents() -> None:
    class Owner(Dict):
        pet: Cat | Dog | str
        pets: list[Cat | Dog] = []

    owner: Any = Owner(pet="fish")
    owner.pet = Dog(tricks=["sit"])  # type: ignore[arg-type]
    assert isinstance(owner.pet, Dog)
    owner.pet = {"claws": 18}
    assert isinstance(owner.pet, Cat)
    owner.pets.append({"tricks": [], "born": date(2020, 2, 2)})
    assert isinstance(owner.pets[0], Dog)
    assert owner.pets[0].born == date(2020, 2, 2)


# --- generic classes ------------------------------------------------------------------------------


def test_generic_classes_are_classes() -> None:
    class Scores(Dict[str, int]):
        def get_total(self) -> int:
            return sum(self[key] for key in self if key != "total")

    class Words(List[str]):
        def longest(self) -> str:
            return max(self, key=len)

    scores: Any = cast(Any, Scores)(a=1, b=2)
    assert scores.total == 3
    with pytest.raises(objstore.ValidationError, match="/c"):
        scores["c"] = "x"
    words = Words(["a", "bbb"])
    assert words.longest() == "bbb"
    with pytest.raises(objstore.ValidationError, match="/2"):
        words.append(1)


def test_called_generic_classes_are_checked() -> None:
    for make in (
        lambda: List[int](["a"]),
        lambda: List[Cat]([{"nope": 1}]),
        lambda: Dict[str, Cat](tom={"nope": 1}),
        lambda: Dict[str, Decimal](a="x"),
        lambda: cast(Any, List)[Item][int](["a"]),
    ):
        with pytest.raises(
            objstore.ValidationError, match=r"(List\[|Dict\[str, )\w+\] at /(0|tom|a)"
        ):
            make()
    cats = List[Cat]([{"claws": 18}, Cat(claws=17)])
    assert isinstance(cats, List)
    assert isinstance(cats[0], Cat)
    with pytest.raises(objstore.ValidationError, match="/2/claws"):
        cats.append({"claws": "many"})
    assert List[date]([date(2026, 1, 1)])[0] == date(2026, 1, 1)
    assert Dict[str, Decimal | None](a=Decimal(1), b=None).contents == {"a": "1", "b": None}
    assert List["int | str"]([1, "a"]) == [1, "a"]
    with pytest.raises(TypeError, match="keys of JSON objects are str"):
        cast(Any, Dict)[int, str]()
    with pytest.raises(TypeError, match="comes from a store"):
        Directory[Cat]()


def test_copies_and_pickles_of_generic_objects_stay_what_they_are() -> None:
    class Within(Dict):
        days: List[date]

    within: Any = cast(Any, Within)(days=[date(2026, 1, 1)])
    for days in (List[date]([date(2026, 1, 1)]), within.days):
        for twin in (copy.copy(days), copy.deepcopy(days), pickle.loads(pickle.dumps(days))):  # noqa: S301
            assert type(twin) is type(days)
            twin.append(date(2026, 1, 2))
            assert (len(days), twin[1]) == (1, date(2026, 1, 2))
            with pytest.raises(objstore.ValidationError):
                twin.append("soon")


Item = TypeVar("Item")


def test_a_type_variable_says_nothing() -> None:
    def listed(*items: Item) -> List[Item]:
        return List[Item](items)

    assert listed(1, "a") == [1, "a"]


# --- what is refused when a class is defined ------------------------------------------------------


@pytest.mark.parametrize("hint", [set, complex, 5, "Nowhere", dict[int, str], Literal[b"x"]])
def test_types_that_json_cannot_hold(hint: Any) -> None:
    with pytest.raises(objstore.SchemaError, match=r"Bad\.x|Bad: "):
        type("Bad", (Dict,), {"__annotations__": {"x": hint}, "__module__": __name__})(x=1)


def test_keys_that_would_hide_methods() -> None:
    with pytest.raises(TypeError, match=r"'items' cannot be declared.*obj\['items'\]"):

        class Bad(Dict):  # pyright: ignore[reportUnusedClass]
            items: list[int]  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"'copy' cannot be declared.*of every Directory"):

        class Worse(Directory):  # pyright: ignore[reportUnusedClass]
            copy: Dict  # type: ignore[assignment]


def test_defaults_that_do_not_encode() -> None:
    class Bad(Dict):
        x: Any = {1, 2}

    with pytest.raises(objstore.SchemaError, match=r"Bad\.x.*a set"):
        Bad()


@pytest.mark.parametrize(
    ("hint", "default", "words"),
    [
        (int, "a", 'expected an integer, found "a"'),
        (int, None, "expected an integer, found null"),
        (Annotated[int, at.Ge(0)], -1, "expected at least 0, found -1"),
        (date | None, "soon", "expected a date"),
        (Decimal, 0, "expected a decimal number as text, found 0"),
        (list[int], ["x"], "x/0: expected an integer"),
        (Cat, {}, 'expected key "claws"'),
        (Colour, "green", "expected one of"),
    ],
)
def test_defaults_that_do_not_fit(hint: Any, default: Any, words: str) -> None:
    hints = {"first": str, "x": hint, "again": "Bad | None"}
    body = {"__annotations__": hints, "x": default, "again": None, "__module__": __name__}
    bad: Any = type("Bad", (Dict,), body)
    for use in (lambda: bad(first="a"), lambda: bad.__schema__, lambda: List[bad]([])):
        with pytest.raises(objstore.SchemaError, match=f"the default of Bad at /.*{words}"):
            use()


def test_defaults_of_classes_that_are_mentioned() -> None:
    class Top(Dict):
        middle: Middle | None = None
        more: list[Top] = []

    class Middle(Dict):
        count: int = 0
        low: Low | None = None

    class Low(Dict):
        top: Top | None = None
        word: str = cast(Any, 5)

    for cls in (Top, Low, Top):
        with pytest.raises(objstore.SchemaError, match=r"default of \S+Low at /word: .* found 5$"):
            cls()


def test_a_default_file_that_does_not_fit() -> None:
    class Shelf(Directory):
        cat: Cat = objstore.file("cat.json", default={"claws": "many"})

    with pytest.raises(objstore.SchemaError, match="Shelf at /cat/claws: expected an integer"):
        objstore.open("memory://", Shelf).root["cat"]


def test_members_of_directories_are_containers() -> None:
    class Bad(Directory):
        version: str

    class Worse(Dict):
        folder: Directory[Cat]

    with pytest.raises(objstore.SchemaError, match="the member of a Directory is a Dict"):
        objstore.open("memory://", Bad).root["version"]
    with pytest.raises(objstore.SchemaError, match="can only be the member of a Directory"):
        cast(Any, Worse)()


def test_extra_says_allow_or_forbid() -> None:
    with pytest.raises(TypeError, match="not 'maybe'"):
        types.new_class("Bad", (Dict,), {"extra": "maybe"})

    class Open(Cat, extra="allow"):
        pass

    class Shut(Open, extra="forbid"):
        pass

    assert Open(claws=1, other=2).other == 2  # type: ignore[call-arg]
    with pytest.raises(objstore.ValidationError, match="/other"):
        Shut(claws=1, other=2)  # type: ignore[call-arg]
