"""A commit log made anew of what can be read of a damaged one.

Records that cannot be read are lost: their numbers are taken and read as HistoryGone. Whatever they
did to a unit, the next change of it that tells what was before tells what they left; until then the
unit is not known, and reads as HistoryGone too.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from objstore.errors import CorruptionError, FormatError, PatchError
from objstore.patch import apply
from objstore.values import JSON, MISSING, Missing, same

from ..contents import parse
from ..io import Files
from ..log import frames, jsonline
from ..log.frames import Codec
from ..log.logfile import Frame, LogFile, Start
from ..log.logscan import Gap, pieces
from ..log.logview import Link
from ..stamps import digest
from ..tree import MAX_FILE_SIZE
from . import record
from .compacting import numbers, ranges
from .heads import Heads, Key, image_of, key_of
from .record import NO_FILE, Entry, Said

_UNREADABLE: Final = (ValueError, KeyError, TypeError)


class Rest:
    """What can be read of a log, oldest file first."""

    def __init__(self, files: list[LogFile], least: int) -> None:
        """``least`` is a number that some record had, as far as anybody else says."""
        self.saids: Final[dict[int, tuple[Said, Link]]] = {}
        self.damaged: Final[list[LogFile]] = []
        self.unreadable: Final[dict[tuple[str, int], None]] = {}
        """Units and commits of them whose images do not parse, as compaction once joined changes of
        files that had become another format."""
        self.end: int | None = None
        """Where the newest file ends, if part of a record is behind it."""
        self._last = 0
        removed: Iterable[int] = ()
        self.lost_before: Final[list[int]] = []
        """Numbers that an earlier repair found lost."""
        for file in files:
            try:
                self._last = max(self._last, file.start.after)
                if not self.saids:
                    removed = numbers(file.start.removed or [])
                    self.lost_before.extend(numbers(file.start.lost or []))
            except (CorruptionError, FormatError):
                self._damage(file)
            self._read(file, is_newest=file is files[-1])
        self._last = max(self._last, least)
        self.removed: Final = set(removed)
        self.lost: Final = sorted(set(range(1, self._last + 1)) - self.removed - self.saids.keys())

    @property
    def last(self) -> int:
        """The greatest number that any record may have had."""
        return self._last

    def _read(self, file: LogFile, *, is_newest: bool) -> None:
        for piece in pieces(file):
            if isinstance(piece, Gap):
                if is_newest and _is_torn(file, piece):
                    self.end = piece.offset
                    return  # nothing behind it was ever told of as a commit
                self._pass(file, piece)
            else:
                self._take(file, piece)

    def _pass(self, file: LogFile, gap: Gap) -> None:
        self._damage(file)
        # As many records as there is room for: a number must not be given twice.
        self._last = max(self._last + gap.most, gap.last)

    def _take(self, file: LogFile, frame: Frame) -> None:
        number = frame.header.number
        self._last = number if number in self._expected else max(self._last, number)
        if frame.header.kind != frames.RECORD or number in self.saids:
            return
        try:
            said = record.decode(frame.payload, file.generation)
        except _UNREADABLE:
            self._damage(file)
        else:
            self.saids[number] = said, Link(number, file.generation, frame.offset)
            for entry in said.entries:
                self._read_image(file, number, entry)

    def _read_image(self, file: LogFile, number: int, entry: Entry) -> None:
        try:
            image_of(entry)
        except FormatError:
            self.unreadable[entry.unit, number] = None
            self._damage(file)

    @property
    def _expected(self) -> range:
        """The numbers that a frame behind a gap may have, if it was counted as too many."""
        newest = next(reversed(self.saids), 0)
        return range(newest + 1, self._last + 1)

    def _damage(self, file: LogFile) -> None:
        if file not in self.damaged:
            self.damaged.append(file)


def _is_torn(file: LogFile, gap: Gap) -> bool:
    try:
        return file.is_torn(gap.offset)
    except CorruptionError:
        return False


class Rebuilding:
    """Makes the frames of the log's only file of what there is."""

    def __init__(self, files: Files, rest: Rest, kept: Heads, since: int) -> None:
        """Commits behind ``since`` may not be in their files; ``kept`` are heads written down."""
        self._files: Final = files
        self._rest: Final = rest
        self._kept: Final = kept
        self._since: Final = since
        self._heads: Final = Heads()
        self._values: Final[dict[Key, JSON | Missing]] = {}
        self._older: Final[dict[Key, set[str | None]]] = {}
        self._unknown: Final[dict[Key, int]] = {}
        """Units whose contents are lost, and since which commit."""

    def frames(self, start: Start) -> Iterator[bytes]:
        """The frames, with a commit at the end of what is only in the files."""
        rest, generation = self._rest, start.generation
        codec = Codec(start.store, generation)
        lost = ranges([*rest.lost_before, *rest.lost])
        start = start._replace(removed=ranges([*rest.removed, *rest.lost]), lost=lost)
        frame = start.encode()
        yield frame
        offset = len(frame)
        for number, said in self._saids():
            link = Link(number, generation, offset)
            payload = record.encode(said, generation)
            frame = codec.encode(frames.RECORD, number, 0, payload)
            self._heads.take(said, link)
            yield frame
            offset += len(frame)
        end = jsonline.dump({"checkpoint": None})
        yield codec.encode(frames.END, rest.last + 1, 0, end)

    def _saids(self) -> Iterator[tuple[int, Said]]:
        for number, (said, _) in self._rest.saids.items():
            entries = [
                made for one in said.entries if (made := self._linked(said.scope, one, number))
            ]
            yield number, said._replace(entries=entries, done=None)
        runs = ", ".join(f"{a} to {b}" for a, b in ranges(self._rest.lost))
        meta = {"repaired": f"lost records: {runs or 'none'}"}
        entries = list(self._found())
        yield self._rest.last + 1, Said(datetime.now(UTC), meta, None, entries, external=True)

    def _linked(self, scope: str | None, entry: Entry, number: int) -> Entry | None:
        """A change with links to where those before it are now; None where it is lost too."""
        key = key_of(scope, entry.unit)
        lost = self._lost_before(key, entry, number)
        if (entry.unit, number) in self._rest.unreadable:
            self._unknown[key] = lost or number
            return None
        if lost is None:
            before = image_of(entry) if entry.is_base else self._values.get(key, MISSING)
        elif entry.is_base or entry.is_lone:
            before = image_of(entry)
            lost = min(lost, entry.lost or lost)
        else:
            self._unknown[key] = lost
            return None
        try:
            value = apply(MISSING if entry.is_lone else before, entry.patch)
        except PatchError:
            self._unknown[key] = lost or number
            return None
        self._unknown.pop(key, None)
        self._values[key] = value
        self._older.setdefault(key, set()).update((entry.before, entry.after))
        return self._made(key, entry if lost is None else _whole(entry, value, lost))

    def _lost_before(self, key: Key, entry: Entry, number: int) -> int | None:
        """The first commit that may have changed the unit and is lost; None if none was."""
        if key in self._unknown:
            return self._unknown[key]
        head = self._heads.units.get(key)
        before = 0 if head is None else head.link.number
        if entry.last is None or entry.last.number == before:
            return None
        return self._first_lost(before, number)

    def _first_lost(self, after: int, before: int) -> int | None:
        lost = self._rest.lost
        at = bisect_right(lost, after)
        return lost[at] if at < len(lost) and lost[at] < before else None

    def _made(self, key: Key, entry: Entry) -> Entry:
        head = self._heads.units.get(key)
        if head is None:
            return entry._replace(nth=1, last=None, jump=None)
        return entry._replace(nth=head.nth + 1, last=head.link, jump=head.jump())

    def _found(self) -> Iterator[Entry]:
        """The units that are not known from the log, as their files are."""
        for key in {**self._heads.units, **self._unknown, **self._kept.units}:
            if not isinstance(key, str):
                continue
            head = self._heads.units.get(key)
            after = 0 if head is None else head.link.number
            lost = self._unknown.get(key) or self._first_lost(after, self._rest.last + 1)
            file = head.file if head is not None else self._kept_file(key)
            if lost is None or file is None:
                continue
            value, now = self._in_file(file)
            if key not in self._unknown and head is not None:
                if now == head.after or same(value, self._values[key]):
                    continue
                if after > self._since and now in self._older[key]:
                    continue  # the newest commit has not reached it
            entry = Entry(key, (), None, now, None, file, 1, None, None)
            yield self._made(key, _whole(entry, value, lost))

    def _kept_file(self, key: Key) -> str | None:
        kept = self._kept.units.get(key)
        return None if kept is None else kept.file

    def _in_file(self, file: str) -> tuple[JSON | Missing, str]:
        """What a file holds, and its digest; nothing for one that cannot be read."""
        found = self._files.read(os.path.join(self._files.root, file), MAX_FILE_SIZE)
        if found is None:
            return MISSING, NO_FILE
        try:
            return parse(found.data, file), digest(found.data)
        except FormatError:
            return MISSING, NO_FILE


def _whole(entry: Entry, value: JSON | Missing, lost: int) -> Entry:
    """A change that tells all of what is after it, and that what was before is lost."""
    patch = [] if value is MISSING else [{"op": "add", "path": "", "value": value}]
    before = None if entry.before == NO_FILE else entry.before
    return entry._replace(patch=patch, before=before, image=None, lost=lost)
