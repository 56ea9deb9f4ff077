"""The committer: how changes become commits, and commits files.

The rule that all of it follows from: the log is the truth, a file is a cache of it that people may
edit.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import Final

from objstore.documents import Commit, Loaded, Waiting
from objstore.errors import (
    BackingError,
    FormatError,
    LayoutError,
    ObjstoreError,
    TransactionError,
)
from objstore.values import JSON, MISSING, Missing, same
from objstore.watchable import Judge

from .contents import parse
from .history.entering import Revision
from .history.ledger import Ledger
from .history.record import NO_FILE, Said
from .io import Files, UncertainError
from .later import Later
from .log.commitlog import Position, Writer
from .pending import Due, EditedError, Pending
from .places import Places
from .plan import Planner, Step, commit_of
from .recovery import Edit, Recovery, edit_of
from .settling import Settling
from .telling import Teller
from .tree import Content, Tree

_ATTEMPTS: Final = 5
"""How often a file is written that somebody edits at the same moment, before it is left as it is.
It stays due then, and is tried again."""


class Committer:
    """Makes the commits of one handle. Safe between threads; the lock is the log's."""

    def __init__(
        self, files: Files, places: Places, tree: Tree, ledger: Ledger, *, lazy: bool
    ) -> None:
        self._files: Final = files
        self._places: Final = places
        self._tree: Final = tree
        self._ledger: Final = ledger
        self._lazy: Final = lazy
        self.pending: Final = Pending(files, places, ledger.has_had)
        self._planner: Final = Planner(files, places, tree, self.pending, lazy=lazy)
        self.settling: Final = Settling(files, places, tree, ledger)
        self._recovery: Final = Recovery(files, ledger, self.settling, self.pending)
        self.teller: Final = Teller(self._commits)
        self._later: Final = Later(self._apply_deferred)
        """Writes files later; where no thread can be had for it, the next commit asks again."""
        # The fields below are guarded by the writer's lock.
        self._has_written = False
        """Whether this handle has written anything; closed, it leaves all in order then."""
        self._is_first = False
        """Whether the log's first commit is on the disk, and it is yet to be noted in which run."""
        self._interruptions = 0
        """The writer's, when what is kept here was last made anew."""
        self._seen = 0
        """The newest commit up to which others' are known to have superseded nothing due here."""

    def begin_in_child(self, *, in_order: bool) -> None:
        """In the child of a fork, where the parent's threads are not.

        Unless all is ``in_order``, as none was amid anything, it begins anew. What is due then the
        parent writes.
        """
        self._later.begin_in_child()
        self.teller.begin_in_child()
        self._ledger.begin_in_child(in_order=in_order)
        if in_order:
            self.pending.confirm_all()
        else:
            self.pending.forget()
            self._interruptions = -1

    def commit(
        self,
        said: Said,
        plan: Callable[[Planner], list[Step]],
        units: Sequence[str],
        waiting: Waiting | None = None,
    ) -> Commit:
        """Make changes one commit. Read from top to bottom, this is the protocol.

        ``said`` is the record without its entries; ``plan`` is asked under the lock for what to do,
        and may be asked twice; ``units`` are those whose files it looks at. Until the sync ends, a
        process that dies or a machine that stops leaves all of the commit or nothing; from then on,
        all of it.

        Where nobody seems to wait behind this one, the lock is kept to the end: to take it a second
        time, for the files, costs more than a tenth of a commit.
        """
        entered: Commit | None = None
        try:
            with self._ledger.log.writing() as writer:
                self._catch_up(writer, units)
                steps = self._planned(writer, plan)
                at_once = self._meets_links(steps, units)
                if at_once:
                    self._apply_all(writer)
                    steps = plan(self._planner)
                self._enter_edits(writer, self._edits(steps))
                number, position = self._enter(writer, steps, said)
                commit = entered = commit_of(number, said, steps)
                self.teller.keep(commit)
                is_alone = waiting is None and writer.is_alone
                if is_alone:
                    self._confirm(steps, position)
                    self._apply_or_defer(writer, at_once=at_once)
            if not is_alone:
                with nullcontext() if waiting is None else waiting(commit):
                    self._confirm(steps, position)
                    self._apply_or_defer(at_once=at_once)
            self.teller.tell(number)
        except BaseException as error:
            if not isinstance(error, ObjstoreError):
                self._begin_anew(error)
            elif entered is None:
                self._apply_or_defer()
            raise
        return commit

    def enter(
        self,
        said: Said,
        changes: Callable[[Planner], Sequence[Revision]],
        units: Iterable[str],
    ) -> Commit:
        """Make a commit that is about no file: of a scope. ``changes`` is asked under the lock;
        ``units`` are those whose files it looks at."""
        try:
            with self._ledger.log.writing() as writer:
                self._catch_up(writer, units)
                revisions = changes(self._planner)
                number, position = self._append(writer, said, revisions)
                there = self._ledger.overlays(said.scope or "")
                made = tuple(
                    one.change._replace(stamp=there[one.change.unit].stamp if there else None)
                    for one in revisions
                )
                commit = Commit(number, said.time, said.meta, said.scope, made, tx=said.tx)
                self.teller.keep(commit)
            self._apply_or_defer()
            self._ledger.log.sync(position)
            self.teller.tell(number)
        except BaseException as error:
            if isinstance(error, ObjstoreError):
                self._apply_or_defer()
            else:
                self._begin_anew(error)
            raise
        return commit

    def notice(
        self,
        units: Iterable[str],
        judge: Judge,
        was: Mapping[str, Loaded],
        there: Collection[str],
    ) -> Commit | None:
        """Enter what somebody else has made of these units' files, as one external commit.

        As ``Watchable.commit_external`` says. None where nothing was entered.
        """
        try:
            with self._ledger.log.writing() as writer:
                self._catch_up(writer, ())
                edits = self._recovery.edits_of(units, judge, was, there)
                entered = self._enter_edits(writer, edits)
                if not self.pending.units:  # else who writes those
                    self._note_written(writer)
        finally:
            self._apply_or_defer()
        if entered is not None:
            self.teller.tell(entered.number)
        return entered

    # The steps of a commit, under the writer's lock

    def _catch_up(self, writer: Writer, touched: Iterable[str]) -> None:
        """Take in what others committed; see to what they have left undone."""
        if self._learn(writer):
            if self._ledger.taken != self._seen:
                self._drop_superseded()
            edits = self._recovery.settle(touched)
            if edits:
                self._enter_edits(writer, edits)

    def _planned(self, writer: Writer, plan: Callable[[Planner], list[Step]]) -> list[Step]:
        """The steps of a commit. Where something is in its way, all that is due is written first:
        it may be gone then, or only then be there."""
        try:
            return plan(self._planner)
        except LayoutError:
            if not self.pending.units:
                raise
            self._apply_all(writer)
            return plan(self._planner)

    def _meets_links(self, steps: Sequence[Step], units: Iterable[str]) -> bool:
        """Whether a link leads to one of the files, and files are or will be behind. They must not:
        who uses a file by one name knows nothing of what is due to it by another."""
        if not (self._lazy or self.pending.units or self._ledger.strangers()):
            return False
        planner, changed = self._planner, {step.change.unit for step in steps}
        return any(planner.is_linked(step.due) for step in steps) or any(
            planner.is_found_by_link(unit) for unit in units if unit not in changed
        )

    def _learn(self, writer: Writer) -> int:
        """Take in what the log has; the newest commit.

        The log is the truth: where this handle was interrupted, by Ctrl-C or for want of memory,
        it begins anew, as the next one would if the process had died.
        """
        head = writer.head
        if writer.interruptions != self._interruptions:
            self._ledger.start_anew()  # first: who reads asks it about what is due here no more
            self.pending.start_anew()
            self._recovery.start_anew()
            self._seen, self._interruptions = 0, writer.interruptions
        elif head:
            self._ledger.catch_up(head)
        return head

    def _begin_anew(self, error: BaseException) -> None:
        """After an interruption: see to what was left half done. What fails is for who writes next,
        and noted on ``error``."""
        self._ledger.log.doubt()
        try:
            with self._ledger.log.writing() as writer:
                self._catch_up(writer, ())
            self._apply_or_defer()
            self._ledger.log.sync()  # what was entered stands, and others may be told of it
            self.teller.tell(self._ledger.taken)
        except ObjstoreError as failure:
            error.add_note(f"and what it left could not be seen to yet: {failure}")

    def _drop_superseded(self) -> None:
        """What others committed since is theirs to write; until then the file may be behind."""
        self._seen = self._ledger.taken  # first: more may come meanwhile
        for unit, due in list(self.pending.units.items()):
            if self._ledger.changed(unit) > due.number:
                self._ledger.doubt(unit, due.since)
                self.pending.supersede(unit)

    def _edits(self, steps: Sequence[Step]) -> list[Edit]:
        """What somebody else had made of the files before these steps, if the log has it not."""
        heads = self._ledger.heads([step.change.unit for step in steps])
        asked = list(zip(steps, heads, strict=True))
        new = [step.change.unit for step, head in asked if not head or head.after == NO_FILE]
        found = self._recovery.displaced(new)
        for step, head in asked:
            unit, before = step.change.unit, step.before
            if head is None or step.known == head.link.number or head.after == before:
                continue
            if not same(step.change.old, self._ledger.newest(unit)):
                found.append(Edit(unit, step.change.old, before))
        return found

    def _enter_edits(self, writer: Writer, edits: Sequence[Edit]) -> Commit | None:
        """Enter edits as one external commit, on the disk when this returns."""
        if not edits:
            return None
        revisions = [self._recovery.revision(edit) for edit in edits]
        said = Said(datetime.now(UTC), {}, None, (), external=True)
        number, position = self._append(writer, said, revisions)
        for edit in edits:
            if edit.stamp is not None:
                edit.stamp.number = number
            if edit.due is not None:
                edit.due.number = edit.due.stamp.number = number
        changes = tuple(one.change for one in revisions)
        unknown = frozenset(one.change.unit for one in revisions if one.is_lone)
        commit = Commit(number, said.time, {}, None, changes, external=True, unknown=unknown)
        self.teller.keep(commit)
        self._ledger.log.sync(position)
        self.teller.let_go(number)
        return commit

    def _enter(self, writer: Writer, steps: Sequence[Step], said: Said) -> tuple[int, Position]:
        """Append the record; before it, write what may fail."""
        dues, made = [step.due for step in steps], list[str]()
        try:
            self.pending.prepare(dues, made)
            revisions = [self._revision(step) for step in steps]
            self.pending.entering = writer.head + 1
            number, position = self._append(writer, said, revisions)
        except BaseException as error:
            self.pending.entering = 0
            self.pending.undo(dues, made, error)
            raise
        if self._seen == number - 1:
            self._seen = number
        for folder in made:
            self.pending.touch(folder)
        for due in dues:
            self.pending.add(due, number, position)
        self.pending.entering = 0
        return number, position

    def _append(
        self, writer: Writer, said: Said, revisions: Sequence[Revision]
    ) -> tuple[int, Position]:
        """Append a record, of which nobody is told before it is on the disk."""
        number = writer.head + 1
        self.teller.hold(number)
        try:
            done = self._ledger.done(self.pending.first())  # what it says is in its files
            number, position = self._ledger.enter(writer, said, revisions, done)
        except BaseException:
            self.teller.let_go(number)
            raise
        self._has_written = True
        return number, position

    def _revision(self, step: Step) -> Revision:
        due = step.due
        after = NO_FILE if due.new is MISSING else due.stamp.digest
        path = self._files.relative(due.path)
        return Revision(step.change, step.before, after, path, step.text)

    def _confirm(self, steps: Sequence[Step], position: Position) -> None:
        """Wait for the disk."""
        try:
            self._sync(position)
        except BackingError:
            for step in steps:
                self.pending.cancel(step.due)
            raise
        except BaseException:
            self._confirmed(steps)
            self._later.ask()
            raise
        self._confirmed(steps)

    def _sync(self, position: Position) -> None:
        try:
            self._ledger.log.sync(position)
        except BackingError:
            raise
        except BaseException:
            # Interrupted. Others may have seen the record, so it is finished and not taken back.
            self._ledger.log.sync(position)
            raise

    def _confirmed(self, steps: Sequence[Step]) -> None:
        """These are on the disk, and perhaps others', so that one thread writes all their files."""
        for step in steps:
            self.pending.confirm(step.due)
        self._is_first = self._is_first or steps[0].due.number == 1
        self.pending.confirm_others(self._ledger.log.is_synced)

    def shown(self, head: int) -> int:
        """The newest commit up to ``head`` that is shown with all before it. Waits for the disk."""
        first = self.pending.first_unshown()
        if first is not None and first <= head:
            with suppress(BackingError):  # whose commit it is gets it
                self._ledger.log.sync()
            self.pending.confirm_others(self._ledger.log.is_synced)
            first = self.pending.first_unshown()
        return head if first is None else min(head, first - 1)

    # Writing files

    def _apply_or_defer(self, writer: Writer | None = None, *, at_once: bool = False) -> None:
        """Have the files written that are due, by who holds the lock if there is a ``writer``.

        ``at_once``, even where it is for later.

        Whatever came of a commit, and if none did: to catch up makes due here what others have
        committed and not yet written, and until it is written it is what readers are shown.
        """
        if not self.pending.units:
            return
        if at_once or not self._lazy or not self._later.ask():
            self._try_to_apply(writer)

    def _try_to_apply(self, writer: Writer | None) -> None:
        """Write the files of a commit. It is a commit whatever comes of that: what cannot be
        written stays due, and ``flush`` says why."""
        try:
            if writer is None:
                self.apply()
            else:
                self._apply_as(writer)
        except BaseException as error:
            self._later.ask()
            if not isinstance(error, ObjstoreError):
                raise

    def flush(self) -> None:
        """Write all files that are behind, whoever committed. Raises as ``apply``."""
        with self._ledger.log.writing() as writer:
            if writer.head:
                self._later.stop()  # first, as whoever commits from now on waits for another
                try:
                    self._apply_all(writer)
                    self._note_written(writer)  # at other ends of it the log says so itself
                except BaseException:
                    self._later.ask()
                    raise

    def apply(self) -> None:
        """Write all files that are due. Raises BackingError where that fails, LayoutError where
        something else is in a file's place, with the rest done.

        Files that somebody is amid writing stay as they are.
        """
        if not self.pending.units:
            return
        with self._ledger.log.writing() as writer:
            self._apply_as(writer)

    def _apply_as(self, writer: Writer) -> None:
        if self._is_first:
            self._is_first = False
            with suppress(BackingError):  # or it looks as if the machine had stopped since
                self._ledger.note_run()
        self._learn(writer)
        self._drop_superseded()
        if self.pending.is_others:
            self._ledger.log.sync()
            self.pending.is_others = False
        failure: ObjstoreError | None = None
        dues = [due for due in self.pending.units.values() if due.is_durable]
        self._has_written = self._has_written or bool(dues)
        for due in sorted(dues, key=lambda due: due.number):
            try:
                self._put(writer, due)
            except ObjstoreError as error:
                failure = error
        if failure is not None:
            raise failure
        self._note_written(writer)

    def _note_written(self, writer: Writer) -> None:
        self._ledger.note_written(writer.head, self.pending.first())

    def _put(self, writer: Writer, due: Due) -> None:
        for _ in range(_ATTEMPTS):
            try:
                self.pending.put(due)
            except EditedError:
                merged = self._merged(writer, due)
                if merged is None:
                    return
                due = merged
            else:
                self._ledger.written(due.place.pointer, due.number, due.stamp.digest)
                return
        reason = f"cannot write {self._files.relative(due.path)}: it keeps changing"
        raise BackingError(errno.EAGAIN, reason, due.path)

    def _merged(self, writer: Writer, due: Due) -> Due | None:
        """What is due now that somebody has edited the file after it was read for the commit.

        Their edit is entered on top of the commit. Where both changed the same, theirs stays, as it
        came last; what they did not know of is in the past. None where nothing is left to do, or
        what is there does not parse. Raises LayoutError where it is no file.
        """
        unit, source = due.place.pointer, self._files.relative(due.path)
        content = self._tree.content(due.place)
        if content is None and due.content is None and due.new is not MISSING:
            self._tree.target(due.path)  # what is there may be a folder
        if content is not None and due.data is not None and content.data == due.data:
            self.pending.drop(due)  # another process has done it, or this one up to the last step
            return None
        try:
            value = MISSING if content is None else parse(content.data, source)
        except FormatError:
            return None
        if same(value, due.new):
            self.pending.drop(due)  # the same, in other bytes
            return None
        if self.settling.is_older(unit, content, value, due.content):
            # Another process has brought it further than it was; not as far as this.
            made = Due(due.place, due.path, content, value, due.new, due.data, due.stamp)
            made.number, made.since, made.is_durable = due.number, due.since, True
        else:
            made = self._with_edit(writer, due, content, value)
        self.pending.take(made)
        return made

    def _with_edit(
        self, writer: Writer, due: Due, content: Content | None, value: JSON | Missing
    ) -> Due:
        """What is due with an edit on top, which is entered unless the commit has it too."""
        merged = self.settling.merged(due.place.pointer, value, due.since).value
        made = self._recovery.due_onto(due.place, due.path, content, value, merged)
        made.number, made.since = due.number, due.since
        if not same(merged, due.new):
            self._enter_edits(writer, [edit_of(made)])
        made.stamp.number = made.number
        return made

    def _apply_deferred(self) -> None:
        try:
            self.apply()
        except ObjstoreError:
            # What is wrong may pass; ``flush`` and ``close`` say if it does not.
            self._later.ask()

    # Ends

    def checkpoint(self) -> None:
        """Have the log on the disk, and then all files that were changed, under any durability."""
        self._ledger.log.sync(sure=True)
        for path in list(self.pending.dirty):
            # Before the sync: what is changed meanwhile is to be synced again.
            self.pending.dirty.pop(path, None)
            try:
                self._files.sync_file(path, sure=True)
            except UncertainError as error:
                self._ledger.log.lose(error)
                raise

    def switch(self) -> int:
        """End the log's file and begin another, with everything before it on the disk."""
        if not self._ledger.refresh():
            return 0
        self.checkpoint()
        with self._ledger.log.writing() as writer:
            self._apply_all(writer)
            if self.pending.units or self._ledger.strangers():
                files = ", ".join(sorted([*self.pending.units, *self._ledger.strangers()]))
                raise TransactionError(f"these files are amid being written: {files}")
            self._dirty_all()
            self.checkpoint()
            writer.switch()
            # After it, as the heads must not be of a record that a crash may undo.
            self._ledger.snapshot()
            return writer.head

    def close(self) -> None:
        """Write what is due, and leave the log marked as in order. Raises BackingError."""
        self._later.end()
        try:
            if self._has_written and self._ledger.log.is_certain:
                self._finish()
        finally:
            self._ledger.close()

    def _finish(self) -> None:
        self.apply()
        if not self._files.sync:
            with self._ledger.log.writing():
                self._ledger.save()
            return
        self.checkpoint()
        with self._ledger.log.writing() as writer:
            self._apply_all(writer)
            if self.pending.units or self._ledger.strangers():
                return
            self._dirty_all()
            self.checkpoint()
            writer.finish()
            self._ledger.save()

    def _apply_all(self, writer: Writer) -> None:
        """Write the files of all commits, those included whose makers wait for the disk now."""
        self._learn(writer)
        self._drop_superseded()
        self._catch_up(writer, self._ledger.strangers())
        self._ledger.log.sync()
        for due in self.pending.units.values():
            self.pending.confirm(due)
        self._apply_as(writer)

    def _dirty_all(self) -> None:
        """Have the files of others' commits synced too: whoever made them may be gone."""
        for unit in self._ledger.changed_units():
            head = self._ledger.head(unit)
            if head is not None and head.file is not None:
                path = os.path.join(self._files.root, head.file)
                self.pending.touch(path)
                self.pending.touch(self._files.real(path))

    def _commits(self, after: int) -> Iterable[Commit]:
        return self._ledger.past.commits(after, "")
