"""By hand: what a careful program does with files and orjson, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final, Self

import orjson

from objstore.backings.filesystem import exchange as renames

from .data import Record, document, records
from .harness import Scene

_RESERVED: Final = 1 << 24


def load(path: str) -> Any:
    with open(path, "rb") as file:
        return orjson.loads(file.read())


def dump(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def replace(path: str, data: bytes, *, sync_folder: bool = True) -> None:
    """Replace a file so that it is old or new whatever happens, and new when this returns.

    Without ``sync_folder`` a power cut may bring the old file back.
    """
    temporary = f"{path}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    if sync_folder:
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def people_files(folder: str, people: Mapping[str, Record]) -> str:
    """A folder with ``people/<key>.json``."""
    os.mkdir(f"{folder}/people")
    for name, person in people.items():
        write(f"{folder}/people/{name}.json", dump(person))
    return folder


def many_people(scene: Scene) -> str:
    return people_files(scene.new_folder("many"), records(scene.sizes.files))


def some_people(scene: Scene) -> str:
    return people_files(scene.new_folder("some"), records(scene.sizes.listed))


def large_document(scene: Scene) -> str:
    """A folder with ``doc.json``: many small records."""
    return _document_file(scene, dump(document(scene.sizes.large, dense=True)))


def large_in_one_line(scene: Scene) -> str:
    """The same contents as ``large_document``, as programs write them."""
    return _document_file(scene, orjson.dumps(document(scene.sizes.large, dense=True)))


def large_text(scene: Scene) -> str:
    """A folder with ``doc.json``: records of which most is text."""
    return _document_file(scene, dump(document(scene.sizes.large)))


def _document_file(scene: Scene, data: bytes) -> str:
    folder = scene.new_folder("large")
    write(f"{folder}/doc.json", data)
    return folder


class Log:
    """A file that only grows, each record durable when ``append`` returns."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def append(self, data: bytes) -> None:
        os.write(self._descriptor, data)
        os.fsync(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


class Reserved(Log):
    """The same with its space reserved and zeroed ahead: nothing but the record is to be synced.

    Of what a log must do it does the least: no lock, no checksum, no look at what others wrote.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        os.write(self._descriptor, bytes(_RESERVED))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = os.open(path, os.O_WRONLY)
        self._end = 0

    def append(self, data: bytes) -> None:
        if self._end + len(data) > _RESERVED:
            self._end = 0
        self._end += os.pwrite(self._descriptor, data, self._end)
        os.fdatasync(self._descriptor)


class Shared(Reserved):
    """The same for threads: the first of those that wait writes and syncs for all of them."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._guard: Final = Lock()
        self._turn: Final = Lock()
        self._waiting: list[tuple[bytes, Lock]] = []

    def append(self, data: bytes) -> None:
        mine = Lock()
        mine.acquire()
        with self._guard:
            self._waiting.append((data, mine))
            leads = len(self._waiting) == 1
        if not leads:
            mine.acquire()
            return
        with self._turn:
            with self._guard:
                group, self._waiting = self._waiting, []
            super().append(b"".join(line for line, _ in group))
        for _, theirs in group:
            theirs.release()


def exchange(path: str, data: bytes) -> None:
    """Replace a file in one step, without a sync; what ext4 does at a rename is not waited for."""
    temporary = f"{path}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    renames.exchange(temporary, path)
    os.unlink(temporary)
