"""Files that are due: committed, and still to be written.

The log has what they are to hold, so that nothing here needs a sync, and nothing is lost when it
fails: a file that cannot be written stays due, and is read through the log.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from objstore.errors import BackingError, KeyNameError, KeyNotFoundError, LayoutError
from objstore.pointer import aboves
from objstore.values import JSON, MISSING, Missing

from . import lostfound, names
from .contents import render
from .io import Files, Signature, Snapshot, signature
from .log.logview import Position
from .places import Place, Places
from .recent import Recent
from .stamps import Stamp, digest, learned, settled
from .temporaries import removed_on_error
from .tree import MAX_FILE_SIZE, Content


class Due:
    """A unit's contents as committed, and its file as it was found."""

    __slots__ = (
        "_temporary",
        "before",
        "content",
        "data",
        "is_durable",
        "new",
        "number",
        "old",
        "path",
        "place",
        "position",
        "ready",
        "since",
        "stamp",
        "target",
    )

    def __init__(
        self,
        place: Place,
        path: str,
        content: Content | None,
        old: JSON | Missing,
        new: JSON | Missing,
        data: bytes | None,
        stamp: Stamp,
    ) -> None:
        self.place: Final = place
        self.path: Final = path
        """Where the place has the file, a link or the file itself."""
        self.target: Final = path if content is None else content.target
        """The file itself, where a link lies at ``path``."""
        self._temporary = ""
        self.content: Final = content
        """The file as it is expected to be; None for none."""
        self.old: Final = old
        """What that holds."""
        self.new: Final = new
        """What it is to hold; MISSING where it is to go."""
        self.data = data
        """Its bytes; None where they are made when they are needed, or it is to go."""
        self.stamp: Final = stamp
        self.number = 0
        """The commit; 0 before it has one."""
        self.position: Position | None = None
        """Where its record ends, as long as that may not be on the disk."""
        self.since = 0
        """The first commit of the unit that may not be in the file."""
        self.ready: Signature | None = None
        """The temporary file that the bytes are in; others may have put theirs there since."""
        self.is_durable = False
        """Whether the commit is on the disk: until then nobody is shown it."""
        self.before: Due | None = None
        """What was due before, as long as this is not durable."""

    @property
    def temporary(self) -> str:
        """The file that is written first, and then takes its place."""
        if not self._temporary:
            self._temporary = names.temporary_path(self.target)
        return self._temporary

    @property
    def is_same(self) -> bool:
        """Whether the file has the right bytes as it is."""
        return self.content is not None and self.data == self.content.data

    def render(self, source: str) -> bytes:
        """The bytes that the file is to have. Raises FormatError for what its format cannot."""
        if self.data is None:
            old = None if self.content is None else self.content.data
            self.data = render(old, self.old, self.new, source)
        return self.data


class EditedError(Exception):
    """A file is not what it was expected to be: somebody has edited, made or removed it."""


