"""What a record of the commit log says. Grammar: docs/formats/commit-log.md."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from objstore.patch import Operation
from objstore.values import JSON

from ..log import jsonline
from ..log.logview import Link

NO_FILE: Final = ""
"""The digest of a file that is not there."""


class Edited(NamedTuple):
    """What somebody had made of a file that was behind."""

    digest: str
    patch: Sequence[Operation]
    """What leads to its contents from those after the commit."""


class Entry(NamedTuple):
    """What one commit did to one unit."""

    unit: str
    patch: Sequence[Operation]
    """From the contents before to those after; the whole document is a value."""
    before: str | None
    """The digest of the file before; None where it is not known."""
    after: str | None
    """The same after. None as well where the file is written later, see ``apply="lazy"``."""
    image: bytes | None
    """The file before, whole; None where the records before tell, or there was no file."""
    file: str | None
    """Its path within the store, given with an image, where the file is made, and where it is
    another one."""
    nth: int
    """1 for the first change of the unit that the log has."""
    last: Link | None
    """The change before this one."""
    jump: Link | None
    """The change whose ``nth`` is this one's with its lowest bit cleared."""
    base: tuple[JSON] | tuple[()] | None = None
    """In a scope, the contents outside, where they are not those of the change before; () for
    none."""
    lost: int | None = None
    """From this commit on, what was before is not known, as records were lost."""
    edited: Edited | None = None
    """The file as it was found, where commits were missing in what somebody had edited. It is to be
    replaced by what the edit and those come to."""
    text: bytes | None = None
    """The patch as JSON, where it has been made already."""
    was: str | None = None
    """The path of the file that the image is, where it was another one: compaction has joined the
    changes between the two."""

    @property
    def is_base(self) -> bool:
        """Whether what was before is told by this entry alone."""
        return self.image is not None or self.before == NO_FILE

    @property
    def is_lone(self) -> bool:
        """Whether nothing tells what was before: the patch then has all of what is after."""
        return not self.is_base and (self.last is None or self.lost is not None)


class Said(NamedTuple):
    """A record."""

    time: datetime
    meta: dict[str, Any]
    scope: str | None
    entries: Sequence[Entry]
    external: bool = False
    tx: str | None = None
    deletes: bool = False
    """Whether the scope is deleted; what was in it is changed back to what is outside."""
    drops: Sequence[str] = ()
    """Scopes that were deleted before this, by commits that compaction has removed."""
    done: int | None = None
    """All up to this commit was in its files when this one was made; None: all before it."""


class Touched(NamedTuple):
    """Of an entry, what tells whether it is in the unit's file."""

    unit: str
    before: str | None
    after: str | None
    edited: Edited | None


class Glance(NamedTuple):
    """Of a record, what tells which of its changes are in their files."""

    scope: str | None
    entries: Sequence[Touched]
    done: int | None


def encode(said: Said, generation: int) -> bytes:
    """The record as a line of JSON, for the file of that generation."""
    line: dict[str, Any] = {"time": said.time.isoformat(timespec="microseconds")}
    if said.meta:
        line["meta"] = said.meta
    if said.scope is not None:
        line["scope"] = said.scope
    if said.external:
        line["external"] = True
    if said.tx is not None:
        line["tx"] = said.tx
    if said.done is not None:
        line["done"] = said.done
    if said.deletes:
        line["deletes"] = True
    if said.drops:
        line["drops"] = said.drops
    line["changes"] = [_entry(entry, generation) for entry in said.entries]
    return jsonline.dump(line)


def patch_text(entry: Entry) -> bytes:
    """The patch as it stands in the record."""
    return jsonline.dump(entry.patch) if entry.text is None else entry.text


def decode(payload: bytes, generation: int) -> Said:
    """The record of a payload. Raises ValueError, KeyError or TypeError for what is none."""
    line = jsonline.load_object(payload)
    return Said(
        _time(line),
        line.get("meta", {}),
        line.get("scope"),
        [_parse(one, generation) for one in line["changes"]],
        line.get("external", False),
        line.get("tx"),
        line.get("deletes", False),
        line.get("drops", ()),
        line.get("done"),
    )


def glance(payload: bytes) -> Glance:
    """A part of ``decode``, in a third of the time. Raises the same."""
    line = jsonline.load_object(payload)
    entries = [Touched(one["unit"], *_digests(one), _edited(one)) for one in line["changes"]]
    return Glance(line.get("scope"), entries, line.get("done"))


def when(payload: bytes) -> tuple[datetime, str | None]:
    """The time and the scope of a record, which is all that is kept of it. Raises the same."""
    line = jsonline.load_object(payload)
    return _time(line), line.get("scope")


def _time(line: dict[str, Any]) -> datetime:
    time = datetime.fromisoformat(line["time"])
    return time if time.tzinfo is UTC else time.astimezone(UTC)


def _digests(line: dict[str, Any]) -> tuple[str | None, str | None]:
    before = (line["before"] or NO_FILE) if "before" in line else None
    after = (line["after"] or NO_FILE) if "after" in line else None
    return before, after


def _entry(entry: Entry, generation: int) -> dict[str, Any]:
    line: dict[str, Any] = {"unit": entry.unit}
    if entry.file is not None:
        line["file"] = entry.file
    if entry.before is not None:
        line["before"] = entry.before or None
    if entry.after is not None:
        line["after"] = entry.after or None
    if entry.image is not None:
        try:
            line["image"] = entry.image.decode()
        except UnicodeDecodeError:
            line["bytes"] = b64encode(entry.image).decode()
    if entry.was is not None:
        line["was"] = entry.was
    line["patch"] = jsonline.Text(patch_text(entry))
    if entry.nth > 1:
        line["nth"] = entry.nth
        line["last"] = _link(entry.last, generation)
        if entry.jump != entry.last:
            line["jump"] = _link(entry.jump, generation)
    if entry.base is not None:
        line["base"] = entry.base
    if entry.lost is not None:
        line["lost"] = entry.lost
    if entry.edited is not None:
        line["edited"] = list(entry.edited)
    return line


def _parse(line: dict[str, Any], generation: int) -> Entry:
    image: str | None = line.get("image")
    data = None if image is None else image.encode()
    if "bytes" in line:
        data = b64decode(line["bytes"])
    last = _linked(line.get("last"), generation)
    return Entry(
        line["unit"],
        line["patch"],
        *_digests(line),
        data,
        line.get("file"),
        line.get("nth", 1),
        last,
        _linked(line["jump"], generation) if "jump" in line else last,
        tuple(line["base"]) if "base" in line else None,
        line.get("lost"),
        _edited(line),
        was=line.get("was"),
    )


def _edited(line: dict[str, Any]) -> Edited | None:
    return Edited(*line["edited"]) if "edited" in line else None


def _link(link: Link | None, generation: int) -> list[int] | None:
    if link is None:
        return None
    return list(link[::2]) if link.generation == generation else [*link[::2], link.generation]


def _linked(found: list[int] | None, generation: int) -> Link | None:
    if found is None:
        return None
    number, offset, *other = found
    return Link(number, other[0] if other else generation, offset)
