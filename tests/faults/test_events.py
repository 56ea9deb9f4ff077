"""Record keepers on files after crashes, kills, on full disks and with flipped bits."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID

import pytest

from objstore.backings.filesystem.events.eventlog import SegmentRecordKeeper
from objstore.backings.filesystem.events.records import RecordKeeper as TreeRecordKeeper
from objstore.backings.filesystem.io import Files
from objstore.errors import BackingError, CorruptionError, VerificationError
from objstore.events import Event, EventLog, RecordKeeper
from tests.faults.crash_states import CrashState, Deadly, Mortal, Quick, Recording
from tests.faults.logs import small_steps
from tests.faults.machine import in_child, mounted, start_child
from tests.faults.seams import Failing


class Maker(NamedTuple):
    name: str
    on: Callable[[Files], RecordKeeper]
    is_whole: bool
    """Whether a call of ``extend`` is there as a whole or not at all."""


pytestmark = pytest.mark.damage

SEGMENTS = Maker("segments", SegmentRecordKeeper, is_whole=True)
TREE = Maker("tree", TreeRecordKeeper, is_whole=False)


@pytest.fixture(params=[SEGMENTS, TREE], ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


@pytest.fixture
def states() -> Iterator[Path]:
    """Where states are built: in memory, where the machine has files there."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="objstore-test-", dir=memory) as folder:
        yield Path(folder) / "state"


def place(folder: Path, maker: Maker = SEGMENTS) -> Path:
    """As the event log of a store lies; the tree has the folder to itself."""
    return folder / ".objstore/events" if maker.is_whole else folder


def walk(keeper: RecordKeeper) -> list[Event]:
    """All events, as seed 000 walks them, and as the log has them."""
    walked: list[Event] = []
    uuid = keeper.next()
    while uuid is not None:
        walked.append(keeper.read(uuid))
        assert keeper.exists(uuid)
        uuid = keeper.next(uuid)
    assert keeper.tail() == (walked[-1].uuid if walked else None)
    assert list(EventLog(keeper)) == walked
    assert EventLog(keeper).verify().position == len(walked)
    return walked


# Crash states


class Workload:
    """Two handles take turns; what they append, and in which calls."""

    def __init__(self, maker: Maker, files: Recording, seed: int = 0) -> None:
        self.maker = maker
        self.files = files
        self.random = Random(seed)  # noqa: S311
        self.calls: list[list[Event]] = []
        self.is_whole = maker.is_whole

    @property
    def appended(self) -> list[Event]:
        return [event for call in self.calls for event in call]

    def uuid(self) -> UUID:
        """One of few folders, as most of the time goes into making and removing them."""
        return UUID(int=self.random.getrandbits(117) | self.random.getrandbits(1) << 127)

    def extend(self, keeper: RecordKeeper, count: int) -> None:
        size = self.random.choice((0, 100, 700))
        call = [Event("n", {"n": n, "fill": "x" * size}, uuid=self.uuid()) for n in range(count)]
        self.calls.append(call)
        keeper.extend(call)
        if self.files.sync:
            self.files.note(len(self.appended))

    def run(self, turns: int = 4) -> None:
        one, two = self.maker.on(self.files), self.maker.on(self.files)
        for _ in range(turns):
            self.extend(one, 1)
            self.extend(one, 3)
            self.extend(two, 1)
            self.extend(two, 2)
        one.close()
        self.extend(two, 1)

    def check_all(self, folder: Path, each: int, since: int = 0) -> int:
        checked = 0
        for state in self.files.crash_states(self.random, each, since):
            self.check(state, folder)
            shutil.rmtree(folder, ignore_errors=True)
            checked += 1
        return checked

    def check(self, state: CrashState, folder: Path) -> None:
        """What was reported is there, in order, nothing twice; and the log goes on."""
        there = place(folder, self.maker)
        there.mkdir(parents=True)
        files = Quick(str(state.build(there)))
        found = walk(self.maker.on(files))
        assert max(state.notes, default=0) <= len(found)
        assert found == self.appended[: len(found)]
        if self.is_whole:
            assert len(found) in self.sums()
        keeper = self.maker.on(files)
        rest = self.appended[: len(found) + 2]
        keeper.extend(rest)
        keeper.add(Event("fresh"))
        again = walk(self.maker.on(files))
        assert again[:-1] == rest
        keeper.add(Event("fresh"))
        assert len(walk(keeper)) == len(rest) + 2

    def sums(self) -> set[int]:
        """How many events there were before and after each call."""
        sums = {0}
        for call in self.calls:
            sums.add(max(sums) + len(call))
        return sums


