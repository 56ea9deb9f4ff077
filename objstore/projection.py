"""Projections: what the events of a log add up to, kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Final, Protocol, cast

from .errors import FormatError, VerificationError
from .event import Event
from .eventlog import EventLog
from .values import show

__all__ = ["Projection"]

State = MutableMapping[str, Any]
Fold = Callable[[State, Event], object]


class Transactional(Protocol):
    """A mapping of which several changes can be made one."""

    def transaction(self) -> AbstractContextManager[Any]: ...


class Projection:
    """Folds the events of a log into a mapping, and goes on where it stopped.

    ``fold(state, event)`` changes ``state`` for one event. The position up to which it has been
    done is kept in the mapping itself, under ``key``. Where the mapping has ``transaction()``, as
    Containers have, both change together, and every event counts once, whatever happens and whoever
    updates it at the same time. Otherwise, after a crash, the last ``batch`` events may be folded
    again.
    """

    def __init__(
        self,
        log: EventLog,
        state: State,
        fold: Fold,
        *,
        key: str = "@position",
        batch: int = 1000,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch is at least 1, not {batch}")
        self._log: Final = log
        self._fold: Final = fold
        self._key: Final = key
        self._batch: Final = batch
        self.state: Final = state

    @property
    def position(self) -> int:
        """Of the last event that was folded; 0 before the first."""
        return self._saved()[0]

    def update(self) -> int:
        """Fold what was appended since; how many events that were.

        Raises VerificationError where the log is another one than at the last time. What ``fold``
        raises comes through, and its batch is taken back where the mapping can do that.
        """
        position = self._begin()
        done = 0
        new = self._log.since(position)
        while some := list(islice(new, self._batch)):
            with self._together():
                is_first = self._saved()[0] == position
                if is_first:
                    for event in some:
                        self._fold(self.state, event)
                    self._save(some[-1])
            if is_first:
                position += len(some)
                done += len(some)
            else:
                # Somebody else has folded these.
                position = self._begin()
                new = self._log.since(position)
        return done

    def reset(self) -> None:
        """Forget everything, so that the next ``update`` begins with the first event."""
        with self._together():
            self.state.clear()

    def _saved(self) -> tuple[int, str]:
        said = self.state.get(self._key)
        if said is None:
            return 0, ""
        if isinstance(said, Mapping):  # a dict, or an object of a store
            known = cast("Mapping[str, Any]", said)
            position, hash = known.get("position"), known.get("hash")
            if type(position) is int and position > 0 and isinstance(hash, str):
                return position, hash
        reason = f"expected the position of a projection, found {show(said)}"
        raise FormatError(reason, source=self._key)

    def _begin(self) -> int:
        """The position to go on from, in the log that it is of."""
        position, hash = self._saved()
        if position:
            found = next(self._log.since(position - 1), None)
            known = None if found is None else found.integrity
            if known is None or known.hash != hash:
                reason = "this is not the log that the projection was made of"
                raise VerificationError(reason, position=position)
        return position

    def _save(self, event: Event) -> None:
        known = event.integrity
        if known is not None:
            self.state[self._key] = {"position": known.position, "hash": known.hash}

    def _together(self) -> AbstractContextManager[Any]:
        # Of the type, as an object of a store may have a key of that name.
        if callable(getattr(type(self.state), "transaction", None)):
            return cast("Transactional", self.state).transaction()
        return nullcontext()
