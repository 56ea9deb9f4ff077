"""Telling: whoever listens hears of every commit once, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from threading import Lock
from typing import Final, TypeAlias

from objstore._turns import Listener, one_for_all
from objstore.documents import Commit

Hear: TypeAlias = Callable[[Commit], None]


class Teller:
    """Tells the listeners of one handle."""

    def __init__(self, read: Callable[[int], Iterable[Commit]]) -> None:
        self._read: Final = read
        """Gives the commits behind a number."""
        self._turn = Lock()
        """Held while somebody tells; nobody waits for it, as a listener may wait for a lock that
        the one who waits would hold."""
        self._told = 0  # guarded by _turn
        self._guard = Lock()
        # The fields below are guarded by _guard.
        self._hearers: Final[dict[object, Listener]] = {}
        self._head = 0
        """How far there is something to tell."""
        self._known: Final[dict[int, Commit]] = {}
        """Commits at hand, so that they need not be read."""
        self._held: Final[list[int]] = []
        """The first commits of those who make some now, and wait for the disk."""

    def begin_in_child(self) -> None:
        """In the child of a fork, where nobody holds the locks."""
        self._turn, self._guard = Lock(), Lock()
        self._held.clear()

    def add(self, hear: Hear, head: int) -> Callable[[], None]:
        """Have ``hear`` called for every commit behind ``head``; the result ends it."""
        key = object()
        with self._guard:
            if not self._hearers:
                self._told = self._head = head
            self._hearers[key] = Listener(hear, head)

        def end() -> None:
            with self._guard:
                self._hearers.pop(key, None)

        return end

    def hold(self, number: int) -> None:
        """Have nobody told of this commit, and those behind it, before ``tell`` or ``let_go``.

        To be called before it is in the log, where others would read it.
        """
        if self._hearers:
            with self._guard:
                self._held.append(number)

    def let_go(self, number: int) -> None:
        """Of one that is held, as it is not made, or stands."""
        with self._guard:
            if number in self._held:
                self._held.remove(number)

    def keep(self, commit: Commit) -> None:
        """Keep a commit that this handle has made, until it is told."""
        if self._hearers:
            with self._guard:
                self._known[commit.number] = commit

    def tell(self, head: int, *, sure: bool = True) -> None:
        """Tell of all commits up to ``head``, or have whoever tells now.

        They are on the disk; if that is not ``sure``, then of those that nobody holds.
        """
        if not self._hearers:
            return
        with self._guard:
            if sure:
                self._held[:] = [one for one in self._held if one > head]
            else:
                head = min([head, *(one - 1 for one in self._held)])
            self._head = max(self._head, head)
        one_for_all(self._turn, self._is_behind, self._tell)

    def _is_behind(self) -> bool:
        return self._told < self._head

    def _tell(self) -> None:
        head = self._head
        for commit in self._up_to(head):
            for listener in list(self._hearers.values()):
                listener.tell(commit)
            self._told = commit.number
        self._told = head

    def _up_to(self, head: int) -> Iterable[Commit]:
        with self._guard:
            known = [self._known.get(one) for one in range(self._told + 1, head + 1)]
            for number in [one for one in self._known if one <= head]:
                del self._known[number]
        if None in known:
            return takewhile(lambda commit: commit.number <= head, self._read(self._told))
        return [commit for commit in known if commit is not None]
