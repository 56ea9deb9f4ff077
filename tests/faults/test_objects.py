"""Objects on media that refuse: the file is whole, the Object as before, the error says so."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

import objstore
from objstore import Directory
from tests.folders import names

from ..conformance.library import ADA, Person
from .machine import mounted, remount_readonly


class People(Directory[Person]):
    pass


def test_a_full_disk(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=160k"), objstore.open(tmp_path, People) as store:
        ada = store.root.setdefault("ada", ADA)
        before = (tmp_path / "ada.json").read_bytes()
        with pytest.raises(objstore.BackingError, match=r"ada\.json.*No space left") as caught:
            ada.email = "x" * 100_000
        assert caught.value.errno == errno.ENOSPC
        assert isinstance(caught.value, OSError)
        assert ada == ADA
        assert ada.email is None
        assert (tmp_path / "ada.json").read_bytes() == before
        with pytest.raises(objstore.BackingError), store.transaction():
            store.root["bob"] = ADA
            ada.email = "x" * 100_000
        assert names(tmp_path) == ["ada.json"]
        assert list(store.root) == ["ada"]
        ada.email = "short"  # there is room for this, and the store goes on
        assert json.loads((tmp_path / "ada.json").read_bytes()) == {**ADA, "email": "short"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with mounted(tmp_path, "size=160k"):
        with objstore.open(tmp_path, People) as store:
            store.root["ada"] = ADA
        remount_readonly(tmp_path)
        check_refusals(tmp_path)


def check_refusals(folder: Path) -> None:
    with objstore.open(folder, People) as store:
        ada = store.root["ada"]
        with pytest.raises(objstore.BackingError, match="Read-only file system") as caught:
            ada.email = "x"
        assert caught.value.errno == errno.EROFS
        with pytest.raises(objstore.BackingError, match="Read-only file system") as caught:
            del store.root["ada"]
        assert caught.value.errno == errno.EROFS
        assert ada == ADA
        assert store.root["ada"] is ada
