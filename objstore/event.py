"""Events: what happened. How they are stored: ``eventlines``, and docs/formats/events.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from math import isfinite
from os import urandom
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast, overload
from uuid import UUID

import orjson

from .checks import is_date_time, is_uuid
from .errors import CorruptionError, FormatError, ValidationError
from .pointer import escape
from .values import JSON, show

if TYPE_CHECKING:
    from .objects import Object

__all__ = ["Event", "Integrity"]

Data: TypeAlias = "JSON | Mapping[str, Any] | Object"
"""What an event may be given as its data; what it then has is JSON."""

_RANDOM: Final = 16
"""Bytes of which a UUID is made."""
_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}

_TYPE: Final = b'","type":"'
_TYPE_AT: Final = len(b',"time":"2026-11-20T10:00:00.000000Z') + len(_TYPE)
_UUID: Final = b'","uuid":"'
SORTED: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""How data are written."""
_MAX_VERSION: Final = 2**53 - 1
_HASH_SIZE: Final = 64
_HASH: Final = re.compile("[0-9a-f]{64}")


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
    ``data`` looks like, for the type; ``integrity`` is its place in the log that it comes from, and
    another one once it is appended. Raises TypeError and ValueError for fields that cannot be.
    """

    __slots__ = ("_after", "_before", "_data", "_dumped", "_whole")

    _whole: dict[str, Any]
    """All that it says. Of an event that was read it is made when it is asked for: most are asked
    for little else than their data."""
    _data: Any
    """The data; made of _dumped where there is none so far."""
    _dumped: bytes
    _before: bytes
    """Of an event that was read: its line up to the data."""
    _after: bytes
    """And what is behind it."""

    @overload
    def __init__(
        self,
        type: str,
        data: Data = None,
        *,
        uuid: UUID | None = None,
        time: datetime | None = None,
        author: str | None = None,
        integrity: Integrity | None = None,
        version: int = 1,
    ) -> None: ...
    @overload
    def __init__(
        self,
        uuid: UUID,
        type: str,
        data: Data = None,
        time: datetime | None = None,
        author: str | None = None,
        integrity: Integrity | None = None,
        *,
        version: int = 1,
    ) -> None: ...
    def __init__(self, *fields: Any, **named: Any) -> None:
        names = _WITH_UUID if fields and isinstance(fields[0], UUID) else _WITHOUT
        if len(fields) > len(names):
            raise TypeError(f"an Event takes {', '.join(names)}, then names, not {show(fields)}")
        placed = dict(zip(names, fields, strict=False))
        if twice := placed.keys() & named.keys():
            raise TypeError(f"an Event was given its {', '.join(sorted(twice))} twice")
        self._fill(**placed, **named)

    def _fill(
        self,
        *,
        type: str,
        data: Data = None,
        uuid: UUID | None = None,
        time: datetime | None = None,
        author: str | None = None,
        integrity: Integrity | None = None,
        version: int = 1,
    ) -> None:
        check_text("type", type)
        if author is not None:
            check_text("author", author)
        said: dict[str, Any] = {} if author is None else {"author": author}
        said["data"] = data
        if integrity is not None:
            said["integrity"] = _sealed(integrity)
        said["time"] = _stamp(time)
        said["type"] = type
        said["uuid"] = _new_uuid() if uuid is None else str(check_uuid(uuid))
        if check_version(version) != 1:
            said["version"] = version
        self._whole, self._data = said, data

    @property
    def _said(self) -> dict[str, Any]:
        """The event as a JSON object. Raises CorruptionError where its line is no event's."""
        try:
            return self._whole
        except AttributeError:
            self._whole = said = _parsed(self._before, self._after)
            said["data"] = self.data
            return said

    @property
    def uuid(self) -> UUID:
        """Which event it is, wherever it is stored."""
        return UUID(self._said["uuid"])

    @property
    def type(self) -> str:
        """What happened, as a name."""
        try:
            after = self._after
        except AttributeError:
            return cast("str", self._whole["type"])
        # As consumers ask every event for it. A type with an escape in it is rare.
        end = after.find(_UUID, _TYPE_AT)
        text = after[_TYPE_AT:end]
        if end < 0 or b"\\" in text or after[_TYPE_AT - len(_TYPE) : _TYPE_AT] != _TYPE:
            return cast("str", self._said["type"])
        return text.decode()

    @property
    def version(self) -> int:
        """Of what ``data`` looks like, for the type; 1 at first."""
        return cast("int", self._said.get("version", 1))

    @property
    def data(self) -> Any:
        """What there is to say of it: any JSON value."""
        try:
            return self._data
        except AttributeError:
            self._data = data = orjson.loads(self._dumped)
            return data

    @property
    def time(self) -> datetime:
        """When, in UTC."""
        return datetime.fromisoformat(self._said["time"])

    @property
    def author(self) -> str | None:
        """Who did it; None where nobody said."""
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
        said["data"], said["version"] = data, check_version(version)
        if type is not None:
            check_text("type", type)
            said["type"] = type
        event = _blank(Event)
        event._whole, event._data = said, data
        return event

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON object, that shares nothing with it: schemas/event.json.

        Raises FormatError for data of an event in no log that JSON cannot hold.
        """
        said = dict(self._said, data=orjson.loads(dump(self)))
        if "integrity" in said:
            said["integrity"] = dict(said["integrity"])
        return said

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


_WITHOUT: Final = ("type", "data")
_WITH_UUID: Final = ("uuid", "type", "data", "time", "author", "integrity")
"""In which order an Event is given its fields, and if its UUID comes first."""

_blank: Final = object.__new__


class New(Event):
    """One whose UUID was just made up, and that nobody else has seen."""

    __slots__ = ()


def new(type: str, data: Data, author: str | None, versions: Mapping[str, int], time: str) -> Event:
    """An event whose UUID no log can have, so that none needs to look for it.

    A type's version is 1 where it has no other.
    """
    check_text("type", type)
    event = _new(type, data, versions.get(type, 1), time, urandom(_RANDOM).hex())
    if author is not None:
        check_text("author", author)
        event._whole["author"] = author
    return event


def new_ones(
    said: Sequence[tuple[str, Data]], versions: Mapping[str, int], time: str
) -> list[Event]:
    """The same for pairs of type and data."""
    digits, made = urandom(_RANDOM * len(said)).hex(), list[Event]()
    known: object = made  # which is no type
    version = 1
    # Written out, as a call for each would take half as long again.
    for (type, data), at in zip(said, range(0, len(digits), 2 * _RANDOM), strict=True):
        if type != known:
            check_text("type", type)
            known, version = type, versions.get(type, 1)
        event = _blank(New)
        uuid = _uuid4(digits[at : at + 2 * _RANDOM])
        event._whole = whole = {"data": data, "time": time, "type": type, "uuid": uuid}
        event._data = data
        if version != 1:
            whole["version"] = version
        made.append(event)
    return made


def _new(type: str, data: Data, version: int, time: str, digits: str) -> Event:
    said: dict[str, Any] = {"data": data, "time": time, "type": type, "uuid": _uuid4(digits)}
    if version != 1:
        said["version"] = version
    event = _blank(New)
    event._whole, event._data = said, data
    return event


def _new_uuid() -> str:
    return _uuid4(urandom(_RANDOM).hex())


def _uuid4(digits: str) -> str:
    """The text of a UUID (RFC 9562, version 4) of random digits: a third of the time of uuid4's."""
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def of_lines(before: Iterable[bytes], data: Sequence[Any], after: Iterable[bytes]) -> list[Event]:
    """Events that were read: of their lines up to the data, the data, and what is behind it."""
    made = list(map(_blank, [Event] * len(data)))
    # Written out, as a call for each would take as long as all the rest.
    for event, first, middle, last in zip(made, before, data, after, strict=True):
        event._before, event._data, event._after = first, middle, last
    return made


