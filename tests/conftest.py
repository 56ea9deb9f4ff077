"""What holds after every test: the engine's files in the stores that it leaves are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.backings.filesystem import names, open_documents
from objstore.layout import ANYTHING


@pytest.fixture(autouse=True)
def _whole(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Check every store in the test's folder, unless the test is there to leave a damaged one."""
    is_damaged = request.node.get_closest_marker("damage") is not None
    is_checked = "tmp_path" in request.fixturenames and not is_damaged
    folder: Path | None = request.getfixturevalue("tmp_path") if is_checked else None
    yield
    if folder is not None:
        for root in _stores(folder):
            documents = open_documents(root, layout=ANYTHING, readonly=True)
            assert [one for one in documents.check() if _is_engines(root, one.source)] == [], root
            documents.close()


def _is_engines(root: str, source: str) -> bool:
    # Users' files may be behind the log where a test crashes, or lays them out in its own way.
    path = os.path.join(root, source)
    return path.startswith(names.engine(root)) or names.is_temporary(os.path.basename(path))


def _stores(folder: Path) -> Iterator[str]:
    for root, folders, _ in os.walk(folder):
        if os.path.isdir(names.logs(root)):
            yield root
        folders[:] = [one for one in folders if os.path.join(root, one) != names.engine(root)]
