"""The folders of Storages in LMDB: made, recognised, copied and checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final, cast

import lmdb

from objstore.errors import CorruptionError
from objstore.storage import Progress
from objstore.values import show

from . import lmdb_records as records
from . import storages
from .filesystem import names
from .filesystem.io import Files
from .lmdb_env import Txn, mapped, open_environment
from .placing import placed

_SMALL: Final = 2**20


def create(folder: str, path: str) -> None:
    """Make an empty storage. Raises DuplicateStorageError where anything is."""
    with _placed(folder, path) as temporary:
        env = open_environment(temporary, size=_SMALL, lock=False)
        try:
            with env.begin(write=True) as txn:
                txn.put(records.HEADER_KEY, records.header(1))
        finally:
            env.close()


@contextmanager
def _placed(folder: str, path: str) -> Generator[str]:
    """A temporary folder that becomes ``folder``, unless something is there."""
    try:
        with placed(folder, path, _make, _clear) as temporary:
            yield temporary
    except lmdb.Error as error:
        raise mapped(error, path) from error


def _make(files: Files, folder: str) -> None:
    files.make_folder(folder)


def _clear(files: Files, folder: str) -> None:
    if files.lstat(folder) is not None:
        for entry in files.entries(folder):
            files.unlink(f"{folder}/{entry.name}")
        files.remove_folder(folder)


def require(folder: str, path: str) -> None:
    """Raise StorageNotFoundError where no such folder is."""
    files = Files(folder)
    found = files.stat(folder)
    if found is None:
        raise storages.no_storage(path)
    data = files.stat(names.lmdb_data(folder)) if stat.S_ISDIR(found.st_mode) else None
    if data is None or not stat.S_ISREG(data.st_mode):
        raise storages.no_storage(path, "there is something, and it is no storage of this kind")


def require_own(txn: Txn, path: str) -> None:
    """Raise StorageNotFoundError where the file is another program's, or of another version."""
    record = txn.get(records.HEADER_KEY)
    if record is None or records.following(record) is None:
        raise storages.no_storage(path, "there is an LMDB file, and it is no storage")


def copy(env: lmdb.Environment, target: str, path: str, progress: Progress | None) -> None:
    """Copy the newest commit to a new folder, without the pages that are free."""
    total = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if progress is not None:
        progress(0, total)
    with _placed(target, path) as temporary:
        env.copy(cast("str", os.fsencode(temporary)), compact=True)  # text it takes in UTF-8
        files = Files(temporary)
        data = files.open(names.lmdb_data(temporary), write=True)
        if data is not None:
            try:
                files.sync_data(data, sure=True)
                total = files.size(data)
            finally:
                files.close(data)
    if progress is not None:
        progress(total, total)


def check(txn: Txn, path: str) -> list[CorruptionError]:
    """Everything that is wrong in a file, as far as LMDB can still read it."""
    try:
        return [CorruptionError(reason, file=path) for reason in _reasons(txn)]
    except lmdb.Error as error:
        found = mapped(error, path)
        if not isinstance(found, CorruptionError):
            raise found from error
        return [found]


def _reasons(txn: Txn) -> Iterator[str]:
    counted: dict[int, int] = {}
    entries: list[records.Entry] = []
    last = b""
    total = 0
    for stored, record in txn.cursor().iternext():
        total += 1
        if stored <= last:
            yield f"the record of {show(stored)} lies behind that of {show(last)}"
        last = stored
        try:
            body = records.opened(stored, record)
            if stored != records.HEADER_KEY and stored.startswith(records.CATALOGUE):
                entries.append(records.read_entry(stored, record))
            elif body[:1] in b"sSbB":
                number = records.NUMBER.unpack_from(stored)[0]
                counted[number] = counted.get(number, 0) + 1
                records.value_of(body)
                records.key_of(stored, body)
        except ValueError:
            yield f"the record of {show(stored)} is not what was written"
    yield from _miscounted(entries, counted)
    told = txn.stat()["entries"]
    if told != total:
        yield f"LMDB tells of {told} records, and {total} are found"


def _miscounted(entries: list[records.Entry], counted: dict[int, int]) -> Iterator[str]:
    for entry in entries:
        found = counted.pop(entry.number, 0)
        if found != entry.size:
            yield f"container {show(entry.name)} has {found} items, and its count is {entry.size}"
    for number, found in counted.items():
        yield f"{found} items belong to container {number}, which is not there"
