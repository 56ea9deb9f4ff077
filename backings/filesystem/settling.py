"""Settling: what a file is whose newest changes may not have reached it.

The log is the truth, and a file a cache of it that people may edit. Where a process died between a
commit and its files, or another one is about to write them, the contents tell which it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final, NamedTuple

from objstore.errors import (
    FormatError,
    HistoryGone,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
)
from objstore.patch import Merged, apply, diff, merge
from objstore.values import JSON, MISSING, Missing, same

from .contents import parse
from .history.ledger import Ledger
from .history.past import Found
from .history.record import NO_FILE, Entry
from .history.traces import Trace
from .io import Files
from .log import jsonline
from .places import Place, Places, place_of_file
from .stamps import Stamp, digest
from .tree import Content, Tree, stamp_of

SECTOR: Final = 512
"""What a disk writes whole, in bytes."""


class State(Enum):
    """What a file is, by the log."""

    SAME = auto()
    """What the newest commit left, or says the same."""
    BEHIND = auto()
    """What an older one left: the newest has not reached it."""
    TORN = auto()
    """Part of what a commit left, from when the machine stopped."""
    EDITED = auto()
    """What somebody else wrote."""
    OUTDATED = auto()
    """What somebody else made of an older one: changes of commits are missing in it."""
    BROKEN = auto()
    """The same, and it does not parse: somebody may be amid writing it."""


class Verdict(NamedTuple):
    """What a unit's file is."""

    state: State
    content: Content | None
    value: JSON | Missing
    """What it holds; MISSING where nothing is, or it does not parse."""
    merged: JSON | Missing = MISSING
    """What an OUTDATED one holds, with the changes that are missing."""

    @property
    def stamp(self) -> Stamp | None:
        return None if self.content is None else stamp_of(self.content)

    @property
    def digest(self) -> str:
        """Of the file; NO_FILE for none."""
        return _digest(self.content)


