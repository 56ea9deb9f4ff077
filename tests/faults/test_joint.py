"""Joint transactions between processes, and participants that are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.meeting import FileMeetings
from objstore.joint import Result
from tests.faults.machine import in_child, start_child

STEPS = ["meeting", "seat-0", "seat-1", "tried", "commit", "committed", "outcome", "left-1"]


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def opened(folder: Path, **options: Any) -> objstore.Store[Any]:
    return objstore.open(folder / "store", durability="os", **options)


def join(processes: list[int]) -> None:
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    assert codes == [0] * len(processes)


def told(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tell(path: Path, what: Any) -> None:
    with path.open("a") as file:
        file.write(json.dumps(what) + "\n")


def test_participants_are_processes_that_know_only_the_id(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store["/doc"] = {"n": 0}
        tx = store.new_tx(4, {"author": "all"}, timeout=60)

        def take_part(number: int) -> None:
            with opened(tmp_path) as theirs:
                found = theirs.get_tx(tx.id)
                result = found.patcher(f"/doc/{number}", [add("", number)]).commit()
                tell(tmp_path / f"told{number}", [*result[:3], result.data or None])

        children = [start_child(partial(take_part, number)) for number in range(3)]
        result = tx.patcher("/doc/3", [add("", 3)], 5).commit()
        assert result.matched is False
        join(children)
        assert [told(tmp_path / f"told{n}")[0][:3] for n in range(3)] == [[False, False, None]] * 3
        tx = store.new_tx(4, {"author": "all"}, timeout=60)
        children = [start_child(partial(take_part, number)) for number in range(3)]
        assert tx.patcher("/doc/3", [add("", 3)]).commit()[:4] == (True, True, 2, 3)
        join(children)
        assert [told(tmp_path / f"told{n}")[1] for n in range(3)] == [
            [True, True, 2, n or None] for n in range(3)
        ]
        assert store["/doc"] == {"n": 0, "0": 0, "1": 1, "2": 2, "3": 3}
        assert FileMeetings(store._documents._files).notes(tx.id) == {}  # type: ignore[attr-defined]


def test_errors_are_the_same_in_every_process(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store["/doc"] = {"n": 0}
        tx = store.new_tx(2, timeout=60)

        def take_part() -> None:
            with opened(tmp_path) as theirs:
                error = theirs.get_tx(tx.id).patcher("/doc/n", [add("", 1)]).commit().error
                assert isinstance(error, objstore.ConflictError)
                tell(tmp_path / "told", [error.pointer, str(error), error.theirs])

        child = start_child(take_part)
        error = tx.patcher("/doc", [add("/x", 1)]).commit().error
        join([child])
        assert isinstance(error, objstore.ConflictError)
        assert told(tmp_path / "told") == [[error.pointer, str(error), error.theirs]]
        assert error.base is objstore.MISSING


def test_of_two_compare_and_set_exactly_one_wins(tmp_path: Path) -> None:
    """Two processes run against each other, as fast as they can; in the original both won."""
    rounds = 200
    with opened(tmp_path) as store:
        store["/counter"] = {"n": 0}

    def compare_and_set(who: int) -> None:
        with opened(tmp_path) as store:
            for number in range(rounds):
                patch = [{"op": "replace", "path": "/n", "value": number + 1}]
                result = store.new_tx(1).patcher("/counter", patch, {"n": number}).commit()
                assert result.error is None
                if result.committed:
                    tell(tmp_path / f"won{who}", number)

    join([start_child(partial(compare_and_set, who)) for who in range(2)])
    one, other = told(tmp_path / "won0"), told(tmp_path / "won1")
    assert sorted(one + other) == list(range(rounds))
    with opened(tmp_path) as store:
        assert store["/counter"] == {"n": rounds}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_participant_comes_again(tmp_path: Path, step: str, killed: int) -> None:
    """One process dies at a step. It starts again, and all are told of the same one commit."""
    with opened(tmp_path) as store:
        store["/doc"] = {"0": [], "1": []}
        id = store.new_tx(2, timeout=60).id

    def take_part(who: int, dying: bool) -> None:
        if dying:
            _die_at(step)
        with opened(tmp_path) as store:
            result = _result(store, id, who)
            tell(tmp_path / "told", [who, result.committed, result.commit])

    other = start_child(lambda: take_part(1 - killed, False))
    time.sleep(0.02 * killed)
    assert in_child(lambda: take_part(killed, True)) in (0, signal.SIGKILL)
    again = start_child(lambda: take_part(killed, False))
    join([other, again])
    assert {tuple(one[1:]) for one in told(tmp_path / "told")} == {(True, 2)}
    with opened(tmp_path) as store:
        assert store["/doc"] == {"0": [0], "1": [1]}
        assert [commit.tx for commit in store.log()] == [None, id]
        assert store.check() == []


def _result(store: objstore.Store[Any], id: str, who: int) -> Result:
    # Appends, which would show if they were done twice.
    patcher = store.get_tx(id).patcher(f"/doc/{who}", [add("/-", who)], name=f"participant-{who}")
    return patcher.commit()


def _die_at(step: str) -> None:
    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    put, commit = FileMeetings.put, FilesystemDocuments.commit

    def dying_put(self: Any, id: str, name: str, note: Any) -> Any:
        done = put(self, id, name, note)
        if name == step:
            kill()
        return done

    def dying_commit(self: Any, *args: Any, **options: Any) -> Any:
        if step == "commit":
            kill()
        done = commit(self, *args, **options)
        if step == "committed":
            kill()
        return done

    FileMeetings.put = dying_put  # type: ignore[method-assign]
    FilesystemDocuments.commit = dying_commit  # type: ignore[method-assign]
