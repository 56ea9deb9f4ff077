"""The commit of a joint transaction whose participants are all there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from ._outcomes import Outcome
from ._past import contents_at
from ._pause import pause
from ._shares import Share, apply_all, fits, require_apart, require_kinds
from ._sites import Sites
from .errors import ConflictError, Failure, ObjstoreError, ValidationError
from .transaction import Transaction
from .values import JSON, Missing, show

if TYPE_CHECKING:
    from ._units import Unit
    from .documents import Commit
    from .joint import Joint
    from .store import Store

_ATTEMPTS: Final = 1000
"""How often all is judged anew as somebody else was faster, who then has made a commit."""


class _Unmatched(Exception):  # noqa: N818 - it only leaves the transaction
    """A match failed."""


class Decision:
    """The making of one joint transaction's outcome; by one thread of one process at a time."""

    def __init__(
        self, store: Joint, id: str, meta: Mapping[str, Any], seats: Mapping[str, Share]
    ) -> None:
        self._store: Final = cast("Store[Any]", store)
        self._id: Final = id
        self._meta: Final = meta
        self._seats: Final = seats
        self._shares: Final = list(seats.values())

    def make(self) -> Outcome:
        """Judge the matches, make the patches, and commit; or say why not."""
        try:
            require_apart(self._shares)
        except ObjstoreError as error:
            return Outcome(error=error)
        attempt = 0
        while True:
            try:
                with self._store.lock:
                    return self._attempt()
            except ConflictError as error:
                attempt += 1
                if attempt == _ATTEMPTS:
                    return Outcome(error=error)
                pause(attempt)

    def of(self, commit: Commit) -> Outcome:
        """The outcome that this commit is."""
        return Outcome(True, True, commit.number, self._data(commit.number))

    def _attempt(self) -> Outcome:
        """One try, as of the newest commit. Raises ConflictError where that is no longer so."""
        tx = Transaction(self._store, self._meta, serializable=True)
        tx.id = self._id
        done = False
        try:
            with tx:
                sites = Sites(self._store, tx)
                self._judge(sites)
                self._change(tx, sites)
                done = True
        except _Unmatched:
            return Outcome(matched=False)
        except ObjstoreError as error:
            if done and isinstance(error, ConflictError):
                raise
            return Outcome(error=error)
        return Outcome(data=self._data(tx.base)) if tx.commit is None else self.of(tx.commit)

    def _judge(self, sites: Sites) -> None:
        for share in self._shares:
            require_kinds(share, sites)
        if not all(fits(share, sites) for share in self._shares):
            raise _Unmatched

    def _change(self, tx: Transaction, sites: Sites) -> None:
        changed, lineage = apply_all(self._shares, sites)
        for unit, contents in changed.items():
            if contents is not sites.contents(unit):
                self._require_document(unit, contents)
                tx.view(unit).become(contents, lineage)

    def _require_document(self, unit: Unit, contents: JSON | Missing) -> None:
        if not isinstance(contents, dict | list | Missing):
            expected = "an object or array, as a file holds one"
            source = self._store.source(unit)
            raise ValidationError([Failure(source, "", expected, show(contents), "type")])

    def _data(self, number: int) -> dict[str, JSON]:
        """What a commit left at each participant's path, if anything."""
        found: dict[str, JSON] = {}
        for seat, share in self._seats.items():
            value = contents_at(self._store._documents, share.pointer, number)
            if not isinstance(value, Missing):
                found[seat] = value
        return found
