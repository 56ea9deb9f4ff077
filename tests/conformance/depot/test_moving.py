"""From files, and to files."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from objstore import BackingError, SourceNotFoundError
from objstore.depot import Depot, ObjectStateT, Progress
from tests.conformance.depot.cases import HELLO, LARGE, ONE, Place, refused
from tests.faults.machine import need_root


def tell(told: list[tuple[int, int | None]]) -> Progress:
    return lambda done, total: told.append((done, total))


def test_put_takes_paths_files_and_bytes(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(LARGE)

    class Small:
        """Has read alone, and gives little."""

        def __init__(self) -> None:
            self.file = io.BytesIO(LARGE)

        def read(self, size: int) -> bytes:
            return self.file.read(min(size, 100_000))

    sources: list[Any] = [path, str(path), LARGE, memoryview(LARGE), io.BytesIO(LARGE), Small()]
    with path.open("rb") as file:
        for source in (*sources, file):
            told: list[tuple[int, int | None]] = []
            identifier = place.depot.put(source, progress=tell(told), meta={"a": 1})
            assert place.peek(identifier) == LARGE
            info = place.depot.info(identifier)
            assert info.sha256 == hashlib.sha256(LARGE).hexdigest()
            assert info.meta == {"a": 1}
            has_size = isinstance(source, str | Path | bytes | memoryview)
            assert {total for _, total in told} == {len(LARGE) if has_size else None}
            assert [done for done, _ in told] == sorted({done for done, _ in told})
            assert told[-1][0] == len(LARGE)


def test_put_of_nothing(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    for source in (b"", path, io.BytesIO()):
        identifier = place.depot.put(source)
        assert place.peek(identifier) == b""
        assert place.depot.info(identifier).sha256 == hashlib.sha256().hexdigest()


def test_a_file_that_grows_is_not_put(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(LARGE)

    def grow(done: int, total: int | None) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    refused(lambda: place.depot.put(path, progress=grow, identifier=ONE), "cannot take")
    assert place.depot.state(ONE) is ObjectStateT.WRITABLE


def test_a_progress_that_raises_stops_the_put(depot: Depot) -> None:
    def stop(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        depot.put(LARGE, progress=stop, identifier=ONE)
    assert depot.state(ONE) is ObjectStateT.WRITABLE


def test_put_of_what_cannot_be_read(depot: Depot, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(SourceNotFoundError, match="there is no file to put") as caught:
        depot.put(missing)
    assert isinstance(caught.value, BackingError)
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, missing)
    with pytest.raises(BackingError, match="cannot read what is to be put: Is a directory"):
        depot.put(tmp_path)
    with pytest.raises(BackingError, match="cannot read what is to be put"):
        depot.put("/proc/self/mem", identifier=ONE)
    assert depot.state(ONE) is ObjectStateT.WRITABLE


def test_put_checks_the_digest(depot: Depot) -> None:
    depot.put(b"hello", sha256=HELLO)
    refused(lambda: depot.put(b"hallo", sha256=HELLO), "was promised")


def test_get_to_paths_and_files(depot: Depot, tmp_path: Path) -> None:
    identifier = depot.put(LARGE)
    told: list[tuple[int, int | None]] = []
    target = tmp_path / "target"
    target.write_bytes(b"what was there before")
    depot.get_to(identifier, target, progress=tell(told))
    assert target.read_bytes() == LARGE
    assert told[-1] == (len(LARGE), len(LARGE))
    stream = io.BytesIO()
    depot.get_to(identifier, stream)
    assert stream.getvalue() == LARGE
    with target.open("wb", buffering=0) as file:
        depot.get_to(identifier, file)
    assert target.read_bytes() == LARGE
    depot.get_to(depot.put(b""), str(target))
    assert target.read_bytes() == b""


def test_get_to_a_file_keeps_its_mode(depot: Depot, tmp_path: Path) -> None:
    identifier = depot.put(b"hello")
    for mode in (0o600, 0o664):
        target = tmp_path / f"{mode:o}"
        target.touch()
        target.chmod(mode)
        depot.get_to(identifier, target)
        assert target.read_bytes() == b"hello"
        assert stat.S_IMODE(target.stat().st_mode) == mode


def test_get_to_a_file_keeps_its_owner(depot: Depot, tmp_path: Path) -> None:
    need_root()  # who alone gives files away
    target = tmp_path / "target"
    target.touch()
    os.chown(target, 1234, 2345)
    depot.get_to(depot.put(b"hello"), target)
    found = target.stat()
    assert (found.st_uid, found.st_gid, found.st_size) == (1234, 2345, 5)


def test_get_to_a_link_to_a_private_file_is_private(depot: Depot, tmp_path: Path) -> None:
    private, link = tmp_path / "private", tmp_path / "link"
    private.touch(mode=0o600)
    link.symlink_to(private)
    depot.get_to(depot.put(b"hello"), link)
    assert stat.S_IMODE(link.stat().st_mode) == 0o600
    link.unlink()
    link.symlink_to("nowhere")
    depot.get_to(depot.put(b"hello"), link)
    assert link.read_bytes() == b"hello"


@pytest.mark.parametrize("target", [None, b"a path", 3])
def test_get_to_what_takes_no_bytes(depot: Depot, target: Any) -> None:
    identifier = depot.put(b"hello")
    with pytest.raises(TypeError, match="expected a path, or a file open for writing, found"):
        depot.get_to(identifier, target)


def test_what_is_empty_is_told_once(depot: Depot, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    (tmp_path / "empty").touch()
    for source in (b"", io.BytesIO(), tmp_path / "empty"):
        identifier = depot.put(source, progress=tell(told))
    assert told == [(0, 0), (0, None), (0, None)]
    del told[:]
    for target in (tmp_path / "target", io.BytesIO()):
        depot.get_to(identifier, target, progress=tell(told))
    assert told == [(0, 0), (0, 0)]


def test_buffers_of_other_shapes(place: Place) -> None:
    rows = memoryview(bytes(range(6))).cast("B", [2, 3])
    assert place.peek(place.depot.put(rows)) == bytes(range(6))
    nothing = memoryview(b"").cast("I")
    none: Any = (ctypes.c_char * 3 * 0)()
    for source in (nothing, none):
        assert place.peek(place.depot.put(source)) == b""
        with place.depot.create() as blob:
            blob.write(b"a")
            blob.flush()
            blob.raw.write(source)
            place.depot.write(blob.identifier, 0, source)
        assert place.peek(blob.identifier) == b"a"


def test_a_get_that_stops_leaves_the_file_as_it_was(depot: Depot, tmp_path: Path) -> None:
    identifier = depot.put(LARGE)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "target"
    target.write_bytes(b"before")

    def stop(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        depot.get_to(identifier, target, progress=stop)
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("target", b"before")]


def test_get_to_a_file_whose_write_tells_nothing_writes_all_once(depot: Depot) -> None:
    class Counting:
        """Takes all, and returns None, as many do that are no io.RawIOBase."""

        def __init__(self) -> None:
            self.taken = b""

        def write(self, data: memoryview) -> None:
            assert len(self.taken) < len(LARGE)
            self.taken += data

    target: Any = Counting()
    depot.get_to(depot.put(LARGE), target)
    assert target.taken == LARGE


@pytest.mark.parametrize("answer", [None, 0])
def test_get_to_a_raw_file_that_takes_nothing_ends(depot: Depot, answer: int | None) -> None:
    class Full(io.RawIOBase):
        calls = 0

        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int | None:
            self.calls += 1
            assert self.calls == 1
            return answer

    target: Any = Full()
    with pytest.raises(BlockingIOError, match="the target took none of 5 bytes"):
        depot.get_to(depot.put(b"hello"), target)
