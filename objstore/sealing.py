"""Integrity of events: a chain of SHA-256 over canonical JSON (RFC 8785), and Ed25519 signatures.

    hash of event n  =  SHA-256(hash of event n-1, as 32 bytes, + the event's canonical text)

The text is the event without its ``integrity``. Nothing before event n can be changed, moved, added
or removed without its hash becoming another one. Rules: docs/formats/events.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from operator import ne
from typing import Any, Final, NamedTuple, Protocol, cast
from uuid import UUID

import orjson

from . import event as events
from . import eventlines
from .errors import ConflictError, DuplicateEventError, FormatError, VerificationError
from .event import Event
from .values import show

__all__ = ["EMPTY", "Head", "PublicKey", "Signer"]

_SIGNED: Final = b"objstore event\n"
"""What a signature is of, before the hash, so that it is good for nothing else."""

_SHAPE: Final = bytes.maketrans(b"123456789e", b"000000000.")
"""Has one look find a digit before a point and one before an exponent."""
_HASH_SIZE: Final = 64
MAX_INT: Final = 2**53 - 1
"""The greatest integer that RFC 8785 has."""
_LONG: Final = b"0" * 16
_OUTSIDE: Final = 0xF0
"""With which UTF-8 begins what is outside of the basic plane."""
_ODD_NUMBER: Final = re.compile(rb"[\[:,]-?(?:[0-9]{16}|[0-9]+\.0[,\]}]|[0-9]+(?:\.[0-9]+)?e)")
"""An integer that may be too long, one as a float, an exponent. Other decimals are written alike,
in as few digits as it takes. In a string there may be what looks so."""
_BEFORE: Final = b'{"data":'
_AFTER: Final = b',"time":"'
_KEY: Final = b',"key":"%b","signature":"%b"'
_HEX: Final = re.compile("[0-9a-f]+")
_NOT_CANONICAL: Final = b',"canonical":false'


class Head(NamedTuple):
    """The end of a log, in short: who has it can tell later that nothing up to there was changed.

    Two of the same position and hash are of the same events.
    """

    position: int
    """How many events."""
    hash: str
    """The last one's, in hexadecimal; of an empty log zeros."""


EMPTY: Final = Head(0, "0" * 64)


def head_of(given: object) -> Head:
    """A head, of its position and hash. Raises TypeError and ValueError for what is none."""
    if not isinstance(given, list | tuple) or len(cast("Sequence[Any]", given)) != 2:
        raise TypeError(f"the head of a log is its position and hash, not {show(given)}")
    head = Head(*cast("Sequence[Any]", given))
    events.check_place("the head of a log", head.position, head.hash)
    if head.position == 0 and head != EMPTY:
        raise ValueError(f"the head of an empty log has a hash of zeros, not {show(head.hash)}")
    return head


class Signer(Protocol):
    """Signs events: an ``Ed25519PrivateKey`` of the package cryptography."""

    def sign(self, data: bytes, /) -> bytes: ...

    def public_key(self) -> PublicKey: ...


class PublicKey(Protocol):
    """Checks signatures: an ``Ed25519PublicKey`` of the package cryptography."""

    def verify(self, signature: bytes, data: bytes, /) -> None: ...

    def public_bytes_raw(self) -> bytes: ...


class Batch(NamedTuple):
    """What is to be appended."""

    stored: list[Event | None]
    """For each event that was given, the one that is there already, or came before; None for a new
    one."""
    lines: list[bytes]
    head: Head


class Drafts(NamedTuple):
    """Events as they will be stored, but for what binds them to their places.

    In columns: what is done to all of them is done in C as far as that goes.
    """

    events: Sequence[Event]
    before: Sequence[bytes]
    """Of each its text up to the data,"""
    data: Sequence[bytes]
    """the data as the line has it,"""
    after: Sequence[bytes]
    """and what is behind it, but for the brace that closes the text."""
    hashed: Sequence[bytes]
    """The data as the text has it that is hashed; mostly the same."""
    more: Sequence[bytes]
    """What the line says where that is another text than its own."""

    def only(self, index: int) -> Drafts:
        """One of them."""
        at = slice(index, index + 1)
        return Drafts(
            self.events[at],
            self.before[at],
            self.data[at],
            self.after[at],
            self.hashed[at],
            self.more[at],
        )


