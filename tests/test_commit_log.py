"""The commit log: records, handles, switches of files, reading back."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.io import Files, Opened
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.log.manifest import Manifest
from objstore.errors import (
    BackingError,
    ClosedError,
    CorruptionError,
    FormatError,
    KeyNotFoundError,
    LayoutError,
    TransactionError,
)

from .faults.crash_states import Quick, Recording
from .faults.logs import append, log_file, payload, payloads

pytestmark = pytest.mark.damage


def opened(folder: Path) -> CommitLog:
    return CommitLog.open(Quick(str(folder)))


class Counting(Quick):
    """Counts what is read of the log's files."""

    __slots__ = ("reads",)
    reads: list[tuple[int, int]]

    def read_at(self, opened: Opened, offset: int, size: int) -> bytes:
        data = super().read_at(opened, offset, size)
        self.reads.append((offset, len(data)))
        return data


def counting(folder: Path) -> Counting:
    files = Counting(str(folder))
    files.reads = []
    return files


# Making and opening


def test_opening_makes_nothing(tmp_path: Path) -> None:
    log = CommitLog.open(Files(str(tmp_path / "store")))
    assert (log.head, log.generation, log.checkpoint) == (0, 0, None)
    assert log.refresh() == 0
    assert list(log.records()) == []
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_the_first_record_makes_the_log(tmp_path: Path) -> None:
    log = CommitLog.open(Files(str(tmp_path)))
    assert append(log, payload(1)) == 1
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        ".objstore",
        ".objstore/.gitignore",
        ".objstore/lock",
        ".objstore/log",
        ".objstore/log/00000001-a.log",
        ".objstore/manifest.json",
    ]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True
    )
    assert status.stdout == b"", "git sees nothing of it"


def test_the_umask_is_obeyed(tmp_path: Path) -> None:
    log = CommitLog.open(Files(str(tmp_path), umask=0o077))
    append(log, payload(1))
    for path in (tmp_path / ".objstore").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / ".objstore").write_text("")
    with pytest.raises((LayoutError, BackingError), match=r"\.objstore"):
        append(CommitLog(Files(str(tmp_path))), payload(1))


