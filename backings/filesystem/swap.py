"""The swap: many files replaced together, or none.

Each file by itself is old or new at any moment, whatever happens. Together they are all old or all
new after an error; a process or machine that dies between two renames leaves some of each.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from objstore.errors import BackingError, KeyNameError

from . import names
from .io import Files, UncertainError


class Replacement(NamedTuple):
    """One file's bytes before and after; None is no file."""

    path: str
    old: bytes | None
    new: bytes | None
    like: os.stat_result | None = None
    """Its owner and permission bits, where it was there before."""
    link: str | None = None
    """Where it leads, if what is removed is a link."""


class Swap:
    """Replaces files. Made for one commit and run once, under the writer's lock."""

    def __init__(self, files: Files, replacements: Sequence[Replacement]) -> None:
        self._files: Final = files
        self._written: Final = [one for one in replacements if one.new is not None]
        self._removed: Final = [one for one in replacements if one.new is None]
        self._made: Final[list[str]] = []
        self._done: Final[list[Replacement]] = []

    def run(self, also_sync: Iterable[str] = ()) -> None:
        """Replace the files, durably, and sync the folders ``also_sync`` with theirs.

        Raises BackingError when all is as it was before; UncertainError when it may not be.
        """
        try:
            self._make_folders()
            self._write_temporaries()
        except BaseException as error:
            self._discard(error)
            raise
        try:
            self._rename()
            self._remove()
            self._sync_folders(also_sync)
        except BaseException as error:
            try:
                self._put_back(error)
            finally:
                self._discard(error)
            raise

    def _make_folders(self) -> None:
        for one in self._written:
            if one.old is None:
                self._files.make_folders(os.path.dirname(one.path), self._made)

    def _write_temporaries(self) -> None:
        folded: dict[str, str] = {}
        for one in self._written:
            self._check_apart(one.path, folded.setdefault(one.path.casefold(), one.path))
            if one.new is not None:
                self._files.write(_temporary(one.path), one.new, one.path, one.like)

    def _check_apart(self, path: str, other: str) -> None:
        """Raise KeyNameError where the disk takes two paths that differ in case for one."""
        if path == other:
            return
        found, first = map(self._files.lstat, (_temporary(path), _temporary(other)))
        if found is not None and first is not None and os.path.samestat(found, first):
            one, two = self._files.relative(other), self._files.relative(path)
            raise KeyNameError(f"{one} and {two} would be one on this disk")

    def _rename(self) -> None:
        for one in self._written:
            self._do(one, lambda path: self._files.rename(_temporary(path), path))

    def _remove(self) -> None:
        for one in self._removed:
            self._do(one, self._files.unlink)

    def _do(self, one: Replacement, step: Callable[[str], None]) -> None:
        # Noted before it is done: an interrupt may come in between, and to put back what never
        # changed does no harm.
        self._done.append(one)
        try:
            step(one.path)
        except BackingError:
            self._done.pop()
            raise

    def _sync_folders(self, also: Iterable[str]) -> None:
        for folder in dict.fromkeys([*self._folders(), *also]):
            self._files.sync_folder(folder)

    def _folders(self) -> Iterable[str]:
        yield from (os.path.dirname(one.path) for one in self._done)
        yield from (os.path.dirname(folder) for folder in self._made)

    def _put_back(self, error: BaseException) -> None:
        stuck: list[str] = []
        for one in reversed(self._done):
            try:
                self._restore(one)
            except BackingError as failure:
                error.add_note(str(failure))
                stuck.append(self._files.relative(one.path))
        if stuck:
            files = ", ".join(sorted(stuck))
            reason = f"{error}; these files have changed and could not be put back: {files}"
            raise UncertainError(errno.EIO, reason, self._files.root) from error
        if not isinstance(error, UncertainError):
            self._sync_folders(())

    def _restore(self, one: Replacement) -> None:
        if one.link is not None:
            self._files.make_link(one.path, one.link)
        elif one.old is None:
            self._files.unlink(one.path)
        else:
            self._files.write(_temporary(one.path), one.old, one.path, one.like)
            self._files.rename(_temporary(one.path), one.path)

    def _discard(self, error: BaseException) -> None:
        """Remove what was made beside the files; what cannot be removed is noted on ``error``."""
        for one in (*self._written, *self._removed):
            _attempt(error, self._files.unlink, _temporary(one.path))
        for folder in reversed(self._made):
            _attempt(error, self._files.remove_folder, folder)


def _attempt(error: BaseException, step: Callable[[str], None], path: str) -> None:
    try:
        step(path)
    except BackingError as failure:
        error.add_note(str(failure))


def _temporary(path: str) -> str:
    folder, name = os.path.split(path)
    return f"{folder}/{names.temporary(name)}"
