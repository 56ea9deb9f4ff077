"""Stores on every maker, opened again and again at the same place, checked in the end."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import objstore
from objstore import Store

from .makers import LOGGED, MAKERS

Opener: TypeAlias = Callable[..., Store[Any]]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same store again and again, with a schema or without."""
    with _opener(request.param.url(tmp_path)) as opener:
        yield opener


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def reopen_logged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """The same, on makers that keep a history."""
    with _opener(request.param.url(tmp_path)) as opener:
        yield opener


@contextmanager
def _opener(url: str) -> Generator[Opener]:
    opened: list[Store[Any]] = []

    def opener(schema: Any = None, **options: Any) -> Store[Any]:
        store: Store[Any] = objstore.open(url, schema, **options)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()
    with objstore.open(url) as store:
        assert store.check() == []
