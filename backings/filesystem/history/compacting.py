"""Compaction: the ended files of the log become one, with the commits that stay.

Grammar and steps: docs/formats/commit-log.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Final, NamedTuple

from objstore.documents import Change
from objstore.retention import Retention
from objstore.values import same

from ...compaction import staying
from .. import names
from ..io import Files
from ..log import frames, jsonline, logappend
from ..log.frames import Codec
from ..log.logfile import Start, generations
from ..log.loglock import alone
from ..log.logview import Link
from . import record
from .entering import Revision, entry_of
from .heads import SCOPED_FILE, Heads, Key, key_of
from .ledger import Ledger
from .pins import Pins
from .record import Entry, Said


class _Gathered(NamedTuple):
    """What became of a unit since the last commit that stays."""

    change: Change
    first: Entry
    last: Entry
    was: str
    """What its file was called before that, and what after."""
    file: str


class Compaction:
    """Compacts the log of one store. One at a time; reads and writes go on meanwhile."""

    def __init__(self, files: Files, ledger: Ledger, pins: Pins) -> None:
        self._files: Final = files
        self._ledger: Final = ledger
        self._pins: Final = pins

    def alone(self) -> AbstractContextManager[None]:
        """Keep others from compacting, threads and processes. Raises BusyError while one does.

        Two would write one file, and one of them give it its name while the other is half done.
        """
        reason = "another compaction of this store is running, or a repair"
        return alone(self._files, reason, names.log_compaction_lock(self._files.root))

    def run(self, retention: Retention) -> list[int]:
        """Remove the commits of ended files that do not stay; their numbers. For who is alone.

        1. write the file that is to take the place of the newest ended one, and sync it
        2. remove the heads that were written down, as they have changes that go
        3. rename it there, and sync the folder: from here on the older files do not count
        4. remove those
        """
        gone = self._shorten(retention)
        while gone is None:
            gone = self._shorten(retention)
        self.remove_leftovers()
        return gone

    def remove_leftovers(self) -> None:
        """Remove files that do not count, and what those have left that died in a compaction, or in
        a switch. For who is alone; where the disk is full, before anything else."""
        counting, folder = self._ledger.log.files(), names.logs(self._files.root)
        there = generations(self._files)
        old = [one for one in there if counting and one < counting[0].generation]
        for generation in old:
            self._files.unlink(names.log(self._files.root, generation))
        if old:
            self._files.sync_folder(folder)  # or a crash brings them back, for check to tell of
        if any(names.is_temporary(entry.name) for entry in self._files.entries(folder)):
            with self._ledger.log.writing():  # as who switches does
                for entry in self._files.entries(folder):
                    if names.is_temporary(entry.name):
                        self._files.unlink(f"{folder}/{entry.name}")

    def _shorten(self, retention: Retention) -> list[int] | None:
        """Steps 1 to 3; None where pins changed meanwhile, and other commits are to stay."""
        log = self._ledger.log
        files = log.files()[:-1]
        past = self._ledger.past
        known = [(one.number, *past.when(one)) for one in log.records_of(files)]
        pins = self._pins.read()
        stay = self._stay(known, retention, pins)
        gone = [number for number, _, _ in known if number not in stay]
        if not gone:
            return gone
        removed = ranges([*numbers(files[0].removed or []), *gone])
        target = names.log(self._files.root, files[-1].generation)
        frames_made = self._frames(files[-1], known[-1][0], stay, removed)
        with logappend.taken_back(self._files, target):
            logappend.write_all(self._files, target, frames_made)
            with log.writing():  # as who pins does
                if self._pins.read() != pins:
                    return None
                self._ledger.drop_written()
                logappend.put_new(self._files, target)
                self._files.sync_folder(names.logs(self._files.root), sure=True)
        self._ledger.renew()
        with log.writing():  # as all do who write the index: they give it the same temporary name
            self._ledger.snapshot()
        return gone

    def _stay(
        self,
        known: Sequence[tuple[int, datetime, str | None]],
        retention: Retention,
        pins: frozenset[int],
    ) -> set[int]:
        if not known:
            return set()
        stay = staying(known, retention, datetime.now(UTC), pins, self._ledger.scopes())
        return stay | {known[-1][0]}  # which the next file says it follows

    def _frames(
        self, last: Start, upto: int, stay: set[int], removed: list[list[int]]
    ) -> Iterator[bytes]:
        """The file's frames: the start, the records that stay, the end."""
        codec = Codec(last.store, last.generation)
        lost = self._ledger.log.lost()
        start = Start(last.store, last.generation, 0, last.checkpoint, removed, lost).encode()
        yield start
        offset, heads, number = len(start), Heads(), 0
        for number, bare, revisions in self._squashed(upto, stay):
            entries = [entry_of(heads, bare, one, last.generation) for one in revisions]
            said = bare._replace(entries=entries)
            frame = codec.encode(frames.RECORD, number, 0, record.encode(said, last.generation))
            heads.take(said, Link(number, last.generation, offset))
            yield frame
            offset += len(frame)
        yield codec.encode(frames.END, number, 0, jsonline.dump({"checkpoint": None}))

    def _squashed(self, upto: int, stay: set[int]) -> Iterator[tuple[int, Said, list[Revision]]]:
        """The records that stay, each with the changes of those that go before it in its scope."""
        gathered: dict[str | None, dict[str, _Gathered]] = {}
        files: dict[Key, str] = {}
        drops: list[str] = []
        for said, commit in self._ledger.past.replayed(upto):
            drops += said.drops
            for scope in said.drops:
                gathered.pop(scope, None)
            units = gathered.setdefault(said.scope, {})
            for change, entry in zip(commit.changes, said.entries, strict=True):
                key = key_of(said.scope, change.unit)
                file = entry.file or files.get(key, SCOPED_FILE)
                was = entry.was or (files.get(key, file) if entry.image is None else file)
                one = _Gathered(change, entry, entry, was, file)
                units[change.unit] = _joined(units.get(change.unit), one)
                files[key] = file
            if commit.number in stay:
                revisions = [self._revision(said.scope, one) for one in units.values()]
                # In a scope what was changed back holds too, whatever the base was meanwhile.
                in_scope = said.scope is not None
                kept = [one for one in revisions if in_scope or not same(*one.change[1:3])]
                yield commit.number, said._replace(drops=drops, done=None), kept
                del gathered[said.scope]
                drops = []
            elif said.deletes and said.scope is not None:
                drops.append(said.scope)
                del gathered[said.scope]

    def _revision(self, scope: str | None, one: _Gathered) -> Revision:
        key = key_of(scope, one.change.unit)

        def text() -> bytes | None:
            return self._ledger.past.text_before(one.first, key)

        digests = (one.first.before, one.last.after)
        made = Revision(one.change, *digests, one.file, text, one.last.base, was=one.was)
        # What a scope's change was made on may be more than the one before left, if it told that.
        is_anew = scope is not None and one.first.image is not None
        return made._replace(lost=one.first.lost, is_remade=True, is_anew=is_anew)


def _joined(there: _Gathered | None, one: _Gathered) -> _Gathered:
    """What became of a unit, with one change more."""
    if there is None:
        return one
    base = there.last.base if one.last.base is None else one.last.base
    change, last = one.change._replace(old=there.change.old), one.last._replace(base=base)
    return _Gathered(change, there.first, last, there.was, one.file)


def numbers(ranges: Iterable[Iterable[int]]) -> Iterator[int]:
    """The inverse of ``ranges``."""
    for first, last in ranges:
        yield from range(first, last + 1)


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as pairs of the first and the last of a run."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
