"""pydantic models: which types their values have."""

from __future__ import annotations

import enum
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest

import objstore
from objstore import Directory


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Level(enum.StrEnum):
    ONLY = "only"


class Corner(enum.Enum):
    ORIGIN = (0, 0)


class Twin(enum.Enum):
    ROT = "red"
    ZWEI = 2


Twin.__name__ = "Colour"


class Priced(pydantic.BaseModel):
    price: Decimal = Decimal("1.10")
    limited: Annotated[Decimal, pydantic.Field(ge=0, decimal_places=2)] | None = None
    colour: Colour = Colour.RED
    level: Level | None = None
    prices: dict[str, Decimal] = {}
    colours: list[Colour] = []
    data: bytes = b"text"


def test_decimals_and_enums_of_a_model_are_themselves(tmp_path: Path) -> None:
    with objstore.open(tmp_path, Directory[Priced]) as store:
        store.root["a"] = Priced(level=Level.ONLY, colours=[Colour.TWO])
        found: Any = store.root["a"]
        assert (found.price, found.colour, found.level) == (Decimal("1.10"), Colour.RED, Level.ONLY)
        assert type(found.level) is Level
        found.price = Decimal("2.50")
        found.limited = Decimal(3)
        found.colour = Colour.TWO
        found.colours.append(Colour.RED)
        found.prices["x"] = Decimal("0.10")
        assert found.contents == {
            "price": "2.50",
            "limited": "3",
            "colour": 2,
            "level": "only",
            "prices": {"x": "0.10"},
            "colours": [2, "red"],
            "data": "text",
        }
        assert (found.colours[:], found.prices["x"]) == ([Colour.TWO, Colour.RED], Decimal("0.10"))
        assert Priced.model_validate(found.contents).limited == Decimal(3)
        with pytest.raises(objstore.ValidationError, match=r"/price: .* a decimal number as text"):
            found.price = "much"
        found.price = 2.5  # which a model takes, too
        assert found.price == 2.5
    with objstore.open(tmp_path, Directory[Priced]) as store:
        again: Any = store.root["a"]
        assert again.limited == Decimal(3)


def test_decimals_and_enums_of_a_model_as_the_whole_store() -> None:
    class Prices(pydantic.BaseModel):
        best: Priced

    with objstore.open("memory://", Prices) as store:
        root: Any = store.root
        root["best"] = {"colour": Colour.TWO}
        assert root.best.colour is Colour.TWO


def test_enums_that_cannot_be_told_apart_are_read_as_stored() -> None:
    class Both(pydantic.BaseModel):
        one: Colour = Colour.RED
        other: Twin = Twin.ROT
        corner: Corner = Corner.ORIGIN

    made: Any = objstore.schema.from_pydantic(Both)
    assert (made(one="red").one, made(corner=[0, 0]).corner) == ("red", [0, 0])
