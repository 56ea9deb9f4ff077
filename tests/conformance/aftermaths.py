"""What may have befallen a store before a test: a suite that takes these runs after each of them.

Each takes a store and how to open it again, and gives one with the same contents.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from objstore import Store

from .retentions import NEWEST

Again: TypeAlias = Callable[[], Store[Any]]
Aftermath: TypeAlias = Callable[[Store[Any], Again], Store[Any]]


def nothing(store: Store[Any], again: Again) -> Store[Any]:
    return store


def reopening(store: Store[Any], again: Again) -> Store[Any]:
    store.close()
    return again()


def loss_of_what_is_disposable(store: Store[Any], again: Again) -> Store[Any]:
    """The index is gone, and all else that is made anew of the logs."""
    store.switch_and_snapshot()
    store.close()
    if not _in_memory(store):
        (Path(store.url) / ".objstore/index").unlink()
    return again()


def crash(store: Store[Any], again: Again) -> Store[Any]:
    """The folder as a kill leaves it: what was open is not closed, and no mark says that it was."""
    if _in_memory(store):
        return again()
    left = Path(store.url).with_suffix(".left")
    shutil.copytree(store.url, left)
    store.close()
    shutil.rmtree(store.url)
    left.rename(store.url)
    return again()


def compaction(store: Store[Any], again: Again) -> Store[Any]:
    """Of all commits only the newest one is left, and not of those that filled the store."""
    store["/anything"] = {}
    del store["/anything"]
    store.compact(NEWEST)
    assert [commit.number for commit in store.log()] == [store.head]
    return store


def _in_memory(store: Store[Any]) -> bool:
    return store.url.startswith("memory:")


KEEPING_THE_PAST: list[Aftermath] = [nothing, reopening, loss_of_what_is_disposable, crash]
"""Those that also leave the commits and their numbers as they were."""

ALL: list[Aftermath] = [*KEEPING_THE_PAST, compaction]


def name_of(aftermath: Aftermath) -> str:
    return aftermath.__name__