@pytest.mark.parametrize("seed", range(2))
def test_line_3_whatever_a_crash_leaves_nothing_reported_is_lost(
    maker: Maker, tmp_path: Path, states: Path, seed: int
) -> None:
    workload = Workload(maker, Recording(place(tmp_path / "store", maker)), seed)
    workload.run(turns=2)
    assert workload.check_all(states, each=3) > 150


def test_without_sync_what_a_crash_leaves_of_segments_is_whole(
    tmp_path: Path, states: Path
) -> None:
    workload = Workload(SEGMENTS, Recording(place(tmp_path / "store"), sync=False))
    workload.run(turns=2)
    assert workload.check_all(states, each=3) > 60


def crashes_after_kills(maker: Maker, folder: Path, states: Path, every: int, each: int) -> int:
    """The machine stops some time after a process was killed; how many states were checked."""
    checked, died, nth = 0, True, 1
    while died:
        files = Mortal(place(folder / f"store-{nth}", maker))
        workload = Workload(maker, files, seed=nth)
        died = files.kills(nth, lambda w=workload: w.run(turns=1))  # type: ignore[misc]
        since = len(files.events)
        heir = maker.on(files)
        there = walk(heir)
        assert there == workload.appended[: len(there)]
        workload.calls = [[event] for event in there]
        workload.extend(heir, 1)
        workload.extend(maker.on(files), 2)
        workload.is_whole = False
        checked += workload.check_all(states, each, since)
        nth += every
    return checked


def test_a_crash_after_a_killed_process(maker: Maker, tmp_path: Path, states: Path) -> None:
    assert crashes_after_kills(maker, tmp_path, states, every=6, each=1) > 100


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 14))
def test_many_crashes(maker: Maker, tmp_path: Path, states: Path, seed: int) -> None:
    workload = Workload(maker, Recording(place(tmp_path / "store", maker)), seed)
    workload.run(turns=4)
    assert workload.check_all(states, each=15) > 1000
    assert crashes_after_kills(maker, tmp_path / "kills", states, every=1, each=3) > 1000


# Processes


def append_for_ever(maker: Maker, folder: Path, told: Path, who: int) -> None:
    """Appends, and notes each UUID once it was told that the event is durable."""
    keeper = maker.on(Quick(str(folder)))
    with told.open("ab", buffering=0) as notes:
        for count in range(10**9):
            append_and_note(keeper, notes, who, count)
            if count % 25 == 24:
                keeper.close()
                keeper = maker.on(Quick(str(folder)))


def append_together_for_ever(maker: Maker, folder: Path, told: Sequence[Path], who: int) -> None:
    """The same by a thread for each file of ``told``, with one keeper."""
    keeper = maker.on(Quick(str(folder)))

    def work(path: Path) -> None:
        with path.open("ab", buffering=0) as notes:
            for count in range(10**9):
                append_and_note(keeper, notes, who, count)

    with ThreadPoolExecutor(len(told)) as pool:
        for _ in pool.map(work, told):
            pass


def append_and_note(keeper: RecordKeeper, notes: FileIO, who: int, count: int) -> None:
    call = [Event("n", {"who": who, "fill": "x" * (count % 700)})]
    if count % 3 == 2:
        call.append(Event("second", {"who": who}))
    keeper.extend(call)
    notes.write(b"".join(b"%b\n" % str(event.uuid).encode() for event in call))


