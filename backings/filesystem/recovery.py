"""Recovery: what other processes have left undone, and what people did meanwhile."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from objstore.documents import Change, Loaded
from objstore.errors import (
    BackingError,
    FormatError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    OutsideError,
)
from objstore.patch import diff
from objstore.pointer import aboves
from objstore.values import JSON, MISSING, Missing, same
from objstore.watchable import Judge

from . import lostfound
from .contents import render
from .history.entering import Revision
from .history.ledger import Ledger
from .history.record import NO_FILE, Edited
from .io import Files, signature
from .pending import Due, Pending
from .places import Place
from .settling import Settling, State, Verdict
from .stamps import Stamp, digest
from .tree import Content

_LOCKED: Final = (errno.EACCES, errno.EPERM)
"""What the system says of a file that it keeps from this process."""

_MANY: Final = 64
"""So many units of other processes are looked at together, by whoever commits next."""

_OFTEN: Final = 32
"""After how many commits those of other processes are looked for in their files."""

_RECENT_NS: Final = 60 * 10**9
"""How long it may take until an edit is heard of."""

_UNREADABLE: Final = (FormatError, LayoutError, KeyNameError, KeyNotFoundError, OutsideError)


class Edit(NamedTuple):
    """What somebody else has made of a unit's file."""

    unit: str
    value: JSON | Missing
    digest: str | None
    """Of the file; NO_FILE where it is gone."""
    stamp: Stamp | None = None
    """Of the file as it was read; None where it is gone, or about to be written."""
    was: tuple[JSON | Missing] | None = None
    """What it was before, where the log does not say and somebody knows."""
    due: Due | None = None
    """The file, where it is to be made what the edit and the commits that it lacks come to."""


