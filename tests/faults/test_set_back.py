"""Files that somebody sets back by hand to what they were before the newest commit: that is an edit
like any other, whoever looks next, and whether the program that made the commit runs on or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import objstore
from objstore import Commit, Store
from tests.faults.machine import in_child

Apply = Literal["eager", "lazy"]
Durability = Literal["full", "os"]


@pytest.fixture(params=["eager", "lazy"])
def apply(request: pytest.FixtureRequest) -> Apply:
    found: Apply = request.param
    return found


@pytest.fixture(params=["full", "os"])
def durability(request: pytest.FixtureRequest) -> Durability:
    found: Durability = request.param
    return found


@pytest.fixture(params=["set back", "deleted"])
def before(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[bytes | None]:
    """What /a has been, in a store that has another file."""
    store = objstore.open(tmp_path)
    store["other"] = {"n": 0}
    if request.param == "set back":
        store["a"] = {"n": 0}
    store.close()
    path = tmp_path / "a.json"
    yield path.read_bytes() if path.exists() else None
    assert [*objstore.open(tmp_path).check()] == []


def set_back(folder: Path, before: bytes | None) -> None:
    if before is None:
        (folder / "a.json").unlink()
    else:
        (folder / "a.json").write_bytes(before)


def require_kept(folder: Path, store: Store[Any], before: bytes | None) -> None:
    """The edit is what everybody sees, also once somebody has committed something else."""
    expected = None if before is None else {"n": 0}
    assert store.get("a", None) == expected
    assert [*store.check()] == []
    store["other"]["n"] += 1
    store.flush()
    assert store.get("a", None) == expected
    assert (folder / "a.json").exists() == (before is not None)
    assert before is None or (folder / "a.json").read_bytes() == before


def test_while_who_committed_is_idle(
    tmp_path: Path, before: bytes | None, apply: Apply, durability: Durability
) -> None:
    early = objstore.open(tmp_path)
    early.get("a", None)
    with objstore.open(tmp_path, apply=apply, durability=durability) as store:
        store["a"] = {"n": 1}
        store.flush()
        set_back(tmp_path, before)
        require_kept(tmp_path, early, before)
        with objstore.open(tmp_path) as late:
            require_kept(tmp_path, late, before)
        require_kept(tmp_path, store, before)
    early.close()


@pytest.mark.parametrize("ends", ["closes", "ends"])
def test_when_who_committed_is_gone(
    tmp_path: Path, before: bytes | None, apply: Apply, durability: Durability, ends: str
) -> None:
    early = objstore.open(tmp_path)
    early.get("a", None)

    def work() -> None:
        store = objstore.open(tmp_path, apply=apply, durability=durability)
        store["a"] = {"n": 1}
        store.flush()
        if ends == "closes":
            store.close()

    assert in_child(work) == 0
    set_back(tmp_path, before)
    with objstore.open(tmp_path) as late:
        require_kept(tmp_path, late, before)
    require_kept(tmp_path, early, before)
    early.close()


def test_of_the_first_commit(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"n": 0}')
    with objstore.open(tmp_path) as store:
        store["a"]["n"] = 1
        (tmp_path / "a.json").write_text('{"n": 0}')
        with objstore.open(tmp_path) as other:
            assert other["a"].contents == {"n": 0}
            assert [*other.check()] == []


def test_of_an_edit_that_a_watch_has_entered(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with objstore.open(tmp_path) as early, objstore.open(tmp_path, watch=True) as store:
        store["a"] = {"n": 0}
        before = path.read_bytes()
        with store.changes() as news:
            path.write_text('{"n": 5}')
            found = news.take(10)
            assert isinstance(found, Commit)
            assert found.number == 2
            store.close()
        path.write_bytes(before)
        early["other"] = {}
        assert early["a"].contents == {"n": 0}
        assert path.read_bytes() == before


def test_a_mark_from_when_the_log_was_longer_is_replaced(tmp_path: Path) -> None:
    """As where somebody brings back an older log."""
    with objstore.open(tmp_path) as store:
        store["a"] = {"n": 0}
        mark = tmp_path / ".objstore/written"
        first = mark.read_bytes()
        for n in range(1, 4):
            store["a"]["n"] = n
        last = mark.read_bytes()
        mark.write_bytes(first)
    assert mark.read_bytes() == first
    with objstore.open(tmp_path) as store:
        store["a"]["n"] = 4
        mark.write_bytes(last.replace(b"4", b"9"))  # its checksum is wrong
        store["a"]["n"] = 5
        assert b" 00000000000000000006 " in mark.read_bytes()
