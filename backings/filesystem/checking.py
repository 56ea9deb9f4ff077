"""Whether all that the engine keeps is whole, and in the files what it should be.

Reads only, and waits for no writer: what another process is about to put in order counts only if
it is still there after a while.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from objstore.documents import Overlay
from objstore.errors import (
    BackingError,
    CorruptionError,
    Failure,
    FormatError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    ObjstoreError,
    OutsideError,
)
from objstore.values import same

from . import names
from .history.heads import Head, Heads, Key
from .history.headsfile import HeadsFile
from .history.ledger import Ledger
from .history.logcheck import LogCheck, failure, failure_of
from .history.pins import Pins
from .history.written import Written
from .io import Entry, Files
from .log.logfile import Start, generations
from .log.logfiles import includes
from .log.loglock import LogLock
from .meeting import FileMeetings
from .reading import Reading
from .settling import Settling, State

_PATIENCE: Final = 1.0
"""Seconds that other processes have to write what they have committed: twice what they take."""

_POLL: Final = 0.05

_ATTEMPTS: Final = 5
"""How often the log is checked that others compact at the same time."""

_UNREADABLE: Final = (
    BackingError,
    FormatError,
    KeyNameError,
    KeyNotFoundError,
    LayoutError,
    OutsideError,
)


def check(reading: Reading) -> list[Failure]:
    """Everything that is not as it was written; see ``objstore.checkable``."""
    files = reading.files
    if not files.exists(names.engine(files.root)):
        return []
    found, odd = list[Failure](), set[str]()
    try:
        found += [_is_odd(files, path) for path in no_files(files)]
        odd = {one.source for one in found}
        if files.relative(names.logs(files.root)) in odd:
            return found
        found += [one for one in _checked(files) if one.source not in odd]
        found += map(failure_of, FileMeetings(files).damaged())
        found += _lasting(lambda: list(_undone(reading)))
    except BackingError as error:  # the engine's own files are not this process's to read
        name = files.relative(str(error.filename))
        if name not in odd:
            found.append(failure(name, "a file that can be read", str(error.strerror)))
    return found


def no_files(files: Files) -> list[str]:
    """The names of the engine's own files under which is something else, as a folder; and that of
    the log's folder, where that is none."""
    root = files.root
    own = [names.lock(root), names.log_compaction_lock(root), names.manifest(root)]
    own += [names.boot(root), names.index(root), names.pins(root), names.written(root)]
    logs = names.logs(root)
    is_odd = files.exists(logs) and not _leads_to_folder(files, logs)
    own += [] if is_odd else [names.log(root, one) for one in generations(files)]
    found = ((path, files.lstat(path)) for path in own)
    odd = [path for path, status in found if status and not stat.S_ISREG(status.st_mode)]
    return [*odd, logs] if is_odd else odd


def _leads_to_folder(files: Files, path: str) -> bool:
    found = files.stat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _is_odd(files: Files, path: str) -> Failure:
    if path == names.logs(files.root):
        return failure(files.relative(path), "a folder", "a file, or something else")
    return failure(files.relative(path), "a file", "a folder, a link or something else")


def _lasting(look: Callable[[], list[Failure]]) -> list[Failure]:
    """What is found now, and still there after a while."""
    found, until = look(), time.monotonic() + _PATIENCE
    while found and time.monotonic() < until:
        time.sleep(_POLL)
        again = look()
        found = [one for one in found if one in again]
    return found


def _checked(files: Files) -> list[Failure]:
    """What is wrong with the engine's own files, which nobody has compacted meanwhile."""
    found: list[Failure] = []
    for _ in range(_ATTEMPTS):
        before = _logs(files)
        found = _Check(files).run()
        if not found or before <= _logs(files):
            break
    return found


def _logs(files: Files) -> set[tuple[int, int]]:
    """The files of the log, each by its generation and inode."""
    there = ((one, files.lstat(names.log(files.root, one))) for one in generations(files))
    return {(one, status.st_ino) for one, status in there if status is not None}


