"""Keys and values in files: ours and others', for the same few operations.

All take and give text, and every write is durable unless a note says otherwise.
"""

from __future__ import annotations

import shelve
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from objstore import Storage

from . import peers

Pair = tuple[str, str]


class Shelf(Protocol):
    """What is measured of a key/value store."""

    def batch(self, pairs: list[Pair]) -> None: ...
    def put(self, key: str, value: str) -> None: ...
    def get(self, key: str) -> str: ...
    def scan(self) -> Iterable[Pair]: ...
    def transaction(self) -> AbstractContextManager[Any]:
        """For many gets of one state, where there is such a thing."""
        ...

    def close(self) -> None: ...


Make = Callable[[str], Shelf]
"""Opens a shelf at a path, and makes it if it is not there."""


class Ours:
    """A Storage with one container."""

    def __init__(self, make: Callable[..., Storage], path: str, **options: Any) -> None:
        try:
            self._storage = make(path, create=True, **options)
            self._storage.add_container("c")
        except FileExistsError:
            self._storage = make(path, **options)

    def batch(self, pairs: list[Pair]) -> None:
        self._storage.set_container_items("c", pairs)

    def put(self, key: str, value: str) -> None:
        self._storage.set_container_item("c", key, value)

    def get(self, key: str) -> str:
        return self._storage.get_container_item("c", key)  # type: ignore[return-value]

    def scan(self) -> Iterable[Pair]:
        return self._storage.get_container_items("c")  # type: ignore[return-value]

    def transaction(self) -> AbstractContextManager[Any]:
        return self._storage.transaction(write=False)

    def close(self) -> None:
        self._storage.close()


class Sqlite:
    """The standard library's, with a table like ours but for the checksum."""

    def __init__(self, path: str, *, table: str = "WITHOUT ROWID") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT) {table}"
        )

    def batch(self, pairs: list[Pair]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR REPLACE INTO kv VALUES (?, ?)", pairs)
        self._connection.execute("COMMIT")

    def put(self, key: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, value))

    def get(self, key: str) -> str:
        found = self._connection.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return found[0]  # type: ignore[no-any-return]

    def scan(self) -> Iterable[Pair]:
        return self._connection.execute("SELECT key, value FROM kv ORDER BY key")

    def transaction(self) -> AbstractContextManager[Any]:
        self._connection.execute("BEGIN")
        return _Ends(lambda: self._connection.execute("COMMIT"))

    def close(self) -> None:
        self._connection.close()


class Apsw(Sqlite):
    """Another binding of SQLite."""

    def __init__(self, path: str) -> None:
        apsw = peers.need("apsw")
        self._connection = apsw.Connection(path)
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
        ):
            self._connection.execute(statement).fetchall()

    def get(self, key: str) -> str:
        found = next(self._connection.execute("SELECT value FROM kv WHERE key = ?", (key,)))
        return found[0]  # type: ignore[no-any-return]


class _Ends:
    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._end()


class Lmdb:
    """The binding that ours uses, with text encoded and decoded as ours is."""

    def __init__(self, path: str) -> None:
        self._env = peers.need("lmdb").open(path, map_size=2**40)
        self._txn: Any = None

    def batch(self, pairs: list[Pair]) -> None:
        with self._env.begin(write=True) as txn:
            txn.cursor().putmulti((key.encode(), value.encode()) for key, value in pairs)

    def put(self, key: str, value: str) -> None:
        with self._env.begin(write=True) as txn:
            txn.put(key.encode(), value.encode())

    def get(self, key: str) -> str:
        if self._txn is not None:
            return self._txn.get(key.encode()).decode()  # type: ignore[no-any-return]
        with self._env.begin() as txn:
            return txn.get(key.encode()).decode()  # type: ignore[no-any-return]

    def scan(self) -> Iterator[Pair]:
        with self._env.begin() as txn:
            for key, value in txn.cursor().iternext():
                yield key.decode(), value.decode()

    def transaction(self) -> AbstractContextManager[Any]:
        self._txn = self._env.begin()

        def end() -> None:
            self._txn.abort()
            self._txn = None

        return _Ends(end)

    def close(self) -> None:
        self._env.close()


class Mapping:
    """What behaves as a dict."""

    def __init__(self, mapping: Any, commit: Callable[[], object] = lambda: None) -> None:
        self._mapping = mapping
        self._commit = commit

    def batch(self, pairs: list[Pair]) -> None:
        self._mapping.update(pairs)
        self._commit()

    def put(self, key: str, value: str) -> None:
        self._mapping[key] = value
        self._commit()

    def get(self, key: str) -> str:
        return self._mapping[key]  # type: ignore[no-any-return]

    def scan(self) -> Iterable[Pair]:
        return self._mapping.items()  # type: ignore[no-any-return]

    def transaction(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def close(self) -> None:
        if not isinstance(self._mapping, dict):
            self._mapping.close()


def sqlitedict(path: str) -> Shelf:
    made = peers.need("sqlitedict").SqliteDict(path, encode=str, decode=str)
    return Mapping(made, made.commit)


class DiskCache(Mapping):
    """With its settings for durability, and without its limit of size."""

    def __init__(self, path: str) -> None:
        self._cache = peers.need("diskcache").Cache(
            path, sqlite_synchronous=2, eviction_policy="none", size_limit=2**40
        )
        super().__init__(self._cache)

    def batch(self, pairs: list[Pair]) -> None:
        with self._cache.transact():
            for key, value in pairs:
                self._cache[key] = value

    def scan(self) -> Iterator[Pair]:
        return ((key, self._cache[key]) for key in self._cache)

    def transaction(self) -> AbstractContextManager[Any]:
        return self._cache.transact()  # type: ignore[no-any-return]


class RocksDict(Mapping):
    """RocksDB, with a sync for every write."""

    def __init__(self, path: str) -> None:
        self._rocks = peers.need("rocksdict")
        options = self._rocks.WriteOptions()
        options.sync = True
        made = self._rocks.Rdict(path)
        made.set_write_options(options)
        super().__init__(made)

    def batch(self, pairs: list[Pair]) -> None:
        batch = self._rocks.WriteBatch()
        for key, value in pairs:
            batch.put(key, value)
        self._mapping.write(batch)


def shelved(path: str) -> Shelf:
    made = shelve.open(path)  # noqa: SIM115 - closed by the shelf
    return Mapping(made, made.sync)
