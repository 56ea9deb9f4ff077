"""The containers of a store in a folder: in one SQLite file in its ``.objstore``."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any, Final

from objstore._forks import rest
from objstore.containers import Containers
from objstore.errors import ClosedError, DuplicateStorageError, StorageNotFoundError
from objstore.storage import Storage

from . import storages
from .checks import check_options, check_wait
from .filesystem import git, names
from .filesystem.io import Files
from .sqlite import SqliteStorage


def open_containers(
    root: str | os.PathLike[str],
    *,
    readonly: bool = False,
    durability: str = "full",
    wait: float = storages.WAIT,
    umask: int | None = None,
) -> Containers:
    """The containers of the store in a folder; the first write makes their file, and the folder.

    ``durability``, ``wait`` and ``umask`` are those of SqliteStorage.
    """
    check_options(durability, "eager")
    files = Files(os.fspath(root), umask=umask)
    return Containers(_Lazily(files, readonly=readonly, durability=durability, wait=wait))


class _Lazily:
    """Opens the storage when it is first used, and makes it when it is first written to."""

    def __init__(self, files: Files, *, readonly: bool, durability: str, wait: float) -> None:
        self._files: Final = files
        self._path: Final = names.containers(files.root)
        self._readonly: Final = readonly
        self._durability: Final = durability
        self._wait: Final = check_wait(wait)
        self._lock = Lock()
        self._storage: Storage | None = None  # guarded by _lock for writing
        self._is_secure = self._closed = False
        self._readers: Final[list[int]] = []
        """The threads in whose blocks there is no storage, whoever makes one: once for each."""
        rest(self, is_medium=True)

    def __repr__(self) -> str:
        return self._path

    def resting_locks(self) -> Collection[Any]:
        """With which nobody is making the storage."""
        return (self._lock,)

    def begin_in_child(self, held: Collection[Any]) -> None:
        """In the child of a fork, where the thread that was at it is not."""
        if self._lock not in held:
            self._lock = Lock()

    def __call__(self, create: bool) -> Storage | None:
        if self._readers and get_ident() in self._readers:
            if create:
                raise storages.reading(self._path)
            if not self._closed:
                return None
        if self._storage is not None and (self._is_secure or not create):
            return self._storage
        with self._lock:
            if self._closed:
                raise ClosedError(f"the containers of {self._files.root} are closed")
            if self._storage is None:
                self._storage = self._opened(create)
            if create:
                self._secure()
            return self._storage

    def _secure(self) -> None:
        """Have the names of the folders above on the disk, whoever made them: once for a handle."""
        if not (self._is_secure or self._readonly):
            for folder in (self._files.root, os.path.dirname(self._files.root)):
                self._files.sync_folder(folder)
        self._is_secure = True

    def _opened(self, create: bool) -> Storage | None:
        try:
            return self._open(create=False)
        except StorageNotFoundError:
            if self._files.exists(self._path):
                # Another process may have made it just now.
                return self._open(create=False)
        if not create:
            return None
        if self._readonly:
            raise storages.readonly(self._path)
        try:
            made = self._open(create=True)
        except DuplicateStorageError:  # another process was faster
            return self._open(create=False)
        git.keep_out(self._files, self._files.root)
        return made

    def _open(self, *, create: bool) -> Storage:
        return SqliteStorage(
            self._path,
            create,
            self._readonly,
            durability=self._durability,
            wait=self._wait,
            umask=self._files.umask,
        )

    @contextmanager
    def reading(self) -> Generator[None]:
        thread = get_ident()
        self._readers.append(thread)
        try:
            yield
        finally:
            self._readers.remove(thread)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._storage is not None:
                self._storage.close()
