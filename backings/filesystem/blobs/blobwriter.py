"""A writable blob, open. The steps and the locks: docs/formats/depot.md."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Final

from objstore._aside import Aside
from objstore._digests import digest_of
from objstore._ranges import Range, Ranges
from objstore._writer import Writer
from objstore.errors import StorageError

from ..io import Files, Opened, UncertainError
from ..log.frames import is_zero
from .blobmeta import BlobMeta, Found
from .blobplace import BlobPlace, Locked
from .rangelog import RangeLog, Written

_NOTED: Final = 8 << 20
"""After how many bytes in a row a range is noted: a process that is killed loses track of less. So
many are also on their way to the disk from then on."""

_CHUNK: Final = 1 << 20

_SYNCED: Final = 128 << 20
"""After how many bytes they are synced, while more bytes come."""


class FileWriter(Writer):
    """A .wr file and its ranges."""

    def __init__(
        self, files: Files, place: BlobPlace, meta: BlobMeta, opened: Opened, log: RangeLog
    ) -> None:
        super().__init__(place.identifier, meta.size, meta.part_size)
        self._files: Final = files
        self._place: Final = place
        self._meta: Final = meta
        self._opened: Final = opened
        self._log: Final = log
        self._pending: Range | None = None
        """The last bytes that were written, and not noted yet."""
        self._unsynced = 0
        self._syncing: Future[object] | None = None
        self._aside: Final = Aside("objstore-sync")
        self._is_closed = False
        log.hold()

    def _write(self, offset: int, data: memoryview) -> None:
        self._log.begin()
        with self._locked(shared=True) as is_there:
            self._require_writable(is_there)
            self._files.write_at(self._opened, offset, data)
        self._keep(Range(offset, len(data)))
        self._unsynced += len(data)
        if self._unsynced >= _SYNCED and self._files.sync:
            self._start_sync()

    def _truncate(self, size: int) -> None:
        self._log.begin()
        self._note()
        with self._locked(shared=True) as is_there:
            self._require_writable(is_there)
            before = self._log.length()
            # First to what is noted: behind it may be what a killed process wrote.
            self._files.truncate(self._opened, min(before, size))
            self._files.truncate(self._opened, size)
            if size < before:
                self._log.note_cut(size)
            elif size > before:
                self._log.note(Range(before, size - before))

    def read_into(self, offset: int, buffer: memoryview) -> int:
        return self._files.read_into(self._opened, offset, buffer)

    def length(self) -> int:
        if self.size is not None:
            return self.size
        self._note()
        return self._log.length()

    def missing(self) -> list[Range]:
        self._note()
        return self._missing(self._log.written())

    def note(self) -> None:
        self._note()

    def sync(self) -> None:
        self._start_sync()
        self._end_sync()

    def finalize(
        self, sha256: str | None, *, zeroes: bool = False, sought_over: Ranges | None = None
    ) -> None:
        self._note()
        self._end_sync()
        with self._locked() as is_there:
            self._require_writable(is_there)
            written = self._log.written()
            found = self._files.size(self._opened)
            size = written.length if self.size is None else self.size
            is_alone = self._log.is_mine_alone()
            meant = sought_over if is_alone else None
            missing = self._require_all(written.cut(found), size, meant, zeroes=zeroes)
            if found != size:
                self._files.truncate(self._opened, size)
            for one in missing:
                self._clear(one)
            if sha256 is None or not is_alone:
                sha256 = digest_of(self._reading(), lambda done: None)
            self._require_promised(sha256, self._meta.sha256)
            self._sync_file()
            self._put_in_place(Found(size, sha256, datetime.now(UTC)))

    def _put_in_place(self, found: Found) -> None:
        files, place = self._files, self._place
        with place.named(files):
            place.write_meta(files, self._meta._replace(final=found))
            files.rename(place.writable, place.final)
            files.sync_folder(place.folder)
            files.unlink(place.ranges)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._note()
            self._end_sync()
        finally:
            self._aside.close()
            self._log.close()
            self._files.close(self._opened)

    def _locked(self, *, shared: bool = False) -> Locked:
        return Locked(self._files, self._opened, shared=shared)

    def _require_writable(self, is_there: bool) -> None:
        """Raise StorageError where the blob is no longer writable."""
        if not is_there:
            is_final = self._files.lstat(self._place.final) is not None
            what = "finalized already" if is_final else "purged"
            raise StorageError(f"the blob {self.identifier} was {what}")

    def _missing(self, written: Written) -> list[Range]:
        return written.missing(self.size, self._files.size(self._opened))

    def _clear(self, missing: Range) -> None:
        """Make zero what a killed process, or a stopped machine, wrote and did not note."""
        buffer = memoryview(bytearray(_CHUNK))
        for at in range(missing.at, missing.end, _CHUNK):
            part = buffer[: min(_CHUNK, missing.end - at)]
            self._files.read_into(self._opened, at, part)
            # A hole in the file stays one: it takes no space.
            if not is_zero(bytes(part)):
                self._files.write_at(self._opened, at, bytes(len(part)))

    def _reading(self) -> Reading:
        return Reading(self._files, self._opened)

    # What is noted

    def _keep(self, written: Range) -> None:
        """Note a range once it is long, or not continued: a line for each small write is many."""
        before = self._pending
        if before is not None and before.end == written.at:
            self._pending = Range(before.at, before.size + written.size)
        else:
            self._note()
            self._pending = written
        if self._pending.size >= _NOTED:
            self._note()

    def _note(self) -> None:
        if self._pending is not None:
            written, self._pending = self._pending, None
            self._log.note(written)
            if written.size >= _NOTED:
                self._files.push(self._opened, written.at, written.size)

    # Syncing beside the writing

    def _start_sync(self) -> None:
        self._end_sync()
        self._note()
        self._unsynced = 0
        self._syncing = self._aside.start(self._sync_to, self._log.size())

    def _end_sync(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            syncing.result()

    def _sync_to(self, noted: int) -> None:
        self._sync_file()
        self._log.note_synced(noted)

    def _sync_file(self) -> None:
        try:
            self._files.sync_data(self._opened)
        except UncertainError:
            # Nobody else may hear of it: the kernel reports it once.
            self._log.note_failed()
            raise


class Reading:
    """Reads a file from its first byte on, without minding where others read."""

    def __init__(self, files: Files, opened: Opened) -> None:
        self._files: Final = files
        self._opened: Final = opened
        self._at = 0

    def __call__(self, buffer: memoryview) -> int:
        count = self._files.read_into(self._opened, self._at, buffer)
        self._at += count
        return count
