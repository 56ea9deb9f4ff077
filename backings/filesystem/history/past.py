"""The past: what a unit was after a commit, read back from the commit log."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cached_property
from heapq import merge
from threading import Lock
from typing import Final, NamedTuple, TypeAlias

from objstore._touched import touches
from objstore.documents import Change, Commit
from objstore.errors import CorruptionError, FormatError, HistoryGone
from objstore.patch import PatchError, apply
from objstore.pointer import aboves
from objstore.values import JSON, MISSING, Missing

from ..contents import is_same_format, render
from ..log.commitlog import CommitLog
from ..log.heldlog import HeldLog
from ..log.logrecords import Record
from ..log.logview import Link
from .heads import SCOPED_FILE, Key, image_of, key_of
from .record import Entry, Glance, Said, decode, glance, when

_RUNNING: Final = 1024
"""How many units' contents an iteration over commits keeps at hand."""

_KEPT: Final = 256
"""How many records stay parsed: as many as a few walks through a unit's past take."""


_Running: TypeAlias = "OrderedDict[Key, tuple[int, JSON | Missing | None]]"
"""Units' contents, and the commits that left them so."""

_NOTHING: Final = 0, None


class Found(NamedTuple):
    """A unit's change in the log."""

    link: Link
    entry: Entry


class Parsed:
    """A record, and where it is."""

    def __init__(self, link: Link, said: Said) -> None:
        self.link: Final = link
        self.said: Final = said

    @cached_property
    def _by_unit(self) -> dict[str, Entry]:
        return {entry.unit: entry for entry in self.said.entries}

    def change(self, scope: str | None, unit: str) -> Found | None:
        """What it says of a unit."""
        entry = self._by_unit.get(unit) if self.said.scope == scope else None
        return None if entry is None else Found(self.link, entry)