def drafts(given: Sequence[Event]) -> Drafts:
    """All of the work on events that takes no look at the log.

    Raises FormatError for data that JSON, or RFC 8785, cannot hold.
    """
    dumped = _dump(given)
    before: list[bytes] = []
    after: list[bytes] = []
    for event in given:
        first, last = _around(event._said)
        before.append(first)
        after.append(last)
    hashed, more = dumped, [b""] * len(dumped)
    # Mostly one look is enough.
    if not is_canonical(b",".join(dumped)):
        hashed = [_recanonized(data, event) for data, event in zip(dumped, given, strict=True)]
        differs = map(ne, dumped, hashed)
        more = [_NOT_CANONICAL if one else b"" for one in differs]
    return Drafts(given, before, dumped, after, hashed, more)


def batch(
    some: Drafts,
    head: Head,
    find: Callable[[UUID], Event | None],
    signer: Signer | None = None,
) -> Batch:
    """Seal what is new of ``some``; ``find`` gives the event that the log has.

    Raises DuplicateEventError where an event of other content has the UUID.
    """
    stored: list[Event | None] = []
    lines: list[bytes] = []
    added: dict[UUID, int] = {}
    digest, position, joined = bytes.fromhex(head.hash), head.position, b"".join
    for event, before, data, after, hashed, more in zip(*some, strict=True):
        found = None if isinstance(event, events.New) else _find(event, added, lines, find)
        stored.append(found)
        if found is None:
            position += 1
            made = sha256(joined((digest, before, hashed, after, b"}")))
            digest, hash = made.digest(), made.hexdigest().encode()
            also = more if signer is None else more + _signature(signer, digest)
            lines.append(eventlines.LINE % (before, data, after, hash, position, also))
    return Batch(stored, lines, Head(position, digest.hex()))


def _find(
    event: Event,
    added: dict[UUID, int],
    lines: Sequence[bytes],
    find: Callable[[UUID], Event | None],
) -> Event | None:
    """The event that the log has, or of ``lines`` the one ``added`` by the same UUID."""
    uuid = event.uuid
    at = added.get(uuid)
    found = find(uuid) if at is None else eventlines.decode_appended(lines[at])
    if found is None:
        added[uuid] = len(lines)
    else:
        check_same(event, found)
    return found


def check_same(event: Event, stored: Event) -> None:
    """Raises DuplicateEventError where two events of one UUID differ in content."""
    if not event.says_as(stored):
        reason = f"there is an event {stored.uuid} of other content"
        raise DuplicateEventError(f"{reason}, of type {show(stored.type)}")


def check_expected(expect: UUID | int | None, head: Head, tail: UUID | None) -> None:
    """Raises ConflictError where the log does not end with what is expected."""
    if expect is None:
        return
    if isinstance(expect, bool) or not isinstance(expect, UUID | int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"expect is a UUID or a number of events, not {show(expect)}")
    found: object = head.position if isinstance(expect, int) else tail
    if found != expect:
        expected = f"{expect} events" if isinstance(expect, int) else f"its tail to be {expect}"
        there = f"{head.position} events, and its tail is {tail}"
        message = f"expected the log to have {expected}; it has {there}"
        if not isinstance(expect, int):
            message = f"expected {expected}; the log has {there}"
        raise ConflictError(message, pointer="", base=expect, ours=expect, theirs=found)


# Canonical text


def _around(said: dict[str, Any]) -> tuple[bytes, bytes]:
    """What is before the data in an event's text, and what is behind it."""
    before = _BEFORE
    if "author" in said:
        before = b'{"author":%b,"data":' % orjson.dumps(said["author"])
    time, type, uuid = said["time"].encode(), _quoted(said["type"]), said["uuid"].encode()
    after = b',"time":"%b","type":%b,"uuid":"%b"' % (time, type, uuid)
    if "version" in said:
        after += b',"version":%d' % said["version"]
    return before, after


@lru_cache(maxsize=256)
def _quoted(type: str) -> bytes:
    """As JSON has it: types are few."""
    return orjson.dumps(type)


