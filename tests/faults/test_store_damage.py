"""A disk that fails, and bits that flip, under a whole store."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore.backings.filesystem import open_documents
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.documents import Change, Documents
from objstore.errors import BackingError, CorruptionError, FormatError, HistoryGone
from objstore.layout import ANYTHING
from objstore.meetings import Note
from objstore.retention import Retention
from objstore.values import MISSING
from tests.faults.crash_states import Quick
from tests.faults.logs import small_steps
from tests.faults.machine import need_tool
from tests.faults.seams import Failing, documents
from tests.faults.store_states import UNITS, scopes_of

CHILD = """
import os
import sys
from objstore.backings.filesystem import open_documents
from objstore.documents import Change
from objstore.errors import BackingError
from objstore.layout import ANYTHING

def say(*words):
    os.writev(1, [" ".join(map(str, words)).encode() + b"\\n"])  # by no call that fails

store = open_documents(sys.argv[1], layout=ANYTHING)
for n in range(1, 9):
    changes = [Change(u, *store.load(u)[:1], {"n": n}, store.load(u).stamp) for u in ("/a", "/b/c")]
    try:
        number = store.commit(changes, base=store.head()).number
    except BackingError as error:
        say("refused", n, "again" if "nothing more is written" in str(error) else "")
    else:
        say("told", n, number)
try:
    store.close()
except BackingError:
    say("unclosed")
"""


def with_errors(folder: Path, fault: str) -> list[list[str]]:
    """What a process said that made eight commits on a disk with a fault, as strace injects it."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"]
    command += [sys.executable, "-c", CHILD, str(folder)]
    parent = str(Path(objstore.__file__).parent.parent)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=parent)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=8",
        "fdatasync:error=EIO:when=10+",
        "fsync:error=EIO:when=1+",
    ],
)
def test_a_disk_that_fails(tmp_path: Path, fault: str) -> None:
    assert refused_on_a_disk_with(fault, tmp_path / "store")


@pytest.mark.parametrize("fault", ["fsync:error=EIO:when=5+", "renameat2:error=EIO:when=3+"])
def test_a_disk_that_fails_behind_the_commit(tmp_path: Path, fault: str) -> None:
    assert not refused_on_a_disk_with(fault, tmp_path / "store")


