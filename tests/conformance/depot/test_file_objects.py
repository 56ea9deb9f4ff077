"""Blobs as file objects."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from objstore import StorageError
from objstore.depot import BlobWriter, Depot, ObjectStateT, Range
from tests.conformance.depot.cases import HELLO, LARGE, ONE, Place, refused
from tests.counting import calls_of


def test_create_and_open(place: Place) -> None:
    with place.depot.create(5, HELLO, {"a": 1}) as blob:
        assert blob.write(b"hel") == 3
        assert place.depot.state(blob.identifier) is ObjectStateT.WRITABLE
        assert blob.write(bytearray(b"lo")) == 2
    assert blob.closed
    assert place.peek(blob.identifier) == b"hello"
    assert place.depot.info(blob.identifier).meta == {"a": 1}
    with place.depot.open(blob.identifier) as found:
        assert found.identifier == blob.identifier
        assert found.name == blob.name == str(blob.identifier)
        assert (found.readable(), found.writable(), found.seekable()) == (True, False, True)
        assert found.read(2) == b"he"
        buffer = bytearray(10)
        assert found.readinto(buffer) == 3
        assert buffer[:3] == b"llo"
        assert found.seek(-4, io.SEEK_END) == 1
        assert found.read() == b"ello"
        assert found.tell() == 5
        with pytest.raises(io.UnsupportedOperation):
            found.write(b"x")
    assert found.closed


def test_large_blobs(place: Place) -> None:
    with place.depot.create() as blob:
        for at in range(0, len(LARGE), 777_777):
            blob.write(LARGE[at : at + 777_777])
    assert place.peek(blob.identifier) == LARGE
    assert place.depot.info(blob.identifier).sha256 == hashlib.sha256(LARGE).hexdigest()
    with place.depot.open(blob.identifier) as found:
        assert found.read() == LARGE
        found.seek(1_000_000)
        assert found.read(1_500_000) == LARGE[1_000_000:2_500_000]
    assert place.depot.read(blob.identifier, 999, 2_000_000) == LARGE[999:2_000_999]


def test_what_was_flushed_is_there_for_whoever_finalizes(depot: Depot) -> None:
    blob = depot.create()
    blob.write(b"hel")
    blob.flush()
    blob.write(b"lo")
    blob.flush()
    assert (depot.info(blob.identifier).size, depot.missing_ranges(blob.identifier)) == (5, [])
    depot.finalize(blob.identifier)
    assert depot.read(blob.identifier, 0, 9) == b"hello"
    refused(blob.close, "finalized already")


def test_two_write_parts_and_the_last_finalizes(depot: Depot) -> None:
    depot.reserve(ONE, 10, sha256=hashlib.sha256(b"aaaaabbbbb").hexdigest())
    first, second = depot.resume(ONE), depot.resume(ONE)
    first.write(b"aaaaa")
    first.flush()
    second.seek(5)
    second.write(b"bbbbb")
    second.close()
    first.abandon()
    assert depot.read(ONE, 0, 10) == b"aaaaabbbbb"


def test_a_closed_blob_does_nothing(depot: Depot) -> None:
    with depot.create() as blob:
        blob.write(b"hello")
    found = depot.open(blob.identifier)
    found.close()
    for closed in (blob, found):
        for call in (
            closed.tell,
            closed.read,
            closed.readline,
            closed.flush,
            closed.raw.tell,
            lambda closed=closed: closed.seek(0),
            lambda closed=closed: closed.raw.seek(0),
            lambda closed=closed: next(closed),
            lambda closed=closed: closed.readinto(bytearray(3)),
            lambda closed=closed: closed.raw.read(1),
            lambda closed=closed: closed.raw.readinto(memoryview(bytearray(1))),
            closed.__enter__,
        ):
            with pytest.raises(ValueError, match="closed"):
                call()
    with pytest.raises(ValueError, match=r"closed|fileno"):  # most have none
        found.fileno()
    for write in (blob.truncate, lambda: blob.write(b"x"), blob.sync, lambda: blob.raw.write(b"x")):
        with pytest.raises(ValueError, match="closed"):
            write()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_leaves_a_blob_that_is_not_readable(
    place: Place, error: type[BaseException]
) -> None:
    with pytest.raises(error), place.depot.create() as blob:
        blob.write(LARGE)
        raise error
    assert blob.closed
    assert place.depot.state(blob.identifier) is ObjectStateT.WRITABLE
    assert place.peek(blob.identifier) is None
    assert place.depot.sweep(timedelta(0)) == [blob.identifier]
    assert list(place.depot.identifiers()) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_a_wrapper_that_closes_as_an_exception_passes_finalizes_nothing(
    place: Place, error: type[BaseException]
) -> None:
    with pytest.raises(error), place.depot.create() as blob, io.TextIOWrapper(blob) as text:
        text.write("half a line")
        raise error
    assert blob.closed
    assert place.depot.state(blob.identifier) is ObjectStateT.WRITABLE
    assert place.peek(blob.identifier) is None
    assert place.depot.sweep(timedelta(0)) == [blob.identifier]


def _wrapped(depot: Depot) -> None:
    with io.TextIOWrapper(depot.create()) as text:
        text.write("half a line")
        raise ZeroDivisionError


def _closing(depot: Depot) -> None:
    with contextlib.closing(depot.create()) as blob:
        blob.write(b"half")
        raise ZeroDivisionError


def _finally(depot: Depot) -> None:
    blob = depot.create()
    try:
        blob.write(b"half")
        raise ZeroDivisionError
    finally:
        blob.close()


def _amid_another(depot: Depot) -> None:
    try:
        raise KeyError
    except KeyError:
        _wrapped(depot)


@pytest.mark.parametrize("around", [_wrapped, _closing, _finally, _amid_another])
def test_an_exception_that_closes_a_blob_on_its_way_finalizes_nothing(
    place: Place, around: Callable[[Depot], None], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ZeroDivisionError):
        around(place.depot)
    [info] = place.depot.blobs()
    assert info.state is ObjectStateT.WRITABLE
    assert info.size in (4, 11)
    assert "was closed while ZeroDivisionError was handled" in caplog.text
    assert place.depot.sweep(timedelta(0)) == [info.identifier]


def test_what_is_closed_in_the_block_while_an_exception_is_handled_is_finalized_at_its_end(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with place.depot.create() as blob:
        try:
            raise ImportError
        except ImportError:
            with io.TextIOWrapper(blob) as text:
                text.write("all of the data")
        assert blob.closed
        assert place.depot.state(blob.identifier) is ObjectStateT.WRITABLE
        assert place.depot.sweep(timedelta(0)) == []
    assert place.peek(blob.identifier) == b"all of the data"
    digest = hashlib.sha256(b"all of the data").hexdigest()
    assert place.depot.info(blob.identifier).sha256 == digest
    assert caplog.text == ""


@pytest.mark.parametrize("end", ["finalize", "abandon"])
def test_what_is_closed_amid_an_exception_in_the_block_may_be_ended_in_it(
    place: Place, end: str
) -> None:
    with place.depot.create() as blob:
        try:
            raise ImportError
        except ImportError:
            blob.write(b"all")
            blob.close()
            getattr(blob, end)()
    assert place.peek(blob.identifier) == (b"all" if end == "finalize" else None)
    swept = [] if end == "finalize" else [blob.identifier]
    assert place.depot.sweep(timedelta(0)) == swept


def test_what_is_closed_amid_an_exception_and_left_by_another_is_not_finalized(
    place: Place,
) -> None:
    with pytest.raises(KeyError), place.depot.create() as blob:
        with contextlib.suppress(ZeroDivisionError), io.TextIOWrapper(blob) as text:
            text.write("half")
            raise ZeroDivisionError
        raise KeyError
    assert place.peek(blob.identifier) is None
    assert place.depot.sweep(timedelta(0)) == [blob.identifier]


def test_what_is_missing_is_told_at_the_end_of_the_block_it_was_closed_in(depot: Depot) -> None:
    def leave() -> None:
        with depot.create(5) as blob:
            try:
                raise ImportError
            except ImportError:
                blob.write(b"hell")
                blob.close()

    refused(leave, "1 bytes were never written")


def test_a_blob_made_in_an_inner_handler_is_finalized_in_the_outer_one(place: Place) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        try:
            raise KeyError
        except KeyError:
            blob = place.depot.create()
        blob.write(b"what went wrong")
        blob.close()
    assert place.peek(blob.identifier) == b"what went wrong"


def test_closing_finalizes_while_another_thread_handles_an_exception(place: Place) -> None:
    blob = place.depot.create()
    blob.write(b"all")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(blob.close).result()
    assert place.peek(blob.identifier) == b"all"


@pytest.mark.parametrize("wrap", [io.TextIOWrapper, io.BufferedWriter])
def test_a_wrapper_that_is_dropped_does_not_finalize(place: Place, wrap: Any) -> None:
    wrapper = wrap(place.depot.create())
    wrapper.write("half" if wrap is io.TextIOWrapper else b"half")
    with pytest.warns(ResourceWarning, match="what wraps the blob .* was dropped"):
        del wrapper
    [info] = place.depot.blobs()
    assert info.state is ObjectStateT.WRITABLE


def test_a_wrapper_that_is_dropped_in_the_block_has_written_all(place: Place) -> None:
    def write(blob: BlobWriter) -> None:
        io.TextIOWrapper(blob).write("all")

    with place.depot.create() as blob:
        write(blob)
        assert blob.closed
    assert place.peek(blob.identifier) == b"all"


def test_a_wrapper_that_closes_finalizes(place: Place) -> None:
    with place.depot.create() as blob, io.TextIOWrapper(blob) as text:
        text.write("a line")
    assert place.peek(blob.identifier) == b"a line"


def test_a_blob_made_while_an_exception_is_handled_is_finalized(place: Place) -> None:
    def make() -> BlobWriter:
        with place.depot.create() as blob, io.TextIOWrapper(blob) as text:
            text.write("what went wrong")
        return blob

    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        within = make()
        closed = place.depot.create()
        closed.close()
    for blob in (within, closed):
        assert place.depot.state(blob.identifier) is ObjectStateT.READABLE


def test_an_exception_that_the_block_handles_itself_leaves_the_blob_open(place: Place) -> None:
    with place.depot.create() as blob:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            blob.write(b"after all")
    assert place.peek(blob.identifier) == b"after all"


def test_a_blob_that_is_dropped_is_not_finalized(depot: Depot) -> None:
    blob = depot.create()
    blob.write(b"hello")
    with pytest.warns(ResourceWarning, match="was neither closed nor abandoned"):
        del blob
    [info] = depot.blobs()
    assert info.state is ObjectStateT.WRITABLE


def test_closing_finalizes_once(depot: Depot) -> None:
    blob = depot.create()
    blob.write(b"hello")
    blob.close()
    blob.close()
    blob.finalize()
    blob.abandon()
    assert depot.read(blob.identifier, 0, 9) == b"hello"
    with pytest.raises(ValueError, match="closed"):
        blob.write(b"x")


def test_an_abandoned_blob_can_be_resumed(place: Place) -> None:
    blob = place.depot.create(5, HELLO)
    blob.write(b"hel")
    blob.flush()
    blob.abandon()
    blob.close()
    assert place.depot.missing_ranges(blob.identifier) == [Range(3, 2)]
    with place.depot.resume(blob.identifier) as again:
        assert again.tell() == 3
        again.write(b"lo")
    assert place.peek(blob.identifier) == b"hello"
    assert place.depot.info(blob.identifier).sha256 == HELLO


def test_a_blob_without_a_size_is_resumed_at_its_end(place: Place) -> None:
    blob = place.depot.create()
    blob.write(b"hel")
    blob.flush()
    blob.abandon()
    with place.depot.resume(blob.identifier) as again:
        assert again.tell() == 3
        again.write(b"lo")
    assert place.peek(blob.identifier) == b"hello"


@pytest.mark.parametrize("data", [b"hell", b"hello!", b"hallo"])
def test_what_is_not_as_promised_is_told_when_closing(place: Place, data: bytes) -> None:
    blob = place.depot.create(5, HELLO)
    blob.write(data)
    with pytest.raises(StorageError):
        blob.close()
    assert blob.closed
    assert place.depot.state(blob.identifier) is ObjectStateT.WRITABLE
    assert place.peek(blob.identifier) is None


def test_zeroes_are_meant_where_the_writer_says_so(place: Place) -> None:
    with place.depot.create(8) as blob:
        blob.write(b"ab")
        blob.finalize(zeroes=True)
    assert place.peek(blob.identifier) == b"ab\0\0\0\0\0\0"
    assert place.depot.scrub().sound == 1


def test_a_writer_is_a_file_that_can_be_read_back_and_changed(place: Place) -> None:
    with place.depot.create() as blob:
        blob.write(b"hello world")
        blob.seek(0)
        assert blob.read(5) == b"hello"
        blob.seek(4)
        blob.write(b"O")
        assert blob.seek(0, io.SEEK_END) == 11
        blob.truncate(6)
        blob.seek(6)
        blob.write(b"!")
        blob.seek(0)
        assert blob.read() == b"hellO !"
        assert (blob.readable(), blob.writable(), blob.seekable()) == (True, True, True)
    assert place.peek(blob.identifier) == b"hellO !"
    expected = hashlib.sha256(b"hellO !").hexdigest()
    assert place.depot.info(blob.identifier).sha256 == expected
    assert place.depot.scrub().sound == 1


def test_what_truncating_adds_is_written(place: Place) -> None:
    with place.depot.create() as blob:
        blob.write(b"ab")
        blob.truncate(4)
    assert place.peek(blob.identifier) == b"ab\0\0"


def test_what_is_sought_over_is_zero_as_in_a_file(place: Place) -> None:
    with place.depot.create() as blob:
        blob.write(b"ab")
        blob.seek(4)
        blob.write(b"c")
        blob.seek(3_000_000)
        blob.write(b"d")
        blob.flush()
        # For others, who may be going to write it.
        assert place.depot.missing_ranges(blob.identifier) == [Range(2, 2), Range(5, 2_999_995)]
        blob.seek(100)
        blob.write(b"e")
    expected = b"ab\0\0c".ljust(100, b"\0") + b"e".ljust(2_999_900, b"\0") + b"d"
    assert place.peek(blob.identifier) == expected
    assert place.depot.info(blob.identifier).sha256 == hashlib.sha256(expected).hexdigest()


def test_what_was_cut_off_and_sought_over_anew_is_zero(place: Place) -> None:
    with place.depot.create() as blob:
        blob.write(b"abcdef")
        blob.truncate(2)
        blob.seek(4)
        blob.write(b"g")
        blob.truncate(3)
        blob.seek(5)
        blob.write(b"h")
    assert place.peek(blob.identifier) == b"ab\0\0\0h"


def test_a_gap_is_missing_where_a_size_was_promised(place: Place) -> None:
    blob = place.depot.create(5)
    blob.write(b"ab")
    blob.seek(4)
    blob.write(b"c")
    refused(blob.close, "2 bytes were never written, the first at 2")
    assert place.depot.missing_ranges(blob.identifier) == [Range(2, 2)]


def test_a_gap_is_missing_where_several_write(place: Place) -> None:
    blob = place.depot.create()
    blob.seek(4)
    blob.write(b"ef")
    blob.flush()
    place.depot.write(blob.identifier, 0, b"ab")
    refused(blob.close, "2 bytes were never written, the first at 2")
    assert place.depot.missing_ranges(blob.identifier) == [Range(2, 2)]


def test_a_gap_is_missing_where_a_blob_is_resumed(place: Place) -> None:
    blob = place.depot.create()
    blob.seek(4)
    blob.write(b"c")
    blob.flush()
    blob.abandon()
    again = place.depot.resume(blob.identifier)
    assert again.tell() == 0
    again.write(b"ab")
    refused(again.close, "2 bytes were never written, the first at 2")
    ahead = place.depot.resume(blob.identifier)
    ahead.seek(9)
    ahead.write(b"d")
    refused(ahead.close, "6 bytes were never written, the first at 2")


def test_a_blob_is_as_long_as_it_was_cut(place: Place) -> None:
    blob = place.depot.create()
    blob.seek(4)
    blob.write(b"c")
    blob.truncate(2)
    assert place.depot.missing_ranges(blob.identifier) == [Range(0, 2)]
    blob.finalize(zeroes=True)
    assert place.peek(blob.identifier) == b"\0\0"


def test_a_promised_size_cannot_be_truncated(depot: Depot) -> None:
    blob = depot.create(5)
    blob.write(b"hello")
    blob.truncate(5)
    for size in (4, 6):
        with pytest.raises(io.UnsupportedOperation, match=f"cannot be made {size} long"):
            blob.truncate(size)
    blob.close()
    assert depot.read(blob.identifier, 0, 9) == b"hello"


@pytest.mark.parametrize("promised", [None, 3])
@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        (-1, ValueError, "size must be 0 or more, not -1"),
        (-(2**70), ValueError, "size must be 0 or more, not -"),
        (1.5, TypeError, r"size must be an int, not 1\.5"),
        ("3", TypeError, 'size must be an int, not "3"'),
    ],
)
def test_a_blob_is_not_cut_to_what_is_no_size(
    place: Place, promised: int | None, size: Any, error: type[Exception], words: str
) -> None:
    blob = place.depot.create(promised)
    blob.write(b"abc")
    blob.flush()
    with pytest.raises(error, match=words):
        blob.truncate(size)
    assert place.depot.info(blob.identifier).size == 3
    blob.close()
    assert place.peek(blob.identifier) == b"abc"


def test_a_blob_of_unknown_size_is_made_no_longer_than_its_grid(place: Place) -> None:
    blob = place.depot.create(part_size=5 << 20)
    blob.write(b"abc")
    blob.flush()
    limit = 10_000 * (5 << 20)
    words = f"{limit + 1} bytes in parts of 5242880 are more than 10000 parts"
    for size, said in ((limit + 1, words), (2**70, f"a blob has at most .* not {2**70}")):
        with pytest.raises(ValueError, match=said):
            blob.truncate(size)
    blob.seek(limit + 1)
    with pytest.raises(ValueError, match="more than 10000 parts"):
        blob.truncate()
    assert place.depot.info(blob.identifier).size == 3
    blob.close()
    assert place.peek(blob.identifier) == b"abc"


def test_seeking_to_the_end_costs_the_same_however_many_pieces_were_written(place: Place) -> None:
    blob, number = place.depot.create(), 0

    def step() -> None:
        nonlocal number
        blob.seek(0)
        blob.write(b"12345678")
        assert blob.seek(0, io.SEEK_END) == (100 * number or 8)
        number += 1
        blob.seek(100 * (number - 1))
        blob.write(b"x" * 100)

    def steps() -> None:
        for _ in range(5):
            step()

    step()
    before = calls_of(steps)
    for _ in range(100):
        step()
    assert calls_of(steps) < 1.5 * before
    blob.close()
    assert place.peek(blob.identifier) == b"12345678" + b"x" * (100 * number - 8)


def test_seeking_before_the_first_byte_is_refused(depot: Depot) -> None:
    depot.put(b"hello", identifier=ONE)
    with (
        depot.open(ONE) as found,
        pytest.raises(ValueError, match=r"before the first byte|negative"),
    ):
        found.seek(-6, io.SEEK_END)
    with depot.create() as blob:
        with pytest.raises(ValueError, match=r"before the first byte|negative"):
            blob.seek(-1, io.SEEK_END)
        with pytest.raises(ValueError, match="whence"):
            blob.seek(0, 9)


def test_a_digest_is_of_what_is_there_whoever_wrote_it(depot: Depot) -> None:
    """One writer counts while it writes; another one changes what is counted already."""
    blob = depot.create()
    blob.write(b"hello")
    blob.flush()
    depot.write(blob.identifier, 1, b"a")
    blob.close()
    assert depot.read(blob.identifier, 0, 9) == b"hallo"
    assert depot.info(blob.identifier).sha256 == hashlib.sha256(b"hallo").hexdigest()
    assert depot.scrub().sound == 1


@pytest.mark.parametrize(("end", "words"), [("finalize", "finalized already"), ("purge", "purged")])
def test_a_writer_learns_that_its_blob_is_another_ones(depot: Depot, end: str, words: str) -> None:
    blob = depot.create(identifier=ONE)
    blob.write(b"hello")
    blob.sync()
    getattr(depot, end)(ONE)
    blob.write(b" world")
    refused(blob.flush, f"the blob {ONE} was {words}")
    refused(blob.close, f"the blob {ONE} was {words}")
    assert depot.exists(ONE) == (end == "finalize")
