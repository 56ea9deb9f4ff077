"""A thread for what is done beside something else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Aside:
    """Does one thing after another in a thread of that name, which begins with the first."""

    def __init__(self, name: str) -> None:
        self._name: Final = name
        self._pool: ThreadPoolExecutor | None = None

    def start(self, do: Callable[..., object], *args: object) -> Future[object]:
        """Have something done; it is done when this returns, where no thread can be started."""
        try:
            return self._threads().submit(do, *args)
        except RuntimeError:
            # Python is ending, or the machine has no more of them. What the pool took before comes
            # first; what it took now all the same it has no thread for, and never does.
            self.close()
        done = Future[object]()
        done.set_result(do(*args))
        return done

    def close(self) -> None:
        """Return once all is done, and the thread has ended."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            # Not above: it cannot be imported any more when Python is ending.
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, self._name)
        return self._pool
