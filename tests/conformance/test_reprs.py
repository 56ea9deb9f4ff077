"""What a prompt shows of what is open: what it is, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

import objstore
from objstore import Containers, MemoryStorage, SqliteStorage
from objstore.backings.filesystem import RecordKeeper
from objstore.backings.storage_records import StorageRecordKeeper
from objstore.events import EventLog


def test_what_is_shown_of_what_is_open(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    storage = SqliteStorage(path, create=True)
    assert repr(storage) == f"<SqliteStorage {path}>"
    assert repr(Containers(storage)) == f"<Containers <SqliteStorage {path}>>"
    assert repr(StorageRecordKeeper(storage, "e")) == (
        f'<StorageRecordKeeper "e" of <SqliteStorage {path}>>'
    )
    storage.close()
    assert repr(MemoryStorage("a", create=True)) == "<MemoryStorage a>"
    assert repr(RecordKeeper(tmp_path)) == f"<RecordKeeper {tmp_path}/rk>"
    with objstore.open(tmp_path / "store") as store:
        folder = tmp_path / "store/.objstore"
        assert repr(store.containers) == f"<Containers {folder}/containers.sqlite>"
        assert repr(store.events) == f"<EventLog <SegmentRecordKeeper {folder}/events>>"
    with objstore.open("memory://") as store:
        assert repr(store.events) == "<EventLog <MemoryRecordKeeper>>"
        assert isinstance(store.events, EventLog)


@pytest.mark.parametrize("text", [5, None, b"x"])
def test_what_is_no_text_names_no_blob(text: object) -> None:
    with pytest.raises(TypeError, match="the text of an identifier is a str, not"):
        objstore.Identifier.parse(text)  # type: ignore[arg-type]
