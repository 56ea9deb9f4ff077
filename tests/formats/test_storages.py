"""The examples on the pages of the Storages' formats are what is written."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import lmdb
import pytest

from objstore import Container, LmdbStorage, MemoryStorage, SqliteStorage

DOCS = Path(__file__).parents[2] / "docs" / "formats"


def test_the_example_of_sqlite(tmp_path: Path) -> None:
    with SqliteStorage(tmp_path / "storage", create=True) as storage:
        storage.add_container("seen")
        storage.set_container_items("seen", {"a": "A", "b": b"\0\xff"})
    with sqlite3.connect(tmp_path / "storage") as connection:
        containers = connection.execute("SELECT * FROM containers").fetchall()
        items = connection.execute("SELECT key, quote(value), value, sum FROM c1").fetchall()
        schema = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'c1'").fetchone()
    connection.close()
    page = (DOCS / "sqlite.md").read_text()
    assert "containers: " + "|".join(map(str, containers[0])) in page
    assert "c1:         a|A|" + str(items[0][3]) in page
    assert f"b|{items[1][1]}|{items[1][3]}" in page
    assert "WITHOUT ROWID" in schema[0]


def test_the_example_of_lmdb(tmp_path: Path) -> None:
    with LmdbStorage(tmp_path / "storage", create=True) as storage:
        storage.add_container("seen")
        storage.set_container_item("seen", "a", "A")
    env = lmdb.open(str(tmp_path / "storage"), readonly=True)
    with env.begin() as txn:
        found = [(key.hex().upper(), record.hex().upper()) for key, record in txn.cursor()]
    env.close()
    page = (DOCS / "lmdb.md").read_text()
    # A stored key, which may have a blank in it, at least two blanks, and the record.
    lines = re.findall(r"^    (0{7}[01] [0-9A-F]+) {2,}([0-9A-F ]+)$", page, re.MULTILINE)
    assert found == [(key.replace(" ", ""), record.replace(" ", "")) for key, record in lines]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("Ada", "Ada"),
        (b"\0\xff", b"\0\xff"),
        ({"born": 1815}, 'json:{"born":1815}'),
        (None, "json:null"),
        ("json:1", 'json:"json:1"'),
    ],
)
def test_the_examples_of_values(value: object, stored: str | bytes) -> None:
    with MemoryStorage("", create=True) as storage:
        Container(storage, "c")["k"] = value
        assert storage.get_container_item("c", "k") == stored
    page = (DOCS / "container.md").read_text()
    assert isinstance(stored, bytes) or f"the text `{stored}` |" in page