class Settling:
    """Judges the files of a store."""

    def __init__(self, files: Files, places: Places, tree: Tree, ledger: Ledger) -> None:
        self._files: Final = files
        self._places: Final = places
        self._tree: Final = tree
        self._ledger: Final = ledger
        self._behind: Final[dict[str, tuple[str, int]]] = {}
        """Of units that were found behind by their contents: the file's digest, and the change that
        was made of them. Who shares a file asks again with each commit."""

    def place(self, unit: str) -> Place:
        """Where the file of a unit that the log has is: where the log says, if the layout has no
        place for it any more."""
        with suppress(KeyNameError, KeyNotFoundError):
            place = self._places.at(unit)
            if place.files:
                return place
        head = self._ledger.head(unit)
        if head is None or head.file is None:
            return self._places.at(unit)
        return place_of_file(unit, f"{self._files.below}{head.file}")

    def read(self, unit: str) -> Verdict:
        """What the unit's file holds, whatever the log says: nothing where a directory is that may
        be there. Raises what reading it raises."""
        place = self._places.at(unit)
        try:
            content = self._tree.content(place)
        except LayoutError:
            found = None if place.folder is None else self._tree.find(place)
            if found is None or not found.is_folder:
                raise
            content = None
        return self._verdict(State.SAME, content)

    def judge(self, unit: str, traces: Sequence[Trace]) -> Verdict:
        """What the unit's file is, given the changes that may not be in it.

        Raises what reading it raises.
        """
        written = self._ledger.written_upto()  # before a look at the file
        content = self._content(unit, traces)
        now = _digest(content)
        if now == traces[-1].after:
            return self._verdict(State.SAME, content)
        traces = [one for one in traces if one.number > written]
        if any(_has_had(one, now) for one in traces):
            behind = self._verdict(State.BEHIND, content)
            # Bytes that come later may be those of before, where the newest has taken others back.
            is_open = traces[-1].after is None
            if is_open and same(behind.value, self._ledger.newest(unit)):
                return behind._replace(state=State.SAME)
            return behind
        if content is None:
            return Verdict(State.EDITED, None, MISSING)
        try:
            value = parse(content.data, self._files.relative(content.path))
        except FormatError:
            state = State.TORN if self._ledger.run.stopped else State.BROKEN
            return Verdict(state, content, MISSING)
        if same(value, self._ledger.newest(unit)):
            return Verdict(State.SAME, content, value)
        if not traces:  # they were all in it: what is there came after
            return Verdict(State.EDITED, content, value)
        is_deferred = any(one.after is None or one.before is None for one in traces)
        # Committed before its bytes were known: only the contents can tell.
        since = traces[0].number
        if is_deferred and self._is_past(unit, now, value, since):
            return Verdict(State.BEHIND, content, value)
        if self._ledger.run.stopped:  # nobody knows any more what was in it
            if self._is_torn(unit, content.data, since):
                return Verdict(State.TORN, content, MISSING)
            return Verdict(State.EDITED, content, value)
        merged, conflicts = self.merged(unit, value, since)
        if merged is value or conflicts:  # there is no telling that it is of an older one
            return Verdict(State.EDITED, content, value)
        state = State.BEHIND if same(merged, self._ledger.newest(unit)) else State.OUTDATED
        return Verdict(state, content, value, merged)

    def _is_past(self, unit: str, now: str, value: JSON | Missing, since: int) -> bool:
        """Whether a file of the digest ``now`` holds what one of the changes since was made of."""
        digest_then, number = self._behind.get(unit, ("", 0))
        if digest_then == now and number >= since:
            return True
        for number, older in self._older(unit, since):
            if same(value, older):
                self._behind[unit] = now, number
                return True
        return False

    def merged(self, unit: str, value: JSON | Missing, since: int) -> Merged:
        """What a unit is whose file somebody made to hold ``value``, and may have read before
        commits from ``since`` on had reached it: with their changes; ``value`` itself if it was
        not.

        It was read as what is the least different from what it is now.
        """
        newest = base = self._ledger.newest(unit)
        least = _distance(newest, value)
        # Whoever deletes a file has nothing to merge with.
        older = self._older(unit, since) if value is not MISSING else ()
        with suppress(HistoryGone):  # damage has left less to compare with
            for _, one in older:
                distance = _distance(one, value)
                if distance < least:
                    base, least = one, distance
        return Merged(value, ()) if base is newest else merge(base, newest, value)

    def digest(self, unit: str, traces: Sequence[Trace]) -> str:
        """The digest of the unit's file; NO_FILE for none. Raises as ``judge``."""
        return _digest(self._content(unit, traces))

    def _content(self, unit: str, traces: Sequence[Trace]) -> Content | None:
        try:
            return self._tree.content(self.place(unit))
        except LayoutError:
            # A directory has come in the place of a file that was deleted, or has yet to go.
            if traces[-1].after != NO_FILE and not self._is_emptied(unit):
                raise
            return None

    def _is_emptied(self, unit: str) -> bool:
        """Whether commits deleted all that they put into a directory; some of it may be left."""
        below = unit + "/"
        if not any(one.startswith(below) for one in self._ledger.strangers()):
            return False
        heads = map(self._ledger.head, self._ledger.units_below(unit))
        return all(head is None or head.after == NO_FILE for head in heads)

    def is_older(
        self, unit: str, content: Content | None, value: JSON | Missing, since: Content | None
    ) -> bool:
        """Whether contents are of a commit between the newest and what the file was ``since``."""
        now, first = _digest(content), _digest(since)
        head = self._ledger.head(unit)
        link = None if head is None else head.link
        while link is not None:
            found = self._ledger.past.change(unit, link)
            entry = found.entry
            if _has_had(entry, now):
                return True
            is_deferred = None in (entry.before, entry.after) and not entry.is_lone
            if is_deferred and same(value, self._ledger.past.before(unit, found)):
                return True
            if entry.before == first:
                return False
            link = entry.last
        return False

    def _verdict(self, state: State, content: Content | None) -> Verdict:
        if content is None:
            return Verdict(state, None, MISSING)
        return Verdict(state, content, parse(content.data, self._files.relative(content.path)))

    def _older(self, unit: str, since: int) -> Iterator[tuple[int, JSON | Missing]]:
        """What the unit was before each of the changes, one made of the other; and what somebody
        had made of it. With the change's number."""
        value: JSON | Missing | None = None
        for found in [*self._changes(unit, since)][::-1]:
            if found.entry.is_lone:
                value = MISSING  # nobody knows
            else:
                if value is None or found.entry.is_base:
                    value = self._ledger.past.before(unit, found)
                yield found.link.number, value
            value = self._ledger.past.applied(value, found)
            if found.entry.edited is not None:
                yield found.link.number, apply(value, found.entry.edited.patch)

    def _changes(self, unit: str, since: int) -> Iterator[Found]:
        """The changes from commit ``since`` on, newest first."""
        past, head = self._ledger.past, self._ledger.head(unit)
        link = None if head is None else head.link
        while link is not None and link.number >= since:
            found = past.change(unit, link)
            yield found
            link = found.entry.last

    def _is_torn(self, unit: str, data: bytes, since: int) -> bool:
        """Whether a file is part of what some commit wrote, with zeros or nothing for the rest."""
        for found in self._changes(unit, since):
            whole = self._ledger.past.text(unit, found)
            if whole is not None and len(data) <= len(whole) and _is_part(data, whole):
                return True
        return False


def _digest(content: Content | None) -> str:
    return NO_FILE if content is None else digest(content.data)


def _has_had(one: Trace | Entry, now: str) -> bool:
    """Whether a commit has found the file of that digest, or left it."""
    edited = one.edited
    return now in (one.before, one.after) or (edited is not None and edited.digest == now)


def _distance(old: JSON | Missing, new: JSON | Missing) -> int:
    """How much is in only one of them, in bytes of JSON.

    Not how long a patch is: that of several new elements is longer than one that replaces a list,
    and what is removed counts in neither.
    """
    patches = *diff(old, new), *diff(new, old)
    return sum(len(jsonline.dump(one["value"])) for one in patches if "value" in one)


def _is_part(data: bytes, whole: bytes) -> bool:
    for start in range(0, len(data), SECTOR):
        sector = data[start : start + SECTOR]
        if sector != whole[start : start + len(sector)] and sector.strip(b"\0"):
            return False
    return True
