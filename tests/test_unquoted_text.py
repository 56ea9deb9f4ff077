"""What reading a file tells its editor of text that YAML takes for a number."""

from __future__ import annotations

import pickle
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest

import objstore
from objstore import Dict, Directory


class Opening(Dict):
    at: time | None = None
    price: Decimal = Decimal(0)
    day: date | None = None
    version: str = ""


class Shop(Directory):
    opening: Opening = objstore.file("opening.yaml", default={})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("at: 12:30:00", "a time of day (ISO 8601) or null, found 45000 (YAML 1.1 reads 12:30:00 "),
        ("at: 12:30", "a time of day (ISO 8601) or null, found 750 (YAML 1.1 reads 12:30 as this "),
        ("at: 5", "a time of day (ISO 8601) or null, found 5 (in YAML, text that looks like this "),
        ("price: 1.10", "a decimal number as text, found 1.1 (in YAML, text that looks like this "),
        (
            "day: 2020",
            "a date (YYYY-MM-DD) or null, found 2020 (in YAML, text that looks like this ",
        ),
        ("version: no", "a string, found false (in YAML, text that looks like this is in quotes)"),
        ("version: [1]", "a string, found an array of 1"),
        ("at: soon", 'a time of day (ISO 8601) or null, found "soon"'),
    ],
)
def test_numbers_that_are_to_be_text_are_told_so(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "opening.yaml").write_text(f"{line}\n")
    key = line.partition(":")[0]
    with objstore.open(str(tmp_path), Shop) as store:
        with pytest.raises(objstore.ValidationError) as caught:
            _ = store.root.opening.at
        assert str(caught.value).startswith(f"opening.yaml at /{key}: expected {said}")
        assert str(caught.value).endswith((said, "quotes)"))
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301


def test_only_yaml_is_told_of_quotes(tmp_path: Path) -> None:
    with pytest.raises(objstore.ValidationError) as caught:
        Opening(price=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "Opening at /price: expected a decimal number as text, found 5"
