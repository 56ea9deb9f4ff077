"""What tests of joint transactions share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from objstore import Result, Store
from objstore.joint import Patcher

from .aftermaths import crash, name_of, nothing
from .stores import Opener


@pytest.fixture(params=[nothing, crash], ids=name_of)
def store(request: pytest.FixtureRequest, reopen_logged: Opener) -> Store[Any]:
    store = reopen_logged()
    store["/doc"] = {"a": {"x": 1}, "b": {"y": 2}, "list": [{"n": 1}, {"n": 2}, {"n": 3}]}
    found: Store[Any] = request.param(store, reopen_logged)
    return found


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def replace(value: Any, path: str = "") -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def together(*patchers: Patcher) -> list[Result]:
    """Commit all at once, each in its thread."""
    with ThreadPoolExecutor(len(patchers)) as pool:
        return [one.result(timeout=30) for one in [pool.submit(p.commit) for p in patchers]]


def commit(store: Store[Any], *parts: tuple[Any, ...]) -> Result:
    """One joint transaction of these participants; the result of the first."""
    tx = store.new_tx(len(parts))
    results = together(*(tx.patcher(*part) for part in parts))
    assert len({result[:3] for result in results}) == 1
    assert len({repr(result.error) for result in results}) == 1
    return results[0]
