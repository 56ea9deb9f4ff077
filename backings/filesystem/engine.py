"""The engine: what a store has beside its files, from the first commit on."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final, TypeVar, cast

from objstore._forks import rest
from objstore._refusals import no_commit_yet
from objstore._turns import Taken, take
from objstore.documents import (
    DIRECTORY,
    Again,
    Change,
    Commit,
    Directory,
    Loaded,
    Overlay,
    Waiting,
)
from objstore.errors import (
    ClosedError,
    CommitNumberError,
    ConflictError,
    HistoryGone,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    ObjstoreError,
    ScopeNotFoundError,
    TransactionError,
)
from objstore.pointer import join, split
from objstore.retention import Retention
from objstore.values import JSON, MISSING, Missing, same, show

from .committer import Committer
from .history.compacting import Compaction
from .history.entering import Revision
from .history.heads import SCOPED_FILE
from .history.ledger import Ledger
from .history.pins import Pins
from .history.record import NO_FILE, Said
from .history.traces import Trace
from .io import signature
from .log import jsonline
from .log.logfiles import includes
from .plan import Planner, Step
from .reading import Reading
from .settling import State
from .stamps import Stamp

_logger: Final = logging.getLogger(__name__)

_PAUSE: Final = 1000
"""How many commits there are between two snapshots at the least."""

_ATTEMPTS: Final = 5
"""How often the changes of a commit are made anew under the lock. Only somebody who edits the files
meanwhile makes it more than once."""

T = TypeVar("T")


class Engine:
    """The log of one store and all that it is for. Safe between threads."""

    switch_bytes = 64 << 20
    """How long a file of the log grows, before a commit ends it and takes a snapshot."""

    switch_commits = 200_000
    """How many commits it takes at the most."""

    def __init__(self, reading: Reading, *, lazy: bool) -> None:
        files = reading.files
        self._reading: Final = reading
        self.ledger: Final = Ledger(files)
        self.committer: Final = Committer(
            files, reading.places, reading.tree, self.ledger, lazy=lazy
        )
        self._pending: Final = self.committer.pending
        self.pins: Final = Pins(files, self.ledger)
        self._compaction: Final = Compaction(files, self.ledger, self.pins)
        self._switching = Lock()
        self._switch_failed = 0  # guarded by _switching
        rest(self, is_medium=True)

    def resting_locks(self) -> Collection[Any]:
        """Those with which nobody is amid writing the log, or learning of what is in it."""
        return self.ledger.log.turn, self.ledger.guard

    def begin_in_child(self, held: Collection[Any]) -> None:
        """In the child of a fork, where the parent's threads are not."""
        self._switching = Lock()
        self.committer.begin_in_child(in_order=all(one in held for one in self.resting_locks()))

    def refresh(self) -> int:
        """See what other processes have committed, and tell who listens; the newest commit."""
        head = self.ledger.refresh()
        self.committer.teller.tell(head, sure=False)
        return head

    def hear(self) -> None:
        """The same for who waits for it: nobody is told what a crash may still take back."""
        head, log = self.ledger.refresh(), self.ledger.log
        if log.is_certain:
            log.sync()
        self.committer.teller.tell(head, sure=log.is_certain)

    # Where files are behind

    def load(self, unit: str) -> Loaded | None:
        """What a unit is where its file is behind; None where the file is right."""
        later = self._superseded(unit) if self._pending.units else None
        if later is not None:
            return later
        due = self._pending.shown(unit)
        if due is not None:
            return Loaded(due.new, None if due.new is MISSING else due.stamp)
        traces = self.ledger.strange(unit)
        return self._through_log(unit, traces) if traces else None

    def look(self, path: str, known: Stamp | None, *, sure: bool) -> Loaded | Directory | None:
        """The same, of which the stamp alone counts; DIRECTORY where one is about to be made."""
        if self._pending.units:
            later = self._superseded(path, known)
            if later is not None:
                return later
            due = self._pending.shown(path)
            if due is not None and due.new is not MISSING:
                return Loaded(due.new, due.stamp)
            if self._pending.is_above(path):
                return DIRECTORY
            if due is not None:
                return Loaded(MISSING, None)
        traces = self.ledger.strange(path)
        if not traces:
            return None
        # A file that is as it was may be behind: whoever commits writes it after the log.
        fresh = known is not None and known.through >= traces[-1].number
        if known is not None and fresh and self.is_still(path, known, sure=sure):
            return Loaded(None, known)
        found = self._through_log(path, traces)
        if found is not None and found.value is MISSING and self.is_made(path):
            return DIRECTORY
        return found

    def is_due(self, unit: str, known: Stamp) -> bool:
        """Whether a unit's file is yet to become the version that a stamp stands for, and nobody
        has committed it since."""
        due = self._pending.units.get(unit)
        if due is None or due.stamp is not known or not due.is_durable:
            return False
        return self.ledger.changed(unit) <= due.number

    def is_still(self, path: str, known: Stamp, *, sure: bool) -> bool:
        """Whether a unit is the version that a stamp stands for."""
        if known.through and self.ledger.changed(path) > known.through:
            return False
        return self._reading.is_still(known, sure=sure)

    def _through_log(self, unit: str, traces: Sequence[Trace]) -> Loaded | None:
        """What the log says of a unit whose file is behind; None where the file is right."""
        # A file that is ahead of what is known would be taken for an edit, after a long search.
        self.ledger.refresh()
        self.ledger.forget_written()
        traces = self.ledger.strange(unit)
        if not traces:
            return None
        verdict = self.committer.settling.judge(unit, traces)
        if verdict.state in (State.BEHIND, State.TORN, State.OUTDATED):
            is_edited = verdict.state is State.OUTDATED
            value = verdict.merged if is_edited else self.ledger.newest(unit)
            if value is MISSING:
                return Loaded(MISSING, None)
            content = verdict.content
            path = self._reading.places.at(unit).files[0] if content is None else content.path
            stamp = Stamp(path, None, None if content is None else signature(content.status))
            stamp.through = traces[-1].number
            return Loaded(value, stamp)
        if verdict.state is State.SAME:
            self.ledger.settle(unit, traces[-1].number)
        return None

    def _superseded(self, unit: str, known: Stamp | None = None) -> Loaded | None:
        """What others have committed to a unit since what is due here, which will not be written.

        Its stamp is ``known`` if that is of the same commit.
        """
        due, number = self._pending.units.get(unit), self.ledger.changed(unit)
        if due is None or number <= due.number:
            return None
        if self.ledger.head(unit) is None:  # compaction has left nothing of it
            return self._reading.load(unit)
        value = self.ledger.newest(unit)
        if value is MISSING:
            return Loaded(MISSING, None)
        if known is not None and known.through == number:
            return Loaded(value, known)
        stamp = Stamp(due.path, None, None)
        stamp.through = number
        return Loaded(value, stamp)

    def correct_keys(self, path: str, keys: dict[str, None], *, sure: bool = True) -> None:
        """Have the keys be those of the newest commit where files are behind."""
        there, gone = set[str](), dict[str, bool]()
        for unit in self._behind_below(path):
            first, *deeper = split(unit[len(path) :])
            if self._is_there(unit, sure=sure):
                there.add(first)
            else:
                gone[first] = gone.get(first, False) or not deeper
        for first, is_unit in gone.items():
            if is_unit or self.is_emptied(join(path, first)):
                keys.pop(first, None)
        keys.update(dict.fromkeys(there))

    def is_made(self, path: str) -> bool:
        """Whether a directory is there by the log alone, as something in or below it is, and has
        yet to be written."""
        return any(self._is_there(unit, sure=True) for unit in self._behind_below(path))

    def is_emptied(self, path: str) -> bool:
        """Whether all that is in a folder was deleted, and has yet to go: the folder goes too."""
        below, is_behind = path + "/", self._pending.has_below(path)
        for unit in self.ledger.strangers():
            if unit.startswith(below):
                traces = self.ledger.strange(unit)
                # By the log alone: most often the first one tells, and every look asks.
                if traces and traces[-1].after != NO_FILE:
                    return False
                is_behind = True
        if not is_behind or self._pending.is_above(path):
            return False
        for key in self._reading.keys(path):
            below = join(path, key)
            found = self.load(below)
            if found is not None and found.value is MISSING:
                continue
            if self._reading.look(below) is not DIRECTORY or not self.is_emptied(below):
                return False
        return True

    def _behind_below(self, path: str) -> set[str]:
        """The units in or below a directory whose files may be behind."""
        below = path + "/"
        behind = {unit for unit in self.ledger.strangers() if unit.startswith(below)}
        if self._pending.has_below(path):
            behind.update(unit for unit in list(self._pending.units) if unit.startswith(below))
        return {unit for unit in behind if self._has_place(unit)}

    def _is_there(self, unit: str, *, sure: bool) -> bool:
        due = None if sure else self._pending.units.get(unit)
        if due is not None:
            return due.new is not MISSING
        found = self.load(unit)
        if found is not None:
            return found.value is not MISSING
        return self._reading.look(unit) is not None

    # The past

    def load_at(self, unit: str, at: int) -> Loaded | None:
        """A unit after a past commit; None where no commit has ever touched it."""
        self.require(at)
        if self.ledger.head(unit) is None:
            return None
        value = self.ledger.value(unit, at)
        if value is MISSING:
            if self.has_keys_at(unit, at):
                reason = f"{unit} was a directory after commit {at}"
                raise LayoutError(errno.EISDIR, reason, unit)
            return Loaded(MISSING, None)
        stamp = Stamp(self._reading.places.at(unit).files[0], None, None)
        stamp.through = at  # so that no commit takes it for the newest
        return Loaded(value, stamp)

    def keys_at(self, path: str, at: int) -> dict[str, None]:
        """The keys of a directory after a past commit."""
        is_folder = self._reading.look(path) is DIRECTORY
        keys = dict.fromkeys(self._reading.keys(path) if is_folder else ())
        self.require(at)  # after the listing, so that the log has whatever made the files in it
        if self.ledger.head(path) is not None and self.ledger.value(path, at) is not MISSING:
            reason = f"{path} was a file after commit {at}"
            raise LayoutError(errno.ENOTDIR, reason, path)
        depth = len(split(path))
        there: dict[str, bool] = {}
        for unit in self.ledger.units_below(path):
            if self._has_place(unit):
                first = split(unit)[depth]
                is_there = self.ledger.was_there(unit, at)
                there[first] = there.get(first, False) or is_there
        for first, is_there in there.items():
            if is_there:
                keys[first] = None
            elif first in keys and not self._has_unknown(join(path, first)):
                del keys[first]
        return keys

    def has_keys_at(self, path: str, at: int) -> bool:
        """Whether a directory had any after a past commit, as far as can be by the log alone."""
        self.require(at)
        newest, below = self.ledger.taken, path + "/"
        known: set[str] = set()
        for unit in self.ledger.units_below(path):
            if self.ledger.was_there(unit, at) and self._has_place(unit):
                return True
            known.add(below + unit[len(below) :].partition("/")[0])
        if self.ledger.head(path) is not None and self.ledger.value(path, at) is not MISSING:
            return False

        def is_older(pointer: str) -> bool:
            return pointer not in known or self._has_unknown(pointer)

        found = self._reading.look(path) is DIRECTORY and self._reading.has_key(path, is_older)
        if found and self.ledger.refresh() != newest:  # one of those may have made it
            return bool(self.keys_at(path, at))
        return found

    def _has_place(self, unit: str) -> bool:
        """Whether the layout has a place for what was committed, perhaps by another layout."""
        try:
            return bool(self._reading.places.at(unit).files)
        except (KeyNameError, KeyNotFoundError):
            return False

    def _has_unknown(self, path: str) -> bool:
        """Whether something is at or below a path that no commit has ever touched."""
        if self.ledger.head(path) is not None or self._reading.look(path) is not DIRECTORY:
            return False
        for key in self._reading.keys(path):
            below = join(path, key)
            if self._reading.look(below) is DIRECTORY:
                if self._has_unknown(below):
                    return True
            elif self.ledger.head(below) is None:
                return True
        return False

    def require(self, number: int) -> None:
        """Raise the error of a commit that cannot be read."""
        if number < 0:
            raise CommitNumberError(f"a commit's number is 0 or greater, not {number}")
        head = self.ledger.refresh()
        if number > head:
            raise no_commit_yet(number, head)
        removed = self.ledger.log.removed()
        if number and includes(removed, number):
            if includes(self.ledger.log.lost(), number):
                raise HistoryGone(f"commit {number} is lost: its record was damaged")
            raise HistoryGone(f"commit {number} was removed by compaction")

    # Committing

    def commit(
        self,
        changes: Sequence[Change],
        said: Said,
        match: Mapping[str, Any],
        waiting: Waiting | None,
        again: Again | None,
    ) -> Commit:
        """Make a commit of the changes. ``said`` is the record without its entries."""
        units = [path for path, stamp in match.items() if not isinstance(stamp, tuple)]
        if said.scope is None:
            units += [change.unit for change in changes]
            plan = partial(_insist, self._planned, changes, match, again)
            commit = self.committer.commit(said, plan, units, waiting)
        else:
            scoped = partial(_insist, partial(self._scoped, said.scope), changes, match, again)
            commit = self.committer.enter(said, scoped, units)
        self._switch_in_time(commit.number)
        return commit

    def delete_scope(self, said: Said, scope: str) -> Commit:
        """Delete a scope. Raises ScopeNotFoundError."""

        def back(_: Planner) -> Sequence[Revision]:
            there = self.ledger.overlays(scope)
            if scope not in self.ledger.scopes():
                raise ScopeNotFoundError(f"there is no scope {show(scope)}")
            changes = (
                Change(unit, overlay.value, self._outside(unit), overlay.stamp)
                for unit, overlay in there.items()
            )
            return [self._scoped_change(one, there[one.unit]) for one in changes]

        return self.committer.enter(said, back, ())

    def _planned(
        self, changes: Sequence[Change], match: Mapping[str, Any], planner: Planner
    ) -> list[Step]:
        """The plan of a commit of the base. Under the lock."""
        self._check(match, planner)
        return planner.plan(changes)

    def _check(self, match: Mapping[str, Any], planner: Planner) -> None:
        """Raise ConflictError where something is not as ``match`` says. Under the lock."""
        for path, expected in match.items():
            if isinstance(expected, tuple):
                if self.keys(path, sure=False) != sorted(cast("tuple[str, ...]", expected)):
                    raise ConflictError(
                        f"the keys of {path or '/'} have changed since they were listed",
                        pointer=path,
                        base=MISSING,
                        ours=MISSING,
                        theirs=MISSING,
                    )
            else:
                planner.require(path, expected)

    def _scoped(
        self,
        scope: str,
        changes: Sequence[Change],
        match: Mapping[str, Any],
        planner: Planner,
    ) -> Sequence[Revision]:
        """The changes of a scope, as they are entered. Under the lock."""
        self._check(match, planner)
        there = self.ledger.overlays(scope)
        made = [self._scoped_change(change, there.get(change.unit)) for change in changes]
        return [one for one in made if one.change.new is not one.change.old]

    def _scoped_change(self, change: Change, there: Overlay | None) -> Revision:
        if change.stamp != (None if there is None else there.stamp):
            raise ConflictError(
                f"{change.unit} was changed by somebody else in this scope since it was read",
                pointer=change.unit,
                base=change.old,
                ours=change.new,
                theirs=MISSING if there is None else there.value,
            )
        before = NO_FILE if change.old is MISSING else None
        text = None if change.old is MISSING else jsonline.dump(change.old)
        outside = self._outside(change.unit)
        known = change.old if there is None else there.base
        base = None if same(outside, known) else () if outside is MISSING else (outside,)
        anew = there is not None and not same(change.old, there.value)
        return Revision(change, before, None, SCOPED_FILE, lambda: text, base, anew)

    def _outside(self, unit: str) -> JSON | Missing:
        """What a unit is to a scope that has not changed it: nothing where a directory is."""
        try:
            return (self.load(unit) or self._reading.load(unit)).value
        except LayoutError:
            return MISSING

    def keys(self, path: str, *, sure: bool = True) -> list[str]:
        """The keys of a directory as of the newest commit, with what was made outside since.

        Not ``sure``: as of the newest in the log, be it on the disk or not.
        """
        try:
            keys = dict.fromkeys(self._reading.keys(path))
        except LayoutError:
            if not self.is_made(path):
                raise
            keys = {}
        self.correct_keys(path, keys, sure=sure)
        return sorted(keys)

    # Snapshots and compaction

    def switch(self) -> int:
        """Take a snapshot. Raises TransactionError while another is taken."""
        taken: Taken = []
        try:
            if not take(self._switching, 0, taken):
                raise TransactionError("a snapshot is being taken already")
            return self.committer.switch()
        finally:
            if taken:
                self._switching.release()

    def compact(self, retention: Retention) -> list[int]:
        """Remove the commits that need not stay; the numbers of those.

        Raises BusyError while somebody else does, in another process too.
        """
        if not self.ledger.refresh():
            return []
        with self._compaction.alone():
            self._compaction.remove_leftovers()
            with self._switching:
                self.committer.switch()
            return self._compaction.run(retention)

    def pin(self, number: int) -> None:
        """Keep a commit from compaction."""
        if not number:
            raise CommitNumberError("no commit has the number 0")

        def add(pins: frozenset[int]) -> frozenset[int]:
            self.require(number)  # now, as compaction removes commits under the same lock
            return pins | {number}

        self.require(number)  # before there is a lock, and its folder
        self.pins.change(add)

    def unpin(self, number: int) -> None:
        self.pins.change(lambda pins: pins - {number})

    def _switch_in_time(self, number: int) -> None:
        """After a commit: begin another file of the log if this one has grown long.

        Whoever finds it so does it; commits of others go on until its last step.
        """
        log = self.ledger.log
        taken: Taken = []
        try:
            commits = number - max(log.begins_after, self._switch_failed)
            is_long = log.end >= self.switch_bytes and commits >= _PAUSE
            if (is_long or commits >= self.switch_commits) and take(self._switching, 0, taken):
                self.committer.switch()
        except ClosedError:
            return  # another thread has closed the store since
        except ObjstoreError as error:
            # The commit stands. A later one tries again.
            self._switch_failed = number
            _logger.warning("no snapshot could be taken: %s", error)
        finally:
            if taken:
                self._switching.release()


def _insist(
    make: Callable[[Sequence[Change], Mapping[str, Any], Planner], T],
    changes: Sequence[Change],
    match: Mapping[str, Any],
    again: Again | None,
    planner: Planner,
) -> T:
    """What is made of changes, or of those that ``again`` gives where files have changed since."""
    for _ in range(_ATTEMPTS):
        try:
            return make(changes, match, planner)
        except ConflictError:
            if again is None:
                raise
            changes, match = again()
    return make(changes, match, planner)
