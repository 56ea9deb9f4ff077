"""Disks that do not tell upper from lower case (macOS, casefolded ext4).

There ``ada.json`` finds the file of the key ``Ada``. As keys are told apart by every letter, a file
counts for a key only where its folder lists it under exactly the key's name.
"""

from __future__ import annotations

import os.path
import stat
import time

from . import names
from .io import Files, Signature
from .stamps import settled

# The folders of stores, with their devices, that were found to tell cases apart: a program that
# opens a store again and again need not try each time.
_exact_disks: set[tuple[str, int]] = set()


class Spelling:
    """Whether files are spelled on the disk as asked for. Safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files = files
        # None until a file or folder was there to be tried. Each thread that tries finds the same.
        self._exact: bool | None = None
        # By folder. Written and read as a whole, hence without a lock.
        self._listings: dict[str, tuple[Signature | None, frozenset[str]]] = {}

    def holds(self, path: str, found: os.stat_result) -> bool:
        """Whether ``found``, which is what the disk answers for ``path``, is spelled like it."""
        if self._exact is None:
            self._exact = self._tried(path, found)
        return self._exact is not False or self._listed(path)

    def clash(self, path: str) -> str | None:
        """The path that the disk has, in another spelling, on the way to ``path``; None if none."""
        if self._exact is None:
            self._try_near(path)
        if self._exact is not False:
            return None
        while len(path) > len(self._files.root):
            folder, name = os.path.split(path)
            listed = self._names(folder)
            if name not in listed and self._files.lstat(path) is not None:
                there = [one for one in listed if one.casefold() == name.casefold()]
                return self._files.relative(os.path.join(folder, *there[:1] or [name]))
            path = folder
        return None

    def _try_near(self, path: str) -> None:
        """Try what there is on the way to a path, the nearest first."""
        while self._exact is None and len(path) > len(self._files.root):
            found = self._files.lstat(path)
            if found is not None:
                self._exact = self._tried(path, found)
            path = os.path.dirname(path)

    def _tried(self, path: str, found: os.stat_result) -> bool | None:
        is_either = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        if not is_either or path == self._files.root:  # which may be a disk's own, in another's
            return None
        disk = (self._files.root, found.st_dev)
        if disk in _exact_disks:
            return True
        exact = self._try(path, found)
        if exact:
            _exact_disks.add(disk)
        return exact

    def _try(self, path: str, found: os.stat_result) -> bool | None:
        folder, name = os.path.split(path)
        swapped = names.other_case(name)
        if swapped == name:
            return None
        other = self._files.lstat(os.path.join(folder, swapped))
        if other is None or not os.path.samestat(found, other):
            return True
        # One file by two names: either the disk, or a hard link that is listed as well.
        return {name, swapped} <= self._names(folder)

    def _listed(self, path: str) -> bool:
        while len(path) > len(self._files.root):
            folder, name = os.path.split(path)
            if name not in self._names(folder):
                return False
            path = folder
        return True

    def _names(self, folder: str) -> frozenset[str]:
        now = time.time_ns()
        found = self._files.stat(folder)
        seen = settled(found, now) if found is not None else None
        known = self._listings.get(folder)
        if known is not None and seen is not None and known[0] == seen:
            return known[1]
        listing = frozenset(entry.name for entry in self._files.entries(folder))
        self._listings[folder] = (seen, listing)
        return listing
