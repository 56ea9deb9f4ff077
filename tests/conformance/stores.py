"""Stores on every maker, opened again and again at the same place, checked in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import objstore
from objstore import Store

from .makers import MAKERS, Maker

Opener: TypeAlias = Callable[..., Store[Any]]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same store with a schema; all are closed, and the last one's schema is kept to."""
    maker: Maker = request.param
    url = maker.url(tmp_path)
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
