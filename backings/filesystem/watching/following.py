"""Following: which files and folders a store has, so that what came and what went can be told.

Events name what happened in a folder that is known. Of a folder that comes or goes with all that is
in it there is one event, or none; and where events were lost, only a look at everything helps.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..addresses import Addresses
from ..io import Entry, Files

SLACK_NS: Final = 5_000_000_000
"""How far the clock of a file system may be behind the machine's, as on FAT or over a network."""


class Sight(NamedTuple):
    """What was seen below a folder: paths of files."""

    changed: set[str]
    """Those that may have changed; also those that are gone."""
    there: set[str]
    before: set[str]
    """Those that were there when it was last looked at."""


class _Known(NamedTuple):
    """A folder as it was when it was last looked at."""

    identity: tuple[int, int] | None
    """Its device and inode; None where that is not known."""
    names: set[str]


class Following:
    """The names in the folders of a store. Used by one thread at a time."""

    def __init__(
        self,
        files: Files,
        addresses: Addresses,
        watch: Callable[[str], bool],
        forget: Callable[[str], None],
    ) -> None:
        self._files: Final = files
        self._addresses: Final = addresses
        self._watch: Final = watch
        self._forget: Final = forget
        self._known: Final[dict[str, _Known]] = {}

    def is_known(self, folder: str) -> bool:
        """Whether a folder was there when it was last looked at."""
        return folder in self._known

    def paths(self) -> set[str]:
        """The files that were there when they were last looked at."""
        return {path for folder in self._known for path in self._paths(folder)}

    def note(self, path: str) -> bool:
        """Keep in mind whether a file is there; whether it was before."""
        folder, name = os.path.split(path)
        names = self._known.setdefault(folder, _Known(None, set())).names
        was_there = name in names
        if self._files.exists(path):
            names.add(name)
        else:
            names.discard(name)
        return was_there

    def look_again(self, folder: str) -> Sight:
        """What is below a folder, all of which may have changed, as all that was before."""
        before, now = self._update(folder)
        return Sight(before | now, now, before)

    def look_for_changes(self, since: int) -> Sight:
        """What is there, and of it what came, went or changed since a time (``time.time_ns``).

        By ctime, which no program can set. Files that were moved along with a folder keep theirs:
        they are told as the folder at its name is another one.
        """
        were = {folder: known.identity for folder, known in self._known.items()}
        before, now = self._update(self._files.root)
        others = {f for f, known in self._known.items() if were.get(f) != known.identity}
        start, changed = since - SLACK_NS, set[str]()
        for path in before & now:
            if os.path.dirname(path) in others or self._changed(path, start):
                changed.add(path)
        return Sight((before ^ now) | changed, now, before)

    def _changed(self, path: str, since: int) -> bool:
        found = self._files.lstat(path)
        return found is None or found.st_ctime_ns >= since

    def _update(self, top: str) -> tuple[set[str], set[str]]:
        """Look at everything below a folder: the files that were known, and those there now.

        Where that fails, nothing of it is noted: who looks again is told all of it.
        """
        before = {f for f in self._known if f == top or f.startswith(top + "/")}
        known = {path for folder in before for path in self._paths(folder)}
        there = dict(self._walk(top))
        self._known.update(there)
        for folder in before - there.keys():
            del self._known[folder]
            self._forget(folder)
        return known, {path for folder in there for path in self._paths(folder)}

    def _walk(self, top: str) -> Iterator[tuple[str, _Known]]:
        """Every folder there is; what happens in it is told from before it is listed."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            if self._addresses.folder(folder) is None or not self._watch(folder):
                continue
            found = self._files.lstat(folder)
            identity = None if found is None else (found.st_dev, found.st_ino)
            entries = self._files.entries(folder)
            waiting += [f"{folder}/{entry.name}" for entry in entries if entry.is_folder]
            yield folder, _Known(identity, {e.name for e in entries if self._is_unit(folder, e)})

    def _is_unit(self, folder: str, entry: Entry) -> bool:
        return entry.is_file and self._addresses.unit(f"{folder}/{entry.name}") is not None

    def _paths(self, folder: str) -> Iterator[str]:
        return (f"{folder}/{name}" for name in self._known[folder].names)
