"""Repair: mends what can be mended of a store's own files, and leaves those of its users.

Nothing is thrown away that may hold something: it goes to lost+found.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from objstore.errors import (
    CorruptionError,
    Failure,
    FormatError,
    ObjstoreError,
    StoreNotFoundError,
    TransactionError,
)
from objstore.layout import ANYTHING, Folder

from . import lostfound, names
from .checking import check, leftovers, no_files
from .documents import path_of
from .engine import Engine
from .history.compacting import ranges
from .history.headsfile import HeadsFile
from .history.ledger import Ledger
from .history.logcheck import LogCheck
from .history.logrebuild import Rebuilding, Rest
from .history.pins import encode as encode_pins
from .history.pins import parse as parse_pins
from .history.run import Run
from .history.written import Written
from .io import Files
from .knownlayout import known_layout
from .log import logappend
from .log.logfile import LogFile, Start, generations
from .log.loglock import alone
from .log.logview import read_manifest
from .log.manifest import Manifest
from .meeting import FileMeetings
from .reading import Reading
from .tree import MAX_FILE_SIZE

_BUSY: Final = "somebody is writing to the store"


def repair(path: str | os.PathLike[str]) -> list[str]:
    """Mend what can be mended of the store in a folder; what was done, in sentences.

    A store of which ``check`` finds nothing is left alone. Commits whose records are damaged are
    lost: reading them raises HistoryGone, and their numbers are not used again. Files change only
    where a commit of the log had not reached them. What is cut out goes to .objstore/lost+found.

    Close the store before, in all processes: a handle that was open must be opened again. Raises
    StoreNotFoundError where no folder is, BusyError while somebody writes to it, FormatError for a
    store of a format to come, BackingError where the medium refuses.
    """
    files = Files(path_of(os.fsdecode(path)))
    found = files.stat(files.root)
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise StoreNotFoundError(errno.ENOENT, "there is no store", os.fspath(path))
    if not files.exists(names.engine(files.root)):
        return []
    lock = names.lock(files.root)
    if lock not in no_files(files):  # else nobody can hold it
        with alone(files, _BUSY):
            pass  # check waits for nobody, and judges only what nobody is writing
    failures = check(Reading(files, _layout(files)))
    return _Repair(files, failures).run() if failures else []


def _layout(files: Files) -> Folder:
    ledger = Ledger(files)
    try:
        ledger.refresh()
        heads = {unit: ledger.head(unit) for unit in ledger.units()}
    except ObjstoreError:
        return ANYTHING  # the log is damaged, and nothing is read by it
    return known_layout({unit: head.file for unit, head in heads.items() if head and head.file})


class _Repair:
    """One repair, from the lowest layer up."""

    def __init__(self, files: Files, found: Sequence[Failure]) -> None:
        self._files: Final = files
        self._found: Final = found
        self._root: Final = files.root
        self._done: Final[list[str]] = []
        self._since: int | None = None
        """Commits behind this one may not be in their files; None where the log tells."""

    def run(self) -> list[str]:
        """Mend what can be mended; what was done."""
        for path in no_files(self._files):
            self._set_aside(path)
        with alone(self._files, _BUSY, names.log_compaction_lock(self._root)):
            self._mend()
        return self._done

    def _mend(self) -> None:
        with alone(self._files, _BUSY):
            self._mend_manifest()
            self._mend_log()
            self._mend_index()
            self._mend_pins()
            self._mend_meetings()
            self._remove_old_logs()
        self._apply()
        with alone(self._files, _BUSY):
            self._remove_leftovers()

    def _say(self, path: str, what: str) -> None:
        self._done.append(f"{self._files.relative(path)}: {what}")

    # The manifest, and a log that is gone

    def _mend_manifest(self) -> None:
        path = names.manifest(self._root)
        try:
            manifest = read_manifest(self._files)
        except CorruptionError:
            manifest = None
            self._set_aside(path)
        store = self._store_by_log()
        if manifest is not None and store is None and not generations(self._files):
            self._set_aside(path)
            self._files.unlink(names.index(self._root))
            self._files.unlink(names.pins(self._root))
            self._say(names.logs(self._root), "the log is gone, and all of the past with it")
        elif manifest is None and store is not None:
            logappend.replace(self._files, path, Manifest(store, {}).encode())
            self._files.sync_folder(names.engine(self._root), sure=True)
            self._say(path, "made again by what the log says")

    def _store_by_log(self) -> UUID | None:
        for generation in reversed(generations(self._files)):
            try:
                file = LogFile.open(self._files, generation)
            except CorruptionError:
                continue
            if file is not None:
                return file.store
        return None

    # The log

    def _mend_log(self) -> None:
        manifest = read_manifest(self._files)
        there = generations(self._files)
        if manifest is None:
            self._give_up(there)
            return
        files = self._counting(manifest.store)
        kept = HeadsFile(self._files).read(str(manifest.store), sys.maxsize)
        name = self._files.relative(names.logs(self._root))
        is_told = any(one.source.startswith(name) for one in self._found)
        # If the log is told of, so is that it should be longer.
        rest = Rest(files, max(kept.number, self._written(manifest.store)) if is_told else 0)
        if not files or not (rest.lost or rest.damaged or self._is_damaged(files, rest.end)):
            return
        self._since = self._not_applied(rest, files)
        target = names.log(self._root, files[-1].generation + 1)
        start = Start(manifest.store, files[-1].generation + 1, 0, None)
        made = Rebuilding(self._files, rest, kept, self._since).frames(start)
        with logappend.taken_back(self._files, target):
            logappend.write_all(self._files, target, made)
            self._drop_index()  # which may have changes that are lost
            logappend.put_new(self._files, target)
        self._files.sync_folder(names.logs(self._root), sure=True)
        self._tell_others()
        for first, last in ranges(rest.lost):
            run = f"commit {first} is" if first == last else f"commits {first} to {last} are"
            self._say(names.logs(self._root), f"{run} lost")
        for unit, number in rest.unreadable:
            what = f"what commit {number} did to {unit} is lost, as its image does not parse"
            self._say(names.logs(self._root), what)
        self._say(target, "made of what can be read of the log")
        for file in rest.damaged:
            self._set_aside(names.log(self._root, file.generation))

    def _written(self, store: UUID) -> int:
        """Up to which commit there were some in this run of the machine, at the least."""
        is_same = Run(self._files).is_same()
        return Written(self._files).upto(str(store)) if is_same else 0

    def _give_up(self, there: Sequence[int]) -> None:
        """Nothing tells which store it is: no frame can be checked."""
        for generation in there:
            self._set_aside(names.log(self._root, generation))
        if there:
            self._files.unlink(names.index(self._root))
            self._files.unlink(names.pins(self._root))
            self._say(names.logs(self._root), "no frame can be read; all of the past is gone")

    def _counting(self, store: UUID) -> list[LogFile]:
        """The files that count, oldest first, however damaged."""
        found: list[LogFile] = []
        for generation in reversed(generations(self._files)):
            file = LogFile.open(self._files, generation, store)
            if file is None:
                continue
            found.append(file)
            try:
                if file.start.removed is not None:
                    break
            except FormatError:
                raise
            except CorruptionError:
                continue
        return found[::-1]

    def _is_damaged(self, files: list[LogFile], end: int | None) -> bool:
        ledger = Ledger(self._files)
        checked = LogCheck(ledger.past, lambda _: None)
        checked.run(files, files[-1].generation, end)
        return bool(checked.found)

    def _not_applied(self, rest: Rest, files: list[LogFile]) -> int:
        """The commit behind which changes may not be in their files."""
        if not rest.saids:
            return 0
        number = next(reversed(rest.saids))
        done = rest.saids[number][0].done
        if Run(self._files).is_same():
            return number - 1 if done is None else done
        try:
            return files[-1].start.after
        except CorruptionError:
            return 0

    def _tell_others(self) -> None:
        """Have whoever has the log open see that it is another one."""
        path = names.lock(self._root)
        logappend.replace(self._files, path, b"")

    # What lies beside it

    def _mend_index(self) -> None:
        name = self._files.relative(names.index(self._root))
        if any(one.source == name for one in self._found):
            self._drop_index()

    def _drop_index(self) -> None:
        path = names.index(self._root)
        if self._files.exists(path):
            self._files.unlink(path)
            self._files.sync_folder(names.engine(self._root), sure=True)
            self._say(path, "removed; it is made again when it is needed")

    def _mend_pins(self) -> None:
        path = names.pins(self._root)
        found = self._files.read(path, MAX_FILE_SIZE)
        if found is None:
            return
        try:
            pins = parse_pins(found.data)
        except (ValueError, KeyError, TypeError):
            self._set_aside(path)
            return
        log = Ledger(self._files).log
        head = log.refresh()
        gone = {one for run in log.removed() for one in range(run[0], run[1] + 1)}
        kept = sorted(one for one in pins - gone if 0 < one <= head)
        if len(kept) < len(pins):
            logappend.replace(self._files, path, encode_pins(kept))
            self._say(path, "commits that are not there are pinned no more")

    def _mend_meetings(self) -> None:
        """Have joint transactions with a damaged note be over: who waits there is told so."""
        meetings = FileMeetings(self._files)
        for path in {os.path.dirname(one.file) for one in meetings.damaged()}:
            id = os.path.basename(path)
            with meetings.turn(id):
                meetings.remove(id)
            self._done.append(f"{path}: removed, as a note of this joint transaction is damaged")

    def _remove_old_logs(self) -> None:
        counting = [file.generation for file in Ledger(self._files).log.files()]
        for generation in generations(self._files):
            if counting and generation < counting[0]:
                path = names.log(self._root, generation)
                self._files.unlink(path)
                self._say(path, "removed, as what it held is in a newer file")

    # The users' files

    def _apply(self) -> None:
        """Have all commits be in their files, and a torn tail be cut."""
        engine = Engine(Reading(self._files, _layout(self._files)), lazy=False)
        ledger, log = engine.ledger, engine.ledger.log
        head = ledger.refresh()
        torn, end, name = log.is_torn, log.end, log.name(log.generation)
        for unit in ledger.units() if self._since is not None else ():
            newest = ledger.head(unit)
            if newest is not None and newest.link.number > (self._since or 0):
                ledger.doubt(unit, (self._since or 0) + 1)
        units = ledger.strangers()
        before = self._texts(ledger, units)
        try:
            if head and (torn or units or self._since is not None):
                engine.committer.switch()
        except TransactionError as error:
            self._done.append(f"not done: {error}")
        finally:
            engine.committer.close()
        if torn:
            self._done.append(f"{name}, byte {end}: a part of a record was cut off")
        for file, data in self._texts(ledger, units).items():
            if data != before[file]:
                self._done.append(f"{file}: made what the newest commit left")

    def _texts(self, ledger: Ledger, units: list[str]) -> dict[str, bytes | None]:
        """The units' files and what is in them."""
        heads = filter(None, map(ledger.head, units))
        files = [head.file for head in heads if head.file is not None]
        found = {file: self._files.read(f"{self._root}/{file}", MAX_FILE_SIZE) for file in files}
        return {file: None if one is None else one.data for file, one in found.items()}

    def _remove_leftovers(self) -> None:
        for path in list(leftovers(self._files)):
            found = self._files.read(path, MAX_FILE_SIZE)
            if found is None or not found.before.st_size:
                self._files.unlink(path)
                self._say(path, "removed")
            else:
                self._set_aside(path)

    def _set_aside(self, path: str) -> None:
        """Move a file to lost+found."""
        found = self._files.read(path, MAX_FILE_SIZE)
        if found is None:
            return
        kept = lostfound.move(self._files, path, found.data)
        self._say(path, f"moved to {self._files.relative(kept)}")
