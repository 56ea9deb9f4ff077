"""The tables of a Storage in SQLite: statements on them, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from operator import add
from typing import Any, Final, NamedTuple, cast

from objstore.storage import Items, Value, as_text, as_value

from .checksums import crc32c
from .pairs import Pairs
from .sqlite_links import Link

FIRST_ROWS: Final = 16
ROWS: Final = 512
"""How many items are fetched at a time, at first and in the end."""

_NO_CHECKSUM: Final = 2**40

_GROW: Final = "UPDATE containers SET count = count + ? WHERE id = ?"

Row = tuple[str, Value, int]
"""A key, its value and their checksum."""


class Table(NamedTuple):
    """A container's table, and the statements on it."""

    id: int
    touch: str
    get: str
    insert: str
    update: str
    delete: str

    @classmethod
    def numbered(cls, number: int) -> Table:
        """The table of a container's number."""
        name = f"c{number:d}"
        return cls(
            number,
            touch=f"SELECT 1 FROM {name} LIMIT 1",  # noqa: S608 - a number of ours
            get=f"SELECT value, sum FROM {name} WHERE key = ?",  # noqa: S608 - a number of ours
            insert=f"INSERT OR IGNORE INTO {name} (key, value, sum) VALUES (?, ?, ?)",  # noqa: S608
            update=f"UPDATE {name} SET value = ?, sum = ? WHERE key = ?",  # noqa: S608
            delete=f"DELETE FROM {name} WHERE key = ?",  # noqa: S608
        )

    def scan(self, *, upto: bool, reverse: bool, after: bool = False) -> str:
        """From a key on, or behind it; and before another, if so."""
        return (
            f"SELECT key, value, sum FROM c{self.id:d} "  # noqa: S608 - a number of ours
            f"WHERE key {'>' if after else '>='} ? {'AND key < ?' if upto else ''} "
            f"ORDER BY key {'DESC' if reverse else 'ASC'}"
        )


def checksum(key: object, value: object) -> int:
    """What is stored beside a value: CRC-32C of key and value; of bytes, its complement.

    Of what is neither text nor bytes, as only damage makes it, a number that is no checksum.
    """
    if isinstance(key, str):
        if isinstance(value, str):
            return crc32c((key + value).encode())
        if isinstance(value, bytes):
            return ~crc32c(key.encode() + value)
    return _NO_CHECKSUM


def texts(rows: list[Row]) -> Iterable[tuple[str, str]] | None:
    """The items of rows; None where not all are text, or one is not what was written.

    Without a loop in Python: by ``checksum`` it would take as long as all the rest.
    """
    keys, values, sums = zip(*rows, strict=True)
    try:
        found = tuple(map(crc32c, map(str.encode, map(add, keys, values))))
    except TypeError:
        return None
    return zip(keys, values, strict=True) if found == sums else None


def begin_reading(link: Link) -> None:
    # BEGIN alone takes no snapshot; the first statement that reads does.
    link.execute("BEGIN")
    link.execute("SELECT 1 FROM containers LIMIT 1").fetchone()


def table_size(link: Link, table: Table) -> int:
    """How many items a container should have."""
    row = link.execute("SELECT count FROM containers WHERE id = ?", (table.id,)).fetchone()
    return cast("tuple[int]", row)[0]


def touched(link: Link, table: Table) -> Table:
    """The table, if it is there."""
    link.execute(table.touch).fetchone()
    return table


def get(link: Link, table: Table, key: str) -> tuple[Value, int] | None:
    try:
        found = link.execute(table.get, (key,)).fetchone()
    except UnicodeEncodeError:  # no stored key has such text
        return None
    return cast("tuple[Value, int] | None", found)


def fetch(
    link: Link, table: Table, low: str, high: str | None, reverse: bool, after: bool
) -> list[Row]:
    """The next rows of a scan."""
    upto = high is not None
    statement = table.scan(upto=upto, reverse=reverse, after=after) + f" LIMIT {ROWS:d}"
    found = link.execute(statement, (low, high) if upto else (low,)).fetchall()
    return cast("list[Row]", found)


def batch(items: Items) -> list[Row]:
    """The rows of a batch, in the order of keys."""
    rows: list[Row] = []
    for keys, values in Pairs(items).parts():
        rows += _text_rows(keys, values) if set(map(type, values)) == {str} else _rows(keys, values)
    return rows


def _text_rows(keys: list[str], values: list[str]) -> Iterable[Row]:
    try:
        sums = list(map(crc32c, map(str.encode, map(add, keys, values))))
    except UnicodeEncodeError:
        return _rows(keys, values)
    return zip(keys, values, sums, strict=True)


def _rows(keys: Iterable[str], values: Iterable[Any]) -> Iterable[Row]:
    for key, given in zip(keys, values, strict=True):
        value = as_value(given)
        yield as_text(key), value, checksum(key, value)


def put(link: Link, table: Table, row: Row) -> None:
    if not replace(link, table, row):
        link.execute(table.insert, row)
        link.execute(_GROW, (1, table.id))


def replace(link: Link, table: Table, row: Row) -> bool:
    """Set the value of a key that is there, and say whether it was."""
    key, value, found = row
    link.execute(table.update, (value, found, key))
    return link.changes() == 1


def put_all(link: Link, table: Table, rows: list[Row]) -> None:
    """Set the values of many keys; the count grows by those that are new."""
    if not rows:
        touched(link, table)
        return
    new = _changes(link, table.insert, rows)
    if new != len(rows):
        link.executemany(table.update, [(value, found, key) for key, value, found in rows])
    if new:
        link.execute(_GROW, (new, table.id))


def remove(link: Link, table: Table, keys: list[str]) -> int:
    if not keys:
        touched(link, table)
        return 0
    gone = _changes(link, table.delete, zip(keys, strict=True))
    if gone:
        link.execute(_GROW, (-gone, table.id))
    return gone


def _changes(link: Link, statement: str, rows: Iterable[tuple[Value | int, ...]]) -> int:
    """Do a statement for each of the rows; how many rows of the table that has changed."""
    before = link.total_changes()
    link.executemany(statement, rows)
    return link.total_changes() - before
