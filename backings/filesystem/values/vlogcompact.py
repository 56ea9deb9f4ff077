"""Compaction of a value log: sealed files are replaced by ones that hold what is left.

Rules and order of steps: docs/formats/value-log.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from .. import names
from ..io import Files
from ..log.loglock import alone
from . import vlogbatch
from .valuefile import ValueFileInfo
from .vlogbatch import DELETE, FRAME_SIZE, PUT, SLOT_SHIFT, Operation
from .vlogfile import LogValues
from .vlogindex import Index, Table
from .vloglist import FileList, Listed, remove, remove_unlisted
from .vlogview import View
from .vlogwriter import Growing, Writer

_MOST: Final = 1 << 16
"""How many values go into one batch."""
_LONGEST: Final = 1 << 23
"""How many bytes of values, but for a longer one."""

Bounds = dict[int, dict[str, int]]
"""For each container's serial and key, the least number of a file that may hold an older value."""


class _Kept(NamedTuple):
    """Keys of a container that go along, with where their values are."""

    table: Table
    keys: list[str]
    found: list[int]


class _Moved(NamedTuple):
    """The same, with where their values are now."""

    kept: _Kept
    operation: Operation
    offset: int


class _Made(NamedTuple):
    """A file that was made, and what is in it."""

    listed: Listed
    moved: list[_Moved]


def compact(files: Files, view: View, writer: Writer, wasted: float) -> None:
    """Rewrite the files of which at least that share is dead. Raises BusyError, CorruptionError."""
    reason = "another compaction of this storage is running"
    with alone(files, reason, names.compaction_lock(files.root)):
        with writer.writing():
            view.see_list()
            _sweep(files, view)
            with view.guard:
                live = view.index.live()
                _seal(view, writer, live, wasted)
                runs = list(_runs(view, live, wasted))
        for run in runs:
            _merge(files, view, writer, run)


def infos(view: View) -> list[ValueFileInfo]:
    """What each file holds, as the index knows it."""
    with view.guard:
        live = view.index.live()
        return [
            ValueFileInfo(
                file.id.int,
                view.tail.end if listed.size is None else listed.size,
                view.list.capacity,
                file.entries,
                file.entries - live[file.slot],
            )
            for listed, file in view.in_order()
        ]


# While the view's guard is held; ``live`` is how many values there are in each file


def _seal(view: View, writer: Writer, live: Counter[int], wasted: float) -> None:
    """Have the newest file sealed, if it is to be rewritten too."""
    if view.tail.end > FRAME_SIZE and _is_wasteful(view.tail.file, live, wasted):
        writer.begin_next()


def _runs(view: View, live: Counter[int], wasted: float) -> Iterator[list[Listed]]:
    """Files to be rewritten, those together that follow each other."""
    run: list[Listed] = []
    for listed, file in view.in_order():
        if listed.size is not None and _is_wasteful(file, live, wasted):
            run.append(listed)
        elif run:
            yield run
            run = []


def _is_wasteful(file: LogValues, live: Counter[int], wasted: float) -> bool:
    dead = file.entries - live[file.slot]
    return wasted <= 0 or not file.entries or dead / file.entries >= wasted


# Merging


def _merge(files: Files, view: View, writer: Writer, chosen: Sequence[Listed]) -> None:
    """Replace files that follow each other; all of the work is done before the lock is taken."""
    with view.guard:
        # As they are in this index: all may have been read anew since they were chosen.
        index, listed = view.index, view.list.files
        run = [(one, file) for one, file in view.in_order() if one in chosen]
    slots = {file.slot for _, file in run}
    # By their places: of the files that another merge made, some may have the run's own number.
    older = [one.number for one in listed[: listed.index(chosen[0])]]
    bounds = _bounds(run, older)
    made: list[_Made] = []
    try:
        _Copying(files, view, run[-1][0].number, made).run(index, slots, bounds)
        with writer.writing():
            with view.guard:
                opened = [view.open_listed(one.listed) for one in made]
                writer.replace_list(_replaced(view.list, run, made))
                _switch(view, index, slots, zip(made, opened, strict=True))
            writer.announce()
    except BaseException:
        remove_unlisted(files, [one.listed.id for one in made])
        raise
    remove(files, [listed.id for listed, _ in run])


def _replaced(
    found: FileList, run: Sequence[tuple[Listed, LogValues]], made: Sequence[_Made]
) -> FileList:
    gone = {listed.id for listed, _ in run}
    at = next(n for n, one in enumerate(found.files) if one.id in gone)
    kept = [one for one in found.files if one.id not in gone]
    return found._replace(files=(*kept[:at], *(one.listed for one in made), *kept[at:]))


def _switch(
    view: View, index: Index, slots: set[int], made: Iterable[tuple[_Made, LogValues]]
) -> None:
    """Have the index lead to the new files."""
    if view.index is not index:
        view.load()
        return
    for one, file in made:
        index.files[file.slot] = file
        for kept, operation, offset in one.moved:
            file.entries += len(operation.keys)
            found = vlogbatch.locations(operation, file.slot, offset)
            index.move(kept.table, kept.keys, kept.found, found)
    index.forget_files(slots)


