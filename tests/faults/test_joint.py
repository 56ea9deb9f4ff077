"""Joint transactions between processes, and participants that are killed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Entry, Files
from objstore.backings.filesystem.meeting import FileMeetings
from objstore.joint import Result, Tx
from tests.faults.machine import in_child, start_child

STEPS = ["meeting", "seat-0", "seat-1", "commit", "committed", "outcome", "left-1"]


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


def test_the_last_to_leave_is_killed_at_each_step_of_the_removal(tmp_path: Path) -> None:
    killed, step = int(signal.SIGKILL), 0
    while killed:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        with opened(folder) as store:
            store["/doc"] = {"0": [], "1": []}
            id = store.new_tx(2, timeout=60).id
        has_left, leaves = os.pipe()

        def take_part(who: int, id: str = id, folder: Path = folder, leaves: int = leaves) -> None:
            with opened(folder) as store:
                result = _result(store, id, who)
                tell(folder / "told", [who, result.committed, result.commit])
            os.write(leaves, b".")

        def die(step: int = step, has_left: int = has_left) -> None:
            _die_in_removal(step, has_left)
            take_part(1)

        other = start_child(partial(take_part, 0))
        killed = in_child(die)
        join([other])
        for who in (0, 1):
            join([start_child(partial(take_part, who))])
        os.close(has_left)
        os.close(leaves)
        assert {tuple(one[1:]) for one in told(folder / "told")} == {(True, 2)}
        with opened(folder) as store:
            assert store["/doc"] == {"0": [0], "1": [1]}
            assert [commit.tx for commit in store.log()] == [None, id]
            meetings = FileMeetings(store._documents._files)  # type: ignore[attr-defined]
            assert meetings.notes(id) == {}
            meetings.sweep(-1)
            assert not os.listdir(folder / "store/.objstore/tx")
    assert step > 6  # one for each note that there is in the end


def _die_in_removal(step: int, has_left: int) -> None:
    """Leave when the other one has, and be killed before that step of removing the meeting."""
    leave, remove, entries, reached = Tx._leave, FileMeetings.remove, Files.entries, Files.reached
    steps = itertools.count(1)
    removing: list[str] = []

    def leave_last(self: Tx, seat: str) -> None:
        os.read(has_left, 1)
        leave(self, seat)

    def dying_remove(self: FileMeetings, id: str) -> None:
        removing.append(id)
        remove(self, id)

    def listed_last_first(self: Files, folder: str) -> list[Entry]:
        # The order is the system's; this one is the worst.
        return sorted(entries(self, folder), key=_is_of_who_joined)

    def dying(self: Files, point: str, path: str) -> None:
        if removing and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        reached(self, point, path)

    Tx._leave = leave_last  # type: ignore[method-assign]
    FileMeetings.remove = dying_remove  # type: ignore[method-assign]
    Files.entries = listed_last_first  # type: ignore[method-assign]
    Files.reached = dying  # type: ignore[assignment, method-assign]


def _is_of_who_joined(entry: Entry) -> bool:
    return entry.name.startswith(("meeting", "seat"))


def test_who_finds_the_commit_of_one_that_died_syncs_it_before_it_tells(tmp_path: Path) -> None:
    def die_before_the_sync(self: Files, point: str, path: str) -> None:
        if point == "sync data" and tx.id.encode() in Path(path).read_bytes():
            os.kill(os.getpid(), signal.SIGKILL)

    synced: list[bytes] = []

    def note_sync(self: Files, point: str, path: str) -> None:
        if point == "sync data":
            synced.append(Path(path).read_bytes())

    def take_part() -> None:
        Files.reached = die_before_the_sync  # type: ignore[assignment, method-assign]
        with objstore.open(tmp_path / "store") as store:
            store.get_tx(tx.id).patcher("/doc", [add("/x", 1)], name="one").commit()

    with objstore.open(tmp_path / "store") as store:
        store["/doc"] = {}
        tx = store.new_tx(1)
        assert in_child(take_part) == signal.SIGKILL
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Files, "reached", note_sync)
            assert tx.patcher("/doc", [add("/x", 1)], name="one").commit().commit == 2
        assert [tx.id.encode() in data for data in synced] == [True]


def test_who_is_interrupted_at_any_step_and_commits_again_is_told_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, reached = Files.entries, Files.reached
    step, steps = 0, itertools.count(1)

    def interrupting(self: Files, point: str, path: str) -> None:
        if next(steps) == step:
            raise KeyboardInterrupt
        reached(self, point, path)

    def listed_last_first(self: Files, folder: str) -> list[Entry]:
        return sorted(entries(self, folder), key=_is_of_who_joined)

    monkeypatch.setattr(Files, "reached", interrupting)
    monkeypatch.setattr(Files, "entries", listed_last_first)
    with opened(tmp_path) as store:
        store["/doc"] = {"0": []}
        was_interrupted, count = True, 0
        while was_interrupted:
            tx = store.new_tx(1)
            patcher = tx.patcher("/doc/0", [add("/-", count)])
            step, steps = count + 1, itertools.count(1)
            try:
                patcher.commit()
                was_interrupted = False
            except KeyboardInterrupt:
                pass
            step = 0
            result = patcher.commit()
            count += 1
            expected = (True, True, 1 + count, list(range(count)), None)
            assert result == expected == patcher.commit()
            assert [one.number for one in store.log() if one.tx == tx.id] == [1 + count]
            assert tx._meetings.notes(tx.id) == {}
        assert count > 20


def test_who_comes_again_after_a_stop_has_torn_notes_finds_the_commit(tmp_path: Path) -> None:
    """The newest notes are empty: they were not on the disk."""
    with opened(tmp_path) as store:
        store["/doc"] = {"0": [], "1": []}
        tx = store.new_tx(2, timeout=60)
        folder = tmp_path / "store/.objstore/tx" / tx.id
        other = start_child(lambda: _take_part_and_die(tmp_path, tx.id, "left-0"))
        tx._meetings.wait(tx.id, 1, None)
        died = in_child(lambda: _take_part_and_die(tmp_path, tx.id, "left-1"))
        os.waitpid(other, 0)
        assert died == signal.SIGKILL
        for note in folder.iterdir():
            if not _is_of_who_joined(Entry(note.name, is_file=True, is_folder=False)):
                note.write_bytes(b"")
        assert len(list(folder.iterdir())) > 3
        for who in (0, 1):
            assert _result(store, tx.id, who)[:4] == (True, True, 2, [who])
        assert store.head == 2


def _take_part_and_die(folder: Path, id: str, step: str) -> None:
    _die_at(step)
    with opened(folder) as store:
        _result(store, id, int(step[-1]))


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


def test_a_damaged_note_is_told_to_all_and_nothing_is_committed(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store["/doc"] = {"0": [], "1": []}
        tx = store.new_tx(2, timeout=60)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: _result(store, tx.id, 0))
            tx._meetings.wait(tx.id, 1, None)
            path = tmp_path / f"store/.objstore/tx/{tx.id}/seat-0.json"
            path.write_bytes(path.read_bytes().replace(b'"value":0', b'"value":1'))
            name = str(path.relative_to(tmp_path / "store"))
            [found] = store.check()
            assert (found.source, found.expected) == (name, "what was written there")
            other = tx.patcher("/doc/1", [add("/-", 1)])
            for commit in (other.commit, other.commit, lambda: _result(store, tx.id, 1)):
                with pytest.raises(objstore.CorruptionError) as caught:
                    commit()
                assert caught.value.file == name
            if not waiting.done():  # it looks when there is one note more or less
                tx._meetings.put(tx.id, "seat-1", {"who": "", "path": "", "patch": []})
            with pytest.raises(objstore.CorruptionError):
                waiting.result(timeout=30)
        assert store.head == 1
        assert store["/doc"] == {"0": [], "1": []}
    [said] = objstore.repair(tmp_path / "store")
    assert said.startswith(f".objstore/tx/{tx.id}: removed, as a note")
    with opened(tmp_path) as store:
        assert store.check() == []
        with pytest.raises(objstore.TransactionNotFoundError):
            store.get_tx(tx.id)
