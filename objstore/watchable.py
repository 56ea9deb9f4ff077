"""The contract of Documents that others can change, by other means than committing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from .documents import Commit, Loaded
from .errors import ObjstoreError

NOTHING: Final[Mapping[str, Loaded]] = MappingProxyType({})


class Burst(NamedTuple):
    """What happened together outside."""

    units: Sequence[str]
    """The pointers of the units that may have changed; each once."""
    there: Collection[str] = ()
    """Those of them that were there before."""
    appended: bool = False
    """Whether others may have committed."""


Judge: TypeAlias = Callable[[str, Loaded | ObjstoreError], bool]
"""Told of a unit, and of what was found in its place or why it could not be read; whether that may
be committed. Takes no lock, so that it may be asked under any."""


Hear: TypeAlias = Callable[[Burst], Collection[str] | None]
"""Told of a burst; those units of it that are to be looked at once more, in a moment. None where it
could not be taken in: it is told again, after pauses that grow."""


@runtime_checkable
class Watchable(Protocol):
    """Documents that others can change, by other means than committing."""

    def watch(self, hear: Hear) -> Callable[[], None]:
        """Have ``hear`` called with every burst from now on, on one thread, until the result is.

        Once that returns, ``hear`` is not running and is called no more, unless it is ``hear``
        that ends it. A burst says what may have changed, own writes included; the first ones also
        what others edited before, as far as the backing can tell. Raises BackingError where the
        system cannot watch so much.
        """
        ...

    def commit_external(
        self,
        units: Sequence[str],
        judge: Judge,
        *,
        was: Mapping[str, Loaded] = NOTHING,
        there: Collection[str] = (),
    ) -> Commit | None:
        """Enter what is there of these units and is not as the newest commit left it, as one
        commit with ``external`` set; None where nothing of it is to be entered.

        ``judge`` is asked about every unit that is not as it was left. Those that it refuses, and
        those that change meanwhile, are left out. Of units that no commit has touched, ``was`` has
        what they were when somebody read them, and ``there`` those that were there, whatever they
        were.
        """
        ...

    def refresh(self) -> None:
        """See what others have committed; those who ``listen`` hear of it."""
        ...
