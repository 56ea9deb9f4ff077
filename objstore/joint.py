"""Joint transactions: several participants make one commit, or none.

The participants are threads or processes that know the transaction's id. Each brings a patch of its
own place; when all are there, one of them judges the matches, merges the patches and commits, as an
ordinary serializable transaction. If it dies, another one does it again, which is the same commit.
"""

from __future__ import annotations

import os
import re
import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from . import _outcomes as outcomes
from . import _shares as shares
from ._apply import apply
from ._autoids import said, same_but_numbers
from ._decision import Decision
from ._outcomes import Outcome
from ._past import contents_at
from ._refusals import require_storable
from ._shares import Share, make_share
from .documents import Commit, Documents
from .errors import (
    HistoryGone,
    KeyNotFoundError,
    ObjstoreError,
    PatchError,
    TransactionError,
    TransactionNotFoundError,
    TransactionTimeoutError,
)
from .meetings import Meetings, Note, meetings_of
from .transaction import Host
from .values import JSON, MISSING, Missing, copy_of, same, show

_LONGEST: Final = 24 * 3600.0
"""How long participants may wait, in seconds. A meeting that is quiet for longer is forgotten."""

_ID: Final = re.compile("[0-9a-f]{32}")
_HEADER: Final = "meeting"
_OUTCOME: Final = "outcome"


class Result(NamedTuple):
    """How a joint transaction ended for one participant."""

    committed: bool
    """Whether there is a commit: not if a match failed, nothing would change, or for an error."""
    matched: bool
    """Whether no match of any participant failed: False is no error, and True beside one where it
    came before the matches were judged."""
    commit: int | None
    """The commit's number, the same for all participants."""
    data: JSON | Missing
    """What is at the participant's path after it, a copy; MISSING where nothing is, or was done."""
    error: ObjstoreError | None
    """Why nothing was committed, the same for all participants; None for no error."""


