"""Something that is done in a moment, by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Timer
from typing import Final

_DELAY: Final = 0.5
"""How many seconds a moment takes."""


class Later:
    """Has it done once, however often it is asked for meanwhile."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Final = act
        self._guard = Lock()
        # The fields below are guarded by _guard.
        self._timer: Timer | None = None
        self._has_ended = False

    def begin_in_child(self) -> None:
        """In the child of a fork, where the thread is not."""
        self._guard, self._timer = Lock(), None

    def ask(self) -> bool:
        """Have it done in a moment, unless that has ended; False where no thread can be had."""
        with self._guard:
            if self._timer is None and not self._has_ended:
                timer = Timer(_DELAY, self._run)
                timer.daemon = True
                try:
                    timer.start()
                except RuntimeError:
                    return False
                self._timer = timer
        return True

    def stop(self) -> None:
        """Forget what was asked for so far, unless it is being done just now."""
        with self._guard:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def end(self) -> None:
        """The same, and whatever is asked for from now on."""
        with self._guard:
            self._has_ended = True
        self.stop()

    def _run(self) -> None:
        with self._guard:
            self._timer = None
        self._act()
