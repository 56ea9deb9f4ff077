"""Frames of the commit log, and the page that lays them down (docs/formats/commit-log.md)."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import jsonschema
import pytest
from hypothesis import given, settings

from objstore import schemas
from objstore.backings.filesystem.log import jsonline, manifest
from objstore.backings.filesystem.log.frames import (
    CLOSED,
    END,
    HEADER_SIZE,
    RECORD,
    SECTOR,
    START,
    Codec,
    Header,
    crc32c,
)
from objstore.backings.filesystem.log.logfile import Start
from objstore.errors import CorruptionError, FormatError

from .realdata import ROOT

STORE = UUID("7c1f4f6e-51a8-4d0b-9a38-2f0f6f5a1e90")
OTHER = UUID("7c1f4f6e-51a8-4d0b-9a38-2f0f6f5a1e91")
CODEC = Codec(STORE, 7)
PAGE = (ROOT / "docs/formats/commit-log.md").read_text("utf-8")

payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
).map(jsonline.dump)


def decoded(frame: bytes, codec: Codec = CODEC) -> tuple[Header, bytes] | None:
    return codec.frame(frame)


def check(name: str, data: bytes | str) -> None:
    """Raise where JSON is not what the schema of that name asks for."""
    kind = jsonschema.Draft202012Validator
    validator: Any = kind(schemas.load(name), format_checker=kind.FORMAT_CHECKER)
    validator.validate(json.loads(data))


# The page


def example(name: str) -> str:
    """The indented block that follows a line with the file's name."""
    found = re.search(rf"^    {re.escape(name)}\n\n((?:    .*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return re.sub("^    ", "", found[1], flags=re.MULTILINE)


def test_the_worked_example() -> None:
    rows = [line.split("  ") for line in example("00000007-a.log").splitlines()]
    data = b"".join(bytes.fromhex(row[1] + row[2]) for row in rows)
    assert [int(row[0], 16) for row in rows] == list(range(0, len(data), 16))

    start = Start(STORE, 7, 41, None).encode()
    assert data.startswith(start)
    found = decoded(data[len(start) :])
    assert found is not None
    header, payload = found
    assert (header.kind, header.number, header.synced) == (RECORD, 42, len(start))
    check("record", payload)
    record = CODEC.encode(RECORD, 42, len(start), payload)
    closed = CODEC.encode(CLOSED, 42, len(start) + len(record), b"{}")
    assert data == start + record + closed
    assert f"payload of {len(start) - 33} bytes. Byte {len(start)}, R: record 42" in PAGE
    assert f"reads the last {len(closed)} bytes" in PAGE


def test_the_manifest_of_the_worked_example() -> None:
    text = example("manifest.json")
    found = manifest.parse(text.encode(), "manifest.json")
    assert found == manifest.Manifest(STORE, {})
    assert found.encode().decode() == text
    check("manifest", text)


def test_the_first_frame_says_what_its_schema_asks_for() -> None:
    for checkpoint, removed in ((None, None), ({"any": ["thing"]}, [[1, 3], [5, 5]])):
        found = decoded(Start(STORE, 7, 41, checkpoint, removed, removed).encode())
        assert found is not None
        assert found[0].kind == START
        assert found[0].number == 41
        check("log-start", found[1])
        assert json.loads(found[1])["checkpoint"] == checkpoint


@pytest.mark.parametrize("name", ["manifest", "record", "log-start", "index", "pins"])
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.load(name))


def test_payloads_are_found_with_grep() -> None:
    [pattern] = re.findall(r"^    grep -a '(.*?)' ", PAGE, re.MULTILINE)
    frames = b"".join(CODEC.encode(RECORD, n, n, b'{"n":%d}' % n) for n in range(5000))
    lines = [line for line in frames.split(b"\n") if re.search(pattern.encode(), line)]
    assert lines == [b'{"n":%d}' % n for n in range(5000)]


