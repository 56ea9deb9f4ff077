"""Callbacks: they hear of changes, on one thread of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread, current_thread
from typing import Final, NamedTuple

from ._feed import Feed
from ._news import Invalid, News, concerns
from ._touched import touches
from .documents import Commit
from .errors import BackingError, ObjstoreError, SlowConsumerError

_logger: Final = logging.getLogger(__name__)

_PAUSE: Final = 0.5
"""How many seconds pass before the log is read again that could not be."""

Callback = Callable[[News], object]


class _Listener(NamedTuple):
    path: str
    callback: Callback
    after: int
    """The head when it was made: what waits to be told from before is not for it."""


class Callbacks:
    """Calls callbacks with the news of a store, one after another, as they were added.

    ``make_feed`` makes a feed of all that happens behind a commit, or from now on, for who was told
    that some units are broken; ``head`` is the newest commit, and ``broken`` are those known to be.
    """

    def __init__(
        self,
        make_feed: Callable[[int | None, Mapping[str, Invalid]], Feed[News]],
        head: int,
        broken: Mapping[str, Invalid],
        name: str,
    ) -> None:
        self._make_feed: Final = make_feed
        # Of the thread's own.
        self._told = head
        """The last commit that there is no more to say of."""
        self._broken: Final = dict(broken)
        """What was told of the units that were not mended since."""
        self._process: Final = os.getpid()
        self._lock: Final = Lock()
        # Guarded by _lock.
        self._listeners: Final[dict[object, _Listener]] = {}
        self._feed = make_feed(None, self._broken)
        self._ended: Final = Event()
        self._thread: Final = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it tells: not in a forked child, which has the parent's threads no more."""
        return self._process == os.getpid()

    def add(self, path: str, callback: Callback, head: int) -> Callable[[], None]:
        """Tell ``callback`` what touches ``path`` from now on; the result ends it."""
        key = object()
        with self._lock:
            self._listeners[key] = _Listener(path, callback, head)

        def end() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return end

    def end(self) -> None:
        """Tell nothing any more. When this returns, no callback runs but the one that called it."""
        if not self.is_alive:
            return
        with self._lock:
            self._ended.set()
            feed = self._feed
        feed.close()
        if current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            try:
                for news in self._feed:
                    self._tell(news)
                return
            except SlowConsumerError:
                # Callbacks that take their time miss nothing: it is in the log, and what is broken
                # is known.
                goes_on = self._begin_again(self._told)
            except BackingError as error:
                # What could not be read, as where no more files may be opened, comes again.
                _logger.warning("callbacks hear of changes later: %s", error)
                self._ended.wait(_PAUSE)
            except ObjstoreError as error:
                _logger.warning("callbacks missed changes: %s", error)
                goes_on = self._begin_again(None)

    def _begin_again(self, after: int | None) -> bool:
        feed = self._make_feed(after, self._broken)
        with self._lock:
            if self._ended.is_set():
                feed.close()
                return False
            self._feed = feed
        return True

    def _tell(self, news: News) -> None:
        if isinstance(news, Commit):
            self._told = news.number
        elif isinstance(news, Invalid):
            self._broken[news.unit] = news
        else:
            self._broken.pop(news.unit, None)
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            if _is_for(news, listener):
                try:
                    listener.callback(news)
                except BaseException:  # nobody else gets it here, and others want to hear as well
                    _logger.exception("a callback for changes of %r failed", listener.path)


def _is_for(news: News, listener: _Listener) -> bool:
    if isinstance(news, Commit):
        return news.number > listener.after and touches(news, listener.path)
    return concerns(news.unit, listener.path)
