"""The index of the event log: found again, made again, and never believed where it is wrong."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from objstore.backings.filesystem.events import eventindex, eventlog
from objstore.backings.filesystem.events.eventindex import key_of
from objstore.backings.filesystem.events.eventlog import SegmentRecordKeeper
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log import logappend
from objstore.backings.filesystem.log.logview import Position
from objstore.errors import BackingError, ReadOnlyError
from objstore.events import Event, EventLog
from tests.faults.crash_states import Quick
from tests.faults.seams import Failing


@pytest.fixture(autouse=True)
def _small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventindex, "_FULL", 20)
    monkeypatch.setattr(eventindex, "_MERGED", 4)
    monkeypatch.setattr(eventindex, "_NEAR", 500)


def root(folder: Path) -> Path:
    return folder / ".objstore/events"


def keeper(folder: Path, *, readonly: bool = False) -> SegmentRecordKeeper:
    return SegmentRecordKeeper(Quick(str(root(folder))), readonly=readonly)


def fill(folder: Path, count: int = 130) -> list[Event]:
    made = keeper(folder)
    made.exists(uuid4())
    added = [Event("n", n) for n in range(count)]
    for start in range(0, count, 3):
        made.extend(added[start : start + 3])
    made.close()
    return added


def runs(folder: Path) -> list[str]:
    return sorted(path.name for path in (root(folder) / "index").glob("*"))


def check(folder: Path, added: list[Event], made: SegmentRecordKeeper | None = None) -> None:
    made = made or keeper(folder)
    for position, event in enumerate(added, 1):
        assert made.read(event.uuid) == event
        assert made.locate(event.uuid) == position
        assert next(EventLog(made).since(position - 1)) == event
    assert not made.exists(uuid4())


def test_events_are_found_in_runs_and_behind_them(tmp_path: Path) -> None:
    added = fill(tmp_path)
    assert len(runs(tmp_path)) in range(2, 5), "some were merged"
    assert runs(tmp_path)[0].startswith("000000000001-0000000000")
    check(tmp_path, added)
    with_more = keeper(tmp_path)
    check(tmp_path, added, with_more)
    more = [Event("more", n) for n in range(70)]
    for event in more:
        with_more.add(event)
    check(tmp_path, [*added, *more], with_more)
    check(tmp_path, [*added, *more])


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The UUIDs that are put into an index, or looked for."""
    seen: list[bytes] = []

    def key(uuid: bytes) -> int:
        seen.append(uuid)
        return key_of(uuid)

    monkeypatch.setattr(eventindex, "key_of", key)
    return seen


@pytest.mark.parametrize("readonly", [False, True])
def test_a_run_that_is_there_is_not_made_again(
    tmp_path: Path, indexed: list[bytes], readonly: bool
) -> None:
    added = fill(tmp_path)
    before = {path: path.stat() for path in (root(tmp_path) / "index").iterdir()}
    indexed.clear()
    made = keeper(tmp_path, readonly=readonly)
    assert made.read(added[0].uuid) == added[0]
    assert 0 < len(indexed) < 70, "but for those behind the last run"
    check(tmp_path, added, made)
    assert {path: path.stat() for path in before} == before
    assert len(runs(tmp_path)) == len(before)


def test_without_its_index_a_log_has_it_again(tmp_path: Path) -> None:
    added = fill(tmp_path)
    before = runs(tmp_path)
    shutil.rmtree(root(tmp_path) / "index")
    check(tmp_path, added)
    assert runs(tmp_path) == before


@pytest.mark.parametrize("at", [0, 9, 20, 30, 50, 66, 70, 80, -1])
def test_a_damaged_run_is_made_again(tmp_path: Path, at: int) -> None:
    added = fill(tmp_path)
    for name in runs(tmp_path):
        path = root(tmp_path) / "index" / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
    check(tmp_path, added)
    check(tmp_path, added)


@pytest.mark.parametrize("size", [0, 8, 71, 72, 100])
def test_a_run_cut_short_is_made_again(tmp_path: Path, size: int) -> None:
    added = fill(tmp_path)
    for name in runs(tmp_path):
        path = root(tmp_path) / "index" / name
        path.write_bytes(path.read_bytes()[:size])
    check(tmp_path, added)