class Joint(Host):
    """What a Store offers to participants."""

    _documents: Documents
    _scope: str | None
    _swept: float | None = None

    def new_tx(
        self, participants: int, meta: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Tx:
        """A transaction that is committed when so many participants have joined it.

        They find it by its ``id``. ``timeout`` is how many seconds each of them waits for the
        others to join, a day at the most, which is also the default; who commits is waited for as
        every writer is, without a limit. ``meta`` is the commit's. Raises ValueError for numbers
        that make no sense, ReadOnlyError.
        """
        self._require_writable()
        self._require_no_view()
        if type(participants) is not int or participants < 1:
            raise ValueError(f"participants must be 1 or more, not {participants!r}")
        if timeout is not None and not isinstance(timeout, float | int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"timeout is a number of seconds, or None, not {show(timeout)}")
        if timeout is not None and not 0 < timeout <= _LONGEST:
            raise ValueError(f"timeout must be above 0 and up to {_LONGEST:.0f}, not {timeout!r}")
        header: Note = {
            "participants": participants,
            "meta": cast("JSON", said({} if meta is None else meta, None)),
            "timeout": timeout,
            "scope": self._scope,
            "head": self._documents.head(),
        }
        meetings, id = meetings_of(self._documents), os.urandom(16).hex()
        self._sweep(meetings)
        meetings.put(id, _HEADER, header)
        return Tx(self, meetings, id, header)

    def get_tx(self, id: str) -> Tx:
        """The transaction of this id, made by ``new_tx`` in this process or in another one.

        Of one that is over and was committed, every participant's result is that commit's; whose
        patch is no part of it is refused with a TransactionError. Raises TransactionNotFoundError
        for any other.
        """
        self._require_open()
        if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a joint transaction's id is text, not {show(id)}")
        meetings = meetings_of(self._documents)
        header = meetings.notes(id).get(_HEADER) if _ID.fullmatch(id) else None
        if header is not None and header["scope"] == self._scope:
            return Tx(self, meetings, id, header)
        return Tx(self, meetings, id, {}, self._commit_with(id))

    def _commit_with(self, id: str, after: int = 0) -> Commit:
        """The commit that a transaction is, made after the one numbered ``after``."""
        found = self._documents.commit_of(id, after)
        if found is None:
            raise TransactionNotFoundError(f"there is no joint transaction {id!r}, or it is over")
        return found

    def _sweep(self, meetings: Meetings) -> None:
        """Now and then, forget what nobody ended."""
        now = time.monotonic()
        if self._swept is None or now - self._swept > _LONGEST / 24:
            self._swept = now
            meetings.sweep(_LONGEST)

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""

    @abstractmethod
    def read_at(self, path: str, commit: int | Commit) -> Any:
        """The plain JSON value that was at a path after a commit."""


class Tx:
    """A joint transaction, as one participant or several of this process have it."""

    def __init__(
        self, store: Joint, meetings: Meetings, id: str, header: Note, over: Commit | None = None
    ) -> None:
        self.id: Final = id
        """What the other participants find it by: ``store.get_tx(id)``."""
        self.participants: Final = cast("int | None", header.get("participants"))
        """How many there have to be; None of one that is over, where nobody knows any more."""
        self.meta: Final = cast("dict[str, Any]", header.get("meta", {}))
        """The commit's."""
        self.timeout: Final = cast("float | None", header.get("timeout"))
        """How many seconds each participant waits for the others to join; None is a day."""
        self._head: Final = cast(int, header.get("head", 0))
        self._store: Final = store
        self._meetings: Final = meetings
        self._over: Final = over

    def patcher(
        self,
        path: str,
        patch: Iterable[Mapping[str, Any]],
        match: Any = None,
        *,
        name: str | None = None,
    ) -> Patcher:
        """One participant's part. Nothing happens until its ``commit``.

        ``path`` is a pointer, a pathname or a kinded path; ``patch`` is RFC 6902 with pointers
        relative to it. ``match`` says what must be there for any participant's patch to be made: a
        partial value (an object's other keys count for nothing), a list of ``test`` operations, or
        MISSING for nothing at all. An array of objects that all have an ``op`` of RFC 6902 reads as
        operations. A participant with a ``name`` keeps its seat when it dies and joins again, with
        the same path, patch and match.

        Raises PathError, PatchError, ValidationError for what is no JSON, and KeyNameError for a
        name with a lone surrogate.
        """
        if not isinstance(name, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a participant's name is text, or None, not {show(name)}")
        require_storable(name or "", "participant's name")
        return Patcher(self, make_share(path, patch, match), name or os.urandom(16).hex())

    new_patcher = patcher

    def _take_part(self, share: Share, who: str, *, again: bool) -> Result:
        """``again`` is of one who was interrupted in it, and may have been the last to leave."""
        store = self._store
        if store.current() is not None:
            raise TransactionError("a joint transaction is not part of another one")
        if self._over is not None:
            self._require_part_in(self._over, share)
            return self._result_of(self._over, share)
        store._require_writable()
        seat = self._join({**shares.to_note(share), "who": who}, again=again)
        outcome = None if seat is None else self._outcome()
        if seat is None or outcome is None:
            is_late = seat is not None and seat in self._meetings.notes(self.id)
            if seat is not None and is_late:  # it sat down when all had left: it is alone there
                self._leave(seat)
            commit = store._commit_with(self.id, self._head)
            if is_late:
                self._require_part_in(commit, share)
            return self._result_of(commit, share)
        self._leave(seat)
        data = copy_of(outcome.data.get(seat, MISSING))  # in memory, the store's own contents
        return Result(outcome.committed, outcome.matched, outcome.commit, data, outcome.error)

    def _require_part_in(self, commit: Commit, share: Share) -> None:
        """Raise TransactionError for who was none of the participants, as the commit did not do
        what it asks for. Nobody knows any more who they were."""
        documents, place = self._store._documents, share.pointer
        try:
            before = contents_at(documents, place, commit.number - 1)
            after = contents_at(documents, place, commit.number)
        except HistoryGone:
            return
        except KeyNotFoundError:  # the layout has no such place
            before = after = MISSING
        try:
            is_done = same_but_numbers(apply(before, share.patch), after, place, commit.meta)
        except PatchError:
            is_done = before is MISSING  # it may have had its default
        if not is_done:
            raise TransactionError(
                f"the joint transaction {self.id} is over, and its commit {commit.number} did not "
                f"do at {place or 'the root'} what this participant asks for"
            )

    def _join(self, note: Note, *, again: bool) -> str | None:
        """Take a seat, or the one that a participant of the same name had; None where it is over
        for who comes again."""
        if _HEADER not in self._meetings.notes(self.id):
            if again:
                return None
            raise TransactionNotFoundError(f"the joint transaction {self.id} is over")
        for seat in self._seats():
            sits = self._meetings.put(self.id, seat, note)
            if sits["who"] == note["who"]:
                if same(sits, note):
                    return seat
                raise TransactionError(
                    f"the participant {note['who']!r} has joined already, "
                    f"at {sits['path'] or 'the root'}, with another path, patch or match"
                )
        raise TransactionError(f"all {self.participants} participants have joined already")

    def _seats(self) -> list[str]:
        """The names of all seats, of one that is not over."""
        return [f"seat-{number}" for number in range(cast(int, self.participants))]

    def _outcome(self) -> Outcome | None:
        """Wait for the others; then the outcome, by whoever is the first to make it.

        None where all others have left meanwhile, and so has somebody in our seat.
        """
        end = time.monotonic() + (self.timeout or _LONGEST)
        while True:
            notes = self._meetings.notes(self.id)
            left = end - time.monotonic()
            if _OUTCOME in notes:
                return outcomes.from_note(notes[_OUTCOME])
            if _HEADER not in notes:
                return None
            if left <= 0 or self._is_complete(notes):
                with self._meetings.turn(self.id):
                    outcome = self._decide()
                if outcome is not None:
                    return outcome
            else:
                self._meetings.wait(self.id, len(notes), left)

    def _is_complete(self, notes: Mapping[str, Note]) -> bool:
        return all(seat in notes for seat in self._seats())

    def _decide(self) -> Outcome | None:
        """The outcome, made unless it was already; by one participant at a time. None where all
        have left."""
        notes = self._meetings.notes(self.id)
        if _OUTCOME in notes:
            return outcomes.from_note(notes[_OUTCOME])
        if _HEADER not in notes:
            return None
        outcome = outcomes.to_note(self._made(notes))
        return outcomes.from_note(self._meetings.put(self.id, _OUTCOME, outcome))

    def _made(self, notes: Mapping[str, Note]) -> Outcome:
        names = self._seats()
        seats = {name: shares.from_note(notes[name]) for name in names if name in notes}
        decision = Decision(self._store, self.id, self.meta, seats)
        # By one who has died since, or was interrupted.
        done = self._store._documents.commit_of(self.id, self._head)
        if done is not None:
            return decision.of(done)
        if self._is_complete(notes):
            return decision.make()
        missing = len(names) - len(seats)
        reason = f"{missing} of {self.participants} participants have not joined in time"
        return Outcome(error=TransactionTimeoutError(reason))

    def _leave(self, seat: str) -> None:
        """Say that this participant knows the outcome; the last one to say so cleans up."""
        self._meetings.put(self.id, _left(seat), {})
        notes = self._meetings.notes(self.id)
        everybody = all(_left(one) in notes for one in self._seats())
        # Without a header, others have removed it, and the note has made it anew.
        if everybody or _HEADER not in notes:
            with self._meetings.turn(self.id):  # nobody is amid reading it to decide
                self._meetings.remove(self.id)

    def _result_of(self, commit: Commit, share: Share) -> Result:
        try:
            data = self._store.read_at(share.pointer, commit)
        except KeyNotFoundError:
            data = MISSING
        return Result(True, True, commit.number, data, None)

    def __repr__(self) -> str:
        how_many = ", over" if self.participants is None else f" of {self.participants}"
        return f"<Tx {self.id}{how_many}>"


def _left(seat: str) -> str:
    """The note of who has left a seat."""
    return seat.replace("seat", "left")


class Patcher:
    """One participant of a joint transaction. Made by ``Tx.patcher``."""

    def __init__(self, tx: Tx, share: Share, who: str) -> None:
        self.tx: Final = tx
        self._share: Final = share
        self._who: Final = who
        self._lock: Final = threading.Lock()
        # Guarded by _lock.
        self._was_tried = False
        self._result: Result | None = None

    def commit(self) -> Result:
        """Join, wait for the other participants, and return how it ended for all of them.

        Calling it again returns the same. Raises TransactionError if all seats are taken, if one of
        the same name has joined with another path, patch or match, or within another transaction
        of the same store; what went wrong for all is the result's
        ``error``: TransactionTimeoutError where some never joined, ConflictError where two patches
        are about the same place, PatchError, ValidationError, BackingError.
        """
        with self._lock:
            if self._result is None:
                again, self._was_tried = self._was_tried, True
                self._result = self.tx._take_part(self._share, self._who, again=again)
            return self._result

    wait_for_completion = commit
