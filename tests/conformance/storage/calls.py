"""What the tests of every maker of Storage share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from objstore.storage import Lists, Scans, Storage

ODD = [
    "",
    " ",
    'it\'s "quoted"; DROP TABLE items; --',
    "a;b",
    "`[x]`%_?*",
    "🦄 é ß 漢字",
    "nul\0inside",
    "\0",
    "../../etc/passwd",
    "a/b\\c",
    "new\nline\r\n\ttab",
    "sqlite_master",
    "1",
    "true",
    "x" * 10_000,
    "x" * 9_999 + "y",
    "漢" * 3_500,
    "\U0010ffff",
    "\ud7ff",
    "\ue000",
]
"""Names and keys of any text."""


def in_thread(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(timeout=60)


def read_a(storage: Storage) -> Any:
    return storage.get_container_item("letters", "a")


WRITES: dict[str, Callable[[Storage], object]] = {
    "add_container": lambda s: s.add_container("new"),
    "clear": lambda s: s.clear(),
    "clear_container": lambda s: s.clear_container("letters"),
    "delete_container": lambda s: s.delete_container("letters"),
    "delete_container_item": lambda s: s.delete_container_item("letters", "a"),
    "delete_container_items": lambda s: s.delete_container_items("letters", ["a"]),
    "set_container_item": lambda s: s.set_container_item("letters", "a", "1"),
    "set_container_items": lambda s: s.set_container_items("letters", {"a": "1"}),
}

READS: dict[str, Callable[[Storage], object]] = {
    "get_container_item": read_a,
    "get_container_items": lambda s: list(s.get_container_items("letters")),
    "get_container_items of keys": lambda s: list(s.get_container_items("letters", ["a"])),
    "get_container_keys": lambda s: list(s.get_container_keys("letters")),
    "get_container_len": lambda s: s.get_container_len("letters"),
    "get_containers": lambda s: list(s.get_containers()) if isinstance(s, Lists) else None,
    "scan": lambda s: list(s.scan("letters")) if isinstance(s, Scans) else None,
}
