"""The plan of a commit: its changes checked against the files, and turned into bytes.

A plan changes nothing. It is made under the writer's lock.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from objstore.documents import Change, Commit
from objstore.errors import ConflictError, LayoutError
from objstore.pointer import aboves, join
from objstore.values import JSON, MISSING, Missing, same

from .contents import is_json, parse, render
from .history.record import NO_FILE, Said
from .io import Entry, Files, signature
from .listing import key_of
from .pending import Due, Pending
from .places import Place, Places
from .stamps import Stamp, digest
from .tree import Content, Tree


class Step(NamedTuple):
    """One change of a plan."""

    change: Change
    due: Due
    before: str | None
    """The digest of the file before; NO_FILE for none, None where it is yet to be written."""
    known: int
    """The commit that the contents before are known to be of; 0 where that is to be found out."""
    text: Callable[[], bytes | None]
    """The file before; None for none."""


def commit_of(number: int, said: Said, steps: Sequence[Step]) -> Commit:
    """The commit that these steps are."""
    # Not by _replace, which takes as long as ten calls.
    changes = tuple(
        [
            Change(unit, old, new, None if new is MISSING else step.due.stamp)
            for step in steps
            for unit, old, new, _ in (step.change,)
        ]
    )
    return Commit(number, said.time, said.meta, None, changes, tx=said.tx)


class Planner:
    """Makes the plans of one store."""

    def __init__(
        self, files: Files, places: Places, tree: Tree, pending: Pending, *, lazy: bool
    ) -> None:
        self._files: Final = files
        self._places: Final = places
        self._tree: Final = tree
        self._pending: Final[Mapping[str, Due]] = pending.units
        self._has_below: Final = pending.has_below
        self._recent: Final = pending.recent
        self._lazy: Final = lazy
        self._inside: Final[set[str]] = set()
        """The folders in which this plan has found files so far: a look at each is enough."""

    def plan(self, changes: Sequence[Change]) -> list[Step]:
        """What to do to make these changes.

        Raises ConflictError where a file is not what a change's stamp says, FormatError,
        KeyNameError, KeyNotFoundError, LayoutError and OutsideError.
        """
        self._inside.clear()
        steps = [self._step(change) for change in changes]
        if len(steps) > 1:
            self._check_together(steps)
        return steps

    def require(self, unit: str, stamp: Stamp | None) -> None:
        """Raise ConflictError where a unit is no longer what a stamp says."""
        due = self._pending.get(unit)
        if due is not None:
            self._check_due(Change(unit, MISSING, MISSING, stamp), due)
        else:
            content = self._file(unit)
            if not self._is_version(stamp, content):
                raise self._conflict(Change(unit, MISSING, MISSING, stamp), content)

    def is_linked(self, due: Due) -> bool:
        """Whether a link leads to the file of a step."""
        return self._tree.is_linked(due.place, due.path, due.target)

    def is_found_by_link(self, unit: str) -> bool:
        """Whether one leads to the file that a unit has now."""
        found = self._file(unit)
        if found is None:
            return False
        return self._tree.is_linked(self._places.at(unit), found.path, found.target)

    def _file(self, unit: str) -> Content | None:
        """The unit's file; None where nothing or a directory is."""
        try:
            return self._tree.content(self._places.at(unit))
        except LayoutError:
            return None

    def _step(self, change: Change) -> Step:
        due = self._pending.get(change.unit)
        if due is not None:
            return self._step_from(change, due)
        place = self._places.at(change.unit)
        stamp: Stamp | None = change.stamp
        # Where a file was read it is replaced; whether another has come beside it, as ada.yaml
        # beside ada.json, is asked before this handle changes it for the first time, and later for
        # a listing to find.
        if stamp is not None and place.has_file(stamp.path):
            content = self._content_at(stamp.path)
        else:
            content = self._tree.content(place)
        is_version = self._is_version(change.stamp, content)
        if not is_version and not self._says_the_same(change, content):
            raise self._conflict(change, content)
        if content is None:
            path = self._new_file(change, place)
        else:
            path = content.path
            if stamp is None or not stamp.number:
                self._tree.check_alone(path, place)
        data = self._render(change, path, content)
        made = Due(place, path, content, change.old, change.new, data, self._stamp(path, data))
        if stamp is None or content is None:
            return Step(change, made, NO_FILE, 0, lambda: None)
        if not is_version or stamp.digest is None:
            stamp.digest = digest(content.data)
        before = stamp.digest
        return Step(change, made, before, stamp.number, lambda: content.data)

    def _content_at(self, path: str) -> Content | None:
        content = self._recent.find(path)
        if content is None:
            return self._tree.content_at(path)
        folder = path.rpartition("/")[0]
        if folder not in self._inside:
            self._tree.check_inside(folder)
            self._inside.add(folder)
        return content

    def _step_from(self, change: Change, due: Due) -> Step:
        """The step from a commit whose file is yet to be written."""
        self._check_due(change, due)
        data = None
        if change.new is not MISSING and not self._may_wait(due.path):
            source = self._files.relative(due.path)
            if due.new is MISSING:
                data = render(None, None, change.new, source)
            else:
                data = render(due.render(source), due.new, change.new, source)
        stamp = self._stamp(due.path, data)
        made = Due(due.place, due.path, due.content, due.old, change.new, data, stamp)
        if due.new is MISSING:
            return Step(change, made, NO_FILE, due.number, lambda: None)
        image = partial(self._rendered, due)
        return Step(change, made, due.stamp.digest, due.number, image)

    def _rendered(self, due: Due) -> bytes:
        return due.render(self._files.relative(due.path))

    def _check_due(self, change: Change, due: Due) -> None:
        stamp = None if due.new is MISSING else due.stamp
        if change.stamp is not stamp and not self._is_read_through(change.stamp, due):
            source = self._files.relative(due.path)
            raise self._changed(change, source, due.new)

    def _is_read_through(self, stamp: Stamp | None, due: Due) -> bool:
        """Whether a stamp is of the same commit, from when the file was read through the log."""
        return stamp is not None and due.new is not MISSING and stamp.through == due.number

    def _stamp(self, path: str, data: bytes | None) -> Stamp:
        return Stamp(path, None if data is None else digest(data), None)

    def _says_the_same(self, change: Change, content: Content | None) -> bool:
        """Whether a file that is another than the one that was read holds the same: it may have
        been touched or reformatted, or the stamp be of one that was not read."""
        if change.stamp is None or content is None:
            return False
        return same(parse(content.data, self._files.relative(content.path)), change.old)

    def _is_version(self, stamp: Stamp | None, content: Content | None) -> bool:
        if stamp is None or content is None:
            return stamp is None and content is None
        if stamp.through or (stamp.likely is None and stamp.digest is None):
            return False  # nobody has read what is in the file now
        if stamp.signature == signature(content.status):
            return True
        return stamp.digest is not None and stamp.digest == digest(content.data)

    def _conflict(self, change: Change, content: Content | None) -> ConflictError:
        if content is None:
            return self._changed(change, change.unit, MISSING)
        source = self._files.relative(content.path)
        return self._changed(change, source, parse(content.data, source))

    def _changed(self, change: Change, source: str, theirs: JSON | Missing) -> ConflictError:
        happened = "deleted" if theirs is MISSING else "changed"
        if change.stamp is None and theirs is not MISSING:
            happened = "made"
        return ConflictError(
            f"{source} was {happened} by somebody else since it was read",
            pointer=change.unit,
            base=change.old,
            ours=change.new,
            theirs=theirs,
        )

    def _new_file(self, change: Change, place: Place) -> str:
        path = place.files[0]
        if change.new is MISSING:
            return path
        if self._files.lstat(place.parent) is None:
            self._check_folders(change.unit)
        if self._is_due(change.unit, path, as_folder=True):
            reason = f"{self._files.relative(path)} is to be a directory where a file should be"
            raise LayoutError(errno.EISDIR, reason, path)
        return self._tree.target(path)

    def _check_folders(self, unit: str) -> None:
        """Raise LayoutError where a folder to be made for the unit is a file's key, or has the name
        of a file that is due."""
        for above in aboves(unit):
            place = self._places.at(above)
            found = self._tree.find(place)
            if found is not None and not found.is_folder:
                reason = f"{self._files.relative(found.path)} is a file where a directory should be"
                raise LayoutError(errno.ENOTDIR, reason, found.path)
            path = place.folder
            if found is None and path is not None and self._is_due(above, path, as_folder=False):
                reason = f"{self._files.relative(path)} is to be a file where a directory should be"
                raise LayoutError(errno.ENOTDIR, reason, path)

    def _is_due(self, unit: str, path: str, *, as_folder: bool) -> bool:
        """Whether a unit's path is to be another key's, ``as_folder`` or as a file: ``dir.json`` is
        the file of the key ``dir``, and the folder of the key ``dir.json``."""
        if not self._pending:
            return False
        above, _, _ = unit.rpartition("/")
        layout, declared = self._places.at(above).layout, self._places.declared(above)
        name = path.rpartition("/")[2]
        key = key_of(Entry(name, not as_folder, as_folder), layout, declared)
        if key is None:
            return False
        other = join(above, key)
        return self._has_below(other) if as_folder else other in self._pending

    def _render(self, change: Change, path: str, content: Content | None) -> bytes | None:
        if change.new is MISSING or (content is not None and self._may_wait(path)):
            return None
        source = self._files.relative(path)
        if content is None:
            return render(None, None, change.new, source)
        if change.new is change.old:
            return content.data
        old = parse(content.data, source) if change.old is MISSING else change.old
        return render(content.data, old, change.new, source)

    def _may_wait(self, path: str) -> bool:
        """Whether a file's bytes may be made after the commit, as no contents can fail to fit."""
        return self._lazy and is_json(path)

    def _check_together(self, steps: Sequence[Step]) -> None:
        """Raise LayoutError where two changes do not go together."""
        made = {step.change.unit for step in steps if step.due.content is None}
        targets: dict[str, str] = {}
        for step in steps:
            due = step.due
            touched = due.path if due.new is MISSING else due.target
            other = targets.setdefault(touched, due.path)
            if other != due.path:
                one, two = self._files.relative(other), self._files.relative(due.path)
                raise LayoutError(errno.EEXIST, f"{one} and {two} are one file", due.path)
            for above in aboves(step.change.unit) if made else ():
                if above in made and due.new is not MISSING:
                    reason = f"{above} cannot be a file and the directory of {step.change.unit}"
                    raise LayoutError(errno.EEXIST, reason, due.path)
        new = [one.due for one in steps if one.change.unit in made]
        self._check_names({due.target: due for due in new if due.new is not MISSING})

    def _check_names(self, new: Mapping[str, Due]) -> None:
        """Raise LayoutError where a new file would have the name of another one's folder."""
        for target, due in new.items():
            folder = target.rpartition("/")[0]
            while folder.startswith(self._files.below):
                if folder in new:
                    one, two = self._files.relative(folder), self._files.relative(due.path)
                    reason = f"{one} cannot be a file and the directory of {two}"
                    raise LayoutError(errno.EEXIST, reason, due.path)
                folder = folder.rpartition("/")[0]
