"""A store of each maker that keeps a history, for the suites of Documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.documents import Documents
from objstore.layout import ANYTHING
from tests.conformance.documents import require_whole
from tests.conformance.makers import LOGGED, Maker


@pytest.fixture(params=LOGGED, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    found: Maker = request.param
    return found


@pytest.fixture
def url(maker: Maker, tmp_path: Path) -> str:
    return maker.url(tmp_path)


@pytest.fixture
def documents(maker: Maker, url: str) -> Iterator[Documents]:
    opened = maker.open(url, layout=ANYTHING)
    yield opened
    opened.close()
    require_whole(maker, url)