@pytest.mark.parametrize(
    ("call", "error"),
    [("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("write", "ENOSPC"), ("fallocate", "EIO")],
)
def test_a_disk_that_fails_once(tmp_path: Path, call: str, error: str) -> None:
    refused = set[int]()
    # Which of the calls write the log differs by system; a probe of its clock writes as well.
    for number in (1, 2, 4, *range(15, 30, 4)):
        fault = f"{call}:error={error}:when={number}"
        refused |= refused_on_a_disk_with(fault, tmp_path / str(number))
    assert refused >= {1}
    assert call == "fallocate" or refused > {1}  # it is done once for many


def refused_on_a_disk_with(fault: str, folder: Path) -> set[int]:
    """Which commits are refused there; all that were told are there whatever failed."""
    need_tool("strace", "strace")
    said = with_errors(folder, fault)
    told = {int(line[1]): int(line[2]) for line in said if line[0] == "told"}
    refused = [line for line in said if line[0] == "refused"]
    assert len(told) + len(refused) == 8
    if fault.startswith("fdatasync"):
        first = int(refused[0][1])
        assert [int(line[1]) for line in refused] == list(range(first, 9)), (
            "none after a failed one"
        )
        assert all("again" in line for line in refused[1:])
    store = open_documents(str(folder), layout=ANYTHING)
    for n, number in told.items():
        for unit in ("/a", "/b/c"):
            assert store.load(unit, at=number).value == {"n": n}
    newest = store.load("/a").value
    assert store.load("/b/c").value == newest
    if told:
        assert isinstance(newest, dict)
        assert newest["n"] >= max(told)
    old, stamp = store.load("/a")
    store.commit([Change("/a", old, {"n": 9}, stamp)], base=store.head())
    store.close()
    assert (folder / "a.json").read_text() == '{\n  "n": 9\n}\n'
    return {int(line[1]) for line in refused}


def test_a_file_that_cannot_be_synced_ends_the_handle(tmp_path: Path) -> None:
    """A switch lets go of what the log has of files: none may be unsure then."""
    files = Failing(tmp_path)
    store = documents(files)
    store.commit([Change("/a", MISSING, {"n": 1})], base=0)
    files.fail("sync file")
    with pytest.raises(BackingError, match=r"cannot sync a\.json"):
        store.switch_and_snapshot()
    files.mend()
    with pytest.raises(BackingError, match="nothing more is written through this handle"):
        store.switch_and_snapshot()
    assert store.load("/a").value == {"n": 1}
    assert open_documents(str(tmp_path), layout=ANYTHING).load("/a").value == {"n": 1}


# Bits that flip

MEETING = "7c9e6679f2d54e4b8a0e1c2d3b4a5f60"
NOTES: dict[str, Note] = {
    "meeting": {"participants": 2, "meta": {}, "timeout": 10.0, "scope": None, "head": 1},
    "seat-0": {"who": "a", "path": "/ada", "patch": [{"op": "add", "path": "/n", "value": 1}]},
    "left-0": {},
}


def put(store: Documents, unit: str, new: Any, scope: str | None = None) -> None:
    old, stamp = store.load(unit) if scope is None else (store.load(unit).value, None)
    store.commit([Change(unit, old, new, stamp)], base=store.head(), scope=scope)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all that there may be in the engine's folder."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        small_steps(patch)
        store = FilesystemDocuments(Quick(str(folder)), ANYTHING)
        for n in range(3):
            for unit in UNITS:
                put(store, unit, {"n": n, "fill": "x" * 40})
        store.pin(7)
        store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
        put(store, "/ada", {"n": 3})
        put(store, "/people/bob", {"n": 4}, "draft")
        store.switch_and_snapshot()
        put(store, "/ada", MISSING)
        store.close()
        store = FilesystemDocuments(Quick(str(folder)), ANYTHING)
        put(store, "/people/eve", {"n": 5})
        put(store, "/people/eve", {"n": 6})
        for name, note in NOTES.items():
            store.meetings().put(MEETING, name, note)
    return folder


def everything(folder: Path) -> list[Any]:
    """All that can be asked of a store. Raises CorruptionError, FormatError."""
    store = FilesystemDocuments(Quick(str(folder)), ANYTHING)
    said: list[Any] = [store.head(), store.pins(), scopes_of(store)]
    said += [store.load(unit).value for unit in UNITS]
    for number in range(1, store.head() + 1):
        try:
            said += [store.load(unit, at=number).value for unit in UNITS]
        except HistoryGone:
            said.append(number)
    said += [(one.number, one.time, one.scope, one.external) for one in store.commits()]
    said += [[change[:3] for change in one.changes] for one in store.commits()]
    said.append(store.meetings().notes(MEETING))
    return said


def flips(folder: Path, each: int, seed: int) -> Iterator[tuple[Path, int]]:
    """Some bits of every file that the engine keeps."""
    luck = random.Random(seed)  # noqa: S311
    for path in sorted((folder / ".objstore").rglob("*")):
        if path.is_file() and path.stat().st_size:
            end = len(path.read_bytes().rstrip(b"\0"))
            for _ in range(each):
                yield path, luck.randrange(8 * end)


def flip_bits(whole: Path, folder: Path, each: int, seed: int) -> tuple[int, int]:
    """How many flipped bits were found, and how many did no harm."""
    shutil.copytree(whole, folder)
    expected = everything(folder)
    found = harmless = 0
    for path, bit in flips(folder, each, seed):
        data = path.read_bytes()
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        name = str(path.relative_to(folder))
        try:
            said = everything(folder)
        except CorruptionError as error:
            assert error.file == name  # noqa: PT017
            found += 1
        except FormatError as error:
            assert error.source == name  # noqa: PT017
            found += 1
        else:
            assert said == expected, f"bit {bit} of {name}"
            harmless += 1
        path.write_bytes(data)
    assert everything(folder) == expected, "looking changes nothing"
    return found, harmless


def test_a_flipped_bit_anywhere_is_found_or_does_no_harm(whole: Path, tmp_path: Path) -> None:
    found, harmless = flip_bits(whole, tmp_path / "store", each=40, seed=1)
    assert found > 100
    assert harmless > 50, "in what is made anew"


@pytest.mark.torture
def test_many_flipped_bits(whole: Path, tmp_path: Path) -> None:
    for seed in range(20):
        flip_bits(whole, tmp_path / str(seed), each=100, seed=seed)
