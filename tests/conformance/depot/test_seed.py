"""What the seed has; lines are those of conformance, "RecordKeeper and Depot"."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from objstore import ValidationError
from objstore._ranges import choose_part_size
from objstore.depot import Depot, Grid, Identifier, ObjectStateT, Range
from tests.conformance.depot.cases import HELLO, ONE, Place, refused

# Lines 5 to 7: what the seed has


def test_line_5_reserve_fills_with_zeroes(place: Place) -> None:
    place.depot.reserve(ONE, 10)
    place.depot.write(ONE, 3, b"abc")
    place.depot.finalize(ONE, zeroes=True)
    assert place.peek(ONE) == b"\0\0\0abc\0\0\0\0"
    assert place.depot.read(ONE, 0, 10) == b"\0\0\0abc\0\0\0\0"


@pytest.mark.parametrize(
    ("offset", "data"), [(0, b"123456"), (5, b"1"), (10**30, b"1"), (3, b"abc")]
)
def test_line_5_a_write_outside_is_refused(place: Place, offset: int, data: bytes) -> None:
    place.depot.reserve(ONE, 5)
    refused(lambda: place.depot.write(ONE, offset, data), "has 5 bytes, and cannot take")
    assert place.depot.missing_ranges(ONE) == [Range(0, 5)]
    place.depot.write(ONE, 4, b"!")
    place.depot.finalize(ONE, zeroes=True)
    assert place.peek(ONE) == b"\0\0\0\0!"


def test_line_5_each_refusal_has_its_own_words(depot: Depot) -> None:
    words = [
        (lambda: depot.write(ONE, 0, b"x"), "there is no blob 62af3937-.*-6ef12a5e246a.1"),
        (lambda: depot.finalize(ONE), "there is no blob"),
        (lambda: depot.read(ONE, 0, 1), "there is no blob"),
        (lambda: depot.purge(ONE), "there is no blob"),
        (lambda: depot.info(ONE), "there is no blob"),
        (lambda: depot.link(ONE), "there is no blob"),
        (lambda: depot.open(ONE), "there is no blob"),
        (lambda: depot.resume(ONE), "there is no blob"),
        (lambda: depot.missing_ranges(ONE), "there is no blob"),
        (lambda: depot.get_to(ONE, io.BytesIO()), "there is no blob"),
    ]
    for call, text in words:
        refused(call, text)
    depot.reserve(ONE, 1)
    refused(lambda: depot.reserve(ONE, 1), "exists already")
    refused(lambda: depot.create(identifier=ONE), "exists already")
    refused(lambda: depot.read(ONE, 0, 1), "is not finalized yet, and cannot be read")
    refused(lambda: depot.open(ONE), "is not finalized yet")
    refused(lambda: depot.link(ONE), "is not finalized yet")
    refused(lambda: depot.get_to(ONE, io.BytesIO()), "is not finalized yet")
    depot.write(ONE, 0, b"x")
    depot.finalize(ONE)
    refused(lambda: depot.reserve(ONE, 1), "exists already")
    refused(lambda: depot.write(ONE, 0, b"y"), "was finalized, and can be written no more")
    refused(lambda: depot.write(ONE, 0, b""), "was finalized, and can be written no more")
    refused(lambda: depot.resume(ONE), "was finalized, and can be written no more")
    refused(lambda: depot.finalize(ONE), "was finalized already")
    assert depot.read(ONE, 0, 1) == b"x"


def test_line_6_states_have_the_seeds_numbers(depot: Depot) -> None:
    assert [state.value for state in ObjectStateT] == [1, 2, 4]
    assert ObjectStateT["NONEXISTENT"].value == 1
    assert ObjectStateT["READABLE"].value == 2
    assert ObjectStateT["WRITABLE"].value == 4
    assert (depot.exists(ONE), depot.state(ONE)) == (False, ObjectStateT.NONEXISTENT)
    depot.reserve(ONE, 0)
    assert (depot.exists(ONE), depot.state(ONE)) == (True, ObjectStateT.WRITABLE)
    depot.finalize(ONE)
    assert (depot.exists(ONE), depot.state(ONE)) == (True, ObjectStateT.READABLE)


def test_line_6_a_read_past_the_end_is_short_or_empty(depot: Depot) -> None:
    depot.put(b"hello", identifier=ONE)
    assert depot.read(ONE, 3, 10) == b"lo"
    assert depot.read(ONE, 5, 1) == b""
    assert depot.read(ONE, 10**15, 10**15) == b""
    assert depot.read(ONE, 0, 10**15) == b"hello"
    assert depot.read(ONE, 1, 0) == b""


def test_line_6_purge_works_in_both_states(place: Place) -> None:
    place.depot.reserve(ONE, 5)
    place.depot.write(ONE, 0, b"12345")
    place.depot.purge(ONE)
    assert not place.depot.exists(ONE)
    place.depot.reserve(ONE, 5)
    assert place.depot.missing_ranges(ONE) == [Range(0, 5)], "nothing of its first life counts"
    place.depot.write(ONE, 0, b"hello")
    place.depot.finalize(ONE)
    place.depot.purge(ONE)
    assert place.peek(ONE) is None
    assert list(place.depot.identifiers()) == []
    refused(lambda: place.depot.purge(ONE), "there is no blob")


def test_line_7_a_promised_digest_is_verified(place: Place) -> None:
    place.depot.reserve(ONE, 5, sha256=HELLO)
    place.depot.write(ONE, 0, b"hallo")
    refused(lambda: place.depot.finalize(ONE), f"has the SHA-256 .*, and {HELLO} was promised")
    assert place.depot.state(ONE) is ObjectStateT.WRITABLE
    place.depot.write(ONE, 1, b"e")
    place.depot.finalize(ONE)
    assert place.peek(ONE) == b"hello"
    assert place.depot.info(ONE).sha256 == HELLO


def test_line_7_missing_ranges_are_refused_unless_zeroes_were_meant(place: Place) -> None:
    place.depot.reserve(ONE, 10)
    place.depot.write(ONE, 2, b"ab")
    place.depot.write(ONE, 6, b"c")
    words = "7 bytes were never written, the first at 0; zeroes=True takes them for zeroes"
    refused(lambda: place.depot.finalize(ONE), words)
    assert place.depot.missing_ranges(ONE) == [Range(0, 2), Range(4, 2), Range(7, 3)]
    place.depot.finalize(ONE, zeroes=True)
    assert place.peek(ONE) == b"\0\0ab\0\0c\0\0\0"
    assert place.depot.missing_ranges(ONE) == []
    assert place.depot.info(ONE).sha256 == hashlib.sha256(b"\0\0ab\0\0c\0\0\0").hexdigest()


# Bad arguments


BAD: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda d: d.reserve(ONE, -1), ValueError, "size must be 0 or more, not -1"),
    (lambda d: d.reserve(ONE, 1.5), TypeError, "size must be an int, not 1.5"),
    (lambda d: d.reserve(ONE, True), TypeError, "size must be an int, not true"),
    (lambda d: d.reserve(ONE, 1, sha256="abc"), ValueError, "64 hexadecimal digits"),
    (lambda d: d.reserve(ONE, 1, sha256=HELLO.upper()), ValueError, "in lower case"),
    (lambda d: d.reserve(ONE, 1, meta={"a": b""}), ValidationError, "meta at /a: expected a"),
    (lambda d: d.reserve(ONE, 1, meta=[]), ValidationError, "meta: expected an object"),
    (lambda d: d.reserve(ONE, 1, part_size=5), ValueError, "part_size must be from 5242880"),
    (lambda d: d.reserve(ONE, 10**12, part_size=5 << 20), ValueError, "more than 10000 parts"),
    (lambda d: d.reserve(ONE, 1, part_size="8M"), TypeError, "part_size must be an int, not"),
    (lambda d: d.reserve(ONE, 1, part_size=6e6), TypeError, "part_size must be an int, not"),
    (lambda d: d.reserve(ONE, 1, sha256=HELLO.encode()), TypeError, "sha256 must be text, not"),
    (lambda d: d.sweep(3600), TypeError, "older_than must be a timedelta, not 3600"),
    (lambda d: d.sweep(datetime.now(UTC)), TypeError, "older_than must be a timedelta, not"),
    (lambda d: d.reserve(ONE, 10**14), ValueError, "a blob has at most"),
    (lambda d: d.reserve("62af", 1), TypeError, 'expected an Identifier, found "62af"'),
    (lambda d: d.exists("62af"), TypeError, "see Identifier.parse"),
    (lambda d: d.open("62af"), TypeError, "see Identifier.parse"),
    (lambda d: d.write(ONE, -1, b""), ValueError, "offset must be 0 or more, not -1"),
    (lambda d: d.read(ONE, -1, 1), ValueError, "offset must be 0 or more"),
    (lambda d: d.read(ONE, 1, -1), ValueError, "size must be 0 or more"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_bad_arguments(
    depot: Depot, call: Callable[[Any], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(depot)
    assert list(depot.identifiers()) == []


def test_text_is_not_written(depot: Depot) -> None:
    depot.reserve(ONE, 5)
    with pytest.raises(TypeError):
        depot.write(ONE, 0, "hello")  # type: ignore[arg-type]
    assert depot.missing_ranges(ONE) == [Range(0, 5)]


# Identifiers


def test_identifiers_have_a_text_and_a_link() -> None:
    assert str(ONE) == "62af3937-4c5b-405b-a170-6ef12a5e246a.1"
    assert ONE.link == "urn:objstore:blob:62af3937-4c5b-405b-a170-6ef12a5e246a.1"
    assert Identifier.parse(str(ONE)) == Identifier.parse(ONE.link) == ONE
    assert Identifier.new() != Identifier.new()
    assert Identifier(ONE.uuid, 2) > ONE
    assert len({ONE, Identifier(UUID(str(ONE.uuid)))}) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "62af3937-4c5b-405b-a170-6ef12a5e246a",
            f"{ONE}.wr",
            f"{ONE.uuid}.01",
            f"{ONE.uuid}.-1",
        ),
        *(str(ONE).upper(), f"{ONE}\n", f" {ONE}", f"blob:{ONE}", f"{ONE.uuid}.1e3", "../../x.1"),
    ],
)
def test_what_is_no_identifier(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected <uuid>\.<version> or a blob's link, found"):
        Identifier.parse(text)


def test_parts_of_identifiers_are_checked() -> None:
    with pytest.raises(TypeError, match='uuid must be a UUID, not "62af"'):
        Identifier("62af")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"version must be an int, not 1\.0"):
        Identifier(ONE.uuid, 1.0)  # type: ignore[arg-type]
    for version in (-1, 10**18):
        with pytest.raises(ValueError, match="version must be from 0 to"):
            Identifier(ONE.uuid, version)


def test_versions_are_blobs_of_their_own(place: Place) -> None:
    versions = [Identifier(ONE.uuid, number) for number in (0, 1, 2, 10, 10**18 - 1)]
    for identifier in versions:
        place.depot.put(str(identifier).encode(), identifier=identifier)
    assert list(place.depot.identifiers()) == versions
    place.depot.purge(versions[1])
    for identifier in (versions[0], *versions[2:]):
        assert place.peek(identifier) == str(identifier).encode()


# What is known of blobs


def test_blobs_are_listed_with_sizes_and_states(depot: Depot) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    second = Identifier(UUID(int=0))
    depot.reserve(ONE, 7, sha256=HELLO, meta={"name": "a", "tags": [1, None]})
    depot.put(b"hello", identifier=second, meta={"é": 2**70})
    with pytest.raises(ZeroDivisionError), depot.create() as third:
        third.write(b"abc")
        third.flush()
        raise ZeroDivisionError
    infos = {info.identifier: info for info in depot.blobs()}
    assert list(infos) == sorted([second, ONE, third.identifier])
    one, two, three = infos[ONE], infos[second], infos[third.identifier]
    assert one[1:5] == (ObjectStateT.WRITABLE, 7, 7, HELLO)
    assert two[1:5] == (ObjectStateT.READABLE, 5, 5, HELLO)
    assert three[1:5] == (ObjectStateT.WRITABLE, 3, None, None)
    assert one.meta == {"name": "a", "tags": [1, None]}
    assert two.meta == {"é": 2**70}
    assert three.meta == {}
    for info in infos.values():
        assert before < info.changed < datetime.now(UTC) + timedelta(seconds=1)
        assert depot.info(info.identifier) == info


def test_metadata_is_not_shared_with_the_caller(depot: Depot) -> None:
    meta = {"tags": ["a"]}
    depot.put(b"", identifier=ONE, meta=meta)
    meta["tags"].append("b")
    assert depot.info(ONE).meta == {"tags": ["a"]}


def test_metadata_is_not_shared_with_who_asks(depot: Depot) -> None:
    depot.put(b"", identifier=ONE, meta={"tags": ["a"]})
    for found in (depot.info(ONE), *depot.blobs()):
        found.meta["tags"].append("b")
    assert depot.info(ONE).meta == {"tags": ["a"]}


@pytest.mark.parametrize("offset", [1, 2**31, 2**63 - 2, 2**63 - 1, 2**63, 2**64, 10**30])
def test_reading_far_behind_the_end_gives_nothing(depot: Depot, offset: int) -> None:
    depot.put(b"x", identifier=ONE)
    assert depot.read(ONE, offset, 1) == b""
    assert depot.read(ONE, offset, offset) == b""
    with depot.open(ONE) as blob:
        blob.raw.seek(offset, io.SEEK_SET)
        assert blob.raw.read() == blob.raw.read(1) == b""


@pytest.mark.parametrize(
    ("size", "part_size", "count", "chosen"),
    [
        (0, None, 0, 8 << 20),
        (8 << 20, None, 1, 8 << 20),
        ((8 << 20) + 1, None, 2, 8 << 20),
        (100 << 30, None, 9310, 11 << 20),
        (11 << 20, 5 << 20, 3, 5 << 20),
        (10_000 * (5 << 30), None, 10_000, 5 << 30),
        (10_000 * (5 << 20), 5 << 20, 10_000, 5 << 20),
    ],
)
def test_how_blobs_are_cut_into_parts(
    size: int, part_size: int | None, count: int, chosen: int
) -> None:
    assert choose_part_size(size, part_size) == chosen
    grid = Grid(size, chosen)
    parts = list(grid.parts())
    assert len(grid) == len(parts) == count
    assert sum(part.size for part in parts) == size
    assert all(part.size == chosen for part in parts[:-1])
    assert [part.at for part in parts[1:]] == [part.end for part in parts[:-1]]


def test_the_part_grid_is_fixed_when_reserving(depot: Depot) -> None:
    depot.reserve(ONE, 12 << 20, part_size=5 << 20)
    assert list(depot.info(ONE).grid.parts()) == [
        Range(0, 5 << 20),
        Range(5 << 20, 5 << 20),
        Range(10 << 20, 2 << 20),
    ]
    depot.finalize(ONE, zeroes=True)
    assert depot.info(ONE).part_size == 5 << 20


def test_a_blob_of_unknown_size_ends_with_its_grid(depot: Depot) -> None:
    depot.reserve(ONE, None, part_size=5 << 20)
    end = 10_000 * (5 << 20)
    words = "would have more than 10000 parts of 5242880 bytes"
    refused(lambda: depot.write(ONE, end, b"x"), words)
    refused(lambda: depot.write(ONE, end - 1, b"xy"), words)
    assert depot.info(ONE).size == 0
