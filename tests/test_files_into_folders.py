"""Files that people replace by folders of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Commit, Dict, Directory, Invalid, Store


def make_folder(root: Path) -> None:
    """As git checkout does."""
    (root / "a.json").unlink()
    (root / "a").mkdir()
    (root / "a/b.json").write_text("[2]")


def require_past(store: Store[Any]) -> None:
    """What the log says is what is there, now and after every commit."""
    newest = {"a": {key: one.contents for key, one in store.root["a"].items()}}
    assert store.read_at("", store.head) == newest
    assert store.at(store.head)["a"].contents == newest["a"]
    assert store.read_at("", 1) == {"a": [1]}
    assert [*store.check()] == []


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("unit", ["a/b", "a/c", "a/deep/d"])
def test_a_commit_below(tmp_path: Path, apply: str, unit: str) -> None:
    with objstore.open(tmp_path, apply=apply) as store:
        store["a"] = [1]
        store.flush()
        make_folder(tmp_path)
        store[unit] = {"n": 1}
        store["a/e"] = {"n": 1}
        store.flush()
        _, gone, *_ = store.log("a")
        assert gone.external
        assert str(gone.changes[0]) == "/a deleted"
        assert store.read_at(unit, store.head) == {"n": 1}
        assert set(store.blame(unit)) == {f"/{unit}/n"}
        store.undo(store.head)
        assert "a/e" not in store
    with objstore.open(tmp_path) as store:
        assert store.read_at("a", store.head)[unit.split("/")[1]] is not None
        assert store.read_at("", 1) == {"a": [1]}
        assert [*store.check()] == []


def test_a_folder_that_a_program_makes(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["a"] = [1]
        (tmp_path / "a.json").unlink()
        store["a/b"] = {"n": 1}
        require_past(store)


def test_a_watch_tells_the_file_as_deleted(tmp_path: Path) -> None:
    with objstore.open(tmp_path, watch=True) as store, store.changes() as news:
        store["a"] = [1]
        news.take(10)
        make_folder(tmp_path)
        heard: set[str] = set()
        while heard != {"/a deleted", "/a/b made"}:
            found = news.take(10)
            assert isinstance(found, Commit)
            heard.update(str(change) for change in found.changes)
        require_past(store)


def test_where_the_schema_wants_a_file_the_folder_is_wrong(tmp_path: Path) -> None:
    class Doc(Dict):
        n: int = 0

    class Top(Directory):
        a: Doc

    with objstore.open(tmp_path, Top, watch=True) as store, store.changes() as news:
        store.root["a"] = {"n": 1}
        news.take(10)
        (tmp_path / "a.json").unlink()
        (tmp_path / "a.json").mkdir()
        found = news.take(10)
        while not isinstance(found, Invalid):
            found = news.take(10)
        assert found.unit == "/a"


def test_what_is_made_together_ends_the_file_once(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["a"] = [1]
        (tmp_path / "a.json").unlink()
        with store.transaction():
            store["a/b"] = {"n": 1}
            store["a/c"] = {"n": 2}
        _, gone, made = store.log()
        assert [str(change) for change in gone.changes] == ["/a deleted"]
        assert [change.unit for change in made.changes] == ["/a/b", "/a/c"]
        require_past(store)


@pytest.mark.parametrize("apply", ["eager", "lazy"])
def test_a_key_may_be_a_file_and_a_directory_in_turn(tmp_path: Path, apply: str) -> None:
    """Commit by commit, also before any is in the files."""
    with objstore.open(tmp_path, apply=apply) as store, objstore.open(tmp_path) as other:
        store["d/e/u"], store["d/e/f/v"] = [1], [2]
        store.flush()
        del store["d/e/u"]
        assert list(store) == ["/d/e/f/v"]
        del store["d/e/f/v"]
        assert list(store) == list(store.root) == []
        assert "d" not in store.root
        store["d/e"] = {"k": 1}
        assert (list(store), store["d/e"].contents) == (["/d/e"], {"k": 1})
        del store["d/e"]
        store["d/e/u"] = {"k": 2}
        assert (list(store), store["d/e/u"].contents) == (["/d/e/u"], {"k": 2})
        store.flush()
        assert other["d/e/u"].contents == {"k": 2}
        assert store.check() == []