class Past:
    """Reads the changes of units. Safe between threads."""

    def __init__(self, log: CommitLog | HeldLog) -> None:
        self._log: Final = log
        self._guard = Lock()
        self._kept: Final[OrderedDict[Link, Parsed]] = OrderedDict()  # guarded by _guard

    def begin_in_child(self) -> None:
        """In the child of a fork, where nobody holds the lock."""
        self._guard = Lock()

    def held(self) -> Past:
        """The past as the log is now, whatever compaction does to that meanwhile, if it has not too
        many files for that. It knows nothing yet that another process's may have made wrong."""
        return Past(self._log.held() or self._log)

    def forget(self) -> None:
        """The log was compacted: records are others, and elsewhere."""
        with self._guard:
            self._kept.clear()

    def record(self, link: Link) -> Parsed:
        """The record at a link; where that was removed, the next one, which has its changes.

        Raises CorruptionError where it cannot be read.
        """
        with self._guard:
            kept = self._kept.get(link)
            if kept is not None:
                self._kept.move_to_end(link)
                return kept
        found = self._log.find(link.number, link.generation, link.offset)
        parsed = Parsed(found.link, self.read(found))
        # By its place, as another process may compact: then it is elsewhere, with other changes.
        with self._guard:
            self._kept[found.link] = parsed
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return parsed

    def read(self, one: Record) -> Said:
        """What a record says. Raises CorruptionError where it says nothing that it should."""
        try:
            return decode(one.payload, one.position.generation)
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(one, error) from error

    def glance(self, one: Record) -> Glance:
        """A part of it. Raises the same."""
        try:
            return glance(one.payload)
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(one, error) from error

    def when(self, one: Record) -> tuple[datetime, str | None]:
        """Its time and its scope. Raises the same."""
        try:
            return when(one.payload)
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(one, error) from error

    def _strange(self, one: Record, error: Exception) -> CorruptionError:
        reason = f"record {one.number} is not what a record should be: {error!r}"
        file = self._log.name(one.position.generation)
        return CorruptionError(reason, file=file, offset=one.link.offset)

    def change(self, key: Key, link: Link) -> Found:
        """The unit's change in the record at a link; where that was removed, what has become of it.

        Raises CorruptionError where no record has it that should.
        """
        found = self.find(key, link)
        if found is None:
            where = self.record(link).link
            reason = f"record {where.number} should have a change of {key}"
            file = self._log.name(where.generation)
            raise CorruptionError(reason, file=file, offset=where.offset)
        return found

    def find(self, key: Key, link: Link) -> Found | None:
        """The same; None where nothing is left of it, nor of any change before."""
        scope, unit = (None, key) if isinstance(key, str) else key
        record = self.record(link)
        # Compaction has made the change part of the next commit of the same scope,
        while record.said.scope != scope and record.link.number < self._log.head:
            record = self.record(Link(record.link.number + 1, 0, 0))
        found = record.change(scope, unit)
        if found is None and self._log.removed():
            # or of none, where another change had taken it back by then: be it in the same one.
            found = self._last_before(link.number, scope, unit)
        return found

    def _last_before(self, number: int, scope: str | None, unit: str) -> Found | None:
        """The unit's newest change before a number. Reads all that is there, hence seldom asked."""
        last: Found | None = None
        for one in self._log.records():
            if one.number >= number:
                break
            last = Parsed(one.link, self.read(one)).change(scope, unit) or last
        return last

    def newest(self, key: Key, link: Link, at: int) -> Found | None:
        """The newest change that is not after commit ``at``, from the one at a link on back; None
        where all are."""
        found: Found | None = self.change(key, link)
        while found is not None and found.link.number > at:
            lost, jump, last = found.entry.lost, found.entry.jump, found.entry.last
            if lost is not None and at >= lost:
                raise HistoryGone(f"what {found.entry.unit} was after commit {at} is lost")
            if jump is not None and jump.number > at:
                found = self.find(key, jump)
            else:
                found = None if last is None else self.find(key, last)
        return found

    def value(self, key: Key, link: Link, at: int) -> JSON | Missing:
        """The unit's contents after commit ``at``, which is not after the change at a link.

        Raises HistoryGone where they are not known.
        """
        found = self.newest(key, link, at)
        if found is None:
            return self.before(key, self._first(key, link))
        return self.after(key, found)

    def was_there(self, key: Key, link: Link, at: int) -> bool:
        """Whether it had contents then, be they known or not; the same otherwise."""
        found = self.newest(key, link, at)
        if found is not None:
            return self.after(key, found) is not MISSING
        first = self._first(key, link)
        is_unknown = first.entry.is_lone and first.entry.lost is None
        return is_unknown or self.before(key, first) is not MISSING

    def after(self, key: Key, found: Found) -> JSON | Missing:
        """The contents that a change left."""
        first, *others = self._since_base(key, found)
        value = self._image(first)
        for one in (first, *others):
            value = self.applied(value, one)
        return value

    def before(self, key: Key, found: Found) -> JSON | Missing:
        """The contents before a change. Raises HistoryGone where they are not known."""
        entry = found.entry
        if entry.is_base:
            return self._image(found)
        if entry.is_lone or entry.last is None:
            raise HistoryGone(f"what {entry.unit} was before a commit of it is not known")
        return self.after(key, self.change(key, entry.last))

    def _image(self, found: Found) -> JSON | Missing:
        """What was before a change that tells it by itself. Raises CorruptionError for an image
        that is not of the format that its file says, as compaction once joined changes."""
        try:
            return image_of(found.entry)
        except FormatError as error:
            number, generation, offset = found.link
            reason = f"what {found.entry.unit} was before commit {number} does not parse: {error}"
            file = self._log.name(generation)
            raise CorruptionError(reason, file=file, offset=offset) from error

    def text_before(self, entry: Entry, key: Key) -> bytes | None:
        """The bytes of the file before a change; None for none."""
        if entry.is_base or entry.is_lone or entry.last is None:
            return entry.image
        return self.text(key, self.change(key, entry.last))

    def commits(self, after: int, path: str, *, upto: int | None = None) -> Iterator[Commit]:
        """The commits behind ``after`` that touched ``path``, oldest first."""
        running: _Running = OrderedDict()
        needles = _needles(path)
        for one in self._log.records(after):
            if upto is not None and one.number > upto:
                return
            # What has nothing of the path need not be parsed, which takes four fifths of the time.
            for needle in needles:
                if needle in one.payload:
                    break
            else:
                continue
            said = self.read(one)
            commit = self._commit(one.link, said, running)
            if touches(commit, path):
                yield commit

    def replayed(self, upto: int) -> Iterator[tuple[Said, Commit]]:
        """The commits up to a number, oldest first, each with what its record says."""
        running: _Running = OrderedDict()
        for one in self._log.records():
            if one.number > upto:
                return
            said = self.read(one)
            yield said, self._commit(one.link, said, running)

    def linked(self, chains: Iterable[tuple[Key, Link]], after: int, path: str) -> Iterator[Commit]:
        """The same of the commits that changed one of some units, by each one's newest change."""
        running: _Running = OrderedDict()
        walks = [self._walk(key, link, after) for key, link in chains]
        for link in merge(*walks):
            if link.number > after:  # or several of them were changed by one commit
                after = link.number
                commit = self._commit(link, self.record(link).said, running)
                if touches(commit, path):
                    yield commit

    def _walk(self, key: Key, link: Link | None, after: int) -> Iterator[Link]:
        """Where a unit's changes behind ``after`` are, oldest first, up to the one at a link.

        Jumps lead to the oldest one in a few steps, and from each to the next; so it takes about
        two looks for each, however many are to come.
        """
        back: list[Found] = []
        while link is not None:
            found = self.find(key, link)
            if found is None or found.link.number <= after:
                break
            back.append(found)
            link = found.entry.jump
        for found in reversed(back):
            last, jump = found.entry.last, found.entry.jump
            for between in self._walk(key, None if last == jump else last, after):
                after = between.number
                yield between
            # Compaction may have made the changes at two links one.
            if found.link.number > after:
                after = found.link.number
                yield found.link

    def commit(self, link: Link) -> Commit:
        """The commit of one record."""
        return self._commit(link, self.record(link).said, OrderedDict())

    def _commit(self, link: Link, said: Said, running: _Running) -> Commit:
        number, changes = link.number, list[Change]()
        unknown = frozenset(entry.unit for entry in said.entries if entry.is_lone)
        for entry in said.entries:
            key, found = key_of(said.scope, entry.unit), Found(link, entry)
            seen, old = running.pop(key, _NOTHING)
            if entry.last is None or entry.last.number != seen:
                old = None  # nothing, or a change between was not looked at
            # In a scope, what was before is what was seen there, with the base as it was.
            in_scope = said.scope is not None
            if old is None or entry.is_lone or (in_scope and entry.is_base):
                # What an edit found before it was first committed nobody knows.
                old = MISSING if entry.is_lone else self.before(key, found)
            new = self.applied(old, found)
            running[key] = number, new
            if len(running) > _RUNNING:
                running.popitem(last=False)
            changes.append(Change(entry.unit, old, new))
        times = (number, said.time, said.meta, said.scope)
        return Commit(*times, tuple(changes), said.external, said.tx, unknown)

    def text(self, key: Key, found: Found) -> bytes | None:
        """The bytes of the file that a change left; None for none.

        They are made as the commit made them, by the same edits of the same image.
        """
        chain = self._since_base(key, found)
        first = chain[0].entry
        file, data = first.was or first.file or SCOPED_FILE, first.image
        value = self._image(chain[0])
        for one in chain:
            before, file = file, one.entry.file or file
            if not is_same_format(before, file):
                data = None
            new = self.applied(value, one)
            data = None if new is MISSING else render(data, value, new, file)
            value = new
        return data

    def _since_base(self, key: Key, found: Found) -> list[Found]:
        """The changes that lead to one, from the last that tells what was before it."""
        chain = [found]
        while not (chain[-1].entry.is_base or chain[-1].entry.is_lone):
            if (last := chain[-1].entry.last) is not None:
                chain.append(self.change(key, last))
        return chain[::-1]

    def _first(self, key: Key, link: Link) -> Found:
        found = self.change(key, link)
        while (back := found.entry.jump or found.entry.last) is not None:
            earlier = self.find(key, back)
            if earlier is None:
                break
            found = earlier
        return found

    def applied(self, value: JSON | Missing, one: Found) -> JSON | Missing:
        """What a change makes of a unit's contents. Raises CorruptionError if it does not fit."""
        try:
            return apply(value, one.entry.patch)
        except PatchError as error:
            reason = f"the patch of {one.entry.unit} does not fit: {error}"
            file = self._log.name(one.link.generation)
            raise CorruptionError(reason, file=file, offset=one.link.offset) from error


def _needles(path: str) -> list[bytes]:
    """What records have one of that touch a path: the names of units there, above it and below."""
    if not path:
        return [b""]
    return [*map(needle, (path, *aboves(path))), needle(path + "/")[:-1]]


def needle(text: str) -> bytes:
    """A text as it stands in records."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
