"""What is told of a blob on files while another finalizes, purges or writes it: before or after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import StorageError
from objstore.backings.filesystem import Depot
from objstore.backings.filesystem.io import Files, Opened
from objstore.depot import Identifier
from tests.faults.depots import depot_on

ONE = Identifier.new()


class Beside(Files):
    """Somebody else acts before the ``nth`` look at a file."""

    __slots__ = ("act", "nth")
    act: Callable[[], object]
    nth: int

    def _look(self) -> None:
        self.nth -= 1
        if self.nth == 0:
            self.act()

    def lstat(self, path: str) -> Any:
        self._look()
        return super().lstat(path)

    def read(self, path: str, limit: int) -> Any:
        self._look()
        return super().read(path, limit)

    def open(self, path: str, *, write: bool = False, append: bool = False) -> Opened | None:
        self._look()
        return super().open(path, write=write, append=append)

    def read_at(self, opened: Opened, offset: int, size: int) -> bytes:
        self._look()
        return super().read_at(opened, offset, size)


def info(depot: Depot) -> object:
    found = depot.info(ONE)
    return found.state, found.size, found.sha256


def listed(depot: Depot) -> object:
    return [(found.state, found.size, found.sha256) for found in depot.blobs()]


def missing(depot: Depot) -> object:
    return depot.missing_ranges(ONE)


def scrubbed(depot: Depot) -> object:
    return depot.scrub()


def finalize(depot: Depot) -> None:
    depot.finalize(ONE)


def purge(depot: Depot) -> None:
    depot.purge(ONE)


def write(depot: Depot) -> None:
    depot.write(ONE, 0, b"hello")


def told(ask: Callable[[Depot], object], depot: Depot) -> object:
    try:
        return ask(depot)
    except StorageError as error:
        return str(error)


@pytest.mark.parametrize("act", [finalize, purge, write])
@pytest.mark.parametrize("ask", [info, listed, missing, scrubbed])
@pytest.mark.parametrize("size", [None, 3])
def test_what_is_told_is_so_before_or_after(
    tmp_path: Path, ask: Callable[[Depot], object], act: Callable[[Depot], None], size: int | None
) -> None:
    if act is write and size is not None:
        size = 5
    nth, acted = 0, True
    while acted:
        nth, acted = nth + 1, False

        def beside() -> None:
            nonlocal acted
            acted = True
            act(other)  # noqa: B023

        other = Depot(tmp_path / str(nth), durability="os")
        other.reserve(ONE, size)
        other.write(ONE, 0, b"abc")
        files = Beside(str(tmp_path / str(nth)))
        files.act, files.nth = beside, nth
        before = told(ask, other)
        found = told(ask, depot_on(files))
        assert found in (before, told(ask, other)), nth
    assert nth > 3


def test_a_depot_that_cannot_be_listed_ends_no_check(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["/ada"] = {"born": 1815}
        (tmp_path / ".objstore/depot").write_text("no folder")
        [failure] = store.check()
        assert str(failure).startswith(
            ".: expected blobs that can be listed, found depot is a file"
        )
        (tmp_path / "bob.json").write_text("{")
        assert [one.source for one in store.check()] == [".", "bob.json"]
