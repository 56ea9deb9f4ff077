"""What is in a store's folder, without what the engine adds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def users(paths: Iterable[Path]) -> list[Path]:
    """The paths that are not the engine's."""
    return [path for path in paths if ".objstore" not in path.parts]


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted, without the engine's."""
    return sorted(path.name for path in users(folder.iterdir()))


def tree(folder: Path) -> list[str]:
    """Everything below a folder, sorted, without the engine's."""
    return sorted(str(path.relative_to(folder)) for path in users(folder.rglob("*")))