class _Copying:
    """The new files of a run, as they are written."""

    def __init__(self, files: Files, view: View, number: int, made: list[_Made]) -> None:
        self._files: Final = files
        self._view: Final = view
        self._number: Final = number
        self._made: Final = made
        self._growing: Growing | None = None
        self._moved: list[_Moved] = []

    def run(self, index: Index, slots: set[int], bounds: Bounds) -> None:
        """Copy what is left of some files, container by container, and what they say is deleted."""
        with self._view.guard:
            tables = list(index.names.values())
        for table in tables:
            items = sorted(
                (key, at) for key, at in list(table.at.items()) if at >> SLOT_SHIFT in slots
            )
            bound = bounds.get(table.serial, {})
            for kept in _parts(table, items, index):
                self._copy(kept, index, bound)
            self._delete(table, bound)
        self._finish()

    def _copy(self, kept: _Kept, index: Index, bound: dict[str, int]) -> None:
        values = [index.files[at >> SLOT_SHIFT].value_bytes(at) for at in kept.found]
        lengths = list(map(len, values))
        data = vlogbatch.encode_values(values, lengths)
        kinds = bytes(at & 1 for at in kept.found)
        old = [bound.pop(key, 0) for key in kept.keys]
        if min(lengths) == max(lengths):
            del lengths[1:]
        if min(kinds) == max(kinds):
            kinds = kinds[:1]
        operation = Operation(PUT, kept.table.serial, kept.keys, lengths, kinds, old)
        offset = self._append(operation, data)
        self._moved.append(_Moved(kept, operation, offset))

    def _delete(self, table: Table, bound: dict[str, int]) -> None:
        """Deletions that go along: what is left of ``bound`` has not been copied."""
        keys = iter(bound)
        while part := list(islice(keys, _MOST)):
            old = [bound[key] for key in part]
            self._append(Operation(DELETE, table.serial, part, replaced=old), b"")

    def _append(self, operation: Operation, values: bytes) -> int:
        """Where the values are, in the file that is being written."""
        said = vlogbatch.encode_operation(operation)
        size = FRAME_SIZE + len(said) + len(values)
        growing = self._growing
        if growing is not None and growing.end + size > self._view.list.capacity:
            self._finish()
        if self._growing is None:
            listed = Listed(self._number, uuid4(), 0)
            self._made.append(_Made(listed, []))
            self._growing = Growing(self._files, self._view.list.store, listed.id)
        return self._growing.append(self._view.number, said, values)

    def _finish(self) -> None:
        if self._growing is None:
            return
        listed = self._made[-1].listed._replace(size=self._growing.finish())
        self._made[-1] = _Made(listed, self._moved)
        self._growing, self._moved = None, []


def _parts(table: Table, items: Sequence[tuple[str, int]], index: Index) -> Iterator[_Kept]:
    """Keys by as many as go into one batch."""
    keys: list[str] = []
    found: list[int] = []
    size = 0
    for key, at in items:
        keys.append(key)
        found.append(at)
        size += index.files[at >> SLOT_SHIFT].length(at)
        if len(keys) == _MOST or size >= _LONGEST:
            yield _Kept(table, keys, found)
            keys, found, size = [], [], 0
    if keys:
        yield _Kept(table, keys, found)


def _bounds(run: Iterable[tuple[Listed, LogValues]], older: Sequence[int]) -> Bounds:
    """What the files say of values in older files that are not merged with them."""
    bounds: Bounds = {}
    newest = max(older, default=0)
    if not newest:
        return bounds
    for listed, file in run:
        for batch in file.sealed_batches(listed.size or 0):
            for operation in vlogbatch.decode_operations(batch.operations):
                if operation.op in (PUT, DELETE) and any(operation.replaced):
                    _note_bounds(bounds.setdefault(operation.serial, {}), operation)
    return {
        serial: {key: least for key, least in keys.items() if least <= newest}
        for serial, keys in bounds.items()
    }


def _note_bounds(keys: dict[str, int], operation: Operation) -> None:
    numbers = vlogbatch.each(operation.replaced, len(operation.keys))
    for key, number in zip(operation.keys, numbers, strict=False):
        if number:
            keys[key] = min(number, keys.get(key, number))


def _sweep(files: Files, view: View) -> None:
    """Remove what a crash has left: files that are not in the list. To be done under the lock."""
    known = {listed.id for listed in view.list.files}
    left = [file_id for file_id in _all_files(files) if file_id not in known]
    remove(files, left)


def _all_files(files: Files) -> Iterator[UUID]:
    folders = [names.values(files.root)]
    while folders:
        folder = folders.pop()
        for entry in files.entries(folder):
            path = f"{folder}/{entry.name}"
            if entry.is_folder:
                folders.append(path)
            elif (found := names.value_id(files.root, path)) is not None:
                yield found
