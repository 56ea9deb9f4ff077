"""Values of Python types in lists and dicts: as operators give them, and as ``==`` sees them."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from typing import Any, assert_type, cast

import pytest

import objstore
from objstore import Dict, Directory, List


class Unit(enum.Enum):
    PIECE = "piece"


class Part(Dict):
    price: Decimal


class Article(Dict):
    days: list[date] = []
    prices: dict[str, Decimal] = {}
    unit: Unit = Unit.PIECE
    parts: list[Part] = []

    def get_total(self) -> Decimal:
        return sum(self.prices.values(), Decimal(0))


class Shop(Directory):
    articles: Directory[Article]


DAY = date(2020, 1, 1)
NEXT = date(2021, 1, 1)


@pytest.fixture(params=["unattached", "stored", "in a transaction"])
def article(request: pytest.FixtureRequest) -> Any:
    made = Article(
        days=[DAY],
        prices={"x": Decimal("1.10")},
        unit=Unit.PIECE,
        parts=[Part(price=Decimal("0.05"))],
    )
    if request.param == "unattached":
        yield made
        return
    with objstore.open("memory://", Shop) as store:
        store.root.articles["a"] = made
        if request.param == "stored":
            yield store.root.articles["a"]
        else:
            with store.transaction():
                store.root.articles["a"].prices["x"] = Decimal("1.10")
                yield store.root.articles["a"]


def test_operators_give_values_as_they_are_read(article: Any) -> None:
    days, prices = article.days, article.prices
    more = [NEXT]
    assert [*map(type, days + more)] == [date, date]
    assert days + more == [DAY, NEXT]
    assert [*map(type, more + days)] == [date, date]
    assert [*map(type, days * 2), *map(type, 2 * days)] == [date] * 4
    assert list((prices | {"y": Decimal(2)}).items()) == [("x", Decimal("1.10")), ("y", Decimal(2))]
    assert list(({"y": Decimal(2)} | prices).values()) == [Decimal(2), Decimal("1.10")]
    assert type((article.parts + more)[0]) is Part
    days += [NEXT]
    prices |= {"y": Decimal(2)}
    assert [*map(type, article.days)] == [date, date]
    assert article.prices["y"] == Decimal(2)


def test_a_union_has_basic_keys_and_no_defaults_of_its_own(article: Any) -> None:
    assert list(article | {"more": 1}) == [*article.contents, "more"]
    assert list({"more": 1} | Article()) == ["more"]


def test_equal_to_values_as_they_are_read(article: Any) -> None:
    days, prices = article.days, article.prices
    contents = {
        "days": [DAY],
        "prices": {"x": Decimal("1.10")},
        "unit": Unit.PIECE,
        "parts": [{"price": Decimal("0.05")}],
    }
    for one, other in (
        (days, [DAY]),
        (days, days[:]),
        (prices, dict(prices)),
        (prices, {"x": Decimal("1.100")}),
        (article, contents),
        ({"all": [days]}, {"all": [[DAY]]}),
        (article.parts, [{"price": Decimal("0.05")}]),
        (article.parts, list(article.parts)),
        (days, ["2020-01-01"]),
        (article, article.contents),
    ):
        assert one == other
        assert other == one
        assert not one != other  # noqa: SIM202 - another operator
    for one, other in (
        (days, [NEXT]),
        (days, [DAY, DAY]),
        (days, [None]),
        (days, {}),
        (prices, {"x": Decimal("1.11")}),
        (prices, {"y": Decimal("1.10")}),
        (prices, [("x", Decimal("1.10"))]),
        (article, {**contents, "unit": "metre"}),
        (article, {**contents, "parts": [DAY]}),
    ):
        assert one != other
        assert other != one


def test_a_directory_is_equal_to_values_as_they_are_read() -> None:
    with objstore.open("memory://", Shop) as store:
        store.root.articles["a"] = {"days": [DAY]}
        assert store.root == {"articles": {"a": {"days": [DAY]}}}
        assert store.root.articles == {"a": {"days": [DAY]}}
        assert store.root.articles != {"a": {"days": [NEXT]}}


def test_an_object_gives_its_basic_keys(article: Any) -> None:
    other = cast(Any, Article)(article)
    assert other == article
    other.days = []
    other.update(article)
    assert other == article
    other |= article
    assert list(article | other) == list(article.contents)
    assert list({} | Article()) == []
    assert cast(Any, Article)(article, unit=Unit.PIECE, days=[NEXT]).days == [NEXT]
    plain = Dict()
    plain.update(Dict(a=1), b=2)
    assert plain == {"a": 1, "b": 2}


def test_a_default_is_given_like_any_value() -> None:
    article = Article(days=[DAY])
    article.update(Article())
    assert article.days == []


def test_a_computed_key_that_is_given_by_name_is_set_or_refused(article: Any) -> None:
    with pytest.raises(objstore.DefinedKeyError, match="total is computed by get_total"):
        Article(**article)
    with pytest.raises(objstore.DefinedKeyError, match="total is computed by get_total"):
        article.update({"total": Decimal(1)})


def test_what_is_added_to_a_list_is_typed_in_place() -> None:
    days = List[date]([DAY])
    days *= 2
    days += [NEXT]
    assert days[:] == [DAY, DAY, NEXT]


def test_get_says_that_there_may_be_nothing() -> None:
    with objstore.open("memory://", Shop) as store:
        articles = store.root.articles
        assert assert_type(articles.get("a"), Article | None) is None
        assert assert_type(articles.get("a", 5), Article | int) == 5
        days = Dict[str, date](first=DAY)
        assert assert_type(days.get("first"), date | None) == DAY
        assert assert_type(days.get("last", NEXT), date) == NEXT
