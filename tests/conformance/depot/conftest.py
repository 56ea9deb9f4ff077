"""Depots of every maker."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from objstore.depot import Depot
from tests.conformance.depot.cases import Place
from tests.conformance.depots import DEPOTS, DepotMaker


@pytest.fixture(params=DEPOTS, ids=lambda maker: maker.name)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    maker: DepotMaker = request.param
    depot = maker.make(tmp_path)
    yield Place(depot, partial(maker.peek, depot, tmp_path))
    maker.close(depot)


@pytest.fixture
def depot(place: Place) -> Depot:
    return place.depot
