"""Value logs of processes that die, and of several that write at once."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

from objstore.backings.valuelog import ValueLogStorage
from objstore.errors import ConflictError, DuplicateStorageError, StorageNotFoundError
from tests.faults.crash_states import Quick
from tests.faults.machine import in_child, killed_amid, start_child
from tests.faults.value_logs import Contents, OverFiles, contents, small_steps


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


def write_for_ever(folder: Path, told: Path, who: int) -> None:
    """Sets two keys to each number in one batch, and notes each once it was told of its end."""
    storage = OverFiles(Quick(str(folder)))
    with told.open("ab", buffering=0) as notes:
        for n in range(int(storage.get_container_item("c", f"{who}")) + 1, 10**9):
            pairs = {f"{who}": n, f"{who}-{n}": "x" * (n % 300), f"{who} again": n}
            with storage.transaction():
                storage.set_container_items("c", pairs)
                storage.delete_container_item("c", f"{who}-{n - 10}")
            notes.write(b"%d\n" % n)
            if n % 50 == 49:
                storage.compact(0.5) if who == 0 else storage.close()
                storage = OverFiles(Quick(str(folder))) if who else storage


def look(folder: Path, told: list[Path]) -> None:
    with OverFiles(Quick(str(folder))) as storage:
        found = contents(storage)["c"]
        assert storage.check() == []
    for who, path in enumerate(told):
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        last = int(found[f"{who}"])
        assert last >= (int(lines[-1]) if lines else 0)
        assert found[f"{who} again"] == str(last)
        assert {key for key in found if key.startswith(f"{who}-")} == {
            f"{who}-{n}" for n in range(max(last - 9, 1), last + 1)
        }


def kill_writers(folder: Path, rounds: int) -> None:
    store, told = folder / "store", [folder / f"told-{who}" for who in range(3)]
    with OverFiles(Quick(str(store)), create=True, capacity=20_000) as storage:
        storage.add_container("c")
        storage.set_container_items(
            "c", {f"{who}{end}": 0 for who in range(3) for end in ("", " again")}
        )
    moments = random.Random(rounds)  # noqa: S311
    for _ in range(rounds):
        works = [partial(write_for_ever, store, told[who], who) for who in range(3)]
        killed_amid(works, told, moments, within=0.1)
        look(store, told)


def test_killed_writers_lose_nothing_that_was_reported(tmp_path: Path) -> None:
    kill_writers(tmp_path, rounds=8)


@pytest.mark.torture
def test_many_killed_writers(tmp_path: Path) -> None:
    for part in range(20):
        (tmp_path / str(part)).mkdir()
        kill_writers(tmp_path / str(part), rounds=20)


class Deadly(Quick):
    """Files that kill the process at a step."""

    __slots__ = ("left",)
    left: int

    def reached(self, point: str, path: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


STATES: list[Contents] = [
    {},
    {"c": {}},
    {"c": {"a": "1", "b": "x" * 900}},
    {"c": {"b": "x" * 900, "d": "y" * 900}},
]


def work(folder: Path, nth: int) -> None:
    files = Deadly(str(folder))
    files.left = nth
    with OverFiles(files, create=True, capacity=1500) as storage:
        storage.add_container("c")
        storage.set_container_items("c", {"a": "1", "b": "x" * 900})
        with storage.transaction():
            storage.delete_container_item("c", "a")
            storage.set_container_item("c", "d", "y" * 900)
        storage.compact()


def test_killed_at_every_step(tmp_path: Path) -> None:
    """Those of making, rolling, compaction and closing too."""
    ended_by, nth, seen = int(signal.SIGKILL), 0, 0
    while ended_by:
        nth += 1
        folder = tmp_path / str(nth)
        ended_by = in_child(lambda: work(folder, nth))  # noqa: B023
        assert ended_by in (0, signal.SIGKILL)
        try:
            storage = OverFiles(Quick(str(folder)))
        except StorageNotFoundError:
            assert seen == 0
            storage = OverFiles(Quick(str(folder)), create=True)
        found = contents(storage)
        assert found in STATES[seen:], "what was there once is not lost again"
        seen = STATES.index(found)
        if seen:
            storage.set_container_item("c", "new", "value")
            found["c"]["new"] = "value"
        storage.compact()
        assert contents(storage) == found
        storage.close()
        with OverFiles(Quick(str(folder))) as storage:
            assert contents(storage) == found
            assert storage.check() == []
    assert nth > 60
    assert seen == len(STATES) - 1


def test_two_processes_race_to_make_one(tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / str(number)

        def make(who: int, folder: Path = folder) -> None:
            try:
                with ValueLogStorage(folder, create=True, durability="os") as storage:
                    storage.add_container(str(who))
            except DuplicateStorageError:
                (tmp_path / f"{folder.name}-lost-{who}").touch()

        children = [start_child(lambda who=who: make(who)) for who in range(3)]  # type: ignore[misc]
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(list(tmp_path.glob(f"{number}-lost-*"))) == 2
        with ValueLogStorage(folder) as storage:
            assert len(list(storage.get_containers())) == 1


def test_processes_lose_no_update(tmp_path: Path) -> None:
    with OverFiles(Quick(str(tmp_path)), create=True, capacity=3000) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "n", 0)

        def add_one(own: OverFiles) -> None:
            n = int(own.get_container_item("c", "n"))
            own.set_container_item("c", "n", n + 1)

        def count(*, waits: bool) -> None:
            with OverFiles(Quick(str(tmp_path))) as own:
                left = 100
                while left:
                    try:
                        if waits:
                            with own.transaction():
                                add_one(own)
                        else:
                            own.begin()
                            add_one(own)
                            own.commit()
                        left -= 1
                    except ConflictError:
                        assert not waits

        children = [start_child(lambda w=w: count(waits=w)) for w in (True, True, False)]  # type: ignore[misc]
        seen = 0
        while seen < 300 and any(os.waitpid(child, os.WNOHANG)[0] == 0 for child in children[:1]):
            now = int(storage.get_container_item("c", "n"))
            assert now >= seen
            seen = now
        for child in children[1:]:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert storage.get_container_item("c", "n") == "300"
        assert storage.check() == []


def test_a_child_goes_on_with_what_its_parent_had_open(tmp_path: Path) -> None:
    with OverFiles(Quick(str(tmp_path)), create=True) as storage:
        storage.add_container("c")
        storage.begin()
        storage.set_container_item("c", "parent", "1")

        def child() -> None:
            # The parent's transaction is not the child's, and still holds the lock.
            assert not storage.in_transaction
            assert contents(storage) == {"c": {}}

        assert in_child(child) == 0
        storage.commit()
        assert in_child(lambda: storage.set_container_item("c", "child", "2")) == 0
        assert contents(storage) == {"c": {"parent": "1", "child": "2"}}