def _recanonized(data: bytes, event: Event) -> bytes:
    """Data that may be in another form than the canonical one, in that."""
    return data if is_canonical(data) else _canonical(data, event)


def _dump(given: Sequence[Event]) -> list[bytes]:
    dumped: list[bytes] = []
    for event in given:
        if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"expected an Event, found {show(event)}")
        dumped.append(events.dump(event))
    return dumped


def is_canonical(dumped: bytes) -> bool:
    """Whether what orjson made of a value is surely the form of RFC 8785 as well.

    They differ in numbers only (1.0 and 1, 1e16 and 10000000000000000), and in the order of keys
    that have characters outside of the basic plane. False may be wrong, and costs time only.
    """
    if not dumped.isascii() and max(dumped) >= _OUTSIDE:
        return False
    shape = dumped.translate(_SHAPE)
    if b"0." in shape or _LONG in shape:
        return _ODD_NUMBER.search(b"[%b]" % dumped) is None
    return True


def _canonical(dumped: bytes, event: Event) -> bytes:
    import rfc8785  # on few events' way only

    try:
        return rfc8785.dumps(orjson.loads(dumped))
    except rfc8785.IntegerDomainError as error:
        reason = f"expected integers up to {MAX_INT}, as RFC 8785 has them; use a string: {error}"
        raise events.unfit(event, reason) from error


# Verification


