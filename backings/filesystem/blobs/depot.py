"""The Depot on plain files, in the tree of seed 000. Format and steps: docs/formats/depot.md."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import objstore.depot
from objstore._identifiers import BlobInfo, Identifier, ObjectStateT
from objstore._ranges import Range, Ranges, choose_part_size
from objstore.backings.checks import check_options
from objstore.errors import BackingError, ReadOnlyError, StorageError

from .. import git, names
from ..io import Files
from .blobmeta import BlobMeta
from .blobplace import BlobPlace, Locked
from .blobreader import BlobReader
from .blobwriter import FileWriter
from .export import export
from .rangelog import RangeLog, Written

T = TypeVar("T")

_DAY: Final = timedelta(days=1)


class Depot(objstore.depot.Depot):
    """File system backed Depot (seed 000): blobs below ``depot`` in a parent directory.

    Objects are stored in a prefix tree three folders deep: 62af3937-4c5b-405b-a170-6ef12a5e246a,
    version 1, is depot/6/2/a/62af3937-4c5b-405b-a170-6ef12a5e246a.1, with .wr behind it as long as
    it is writable. Nothing is made before the first ``reserve``. ``durability="os"`` syncs nothing:
    then blobs survive the process, not the machine.
    """

    def __init__(
        self,
        parent_directory: str | os.PathLike[str],
        *,
        durability: str = "full",
        umask: int | None = None,
        readonly: bool = False,
    ) -> None:
        check_options(durability, "eager")
        self._files: Final = Files(
            os.fspath(parent_directory), sync=durability == "full", umask=umask
        )
        self._readonly: Final = readonly
        self._above: tuple[str, ...] = ()
        """Folders that the depot is in, and that may be made for it."""
        # No lock: to sync a folder twice does no harm.
        self._durable_folders: Final[set[str]] = set()

    def identifiers(self) -> Iterator[Identifier]:
        """Those of all blobs, writable ones too, sorted: by walking the tree."""
        for folder in self._folders():
            yield from self._in_folder(folder)

    def state(self, identifier: Identifier) -> ObjectStateT:
        """The state of a blob, which the names of its files tell."""
        return self._place(identifier).state(self._files)

    def purge(self, identifier: Identifier) -> None:
        """Delete a blob in whatever state it is. Raises StorageError for an unknown one."""
        self._require_writable()
        place = self._place(identifier)
        # Finalized in between, it is neither; then it is looked for again.
        while not (self._purge_writable(place) or self._remove(place, place.final)):
            self._require(identifier)

    def _purge_writable(self, place: BlobPlace) -> bool:
        """False where there is no writable blob, any more."""
        opened = self._files.open(place.writable, write=True)
        if opened is None:
            return False
        try:
            with Locked(self._files, opened) as is_there:
                return is_there and self._remove(place, place.writable)
        finally:
            self._files.close(opened)

    def _remove(self, place: BlobPlace, blob: str) -> bool:
        with place.named(self._files):
            if self._files.lstat(blob) is None:
                return False
            self._files.unlink(blob)
            self._files.unlink(place.ranges)
            self._files.unlink(place.meta)
            self._files.sync_folder(place.folder)
        return True

    def sweep(self, older_than: timedelta = _DAY) -> list[Identifier]:
        """As for every Depot; what a crash left behind goes too.

        Blobs that somebody on this machine has open to write stay, however old they are.
        """
        self._require_writable()
        swept = super().sweep(older_than)
        for folder in self._folders():
            self._clean(folder)
        return swept

    def _sweep(self, identifier: Identifier, limit: datetime) -> bool:
        place = self._place(identifier)
        if not self._is_old(place, limit):
            return False
        opened = self._files.open(place.ranges, append=True)
        log = None if opened is None else RangeLog(self._files, opened)
        try:
            if log is not None and log.is_held():
                return False
            # Looked at again: until here somebody may have written, and closed it.
            return self._is_old(place, limit) and self._purge_writable(place)
        finally:
            if log is not None:
                log.close()

    def _is_old(self, place: BlobPlace, limit: datetime) -> bool:
        """Whether the blob is writable, and nobody has written to it since."""
        found = self._files.lstat(place.writable)
        return found is not None and _time(found) <= limit

    def _clean(self, folder: str) -> None:
        """Remove the files in a folder that a crash left without their blob."""
        with self._files.locked(folder) as is_there:
            if not is_there:
                return
            there = {entry.name for entry in self._files.entries(folder)}
            left = [name for name in there if _is_left(name, there)]
            for name in left:
                self._files.unlink(f"{folder}/{name}")
            if left:
                self._files.sync_folder(folder)

    def _find(self, identifier: Identifier) -> BlobInfo | None:
        return self._told(identifier, self._info)

    def _told(
        self, identifier: Identifier, tell: Callable[[BlobPlace, ObjectStateT, os.stat_result], T]
    ) -> T | None:
        """What ``tell`` finds in a blob's files; None where there is none."""
        place = self._place(identifier)
        state, found = place.look(self._files)
        while found is not None:
            said = tell(place, state, found)
            before = (state, found.st_ino)
            state, found = place.look(self._files)
            # Finalized or purged meanwhile, it had files that may have been gone when looked for.
            if found is not None and (state, found.st_ino) == before:
                return said
        return None

    def _info(self, place: BlobPlace, state: ObjectStateT, found: os.stat_result) -> BlobInfo:
        meta = place.read_meta(self._files) or _foreign(found)
        size, sha256 = found.st_size, meta.sha256
        if state is ObjectStateT.READABLE:
            sha256 = None if meta.final is None else meta.final.sha256
        elif meta.size is None:
            size = self._written(place).length
        else:
            size = meta.size
        time = _time(found)
        return BlobInfo(
            place.identifier, state, size, meta.size, sha256, meta.part_size, meta.meta, time
        )

    def missing_ranges(self, identifier: Identifier) -> list[Range]:
        """As for every Depot; also where nothing can be written."""
        while (missing := self._told(identifier, self._missing)) is None:
            self._require(identifier)
        return missing

    def _missing(self, place: BlobPlace, state: ObjectStateT, found: os.stat_result) -> list[Range]:
        if state is ObjectStateT.READABLE:
            return []
        promised = (place.read_meta(self._files) or _foreign(found)).size
        written = self._written(place)
        # Looked at again: who writes makes the file longer before it is noted.
        now = self._files.lstat(place.writable) or found
        return written.missing(promised, now.st_size)

    def _written(self, place: BlobPlace) -> Written:
        opened = self._files.open(place.ranges)
        if opened is None:
            return Written(Ranges(), 0)
        log = RangeLog(self._files, opened)
        try:
            return log.written()
        finally:
            log.close()

    def _reserve(self, identifier: Identifier, promise: objstore.depot.Promise) -> bool:
        self._require_writable()
        place = self._place(identifier)
        size, sha256, meta, part_size = promise
        said = BlobMeta(size, part_size, sha256, datetime.now(UTC), meta)
        while True:
            self._make_folders(place)
            with place.named(self._files) as is_there:
                # Not there: somebody removed the folder since.
                if is_there:
                    return self._reserve_named(place, said)

    def _reserve_named(self, place: BlobPlace, said: BlobMeta) -> bool:
        if place.state(self._files) is not ObjectStateT.NONEXISTENT:
            return False
        try:
            self._files.close(self._files.make(place.ranges, place.ranges))
            place.write_meta(self._files, said)
            opened = self._files.make(place.writable, place.writable)
            try:
                if said.size:
                    self._files.truncate(opened, said.size)
            finally:
                self._files.close(opened)
            self._files.sync_folder(place.folder)
        except BaseException as error:
            self._take_back(place, error)
            raise
        return True

    def _take_back(self, place: BlobPlace, error: BaseException) -> None:
        for path in (place.writable, place.meta, place.ranges):
            try:
                self._files.unlink(path)
            except BackingError as failure:
                error.add_note(str(failure))

    def _writer(self, identifier: Identifier) -> FileWriter | None:
        self._require_writable()
        place = self._place(identifier)
        opened = self._files.open(place.writable, write=True)
        if opened is None:
            return None
        try:
            found = self._files.lstat(place.writable)
            if found is None:
                self._files.close(opened)
                return None
            meta = place.read_meta(self._files) or _foreign(found)
            self._make_durable(place)
            log = self._log(place)
            try:
                return FileWriter(self._files, place, meta, opened, log)
            except BaseException:
                log.close()
                raise
        except BaseException:
            self._files.close(opened)
            raise

    def _log(self, place: BlobPlace) -> RangeLog:
        opened = self._files.open(place.ranges, append=True)
        if opened is None:
            # A blob that another program reserved has none.
            with place.named(self._files):
                if self._files.lstat(place.ranges) is None:
                    self._files.close(self._files.make(place.ranges, place.ranges))
            opened = self._files.open(place.ranges, append=True)
        if opened is None:
            raise StorageError(f"the blob {place.identifier} was purged")
        return RangeLog(self._files, opened)

    def _reader(self, identifier: Identifier) -> BlobReader | None:
        opened = self._files.open(self._place(identifier).final)
        return None if opened is None else BlobReader(self._files, opened)

    def _export(self, source: io.RawIOBase, path: str, tell: Callable[[int], object]) -> None:
        export(source, path, tell)

    def _place(self, identifier: Identifier) -> BlobPlace:
        return BlobPlace.of(self._files.root, identifier)

    def _make_folders(self, place: BlobPlace) -> None:
        made: list[str] = []
        self._files.make_folders(place.folder, made)
        self._durable_folders.difference_update(made)
        for folder in reversed(made):
            if folder not in place.folders:
                self._files.sync_folder(os.path.dirname(folder))
        self._make_durable(place)

    def _make_durable(self, place: BlobPlace) -> None:
        """See that the folders are on the disk: who made them may have died before they were."""
        for folder in (*self._above, *place.folders):
            if folder not in self._durable_folders:
                self._files.sync_folder(os.path.dirname(folder))
                self._durable_folders.add(folder)

    def _folders(self) -> Iterator[str]:
        """The folders that blobs are in, sorted."""
        tops = [names.depot(self._files.root)]
        for _ in range(names.BLOB_DEPTH):
            tops = [f"{top}/{name}" for top in tops for name in self._digits(top)]
        return iter(tops)

    def _digits(self, folder: str) -> list[str]:
        entries = self._files.entries(folder)
        return sorted(one.name for one in entries if one.is_folder and names.is_digit(one.name))

    def _in_folder(self, folder: str) -> list[Identifier]:
        found: set[Identifier] = set()
        for entry in self._files.entries(folder):
            parsed = names.parse_blob(entry.name)
            if parsed is not None and parsed[2] in ("", ".wr"):
                identifier = Identifier(UUID(parsed[0]), parsed[1])
                if self._place(identifier).folder == folder:
                    found.add(identifier)
        return sorted(found)

    def _require_writable(self) -> None:
        if self._readonly:
            raise ReadOnlyError(errno.EROFS, "this depot was opened with readonly=True")


