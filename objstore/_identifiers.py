"""What names a blob, and what is known of one without reading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Flag
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from ._ranges import Grid
from .values import show

_LINK: Final = "urn:objstore:blob:"
_MAX_VERSION: Final = 10**18 - 1
_TEXT: Final = re.compile(
    rf"(?:{_LINK})?([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})\.(0|[1-9][0-9]{{0,17}})"
)


class ObjectStateT(Flag):
    """What may be done with an identifier (seed 000)."""

    NONEXISTENT = 1
    """There is no blob: it can be reserved."""
    READABLE = 2
    """The blob was finalized."""
    WRITABLE = 4
    """The blob was reserved, and is not finalized yet."""


@dataclass(frozen=True, order=True, slots=True)
class Identifier:
    """What names a blob: a UUID, and a version of it, which is 0 or more.

    Its text is ``<uuid>.<version>``. Raises TypeError or ValueError for anything else.
    """

    uuid: UUID
    version: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.uuid, UUID):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"uuid must be a UUID, not {show(self.uuid)}")
        if type(self.version) is not int:
            raise TypeError(f"version must be an int, not {show(self.version)}")
        if not 0 <= self.version <= _MAX_VERSION:
            raise ValueError(f"version must be from 0 to {_MAX_VERSION}, not {self.version}")

    def __str__(self) -> str:
        return f"{self.uuid}.{self.version}"

    @property
    def link(self) -> str:
        """How documents refer to the blob: ``urn:objstore:blob:<uuid>.<version>``."""
        return f"{_LINK}{self}"

    @classmethod
    def new(cls) -> Identifier:
        """One that nobody has: a random UUID, version 1."""
        return cls(uuid4())

    @classmethod
    def parse(cls, text: str) -> Identifier:
        """The identifier with this text or link. Raises ValueError where it is none, TypeError for
        what is no text."""
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"the text of an identifier is a str, not {show(text)}")
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"expected <uuid>.<version> or a blob's link, found {show(text)}")
        return cls(UUID(found[1]), int(found[2]))


def linked(value: object) -> Identifier | None:
    """The identifier that a value of a document refers to; None where it is no link."""
    if isinstance(value, str) and value.startswith(_LINK) and _TEXT.fullmatch(value):
        return Identifier.parse(value)
    return None


class BlobInfo(NamedTuple):
    """What is known of a blob without reading it."""

    identifier: Identifier
    state: ObjectStateT
    size: int
    """In bytes; of a writable blob without a promised size, how far it has been written."""
    promised_size: int | None
    """What was reserved; None where the blob is as long as what is written."""
    sha256: str | None
    """In hexadecimal: counted when it was finalized, or promised; None where neither is known."""
    part_size: int
    meta: Mapping[str, Any]
    changed: datetime
    """When it was last written to, or finalized; in UTC."""

    @property
    def grid(self) -> Grid:
        """Its parts."""
        return Grid(self.size, self.part_size)


class Damage(NamedTuple):
    """A blob that is not what was finalized."""

    identifier: Identifier
    reason: str


class Scrubbed(NamedTuple):
    """What ``Depot.scrub`` found."""

    sound: int
    """How many blobs are as they were finalized."""
    damaged: tuple[Damage, ...]
    unknown: tuple[Identifier, ...]
    """Blobs that nobody counted a digest of."""
