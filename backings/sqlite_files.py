"""The files and tables of Storages in SQLite: made, recognised, copied and checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from objstore.errors import CorruptionError
from objstore.storage import Progress
from objstore.values import show

from . import storages
from .filesystem.io import Files
from .placing import placed
from .sqlite_links import ERRORS, Link, connect, copying_to, mapped, no_fork
from .sqlite_tables import begin_reading

T = TypeVar("T")

_APPLICATION: Final = 0x6F626A73
"""``objs``: what tells our databases from those of others."""

_VERSION: Final = 1

_PAGES: Final = 1024
"""How many pages a backup copies between two reports of its progress."""

_SCHEMA: Final = """
    CREATE TABLE containers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        count INTEGER NOT NULL,
        sum INTEGER NOT NULL
    )
"""

Checksum = Callable[[object, object], int]


def create(file: str, path: str, umask: int | None) -> None:
    """Make an empty database. Raises DuplicateStorageError where anything is."""
    with _placed(file, path, umask) as temporary:
        _unforked(lambda: _make(temporary))


def _make(file: str) -> None:
    link = connect(file)
    try:
        link.execute("PRAGMA synchronous = FULL")
        link.execute("PRAGMA journal_mode = MEMORY")  # nobody knows of the file yet
        link.execute("BEGIN")
        link.execute(f"PRAGMA application_id = {_APPLICATION:d}")
        link.execute(f"PRAGMA user_version = {_VERSION:d}")
        link.execute(_SCHEMA)
        link.execute("COMMIT")
        link.execute("PRAGMA journal_mode = WAL")
    finally:
        link.close()


@contextmanager
def _placed(file: str, path: str, umask: int | None) -> Generator[str]:
    """A temporary file that becomes ``file``, unless something is there."""
    try:
        with placed(file, path, _begin, _clear, umask) as temporary:
            yield temporary
    except ERRORS as error:
        raise mapped(error, path) from error


def _begin(files: Files, file: str) -> None:
    # Before SQLite opens it: what it makes beside a file gets that file's mode.
    files.write(file, b"", file, sync=False)


def _clear(files: Files, file: str) -> None:
    for leftover in (file, f"{file}-wal", f"{file}-shm"):
        files.unlink(leftover)


def require(file: str, path: str) -> None:
    """Raise StorageNotFoundError where no file is."""
    found = Files(os.path.dirname(file)).stat(file)
    if found is None:
        raise storages.no_storage(path)
    if not stat.S_ISREG(found.st_mode):
        raise storages.no_storage(path, "there is no file, and no storage of this kind")


def require_own(link: Link, path: str) -> None:
    """Raise StorageNotFoundError where the database is another program's, or of another version."""
    application, version = link.pragma("application_id"), link.pragma("user_version")
    if application != _APPLICATION:
        raise storages.no_storage(path, "there is a file, and it is no storage")
    if version != _VERSION:
        reason = f"the storage is of version {version}, and this program knows {_VERSION}"
        raise storages.no_storage(path, reason)


def add_table(link: Link, name: str, checksum: Checksum) -> None:
    """Make the table of a new container."""
    insert = "INSERT INTO containers (name, count, sum) VALUES (?, 0, ?)"
    link.execute(insert, (name, checksum(name, "")))
    number = link.last_insert_rowid()
    link.execute(
        f"CREATE TABLE c{number:d} "
        "(key TEXT PRIMARY KEY NOT NULL, value NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID"
    )


def drop_table(link: Link, number: int) -> None:
    link.execute(f"DROP TABLE c{number:d}")
    link.execute("DELETE FROM containers WHERE id = ?", (number,))


def copy(link: Link, file: str, path: str, umask: int | None, progress: Progress | None) -> None:
    """Copy the state that ``link`` is reading to a new file."""
    with _placed(file, path, umask) as temporary:
        copying_to.add(temporary)
        link.is_held = True
        try:
            _copy(link, temporary, progress)
        finally:
            link.is_held = False
            copying_to.discard(temporary)


def _copy(link: Link, file: str, progress: Progress | None) -> None:
    size = link.pragma("page_size")
    target = _unforked(lambda: connect(file))
    try:
        _unforked(lambda: target.execute("PRAGMA synchronous = FULL"))
        copying = _unforked(lambda: target.backup("main", link, "main"))
        while not copying.done:
            _unforked(lambda: copying.step(_PAGES))
            total = copying.page_count
            if progress is not None:
                progress((total - copying.remaining) * size, total * size)
        _unforked(copying.finish)
        _unforked(lambda: target.execute("PRAGMA journal_mode = WAL"))
    finally:
        _unforked(target.close)


def _unforked(step: Callable[[], T]) -> T:
    """Do a step that is short while no fork comes; others may come between two."""
    with no_fork:
        return step()


def check(link: Link, path: str, checksum: Checksum) -> list[CorruptionError]:
    """Everything that is wrong in a database, in one state of it, which is read from then on."""
    try:
        begin_reading(link)
        return [CorruptionError(reason, file=path) for reason in _reasons(link, checksum)]
    except ERRORS as error:
        found = mapped(error, path)
        if not isinstance(found, CorruptionError):
            raise
        return [found]


def _reasons(link: Link, checksum: Checksum) -> Iterator[str]:
    for (told,) in link.execute("PRAGMA integrity_check"):
        if told != "ok":
            yield told
    find = "SELECT id, name, count, sum FROM containers ORDER BY id"
    rows = cast("list[tuple[int, str, int, int]]", link.execute(find).fetchall())
    for number, name, count, found in rows:
        if checksum(name, "") != found:
            yield f"the name of a container, now {show(name)}, is not what was written"
        yield from _reasons_of_table(link, number, name, count, checksum)


def _reasons_of_table(
    link: Link, number: int, name: str, count: int, checksum: Checksum
) -> Iterator[str]:
    real = 0
    rows = link.execute(f"SELECT key, value, sum FROM c{number:d}")  # noqa: S608 - a number of ours
    for key, value, found in rows:
        real += 1
        if checksum(key, value) != found:
            yield f"the item {show(key)} of container {show(name)} is not what was written"
    if real != count:
        yield f"container {show(name)} has {real} items, and its count is {count}"