def _by_text(keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    found: dict[str, PublicKey] = {}
    for key in keys:
        if not callable(getattr(key, "public_bytes_raw", None)):
            raise TypeError(f"a key is an Ed25519PublicKey of cryptography, not {show(key)}")
        found[key.public_bytes_raw().hex()] = key
    return found


class Chain:
    """Walks along events and holds each against its predecessor."""

    def __init__(self, head: Head = EMPTY, keys: Iterable[PublicKey] | None = None) -> None:
        self.head = head
        """The last event that was found good."""
        self._keys: Final = None if keys is None else _by_text(keys)

    def take(self, payload: bytes) -> None:
        """Go over events that follow, a line or a batch.

        Raises VerificationError, which names the first bad one, CorruptionError for what is none.
        """
        if self._keys is None and self._take_plain(payload):
            return
        for line in eventlines.split(payload):
            self._take_one(line, eventlines.decode(line))

    def _take_plain(self, payload: bytes) -> bool:
        """Go over events that are good, and as most are; False, and nothing done, for all else."""
        parts = eventlines.split_at_data(payload)
        if parts is None or not _are_around_data(parts[0], parts[2]):
            return False
        if not _are_canonical(parts[1]):
            return False
        start, at = self.head, 0
        parts[2][-1] += b","
        while at < len(parts[0]):
            first = self.head.position + 1
            run = slice(at, at + 10 ** len(str(first)) - first)  # of positions with as many digits
            if not self._follow(*(part[run] for part in parts)):
                self.head = start
                return False
            at = run.stop
        return True

    def _follow(self, before: list[bytes], dumped: list[bytes], after: list[bytes]) -> bool:
        """Go over events whose seals are all as long as each other, if they are good."""
        position = self.head.position
        end = -len(eventlines.PLAIN_SEAL % (self.head.hash.encode(), position + 1))
        joined = b"".join
        digest, digests = bytes.fromhex(self.head.hash), list[bytes]()
        for first, data, last in zip(before, dumped, after, strict=True):
            digest = sha256(joined((digest, first, data, last[:end], b"}"))).digest()
            digests.append(digest)
        if _plain_seals(digests, position + 1) != joined([last[end:] for last in after]):
            return False
        self.head = Head(position + len(digests), digest.hex())
        return True

    def _take_one(self, line: bytes, event: Event) -> None:
        position, said = self.head.position + 1, event._said["integrity"]
        before, data, after, hashed = self._drafted(event, position)
        text = b"%b%b%b}" % (before, hashed, after)
        digest = sha256(bytes.fromhex(self.head.hash) + text).digest()
        if digest.hex() != said["hash"] or said["position"] != position:
            raise self._bad(event, position, said)
        stored = _stored_data(line, data)
        bare = (before, stored, after, digest.hex().encode(), position)
        signed, differs = _said_signature(said), _NOT_CANONICAL * (stored != hashed)
        if line != eventlines.LINE % (*bare, differs + signed):
            reason = "its line is not as events are written, and may be read as another event's"
            if line == eventlines.LINE % (*bare, signed):
                reason = "it is not in the form of RFC 8785, and does not say so"
            raise VerificationError(reason, position=position, uuid=events.uuid_of(event))
        if self._keys is not None:
            self._check_signature(event, position, digest)
        self.head = Head(position, digest.hex())

    def _drafted(self, event: Event, position: int) -> tuple[bytes, bytes, bytes, bytes]:
        try:
            _, *columns = drafts([event])
        except FormatError as error:
            raise VerificationError(
                str(error), position=position, uuid=events.uuid_of(event)
            ) from error
        [before], [data], [after], [hashed], _ = columns
        return before, data, after, hashed

    def _bad(self, event: Event, position: int, said: dict[str, Any]) -> VerificationError:
        reason = "it does not follow from the event before it, or was changed: its hash differs"
        if said.get("position") != position:
            reason = f"it says that it is event {show(said.get('position'))}"
        return VerificationError(reason, position=position, uuid=events.uuid_of(event))

    def _check_signature(self, event: Event, position: int, digest: bytes) -> None:
        said = event.integrity
        reason = "it is not signed"
        if said is not None and said.key is not None and said.signature is not None:
            key = None if self._keys is None else self._keys.get(said.key)
            if key is not None and _is_signed(key, said.signature, digest):
                return
            reason = "its signature is wrong"
            if key is None:
                reason = "it is signed with a key that is not among those given"
        raise VerificationError(reason, position=position, uuid=events.uuid_of(event))


def _are_around_data(before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    """Whether the tabs are around the data, and not around a part of it: no hash tells."""
    return all(map(_is_before_data, set(before))) and {one[: len(_AFTER)] for one in after} == {
        _AFTER
    }


@lru_cache(maxsize=256)
def _is_before_data(before: bytes) -> bool:
    try:
        said: dict[str, Any] = orjson.loads(before + b"null}")
    except orjson.JSONDecodeError:
        return False
    return next(reversed(said)) == "data"


def _are_canonical(dumped: Sequence[bytes]) -> bool:
    """Whether the data of all are surely in the form that is hashed."""
    together = b"[%b]" % b",".join(dumped)
    try:
        found = orjson.loads(together)
        again = orjson.dumps(found, option=events.SORTED)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        # Also data as deep as is written at all: in the list they are one level deeper.
        return False
    return len(found) == len(dumped) and again == together and is_canonical(together)


def _plain_seals(digests: Sequence[bytes], first: int) -> bytes:
    """How the lines of events end that follow one another, the first of them at a position."""
    hashes = b"".join(digests).hex().encode()
    cut = [hashes[at : at + _HASH_SIZE] for at in range(0, len(hashes), _HASH_SIZE)]
    numbered = zip(cut, range(first, first + len(cut)), strict=True)
    return (eventlines.PLAIN_SEAL * len(cut)) % tuple(chain.from_iterable(numbered))


def _is_signed(key: PublicKey, signature: str, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # who has a key has the package

    try:
        key.verify(bytes.fromhex(signature), _SIGNED + digest)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signature(signer: Signer, digest: bytes) -> bytes:
    key = signer.public_key().public_bytes_raw().hex()
    return _KEY % (key.encode(), signer.sign(_SIGNED + digest).hex().encode())


def _stored_data(line: bytes, data: bytes) -> bytes:
    """The data between the tabs of a line, if it is the same as was found by parsing all of it."""
    parts = eventlines.split_at_data(line)
    if parts is None or len(parts[1]) != 1:
        return data
    [stored] = parts[1]
    try:
        found = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return data
    return stored if orjson.dumps(found, option=events.SORTED) == data else data


def _said_signature(said: dict[str, Any]) -> bytes:
    """What a line that was parsed has of a key and a signature, if they are in hexadecimal."""
    some = [said.get(name) for name in ("key", "signature")]
    if any(not isinstance(one, str) or _HEX.fullmatch(one) is None for one in some):
        return b""
    return _KEY % tuple(str(one).encode() for one in some)
