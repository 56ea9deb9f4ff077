"""The commit log on real disks that are full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.errors import BackingError
from tests.faults.logs import append, payload, payloads
from tests.faults.machine import mounted


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    with mounted(tmp_path, "size=64k,nr_inodes=20"):
        yield tmp_path


def test_a_full_disk_refuses_records_and_keeps_those_it_has(disk: Path) -> None:
    log = CommitLog.open(Files(str(disk)))
    with pytest.raises(BackingError, match="No space left on device") as caught:
        for n in range(1, 1000):
            append(log, payload(n, 500))
    assert caught.value.errno == errno.ENOSPC
    found = payloads(log)
    assert len(found) > 60, "of 64 KiB, four files of 4 KiB each aside"
    assert found == [payload(n, 500) for n in range(1, len(found) + 1)]
    with pytest.raises(BackingError, match="No space left on device"), log.writing() as writer:
        writer.switch()
    (disk / ".objstore/.gitignore").unlink()
    number = append(log, payload(0))
    assert number == len(found) + 1
    assert payloads(CommitLog.open(Files(str(disk)))) == [*found, payload(0)]


def test_a_disk_that_is_full_from_the_start_gets_no_store(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(60 * 1024))
    log = CommitLog.open(Files(str(disk / "store")))
    with pytest.raises(BackingError, match="No space left on device"):
        append(log, payload(1))
    assert os.listdir(disk) == ["ballast"]
    (disk / "ballast").unlink()
    assert append(log, payload(1)) == 1


def test_a_disk_without_inodes_gets_no_store(disk: Path) -> None:
    for n in range(17):
        (disk / str(n)).touch()
    log = CommitLog.open(Files(str(disk / "store")))
    with pytest.raises(BackingError, match="No space left on device"):
        append(log, payload(1))
    assert not (disk / "store").exists()