def of_line(before: bytes, dumped: bytes, after: bytes) -> Event:
    """An event of one line, whose data is made when it is asked for."""
    event = _blank(Event)
    event._before, event._dumped, event._after = before, dumped, after
    return event


def of_json(said: Any, file: str) -> Event:
    """An event of what schemas/event.json describes. Raises CorruptionError for what is none."""
    _check_said(said, file)
    event = _blank(Event)
    event._whole, event._data = said, said["data"]
    return event


def now() -> str:
    """The time as events have it."""
    seconds, nanoseconds = divmod(time_ns(), 10**9)
    return f"{_second(seconds)}.{nanoseconds // 1000:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Most events come in the same second as the one before."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[: len("2026-11-20T10:00:00")]


def uuid_of(event: Event) -> UUID | None:
    """The UUID, of what may be no event; None where there is none."""
    text = event._said.get("uuid")
    return UUID(text) if isinstance(text, str) and is_uuid(text) else None


def _parsed(before: bytes, after: bytes) -> dict[str, Any]:
    """What a line says, but for its data. A comma behind it was between it and the next."""
    try:
        said: dict[str, Any] = orjson.loads(b"%bnull%b" % (before, after.removesuffix(b",")))
    except orjson.JSONDecodeError as error:
        raise CorruptionError(f"this is no event: {error}", file="event") from error
    _check_said(said, "event")
    return said


def _check_said(said: Any, file: str) -> None:
    """Raises CorruptionError for what is not as schemas/event.json says."""
    try:
        wrong = _find_wrong(said)
    except (AttributeError, LookupError, TypeError) as error:
        raise CorruptionError("this is JSON, and no event", file=file) from error
    if wrong is not None:
        raise CorruptionError(f"this is no event: its {wrong} is wrong or missing", file=file)


