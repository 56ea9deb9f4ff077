"""A depot after crashes of the machine: every prefix, torn and reordered state of what it did."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from objstore import StorageError
from objstore.backings.filesystem import Depot
from objstore.backings.filesystem.blobs import blobwriter, export
from objstore.backings.filesystem.io import Opened
from objstore.depot import Identifier, ObjectStateT, Range
from tests.faults.crash_states import Quick, Recording
from tests.faults.depots import check_against, complete, depot_on, left, reboot

FIRST, SECOND = (Identifier(UUID(int=0x62A << 116 | n), 1) for n in (1, 2))
DATA = {
    FIRST: bytes(range(1, 251)) * 13,
    SECOND: bytes(range(250, 0, -1)) * 9,
}
Note = Callable[[str, Identifier], None]


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobwriter, "_NOTED", 700)
    monkeypatch.setattr(blobwriter, "_SYNCED", 1500)


def seeds_calls(depot: Depot, note: Note) -> None:
    """reserve, write, finalize, purge."""
    for identifier, data in DATA.items():
        depot.reserve(identifier, len(data))
        note("reserved", identifier)
        for at in (1000, 0):
            depot.write(identifier, at, data[at : at + 1000])
    for identifier, data in DATA.items():
        for missing in depot.missing_ranges(identifier):
            depot.write(identifier, missing.at, data[missing.at : missing.end])
        depot.finalize(identifier)
        note("finalized", identifier)
    note("purging", FIRST)
    depot.purge(FIRST)
    note("purged", FIRST)
    note("reserving", FIRST)
    depot.reserve(FIRST, None)
    note("reserved", FIRST)
    depot.write(FIRST, 0, DATA[FIRST][:1100])
    note("purging", FIRST)
    depot.purge(FIRST)
    note("purged", FIRST)


def file_objects(depot: Depot, note: Note) -> None:
    """create, sync, resume, truncate, put."""
    data = DATA[FIRST]
    blob = depot.create(identifier=FIRST)
    for at in range(0, 2400, 300):
        blob.write(data[at : at + 300])
        blob.flush()
    blob.truncate(2000)
    blob.seek(2000)
    blob.write(data[2000:2200])
    blob.sync()
    note("synced 2200", FIRST)
    blob.abandon()
    depot.put(DATA[SECOND], identifier=SECOND)
    note("finalized", SECOND)
    with depot.resume(FIRST) as blob:
        blob.write(data[blob.tell() :])
    note("finalized", FIRST)


@pytest.mark.parametrize("work", [seeds_calls, file_objects])
def test_every_state_that_a_crash_may_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Depot, Note], None]
) -> None:
    crash(tmp_path, monkeypatch, work, each=2)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("work", [seeds_calls, file_objects])
def test_many_states_that_a_crash_may_leave(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Depot, Note], None],
    seed: int,
) -> None:
    crash(tmp_path, monkeypatch, work, each=20, seed=seed)


def crash(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Depot, Note], None],
    *,
    each: int,
    seed: int = 0,
) -> None:
    (folder / "recorded").mkdir()
    files = Recording(folder / "recorded")
    reboot(monkeypatch, 1)
    work(depot_on(files), lambda what, identifier: files.note((what, identifier)))
    seen: set[tuple[ObjectStateT, ...]] = set()
    luck = random.Random(seed)  # noqa: S311
    at_the_end = files.crash_states(luck, 10 * each, since=len(files.events))
    for number, state in enumerate(chain(files.crash_states(luck, each), at_the_end)):
        reboot(monkeypatch, 2 + number)
        after = folder / f"{number}"
        after.mkdir()
        depot = depot_on(Quick(str(state.build(after))))
        seen.add(tuple(depot.state(identifier) for identifier in DATA))
        _check_promises(depot, dict((who, what) for what, who in state.notes))  # noqa: C402
        check_against(depot, DATA)
        _check_that_it_goes_on(depot)
    assert len(seen) >= 5, "of the nine states that two blobs may be in"


def _check_promises(depot: Depot, promises: dict[Identifier, Any]) -> None:
    """What was told to have happened has; what was begun since then may have, too."""
    for identifier, what in promises.items():
        state = depot.state(identifier)
        if what == "reserved" or what.startswith("synced"):
            assert state is not ObjectStateT.NONEXISTENT
        elif what == "finalized":
            assert state is ObjectStateT.READABLE
        elif what == "purged":
            assert state is ObjectStateT.NONEXISTENT
        if what.startswith("synced"):
            missing = depot.missing_ranges(identifier)
            assert all(one.at >= 2200 for one in missing), missing
            assert depot.info(identifier).size >= 2200


def _check_that_it_goes_on(depot: Depot) -> None:
    for identifier, data in DATA.items():
        complete(depot, identifier, data)
    assert depot.sweep() == []
    for identifier in DATA:
        assert {str(identifier), f"{identifier}.json"} <= left(depot)
    assert len(left(depot)) == 2 * len(DATA)


class ByHand(Recording):
    """What the kernel copies by itself is not recorded."""

    __slots__ = ()

    def copy_range(self, source: Opened, target: Opened, offset: int, size: int) -> None:
        return None


def _always(files: Recording) -> Callable[[str], Recording]:
    return lambda _: files


def test_a_crash_leaves_what_was_copied_out_whole_or_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = Depot(tmp_path)
    depot.put(DATA[FIRST], identifier=FIRST)
    folder = tmp_path / "recorded"
    folder.mkdir()
    (folder / "copy").write_bytes(b"before")
    files = ByHand(folder)
    monkeypatch.setattr(export, "Files", _always(files))
    depot.get_to(FIRST, folder / "copy")
    files.note("copied")
    seen: set[bytes] = set()
    for number, state in enumerate(files.crash_states(random.Random(1), 20)):  # noqa: S311
        after = tmp_path / f"{number}"
        after.mkdir()
        found = (state.build(after) / "copy").read_bytes()
        assert found == DATA[FIRST] or (found == b"before" and not state.notes)
        seen.add(found)
    assert len(seen) == 2


def test_what_was_not_synced_counts_for_this_run_of_the_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reboot(monkeypatch, 1)
    depot = Depot(tmp_path)
    depot.reserve(FIRST, 10)
    depot.write(FIRST, 0, b"abc")
    with depot.resume(FIRST) as blob:
        assert blob.tell() == 3
        blob.sync()
        blob.abandon()
    depot.write(FIRST, 5, b"de")
    assert depot.missing_ranges(FIRST) == [Range(3, 2), Range(7, 3)]
    reboot(monkeypatch, 2)
    assert depot.missing_ranges(FIRST) == [Range(3, 7)]
    depot.write(FIRST, 3, b"x")
    assert depot.missing_ranges(FIRST) == [Range(4, 6)]
    depot.finalize(FIRST, zeroes=True)
    assert depot.read(FIRST, 0, 10) == b"abcx\0\0\0\0\0\0", "what did not count is zero"


def test_a_blob_of_any_length_is_not_cut_short_by_a_stop_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reboot(monkeypatch, 1)
    depot = Depot(tmp_path)
    blob = depot.create(identifier=FIRST)
    blob.write(b"abc")
    blob.sync()
    blob.write(b"defgh")
    blob.flush()
    blob.abandon()
    reboot(monkeypatch, 2)
    assert depot.missing_ranges(FIRST) == [Range(3, 5)]
    with pytest.raises(StorageError, match="5 bytes were never written, the first at 3"):
        depot.finalize(FIRST)
    with depot.resume(FIRST) as blob:
        assert blob.truncate() == 3, "whoever wants no more of it says so"
    assert depot.read(FIRST, 0, 9) == b"abc"
