"""What was edited while nobody watched, as far as the log and the times of files tell."""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterator
from typing import Final

from objstore.errors import BackingError

from .addresses import Addresses
from .history.ledger import Ledger
from .history.record import NO_FILE
from .io import Files
from .log.logfile import written_at
from .stamps import digest
from .tree import MAX_FILE_SIZE
from .watching.bursts import Kind
from .watching.following import SLACK_NS


class Missed:
    """Looks for edits since somebody last wrote to the log. What was edited before that, and
    nobody met, is not found: it would take a look into every file."""

    def __init__(self, files: Files, ledger: Ledger) -> None:
        self._files: Final = files
        self._ledger: Final = ledger
        self._written: Final = written_at(files)

    def edits(self, addresses: Addresses, there: Collection[str]) -> Iterator[tuple[str, Kind]]:
        """Files that seem edited, of those that are there, and those that are gone."""
        if self._written is None:
            return  # without a log, nothing is known of any
        units: set[str] = set()
        moved: dict[str, bool] = {self._files.root: False}
        for path in there:
            unit = addresses.unit(path)
            if unit is not None:
                units.add(unit)
                is_moved = self._is_moved(os.path.dirname(path), moved, self._written)
                if self._is_edited(unit, path, self._written, is_moved=is_moved):
                    yield path, Kind.WHOLE
        for unit in self._ledger.units():
            head = self._ledger.head(unit)
            if unit not in units and head is not None and head.file and head.after != NO_FILE:
                yield os.path.join(self._files.root, head.file), Kind.GONE

    def _is_moved(self, folder: str, known: dict[str, bool], written: int) -> bool:
        """Whether a folder came to where it is since, with all that was in it, which changes the
        times of none of that; or one that it is in did."""
        if folder not in known:
            found = self._files.lstat(folder)
            is_itself = found is not None and _is_moved(found, written)
            above = os.path.dirname(folder)
            known[folder] = is_itself or self._is_moved(above, known, written)
        return known[folder]

    def _is_edited(self, unit: str, path: str, written: int, *, is_moved: bool) -> bool:
        # By ctime, which no program can set.
        found = self._files.lstat(path)
        if found is None or (found.st_ctime_ns < written - SLACK_NS and not is_moved):
            return False
        head = self._ledger.head(unit)
        if head is None:
            # It may have been there before the log, and a folder it is in be new.
            return found.st_mtime_ns > written
        if head.after is None:
            return True
        try:
            read = self._files.read(path, MAX_FILE_SIZE)
        except BackingError:
            return True  # whoever looks at it next says why
        return read is None or digest(read.data) != head.after


def _is_moved(folder: os.stat_result, written: int) -> bool:
    # What comes and goes in a folder changes both of its times.
    changed = folder.st_ctime_ns
    return changed >= written - SLACK_NS and changed != folder.st_mtime_ns
