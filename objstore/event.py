"""Events: what happened, as the lines of JSON that every record keeper stores.

Grammar and schema: docs/formats/events.md. A line's text before ``integrity`` is what its hash is
of; two lines that mean the same event have the same text there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from os import urandom
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import orjson

from .checks import is_date_time, is_uuid
from .errors import CorruptionError, FormatError
from .values import JSON, show

__all__ = ["Event", "Integrity"]

SEPARATOR: Final = b",\t"
"""Between the events of a batch. JSON writes a tab in a string as an escape, so that it is found
nowhere else."""

_PORTION: Final = 1 << 14

_INTEGRITY: Final = b',"integrity":{"hash":"'
_HASH_SIZE: Final = 64
_POSITION: Final = b'","position":'
_UUID: Final = b'"uuid":"'
_UUID_SIZE: Final = 36


class Integrity(NamedTuple):
    """What binds an event to its place in the log. See ``EventLog.verify``."""

    position: int
    """1 for the first event of a log, then one more each."""
    hash: str
    """SHA-256 of the predecessor's hash and of this event, in hexadecimal."""
    key: str | None = None
    """The Ed25519 public key of the signer, in hexadecimal; None where the event is not signed."""
    signature: str | None = None
    """Of the hash, in hexadecimal."""


class Event:
    """Something that happened. Immutable; ``data`` is any JSON value, and not to be changed.

    ``uuid`` and ``time`` are made up where they are not given. ``version`` is the version of what
    ``data`` looks like, for the type. Raises TypeError and ValueError for fields that cannot be.
    """

    __slots__ = ("_said",)

    _said: dict[str, Any]

    def __init__(
        self,
        type: str,
        data: JSON = None,
        *,
        uuid: UUID | None = None,
        time: datetime | None = None,
        author: str | None = None,
        version: int = 1,
    ) -> None:
        _check_text("type", type)
        if author is not None:
            _check_text("author", author)
        said: dict[str, Any] = {} if author is None else {"author": author}
        said["data"] = data
        said["time"] = _stamp(time)
        said["type"] = type
        said["uuid"] = _new_uuid() if uuid is None else str(_check_uuid(uuid))
        if _check_version(version) != 1:
            said["version"] = version
        self._said = said

    @property
    def uuid(self) -> UUID:
        return UUID(self._said["uuid"])

    @property
    def type(self) -> str:
        return cast("str", self._said["type"])

    @property
    def version(self) -> int:
        return cast("int", self._said.get("version", 1))

    @property
    def data(self) -> Any:
        return self._said["data"]

    @property
    def time(self) -> datetime:
        """When, in UTC."""
        return datetime.fromisoformat(self._said["time"])

    @property
    def author(self) -> str | None:
        return self._said.get("author")

    @property
    def integrity(self) -> Integrity | None:
        """None for an event that is in no log."""
        said = self._said.get("integrity")
        if said is None:
            return None
        return Integrity(said["position"], said["hash"], said.get("key"), said.get("signature"))

    @property
    def position(self) -> int:
        """The place in the log, from 1; 0 for an event that is in none."""
        said = self._said.get("integrity")
        return 0 if said is None else cast("int", said["position"])

    def evolve(self, *, data: JSON, version: int, type: str | None = None) -> Event:
        """The same event as a later version of its type says it, or another type."""
        said = dict(self._said)
        said["data"], said["version"] = data, _check_version(version)
        if type is not None:
            _check_text("type", type)
            said["type"] = type
        event = _blank(Event)
        event._said = said
        return event

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON object: schemas/event.json."""
        return dict(self._said)

    def says_as(self, other: Event) -> bool:
        """Whether both have the same content: type, version, data and author. Times may differ."""
        return _content(self) == _content(other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return _core(self._said) == _core(other._said)

    def __hash__(self) -> int:
        return hash(self._said["uuid"])

    def __repr__(self) -> str:
        place = f" at {self.position}" if self.position else ""
        return f"<Event {self.type!r} {self._said['uuid']}{place}>"


_blank: Final = object.__new__


class _New(Event):
    """One whose UUID was just made up, and that nobody else has seen."""

    __slots__ = ()


def new(type: str, data: JSON, author: str | None, version: int, time: str) -> Event:
    """An event whose UUID no log can have, so that none needs to look for it."""
    _check_text("type", type)
    said: dict[str, Any] = {"data": data, "time": time, "type": type, "uuid": _new_uuid()}
    if author is not None:
        _check_text("author", author)
        said["author"] = author
    if version != 1:
        said["version"] = version
    event = _blank(_New)
    event._said = said
    return event


def _new_uuid() -> str:
    """The text of a random UUID (RFC 9562, version 4), in a third of the time of uuid4's."""
    digits = urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def now() -> str:
    """The time as events have it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def is_new(event: Event) -> bool:
    return isinstance(event, _New)


def uuid_of(event: Event) -> UUID | None:
    """The UUID, of what may be no event; None where there is none."""
    text = event._said.get("uuid")
    return UUID(text) if isinstance(text, str) and is_uuid(text) else None


def text_of(uuid: UUID) -> bytes:
    """As lines have it."""
    return str(uuid).encode()


# Lines


def encode(event: Event) -> bytes:
    """The line of an event, as it was stored."""
    return orjson.dumps(event._said)


def decode(line: bytes, file: str = "event") -> Event:
    """The event of a line. Raises CorruptionError, which names ``file``, for what is none."""
    [event] = decode_all(line, file)
    wrong = _find_wrong(event._said)
    if wrong is not None:
        raise CorruptionError(f"this is no event: its {wrong} is wrong or missing", file=file)
    return event


def decode_all(payload: bytes, file: str = "event") -> list[Event]:
    """The events of one line, or of a batch. Raises as ``decode`` does."""
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise CorruptionError(f"this is no event: {error}", file=file) from error
    made: list[Event] = []
    blank, add = _blank, made.append
    found = cast("list[dict[str, Any]]", said if type(said) is list else [said])
    try:
        # Written out, as a call would take as long as all the rest.
        for one in found:
            _ = one["integrity"]["position"]
            event = blank(Event)
            event._said = one
            add(event)
    except (LookupError, TypeError) as error:
        raise CorruptionError("this is JSON, and no event", file=file) from error
    return made


def _find_wrong(said: dict[str, Any]) -> str | None:
    """The first field that is not as schemas/event.json says."""
    if "data" not in said:
        return "data"
    texts: dict[str, Callable[[str], bool]] = {"time": is_date_time, "type": bool, "uuid": is_uuid}
    if "author" in said:
        texts["author"] = bool
    for name, check in texts.items():
        text = said.get(name)
        if not isinstance(text, str) or not check(text):
            return name
    integrity = said["integrity"]
    for name, number in (
        ("version", said.get("version", 1)),
        ("position", integrity.get("position")),
    ):
        if type(number) is not int or number < 1:
            return name
    hash = integrity.get("hash")
    return None if isinstance(hash, str) and len(hash) == _HASH_SIZE else "hash"


def join(lines: Iterable[bytes]) -> bytes:
    """A batch of at least two, or a single line as it is."""
    kept = list(lines)
    return kept[0] if len(kept) == 1 else b"[" + SEPARATOR.join(kept) + b"]"


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


def split(payload: bytes) -> list[bytes]:
    """The lines of a batch, or of a single line."""
    return payload[1:-1].split(SEPARATOR) if payload.startswith(b"[") else [payload]


def sealed_text(text: bytes, hash: str, position: int, more: bytes) -> bytes:
    """A line, of the event's text and what binds it to its place."""
    return b'%b,"integrity":{"hash":"%b","position":%d%b}}' % (
        text[:-1],
        hash.encode(),
        position,
        more,
    )


