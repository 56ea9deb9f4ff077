"""Lines: events as every record keeper stores them, alone and in batches.

Grammar: docs/formats/events.md. Most of what is asked of a line is found without parsing it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast
from uuid import UUID

import orjson

from . import event as events
from .errors import CorruptionError
from .event import Event

SEPARATOR: Final = b",\t"
"""Between the events of a batch. JSON writes a tab in a string as an escape, so that tabs are found
nowhere else but around the data of each."""

_TAB: Final = b"\t"
_NO_DATA: Final = b'"data":null'
_PARTS: Final = 3
"""Of a line: up to the data, the data, and what is behind it."""

_PORTION: Final = 1 << 14
"""Bytes that are decoded together: what comes of them stays in the processor's cache."""

_SEAL: Final = b',"integrity":{"hash":"%b","position":%d'
LINE: Final = b"%b\t%b\t%b" + _SEAL + b"%b}}"
"""A line, of what is before the data, the data, what is behind it, the hash, the position, and what
else binds it."""
PLAIN_SEAL: Final = _SEAL + b"}},"
"""The end of most lines, and the comma behind it."""

_INTEGRITY: Final = b',"integrity":{"hash":"'
_HASH_SIZE: Final = 64
_POSITION: Final = b'","position":'
_UUID: Final = b'"uuid":"'
_UUID_SIZE: Final = 36


def text_of(uuid: UUID) -> bytes:
    """As lines have it."""
    return str(uuid).encode()


def encode(event: Event) -> bytes:
    """The line of an event, as it was stored."""
    # Within the author's name the quotes would be escaped.
    before, data, after = orjson.dumps({**event._said, "data": None}).partition(_NO_DATA)
    return _TAB.join((before + data.removesuffix(b"null"), orjson.dumps(event.data), after))


def decode(line: bytes, file: str = "event") -> Event:
    """The event of a line. Raises CorruptionError, which names ``file``, for what is none."""
    found = _decode_whole(line, file)
    if len(found) != 1:
        raise CorruptionError(f"expected one event, found {len(found)}", file=file)
    return found[0]


def decode_all(payload: bytes, file: str = "event") -> list[Event]:
    """The events of one line, or of a batch. Raises as ``decode`` does, for what is no JSON at all.

    Only their data is parsed so far: whoever asks them for more may get CorruptionError then.
    """
    parts = split_at_data(payload)
    if parts is None:
        return _decode_whole(payload, file)
    before, dumped, after = parts
    try:
        data = orjson.loads(b"[%b]" % b",".join(dumped))
    except orjson.JSONDecodeError:
        return _decode_whole(payload, file)
    if len(data) != len(before):
        return _decode_whole(payload, file)
    return events.of_lines(before, data, after)


def decode_appended(line: bytes) -> Event:
    """The event of a line that was just made: nothing of it is parsed so far."""
    return events.of_line(*line.split(_TAB))


def _decode_whole(payload: bytes, file: str) -> list[Event]:
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise CorruptionError(f"this is no event: {error}", file=file) from error
    found = cast("list[Any]", said if type(said) is list else [said])
    return [events.of_json(one, file) for one in found]


def join(lines: Sequence[bytes]) -> bytes:
    """A batch of at least two, or a single line as it is."""
    return lines[0] if len(lines) == 1 else b"[%b]" % SEPARATOR.join(lines)


def portions(payloads: Iterable[bytes]) -> Iterator[bytes]:
    """The events of lines and batches, in batches of about _PORTION bytes.

    What is decoded together stays in the processor's cache until it is used.
    """
    held: list[bytes] = []
    size = 0
    for payload in payloads:
        is_batch = payload.startswith(b"[")
        if held and size + len(payload) > _PORTION:
            yield b"[" + SEPARATOR.join(held) + b"]"
            held, size = [], 0
        if not is_batch:
            held.append(payload)
        elif len(payload) > 4 * _PORTION:
            yield from portions(split(payload))
            continue
        elif len(payload) > _PORTION:
            yield payload
            continue
        else:
            held.append(payload[1:-1])
        size += len(payload)
    if held:
        yield b"[" + SEPARATOR.join(held) + b"]"


def split_at_data(payload: bytes) -> tuple[list[bytes], list[bytes], list[bytes]] | None:
    """The lines of a batch, or a single one, up to the data, the data, and what is behind them.

    With the comma that separates a line from the next. None where they are no lines.
    """
    parts = (payload[1:-1] if payload.startswith(b"[") else payload).split(_TAB)
    if len(parts) % _PARTS:
        return None
    return parts[::_PARTS], parts[1::_PARTS], parts[2::_PARTS]


def split(payload: bytes) -> list[bytes]:
    """The lines of a batch, or of a single line."""
    return payload[1:-1].split(SEPARATOR) if payload.startswith(b"[") else [payload]


def text_end(line: bytes) -> int:
    """Where in a line ``integrity`` begins; -1 where none does."""
    return line.rfind(_INTEGRITY)


def hash_in(line: bytes, end: int) -> bytes:
    """The hash that a line has, in hexadecimal; ``end`` is what ``text_end`` said."""
    start = end + len(_INTEGRITY)
    return line[start : start + _HASH_SIZE]


def position_in(line: bytes) -> int:
    """The position that a line has. Raises ValueError for what is none."""
    start = text_end(line) + len(_INTEGRITY) + _HASH_SIZE + len(_POSITION)
    stop = start
    while line[stop : stop + 1].isdigit():
        stop += 1
    return int(line[start:stop])


def place_in(line: bytes, file: str = "event") -> tuple[int, str, UUID]:
    """The position, the hash and the UUID of a line. Raises CorruptionError for what is none."""
    try:
        hash = hash_in(line, text_end(line)).decode("ascii")
        bytes.fromhex(hash)
        return position_in(line), hash, UUID(uuid_in(line).decode("ascii"))
    except ValueError as error:
        raise CorruptionError(f"this is no event: {error}", file=file) from error


def uuid_in(line: bytes) -> bytes:
    """The UUID's text in a line, which comes last or before the version."""
    end = text_end(line)
    if line[end - 1 : end] != b'"':
        end = line.rfind(_UUID, 0, end) + len(_UUID) + _UUID_SIZE + 1
    return line[end - 1 - _UUID_SIZE : end - 1]


def find(payload: bytes, uuid: bytes) -> bytes | None:
    """The line of the event with that UUID in a batch; None where none has it."""
    needle = _UUID + uuid
    at = payload.find(needle)
    while at >= 0:
        start = payload.rfind(SEPARATOR, 0, at)
        stop = payload.find(SEPARATOR, at)
        is_batch = payload.startswith(b"[")
        first = (1 if is_batch else 0) if start < 0 else start + len(SEPARATOR)
        last = len(payload) - (1 if is_batch else 0) if stop < 0 else stop
        line = payload[first:last]
        if uuid_in(line) == uuid:
            return line
        at = payload.find(needle, at + 1)
    return None
