"""The backings that the suites of this folder run on. A new one gets its tests by standing here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import objstore.backings.filesystem
import objstore.backings.memory
from objstore.documents import Documents
from objstore.layout import ANYTHING, Folder
from objstore.values import MISSING


class OpenDocuments(Protocol):
    def __call__(
        self,
        url: str,
        *,
        layout: Folder,
        create: bool = True,
        readonly: bool = False,
        durability: str = "full",
        apply: str = "eager",
        umask: int | None = None,
    ) -> Documents: ...


class Maker(NamedTuple):
    """One maker of Documents."""

    name: str
    open: OpenDocuments
    url: Callable[[Path], str]
    """The URL of a store in a test's folder, where nothing is before the first commit."""
    peek: Callable[[str, str], Any]
    """What is at the URL's unit, read by other means than the Documents that wrote it."""


def _file_url(folder: Path) -> str:
    return str(folder / "store")


def _file(url: str, unit: str) -> Any:
    path = Path(url + unit + ".json")
    return json.loads(path.read_bytes()) if path.exists() else MISSING


def _memory_url(folder: Path) -> str:
    return f"memory://{folder}"


def _shared(url: str, unit: str) -> Any:
    return objstore.backings.memory.open_documents(url, layout=ANYTHING).load(unit).value


MAKERS = [
    Maker("filesystem", objstore.backings.filesystem.open_documents, _file_url, _file),
    Maker("memory", objstore.backings.memory.open_documents, _memory_url, _shared),
]

LOGGED = [maker for maker in MAKERS if maker.name in ("filesystem", "memory")]
"""Those that keep a history, scopes, and what the rest of the contract is about."""
