"""Logs in tests: what is appended, and how it is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.log import logappend
from objstore.backings.filesystem.log.commitlog import CommitLog
from tests.faults.crash_states import Quick


def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less space ahead, so that files grow in the middle of things, and are small."""
    monkeypatch.setattr(logappend, "_FIRST_STEP", 600)
    monkeypatch.setattr(logappend, "_LAST_STEP", 2400)


def payload(n: int, size: int = 0) -> bytes:
    return b'{"n":%d,"fill":"%s"}' % (n, b"x" * size)


def payloads(log: CommitLog) -> list[bytes]:
    records = list(log.records())
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    assert log.head == len(records)
    return [record.payload for record in records]


def append(log: CommitLog, data: bytes) -> int:
    with log.writing() as writer:
        number, position = writer.append(data)
    log.sync(position)
    return number


def stopped(folder: Path, count: int = 3) -> bytes:
    """A log of a process that just ended; the bytes of its only file."""
    log = CommitLog.open(Quick(str(folder)))
    for n in range(1, count + 1):
        append(log, payload(n))
    return log_file(folder).read_bytes()


def log_file(folder: Path, generation: int = 1) -> Path:
    return Path(names.log(str(folder), generation))


def end_of(data: bytes) -> int:
    """Where the last frame ends."""
    return len(data.rstrip(b"\0"))