def open_depot(
    root: str | os.PathLike[str],
    *,
    durability: str = "full",
    umask: int | None = None,
    readonly: bool = False,
) -> Depot:
    """The depot of the store in a folder: in its ``.objstore``; nothing is made by opening it."""
    return _StoreDepot(root, durability=durability, umask=umask, readonly=readonly)


class _StoreDepot(Depot):
    """Keeps git out of the engine's folder, should that be made for a blob."""

    def __init__(self, root: str | os.PathLike[str], **options: Any) -> None:
        super().__init__(names.engine(os.fspath(root)), **options)
        self._above = (os.path.dirname(self._files.root), self._files.root)

    def _make_folders(self, place: BlobPlace) -> None:
        super()._make_folders(place)
        git.keep_out(self._files, os.path.dirname(self._files.root))


def _foreign(found: os.stat_result) -> BlobMeta:
    """What is known of a blob that another program reserved."""
    made = _time(found)
    return BlobMeta(found.st_size, choose_part_size(found.st_size, None), None, made, {})


def _time(found: os.stat_result) -> datetime:
    return datetime.fromtimestamp(found.st_mtime, UTC)


def _is_left(name: str, there: set[str]) -> bool:
    if names.is_temporary(name):
        return True
    parsed = names.parse_blob(name)
    if parsed is None:
        return False
    uuid, version, ending = parsed
    blob = f"{uuid}.{version}"
    if ending == ".ranges":
        return f"{blob}.wr" not in there
    return ending == ".json" and not {blob, f"{blob}.wr"} & there
