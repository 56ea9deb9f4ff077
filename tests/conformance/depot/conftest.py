"""Depots of every maker."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from objstore.depot import Depot
from tests.conformance.depot.cases import Place
from tests.conformance.depots import DEPOTS, DepotMaker


@pytest.fixture(params=DEPOTS, ids=lambda maker: maker.name)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    maker: DepotMaker = request.param
    depot = maker.make(tmp_path)
    return Place(depot, partial(maker.peek, depot, tmp_path))


@pytest.fixture
def depot(place: Place) -> Depot:
    return place.depot