def text_end(line: bytes) -> int:
    """Where in a line ``integrity`` begins; -1 where none does."""
    return line.rfind(_INTEGRITY)


def hash_in(line: bytes, end: int) -> bytes:
    """The hash that a line has, in hexadecimal; ``end`` is what ``text_end`` said."""
    start = end + len(_INTEGRITY)
    return line[start : start + _HASH_SIZE]


def position_in(line: bytes) -> int:
    """The position that a line has. Raises ValueError for what is no line."""
    start = text_end(line) + len(_INTEGRITY) + _HASH_SIZE + len(_POSITION)
    stop = start
    while line[stop : stop + 1].isdigit():
        stop += 1
    return int(line[start:stop])


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


# Fields


def _core(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != "integrity"}


def _content(event: Event) -> tuple[Any, ...]:
    data = orjson.dumps(event._said["data"], option=orjson.OPT_SORT_KEYS)
    return event.type, event.version, event.author, data


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"an event's {name} is a str, not {type(text).__name__}")
    if not text:
        raise ValueError(f"an event's {name} is not empty")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = f"expected text that UTF-8 can hold, found {show(text)}"
        raise FormatError(reason, source=f"an event's {name}") from None


def _check_uuid(uuid: object) -> UUID:
    if not isinstance(uuid, UUID):
        raise TypeError(f"an event's uuid is a uuid.UUID, not {type(uuid).__name__}")
    return uuid


def _check_version(version: object) -> int:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"an event's version is an integer from 1 on, not {show(version)}")
    return version


def _stamp(time: datetime | None) -> str:
    if time is None:
        return now()
    if time.tzinfo is None:
        raise ValueError("an event's time has a time zone; datetime.now(UTC) has")
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