# Frames


def test_crc32c_is_castagnoli() -> None:
    """The check value of the CRC catalogue, and of RFC 3720, B.4, for 32 bytes of zero."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


@given(
    kind=st.sampled_from([START, RECORD, CLOSED, END]),
    number=st.integers(0, 2**64 - 1),
    synced=st.integers(0, 2**64 - 1),
    payload=payloads,
)
@settings(deadline=None)
def test_a_frame_comes_back(kind: bytes, number: int, synced: int, payload: bytes) -> None:
    frame = CODEC.encode(kind, number, synced, payload)  # type: ignore[arg-type]
    found = decoded(frame)
    assert found is not None
    header, same = found
    assert header[:3] == (kind, number, synced)
    assert same == payload
    assert header.size == len(frame)


def test_every_bit_counts() -> None:
    frame = CODEC.encode(RECORD, 42, 125, '{"name":"Zoë"}'.encode())
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decoded(bytes(flipped)) is None, bit


def test_every_byte_counts() -> None:
    frame = CODEC.encode(RECORD, 42, 125, b'{"any":"thing"}')
    for size in range(len(frame)):
        assert decoded(frame[:size]) is None
        assert decoded(frame[:size].ljust(len(frame), b"\0")) is None


@pytest.mark.parametrize("codec", [Codec(STORE, 6), Codec(STORE, 8), Codec(OTHER, 7)])
def test_a_frame_is_good_in_one_file_only(codec: Codec) -> None:
    frame = CODEC.encode(RECORD, 42, 125, b'{"any":"thing"}')
    assert decoded(frame, codec) is None
    # Not even with a header of that file's.
    other = codec.encode(RECORD, 42, 125, b'{"any":"thing"}')
    assert decoded(other[:HEADER_SIZE] + frame[HEADER_SIZE:], codec) is not None
    assert decoded(other[:23] + frame[23:], codec) is None


@pytest.mark.parametrize("payload", [b'{"a":\n1}', b"\xff", b'{"a":"\xff"}'])
def test_a_payload_is_a_line_of_utf8(payload: bytes) -> None:
    with pytest.raises(ValueError, match="a payload is a line of JSON"):
        CODEC.encode(RECORD, 1, 0, payload)


@given(before=st.binary(max_size=100), payload=payloads, after=st.binary(max_size=100))
@settings(deadline=None)
def test_frames_are_found_from_anywhere(before: bytes, payload: bytes, after: bytes) -> None:
    frame = CODEC.encode(RECORD, 42, 0, payload)
    found = CODEC.find(before + frame + after, 0)
    assert found is not None
    assert found[0] == len(before)
    assert CODEC.find(before + frame + after, len(before) + 1) is None


def test_what_a_user_stores_is_never_taken_for_a_frame() -> None:
    inner = CODEC.encode(RECORD, 43, 10**6, b"{}")
    with pytest.raises(ValueError, match="a payload is a line of JSON"):
        CODEC.encode(RECORD, 42, 0, inner[:-1])
    as_text = jsonline.dump(inner.decode("latin-1"))
    assert CODEC.find(CODEC.encode(RECORD, 42, 0, as_text), 1) is None


# Torn or broken

OFFSETS = st.integers(0, 3 * SECTOR)


def sectors(offset: int, size: int) -> list[slice]:
    """The parts of what lies at ``offset`` that one sector each holds."""
    cuts = sorted({0, size, *range(SECTOR - offset % SECTOR, size, SECTOR)})
    return [slice(start, end) for start, end in pairwise(cuts)]


@given(offset=OFFSETS, size=st.integers(0, 2500), data=st.data())
@settings(deadline=None, max_examples=300)
def test_what_lacks_sectors_is_torn(offset: int, size: int, data: st.DataObject) -> None:
    frame = bytearray(CODEC.encode(RECORD, 42, 0, b'"%s"' % (b"x" * size)))
    parts = sectors(offset, len(frame))
    for part in data.draw(st.sets(st.sampled_from(range(len(parts))), min_size=1)):
        frame[parts[part]] = bytes(len(frame[parts[part]]))
    for tail in (bytes(frame), bytes(frame) + bytes(1000), bytes(frame).rstrip(b"\0")):
        assert decoded(tail) is None
        assert CODEC.is_torn(tail, offset)


@given(offset=OFFSETS, size=st.integers(0, 2500), data=st.data())
@settings(deadline=None)
def test_what_lacks_its_end_is_torn(offset: int, size: int, data: st.DataObject) -> None:
    """As a process leaves it that is killed while the kernel copies."""
    frame = CODEC.encode(RECORD, 42, 0, b'"%s"' % (b"x" * size))
    part = frame[: data.draw(st.integers(0, len(frame) - 1))]
    assert CODEC.is_torn(part, offset)
    assert CODEC.is_torn(part + bytes(3000), offset)


@given(offset=OFFSETS, size=st.integers(0, 1500), data=st.data())
@settings(deadline=None, max_examples=300)
def test_a_flipped_bit_is_not_torn(offset: int, size: int, data: st.DataObject) -> None:
    frame = bytearray(CODEC.encode(RECORD, 42, 0, b'"%s"' % (b"x" * size)))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    assert not CODEC.is_torn(bytes(frame) + bytes(1000), offset)


def test_what_is_proven_to_have_been_there() -> None:
    broken = b"x" * 100
    for synced, is_proven in ((499, False), (500, False), (501, True), (600, True)):
        behind = CODEC.encode(RECORD, 43, synced, b"{}")
        assert CODEC.is_proven(broken + behind, 500) is is_proven
        assert CODEC.is_proven(broken + behind + CODEC.encode(RECORD, 44, 0, b"{}"), 500) is (
            is_proven
        )
        # A frame of another file's proves nothing.
        other = Codec(STORE, 8).encode(RECORD, 43, synced, b"{}")
        assert not CODEC.is_proven(broken + other, 500)


# The manifest


def test_every_bit_of_the_manifest_that_says_something_counts() -> None:
    known = manifest.Manifest(STORE, {"a": 1})
    data = known.encode()
    says = json.loads(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        if is_json(flipped) and json.loads(flipped) == says:  # white space
            assert manifest.parse(bytes(flipped), "manifest.json") == known
        else:
            with pytest.raises(CorruptionError) as caught:
                manifest.parse(bytes(flipped), "manifest.json")
            assert (caught.value.file, caught.value.offset) == ("manifest.json", None)


def is_json(data: bytes | bytearray) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def test_a_manifest_of_a_format_to_come_is_refused() -> None:
    data = manifest.Manifest(STORE, {}, format=2).encode()
    with pytest.raises(FormatError, match="format 2 is not known") as caught:
        manifest.parse(data, "manifest.json")
    assert caught.value.source == "manifest.json"


# JSON on a line


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).filter(lambda value: "Infinity" not in json.dumps(value))
)
@settings(deadline=None)
def test_json_comes_back(value: object) -> None:
    try:
        line = jsonline.dump(value)
    except UnicodeEncodeError:
        assert re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False))
        return
    assert b"\n" not in line
    same = jsonline.load(line)
    assert same == value
    assert json.dumps(same) == json.dumps(value)


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**40, 2**53 + 1])
def test_integers_are_exact(number: int) -> None:
    assert jsonline.load(jsonline.dump({"n": [number]})) == {"n": [number]}


def test_what_is_no_json_is_refused() -> None:
    for value in (object(), float("nan")):
        with pytest.raises((TypeError, ValueError)):
            jsonline.dump([value, 2**70])
    for text in (b"", b"{", b"\xff", b"[1]"):
        with pytest.raises(ValueError, match=r"."):
            jsonline.load_object(text)