def _find_wrong(said: dict[str, Any]) -> str | None:
    """The first field that is not as it should be."""
    integrity = said["integrity"]
    if "data" not in said:
        return "data"
    texts: dict[str, Callable[[str], bool]] = {"time": is_date_time, "type": bool, "uuid": is_uuid}
    if "author" in said:
        texts["author"] = bool
    for name, check in texts.items():
        text = said.get(name)
        if not isinstance(text, str) or not check(text):
            return name
    for name, number in (
        ("version", said.get("version", 1)),
        ("position", integrity.get("position")),
    ):
        if type(number) is not int or number < 1:
            return name
    hash = integrity.get("hash")
    return None if isinstance(hash, str) and len(hash) == _HASH_SIZE else "hash"


# Data


def dump(event: Event) -> bytes:
    """The data as they are stored: compact, keys sorted, in UTF-8.

    Objects of a store are stored as their contents, mappings as dicts. Raises FormatError for what
    JSON cannot hold.
    """
    try:
        dumped = orjson.dumps(event.data, option=SORTED)
    except TypeError as error:
        return _dump_other(event, error)
    if b"null" in dumped and (pointer := _find_nan(event.data, "")) is not None:
        raise unfit(event, "expected JSON, found a number that is none (NaN or infinity)", pointer)
    return dumped


def _dump_other(event: Event, error: TypeError) -> bytes:
    from ._encode import encode  # on few events' way only
    from ._shapes import ANY

    try:
        return orjson.dumps(encode(event.data, ANY, source="data"), option=SORTED)
    except ValidationError as refused:
        first = refused.failures[0]
        reason = f"expected {first.expected}, found {first.found}"
        raise unfit(event, reason, first.pointer) from error
    except TypeError as refused:
        raise unfit(event, str(refused)) from error


def unfit(event: Event, reason: str, pointer: str = "") -> FormatError:
    """Data that cannot be stored."""
    # Half a surrogate pair in a key could not be printed.
    where = pointer.encode("utf-8", "backslashreplace").decode()
    return FormatError(reason, source=f"the data of an event {show(event.type)}", pointer=where)


def _find_nan(value: Any, pointer: str) -> str | None:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, float):
        return None if isfinite(value) else pointer
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = cast("dict[Any, Any]", value).items()
    elif isinstance(value, list | tuple):
        parts = enumerate(cast("list[Any]", value))
    found = (_find_nan(part, f"{pointer}/{escape(str(key))}") for key, part in parts)
    return next((one for one in found if one is not None), None)


# Fields


def _core(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != "integrity"}


def _content(event: Event) -> tuple[Any, ...]:
    return event.type, event.version, event.author, dump(event)


def check_text(name: str, text: object) -> None:
    """Raises TypeError, ValueError and FormatError for what is no text, or an empty one."""
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


def check_uuid(uuid: object) -> UUID:
    """The UUID. Raises TypeError for what is none."""
    if not isinstance(uuid, UUID):
        raise TypeError(f"an event's uuid is a uuid.UUID, not {type(uuid).__name__}")
    return uuid


def check_version(version: object) -> int:
    """The version. Raises ValueError for what is none."""
    if type(version) is not int or version < 1:
        raise ValueError(f"an event's version is an integer from 1 on, not {show(version)}")
    if version > _MAX_VERSION:
        raise ValueError(f"an event's version is at most {_MAX_VERSION}, not {show(version)}")
    return version


def _stamp(time: datetime | None) -> str:
    if time is None:
        return now()
    if not isinstance(time, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"an event's time is a datetime, not {show(time)}")
    if time.tzinfo is None:
        raise ValueError("an event's time has a time zone; datetime.now(UTC) has")
    try:
        there = time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"an event's time is in the years 1 to 9999 of UTC, not {time}") from None
    return there.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sealed(integrity: object) -> dict[str, Any]:
    if not isinstance(integrity, Integrity):
        raise TypeError(f"an event's integrity is an Integrity, not {show(integrity)}")
    check_place("an event's integrity", integrity.position, integrity.hash)
    said = integrity._asdict()
    return {name: value for name, value in said.items() if value is not None}


def check_place(what: str, position: object, hash: object) -> None:
    """Raises ValueError for what is no place in a log: a position from 0 on, and a hash."""
    if type(position) is not int or position < 0:
        raise ValueError(f"{what} has a position from 0 on, not {show(position)}")
    if not isinstance(hash, str) or not _HASH.fullmatch(hash):
        raise ValueError(f"{what} has a hash of {_HASH_SIZE} digits, not {show(hash)}")
