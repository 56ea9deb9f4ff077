"""What of a depot in memory is not the same everywhere: the memory that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from objstore import BackingError, Identifier, MemoryDepot
from objstore.depot import Range
from tests.realdata import ROOT

GIB = 1 << 30


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nobody tells what is resident")
def test_what_is_reserved_takes_no_memory_yet() -> None:
    depot, identifier = MemoryDepot(), Identifier.new()
    before = _resident()
    depot.reserve(identifier, GIB // 4)
    depot.write(identifier, GIB // 8, b"here")
    assert _resident() - before < GIB // 16
    eighth = GIB // 8
    assert depot.missing_ranges(identifier) == [
        Range(0, eighth),
        Range(eighth + 4, eighth - 4),
    ]


def test_a_large_blob_is_zero_where_nothing_was_written() -> None:
    depot, identifier = MemoryDepot(), Identifier.new()
    depot.reserve(identifier, 2 << 20)
    depot.write(identifier, (2 << 20) - 3, b"end")
    depot.finalize(identifier, zeroes=True)
    assert depot.read(identifier, 0, 3 << 20) == bytes((2 << 20) - 3) + b"end"
    assert depot.scrub().sound == 1


def test_a_fork_has_a_blob_of_its_own() -> None:
    depot, identifier = MemoryDepot(), Identifier.new()
    depot.reserve(identifier, 2 << 20)
    depot.write(identifier, 0, bytes(2 << 20))
    child = os.fork()
    if not child:
        depot.write(identifier, 0, b"of the child")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    depot.finalize(identifier)
    assert depot.read(identifier, 0, 4) == bytes(4)


def test_more_than_there_is_memory_for_is_refused() -> None:
    said = f"""
import resource
from objstore import BackingError, Identifier, MemoryDepot
depot, identifier = MemoryDepot(), Identifier.new()
resource.setrlimit(resource.RLIMIT_AS, ({2 * GIB}, {2 * GIB}))
try:
    depot.reserve(identifier, {10 * GIB})
except {BackingError.__name__} as error:
    print(error, depot.exists(identifier))
"""
    run = [sys.executable, "-c", said]
    found = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    assert f"there is no memory for {10 * GIB} bytes" in found.stdout, found.stderr
    assert found.stdout.endswith("False\n")
