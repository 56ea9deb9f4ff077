"""The past of files that another process makes, changes or removes while it is being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.backings.filesystem.reading import Reading
from objstore.values import MISSING


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Store[Any]]:
    """Another process's, of a folder with one file that no commit has touched."""
    (tmp_path / "people").mkdir()
    (tmp_path / "people/ada.json").write_text('{"born": 1815}\n')
    with objstore.open(tmp_path) as store:
        store["elsewhere"] = {"n": 1}
        yield store
        assert store.check() == []


@pytest.fixture
def ours(tmp_path: Path, theirs: Store[Any]) -> Iterator[Store[Any]]:
    with objstore.open(tmp_path) as store:
        yield store


@pytest.fixture
def before_reading(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """Have something done right before a folder's next listing or a file's next reading."""

    def arrange(step: str, act: Callable[[], Any]) -> None:
        real, done = getattr(Reading, step), list[bool]()

        def read(self: Reading, path: str) -> Any:
            if not done:
                done.append(True)
                act()
            return real(self, path)

        monkeypatch.setattr(Reading, step, read)

    return arrange


def test_a_listing_of_the_past_has_no_file_that_was_just_made(
    ours: Store[Any],
    theirs: Store[Any],
    before_reading: Callable[[str, Callable[[], Any]], None],
) -> None:
    before_reading("keys", lambda: theirs.PUT("/people/bob", {"born": 1970}))
    assert ours._documents.keys("/people", at=1) == ["ada"]
    assert ours._documents.keys("/people") == ["ada", "bob"]


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        ("/people/bob", MISSING, {"born": 1970}),
        ("/people/ada", {"born": 1815}, {"born": 1}),
        ("/people/ada", {"born": 1815}, MISSING),
    ],
    ids=["made", "changed", "removed"],
)
def test_a_file_is_as_it_was_before_what_was_just_done(
    ours: Store[Any],
    theirs: Store[Any],
    before_reading: Callable[[str, Callable[[], Any]], None],
    unit: str,
    before: Any,
    after: Any,
) -> None:
    def change() -> None:
        if after is MISSING:
            theirs.DELETE(unit)
        else:
            theirs.PUT(unit, after)

    before_reading("load", change)
    assert ours._documents.load(unit, at=1).value == before
    assert ours._documents.load(unit).value == after