def told_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def kill_writers(maker: Maker, folder: Path, rounds: int) -> None:
    """Four processes append, two of them by threads, and are killed again and again."""
    folder.mkdir(exist_ok=True)
    store, told = place(folder / "store", maker), [folder / f"told-{who}" for who in range(10)]
    moments = Random(rounds)  # noqa: S311
    places: dict[str, int] = {}
    reader = maker.on(Quick(str(store)))
    for _ in range(rounds):
        known = sum(len(told_of(path)) for path in told)
        children = [
            start_child(lambda: append_for_ever(maker, store, told[0], 0)),
            start_child(lambda: append_for_ever(maker, store, told[1], 1)),
            start_child(lambda: append_together_for_ever(maker, store, told[2:6], 2)),
            start_child(lambda: append_together_for_ever(maker, store, told[6:], 3)),
        ]
        while sum(len(told_of(path)) for path in told) == known:
            time.sleep(0.001)
        time.sleep(moments.random() * 0.03)
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        found = [str(event.uuid) for event in walk(maker.on(Quick(str(store))))]
        assert [str(event.uuid) for event in walk(reader)] == found, "all readers see the same"
        assert len(set(found)) == len(found)
        places = {uuid: at for at, uuid in enumerate(found)}
        for path in told:
            order = [places[uuid] for uuid in told_of(path)]
            assert order == sorted(order)
    assert EventLog(maker.on(Quick(str(store)))).verify().position == len(places)


def test_line_3_killed_writers_lose_nothing_that_was_reported(maker: Maker, tmp_path: Path) -> None:
    kill_writers(maker, tmp_path, rounds=8)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_many_killed_writers(maker: Maker, tmp_path: Path) -> None:
    for part in range(10):
        kill_writers(maker, tmp_path / str(part), rounds=25)


def test_killed_at_every_step(maker: Maker, tmp_path: Path) -> None:
    added = [Event("n", n) for n in range(4)]

    def work(folder: Path, nth: int) -> None:
        keeper = maker.on(Deadly(folder, nth))
        keeper.add(added[0])
        keeper.extend(added[1:3])
        keeper.add(added[3])
        keeper.close()

    ended_by, nth = int(signal.SIGKILL), 0
    while ended_by:
        nth += 1
        folder = place(tmp_path / str(nth), maker)
        ended_by = in_child(lambda: work(folder, nth))  # noqa: B023
        assert ended_by in (0, signal.SIGKILL)
        files = Quick(str(folder))
        found = walk(maker.on(files))
        assert found == added[: len(found)]
        maker.on(files).extend(added)
        assert walk(maker.on(files)) == added
    assert nth > 15


def test_a_forked_child_appends_too(maker: Maker, tmp_path: Path) -> None:
    keeper = maker.on(Quick(str(tmp_path)))
    keeper.add(Event("parent"))
    assert in_child(lambda: keeper.add(Event("child"))) == 0
    keeper.add(Event("parent"))
    assert [event.type for event in walk(keeper)] == ["parent", "child", "parent"]


# Steps that fail


def test_every_step_may_fail(maker: Maker, tmp_path: Path) -> None:
    """Whatever fails, an event whose add failed is there as a whole or not, and the log is good."""
    probe = Failing(place(tmp_path / "probe", maker))
    added = [Event("n", n) for n in range(3)]
    maker.on(probe).extend(added[:1])
    maker.on(probe).extend(added[1:])
    failed = 0
    for step, (point, _) in enumerate(probe.reached_points):
        nth = sum(one == point for one, _ in probe.reached_points[: step + 1])
        files = Failing(place(tmp_path / str(step), maker), error=errno.EIO)
        files.fail(point, nth)
        done = 0
        with contextlib.suppress(BackingError):
            keeper = maker.on(files)
            for call in (added[:1], added[1:]):
                keeper.extend(call)
                done += len(call)
        failed += done < len(added)
        files.mend()
        found = walk(maker.on(files))
        assert found == added[: len(found)]
        assert len(found) >= done
        maker.on(files).extend(added)
        assert walk(maker.on(files)) == added
    assert failed > 10


