"""Hints: the keys of a file of many small batches, to be read at once. Grammar:
docs/formats/value-log.md."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Final, NamedTuple

from .. import names
from ..io import Files
from ..log.frames import crc32c
from ..temporaries import replace
from . import vlogbatch
from .vlogbatch import ADD, DELETE, DROP, FRAME_SIZE, PLACE_MASK, PUT, Operation
from .vlogfile import Batch, LogValues

_PLACE: Final = 2**64 - 1
"""What the header's checksum has for an offset: no file is as long."""

_LIMIT: Final = 1 << 32
_WORTH: Final = 1000
"""So many frames are read in 3 ms."""


class Hint(NamedTuple):
    """What a file says up to some offset."""

    number: int
    upto: int
    link: int
    entries: int
    """How many values were written."""
    operations: list[Operation]


def is_worth_it(frames: int, size: int) -> bool:
    """Whether reading the frames takes long, for a file of that size."""
    return frames > _WORTH and size // frames < 1 << 16


def load(files: Files, file: LogValues) -> Hint | None:
    """The hint of a file; None where there is none, or none that is whole."""
    found = files.read(names.hint(files.root, file.id), _LIMIT)
    header = None if found is None else file.codec.header(found.data, _PLACE)
    if found is None or header is None or header.kind != vlogbatch.HINT:
        return None
    operations = found.data[FRAME_SIZE:]
    if crc32c(operations) != header.operations_check or len(operations) != header.operations:
        return None
    said = list(vlogbatch.decode_operations(operations))
    return Hint(header.number, header.synced, header.link, header.values, said)


def write(files: Files, file: LogValues, containers: Iterable[Operation], upto: int) -> None:
    """Make the hint of what a file has before ``upto``, all of which is on the disk."""
    last, entries, keys = _summary(file, upto)
    operations = [*containers]
    for serial, found in keys.items():
        operations += _operations(serial, found)
    said = b"".join(map(vlogbatch.encode_operation, operations))
    place = (_PLACE, last.header.own)
    head, _ = file.codec.encode(
        vlogbatch.HINT, place, last.header.number, upto, said, count=entries
    )
    path = names.hint(files.root, file.id)
    files.make_folders(names.hints(files.root), [])
    replace(files, path, head)


def containers(named: Iterable[tuple[str, int]], highest: int) -> list[Operation]:
    """What containers there are, and, by dropping it, the highest serial that was ever given."""
    known = sorted((serial, name) for name, serial in named)
    said = [Operation(ADD, serial, [name]) for serial, name in known]
    return [Operation(DROP, highest, [])] * (highest not in dict(known)) + said


def _summary(file: LogValues, upto: int) -> tuple[Batch, int, dict[int, dict[str, int | None]]]:
    """The last batch, how many values there are, and what the batches leave of each container."""
    keys: dict[int, dict[str, int | None]] = {}
    entries, last = 0, None
    for last in file.sealed_batches(upto):
        offset = last.values
        for operation in vlogbatch.decode_operations(last.operations):
            if operation.op == PUT:
                found = vlogbatch.locations(operation, 0, offset)
                keys.setdefault(operation.serial, {}).update(
                    zip(operation.keys, found, strict=False)
                )
                entries += len(operation.keys)
                offset += vlogbatch.values_length(operation)
            elif operation.op == DELETE:
                gone = zip(operation.keys, repeat(None), strict=False)
                keys.setdefault(operation.serial, {}).update(gone)
    if last is None:
        raise file.corrupted(0, "no batch is here")
    return last, entries, keys


def _operations(serial: int, found: dict[str, int | None]) -> list[Operation]:
    put = {key: at for key, at in found.items() if at is not None}
    gone = [key for key, at in found.items() if at is None]
    said: list[Operation] = []
    if put:
        places = [at >> 1 & PLACE_MASK for at in put.values()]
        kinds = bytes(at & 1 for at in put.values())
        said.append(Operation(PUT, serial, list(put), places, kinds))
    if gone:
        said.append(Operation(DELETE, serial, gone))
    return said
