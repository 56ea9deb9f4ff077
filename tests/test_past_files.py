"""The past of files that another process makes, changes or removes while it is being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store
from objstore.backings.filesystem.reading import Reading
from objstore.errors import LayoutError
from objstore.values import MISSING

from .counting import calls_of


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


def test_whether_a_directory_had_keys_is_what_its_listing_says(
    ours: Store[Any], theirs: Store[Any], tmp_path: Path
) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/one.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    theirs["people/bob"] = {"born": 1970}
    theirs["late/er/one"] = {"n": 1}
    theirs["elsewhere"]["n"] = 2
    theirs["file"] = {"n": 1}
    del theirs["late/er/one"]
    del theirs["file"]
    theirs["file/below"] = {"n": 1}
    del theirs["people/ada"]
    del theirs["people/bob"]
    paths = ["", "/people", "/deep", "/deep/er", "/empty", "/late", "/late/er", "/file", "/none"]
    asked = {"is": 0, "is not": 0}
    for path in paths:
        for at in (*range(theirs.head + 1), None):
            try:
                expected = bool(ours._documents.keys(path, at=at))
            except LayoutError:
                expected = False
            assert ours._documents.has_keys(path, at=at) == expected, (path, at)
            asked["is" if expected else "is not"] += 1
    assert min(asked.values()) > 20


def test_a_directory_with_a_file_that_was_just_made_had_no_keys(
    ours: Store[Any], theirs: Store[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    has_key = Reading.has_key

    def made_before(self: Reading, path: str, is_wanted: Callable[[str], bool]) -> bool:
        theirs.PUT("/folder/bob", {"born": 1970})
        return has_key(self, path, is_wanted)

    monkeypatch.setattr(Reading, "has_key", made_before)
    assert not ours._documents.has_keys("/folder", at=1)


def test_a_file_of_the_past_costs_the_same_in_any_folder(tmp_path: Path) -> None:
    def cost(store: Store[Any]) -> int:
        def work() -> None:
            assert store.at(1)["people/ada"]["born"] == 1815

        work()
        return min(calls_of(work) for _ in range(3))

    (tmp_path / "people").mkdir()
    (tmp_path / "people/ada.json").write_text('{"born": 1815}\n')
    with objstore.open(tmp_path) as store:
        store["elsewhere"] = {"n": 1}
        store["elsewhere"]["n"] = 2
        before = cost(store)
        for number in range(300):
            (tmp_path / f"people/p{number}.json").write_text("{}")
        assert cost(store) < before + 50
        assert len(store.at(1)["people"]) == 301
