"""A feed of commits: those of the past, then each as it is made, without a gap and none twice.

Between commits it has what a store tells of files that somebody broke or mended (``tell``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from threading import Condition, Lock, RLock
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import ref

from ._news import Invalid, Mended, News, concerns
from ._touched import touches
from ._turns import take_first
from .documents import Commit, Documents
from .errors import ClosedError, SlowConsumerError
from .pointer import split

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    N = TypeVar("N", bound=News, default=Commit)
else:
    from typing import TypeVar

    N = TypeVar("N")


class _TooLateError(Exception):
    """Nothing came in time. No TimeoutError, as the handler of a signal may raise one anywhere."""


class Feed(Iterator[N]):
    """The commits of a store that touch a path, in their order, as an iterator that waits for more.

    With ``after``, a commit's number, it begins with the one that follows; otherwise with the next
    that is made. It ends when it is closed, from whichever thread, or when nobody has it any more.
    Any number of threads and tasks may take from it; each commit goes to one of them.

    At most ``limit`` commits wait to be taken. When more come, the feed is dropped: those that wait
    can still be taken, and then it raises SlowConsumerError. No commit ever waits for a feed.
    ``before`` is called with each by the thread that takes it.

    Raises, here or with the first commit taken, what ``Documents.commits`` does. Whoever is
    interrupted in taking one, or gets an error, has taken none: it comes again.
    """

    def __init__(
        self,
        documents: Documents,
        *,
        after: int | None = None,
        path: str = "",
        limit: int = 1024,
        before: Callable[[Commit], None] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        split(path)  # raises for text that is no pointer
        self._documents: Final = documents
        self._path: Final = path
        self._limit: Final = limit
        self._before: Final = before
        self._replaying = Lock()
        # Guarded by _replaying; once it is not replaying any more, _last is guarded by _lock.
        self._last = self._begin = -1 if after is None else after
        self._is_replaying = after is not None
        self._replay: Iterator[Commit] | None = None
        """None also before it begins, or begins anew; taken away by who closes the feed."""
        self._returned: Final[deque[News]] = deque()
        """What was taken by who did not come to have it. Guarded by _replaying as it is taken."""
        # Entered by itself: the Condition's methods are Python's, and may be interrupted amid it.
        self._lock = RLock()
        self._changed = Condition(self._lock)
        # Guarded by _lock.
        self._waiting: Final[deque[News]] = deque()
        self._wakers: Final[set[Callable[[], None]]] = set()
        self._dropped_at = ""
        self._closed = False
        self._end: Callable[[], None] | None = None
        if after is None:
            self._listen()

    def take(self, timeout: float | None = None) -> N | None:
        """The next commit or other news; None once the feed is closed.

        Raises TimeoutError when none comes within ``timeout`` seconds, SlowConsumerError.
        """
        try:
            return self._next_until(None if timeout is None else monotonic() + timeout)
        except _TooLateError:
            raise TimeoutError from None

    def _next_until(self, until: float | None) -> N | None:
        """``take``, but for what tells that nothing came."""
        taken: list[Any] = []
        try:
            self._take(taken, until)
            for news in taken:
                if self._before is not None and isinstance(news, Commit):
                    self._before(news)
        except BaseException:
            self._returned.extend(taken)
            raise
        return taken[0] if taken else None  # and nothing is called any more

    def begin_in_child(self) -> None:
        """In the child of a fork, where none of the parent's threads is amid anything here."""
        self._replaying, self._lock = Lock(), RLock()
        self._changed = Condition(self._lock)
        self._replay = None  # one of them may be at it

    def tell(self, news: Invalid | Mended) -> None:
        """Have the feed say something of a unit, if it is near its path."""
        if concerns(news.unit, self._path):
            self._put(news, f"news of {news.source}")

    def close(self) -> None:
        """End the feed, for whoever waits as well. Closing again does nothing."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._returned.clear()
            self._wake()
        self._replay = None  # which lets go of its file
        self._stop()

    def __next__(self) -> N:
        news = self.take()
        if news is None:
            raise StopIteration
        return news

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> N:
        import asyncio  # only who runs a loop has paid for it

        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # a loop that was closed has nobody who waits
                loop.call_soon_threadsafe(arrived.set)

        with self._lock:
            self._wakers.add(wake)
        try:
            while True:
                arrived.clear()
                try:
                    commit = self._next_until(0)
                except _TooLateError:
                    await arrived.wait()
                    continue
                if commit is None:
                    raise StopAsyncIteration
                return commit
        finally:
            with self._lock:
                self._wakers.discard(wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the past, with _replaying held -----------------------------------------------------------

    def _take_past(self, taken: list[News]) -> None:
        if self._closed:
            return
        if self._returned:
            take_first(self._returned, taken)
        elif self._is_replaying:
            replay = self._replay = self._replay or self._replayed()
            try:
                taken.extend(islice(replay, 1))
            except BaseException:
                self._replay = None  # an iterator that has raised has ended
                raise
            if not taken:
                self._is_replaying, self._replay = False, None

    def _replayed(self) -> Iterator[Commit]:
        """The commits up to now, and then those made while they were taken.

        Only the last of them wait in the queue as well, so that a long past does not fill it. What
        was taken may be compacted meanwhile; only what it begins after must be there.
        """
        head = self._documents.head()
        begins = self._last == self._begin
        yield from self._past(self._documents.commits if begins else self._documents.commits_left)
        self._last = max(self._last, head)
        if self._end is None:
            self._listen()
        yield from self._past(self._documents.commits_left)

    def _past(self, commits: Callable[[int, str], Iterator[Commit]]) -> Iterator[Commit]:
        for commit in commits(self._last, self._path):
            shown = commit.without_numbers()
            self._last = commit.number  # and nothing is called any more before it is taken
            yield shown

    # --- what is made from now on -----------------------------------------------------------------

    def _listen(self) -> None:
        me, ends = ref(self), list[Callable[[], None]]()

        def hear(commit: Commit) -> None:
            feed = me()
            if feed is not None:
                feed._hear(commit)
            elif ends:  # not as it is collected, which may be amid anything
                ends.pop()()

        end = self._documents.listen(hear)
        ends.append(end)
        with self._lock:
            self._end = end
            stopped = self._closed
        if stopped:
            end()

    def _hear(self, commit: Commit) -> None:
        if not self._path or touches(commit, self._path):
            self._put(commit.without_numbers(), f"commit {commit.number}")

    def _put(self, news: News, name: str) -> None:
        with self._lock:
            if self._closed or self._dropped_at:
                return
            if len(self._waiting) < self._limit:
                self._waiting.append(news)
            else:
                self._dropped_at = name
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()
        for wake in self._wakers:
            wake()

    def _take(self, taken: list[News], until: float | None) -> None:
        """Put the next into ``taken`` in the step that takes it, unless the feed is closed."""
        with self._replaying:
            try:
                self._take_past(taken)
            except ClosedError:
                if not self._closed:  # with its store: it ends as ever
                    raise
        if self._closed:
            self._replay = None
        if not taken:
            self._take_live(taken, until)

    def _take_live(self, taken: list[News], until: float | None) -> None:
        with self._lock:
            while not self._closed:
                while self._waiting:
                    take_first(self._waiting, taken)
                    news = taken[0]
                    if not isinstance(news, Commit):
                        return
                    if news.number > self._last:
                        self._last = news.number
                        return
                    del taken[:]
                if self._dropped_at:
                    break
                if not self._changed.wait(None if until is None else max(until - monotonic(), 0)):
                    raise _TooLateError
            if self._closed:
                return
        self._stop()
        raise SlowConsumerError(
            f"{self._dropped_at} came when {self._limit} others waited to be taken",
            after=self._last,
        )

    def _stop(self) -> None:
        with self._lock:
            end, self._end = self._end, None
        if end is not None:
            end()
