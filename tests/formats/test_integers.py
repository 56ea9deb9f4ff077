"""How long integers may be, in every format."""

from __future__ import annotations

from pathlib import Path

import pytest

import objstore


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", '{"n": 1}'), ("a.yaml", "n: 1\n"), ("a.toml", "n = 1\n"), ("a.kvi", "n 1\n")],
)
@pytest.mark.parametrize("number", [10**4300 - 1, 1 - 10**4300], ids=["greatest", "least"])
def test_integers_of_as_many_digits_as_python_reads(
    name: str, text: str, number: int, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with objstore.open(tmp_path) as store:
        store["a/n"] = number
        assert store["a/n"] == number
    with objstore.open(tmp_path) as store:
        assert store["a/n"] == number
