"""A store on a file system that stops at once: ext4 on a loop device, shut down amid writing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import struct
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

import objstore
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.documents import Change
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.faults.machine import in_child, need_root, need_tool, start_child
from tests.faults.store_states import Run

_SHUTDOWN: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""

_NO_FLUSH: Final = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what is not on the disk never will be."""

UNITS: Final = ("/a", "/deep/er/b", "/c")


class Machine:
    """A disk that outlives its file system."""

    def __init__(self, folder: Path) -> None:
        need_root()
        need_tool("mkfs.ext4", "e2fsprogs")
        self.image = folder / "disk"
        self.root = folder / "mounted"
        self.root.mkdir()
        with self.image.open("wb") as image:
            image.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)

    @contextlib.contextmanager
    def runs(self) -> Generator[Path]:
        # As little order and as late as this file system lets one choose.
        options = "loop,commit=1,noauto_da_alloc,data=writeback"
        command = ["mount", "-t", "ext4", "-o", options, str(self.image), str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"needs loop devices: {done.stderr.strip()}"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
        try:
            yield self.root
        finally:
            subprocess.run(["umount", str(self.root)], check=True)

    def stop(self) -> None:
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)


def commit_for_ever(root: Path, told: Path, seed: int) -> None:
    luck = random.Random(seed)  # noqa: S311
    store = FilesystemDocuments(Files(str(root)), ANYTHING, lazy=seed % 2 == 1)
    with told.open("ab", buffering=0) as notes, (root.parent / "alive").open("wb") as alive:
        while True:
            base = store.head()
            chosen = luck.sample(UNITS, luck.choice((1, 2, 3)))
            changes: list[Change] = []
            for unit in chosen:
                old, stamp = store.load(unit)
                gone = old is not MISSING and luck.random() < 0.2
                new = {"n": base + 1, "fill": "x" * luck.choice((0, 100, 5000))}
                changes.append(Change(unit, old, MISSING if gone else new, stamp))
            number = store.commit(changes, base=base).number
            # Unlike a machine, this file system may stop amid a sync and let that return as if all
            # were well: new blocks then read as zeros (Linux 6.18, of a program without a store as
            # well). What was told is what was synced before it stopped: else this write fails.
            os.pwrite(alive.fileno(), b".", 0)
            notes.write(b"%d\n" % number)
            if luck.random() < 0.1:
                store.switch_and_snapshot()
            if luck.random() < 0.1:
                store.close()
                store = FilesystemDocuments(Files(str(root)), ANYTHING, lazy=seed % 2 == 1)


def last_told(path: Path) -> int:
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return int(lines[-1]) if lines else 0


def stop_amid_writing(machine: Machine, told: Path, seed: int) -> int:
    known = last_told(told)
    with machine.runs() as root:
        child = start_child(lambda: commit_for_ever(root / "store", told, seed))
        while last_told(told) < known + 3:
            time.sleep(0.002)
        time.sleep(random.Random(seed).random() * 0.3)  # noqa: S311
        machine.stop()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    reported = last_told(told)
    with machine.runs() as root:
        check(root / "store", reported, seed)
    return reported


def check(root: Path, reported: int, run: int) -> None:
    store = FilesystemDocuments(Run(root, run), ANYTHING)
    head = store.head()
    assert head >= reported
    commits = list(store.commits())
    assert [commit.number for commit in commits] == list(range(1, head + 1))
    assert not any(commit.external for commit in commits), "nobody has edited a file"
    newest = {change.unit: change.new for commit in commits for change in commit.changes}
    assert {unit: store.load(unit).value for unit in newest} == newest
    for commit in commits[-5:]:
        for change in commit.changes:
            found = store.load(change.unit, at=commit.number).value
            assert found == change.new
            assert found is MISSING or (isinstance(found, dict) and found["n"] == commit.number)
    old, stamp = store.load("/after")
    number = store.commit([Change("/after", old, {"n": head + 1}, stamp)], base=head).number
    assert number == head + 1
    store.close()


def test_files_whose_records_are_lost_are_whole(tmp_path: Path) -> None:
    """Under durability "os" the names are on the disk long before the records."""
    machine = Machine(tmp_path)
    texts = {"ada.json": '{"of": "years", "n": %d}', "conf.toml": 'of = "years"\nn = %d\n'}
    with machine.runs() as root:
        for name, text in texts.items():
            (root / name).write_text(text % 0)
        os.sync()

        def work() -> None:
            store = objstore.open(root, durability="os")
            with store.transaction():
                store["/ada/n"] = store["/conf/n"] = 1
                store["/new"] = {"n": 1}
            # On this file system it takes all names along, and no other file's bytes.
            with (root / "beside").open("wb") as beside:
                os.fsync(beside.fileno())
            machine.stop()

        assert in_child(work) == 0
    with machine.runs() as root:
        assert {name: (root / name).read_text() for name in texts} == {
            name: text % 1 for name, text in texts.items()
        }
        assert json.loads((root / "new.json").read_text()) == {"n": 1}


def test_a_file_system_that_stops(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert stop_amid_writing(machine, tmp_path / "told", 1) >= 3


@pytest.mark.torture
def test_a_file_system_that_stops_again_and_again(tmp_path: Path) -> None:
    machine, before = Machine(tmp_path), 0
    for seed in range(20):
        reported = stop_amid_writing(machine, tmp_path / "told", seed)
        assert reported > before
        before = reported
