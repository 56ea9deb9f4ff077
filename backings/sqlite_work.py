"""A thread's transaction on an SQLite file, and how one begins where other processes write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock
from typing import Final, TypeVar

import apsw

from objstore._turns import Taken

from .sqlite_links import ERRORS, Link, Links, is_busy, is_overtaken, is_unwritable, mapped
from .sqlite_tables import begin_reading
from .transacting import Ending

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.0002
_LONGEST_PAUSE: Final = 0.01
"""Seconds between two looks at whether another process is still writing."""


class Work(Ending):
    """A thread's transaction on a connection of its own."""

    ended = True
    """Also as long as it is being made."""

    def __init__(self, links: Links, link: Link, turn: Lock, taken: Taken) -> None:
        self.link: Final = link
        self.taken: Final = taken
        """Whether it has the turn to write."""
        self.writes = bool(taken)
        """Whether it may: with the turn, and overtaken by nobody."""
        self.has_read = False
        self.has_new_tables = False
        """Whether names may mean tables that others will not see."""
        self._savepoints = 0
        self._has_left = False
        self._links: Final = links
        self._turn: Final = turn
        self._process: Final = os.getpid()
        link.is_held = True
        self.ended = False

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Take back what the block did when an exception leaves it, if the transaction goes on."""
        self.link.execute("SAVEPOINT sp")
        self._savepoints += 1
        try:
            yield
        except BaseException:
            if not self.ended:
                self.link.execute("ROLLBACK TO sp")
                self.link.execute("RELEASE sp")
            raise
        else:
            if not self.ended:
                self.link.execute("RELEASE sp")
        finally:
            self._savepoints -= 1

    def again_within_savepoints(self) -> None:
        """Have the savepoints again that a ROLLBACK has ended, in a transaction begun anew."""
        for _ in range(self._savepoints):
            self.link.execute("SAVEPOINT sp")

    def end(self) -> None:
        """As the class says."""
        if self.ended:
            return
        try:
            if not self._has_left:
                self.link.execute("ROLLBACK")
        except apsw.Error:
            # SQLite has rolled back already; closing does it in any case.
            self.leave(whole=False)
        else:
            self.leave()

    def fail(self, error: BaseException | None) -> None:
        """Roll back, as a statement that writes raised this."""
        if is_unwritable(error):
            self.leave(whole=False, error=error)
        else:
            self.end()

    def leave(self, *, whole: bool = True, error: BaseException | None = None) -> None:
        """Give back the connection, in no transaction any more, and the turn."""
        try:
            if not self._has_left:
                if whole:
                    self._has_left = True  # once at most, as the next one may have it then
                    self.link.is_held = False
                    self._links.give(self.link, write=True)
                else:
                    self._links.drop(self.link, error)
                    self._has_left = True
        finally:
            if self.taken:
                del self.taken[:]
                self._turn.release()
        self.ended = True

    def __del__(self) -> None:
        # The thread ended in the middle of it. In a forked child it is the parent's.
        if not self.ended and self._process == os.getpid():
            self.leave(whole=False)


def begin_writing(links: Links, wait: float, path: str) -> Link:
    """A connection that may write, as soon as no other process does."""

    def begin() -> Link:
        link = links.take(write=True)
        try:
            link.execute("BEGIN IMMEDIATE")
        except BaseException as error:
            # Not kept while this thread waits, so that the process can fork meanwhile.
            links.give_failed(link, error)
            raise
        return link

    return patiently(begin, wait, path)


def begin_to_read(links: Links, wait: float, path: str) -> Link:
    """A connection that sees one state, and may come to write."""
    link = links.take(write=True)
    try:
        patiently(lambda: begin_reading(link), wait, path)
    except BaseException:
        links.drop(link)
        raise
    return link


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
