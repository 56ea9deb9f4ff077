"""Transactions: drafts of units that are committed together or not at all.

A ``Host`` is where Objects live: a Store, or nobody's memory for unattached Objects. It hands out
transactions, knows which are running, and makes commits visible without showing a running
transaction anything that was committed after it began.
"""

from __future__ import annotations

import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, cast

from ._left import Left
from ._meta import given_meta
from ._owners import Owner, not_its_owner, owner
from ._pause import pause
from ._reconciling import read_conflict, reconcile, require_valid
from ._refusals import in_a_view
from ._savepoint import Savepoint, views_of
from ._turns import Block, Exit, Released, Taken, is_over, reentered, take_again
from ._units import UNLOADED, Unit, View, follow
from .documents import Commit
from .errors import ConflictError, Failure, LayoutError, ObjstoreError, TransactionError
from .values import JSON, MISSING, Missing, same

if TYPE_CHECKING:
    from ._autoids import Numbering, Numbers

_ATTEMPTS: Final = 100
"""How often a commit is tried that the backing refuses as its files were just changed."""

_PATIENCE: Final = 1.0
"""For how many seconds a transaction waits for commits that are on their way."""

_active: ContextVar[tuple[Transaction, ...]] = ContextVar("objstore.transactions", default=())

_INTERRUPTED: Final = KeyboardInterrupt, None, None