class Recovery:
    """Settles units. All of it is for who holds the writer's lock."""

    def __init__(self, files: Files, ledger: Ledger, settling: Settling, pending: Pending) -> None:
        self._files: Final = files
        self._ledger: Final = ledger
        self._settling: Final = settling
        self._pending: Final = pending
        self._is_done = False
        """Whether all was settled once, as it must be before anything is written."""
        self._is_noted = False
        """Whether the next handle may know that."""
        self._looked = 0
        """The newest commit when files were looked at because of the changes that pile up."""
        self._left: Final[dict[str, Due]] = {}
        """The files that were found to be behind."""
        self._unsettled: Final[set[str]] = set()
        """Those that nothing was found out about, when all was settled."""

    def start_anew(self) -> None:
        """Settle all once more, as this handle was interrupted and knows no better than another."""
        self._is_done = False
        self._left.clear()
        self._unsettled.clear()

    def settle(self, touched: Iterable[str]) -> list[Edit]:
        """Settle these units, or all if that is due; the edits that are to be entered."""
        self._ledger.forget_written()
        strange = self._ledger.strangers()
        if strange:
            everything = not self._is_done or len(strange) > _MANY
            if everything:
                wanted = strange
            else:
                late = self._late(strange)
                wanted = [*late | {unit for unit in touched if self._ledger.strange(unit)}]
            edits = [edit for unit in wanted for edit in self._settled(unit)]
        else:
            edits = []
        if not self._is_done:
            self._unsettled.update(self._ledger.strangers())
        self._is_done = True
        if not self._is_noted and self._is_clear():
            self._ledger.note_run()
            self._is_noted = True
        return edits

    def _late(self, strange: Iterable[str]) -> set[str]:
        """Units whose changes should be in their files by now; of the others, forget what is.

        What a process makes known of its own files, the next commit of another may pass on. As long
        as one process pauses nobody does, and changes would pile up in all others.
        """
        late: set[str] = set()
        newest = self._ledger.taken
        if newest - self._looked < _OFTEN or self._ledger.run.stopped:
            return late
        begin, self._looked = newest - _OFTEN, newest
        for unit in strange:
            traces = self._ledger.strange(unit)
            if traces and traces[-1].number <= begin:
                late.add(unit)
            elif traces and traces[0].number <= begin:
                with suppress(*_UNREADABLE):
                    self._ledger.found(unit, self._settling.digest(unit, traces))
        return late

    def _is_clear(self) -> bool:
        """Whether all that was left undone is in its files: should this process die now, others
        would not look for it any more. What was committed since then is of this run."""
        for unit, due in list(self._left.items()):
            if self._pending.units.get(unit) is not due:
                del self._left[unit]
        self._unsettled.intersection_update(self._ledger.strangers())
        return not self._left and not self._unsettled

    def edits_of(
        self,
        units: Iterable[str],
        judge: Judge,
        was: Mapping[str, Loaded],
        there: Collection[str],
    ) -> list[Edit]:
        """What somebody else has made of these units since their newest commits.

        Without what ``judge`` refuses; ``was`` and ``there`` as ``Watchable`` says.
        """
        found: list[Edit] = []
        for unit in dict.fromkeys([*units]):
            is_due = unit in self._pending.units
            traces = [] if is_due else self._ledger.strange(unit)
            try:
                verdict = self._settling.read(unit)
                if traces:
                    verdict = self._settling.judge(unit, traces)
            except (KeyNameError, KeyNotFoundError):  # no unit is called so
                continue
            except BackingError as error:
                if error.errno not in _LOCKED:
                    raise  # it says nothing of this file, which may well be read in a moment
                judge(unit, error)
                continue
            except _UNREADABLE as error:
                # Who writes what is due leaves a file that does not parse, and has nobody to tell;
                # a directory may be in its place until then.
                if not is_due or isinstance(error, FormatError):
                    judge(unit, error)
                continue
            if is_due or verdict.state in (State.BEHIND, State.TORN, State.BROKEN):
                continue  # another process is about to write it, or somebody is amid it
            if self._ledger.head(unit) is None:
                edit = _first_edit(unit, verdict, was, there)
            elif verdict.state is State.OUTDATED:
                edit = self._outdated(unit, verdict, traces[0].number)
            else:
                edit = self._edit(unit, verdict)
            if edit is not None and judge(unit, Loaded(edit.value, verdict.stamp)):
                self._have_due(edit)
                found.append(edit)
        known = {edit.unit for edit in found}
        made = [edit.unit for edit in found if edit.value is not MISSING]
        return [*[one for one in self.displaced(made) if one.unit not in known], *found]

    def displaced(self, units: Iterable[str]) -> list[Edit]:
        """The edits that took files away, which the log has, where directories of these units are
        now or are about to be made."""
        found: dict[str, Edit] = {}
        for unit in units:
            for above in aboves(unit):
                head = self._ledger.head(above)
                if head is not None and head.after != NO_FILE and self._is_gone(above):
                    found[above] = Edit(above, MISSING, NO_FILE)
        return [*found.values()]

    def _is_gone(self, unit: str) -> bool:
        if unit in self._pending.units or self._ledger.strange(unit):
            return False  # it is about to be written
        with suppress(*_UNREADABLE):
            return self._settling.read(unit).content is None
        return False

    def _edit(self, unit: str, verdict: Verdict) -> Edit | None:
        """The edit that a file is, compared with the newest commit; None for none."""
        head, now = self._ledger.head(unit), verdict.digest
        if head is not None and now == head.after:
            return None
        if same(verdict.value, self._ledger.newest(unit)):
            return None
        return Edit(unit, verdict.value, now, verdict.stamp)

    def revision(self, edit: Edit) -> Revision:
        """How an edit is entered."""
        unit = edit.unit
        head = self._ledger.head(unit)
        file = None if head is None else head.file
        if file is None:
            place = self._settling.place(unit)
            there = (path for path in place.files if self._files.exists(path))
            file = self._files.relative(next(there, place.files[0]))
        if head is None:
            return self._first_revision(edit, file)
        change = Change(unit, self._ledger.newest(unit), edit.value, edit.stamp)
        text = partial(self._ledger.text, unit)
        edited, due = None, edit.due
        if due is not None and due.content is not None and not due.is_same:
            edited = Edited(digest(due.content.data), diff(due.new, due.old))
        made = Revision(change, head.after, edit.digest, file, text, is_remade=True)
        return made._replace(edited=edited)

    def _first_revision(self, edit: Edit, file: str) -> Revision:
        """The same of a unit that the log has not."""
        old, text = MISSING if edit.was is None else edit.was[0], None
        if old is not MISSING:
            try:
                text = render(None, None, old, file)
            except FormatError:  # it was a file of another format
                old = MISSING
        before = NO_FILE if edit.was == (MISSING,) else None
        change = Change(edit.unit, old, edit.value, edit.stamp)
        made = Revision(change, before, edit.digest, file, lambda: text)
        return made._replace(is_lone=before is None and text is None)

    def _settled(self, unit: str) -> list[Edit]:
        """Settle a unit, unless it cannot be told what its file is; the edit if it is one."""
        traces = self._ledger.strange(unit)
        if not traces:
            return []  # another thread has learned that all are in the file
        try:
            verdict = self._settling.judge(unit, traces)
        except _UNREADABLE:
            return []
        if verdict.state is State.BROKEN:
            return []
        if verdict.content is not None:
            self._pending.touch(verdict.content.target)
        if verdict.state in (State.BEHIND, State.TORN):
            self._have_written(unit, verdict, traces[0].number)
        self._ledger.settle(unit, traces[-1].number)
        if verdict.state is State.EDITED:
            return [Edit(unit, verdict.value, verdict.digest, verdict.stamp)]
        if verdict.state is State.OUTDATED:
            edit = self._outdated(unit, verdict, traces[0].number)
            self._have_due(edit)
            return [edit]
        return []

    def _outdated(self, unit: str, verdict: Verdict, since: int) -> Edit:
        content, place = verdict.content, self._settling.place(unit)
        path = place.files[0] if content is None else content.path
        due = self.due_onto(place, path, content, verdict.value, verdict.merged)
        head = self._ledger.head(unit)
        due.number, due.since = 0 if head is None else head.link.number, since
        return edit_of(due)

    def due_onto(
        self,
        place: Place,
        path: str,
        content: Content | None,
        value: JSON | Missing,
        merged: JSON | Missing,
    ) -> Due:
        """A file that is to be ``merged``, and was made to hold ``value`` by somebody else.

        Where its format cannot hold that, it is to stay as it is.
        """
        before, data = None if content is None else content.data, None
        if merged is not MISSING:
            try:
                data = render(before, value, merged, self._files.relative(path))
            except FormatError:
                merged, data = value, before
        stamp = Stamp(path, None if data is None else digest(data), None)
        due = Due(place, path, content, value, merged, data, stamp)
        due.is_durable = True
        return due

    def _have_due(self, edit: Edit) -> None:
        if edit.due is not None:
            self._pending.take(edit.due)
            self._left[edit.unit] = edit.due
            self._pending.is_others = True

    def _have_written(self, unit: str, verdict: Verdict, since: int) -> None:
        """Have a unit's file made what the log says."""
        content, place = verdict.content, self._settling.place(unit)
        if verdict.state is State.TORN and content is not None and content.data:
            lostfound.keep(self._files, content.path, content.data)
        head, new = self._ledger.head(unit), self._ledger.newest(unit)
        data = None if new is MISSING else self._ledger.text(unit)
        path = place.files[0]
        if content is not None:
            path = content.path
        elif head is not None and head.file is not None:
            path = os.path.join(self._files.root, head.file)
        stamp = Stamp(path, None if data is None else digest(data), None)
        due = Due(place, path, content, verdict.value, new, data, stamp)
        due.number = stamp.number = 0 if head is None else head.link.number
        due.is_durable, due.since = True, since
        self._pending.take(due)
        self._left[unit] = due
        self._pending.is_others = True


def edit_of(due: Due) -> Edit:
    """The edit that a file is to be, with the commits that it lacked."""
    after = NO_FILE if due.data is None else due.stamp.digest
    return Edit(due.place.pointer, due.new, after, due=due)


def _first_edit(
    unit: str, verdict: Verdict, was: Mapping[str, Loaded], there: Collection[str]
) -> Edit | None:
    """The edit that a file is whose unit the log has not; None for none."""
    edit = Edit(unit, verdict.value, verdict.digest, verdict.stamp)
    known = was.get(unit)
    if known is None:
        return None if verdict.content is None and unit not in there else edit
    if not same(known.value, verdict.value):
        return edit._replace(was=(known.value,))
    return edit if _may_be_read_since(known, verdict) else None


def _may_be_read_since(known: Loaded, verdict: Verdict) -> bool:
    """Whether what is known may be what the file is now, as somebody has read it after an edit; or
    else the file was saved as it was, or touched."""
    content, stamp = verdict.content, known.stamp
    if content is None or not isinstance(stamp, Stamp):
        return False
    is_recent = time.time_ns() - content.status.st_ctime_ns < _RECENT_NS
    return is_recent and stamp.likely == signature(content.status)
