"""The containers of a store in a folder: made by the first write, and not before."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objstore.backings.sqlite import SqliteStorage
from objstore.backings.store_containers import open_containers
from objstore.errors import ClosedError, KeyNotFoundError, ReadOnlyError, StorageNotFoundError
from tests.faults.machine import start_child


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with open_containers(root) as containers:
        assert list(containers) == []
        assert containers["seen"].get("a") is None
        with containers.transaction(write=False):
            assert len(containers["seen"]) == 0
            for write in (containers["seen"].__setitem__, containers["seen"].setdefault):
                with pytest.raises(ReadOnlyError, match="within transaction\\(write=False\\)"):
                    write("a", 1)
        assert containers["seen"].pop("a", "nothing") == "nothing"
        for take in (lambda: containers["seen"].pop("a"), containers["seen"].popitem):
            with pytest.raises(KeyNotFoundError):
                take()
        assert not root.exists()
        containers["seen"]["a"] = {"times": 1}
        with containers["seen"].transaction(write=False), pytest.raises(ReadOnlyError):
            containers["seen"]["a"] = {"times": 2}
        assert (root / ".objstore/containers.sqlite").exists()
        assert (root / ".objstore/.gitignore").read_text() == "*\n"
    with open_containers(root, readonly=True) as containers:
        assert dict(containers["seen"]) == {"a": {"times": 1}}
        with pytest.raises(ReadOnlyError):
            containers["seen"]["b"] = 1


def test_who_only_reads_keeps_nobody_else_from_making_it(tmp_path: Path) -> None:
    with open_containers(tmp_path) as containers:
        with containers.transaction(write=False):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(containers["seen"].__setitem__, "a", 1).result()
            with pytest.raises(ReadOnlyError):
                containers["seen"]["a"] = 2
        assert dict(containers["seen"]) == {"a": 1}


@pytest.mark.parametrize("by", ["another handle", "another thread"])
def test_who_only_reads_sees_that_there_is_nothing_until_the_end(tmp_path: Path, by: str) -> None:
    with open_containers(tmp_path) as containers, open_containers(tmp_path) as others:
        maker = containers if by == "another thread" else others
        container = containers["c"]
        with containers.transaction(write=False):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(maker["c"].update, {"k": 1}).result()
            assert dict(container) == {}
            assert list(containers) == []
            with pytest.raises(KeyError):
                del container["k"]
            with pytest.raises(ReadOnlyError), containers.transaction():
                pass
            containers.close()
            with pytest.raises(ClosedError):
                dict(container)
        assert dict(others["c"]) == {"k": 1}


def test_a_flipped_bit_is_found_by_check(tmp_path: Path) -> None:
    with open_containers(tmp_path) as containers:
        containers["seen"]["ada"] = "somebody"
        assert containers.check() == []
    path = tmp_path / ".objstore/containers.sqlite"
    path.write_bytes(path.read_bytes().replace(b"somebody", b"somebodx"))
    with open_containers(tmp_path, readonly=True) as containers:
        [wrong] = containers.check()
        assert "ada" in str(wrong)


def test_readonly_makes_nothing(tmp_path: Path) -> None:
    with open_containers(tmp_path, readonly=True) as containers:
        assert list(containers) == []
        with pytest.raises(ReadOnlyError):
            containers["a"]["x"] = 1
        with pytest.raises(ReadOnlyError), containers.transaction():
            pass
    assert list(tmp_path.iterdir()) == []


def test_it_is_closed_for_good(tmp_path: Path) -> None:
    containers = open_containers(tmp_path)
    one = containers["a"]
    containers.close()
    containers.close()
    with pytest.raises(ClosedError):
        one["x"] = 1
    with pytest.raises(ClosedError):
        list(containers)
    assert list(tmp_path.iterdir()) == []


def test_what_is_found_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / ".objstore/containers.sqlite").mkdir(parents=True)
    with open_containers(tmp_path) as containers, pytest.raises(StorageNotFoundError):
        containers["a"]["x"] = 1


def test_an_option_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="durability must be"):
        open_containers(tmp_path, durability="some")
    with pytest.raises(ValueError, match="wait must be"):
        open_containers(tmp_path, wait=-1)


def test_threads_and_processes_that_write_first_make_one(tmp_path: Path) -> None:
    containers = open_containers(tmp_path, durability="os")

    def write(n: int) -> None:
        containers["c"][f"{n}"] = n

    def write_in_child(n: int) -> None:
        with open_containers(tmp_path, durability="os") as own:
            own["c"][f"child {n}"] = n

    children = [start_child(lambda n=n: write_in_child(n)) for n in range(3)]  # type: ignore[misc]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert len(containers["c"]) == 11
    containers.close()


def test_whoever_comes_as_another_process_makes_them_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made between the look that finds nothing and the next one."""
    looked: list[bool] = []
    require = SqliteStorage.__init__

    def late(self: object, path: str, create: bool, *rest: object, **options: object) -> None:
        if not looked:
            looked.append(True)
            with open_containers(tmp_path, durability="os") as other:
                other["c"]["k"] = 1
            raise StorageNotFoundError(2, "there is no storage", path)
        require(self, path, create, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteStorage, "__init__", late)
    with open_containers(tmp_path, durability="os") as containers:
        assert containers["c"]["k"] == 1