def test_runs_of_another_log_are_not_believed(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    added = fill(tmp_path / "other", 200)
    shutil.rmtree(root(tmp_path / "other") / "index")
    shutil.copytree(root(tmp_path / "one") / "index", root(tmp_path / "other") / "index")
    check(tmp_path / "other", added)


def test_runs_of_a_log_that_lost_its_end_are_not_believed(tmp_path: Path) -> None:
    """As where a machine stopped that did not sync: the log went on from an earlier event."""
    fill(tmp_path, 30)
    shutil.copytree(tmp_path, tmp_path / "earlier")
    made = keeper(tmp_path)
    made.exists(uuid4())
    made.extend([Event("lost", n) for n in range(60)])
    made.exists(uuid4())
    made.close()
    shutil.rmtree(root(tmp_path / "earlier") / "index")
    shutil.copytree(root(tmp_path) / "index", root(tmp_path / "earlier") / "index")
    made = keeper(tmp_path / "earlier")
    assert not made.exists(uuid4())
    added = list(EventLog(made))
    again = [Event("again", n) for n in range(60)]
    made.extend(again)
    check(tmp_path / "earlier", [*added, *again])


def restored(folder: Path) -> list[Event]:
    """A log that was set back to 30 events, and not its index: there are longer runs of others."""
    added = fill(folder, 30)
    shutil.copytree(root(folder) / "log", folder / "earlier")
    made = keeper(folder)
    for n in range(100):
        made.add(Event("lost", n))
        made.exists(uuid4())
    made.close()
    assert runs(folder)[0] > "000000000001-000000000080"
    shutil.rmtree(root(folder) / "log")
    shutil.copytree(folder / "earlier", root(folder) / "log")
    return added


def test_a_long_run_of_events_that_were_lost_hides_no_other(
    tmp_path: Path, indexed: list[bytes]
) -> None:
    added = restored(tmp_path)
    check(tmp_path, added)
    indexed.clear()
    keeper(tmp_path).read(added[0].uuid)
    assert len(indexed) < 20, "but for those behind the last run"
    lost = runs(tmp_path)[-1]
    made = keeper(tmp_path)
    for n in range(200):
        added.append(Event("again", n))
        made.add(added[-1])
    check(tmp_path, added, made)
    made.close()
    check(tmp_path, added)
    assert lost not in runs(tmp_path), "as it is known not to be of this log"


def test_each_run_is_of_this_log(tmp_path: Path) -> None:
    added = restored(tmp_path)
    stale = root(tmp_path) / "index" / runs(tmp_path)[0]
    data = stale.read_bytes()
    made = keeper(tmp_path)
    for n in range(120):
        added.append(Event("again", n))
        made.add(added[-1])
        made.exists(uuid4())
    made.close()
    assert stale.read_bytes() != data
    stale.write_bytes(data)
    check(tmp_path, added)


def test_leftovers_of_a_merge_are_passed_over(tmp_path: Path) -> None:
    added = fill(tmp_path, 60)
    shutil.copytree(root(tmp_path) / "index", tmp_path / "small")
    made = keeper(tmp_path)
    made.exists(uuid4())
    more = [Event("more", n) for n in range(70)]
    for event in more:
        made.add(event)
    check(tmp_path, [*added, *more], made)
    for path in (tmp_path / "small").iterdir():
        shutil.copy(path, root(tmp_path) / "index")
    check(tmp_path, [*added, *more])


def test_a_merge_that_cannot_be_written_leaves_what_it_is_of(
    tmp_path: Path, indexed: list[bytes]
) -> None:
    class Full(Files):
        __slots__ = ()

        def rename(self, path: str, target: str) -> None:
            name = Path(target).name
            if name.endswith(".run") and int(name[13:25]) - int(name[:12]) > 40:
                raise BackingError(errno.ENOSPC, "No space left on device", target)
            super().rename(path, target)

    made = SegmentRecordKeeper(Full(str(root(tmp_path))))
    made.exists(uuid4())
    added = [Event("n", n) for n in range(130)]
    for event in added:
        made.add(event)
    check(tmp_path, added, made)
    made.close()
    assert len(runs(tmp_path)) == 6
    indexed.clear()
    assert keeper(tmp_path, readonly=True).read(added[0].uuid) == added[0]
    assert len(indexed) < 20, "but for those behind the last run"
    check(tmp_path, added)


def test_where_no_index_can_be_written_it_is_in_memory(tmp_path: Path) -> None:
    added = fill(tmp_path)
    shutil.rmtree(root(tmp_path) / "index")
    check(tmp_path, added, keeper(tmp_path, readonly=True))
    files = Failing(root(tmp_path))
    files.fail("mkdir", ever=True)
    check(tmp_path, added, SegmentRecordKeeper(files))
    files.fail("rename", ever=True)
    check(tmp_path, added, SegmentRecordKeeper(files))
    assert runs(tmp_path) == []


def test_readonly_refuses_events(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with pytest.raises(ReadOnlyError, match="readonly=True"):
        keeper(tmp_path, readonly=True).add(Event("n"))
    with eventlog.open_events(str(tmp_path), readonly=True) as log:
        assert len(log) == 3


def test_uuids_of_one_key_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(uuid: bytes) -> int:
        return key_of(uuid) % 3

    monkeypatch.setattr(eventindex, "key_of", key)
    added = fill(tmp_path)
    check(tmp_path, added)


def test_a_file_is_ended_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "SEGMENT_SIZE", 4000)
    one, two = keeper(tmp_path), keeper(tmp_path)
    subscription = EventLog(two).subscribe(timeout=0)
    added: list[Event] = []
    for n in range(120):
        event = Event("n", n)
        (one, two)[n % 2].add(event)
        added.append(event)
    assert len(list((root(tmp_path) / "log").iterdir())) > 5
    for made in (one, two, keeper(tmp_path)):
        check(tmp_path, added, made)
        assert list(EventLog(made)) == added
        assert EventLog(made).verify().position == 120
    assert list(subscription) == added
    one.close()
    two.close()
    check(tmp_path, added)


def test_who_looks_between_the_end_of_a_file_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = keeper(tmp_path), EventLog(keeper(tmp_path))
    subscription = two.subscribe(timeout=0)
    one.add(Event("n", 0))
    seen: list[int] = []
    put_new = logappend.put_new

    def look_and_put(files: Files, path: str) -> None:
        if path.endswith(".log"):
            seen.extend(event.data for event in subscription)
        put_new(files, path)

    monkeypatch.setattr(logappend, "put_new", look_and_put)
    monkeypatch.setattr(eventlog, "SEGMENT_SIZE", 1)
    one.add(Event("n", 1))
    monkeypatch.undo()
    assert seen == [0, 1]
    one.add(Event("n", 2))
    assert [event.data for event in two.since(2)] == [2]
    assert [event.data for event in subscription] == [2]
    assert two.next(two[1].uuid) == two[2].uuid == two.tail()


def test_events_are_in_the_folder_of_the_store(tmp_path: Path) -> None:
    with eventlog.open_events(str(tmp_path / "store")) as log:
        assert not (tmp_path / "store").exists()
        log.append("n")
    names = {path.name for path in (tmp_path / "store/.objstore/events").iterdir()}
    assert names == {".gitignore", "lock", "log", "manifest.json"}
    assert [path.name for path in (tmp_path / "store/.objstore").iterdir()] == ["events"]


def test_the_key_is_the_one_on_the_page() -> None:
    uuid = UUID("96f76903-7b92-44d1-8e53-fc47a520684c")
    product = uuid.int * 0x9E3779B97F4A7C15F39CC0605CEDC835
    assert key_of(str(uuid).encode()) == product >> 64 & 0xFFFFFFFFFFFFFFFF
    assert Position(1, 2) == eventindex._unpack(eventindex._pack(Position(1, 2)))


def test_a_failed_append_leaves_the_index_right(tmp_path: Path) -> None:
    files = Failing(root(tmp_path))
    made = SegmentRecordKeeper(files)
    made.add(Event("n"))
    assert made.exists(made.tail() or uuid4())
    refused = Event("refused")
    files.fail("write at")
    with pytest.raises(BackingError):
        made.add(refused)
    files.mend()
    assert not made.exists(refused.uuid)
    made = SegmentRecordKeeper(Files(str(root(tmp_path))))
    made.add(refused)
    assert made.exists(refused.uuid)