def test_a_folder_that_takes_no_files_is_read(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    engine = tmp_path / ".objstore"
    (engine / "lock").unlink()
    engine.chmod(0o555)
    try:
        assert payloads(CommitLog.open(Files(str(tmp_path)))) == [payload(1)]
    finally:
        engine.chmod(0o755)


def test_a_store_of_a_format_to_come_is_refused(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    path = Path(names.manifest(str(tmp_path)))
    store = CommitLog.open(Quick(str(tmp_path)))._views.get()
    assert store is not None
    path.write_bytes(Manifest(store.file.store, {}, format=2).encode())
    with pytest.raises(FormatError, match="format 2 is not known"):
        opened(tmp_path)


def test_after_a_clean_close_one_frame_is_read(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for n in range(1, 100):
        append(log, payload(n))
    log.close()
    files = counting(tmp_path)
    log = CommitLog.open(files)
    assert log.head == 99
    size = log_file(tmp_path).stat().st_size
    assert set(files.reads) == {(size - 35, 35), (size, 0)}, "the mark, and nothing behind it"
    assert log_file(tmp_path).read_bytes().endswith(b"{}\n"), "no space is left behind the mark"
    assert append(log, payload(100)) == 100
    assert payloads(opened(tmp_path)) == [payload(n) for n in range(1, 101)]


def test_a_close_that_has_nothing_to_say_writes_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    log.close()
    before = log_file(tmp_path).read_bytes()
    reader, writer = opened(tmp_path), opened(tmp_path)
    reader.close()
    with writer.writing():
        pass
    writer.close()
    assert log_file(tmp_path).read_bytes() == before


def test_a_closed_handle(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    log.close()
    log.close()
    uses: list[Callable[[], object]] = [
        log.refresh,
        log.writing,
        log.records,
        lambda: log.head,
        lambda: log.read(1),
        log.sync,
    ]
    for use in uses:
        with pytest.raises(ClosedError):
            use()


# Appending


def test_records_of_any_size_come_back(tmp_path: Path) -> None:
    log = opened(tmp_path)
    sizes = [0, 1, 400, 512, 4000, 4096, 70_000, 3, 1_500_000, 10]
    written = [payload(n, size) for n, size in enumerate(sizes)]
    for data in written:
        append(log, data)
    assert payloads(log) == payloads(opened(tmp_path)) == written
    for number, data in enumerate(written, 1):
        assert log.read(number).payload == data


def test_what_is_no_line_is_refused_and_appends_nothing(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(ValueError, match="a payload is a line of JSON"):
        append(log, b"{\n}")
    assert list(tmp_path.iterdir()) == []
    append(log, payload(1))
    with pytest.raises(ValueError, match="a payload is a line of JSON"):
        append(log, b"\xff")
    assert append(log, payload(2)) == 2


def test_several_records_in_one_block(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with log.writing() as writer:
        assert [writer.append(payload(n))[0] for n in range(1, 4)] == [1, 2, 3]
        assert writer.head == 3
    assert payloads(log) == [payload(n) for n in range(1, 4)]


def test_a_block_that_fails_keeps_what_was_appended(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with pytest.raises(ZeroDivisionError), log.writing() as writer:
        writer.append(payload(1))
        raise ZeroDivisionError
    assert payloads(log) == payloads(opened(tmp_path)) == [payload(1)]


def test_a_writer_is_of_its_block(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with log.writing() as writer:
        writer.append(payload(1))
    with pytest.raises(TransactionError, match=r"within CommitLog\.writing only"):
        writer.append(payload(2))
    with pytest.raises(TransactionError, match=r"within CommitLog\.writing only"):
        writer.switch()


def test_space_is_set_aside_and_given_back(tmp_path: Path) -> None:
    files = Recording(tmp_path)
    log = CommitLog.open(files)
    append(log, payload(1))
    assert log_file(tmp_path).stat().st_size > 1 << 16
    before = len(files.events)
    append(log, payload(2))
    assert [event.step for event in files.events[before:]] == ["write", "sync"]
    log.close()
    assert log_file(tmp_path).stat().st_size < 400


def test_durability_os_syncs_no_record(tmp_path: Path) -> None:
    files = Recording(tmp_path, sync=False)
    log = CommitLog.open(files)
    append(log, payload(1))
    before = len(files.events)
    for n in range(2, 10):
        append(log, payload(n))
    log.close()
    assert "sync" not in {event.step for event in files.events[before:]}
    assert payloads(opened(tmp_path)) == [payload(n) for n in range(1, 10)]


# Several handles


def test_handles_see_each_others_records(tmp_path: Path) -> None:
    one, two, reader = (opened(tmp_path) for _ in range(3))
    for n, log in enumerate((one, two, two, one), 1):
        assert append(log, payload(n)) == n
    assert reader.head == 4, "it looks for a log as long as there is none"
    append(one, payload(5))
    assert reader.head == 4
    assert reader.refresh() == 5
    assert payloads(one) == payloads(reader) == [payload(n) for n in range(1, 6)]
    two.refresh()
    assert payloads(two) == payloads(one)


def test_a_refresh_is_one_short_read_where_nothing_is_new(tmp_path: Path) -> None:
    one = opened(tmp_path)
    append(one, payload(1))
    files = counting(tmp_path)
    reader = CommitLog.open(files)
    files.reads.clear()
    assert reader.refresh() == 1
    assert [size for _, size in files.reads] == [32]


def test_a_writer_sees_what_others_appended(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    append(one, payload(1))
    append(two, payload(2))
    with one.writing() as writer:
        assert writer.head == one.head == 2
        assert [record.payload for record in one.records(after=1)] == [payload(2)]


def test_a_close_disturbs_no_other_handle(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    for n in range(1, 20, 3):
        append(one, payload(n))
        append(two, payload(n + 1))
        one.close()
        assert log_file(tmp_path).stat().st_size < 3000
        one = opened(tmp_path)
        append(two, payload(n + 2))
        assert log_file(tmp_path).stat().st_size > 60_000, "it has space ahead again"
    assert one.refresh() == 21
    assert payloads(one) == payloads(opened(tmp_path)) == [payload(n) for n in range(1, 22)]


def test_a_log_that_was_removed_takes_no_records(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    shutil.rmtree(tmp_path / ".objstore")
    with pytest.raises(BackingError, match="removed or replaced while it was in use"):
        append(log, payload(2))
    assert list(tmp_path.iterdir()) == []
    other = opened(tmp_path)
    assert append(other, payload(-1)) == 1
    with pytest.raises(BackingError, match="removed or replaced while it was in use"):
        append(log, payload(2))
    assert payloads(other) == [payload(-1)]


@pytest.mark.parametrize("how", ["file", "folder", "moved"])
def test_a_file_that_was_removed_takes_no_records(tmp_path: Path, how: str) -> None:
    """Also where the lock's is still there: nobody would find them."""
    log = opened(tmp_path)
    append(log, b"{}")
    [file] = (tmp_path / ".objstore/log").iterdir()
    if how == "file":
        file.unlink()
    elif how == "folder":
        shutil.rmtree(file.parent)
    else:
        file.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(BackingError, match="removed or replaced while it was in use"):
            append(log, b"{}")


def test_where_a_log_was_removed_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for a moment: whoever watches takes it for the folder that comes back."""
    log = opened(tmp_path / "data")
    append(log, payload(1))
    (tmp_path / "data").rename(tmp_path / "moved")

    def make(_: Files, path: str, made: list[str]) -> None:
        raise AssertionError((path, made))

    monkeypatch.setattr(Files, "make_folders", make)
    with pytest.raises(BackingError, match="removed or replaced while it was in use"):
        append(log, payload(2))
    monkeypatch.undo()
    (tmp_path / "moved").rename(tmp_path / "data")
    assert append(log, payload(2)) == 2


def test_a_lost_lock_file_is_made_again(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    append(one, payload(1))
    append(two, payload(2))
    (tmp_path / ".objstore/lock").unlink()
    append(one, payload(3))
    append(two, payload(4))
    assert payloads(opened(tmp_path)) == [payload(n) for n in range(1, 5)]


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    """What looks broken may be a frame that is being written, as long as somebody writes."""
    one = opened(tmp_path)
    append(one, payload(1))
    with one.writing() as writer:
        writer.append(payload(2))
        data = log_file(tmp_path).read_bytes()
        for half in (data.replace(payload(2), b""), data.replace(b'"n":2', b"\0" * 5)):
            log_file(tmp_path).write_bytes(half)
            reader = opened(tmp_path)
            assert (reader.head, reader.refresh()) == (1, 1)
            log_file(tmp_path).write_bytes(data)
            assert reader.refresh() == 2
        log_file(tmp_path).write_bytes(half)
        reader = opened(tmp_path)
    with pytest.raises(CorruptionError, match="this is no frame"):
        reader.refresh()


# Switching


def switch(log: CommitLog, checkpoint: object = None) -> None:
    with log.writing() as writer:
        writer.switch(checkpoint)  # type: ignore[arg-type]


def test_a_switch_goes_on_in_another_file(tmp_path: Path) -> None:
    log, other = opened(tmp_path), opened(tmp_path)
    append(log, payload(1))
    assert other.refresh() == 1
    switch(log, {"counters": [2**70]})
    assert (log.generation, log.checkpoint, log.head) == (2, {"counters": [2**70]}, 1)
    append(log, payload(2))
    assert other.refresh() == 2, "a switch is noticed"
    assert (other.generation, other.checkpoint) == (2, {"counters": [2**70]})
    switch(other)
    append(other, payload(3))
    assert sorted(os.listdir(names.logs(str(tmp_path)))) == [
        "00000001-a.log",
        "00000002-b.log",
        "00000003-a.log",
    ]
    log.close()
    other.close()
    for handle in (opened(tmp_path), opened(tmp_path)):
        assert payloads(handle) == [payload(n) for n in (1, 2, 3)]
        assert (handle.generation, handle.checkpoint) == (3, None)


def test_a_switch_of_an_empty_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    switch(log, 1)
    assert (tmp_path / ".objstore/manifest.json").exists()
    switch(log, 2)
    assert len(os.listdir(names.logs(str(tmp_path)))) == 3
    assert (log.head, log.generation, log.checkpoint) == (0, 3, 2)
    assert append(log, payload(1)) == 1
    assert payloads(opened(tmp_path)) == [payload(1)]


def test_files_without_records(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    for _ in range(3):
        switch(log)
    append(log, payload(2))
    switch(log)
    assert payloads(log) == payloads(opened(tmp_path)) == [payload(1), payload(2)]
    assert [log.read(n).payload for n in (1, 2)] == [payload(1), payload(2)]


def test_an_ended_file_is_as_long_as_its_frames(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, payload(1))
    switch(log)
    assert log_file(tmp_path).read_bytes().endswith(b'{"checkpoint":null}\n')


# Reading back


def test_reading_back(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for n in range(1, 31):
        append(log, payload(n, n * 50))
        if n % 10 == 0:
            switch(log)
    for handle in (log, opened(tmp_path)):
        for n in range(1, 31):
            record = handle.read(n)
            assert (record.number, record.payload) == (n, payload(n, n * 50))
        for after in range(31):
            numbers = [record.number for record in handle.records(after)]
            assert numbers == list(range(after + 1, 31))
        positions = [record.position for record in handle.records()]
        assert positions == sorted(positions)
        for missing in (-1, 0, 31):
            with pytest.raises(KeyNotFoundError, match=f"no record {missing}; its last is 30"):
                handle.read(missing)


def test_iterating_ends_at_the_head_as_it_was(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for n in range(1, 4):
        append(log, payload(n))
    records = log.records()
    assert next(records).number == 1
    switch(log)
    append(log, payload(4))
    assert [record.number for record in records] == [2, 3]


def test_files_that_are_lost(tmp_path: Path) -> None:
    log, old = opened(tmp_path), opened(tmp_path)
    for n in range(1, 4):
        append(log, payload(n))
        if n == 1:
            old.refresh()
        switch(log)
    for generation in (1, 2):
        log_file(tmp_path, generation).unlink()
    for handle in (log, old, opened(tmp_path)):
        assert handle.refresh() == 3
        assert [record.number for record in handle.records(after=2)] == [3]
        with pytest.raises(CorruptionError, match="record 1 is in none of the files"):
            handle.read(1)
        with pytest.raises(CorruptionError, match="record 1 is in none of the files"):
            list(handle.records())


def test_any_record_of_many_is_found_by_few_reads(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with log.writing() as writer:
        for n in range(1, 5001):
            writer.append(payload(n, n % 400))
    log.close()
    files = counting(tmp_path)
    log = CommitLog.open(files)
    for n in (1, 2, 4999, 5000, *random.Random(1).sample(range(5000), 50)):  # noqa: S311
        files.reads.clear()
        assert log.read(n).payload == payload(n, n % 400)
        assert len(files.reads) < 60
        assert sum(size for _, size in files.reads) < 200_000


def test_corruption_errors_can_be_pickled() -> None:
    for error in (CorruptionError("bad", file="log", offset=7), CorruptionError("bad", file="x")):
        twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
    assert str(CorruptionError("bad", file="log", offset=7)) == "log, byte 7: bad"


# Names


@pytest.mark.parametrize(
    ("generation", "name"),
    [(1, "00000001-a.log"), (6, "00000006-b.log"), (10**9 + 1, "1000000001-a.log")],
)
def test_names_of_files(generation: int, name: str) -> None:
    assert names.log("/store", generation) == f"/store/.objstore/log/{name}"
    assert names.generation(name) == generation


@pytest.mark.parametrize(
    "name", ["00000001-b.log", "1-a.log", "000000001-a.log", "00000001-a.log~", ".00000001-a.log"]
)
def test_names_of_other_files(name: str, tmp_path: Path) -> None:
    assert names.generation(name) is None
    log = opened(tmp_path)
    append(log, payload(1))
    (log_file(tmp_path).parent / name).write_text("odd")
    assert payloads(opened(tmp_path)) == [payload(1)]
