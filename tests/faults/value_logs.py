"""Value logs in tests: over files that misbehave, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.values import vloglist, vlogwriter
from objstore.backings.valuelog import ValueLogStorage
from objstore.storage import Value

Contents = dict[str, dict[str, Value]]


class OverFiles(ValueLogStorage):
    """A storage over given files."""

    def __init__(self, files: Files, **options: Any) -> None:
        self._given = files
        super().__init__(files.root, **options)

    def _make_files(self, *, sync: bool, umask: int | None) -> Files:
        return self._given


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less space ahead, so that files grow in the middle of things, and are small."""
    monkeypatch.setattr(vlogwriter, "_FIRST_STEP", 600)
    monkeypatch.setattr(vlogwriter, "_LAST_STEP", 1200)


def contents(storage: ValueLogStorage) -> Contents:
    """All that is stored, read in two ways."""
    found: Contents = {}
    with storage.transaction(write=False):
        for name in storage.get_containers():
            found[name] = {k: v for k, v in storage.get_container_items(name) if v is not None}
            assert storage.get_container_len(name) == len(found[name])
            for key, value in found[name].items():
                assert storage.get_container_item(name, key) == value
    return found


def value_files(root: Path) -> list[Path]:
    """The files of the list, in order."""
    found = vloglist.read(Files(str(root)))
    assert found is not None
    folder = names.values(str(root))
    return [Path(names.value_file(folder, listed.id)) for listed in found.files]
