"""The plan of a commit: its changes checked against the files, and turned into bytes.

A plan changes nothing. It is made, and carried out, under the writer's lock.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from objstore.documents import Change
from objstore.errors import ConflictError, LayoutError
from objstore.values import JSON, MISSING, Missing, same

from .contents import parse, render
from .io import Files, signature
from .places import Place, Places
from .stamps import Stamp, digest
from .swap import Replacement
from .tree import Content, Tree


class Step(NamedTuple):
    """One change of a plan."""

    change: Change
    place: Place
    path: str
    content: Content | None
    """The file as it is; None where nothing is."""
    target: str
    """The file that is written: another than ``path`` where a link lies there."""
    new: bytes | None
    """Its bytes as they will be; None where nothing will be."""


class Planner:
    """Makes the plans of one store."""

    def __init__(self, files: Files, places: Places, tree: Tree) -> None:
        self._files: Final = files
        self._places: Final = places
        self._tree: Final = tree

    def plan(self, changes: Sequence[Change]) -> list[Step]:
        """What to do to make these changes.

        Raises ConflictError where a file is not what a change's stamp says, FormatError,
        KeyNameError, KeyNotFoundError, LayoutError and OutsideError.
        """
        steps = [self._step(change) for change in changes]
        if len(steps) > 1:
            self._check_together(steps)
        return steps

    def replacements(self, steps: Sequence[Step]) -> Iterator[Replacement]:
        """The files to be written and removed; files whose bytes stay the same are not."""
        for step in steps:
            content = step.content
            old = None if content is None else content.data
            if step.new == old:
                continue
            like = None if content is None else content.status
            if step.new is None and step.path != step.target:
                # The key goes, not the file that its link leads to.
                link = self._files.read_link(step.path)
                yield Replacement(step.path, old, None, like, link)
            else:
                yield Replacement(step.target, old, step.new, like)

    def _step(self, change: Change) -> Step:
        place = self._places.at(change.unit)
        stamp: Stamp | None = change.stamp
        # Where a file was read it is replaced; whether another has come beside it, as ada.yaml
        # beside ada.json, is for the next look to find.
        if stamp is not None and stamp.path in place.files:
            content = self._tree.content_at(stamp.path)
        else:
            content = self._tree.content(place)
        if not self._is_as_read(change, content):
            raise self._conflict(change, content)
        if content is None:
            path, target = self._new_file(change, place)
        else:
            path, target = content.path, content.target
            self._tree.check_alone(path, place)
        return Step(change, place, path, content, target, self._render(change, path, content))

    def _is_as_read(self, change: Change, content: Content | None) -> bool:
        stamp: Stamp | None = change.stamp
        if stamp is None or content is None:
            return stamp is None and content is None
        if stamp.likely is not None:  # the contents were read, not just looked at
            if stamp.signature == signature(content.status):
                return True
            if stamp.digest is not None:
                return stamp.digest == digest(content.data)
        return self._is(change, content)

    def _is(self, change: Change, content: Content) -> bool:
        return same(parse(content.data, self._files.relative(content.path)), change.old)

    def _conflict(self, change: Change, content: Content | None) -> ConflictError:
        theirs: JSON | Missing = MISSING
        source, happened = change.unit, "deleted"
        if content is not None:
            source = self._files.relative(content.path)
            theirs = parse(content.data, source)
            happened = "made" if change.stamp is None else "changed"
        return ConflictError(
            f"{source} was {happened} by somebody else since it was read",
            pointer=change.unit,
            base=change.old,
            ours=change.new,
            theirs=theirs,
        )

    def _new_file(self, change: Change, place: Place) -> tuple[str, str]:
        path = place.files[0]
        if change.new is MISSING:
            return path, path
        if self._files.lstat(place.parent) is None:
            self._check_folders(change.unit)
        return path, self._tree.target(path)

    def _check_folders(self, unit: str) -> None:
        """Raise LayoutError where a folder to be made for the unit is a file's key."""
        for above in _above(unit):
            found = self._tree.find(self._places.at(above))
            if found is not None and not found.is_folder:
                reason = f"{self._files.relative(found.path)} is a file where a directory should be"
                raise LayoutError(errno.ENOTDIR, reason, found.path)

    def _render(self, change: Change, path: str, content: Content | None) -> bytes | None:
        if change.new is MISSING:
            return None
        source = self._files.relative(path)
        if content is None:
            return render(None, None, change.new, source)
        if change.new is change.old:
            return content.data
        old = parse(content.data, source) if change.old is MISSING else change.old
        return render(content.data, old, change.new, source)

    def _check_together(self, steps: Sequence[Step]) -> None:
        """Raise LayoutError where two changes do not go together."""
        made = {step.change.unit for step in steps if step.content is None}
        targets: dict[str, str] = {}
        for step in steps:
            touched = step.path if step.new is None else step.target
            other = targets.setdefault(touched, step.path)
            if other != step.path:
                one, two = self._files.relative(other), self._files.relative(step.path)
                raise LayoutError(errno.EEXIST, f"{one} and {two} are one file", step.path)
            for above in _above(step.change.unit):
                if above in made and step.new is not None:
                    reason = f"{above} cannot be a file and the directory of {step.change.unit}"
                    raise LayoutError(errno.EEXIST, reason, step.path)


def _above(unit: str) -> Iterator[str]:
    while unit := unit.rpartition("/")[0]:
        yield unit
