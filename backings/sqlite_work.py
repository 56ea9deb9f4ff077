"""A thread's transaction on an SQLite file, and how one begins where other processes write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Lock
from typing import Final, TypeVar

import apsw

from .sqlite_links import ERRORS, Link, Links, is_busy, is_overtaken, mapped

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.0002
_LONGEST_PAUSE: Final = 0.01
"""Seconds between two looks at whether another process is still writing."""


class Work:
    """A thread's transaction on a connection of its own."""

    def __init__(self, links: Links, link: Link, turn: Lock, *, writes: bool) -> None:
        self.link: Final = link
        self.writes = writes
        """Whether it has the turn to write."""
        self.has_read = False
        self.has_new_tables = False
        """Whether names may mean tables that others will not see."""
        self.ended = False
        self._links: Final = links
        self._turn: Final = turn
        self._process: Final = os.getpid()
        links.hold(link)

    def end(self, *, whole: bool = True) -> None:
        """Give back the connection, in no transaction any more, and the turn."""
        self.ended = True
        if whole:
            self._links.release(self.link)
            self._links.give(self.link, write=True)
        else:
            self._links.drop(self.link)
        if self.writes:
            self.writes = False
            self._turn.release()

    def __del__(self) -> None:
        # The thread ended in the middle of it. In a forked child it is the parent's.
        if not self.ended and self._process == os.getpid():
            self.end(whole=False)


def begin_writing(links: Links, wait: float, path: str) -> Link:
    """A connection that may write, as soon as no other process does."""

    def begin() -> Link:
        link = links.take(write=True)
        try:
            link.execute("BEGIN IMMEDIATE")
        except apsw.Error:
            # Not kept while this thread waits, so that the process can fork meanwhile.
            links.give(link, write=True)
            raise
        except BaseException:
            links.drop(link)
            raise
        return link

    return patiently(begin, wait, path)


def patiently(step: Callable[[], T], wait: float, path: str) -> T:
    """Do a first step as soon as no other process is in its way.

    Raises BusyError after ``wait`` seconds, and what else the error of SQLite means.
    """
    end, pause = time.monotonic() + wait, _FIRST_PAUSE
    while True:
        try:
            return step()
        except ERRORS as error:
            left = end - time.monotonic()
            if not is_busy(error) or is_overtaken(error) or left <= 0:
                raise mapped(error, path, wait) from error
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
