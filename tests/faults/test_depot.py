"""A depot on media that fail, of processes that die, and with bytes that rot."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from objstore import BackingError, CorruptionError, ObjstoreError, StorageError
from objstore.backings.filesystem import Depot
from objstore.backings.filesystem.blobs import blobwriter
from objstore.backings.filesystem.io import Files, Opened, UncertainError
from objstore.backings.filesystem.log import manifest
from objstore.depot import Identifier, ObjectStateT, Range
from tests.faults.crash_states import Deadly, Quick
from tests.faults.depots import check_against, complete, depot_on, left, reboot
from tests.faults.machine import in_child, mounted, remount_readonly, start_child
from tests.faults.seams import Failing

ONE, OTHER = (Identifier(UUID(int=0x62A << 116 | n), 1) for n in (1, 2))
DATA = bytes(range(1, 251)) * 13


def reserve(depot: Depot) -> None:
    depot.reserve(ONE, len(DATA))


def write(depot: Depot) -> None:
    depot.write(ONE, 0, DATA)


def finalize(depot: Depot) -> None:
    depot.finalize(ONE)


def purge(depot: Depot) -> None:
    depot.purge(ONE)


def put(depot: Depot) -> None:
    depot.put(DATA, identifier=ONE)


def nothing(depot: Depot) -> None:
    """Not even what comes before."""


def written(depot: Depot) -> None:
    reserve(depot)
    write(depot)


WORKS = [
    *((nothing, reserve), (reserve, write), (written, finalize), (written, purge)),
    *((put, purge), (nothing, put)),
]


def points(folder: Path, before: Callable[[Depot], None], work: Callable[[Depot], None]) -> int:
    before(depot_on(Quick(str(folder))))
    files = Failing(folder)
    work(depot_on(files))
    shutil.rmtree(folder)
    return len(files.reached_points)


class FailingOnce(Failing):
    """Fails at the ``nth`` fault point, whatever it is."""

    __slots__ = ("nth",)
    nth: int

    def reached(self, point: str, path: str) -> None:
        self.nth -= 1
        if self.nth == 0:
            self.at = point
            raise OSError(self.error, os.strerror(self.error), path)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize(("before", "work"), WORKS)
def test_whatever_step_fails_the_depot_goes_on(
    tmp_path: Path, before: Callable[[Depot], None], work: Callable[[Depot], None], error: int
) -> None:
    count = points(tmp_path / "count", before, work)
    assert count
    for nth in range(1, count + 1):
        folder = tmp_path / str(nth)
        before(depot_on(Quick(str(folder))))
        files = FailingOnce(folder, error=error)
        files.nth = nth
        depot = depot_on(files)
        with pytest.raises(BackingError) as caught:
            work(depot)
        assert caught.value.errno == error
        assert isinstance(caught.value, UncertainError) == files.at.startswith("sync")
        check_against(depot, {ONE: DATA})
        if work is reserve and not files.at.startswith("sync"):
            assert left(depot) == set(), "nothing is left of a reservation that failed"
        complete(depot, ONE, DATA)
        check_against(Depot(folder), {ONE: DATA})
        assert depot.sweep(timedelta(0)) == []
        assert left(depot) == {str(ONE), f"{ONE}.json"}


def test_what_a_failed_sync_may_have_lost_is_missing(tmp_path: Path) -> None:
    files = Failing(tmp_path)
    depot = depot_on(files)
    blob = depot.create(len(DATA), identifier=ONE)
    blob.write(DATA[:1000])
    blob.sync()
    blob.write(DATA[1000:])
    files.fail("sync data")
    with pytest.raises(UncertainError, match=r"cannot sync .*\.wr"):
        blob.sync()
    files.mend()
    # Another sync would say that all is well, as the kernel reports a failure once.
    with pytest.raises(StorageError, match="2250 bytes were never written, the first at 1000"):
        blob.close()
    other = Depot(tmp_path)
    other.write(ONE, 1000, DATA[1000:])
    other.finalize(ONE)
    assert other.read(ONE, 0, 9999) == DATA


@pytest.mark.parametrize("kept", [0, 1000])
@pytest.mark.parametrize("by", ["sync", "close"])
def test_a_blob_of_any_length_is_not_cut_short_by_a_failed_sync(
    tmp_path: Path, kept: int, by: str
) -> None:
    files = Failing(tmp_path)
    depot = depot_on(files)
    blob = depot.create(identifier=ONE)
    blob.write(DATA[:kept])
    blob.sync()
    blob.write(DATA[kept:])
    files.fail("sync data")
    with pytest.raises(UncertainError, match=r"cannot sync .*\.wr"):
        blob.sync() if by == "sync" else blob.close()
    files.mend()
    end = blob.close if by == "sync" else lambda: depot.finalize(ONE)
    lost = len(DATA) - kept
    with pytest.raises(StorageError, match=f"{lost} bytes were never written, the first at {kept}"):
        end()
    assert depot.missing_ranges(ONE) == [Range(kept, lost)]
    assert depot.info(ONE).size == len(DATA)
    with depot.resume(ONE) as again:
        assert again.tell() == kept
        again.write(DATA[kept:])
    assert depot.read(ONE, 0, 9999) == DATA


def test_what_was_sought_over_is_zero_and_what_a_failed_sync_lost_is_not(tmp_path: Path) -> None:
    files = Failing(tmp_path)
    blob = depot_on(files).create(identifier=ONE)
    blob.write(DATA[:1000])
    blob.seek(2000)
    blob.write(DATA[2000:])
    files.fail("sync data")
    with pytest.raises(UncertainError, match=r"cannot sync .*\.wr"):
        blob.sync()
    files.mend()
    words = f"{len(DATA) - 1000} bytes were never written, the first at 0"
    with pytest.raises(StorageError, match=words):
        blob.close()


def test_a_failure_to_sync_beside_the_writing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobwriter, "_SYNCED", 1000)
    files = Failing(tmp_path)
    depot = depot_on(files)
    blob = depot.create(identifier=ONE)
    files.fail("sync data")
    with pytest.raises(UncertainError, match="cannot sync"):
        for at in range(0, 9999, 500):
            blob.write(DATA[at : at + 500])
            blob.flush()
        blob.close()
    blob.abandon()
    assert depot.state(ONE) is ObjectStateT.WRITABLE


def test_after_a_rename_that_was_not_synced_the_error_says_so(tmp_path: Path) -> None:
    files = Failing(tmp_path)
    depot = depot_on(files)
    written(depot)
    files.fail("sync folder")
    with pytest.raises(UncertainError, match="cannot sync depot/6/2/a"):
        depot.finalize(ONE)
    files.mend()
    assert depot.state(ONE) is ObjectStateT.READABLE
    with pytest.raises(StorageError, match="was finalized already"):
        depot.finalize(ONE)
    depot.sweep()
    assert left(depot) == {str(ONE), f"{ONE}.json"}


def test_a_digest_is_not_of_what_could_not_be_written(tmp_path: Path) -> None:
    files = Failing(tmp_path, error=errno.ENOSPC)
    depot = depot_on(files)
    blob = depot.create(identifier=ONE)
    files.fail("write at")
    with pytest.raises(BackingError, match="No space left on device"):
        blob.feed(memoryview(DATA))
    files.mend()
    blob.seek(len(DATA))
    blob.feed(memoryview(b"more"))
    blob.finalize(zeroes=True)
    assert depot.read(ONE, 0, 9999) == bytes(len(DATA)) + b"more"
    assert depot.scrub().sound == 1


# Processes that die


def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reboot(monkeypatch, 1)

    def work(folder: Path, nth: int) -> None:
        depot = depot_on(Deadly(folder, nth))
        depot.reserve(ONE, len(DATA))
        for at in (1000, 0, 2000, 3000):
            depot.write(ONE, at, DATA[at : at + 1000])
        depot.put(DATA, identifier=OTHER)
        depot.finalize(ONE)
        depot.purge(OTHER)

    ended_by, nth = int(signal.SIGKILL), 0
    states: list[tuple[ObjectStateT, int]] = []
    while ended_by:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        ended_by = in_child(lambda: work(folder, nth))  # noqa: B023
        assert ended_by in (0, signal.SIGKILL)
        depot = depot_on(Quick(str(folder)))
        check_against(depot, {ONE: DATA, OTHER: DATA})
        state = depot.state(ONE)
        gone = state is ObjectStateT.NONEXISTENT
        missing = 0 if gone else sum(one.size for one in depot.missing_ranges(ONE))
        states.append((state, missing))
        complete(depot, ONE, DATA)
        complete(depot, OTHER, DATA)
        depot.sweep()
        assert len(left(depot)) == 4
    assert nth > 40
    # What was written is told even of a process that was killed, but for its last write.
    seen = [missing for state, missing in states if state is ObjectStateT.WRITABLE]
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {3250, 2250, 1250, 250, 0}


def test_bytes_that_a_killed_process_did_not_note_are_none(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    path = tmp_path / f"depot/6/2/a/{ONE}.wr"
    for last in ("finalize", "truncate"):
        depot.reserve(ONE, None)
        depot.write(ONE, 0, b"hello")
        with path.open("ab") as file:
            file.write(b"not noted")
        assert depot.info(ONE).size == 5
        blob = depot.resume(ONE)
        assert blob.tell() == 5
        if last == "truncate":
            blob.truncate(10)
        blob.close()
        assert depot.read(ONE, 0, 99) == b"hello" + (b"\0" * 5 if last == "truncate" else b"")
        depot.purge(ONE)
    depot.reserve(ONE, 8)
    path.write_bytes(b"not note")
    depot.write(ONE, 0, b"hello")
    depot.finalize(ONE, zeroes=True)
    assert depot.read(ONE, 0, 99) == b"hello\0\0\0"


def write_parts_for_ever(folder: Path, who: int) -> None:
    """Writes the blocks whose turn it is, in an order of its own, and notes none twice."""
    depot = depot_on(Quick(str(folder)))
    order = random.Random(who)  # noqa: S311
    while True:
        missing = depot.missing_ranges(ONE)
        if not missing:
            return
        at = order.choice(missing).at // 100 * 100
        depot.write(ONE, at, DATA[at : at + 100])


def test_parts_of_processes_that_are_killed(tmp_path: Path) -> None:
    depot = depot_on(Quick(str(tmp_path)))
    moments = random.Random(5)  # noqa: S311
    for _ in range(8):
        depot.reserve(ONE, len(DATA))
        children = [start_child(partial(write_parts_for_ever, tmp_path, who)) for who in range(4)]
        while sum(one.size for one in depot.missing_ranges(ONE)) == len(DATA):
            time.sleep(0.001)
        time.sleep(moments.random() * 0.02)
        for child in children[:3]:
            os.kill(child, signal.SIGKILL)
        for child in children:
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        depot.finalize(ONE)
        assert depot.read(ONE, 0, 9999) == DATA
        depot.purge(ONE)


def test_of_processes_that_finalize_at_once_one_does(tmp_path: Path) -> None:
    depot = depot_on(Quick(str(tmp_path)))
    for n in range(10):
        identifier = Identifier(ONE.uuid, n)
        depot.reserve(identifier, len(DATA))
        depot.write(identifier, 0, DATA)

        def finalize_it(identifier: Identifier = identifier) -> None:
            depot_on(Quick(str(tmp_path))).finalize(identifier)
            (tmp_path / f"{identifier}-{os.getpid()}").touch()

        def attempt(work: Callable[[], None] = finalize_it) -> None:
            try:
                work()
            except StorageError as error:
                assert "finalized already" in str(error)  # noqa: PT017

        for child in [start_child(attempt) for _ in range(3)]:
            assert os.waitpid(child, 0)[1] == 0
        assert len(list(tmp_path.glob(f"{identifier}-*"))) == 1
        assert depot.read(identifier, 0, 9999) == DATA


def test_sweeping_spares_what_another_process_has_open(tmp_path: Path) -> None:
    depot = depot_on(Quick(str(tmp_path)))
    read_end, write_end = os.pipe()

    def hold() -> None:
        blob = depot.create(identifier=ONE)
        blob.write(b"x")
        blob.flush()
        os.write(write_end, b"!")
        time.sleep(600)

    child = start_child(hold)
    assert os.read(read_end, 1) == b"!"
    depot.reserve(OTHER, 1)
    assert depot.sweep(timedelta(0)) == [OTHER]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert depot.sweep(timedelta(0)) == [ONE]


@pytest.mark.parametrize("act", ["finalize", "write"])
def test_sweeping_spares_what_is_finalized_or_written_to_as_it_comes(
    tmp_path: Path, act: str
) -> None:
    class BesideAnother(Files):
        """Somebody else comes as the ranges are looked at."""

        def open(self, path: str, *, write: bool = False, append: bool = False) -> Opened | None:
            if path.endswith(".ranges") and act not in done:
                done.append(act)
                other = Depot(tmp_path, durability="os")
                other.finalize(ONE) if act == "finalize" else other.write(ONE, 0, DATA)
            return super().open(path, write=write, append=append)

    done: list[str] = []
    written(Depot(tmp_path, durability="os"))
    long_ago = time.time() - 7200
    os.utime(tmp_path / f"depot/6/2/a/{ONE}.wr", (long_ago, long_ago))
    assert depot_on(BesideAnother(str(tmp_path))).sweep(timedelta(hours=1)) == []
    assert done == [act]
    complete(Depot(tmp_path), ONE, DATA)


# Disks that are full, or read-only


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    with mounted(tmp_path, "size=256k,nr_inodes=40"):
        yield tmp_path


def test_a_full_disk_refuses_bytes_and_keeps_those_it_has(disk: Path) -> None:
    depot = Depot(disk)
    kept = depot.put(DATA)
    depot.reserve(ONE, 10**9)
    assert (disk / f"depot/6/2/a/{ONE}.wr").stat().st_blocks == 0, "a reservation takes no space"
    step = 32 * 1024
    with pytest.raises(BackingError, match="No space left on device") as caught:
        for at in range(0, 10**9, step):
            depot.write(ONE, at, b"x" * step)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(BackingError, match="No space left on device"):
        depot.put(b"y" * 10**6)
    assert depot.read(kept, 0, 9999) == DATA
    [first, *_] = depot.missing_ranges(ONE)
    assert first.at % step == 0
    assert first.at >= 3 * step
    depot.purge(ONE)
    depot.sweep(timedelta(0))
    assert depot.read(depot.put(b"y" * step), 0, step) == b"y" * step


def test_a_disk_without_inodes_refuses_to_reserve(disk: Path) -> None:
    depot = Depot(disk)
    depot.put(b"first", identifier=OTHER)
    for n in range(100):
        try:
            (disk / str(n)).touch()
        except OSError:
            break
    os.unlink(disk / "0")
    with pytest.raises(BackingError, match="No space left on device"):
        depot.reserve(ONE, 5)
    assert depot.state(ONE) is ObjectStateT.NONEXISTENT
    os.unlink(disk / "1")
    os.unlink(disk / "2")
    os.unlink(disk / "3")
    depot.put(b"hello", identifier=ONE)
    assert depot.read(ONE, 0, 9) == b"hello"


def test_a_read_only_disk_can_be_read(disk: Path) -> None:
    depot = Depot(disk)
    depot.put(DATA, identifier=ONE)
    depot.reserve(OTHER, 5)
    remount_readonly(disk)
    assert depot.read(ONE, 0, 9999) == DATA
    assert depot.scrub().sound == 1
    assert [info.size for info in depot.blobs()] == [len(DATA), 5]
    assert sum(one.size for one in depot.missing_ranges(OTHER)) == 5
    refused: list[Callable[[], object]] = [
        lambda: depot.write(OTHER, 0, b"x"),
        lambda: depot.purge(ONE),
        lambda: depot.reserve(Identifier.new(), 1),
        lambda: depot.finalize(OTHER, zeroes=True),
    ]
    for call in refused:
        with pytest.raises(BackingError, match="Read-only file system"):
            call()


# Rot


def test_flipped_bits_are_found_by_scrubbing(tmp_path: Path) -> None:
    depot = Depot(tmp_path, durability="os")
    depot.put(DATA, identifier=ONE)
    depot.put(DATA, identifier=OTHER, meta={"name": "other"})
    for blob in (ONE, OTHER):
        for path in (tmp_path / f"depot/6/2/a/{blob}", tmp_path / f"depot/6/2/a/{blob}.json"):
            sound = path.read_bytes()
            for bit in random.Random(1).sample(range(8 * len(sound)), 60):  # noqa: S311
                rotten = bytearray(sound)
                rotten[bit // 8] ^= 1 << bit % 8
                path.write_bytes(rotten)
                found = depot.scrub()
                assert found.sound == 1
                assert [damage.identifier for damage in found.damaged] == [blob], rotten
            path.write_bytes(sound)
    assert depot.scrub() == (2, (), ())


@pytest.mark.parametrize("size", [0, 1, len(DATA) - 1, len(DATA) + 1])
def test_other_lengths_are_found_by_scrubbing(tmp_path: Path, size: int) -> None:
    depot = Depot(tmp_path)
    depot.put(DATA, identifier=ONE)
    os.truncate(tmp_path / f"depot/6/2/a/{ONE}", size)
    [damage] = depot.scrub().damaged
    assert damage.identifier == ONE
    assert f"the blob {ONE} has the SHA-256 " in damage.reason


def test_damaged_metadata_is_told_and_the_bytes_can_be_read(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    depot.put(DATA, identifier=ONE)
    path = tmp_path / f"depot/6/2/a/{ONE}.json"
    path.write_text(path.read_text().replace('"size"', '"sise"'))
    with pytest.raises(CorruptionError, match=r"\.json: the metadata does not fit"):
        depot.info(ONE)
    with pytest.raises(CorruptionError, match=r"\.json: the metadata does not fit"):
        list(depot.blobs())
    assert depot.read(ONE, 0, 9999) == DATA
    assert depot.state(ONE) is ObjectStateT.READABLE
    [damage] = depot.scrub().damaged
    assert "the metadata does not fit its checksum" in damage.reason
    depot.purge(ONE)
    assert left(depot) == set()


def test_damaged_ranges_are_missing_and_never_made_up(tmp_path: Path) -> None:
    depot = Depot(tmp_path, durability="os")
    depot.reserve(ONE, 1000)
    for at in range(0, 500, 50):
        depot.write(ONE, at, DATA[at : at + 50])
    path = tmp_path / f"depot/6/2/a/{ONE}.ranges"
    sound = path.read_bytes()
    before = sum(one.size for one in depot.missing_ranges(ONE))
    assert before == 500
    for bit in range(0, 8 * len(sound), 7):
        rotten = bytearray(sound)
        rotten[bit // 8] ^= 1 << bit % 8
        path.write_bytes(rotten)
        missing = depot.missing_ranges(ONE)
        assert sum(one.size for one in missing) in (500, 550, 600)
        assert missing[-1].end == 1000
        assert missing[-1].size >= 500


def test_metadata_of_a_version_to_come_is_refused(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    depot.put(DATA, identifier=ONE)
    path = tmp_path / f"depot/6/2/a/{ONE}.json"
    said = json.loads(path.read_text())
    said["format"] = 2
    said["crc32c"] = manifest.check_of({k: v for k, v in said.items() if k != "crc32c"})
    path.write_text(json.dumps(said))
    with pytest.raises(ObjstoreError, match="format 2 is not known; this program reads and writes"):
        depot.info(ONE)