class Transaction:
    """Changes that are committed together, as a context manager.

    Leaving the block commits; an exception in it takes everything back. Within the block this
    thread (or asyncio task) sees the store as of the start plus its own changes, and nobody else
    sees those. Made by ``Store.transaction``; within another one, ``Store.transaction`` makes a
    savepoint.
    """

    def __init__(
        self,
        host: Host,
        meta: Mapping[str, Any] | None = None,
        *,
        single: bool = False,
        serializable: bool = False,
    ) -> None:
        self.meta: dict[str, Any] = {} if meta is None else given_meta(meta)
        """What the commit will say about itself; may be changed until then."""
        self.base = 0
        """The newest commit when the transaction began."""
        self.commit: Commit | None = None
        """The commit, once there is one; None where nothing was changed."""
        self.id: str | None = None
        """What the commit keeps, so that it can be found again; None where nobody will look."""
        self.serializable: Final = serializable
        """Whether the commit also fails where something that was read has changed."""
        self._host = host
        self._single = single
        self._frozen = 0  # how many blocks that only read this thread is in
        self._views: dict[Unit, View] = {}  # guarded by host.lock for all but this thread's reads
        self._read: set[Unit] = set()  # keeps what was read once, so that it reads the same again
        self._listed: dict[str, tuple[str, ...]] = {}  # by directory, the keys; if serializable
        self.left: Final = Left()  # what it has changed about Objects as values
        self._savepoints: list[Savepoint] = []  # that it is within, from the outermost on
        self._below: dict[str, list[Unit]] = {}  # by directory, see ``_presence.units_below``
        self._cleared: set[str] = set()  # directories that it emptied, and may have filled again
        self._numbers: Numbers | None = None  # that the schema asked for, in this attempt
        self._era = 0
        self._entered: _Entered | None = None  # once it waits for the disk, and lets others go on
        self._aside: Released | None = None  # how it lets them
        self._taken: Taken = []  # of the host's lock, for a change for itself alone
        self._owner: Owner = (0, None)
        self.block: Block | None = None  # which it ends with
        self._state: Literal["new", "running", "ended"] = "new"
        self._is_ending = False  # whether it is amid its commit

    def __enter__(self) -> Self:
        if self._state != "new":
            raise TransactionError("this transaction was used before; make a new one")
        if is_over(self.block):
            self.block = None  # somebody else has asked for its end, and calls this by hand
        try:
            if self._single:
                take_again(self._host.lock, self._taken)
            self._owner = owner()
            self._host._begin(self)
            self._state = "running"
            known = [tx for tx in _active.get() if tx._state == "running"]  # not left elsewhere
            _active.set((*known, self))
        except BaseException:
            self.leave(*sys.exc_info())
            raise
        return self

    @property
    def is_new(self) -> bool:
        """Whether it is yet to begin."""
        return self._state == "new"

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the block, as ``__exit__`` does."""
        try:
            _active.set(tuple([tx for tx in _active.get() if tx is not self]))
            if kind is None:
                self._require_own()
                self._is_ending = True
                self.commit = self._host._commit(self)
        finally:
            # Whatever is called may be interrupted before it does anything, and nothing else.
            self._state = "ended"
            try:
                self._host._end_all()
            finally:
                if self._taken:
                    del self._taken[:]
                    self._host.lock.release()

    __exit__ = leave if TYPE_CHECKING else Exit()

    def view(self, unit: Unit) -> View:
        """The view of a unit that this transaction is about to change."""
        host = self._host
        with host.lock:
            self._require_running()
            if self._frozen:
                raise in_a_view()
            if unit not in self._views:
                if self._single and host._saving:
                    host._wait_for([unit])  # to change what that leaves
                host._require_writable()
                self._pin(unit, self.contents(unit))  # unless that pins a past
            view = self._views[unit]
            for savepoint in self._savepoints:
                savepoint.save(view)
            return view

    def contents(self, unit: Unit) -> JSON | Missing:
        """The committed contents that this transaction starts from, fit for the schema or not."""
        host = self._host
        with host.lock:
            view = self._views.get(unit)
            if view is not None:
                return view.root
            self.notice(unit)
            view = self._views.get(unit)  # noticing may have found a past to go on seeing
            if view is not None:
                return view.root
            if unit.value is UNLOADED:
                host.load(unit)
            return unit.value  # type: ignore[return-value]

    def notice(self, unit: Unit) -> None:
        """Before the unit is first used here: see what was changed outside until now.

        What was committed since the transaction began is no part of it.
        """
        if unit in self._read:
            return
        host = self._host
        with host.lock:
            if unit not in self._views:
                if self._single:
                    # A change for itself alone is committed at once, which makes sure.
                    host.recheck(unit, self, sure=False)
                    return
                if unit.checked < self._era:
                    host.recheck(unit, self)
                if unit.value is UNLOADED:
                    host.load(unit)
                if unit.since > self.base:
                    host.see_past(unit, self)
            self._read.add(unit)

    def has_seen(self, unit: Unit) -> bool:
        """Whether the unit's committed contents may have been read here, and are right here.

        What attributes find in an Object is read without a word; not so if we have to know of it.
        """
        if unit in self._read:
            return True
        return not self.serializable and unit.checked >= self._era and unit.since <= self.base

    def _require_running(self) -> None:
        if self._state != "running":
            raise TransactionError(f"this transaction is {self._state}, not running")

    def _require_own(self) -> None:
        self._require_running()
        if not self._single and self._owner != owner():
            raise not_its_owner()

    def _pin(self, unit: Unit, base: JSON | Missing) -> None:
        """See ``base`` from now on, whatever becomes of the unit for everybody else."""
        if unit not in self._views:
            unit.drafts += 1
            self._views[unit] = View(unit, base, self.left)
            if unit.mirrored:
                unit.clear_mirrors()


class _Entered(NamedTuple):
    """A commit as it is to be published."""

    number: int
    tx: Transaction
    views: Sequence[View]
    stamps: Sequence[Any]


class Host(ABC):
    """Where Objects live."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Guards the units, the views of all transactions, and the fields below."""
        self._running: list[Transaction] = []
        self._saving: dict[Unit, int] = {}
        """The units of commits that wait for the disk without ``lock``, with the commits' numbers.
        To all others they are as before, until the commit is published."""
        self._line: dict[int, _Entered] = {}
        """Those commits, by their numbers, in their order."""
        self._saved: threading.Condition | None = None  # of lock; once somebody waits
        self._mirroring: weakref.WeakSet[Unit] | None = None
        """The units of which Objects may hold values since a transaction last began."""
        self._numbering: Numbering | None = None  # once a unit is there whose schema asks for any
        self._era = 0
        # Counts the transactions begun: what was checked for changes made outside in an earlier
        # era must be checked again before a transaction of this one uses it.

    # --- what a host knows of its units -----------------------------------------------------------

    @abstractmethod
    def load(self, unit: Unit) -> None:
        """Fill in ``value``, ``stamp`` and ``failures``; called with ``lock`` held."""

    @abstractmethod
    def recheck(self, unit: Unit, by: Transaction | None, *, sure: bool = True) -> None:
        """See whether the unit was changed outside; called with ``lock`` held.

        ``sure=False`` may pass over what the commit of the same transaction finds.
        """

    def see_past(self, unit: Unit, tx: Transaction) -> None:  # noqa: B027 - most have no past
        """Have ``tx`` see what the unit was when it began; called with ``lock`` held."""

    @abstractmethod
    def source(self, unit: Unit) -> str:
        """What error messages call the unit."""

    @abstractmethod
    def _save(self, tx: Transaction, views: list[View]) -> tuple[Commit | None, list[Any]]:
        """Make the changes of these views durable; the commit, and the stamp of each unit."""

    def begin_in_child(self, held: Collection[Any]) -> None:  # noqa: B027 - see _forks.Resting
        """In the child of a fork: forget what other threads were at."""

    def failures_of(self, view: View) -> list[Failure]:
        """Where a unit's changed contents do not fit its schema."""
        unit, new, old = view.unit, view.root, view.base
        if new is MISSING or unit.shape.anything:
            return []
        validator = unit.shape.validator
        if old is MISSING or unit.failures:
            found = validator.failures(new, "")
        else:
            found = validator.failures_of_change(old, new, "")
        return self.located(found, unit) if found else []

    def located(self, failures: Sequence[Failure], unit: Unit) -> list[Failure]:
        """Failures that name their file: asked for only where there are any, as it costs a look."""
        source = self.source(unit) if failures else ""
        return [failure._replace(source=source) for failure in failures]

    def _keys_now(self, path: str) -> tuple[str, ...]:
        """The keys of a directory as everybody sees them."""
        return ()

    def _declares(self, pointer: str) -> bool:
        """Whether a unit is one that its directory's class names."""
        return True

    def _head(self) -> int:
        return 0

    def _require_writable(self) -> None:  # noqa: B027 - most hosts have nothing to refuse
        """Raise the error that says why nothing can be changed here, if so."""

    # --- transactions -----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether any transaction is running."""
        return bool(self._running)

    def current(self) -> Transaction | None:
        """The transaction that this thread or task is in."""
        if not self._running:
            return None
        for tx in reversed(_active.get()):
            if tx._host is self and tx._state == "running":
                if tx._owner != owner():
                    return None
                if not is_over(tx.block):
                    return tx
                tx.leave(*_INTERRUPTED)
        return None

    def _require_no_view(self) -> None:
        """Raise ReadOnlyError in a snapshot view; for what changes more than Objects."""
        tx = self.current()
        if tx is not None and tx._frozen:
            raise in_a_view()

    def edit(self) -> AbstractContextManager[Transaction]:
        """The current transaction, or one for this change alone, to which nothing comes between."""
        tx = self.current()
        return Transaction(self, single=True) if tx is None else nullcontext(tx)

    def quiet(self, unit: Unit) -> bool:
        """Whether no running transaction has yet to look at the medium before it uses the unit."""
        running = self._running
        return not running or all(tx._single or tx.has_seen(unit) for tx in running)

    def _newest(self) -> int:
        """The newest commit, where a running transaction may have to see an older state; or 0."""
        return 0 if all(tx._single for tx in self._running) else self._head()

    def _note_mirrored(self, unit: Unit) -> None:
        """Have the values that Objects hold of a unit taken back when a transaction begins."""
        if self._mirroring is None:
            self._mirroring = weakref.WeakSet()
        self._mirroring.add(unit)

    def _begin(self, tx: Transaction) -> None:
        with self.lock:
            for one in self._running:
                if one._is_ending and one._state == "running" and one._owner[0] == tx._owner[0]:
                    raise reentered()
            head = self._head()  # a change alone is of the newest, whatever its number
            if not tx._single:
                if self._line and head - next(iter(self._line)) >= len(self._line):
                    self._wait_for_line(head)  # others' are among them, and may have been told of
                tx.base = min([head, *(one - 1 for one in self._line)])
                self._era += 1
                tx.left.era = self._era
                for unit in self._mirroring or ():
                    unit.clear_mirrors()
                self._mirroring = None
            tx._era = self._era
            self._running.append(tx)

    def _end_all(self) -> None:
        """Let go of the transactions that have ended."""
        with self.lock:
            for tx in [one for one in self._running if one._state == "ended"]:
                while tx._views:
                    unit, _ = tx._views.popitem()
                    unit.drafts -= 1
                tx._read = set()
                if tx.left:
                    tx.left.clear()
            self._running[:] = [tx for tx in self._running if tx._state != "ended"]

    def _commit(self, tx: Transaction) -> Commit | None:
        """The protocol of a commit: conflicts, validation, durability, then everybody sees it."""
        with self.lock:
            views = [v for v in tx._views.values() if not same(v.root, v.base)]
            if not views:
                if tx.serializable:
                    self._require_unchanged(tx)
                self._publish_equal(tx)
                return None
            self._wait_for([view.unit for view in views])
            self._require_writable()
            try:
                commit, stamps = self._reconcile_and_save(tx, views)
                number = 0 if commit is None else commit.number
                self._publish_line(number)
                if tx._entered is None:
                    self._publish_all(_Entered(number, tx, views, stamps))
                if len(views) < len(tx._views):
                    self._publish_equal(tx)
                return commit
            except BaseException as error:
                if tx._aside is not None:
                    tx._aside.end()
                if not isinstance(error, ObjstoreError):
                    self._look_again(tx, views, error)
                raise
            finally:
                entered, tx._entered = tx._entered, None
                if entered is not None:
                    self._leave_line(entered)

    def _look_again(self, tx: Transaction, views: Sequence[View], error: BaseException) -> None:
        """After an interruption: there may be a commit all the same."""
        if tx._entered is not None:
            self._leave_line(tx._entered)  # for what is on its way there is no look
        for view in views:
            try:
                self.recheck(view.unit, tx)
            except ObjstoreError as failure:
                error.add_note(str(failure))

    def _wait_for(self, units: Sequence[Unit] | None) -> None:
        """Wait until no commit of any of the units is on its way, or none at all for None.

        Lets go of ``lock`` meanwhile, however often this thread holds it: nothing that was found
        out about the unit under it before may be relied on.
        """
        while self._saving and (units is None or any(one in self._saving for one in units)):
            self._saved = self._saved or threading.Condition(self.lock)
            self._saved.wait()

    def _wait_for_line(self, number: int) -> None:
        """Wait until other threads' commits up to ``number`` are published, as ``_wait_for`` does.

        Not for ever: they might wait for what this thread holds.
        """
        self._saved = self._saved or threading.Condition(self.lock)
        me = threading.get_ident()
        self._saved.wait_for(
            lambda: all(
                one.number > number or one.tx._owner[0] == me for one in self._line.values()
            ),
            _PATIENCE,
        )

    def _wait_aside(self, tx: Transaction, views: Sequence[View], commit: Commit) -> Released:
        """Let other threads go on while a commit waits for the disk, so that they can share it."""
        stamps = [change.stamp for change in commit.changes]
        tx._entered = entered = _Entered(commit.number, tx, views, stamps)
        self._line[commit.number] = entered
        for view in views:
            self._saving[view.unit] = commit.number
        tx._aside = Released(self.lock)
        return tx._aside

    def _publish_line(self, number: int) -> None:
        """Publish all that waits for the disk up to commit ``number``, which is there.

        Whoever made it is still to be woken. Who sees a commit sees all that came before: to wait
        for others would take longer, and without them the next transaction of who made the last one
        could not be shown it.
        """
        for entered in [one for earlier, one in self._line.items() if earlier <= number]:
            self._publish_all(entered)
            self._leave_line(entered)

    def _publish_all(self, entered: _Entered) -> None:
        for view, stamp in zip(entered.views, entered.stamps, strict=True):
            self._publish(view.unit, view.root, stamp, by=entered.tx, view=view)
            view.unit.since = view.unit.changed = entered.number
        if entered.tx.left:
            entered.tx.left.publish(self._era)

    def _publish_equal(self, tx: Transaction) -> None:
        """The same for what has the contents that it had, and was replaced all the same."""
        for view in tx._views.values():
            if view.is_moved:
                self._publish(view.unit, view.base, view.unit.stamp, by=tx, view=view)
        if tx.left:
            tx.left.publish(self._era)

    def _leave_line(self, entered: _Entered) -> None:
        self._line.pop(entered.number, None)
        for view in entered.views:
            if self._saving.get(view.unit) == entered.number:
                del self._saving[view.unit]
        if self._saved is not None:
            self._saved.notify_all()

    def _reconcile_and_save(
        self, tx: Transaction, views: list[View]
    ) -> tuple[Commit | None, list[Any]]:
        """Merge with what others changed meanwhile, validate, and make it durable.

        Between the look at a file and its replacement somebody may change it once more. The backing
        refuses then, and the merge starts again.
        """
        attempt = 0
        while True:
            self._reconcile(tx, views, anew=attempt > 0)
            try:
                return self._save(tx, views)
            except ConflictError:
                attempt += 1
                if attempt == _ATTEMPTS:
                    raise
                if tx._numbers is not None:
                    tx._numbers.undo()
                if attempt > 1:
                    pause(attempt)

    def _reconcile(self, tx: Transaction, views: list[View], *, anew: bool) -> None:
        """Merge with what others changed meanwhile, and validate. Unless ``anew``, the backing
        looks, and refuses what is not as it was read."""
        if tx.serializable:
            self._require_unchanged(tx)
        for view in views:
            if anew:
                self.recheck(view.unit, tx)
            reconcile(view, merges=not tx.serializable)
        if self._numbering is not None:
            tx._numbers = self._numbering.fill(views, self._declares)
        require_valid(views)

    def _require_unchanged(self, tx: Transaction) -> None:
        """Raise ConflictError where something that a transaction read is no longer as it read it.

        What passes was all there at the moment of the first look, as nothing passes that was
        changed between a transaction's start and the look at it.
        """
        self._head()  # what others have committed may be in the log alone
        for unit in tx._read:
            self.recheck(unit, None)
            view = tx._views.get(unit)
            if unit.value is UNLOADED:
                try:
                    self.load(unit)
                except LayoutError as error:  # a directory has come in its place
                    base = MISSING if view is None else view.base
                    place = self.source(unit), unit.pointer, base
                    raise read_conflict(*place, ours=base, theirs=MISSING) from error
            now = cast("JSON | Missing", unit.value)
            if view is not None and not same(view.base, now):
                place = self.source(unit), unit.pointer, view.base
                raise read_conflict(*place, ours=view.root, theirs=now)
        for path, keys in tx._listed.items():
            found = self._keys_now(path)
            if found != keys:
                before, source = list(keys), f"the directory {path or '/'}"
                raise read_conflict(source, path, before, ours=before, theirs=list(found))

    def _publish(
        self,
        unit: Unit,
        value: Any,
        stamp: Any,
        *,
        by: Transaction | None,
        view: View | None = None,
    ) -> None:
        """Show everybody the unit's new contents, but for transactions that began before.

        Their views are made before the value changes: whoever reads without the lock then finds
        either the old value or a view. To one that began before the old value was there as well,
        neither matters: it looks for its own when it first uses the unit.
        """
        others: list[View] = []
        for tx in self._running:
            if tx is not by and unit.value is not UNLOADED:
                if tx.has_seen(unit) or (view is not None and unit.since <= tx.base):
                    tx._pin(unit, unit.value)
                others += views_of(tx, unit)
        if unit.mirrored:
            unit.clear_mirrors()
        before = unit.value
        if view is not None:
            view.publish_moves(others)
            unit.past = None  # Objects know their elements in what is published
        elif unit.object is not None and unit.past is None and isinstance(before, dict | list):
            unit.past = before
        unit.value = value
        unit.stamp = stamp
        unit.failures = []
        if view is None:
            self._follow_elements(unit)

    def _follow_elements(self, unit: Unit) -> None:
        """Have Objects follow their elements, as soon as there is something to follow them to."""
        past = unit.past
        if past is None or unit.failures or not isinstance(unit.value, dict | list):
            return
        unit.past = None
        if not same(past, unit.value):
            follow(unit, past, [view for tx in self._running for view in views_of(tx, unit)])
