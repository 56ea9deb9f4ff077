"""The contract of Meetings: where the participants of a joint transaction meet.

A meeting is a few notes under names, seen by every handle of a store: other threads, other
processes. What they mean is for ``objstore.joint`` to say. Whoever reads may be another process
than who wrote, and who wrote may be dead; nothing here assumes a shared clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, runtime_checkable

from .errors import TransactionError
from .values import JSON

Note: TypeAlias = "dict[str, JSON]"
"""A JSON object; not to be changed."""


class Meetings(ABC):
    """The meetings of one store; made by a backing, safe between threads and processes.

    An ``id`` and a ``name`` are a few letters, digits and hyphens, small letters only. Every call
    may raise BackingError where the medium refuses.
    """

    @abstractmethod
    def put(self, id: str, name: str, note: Note) -> Note:
        """Leave a note, unless one is there under that name; the one that is there from now on.

        The first note of a meeting makes it. A note is whole for whoever sees it.
        """

    @abstractmethod
    def notes(self, id: str) -> Mapping[str, Note]:
        """The notes of a meeting by their names; none where there is no such meeting."""

    @abstractmethod
    def wait(self, id: str, seen: int, seconds: float | None) -> None:
        """Return once the meeting has other than ``seen`` notes, or after so many seconds.

        None is as long as it takes. It may return earlier than that, for no reason.
        """

    @abstractmethod
    def turn(self, id: str) -> AbstractContextManager[object]:
        """Wait for one's turn, which one thread of one process has at a time.

        It ends with the block, or with the process.
        """

    @abstractmethod
    def remove(self, id: str) -> None:
        """Forget a meeting; nothing happens where there is none."""

    @abstractmethod
    def sweep(self, seconds: float) -> None:
        """Forget the meetings in which nothing has happened for so long."""


@runtime_checkable
class Meets(Protocol):
    """Documents of a backing on which participants can meet."""

    def meetings(self) -> Meetings:
        """The meetings of the store."""
        ...


def meetings_of(documents: object) -> Meetings:
    """Where participants meet. Raises TransactionError for documents of a kind that has nowhere."""
    if not isinstance(documents, Meets):
        raise TransactionError("participants cannot meet in a store of this kind")
    return documents.meetings()
