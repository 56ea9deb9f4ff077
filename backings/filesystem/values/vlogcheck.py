"""Whether all that a value log has on disk is what was written."""

from __future__ import annotations

from collections.abc import Iterator

from objstore.errors import CorruptionError

from ...checksums import SOUND, SUM, crc32c
from .. import names
from ..io import Files
from . import vlogbatch, vloghint, vloglist
from .valuefile import HEAD
from .vlogbatch import ENTRY, PUT
from .vlogfile import Batch, LogValues
from .vlogview import View


def check(files: Files, view: View) -> list[CorruptionError]:
    """Everything that is wrong; reads every byte."""
    found: list[CorruptionError] = []
    with view.guard:
        ends = [(file, listed.size or view.tail.end) for listed, file in view.in_order()]
    for file, end in ends:
        found += _wrong_batches(file, end)
        hint = names.hint(files.root, file.id)
        if files.exists(hint) and vloghint.load(files, file) is None:
            found.append(CorruptionError("this hint is damaged", file=files.relative(hint)))
    try:
        found += _missing(files)
        view.check_end()
    except CorruptionError as error:
        found.append(error)
    return found


def _missing(files: Files) -> list[CorruptionError]:
    """What the storage could not be opened without. Raises CorruptionError."""
    listed = vloglist.read(files)
    if listed is None:
        path = files.relative(names.value_list(files.root))
        return [CorruptionError("the list of files is missing", file=path)]
    paths = [names.value_file(names.values(files.root), one.id) for one in listed.files]
    gone = [path for path in paths if not files.exists(path)]
    if gone and vloglist.read(files) != listed:
        return _missing(files)  # a compaction has replaced them
    reason = "this file of the list is missing"
    return [CorruptionError(reason, file=files.relative(path)) for path in gone]


def _wrong_batches(file: LogValues, end: int) -> Iterator[CorruptionError]:
    offset = 0
    for batch in file.batches(0, 0, end):
        offset = batch.end
        if not file.has_values(batch):
            wrong = list(_wrong_values(file, batch))
            yield from wrong or [file.corrupted(batch.values, "values do not fit their checksum")]
    if offset != end:
        yield file.corrupted(offset, f"no frame is here, and there are {end} bytes")


def _wrong_values(file: LogValues, batch: Batch) -> Iterator[CorruptionError]:
    offset = batch.values
    for operation in vlogbatch.decode_operations(batch.operations):
        if operation.op == PUT:
            for length in vlogbatch.each(operation.lengths, len(operation.keys)):
                if not _is_good(file, offset, length):
                    yield file.corrupted(offset, "a value does not fit its checksum")
                offset += ENTRY + length


def _is_good(file: LogValues, offset: int, length: int) -> bool:
    entry = file.read(offset, ENTRY + length)
    return entry[: HEAD.size] == HEAD.pack(length + SUM.size, 0) and crc32c(entry) == SOUND
