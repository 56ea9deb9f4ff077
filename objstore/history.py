"""The past of a Store: read it, compare it, take parts of it back, say how much of it to keep."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakSet

from ._autoids import keeping_counts
from ._blame import Backwards, Blame, GapError, Tree, at_once, backwards, flat, leaves, tree_at
from ._deltas import Delta, gather, patch_of, require_old, turned
from ._past import (
    PastDocuments,
    contents_at,
    node_at,
    number_of,
    require_commit,
    require_known,
    unit_at,
    units_below,
)
from ._refusals import merge_conflict
from ._savepoint import Savepoint
from .documents import Change, Commit, Documents
from .errors import (
    CommitNotFoundError,
    CommitNumberError,
    HistoryGone,
    KeyNotFoundError,
)
from .patch import Operation, merge
from .paths import address
from .pointer import split
from .retention import Retention
from .transaction import Host, Transaction
from .values import JSON, MISSING, copy_of, is_array, is_object, show

if TYPE_CHECKING:
    from ._units import Unit


class History(Host):
    """What a Store tells of its past.

    A commit is given as its number, or as the Commit itself. A negative number raises
    CommitNumberError, one that is yet to come CommitNotFoundError, one that ``compact`` removed
    HistoryGone. Paths are pointers, pathnames or kinded paths, as in ``store[path]``. What was
    changed in the files by other programs counts from the commit that took it in.
    """

    _documents: Documents
    _scope: str | None

    def __init__(self) -> None:
        super().__init__()
        self._views: Final[WeakSet[Self]] = WeakSet()
        """The stores of its past and of its scopes, which end with it. Guarded by lock."""

    @property
    def head(self) -> int:
        """The number of the newest commit; 0 before the first."""
        self._require_open()
        return self._documents.head()

    # --- reading ----------------------------------------------------------------------------------

    def at(self, commit: int | Commit) -> Self:
        """The store as it was after a commit, to be read like the store itself.

        Every change of it raises ReadOnlyError. Contents read as they are, whether or not they fit
        what the schema is today. It needs this store to be open; closing it does nothing to this.
        """
        self._require_open()
        number = number_of(commit)
        require_known(self._documents, number)
        return self._view(self._as_of(PastDocuments(self._documents, number), number))

    def read_at(self, path: str, commit: int | Commit) -> Any:
        """The plain JSON value that was at a path after a commit; a copy.

        A directory is an object of all that was in it. Raises KeyNotFoundError where nothing was.
        """
        self._require_open()
        number = number_of(commit)
        pointer = self._pointer_then(path, number)
        found = contents_at(self._documents, pointer, number)
        if found is MISSING:
            raise KeyNotFoundError(f"nothing was at {pointer} after commit {number}")
        return copy_of(found)

    # --- commits ----------------------------------------------------------------------------------

    def log(
        self, path: str = "", after: int | Commit = 0, *, newest_first: bool = False
    ) -> Iterator[Commit]:
        """The commits that touched a path, from the one after ``after``, oldest first if not asked
        otherwise.

        A commit touches a path that it changed, that something below was changed of, or that was
        made or deleted with what it stood in. Commits made while the log is read are left out.
        """
        self._require_open()
        number, pointer = number_of(after), self._pointer(path)
        require_commit(self._documents, number)
        if not newest_first:
            return self._commits(number, pointer)
        require_known(self._documents, number)  # which going back from the newest would not find
        back = backwards(lambda start: self._commits(start, pointer), self._documents.head())
        return takewhile(lambda commit: commit.number > number, back)

    def diff(self, a: int | Commit, b: int | Commit, path: str = "") -> list[Operation]:
        """The JSON Patch (RFC 6902) that leads from the state after ``a`` to the one after ``b``.

        Either may be the later one. Pointers are those of the whole store; with a ``path``, only
        what is there and below counts. Takes as long as the commits between are many, of those that
        touched the path. Raises HistoryGone where nobody knows what was there after the earlier
        one.
        """
        self._require_open()
        start, end = number_of(a), number_of(b)
        older, newer = min(start, end), max(start, end)
        require_known(self._documents, newer)
        pointer = self._pointer_then(path, start, end)
        between = takewhile(lambda one: one.number <= newer, self._commits(older, pointer))
        deltas = gather(between, pointer)
        if start > end:
            deltas = turned(deltas)
        return patch_of(deltas, pointer, self._documents, newer)

    def patch_of(self, commit: int | Commit) -> list[Operation]:
        """The JSON Patch (RFC 6902) that a commit is, with pointers of the whole store."""
        found = self._commit_of(commit)
        deltas = {change.unit: Delta(change.old, change.new) for change in found.changes}
        return patch_of(deltas, "", self._documents, found.number)

    def undo(self, commit: int | Commit, meta: Mapping[str, Any] | None = None) -> Commit | None:
        """Take back what a commit changed, in a new commit whose ``meta`` has ``"undoes"``.

        What later commits changed elsewhere stays. Within a transaction the change is part of that,
        and None is returned; where several are undone there, ``"undoes"`` lists their numbers in
        order. Raises HistoryGone where nobody knows what was before, as where a file was edited
        that no commit had touched, ConflictError where a later commit changed the same place,
        ValidationError where the contents of then do not fit today's schema, and LayoutError where
        a file would come back in the place of a directory, or the reverse; then nothing changes.
        """
        self._require_open()
        self._require_no_view()
        found = self._commit_of(commit)
        self._require_writable()
        outer = self.current()
        before = None if outer is None else outer.meta.get("undoes")
        said = {**(meta or {}), "undoes": _with(before, found.number)}
        with self.transaction(said) as transaction:
            for change in found.changes:
                require_old(found, change.unit)
                self._take_back(change, found.number)
        return transaction.commit

    def blame(self, path: str = "") -> dict[str, Commit | None]:
        """Which commit set each value at a path and below, by the value's JSON Pointer.

        Values are scalars, and objects and arrays that are empty. None stands for what is older
        than the log, or of which nobody knows whether a commit set it or found it. An element of an
        array keeps its commit when others move it. Goes back in the log until every value's commit
        is found. Raises KeyNotFoundError where nothing is.
        """
        self._require_open()
        try:
            return self._blame(path, backwards)
        except GapError:  # others compacted meanwhile, or something of the past is lost
            return self._blame(path, at_once, over_gaps=True)

    def _blame(
        self, path: str, read: Backwards, *, over_gaps: bool = False
    ) -> dict[str, Commit | None]:
        head = self._documents.head()
        pointer = self._pointer_then(path, head)
        place, units = self._leaves(pointer, head)
        search = Blame(units, over_gaps=over_gaps)
        for commit in read(lambda after: self._commits(after, place), head):
            search.go_back(commit)
            if search.done:
                break
        trees = (tree for _, tree in units.values())
        return {leaf: search.found.get(leaf) for tree in trees for leaf in flat(tree)}

    # --- keeping it -------------------------------------------------------------------------------

    def switch_and_snapshot(self) -> int:
        """Take a snapshot of the newest commit, from which later reads of the past start.

        Returns that commit's number. Reads and writes go on meanwhile. A store does this by itself
        from time to time. Raises TransactionError if another snapshot is being taken.
        """
        self._require_open()
        self._require_no_view()
        return self._documents.switch_and_snapshot()

    def compact(self, retention: Retention) -> list[int]:
        """Remove the commits that ``retention`` does not keep; returns their numbers.

        The newest commit and pinned ones stay, and read as before. What a removed commit changed
        becomes part of the next one that stays. Reads and writes go on meanwhile. Raises BusyError
        while another thread or process compacts.
        """
        self._require_open()
        self._require_no_view()
        if not isinstance(retention, Retention):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"what to keep is said by a Retention, not {show(retention)}")
        return self._documents.compact(keeping_counts(self._documents, retention))

    def pin(self, commit: int | Commit) -> None:
        """Keep a commit whatever ``compact`` is told, until ``unpin``."""
        self._require_open()
        self._require_no_view()
        self._documents.pin(number_of(commit))

    def unpin(self, commit: int | Commit) -> None:
        """Let ``compact`` remove a commit again; nothing happens if it was not pinned."""
        self._require_open()
        self._require_no_view()
        self._documents.unpin(number_of(commit))

    def pins(self) -> frozenset[int]:
        """The numbers of the commits that are pinned."""
        self._require_open()
        return self._documents.pins()

    # --- the names of seed 001 --------------------------------------------------------------------

    def get_current_commit(self) -> int:
        """``head``, as seed 001 calls it."""
        return self.head

    read_state_at = read_at

    # --- what a Store brings ----------------------------------------------------------------------

    @abstractmethod
    def transaction(self, meta: Mapping[str, Any] | None = None) -> Transaction | Savepoint:
        """Changes that are committed together or not at all."""

    @abstractmethod
    def close(self) -> None:
        """Release what the store holds."""

    @abstractmethod
    def _as_of(self, documents: Documents, number: int) -> Self:
        """A Store of the same schema over documents of the past."""

    @abstractmethod
    def _pointer(self, path: str) -> str:
        """The JSON Pointer of a pathname."""

    @abstractmethod
    def _unit_at(self, pointer: str) -> Unit:
        """The unit that is, or would be, at a pointer."""

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""

    def _view(self, view: Self) -> Self:
        """Have a store that shows something of this one end with it."""
        with self.lock:
            self._views.add(view)
        return view

    def _close_views(self) -> None:
        with self.lock:
            views = list(self._views)
        for view in views:
            view.close()

    # --- steps ------------------------------------------------------------------------------------

    def _pointer_then(self, path: str, *numbers: int) -> str:
        """The same as ``_pointer``, by what was in the files after one of these commits."""
        pointer = address(path)
        above = pointer.rstrip("/")
        if above == pointer or any(self._has_keys(above, number) for number in numbers):
            return pointer
        return above

    def _has_keys(self, pointer: str, at: int) -> bool:
        """Whether an object or an array of a file was at a pointer."""
        found = unit_at(self._documents, pointer, at)
        node = None if found is None else node_at(found[1], split(pointer[len(found[0]) :]))
        return is_object(node) or is_array(node)

    def _commits(self, after: int, pointer: str) -> Iterator[Commit]:
        found = self._documents.commits(after, pointer)
        return (one.without_numbers() for one in found if one.scope in (None, self._scope))

    def _commit_of(self, commit: int | Commit) -> Commit:
        self._require_open()
        number = number_of(commit)
        if not number:
            raise CommitNumberError("no commit has the number 0: it is the state before all")
        require_commit(self._documents, number)
        found = _find(self._documents, number)
        if found is None and self._scope is not None:
            require_known(self._documents, number)
            reason = f"commit {number} changed nothing that the scope {show(self._scope)} shows"
            raise CommitNotFoundError(reason)
        if found is None:
            raise HistoryGone(f"commit {number} was removed by compaction")
        if found.scope not in (None, self._scope):
            reason = f"commit {number} is of the scope {show(found.scope)}, which is not this store"
            raise CommitNotFoundError(reason)
        return found

    def _take_back(self, change: Change, number: int) -> None:
        unit = self._unit_at(change.unit)
        with self.edit() as tx:
            now = tx.contents(unit)
            merged = merge(
                change.new, change.old, now, agree=False, schema_keys=unit.shape.merge_key_at
            )
            if merged.conflicts:
                first = merged.conflicts[0]
                place = f" at {first.pointer}" if first.pointer else ""
                message = f"{self.source(unit)}{place} was changed again after commit {number}"
                raise merge_conflict(message, unit.pointer, first)
            tx.view(unit).follow(merged.value)

    def _leaves(self, pointer: str, at: int) -> tuple[str, dict[str, tuple[JSON, Tree]]]:
        """What commits have to touch to have set the leaves at a pointer; the units' contents, and
        those leaves."""
        found = unit_at(self._documents, pointer, at)
        if found is not None:
            unit, value = found
            tree = tree_at(value, unit, split(pointer[len(unit) :]))
            if tree is not None:
                return unit, {unit: (value, tree)}
        else:
            units = dict(units_below(self._documents, pointer, at))
            if units or not pointer:
                return pointer, {
                    unit: (value, leaves(value, unit)) for unit, value in units.items()
                }
        raise KeyNotFoundError(f"nothing is at {pointer}")


def _with(undone: object, number: int) -> int | list[int]:
    """What ``"undoes"`` says once one more commit is undone."""
    if isinstance(undone, list):
        return [*cast("list[int]", undone), number]
    return [undone, number] if isinstance(undone, int) else number


def _find(documents: Documents, number: int) -> Commit | None:
    found = next(documents.commits_left(number - 1), None)
    return found if found is not None and found.number == number else None