class Pending:
    """The files that are due. What changes ``units`` is for who holds the writer's lock."""

    def __init__(self, files: Files, places: Places, has_had: Callable[[str, str], bool]) -> None:
        self._files: Final = files
        self._has_had: Final = has_had
        """Whether the log has a unit's file of a digest."""
        self._places: Final = places
        self.recent: Final = Recent(files)
        self._units: Final[dict[str, Due]] = {}
        self.units: Final[Mapping[str, Due]] = self._units
        """By unit. Read without a lock: one entry at a time, and they are replaced whole."""
        self._first: Final[list[tuple[int, str]]] = []
        """A heap of units by their first commits that may not be in their files; of what is due no
        more as well, until it comes to the top."""
        self._above: Final[Counter[str]] = Counter()
        """How many units are due below a directory."""
        self._unsure: Final[set[Due]] = set()
        """Those whose commits may not be on the disk yet."""
        self.entering = 0
        """The commit of which not all may be in ``units`` yet; 0 for none. Set before it is in the
        log."""
        self.dirty: Final[dict[str, None]] = {}
        """The files and folders that were changed and not synced since."""
        self.is_others = False
        """Whether commits of others are among it, whose records may not be on the disk yet."""

    def shown(self, unit: str) -> Due | None:
        """What is due of a unit, as far as it is on the disk."""
        due = self.units.get(unit)
        while due is not None and not due.is_durable:
            due = due.before
        return due

    def first_unshown(self) -> int | None:
        """The first commit that is not shown, as it may not be on the disk; None for none."""
        entering = self.entering  # first, as it gets there from here
        numbers = [due.number for due in list(self._unsure)]
        return min([*numbers, entering] if entering else numbers, default=None)

    def first(self) -> int | None:
        """The first commit that may not be in its files; None where nothing is due."""
        while self._first:
            since, unit = self._first[0]
            due = self._units.get(unit)
            if due is not None and due.since == since:
                return since
            heappop(self._first)
        return None

    def has_below(self, path: str) -> bool:
        """Whether something in or below a directory is due, be it on the disk or not."""
        return self._above[path] > 0

    def is_above(self, path: str) -> bool:
        """Whether a directory is due to be there, as something in or below it is."""
        if not self._above[path]:
            return False
        below = path + "/"
        shown = ((unit, self.shown(unit)) for unit in list(self._units))
        return any(
            due is not None and due.new is not MISSING and unit.startswith(below)
            for unit, due in shown
        )

    def prepare(self, dues: Sequence[Due], made: list[str]) -> None:
        """Write what may fail, before there is a commit that must not: folders, temporary files.

        Folders that were made are added to ``made``. Raises BackingError, also where two files
        would be one on this disk; ``undo`` removes what was written.
        """
        folded: dict[str, str] = {}
        for due in dues:
            if due.new is MISSING:
                self._require_removable(due)
            earlier = self._units.get(due.place.pointer)
            if earlier is not None and earlier.ready is not None:
                earlier.ready = None
                self._files.unlink(earlier.temporary)
            if due.new is MISSING or due.data is None or due.is_same:
                continue
            if len(dues) > 1:
                self._require_apart(due.target, folded)
            self._write(due, made)

    def undo(self, dues: Iterable[Due], made: list[str], error: BaseException) -> None:
        """Remove what ``prepare`` wrote; what cannot be removed is noted on ``error``.

        Under the names that it did not get to, others may have left what is not to be thrown away.
        """
        written = (due.temporary for due in dues if due.ready is not None)
        steps = [(self._files.unlink, path) for path in written]
        steps += [(self._files.remove_folder, folder) for folder in reversed(made)]
        for step, path in steps:
            try:
                step(path)
            except BackingError as failure:
                error.add_note(str(failure))

    def add(self, due: Due, number: int, position: Position) -> None:
        """Have a unit be due, as commit ``number`` made it so; it is not on the disk yet."""
        due.number = due.since = due.stamp.number = number
        due.position = position
        due.before = self._units.get(due.place.pointer)
        if due.before is not None:
            due.since = due.before.since
        self.take(due)
        self._unsure.add(due)

    def take(self, due: Due) -> None:
        """Have a unit be due, instead of what it was due to be if it was."""
        unit = due.place.pointer
        before = self._units.get(unit)
        self._units[unit] = due
        if before is None:
            self._above.update(aboves(unit))
        if before is None or before.since != due.since:
            heappush(self._first, (due.since, unit))

    def _let_go(self, unit: str) -> Due:
        due = self._units.pop(unit)
        for path in aboves(unit):
            if self._above[path] > 1:
                self._above[path] -= 1
            else:  # or paths that come and go would add up
                self._above.pop(path, None)
        return due

    def start_anew(self) -> None:
        """Have nothing be due: whoever was at it was interrupted, and the log knows better.

        Raises BackingError where a temporary file cannot be removed.
        """
        dues = list(self._units.values())
        self.forget()
        for due in dues:
            if due.content is not None or due.new is not MISSING:
                self._clear(due)

    def forget(self) -> None:
        """Have nothing be due here."""
        self._units.clear()
        self._above.clear()
        self._first.clear()
        self._unsure.clear()
        self.entering = 0

    def confirm(self, due: Due) -> None:
        """The commit is on the disk."""
        due.is_durable, due.position, due.before = True, None, None
        self._unsure.discard(due)

    def confirm_all(self) -> None:
        """Take all for what others have committed: whoever made it waits for the disk elsewhere."""
        self.is_others = self.is_others or bool(self._unsure)
        for due in list(self._unsure):
            self.confirm(due)

    def confirm_others(self, is_synced: Callable[[Position], bool]) -> None:
        """The same for the commits of other threads, as far as they are."""
        for due in list(self._unsure):
            position = due.position  # its thread may confirm it just now
            if position is not None and is_synced(position):
                self.confirm(due)

    def cancel(self, due: Due) -> None:
        """The commit may not be on the disk, and never be told of."""
        unit = due.place.pointer
        self._unsure.discard(due)
        if self._units.get(unit) is due:
            if due.before is None:
                self._let_go(unit)
            else:
                self.take(due.before)

    def supersede(self, unit: str) -> None:
        """Others have committed the unit since, and write its file. Raises BackingError."""
        due = self._let_go(unit)
        if self._is_ready(due):
            self._files.unlink(due.temporary)

    def drop(self, due: Due) -> None:
        """A unit's file is what it is due to be already. Raises BackingError."""
        self._clear(due)
        self.touch(due.target)
        self._let_go(due.place.pointer)

    def put(self, due: Due) -> None:
        """Make a unit's file what it is due to be, and the unit due no more.

        Raises EditedError and BackingError; then it is as before.
        """
        unit, written = due.place.pointer, None
        if due.new is MISSING:
            self._remove(due)
        elif due.is_same:
            self._clear(due)
        else:
            written = self._make(due) if due.content is None else self._replace(due)
        found = self.note(due.stamp, due.path)
        if written is not None and found is not None:
            self._note_written(due, found, written)
        self.touch(due.target)
        if self._units.get(unit) is due:
            self._let_go(unit)
        if due.new is MISSING:
            self._remove_empty_folders(unit)

    def note(self, stamp: Stamp, path: str) -> os.stat_result | None:
        """A file is what a stamp says. It is young: only its bytes tell it for now."""
        found = self._files.lstat(path)
        stamp.likely = None if found is None else signature(found)
        return found

    def _note_written(self, due: Due, found: os.stat_result, written: Signature) -> None:
        """A file was written: if nobody has edited it since, nor can without a trace, what is in it
        is known for as long as it looks so."""
        if signature(found)[:3] != written[:3] or due.data is None:
            return
        if learned(self._files, found, due.path.rpartition("/")[0]):
            due.stamp.signature = due.stamp.likely
            now = time.time_ns()
            self.recent.keep(Content(due.path, due.target, due.data, found, now))

    def touch(self, path: str) -> None:
        """A file was changed, and must be synced at the next checkpoint, under any durability, with
        the folders on the way to it.

        One of those may be new, or the last one left of those that were removed.
        """
        self.dirty[path] = None
        while path.startswith(self._files.below):
            path = path.rpartition("/")[0]
            self.dirty[path] = None

    def _require_removable(self, due: Due) -> None:
        """Raise BackingError where the file that is to go cannot."""
        folder = due.path.rpartition("/")[0]
        if due.content is None or self._files.may_write(folder):
            return
        if self._files.exists(folder):  # or another process has removed it with the file
            number, why = errno.EACCES, "its folder is read-only"
            if self._files.is_readonly_medium(folder):
                number, why = errno.EROFS, "Read-only file system"
            reason = f"cannot remove {self._files.relative(due.path)}: {why}"
            raise BackingError(number, reason, due.path)

    def _require_apart(self, target: str, folded: dict[str, str]) -> None:
        """Raise KeyNameError where the disk takes a file, or a folder on the way to it, for one of
        those ``folded`` that differs in case; else it is one of them."""
        path = target
        while path.startswith(self._files.below):
            known = len(folded)
            other = folded.setdefault(path.casefold(), path)
            if path != other and self._is_one(path, other, is_file=path is target):
                one, two = self._files.relative(other), self._files.relative(path)
                raise KeyNameError(f"{one} and {two} would be one on this disk")
            if path == other and len(folded) == known:
                break  # and so are the folders that it is in
            path = path.rpartition("/")[0]

    def _is_one(self, path: str, other: str, *, is_file: bool) -> bool:
        paths = map(names.temporary_path, (path, other)) if is_file else (path, other)
        found, first = map(self._files.lstat, paths)
        return found is not None and first is not None and os.path.samestat(found, first)

    def _write(self, due: Due, made: list[str]) -> None:
        target = due.target
        like = None if due.content is None else due.content.status
        if due.content is None:
            self._files.make_folders(os.path.dirname(target), made)
        data = due.render(self._files.relative(due.path))
        due.stamp.digest = due.stamp.digest or digest(data)
        if self._files.exists(due.temporary):
            self._rescue(due, due.temporary)
        try:
            self._files.write(due.temporary, data, target, like, sync=False)
            due.ready = self._temporary(due)
        except BaseException:
            with removed_on_error(self._files, due.temporary):  # here, as entering it takes time
                raise

    def _clear(self, due: Due) -> None:
        """Leave nothing under the temporary name, which the file needs no more."""
        self._rescue(due, due.temporary)
        self._files.unlink(due.temporary)

    def _rescue(self, due: Due, path: str) -> None:
        """Keep what a process has left under a temporary name, unless the log has it.

        One that died amid a swap may have taken out an edit that somebody made at that moment.
        """
        found = self._files.read(path, MAX_FILE_SIZE)
        if found is None or not found.data:
            return
        known = (due.data, None if due.content is None else due.content.data)
        if found.data not in known and not self._has_had(due.place.pointer, digest(found.data)):
            lostfound.keep(self._files, due.target, found.data)

    def _temporary(self, due: Due) -> Signature | None:
        found = self._files.lstat(due.temporary)
        return None if found is None else signature(found)

    def _is_ready(self, due: Due) -> bool:
        return due.ready is not None and due.ready == self._temporary(due)

    def _make(self, due: Due) -> Signature | None:
        """Make a file that is not there; what it looked like under its temporary name."""
        if not self._is_ready(due):
            made: list[str] = []
            self._write(due, made)
            for folder in made:
                self.touch(os.path.dirname(folder))
        if not self._files.place(due.temporary, due.target):
            raise EditedError
        return due.ready

    def _replace(self, due: Due) -> Signature | None:
        """Put a file in the place of the one that is there; returns as above."""
        # What has been written already must not be once more: a checkpoint may rest on it.
        self._require_unedited(due.target, due.content, sure=False)
        if not self._is_ready(due):
            self._write(due, [])
        target, temporary = due.target, due.temporary
        written, due.ready = due.ready, None
        try:
            if not self._files.exchange(temporary, target):
                self._require_unedited(target, due.content)
                self._files.rename(temporary, target)
                return written
        except BackingError as error:
            if error.errno == errno.ENOENT:
                raise EditedError from error
            raise
        try:
            self._require_unedited(temporary, due.content)
        except EditedError:
            self._files.exchange(temporary, target)
            self._clear(due)
            raise
        self._files.unlink(temporary)
        return written

    def _remove(self, due: Due) -> None:
        content, temporary = due.content, due.temporary
        if content is not None and due.path != content.target:
            # The key goes, not the file that its link leads to.
            self._files.unlink(due.path)
            return
        self._clear(due)
        if content is None:
            found = self._files.lstat(due.path)
            if found is not None and not stat.S_ISDIR(found.st_mode):
                raise EditedError  # or another process has written what was due before
            return
        try:
            self._files.rename(due.path, temporary)
        except BackingError as error:
            if error.errno == errno.ENOENT:
                return
            raise
        try:
            self._require_unedited(temporary, content)
        except EditedError:
            self._files.place(temporary, due.path)
            raise
        self._files.unlink(temporary)

    def _require_unedited(self, path: str, content: Content | None, *, sure: bool = True) -> None:
        """Raise EditedError if a file is not the one that was read.

        ``sure``, its bytes tell where it was read so soon after a change that its looks do not.
        """
        found = self._files.lstat(path)
        if found is not None and content is not None:
            known = content.status
            is_alike = signature(found)[:3] == signature(known)[:3]  # a rename gives a new ctime
            if is_alike and not (sure and settled(known, content.read_at) is None):
                return
            there = self._files.read(path, known.st_size)
            # What is longer, or no file, is read as nothing: which may be what was known of it.
            if there is not None and there.data == content.data and _is_as_long(there, known):
                return
        raise EditedError

    def _remove_empty_folders(self, unit: str) -> None:
        """Remove the folders that a deletion left empty, unless the layout names them."""
        while unit := unit.rpartition("/")[0]:
            try:
                place = self._places.at(unit)
            except (KeyNameError, KeyNotFoundError):
                break  # it was committed by another layout
            if place.declared or place.folder is None or not self._removed(place.folder):
                break

    def _removed(self, folder: str) -> bool:
        # Asking rmdir is the only way to ask and act at once. Whatever it says against it (not
        # empty, a link, somebody's mount) is a reason to leave the folder where it is.
        try:
            self._files.remove_folder(folder)
        except (BackingError, LayoutError):
            return False
        return True


def _is_as_long(there: Snapshot, known: os.stat_result) -> bool:
    return stat.S_ISREG(there.before.st_mode) and there.before.st_size == known.st_size
