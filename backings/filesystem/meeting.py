"""Meetings in files, between processes: a folder for each below ``.objstore/tx``, a file for each
note. Grammar: docs/formats/meetings.md.

Nothing is synced: a machine that stops ends every participant, and what they did is in the log. A
note that this has torn counts for nothing; one that is damaged otherwise is a CorruptionError.
"""

from __future__ import annotations

import errno
import os.path
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final
from uuid import uuid4

from objstore.errors import BackingError, CorruptionError
from objstore.meetings import Meetings, Note

from . import git, names
from .io import Files
from .log.frames import SECTOR, is_zero
from .log.jsonline import dump, load_object
from .log.manifest import check_of

_SOON: Final = 0.0005
_LATE: Final = 0.01
_MAX_BYTES: Final = 1 << 30
_ATTEMPTS: Final = 100
_END: Final = b"\n"
"""Of every note that has a checksum; those of versions before have neither."""


class FileMeetings(Meetings):
    """The meetings below one store's folder. ``files`` need not sync."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._root: Final = files.root

    def put(self, id: str, name: str, note: Note) -> Note:
        self._files.make_folders(names.meetings(self._root), [])
        self._place(names.ignore(self._root), git.IGNORE_ALL)
        path = names.meeting_note(self._root, id, name)
        if self._place(path, _encode(note)):
            return note
        found = self._read(path)
        # What is there and cannot be read is from before a stop of the machine, like its meeting.
        return note if found is None else found

    def _place(self, path: str, data: bytes) -> bool:
        """Make a file with these bytes, whole at any moment, unless there is one."""
        if self._files.exists(path):
            return False
        folder = names.meeting_draft(self._root, uuid4())
        self._files.make_folder(folder)
        try:
            draft = os.path.join(folder, os.path.basename(path))
            self._files.write(draft, data, path)
            return self._bring(folder, draft, path)
        finally:
            self._remove(folder)

    def _bring(self, folder: str, draft: str, path: str) -> bool:
        """Give a draft its name: alone, or with its folder where that is missing.

        As others may remove that at any moment, there is no other way to be sure to come in time.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._files.place(draft, path)
            except BackingError as error:
                if error.errno != errno.ENOENT or attempt == _ATTEMPTS - 1:
                    raise
            try:
                self._files.rename(folder, os.path.dirname(path))
                return True
            except BackingError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        return False

    def notes(self, id: str) -> Mapping[str, Note]:
        folder = names.meeting(self._root, id)
        found: dict[str, Note] = {}
        for entry in self._files.entries(folder):
            name = names.meeting_note_name(entry.name)
            note = None if name is None else self._read(os.path.join(folder, entry.name))
            if name is not None and note is not None:
                found[name] = note
        return found

    def wait(self, id: str, seen: int, seconds: float | None) -> None:
        end = None if seconds is None else time.monotonic() + seconds
        pause, listed = _SOON, None
        while True:
            # A note that a stop has torn has a name, and does not count.
            before, listed = listed, self._listed(id)
            if listed != before and len(self.notes(id)) != seen:
                return
            left = pause if end is None else end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LATE)

    def turn(self, id: str) -> AbstractContextManager[object]:
        return self._files.locked(names.meeting(self._root, id))

    def remove(self, id: str) -> None:
        # In one step: whoever found the notes without their outcome would make another one.
        draft = names.meeting_draft(self._root, uuid4())
        try:
            self._files.rename(names.meeting(self._root, id), draft)
        except BackingError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        self._remove(draft)

    def _remove(self, folder: str) -> None:
        for entry in self._files.entries(folder):
            self._files.unlink(os.path.join(folder, entry.name))
        try:
            self._files.remove_folder(folder)
        except BackingError as error:
            # Somebody else removed it as well, or has just come too late to it.
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise

    def sweep(self, seconds: float) -> None:
        now = time.time()
        for entry in self._files.entries(names.meetings(self._root)):
            path = os.path.join(names.meetings(self._root), entry.name)
            found = self._files.lstat(path)
            if found is None or now - found.st_mtime <= seconds:
                continue
            if names.is_meeting(entry.name):
                self.remove(entry.name)
            elif names.is_temporary(entry.name):
                self._remove(path)

    def damaged(self) -> Iterator[CorruptionError]:
        """The notes that are not as they were written, whosever they are."""
        for entry in self._files.entries(names.meetings(self._root)):
            if names.is_meeting(entry.name):
                yield from self._damaged_in(names.meeting(self._root, entry.name))

    def _damaged_in(self, folder: str) -> Iterator[CorruptionError]:
        for entry in self._files.entries(folder):
            if names.meeting_note_name(entry.name) is not None:
                try:
                    self._read(os.path.join(folder, entry.name))
                except CorruptionError as error:
                    yield error

    def _read(self, path: str) -> Note | None:
        """A note; None for none, or one that a stop has torn."""
        snapshot = self._files.read(path, _MAX_BYTES)
        if snapshot is None or _is_torn(snapshot.data):
            return None
        try:
            return _decode(snapshot.data)
        except ValueError as error:
            file = self._files.relative(path)
            reason = "this note of a joint transaction is not as it was written"
            raise CorruptionError(reason, file=file) from error

    def _listed(self, id: str) -> set[str]:
        return {entry.name for entry in self._files.entries(names.meeting(self._root, id))}


def _encode(note: Note) -> bytes:
    return dump({**note, "crc32c": check_of(note)}) + _END


def _decode(data: bytes) -> Note:
    """The inverse. Raises ValueError for bytes that it has not made."""
    note = load_object(data)
    check = note.pop("crc32c", None)
    if check != check_of(note) and (check is not None or data.endswith(_END)):
        raise ValueError("the note does not fit its checksum")
    return note


def _is_torn(data: bytes) -> bool:
    """Whether a stop of the machine has left this of a note: whole sectors are zero, or missing.

    No part of a whole note is zero.
    """
    is_cut = len(data) % SECTOR == 0 and not data.endswith((_END, b"}"))
    return is_cut or any(is_zero(data[at : at + SECTOR]) for at in range(0, len(data), SECTOR))