class _Check:
    """One check of the engine's own files."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._ledger: Final = Ledger(files)
        self._past: Final = self._ledger.past
        self._found: Final[list[Failure]] = []
        self._index = Heads()

    def run(self) -> list[Failure]:
        """Everything that is wrong with them."""
        # The index first: the log is ahead of it, however much is committed meanwhile.
        index = HeadsFile(self._files)
        if not index.is_whole():
            name = self._files.relative(names.index(self._files.root))
            self._found.append(failure(name, "what was written there", "something else"))
        head, limit = self._look()
        there = self._files_of_log()
        if there:
            store = str(there[0].store)
            self._index = index.read(store, head)
            if limit is not None:
                self._check_length(store, index)
            checked = LogCheck(self._past, self._reached)
            try:
                checked.run(self._ledger.log.opened(there), there[-1].generation, limit)
            except CorruptionError as error:  # somebody compacts, or has removed a file
                self._found.append(failure_of(error))
            self._found.extend(one for one in checked.found if not self._is_told(one))
            self._check_pins(head)
        return self._found

    def _check_length(self, store: str, index: HeadsFile) -> None:
        """Whether the log goes as far as is said beside it."""
        written = Written(self._files).upto(store) if self._ledger.run.is_same() else 0
        indexed = 0 if self._may_have_lost() else index.number(store)
        head = self._ledger.log.refresh()  # once more: others may have gone on before they said so
        if max(written, indexed) > head:
            name = self._files.relative(names.logs(self._files.root))
            written_name = self._files.relative(names.written(self._files.root))
            file = "the index" if indexed > head else written_name
            expected = f"a log up to record {max(written, indexed)}, as {file} says"
            self._found.append(failure(name, expected, f"one up to record {head}"))

    def _may_have_lost(self) -> bool:
        """Whether the machine has stopped since, and may have taken the newest records with it,
        as it may under durability "os". Who commits next removes the index."""
        return not (self._ledger.log.was_closed or self._ledger.run.is_same())

    def _is_told(self, one: Failure) -> bool:
        return any((one.source, one.offset) == (told.source, told.offset) for told in self._found)

    def _look(self) -> tuple[int, int | None]:
        """The newest record, and where the newest file ends; without an end where that is odd."""
        log = self._ledger.log
        try:
            log.refresh()
            if log.is_torn:
                name = log.name(log.generation)
                self._found.append(failure(name, "a whole record", "a part of one", log.end))
            if log.store:
                return log.head, log.end
        except CorruptionError as error:
            self._found.append(failure_of(error))
        except FormatError as error:
            self._found.append(failure(error.source or "", "a format that is known", str(error)))
        return 0, None

    def _files_of_log(self) -> list[Start]:
        try:
            return self._ledger.log.files()
        except CorruptionError as error:
            if not self._is_told(failure_of(error)):
                self._found.append(failure_of(error))
            return []

    def _reached(self, heads: Heads) -> None:
        """Compare the index with the heads made anew, when they have come as far."""
        if heads.number != self._index.number:
            return
        name = self._files.relative(names.index(self._files.root))
        for key in heads.units.keys() | self._index.units.keys():
            if not self._is_same(key, heads.units.get(key), self._index.units.get(key)):
                unit = key if isinstance(key, str) else " ".join(key)
                expected = f"the newest change of {unit} up to record {heads.number}"
                self._found.append(failure(name, expected, "another one"))
        if not _same_overlays(heads, self._index) or heads.ended != self._index.ended:
            expected = f"what the scopes hold after record {heads.number}"
            self._found.append(failure(name, expected, "something else"))

    def _is_same(self, key: Key, made: Head | None, kept: Head | None) -> bool:
        if kept is None or made is None:
            # Compaction may have left nothing of a unit that whoever wrote the index knew of.
            return made is None and (kept is None or bool(self._ledger.log.removed()))
        if not self._ledger.log.removed():
            # Bytes that are made after the commit are known to who made them.
            after = kept.after if made.after is None else made.after
            return made._replace(after=after) == kept
        found = self._past.find(key, kept.link)
        return found is not None and found.link == made.link

    def _check_pins(self, head: int) -> None:
        path = names.pins(self._files.root)
        try:
            pins = Pins(self._files, self._ledger).read()
        except CorruptionError as error:
            self._found.append(failure_of(error))
            return
        removed = self._ledger.log.removed() if head else ()
        for number in sorted(pins):
            if head and (not 0 < number <= head or includes(removed, number)):
                name = self._files.relative(path)
                self._found.append(failure(name, "commits that are there", f"{number}"))


def _same_overlays(made: Heads, kept: Heads) -> bool:
    one, two = _flat(made), _flat(kept)
    return one.keys() == two.keys() and all(
        same(overlay.base, two[key].base) and same(overlay.value, two[key].value)
        for key, overlay in one.items()
    )


def _flat(heads: Heads) -> dict[Key, Overlay]:
    return {
        (scope, unit): overlay
        for scope, units in heads.overlays.items()
        for unit, overlay in units.items()
    }


# What somebody may be about to put in order


def _undone(reading: Reading) -> Iterator[Failure]:
    files = reading.files
    yield from _missing_manifest(files)
    yield from _leftover_logs(files)
    yield from _behind(reading)
    with LogLock(files, names.log_compaction_lock(files.root)).attempted() as nobody_compacts:
        compacted = None if nobody_compacts else names.logs(files.root)
    for path in leftovers(files):
        if os.path.dirname(path) != compacted:
            name = files.relative(path)
            yield failure(name, "nothing", "a temporary file that nobody is writing")


def _missing_manifest(files: Files) -> Iterator[Failure]:
    there = files.exists(names.manifest(files.root))
    if not there and generations(files):
        name = files.relative(names.manifest(files.root))
        yield failure(name, "the store's manifest", "no file")


def _leftover_logs(files: Files) -> Iterator[Failure]:
    try:
        counting = {file.generation for file in Ledger(files).log.files()}
    except ObjstoreError:
        return  # told by who checks the log
    for generation in generations(files):
        if counting and generation < min(counting):
            name = files.relative(names.log(files.root, generation))
            yield failure(name, "nothing, as the log was compacted", "an older file of it")


def _behind(reading: Reading) -> Iterator[Failure]:
    """Files that some commit has not reached."""
    ledger = Ledger(reading.files)
    settling = Settling(reading.files, reading.places, reading.tree, ledger)
    try:
        units = ledger.strangers()
    except ObjstoreError:
        return  # told by who checks the log
    for unit in units:
        traces = ledger.strange(unit)
        if not traces:
            continue  # they are in the file by now
        try:
            state = settling.judge(unit, traces).state
        except (*_UNREADABLE, CorruptionError):
            continue  # told by who loads the file, or checks the log
        if state in (State.BEHIND, State.TORN):
            was = "what was there before" if state is State.BEHIND else "a part of it"
            expected = f"what commit {traces[-1].number} made of it"
            yield failure(reading.source(unit), expected, was)


def leftovers(files: Files) -> Iterator[str]:
    """The temporary files in the store, whoever's they are; but for what keeps its own."""
    engine = names.engine(files.root)
    for folder in (engine, names.logs(files.root), names.lost_and_found(files.root)):
        yield from _temporaries(folder, files.entries(folder))
    waiting = [files.root]
    while waiting:
        folder = waiting.pop()
        entries: list[Entry] = []
        with suppress(BackingError):  # told by who lists its keys, if it has any
            entries = files.entries(folder)
        yield from _temporaries(folder, entries)
        for entry in entries:
            path = f"{folder.rstrip('/')}/{entry.name}"
            if entry.is_folder and path != engine and _is_folder(files, path):
                waiting.append(path)


def _temporaries(folder: str, entries: list[Entry]) -> Iterator[str]:
    for entry in entries:
        if names.is_temporary(entry.name) and not entry.is_folder:
            yield f"{folder.rstrip('/')}/{entry.name}"


def _is_folder(files: Files, path: str) -> bool:
    """Whether a folder is there, and not a link to one, which may lead in a circle."""
    found = files.lstat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)
