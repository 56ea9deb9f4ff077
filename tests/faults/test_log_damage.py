"""Bytes of the commit log that are not the ones that were written."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.log.frames import CLOSED, Codec
from objstore.backings.filesystem.log.logfile import Start
from objstore.errors import CorruptionError
from tests.faults.crash_states import Quick
from tests.faults.logs import append, end_of, log_file, payload, payloads, small_steps, stopped

pytestmark = pytest.mark.damage


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)


def frames_of(data: bytes) -> list[range]:
    """The offsets of the bytes of each frame."""
    starts = [at for at in range(len(data)) if data.startswith(b"\xffO", at)]
    return [range(*ends) for ends in zip(starts, [*starts[1:], end_of(data)], strict=True)]


@pytest.mark.parametrize("is_closed", [False, True])
def test_every_flipped_bit_is_found_and_located(tmp_path: Path, is_closed: bool) -> None:
    stopped(tmp_path)
    if is_closed:
        log = CommitLog.open(Quick(str(tmp_path)))
        append(log, payload(4))
        log.close()
    path = log_file(tmp_path)
    data = path.read_bytes()
    flips = random.Random(1)  # noqa: S311
    for frame in frames_of(data):
        for at in frame:
            broken = bytearray(data)
            broken[at] ^= 1 << flips.randrange(8)
            path.write_bytes(broken)
            with pytest.raises(CorruptionError) as caught:
                payloads(CommitLog.open(Quick(str(tmp_path))))
            assert caught.value.file == ".objstore/log/00000001-a.log"
            assert caught.value.offset == frame.start
    path.write_bytes(data)
    assert payloads(CommitLog.open(Quick(str(tmp_path))))[:3] == [payload(n) for n in (1, 2, 3)]


def test_a_flipped_bit_in_free_space_changes_no_record(tmp_path: Path) -> None:
    data = stopped(tmp_path)
    end, found = end_of(data), 0
    assert len(data) > end + 100
    for at in range(end, len(data)):
        broken = bytearray(data)
        broken[at] ^= 1
        log_file(tmp_path).write_bytes(broken)
        try:
            log = CommitLog.open(Quick(str(tmp_path)))
        except CorruptionError as error:
            assert error.offset == end  # noqa: PT017
            found += 1
            continue
        assert append(log, payload(4)) == 4
        assert payloads(CommitLog.open(Quick(str(tmp_path)))) == [payload(n) for n in (1, 2, 3, 4)]
    assert found == 1, "where a header's last byte would be"


def test_a_mark_that_does_not_say_that_all_was_synced_proves_nothing(tmp_path: Path) -> None:
    data = stopped(tmp_path)
    end = end_of(data)
    broken = data.replace(b'"n":3', b'"n":4')[:end]
    codec = Codec(UUID(json.loads(data[32:].split(b"\n")[0])["store"]), 1)
    log_file(tmp_path).write_bytes(broken + codec.encode(CLOSED, 3, 125, b"{}"))
    with pytest.raises(CorruptionError, match="this is no frame"):
        CommitLog.open(Quick(str(tmp_path)))
    log_file(tmp_path).write_bytes(broken + codec.encode(CLOSED, 3, end, b"{}"))
    log = CommitLog.open(Quick(str(tmp_path)))
    assert log.head == 3
    with pytest.raises(CorruptionError, match="no frame is here"):
        log.read(3)
    with pytest.raises(CorruptionError, match="no frame is here"):
        payloads(log)


def test_a_damaged_log_takes_no_records(tmp_path: Path) -> None:
    log = CommitLog.open(Quick(str(tmp_path)))
    append(log, payload(1))
    append(log, payload(2))
    other = CommitLog.open(Quick(str(tmp_path)))
    data = log_file(tmp_path).read_bytes()
    at = data.index(b'"n":2')
    log_file(tmp_path).write_bytes(data[:at] + b"X" + data[at + 1 :])
    append(log, payload(3))
    # Whoever has seen it whole goes on; whoever reads it does not.
    append(other, payload(4))
    fresh = CommitLog(Quick(str(tmp_path)))
    for use in (fresh.refresh, lambda: append(fresh, payload(5))):
        with pytest.raises(CorruptionError, match="no frame is here, though one was"):
            use()
    with pytest.raises(CorruptionError, match="no frame is here"):
        log.read(2)
    assert log.read(1).payload == payload(1)
    assert log.read(3).payload == payload(3)


def test_stale_bytes_are_no_records(tmp_path: Path) -> None:
    """Frames of another store, of another generation, and of this file but out of their place."""
    log = CommitLog.open(Quick(str(tmp_path / "a")))
    append(log, payload(1))
    stale = log_file(tmp_path / "a").read_bytes()
    with log.writing() as writer:
        writer.switch()
    append(log, payload(2))
    new = log_file(tmp_path / "a", 2).read_bytes()
    frame = frames_of(stale)[1]
    end = end_of(new)
    log_file(tmp_path / "a", 2).write_bytes(new[:end] + stale[frame.start : frame.stop])
    with pytest.raises(CorruptionError, match="this is no frame") as caught:
        CommitLog.open(Quick(str(tmp_path / "a")))
    assert caught.value.offset == end
    frame = frames_of(new)[1]
    log_file(tmp_path / "a", 2).write_bytes(new[:end] + new[frame.start : frame.stop])
    with pytest.raises(CorruptionError, match="number 2 cannot follow record 2") as caught:
        CommitLog.open(Quick(str(tmp_path / "a")))
    assert caught.value.offset == end


def test_a_file_of_another_store(tmp_path: Path) -> None:
    stopped(tmp_path / "a")
    stopped(tmp_path / "b")
    shutil.copy(log_file(tmp_path / "a"), log_file(tmp_path / "b"))
    with pytest.raises(CorruptionError, match="this file is of another store"):
        CommitLog.open(Quick(str(tmp_path / "b")))


def test_a_file_that_does_not_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    log = CommitLog.open(Quick(str(tmp_path)))
    append(log, payload(1))
    other = CommitLog.open(Quick(str(tmp_path)))
    with log.writing() as writer:
        writer.switch()
    store = UUID(json.loads(log_file(tmp_path).read_bytes()[32:].split(b"\n")[0])["store"])
    for after in (0, 2):
        log_file(tmp_path, 2).write_bytes(Start(store, 2, after, None).encode())
        with pytest.raises(CorruptionError, match=f"begins after record {after}, not after 1"):
            other.refresh()


def test_want_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise orjson.JSONDecodeError("Not enough memory to allocate buffer for parsing", "", 0)

    log = CommitLog.open(Quick(str(tmp_path)))
    append(log, payload(1))
    log.close()
    with monkeypatch.context() as patch:
        patch.setattr(orjson, "loads", fail)
        with pytest.raises(MemoryError):
            CommitLog.open(Quick(str(tmp_path)))
    assert payloads(CommitLog.open(Quick(str(tmp_path)))) == [payload(1)]