def test_after_a_failed_sync_a_handle_adds_no_more(maker: Maker, tmp_path: Path) -> None:
    files = Failing(place(tmp_path, maker))
    keeper = maker.on(files)
    keeper.add(Event("first"))
    files.fail("sync data" if maker is SEGMENTS else "sync folder")
    with pytest.raises(BackingError, match="cannot sync"):
        keeper.add(Event("second"))
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        keeper.add(Event("third"))
    maker.on(files).add(Event("third"))
    assert [event.type for event in walk(maker.on(files))][-1] == "third"


# Disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    with mounted(tmp_path, "size=256k,nr_inodes=200"):
        yield tmp_path


def test_a_full_disk_refuses_events_and_keeps_those_it_has(maker: Maker, disk: Path) -> None:
    keeper = maker.on(Files(str(disk)))
    told = 0
    with pytest.raises(BackingError, match="No space left on device") as caught:
        while True:
            keeper.add(Event("n", {"fill": "x" * 3000}))
            told += 1
    assert caught.value.errno == errno.ENOSPC
    assert told > 10
    found = walk(keeper)
    assert len(found) == told == len(walk(maker.on(Files(str(disk)))))
    if maker is TREE:
        names = [path.name for path in disk.rglob("*-*-*-*-*") if path.suffix not in ("", ".next")]
        assert names == [], "nothing is left of what did not fit"


# Flipped bits


def files_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_an_event_is_found(maker: Maker, tmp_path: Path, states: Path) -> None:
    whole = place(tmp_path / "whole", maker)
    keeper = maker.on(Quick(str(whole)))
    keeper.extend([Event("n", {"n": n, "x": 1.5}, author="me") for n in range(3)])
    keeper.close()
    head = EventLog(maker.on(Quick(str(whole)))).verify()
    bits = Random(5)  # noqa: S311
    found = 0
    for path in files_below(whole):
        if path.name in ("lock", ".gitignore", "manifest.json"):
            continue
        for bit in bits.sample(range(8 * path.stat().st_size), 60):
            damaged = place(states, maker)
            shutil.copytree(whole, damaged, symlinks=True)
            flip(damaged / path.relative_to(whole), bit)
            with pytest.raises((VerificationError, CorruptionError)):
                EventLog(maker.on(Quick(str(damaged)))).verify(head=head)
            found += 1
            shutil.rmtree(states)
    assert found >= 60


def test_verify_names_the_event_that_was_damaged(maker: Maker, tmp_path: Path) -> None:
    keeper = maker.on(Quick(str(tmp_path)))
    added = [Event("n", {"n": n, "fill": "x" * 200}) for n in range(5)]
    for event in added:
        keeper.add(event)
    needle = b'{"fill":"xxx'
    if maker is TREE:
        path = next(tmp_path.rglob(str(added[2].uuid)))
        at = path.read_bytes().index(needle)
    else:
        path = next(tmp_path.rglob("00000001-a.log"))
        at = -1
        for _ in range(3):
            at = path.read_bytes().index(needle, at + 1)
    flip(path, 8 * (at + 10))
    with pytest.raises(VerificationError, match=r"^event 3") as caught:
        EventLog(keeper).verify()
    assert caught.value.position == 3
    if maker is TREE:
        assert caught.value.uuid == added[2].uuid


def test_a_link_to_nothing_is_damage(tmp_path: Path) -> None:
    keeper = TreeRecordKeeper(Quick(str(tmp_path)))
    keeper.extend([Event("n"), Event("n")])
    next(tmp_path.rglob(str(keeper.tail()))).unlink()
    keeper = TreeRecordKeeper(Quick(str(tmp_path)))
    with pytest.raises(VerificationError, match="event 2"):
        EventLog(keeper).verify()
    with pytest.raises(CorruptionError):
        keeper.add(Event("n"))


def test_a_link_that_is_none_is_damage(tmp_path: Path) -> None:
    keeper = TreeRecordKeeper(Quick(str(tmp_path)))
    keeper.add(Event("n"))
    (tmp_path / "rk/head").unlink()
    (tmp_path / "rk/head").symlink_to("/etc/passwd")
    with pytest.raises(CorruptionError, match="expected a link to an event"):
        TreeRecordKeeper(Quick(str(tmp_path))).next()
