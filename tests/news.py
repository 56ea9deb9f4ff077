"""Waiting for news of a store, as long as it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any, Final, Self

from objstore import Commit, Invalid, Mended, Store
from objstore._news import News

PATIENCE: Final = 60.0
"""Seconds; longer than any machine takes that is not broken."""


class Heard:
    """What a store tells from now on."""

    def __init__(self, store: Store[Any], path: str = "") -> None:
        self._feed = store.changes(path)
        self.news: list[News] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.close()

    @property
    def commits(self) -> list[Commit]:
        return [one for one in self.news if isinstance(one, Commit)]

    @property
    def units(self) -> list[list[str]]:
        """Of every commit."""
        return [sorted(change.unit for change in commit.changes) for commit in self.commits]

    def until(self, is_it: Callable[[News], bool]) -> News:
        """Take news up to one, which is the result."""
        end = monotonic() + PATIENCE
        while True:
            one = self._feed.take(max(end - monotonic(), 0))
            assert one is not None
            self.news.append(one)
            if is_it(one):
                return one

    def commit(self) -> Commit:
        """The next, which nothing else may precede."""
        one = self.until(lambda _: True)
        assert isinstance(one, Commit), one
        return one

    def invalid(self) -> Invalid:
        one = self.until(lambda _: True)
        assert isinstance(one, Invalid), one
        return one

    def mended(self) -> Mended:
        one = self.until(lambda news: isinstance(news, Mended))
        assert isinstance(one, Mended)
        return one

    def until_units(self, units: set[str]) -> None:
        """Take commits until these units were in some."""
        missing = set(units)

        def take(news: News) -> bool:
            assert not isinstance(news, Invalid), news
            if isinstance(news, Mended):
                return False
            missing.difference_update(change.unit for change in news.changes)
            return not missing

        self.until(take)


@contextmanager
def fence(store: Store[Any], file: Path) -> Generator[Heard]:
    """What is heard of the block, and of no more: behind it the settings are replaced."""
    with Heard(store) as heard:
        yield heard
        temporary = file.with_name(".fence")
        temporary.write_text(f'{{"size": {monotonic_ns()}}}')
        os.rename(temporary, file)
        unit = f"/{file.stem}"
        heard.until(lambda one: isinstance(one, Commit) and one.changes[0].unit == unit)
        heard.news.pop()
