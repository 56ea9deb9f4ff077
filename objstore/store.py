"""Store: a tree of Objects over the documents of a backing."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, cast

from ._autoids import Numbering, said
from ._checking import Checking
from ._encode import encode
from ._left import EVERYBODYS
from ._past import refusal
from ._pathnames import Pathnames, directory_class
from ._presence import (
    makes,
    makes_there,
    may_share,
    past_at,
    renew,
    seen_at_once,
    units_below,
)
from ._reconciling import asked_by
from ._references import References
from ._savepoint import Savepoint
from ._shapes import ANY, Shape
from ._units import UNLOADED, Unit, View, correct_keys
from .beside import Beside
from .directories import Directory, Folder
from .documents import DIRECTORY, Change, Commit, Documents
from .errors import (
    ClosedError,
    DetachedError,
    Failure,
    KeyNotFoundError,
    LayoutError,
    ReadOnlyError,
    ValidationError,
)
from .history import History
from .joint import Joint
from .objects import Object, Part
from .pointer import join, split, unescape
from .scopes import Scopes
from .transacting import Transacting
from .transaction import Transaction
from .values import JSON, MISSING, same, show
from .watching import Watching

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", bound=Object, default=Directory[Any])
else:
    from typing import TypeVar

    R = TypeVar("R")

# How many files stay in memory although nobody holds their Objects: enough for a program that
# names the same few again and again, too few to matter to one that walks through thousands.
_RECENT: Final = 32


class Store(
    Pathnames,
    Watching,
    Beside,
    Checking,
    History,
    Scopes,
    Joint,
    Transacting,
    Generic[R],
):
    """A tree of typed Objects that is one JSON document, spread over files.

    Made by ``objstore.open``; ``root`` is the tree. A Store is also a mapping from pathnames to
    Objects: ``store["/people/ada"]``. Setting makes the folders that are needed; iterating gives
    the pathnames of all files. Safe between threads and asyncio tasks.
    """

    def __init__(
        self,
        documents: Documents,
        root: type[Object],
        *,
        url: str,
        readonly: bool = False,
        at: int | None = None,
        scope: str | None = None,
    ) -> None:
        super().__init__()
        self.url = url
        """What the store was opened with."""
        self.readonly = readonly
        self._documents = documents
        self._at: Final = at  # the commit whose state this is, if it is not the present one
        self._scope = scope  # the scope that this is, if it is one
        # Guarded by lock.
        self._by_path: References[str, Unit] = References()
        self._directories: References[str, Directory[Any]] = References()
        self._former: References[int, Directory[Any]] = References()  # not handed out any more
        self._recent: deque[Part] = deque(maxlen=_RECENT)
        self._root_type = cast("type[Directory[Any]]", root)
        # None once the store is closed: they hold each other, and would wait for the collector.
        self._held_root: Directory[Any] | None = self._root_type._make(self, "")

    @property
    def root(self) -> R:
        """The Directory at the top."""
        return cast(R, self._root)

    @property
    def _root(self) -> Directory[Any]:
        self._require_open()
        return cast("Directory[Any]", self._held_root)

    # --- transactions -----------------------------------------------------------------------------

    def transaction(
        self, meta: Mapping[str, Any] | None = None, *, serializable: bool = False
    ) -> Transaction | Savepoint:
        """Changes that are committed together or not at all, as a context manager.

        ``meta`` says about the commit what is to be known later. Within a transaction this makes a
        savepoint: an exception that leaves it takes back only what was done since. Leaving the
        outermost block raises ValidationError, ConflictError or BackingError where the commit
        cannot be made; then nothing was written, and Objects are as before. A ``serializable`` one
        raises ConflictError as well where a file that it used, or the keys of a directory that it
        listed, are no longer what it saw.
        """
        self._require_open()
        outer = self.current()
        if outer is not None:
            return Savepoint(outer, meta, serializable=serializable)
        return Transaction(self, meta, serializable=serializable)

    def flush(self) -> None:
        """Return once all that was committed is in its files."""
        self._require_open()
        self._documents.flush()

    def close(self) -> None:
        """Release what the store holds. Closing twice is fine; using it afterwards is an error."""
        self._stop_following()
        self._close_views()
        try:
            self._close_company()
        finally:
            with self.lock:
                self._wait_for(None)
                if self._held_root is not None:
                    for unit in self._by_path.values():
                        unit.clear_mirrors()
                    self._recent.clear()
                    self._held_root = None
                    self._documents.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- for Beside -------------------------------------------------------------------------------

    def _contents_of_files(self) -> Iterator[tuple[str, JSON]]:
        for path in self:
            try:
                yield path, self.GET(path).contents
            except (KeyNotFoundError, DetachedError):
                continue  # gone since it was listed
            except ValidationError:
                contents = self._documents.read(path)
                if contents is not MISSING:
                    yield path, contents

    # --- for Directories --------------------------------------------------------------------------

    def member(self, path: str, shape: Shape, *, for_use: bool = True) -> Object | None:
        """The Object at ``path``, after a look at the medium, for somebody who may use it as a
        value or not; None where nothing is."""
        with self.lock:
            self._require_open()
            tx = self.current()
            unit = self._by_path.get(path)
            view = None if tx is None or unit is None else tx._views.get(unit)
            if unit is None or view is None or makes_there(tx, view):
                seen = self._look(path, shape, unit, tx)
                if seen is DIRECTORY:
                    there = self._has_members(path, tx)
                    return self.directory(path, directory_class(path, shape)) if there else None
                unit = self._noticed(path, shape, unit, seen, tx)
            found = self._object(unit, None if tx is None else tx._views.get(unit))
            if for_use and found is not None and (found._before is not None or (tx and tx.left)):
                (EVERYBODYS if tx is None else tx.left).got(found)
            return found

    def exists(self, path: str, shape: Shape) -> bool:
        """Whether a file or directory is at ``path``, without loading it."""
        with self.lock:
            self._require_open()
            tx, unit = self.current(), self._by_path.get(path)
            if tx is not None and unit is not None and unit in tx._views:
                view = tx._views[unit]
                return view.root is not MISSING or makes_there(tx, view)
            seen = self._look(path, shape, unit, tx)
            used = unit is not None or (tx is not None and tx.serializable)
            if used and seen is not DIRECTORY:
                self._noticed(path, shape, unit, seen, tx)
            return seen is not None and (seen is not DIRECTORY or self._has_members(path, tx))

    def _has_members(self, path: str, tx: Transaction | None) -> bool:
        """Whether a directory has any left to a transaction; without, it is none."""
        return tx is None or path not in tx._cleared or bool(self.keys_of(path))

    def _look(self, path: str, shape: Shape, unit: Unit | None, tx: Transaction | None) -> Any:
        """What is at ``path``, by ``Documents.look``; in a transaction, as that one has it."""
        seen = self._seen(path, shape, unit, tx)
        return DIRECTORY if seen is None and tx is not None and makes(tx, path) else seen

    def _seen(self, path: str, shape: Shape, unit: Unit | None, tx: Transaction | None) -> Any:
        """The same without what the transaction has changed: as of its start.

        Edits made outside that nobody has committed are seen. A past that differs from what is
        there now is pinned, and its contents are the answer.
        """
        if unit is not None and unit in self._saving:
            seen = unit.stamp  # what is on its way is nobody's yet
        else:
            seen = self._documents.look(path, None if unit is None else unit.stamp)
        if tx is None or tx._single:
            return seen
        if unit is not None and unit.value is not UNLOADED:
            if seen is not unit.stamp and tx.has_seen(unit):
                tx._pin(unit, unit.value)
                return None if unit.value is MISSING else unit.value
            if seen is not None and seen is unit.stamp:
                renew(self._documents, unit)
                if unit.since <= tx.base:
                    return seen
        head = self._documents.head()
        if head == tx.base:
            return seen
        known = None if unit is None else unit.stamp
        seen, head = seen_at_once(self._documents, path, known, head)
        past, latest = (past_at(self._documents, path, shape, at) for at in (tx.base, head))
        if past is DIRECTORY or same(past, latest):
            return seen if past is not DIRECTORY else DIRECTORY
        unit = self._unit(path, shape)
        tx._pin(unit, past)
        tx._read.add(unit)
        return None if past is MISSING else past

    def _noticed(
        self, path: str, shape: Shape, unit: Unit | None, seen: Any, tx: Transaction | None
    ) -> Unit:
        """The unit of a path, with what a look at the medium told about it taken in."""
        there = MISSING if seen is None else UNLOADED
        if unit is None:
            unit = self._unit(path, shape, there)
        if tx is not None and unit in tx._views:
            return unit
        if unit.value is not there and (seen is None or seen is not unit.stamp):
            self._publish(unit, there, None, by=tx)
            unit.since = self._newest()
        elif self._running:
            renew(self._documents, unit)
        unit.checked = self._era
        if tx is not None and tx.serializable:
            tx.notice(unit)
        elif tx is not None and unit.value is not UNLOADED and unit.since <= tx.base:
            tx._read.add(unit)
        return unit

    def _object(self, unit: Unit, view: View | None) -> Part | None:
        """The Object of a unit's root, as everybody or a transaction sees it; None without one."""
        value = unit.value if view is None else view.root
        if value is MISSING and unit.shape.default is MISSING:
            return None
        held = None if unit.object is None else unit.object()
        if held is not None and value is UNLOADED and unit.shape.only_class is None:
            value = unit.root()  # somebody else may have made a Dict of a List
        if held is not None and (value is UNLOADED or value is MISSING or held._fits(value)):
            return held
        cls, known = unit.shape.only_class, list[Part]()
        if cls is None or self._at is not None:  # the contents tell: a Dict or a List
            contents = unit.root() if view is None else view._visible_root()
            cls = unit.shape.class_for(cast(Any, contents))
            known = [part for part in unit.held() if part._fits(contents)]
        made = known[0] if known else cast("type[Part]", cls)._make(unit)
        if held is not None or unit.former:
            unit.former = tuple(weakref.ref(part) for part in unit.held() if part is not made)
        unit.object = weakref.ref(made)
        self._recent.append(made)
        return made

    def _unit(self, path: str, shape: Shape, value: Any = UNLOADED) -> Unit:
        unit = self._by_path.get(path)
        if unit is None:
            unit = self._by_path[path] = Unit(self, path, shape, value)
            if self._numbering is None and shape.numbered:
                self._numbering = Numbering(self._documents, self._by_path)
        return unit

    def directory(self, path: str, cls: type[Object]) -> Directory[Any]:
        """The Directory at ``path``, whether or not its folder exists yet."""
        with self.lock:
            self._require_open()
            found = self._directories.get(path)
            if found is None or type(found) is not cls:
                found = cast("type[Directory[Any]]", cls)._make(self, path)
                self._directories[path] = found
            return found

    def let_go(self, path: str) -> list[Directory[Any]]:
        """The Directories at ``path`` that anyone holds; who comes next gets another one."""
        with self.lock:
            above, _, key = path.rpartition("/")
            formers = self._former.values()
            parent = self._directories.get(above) if above else self._held_root
            for one in (parent, *formers):
                if one is not None and one._path == above:
                    one.__dict__.pop(unescape(key), None)
            handed = self._directories.pop(path)
            if handed is not None:
                self._former[id(handed)] = handed
                formers.append(handed)
            return [one for one in formers if one._path == path]

    def is_directory(self, path: str) -> bool:
        """Whether a directory is at ``path`` now."""
        with self.lock:
            tx = self.current()
            if tx is not None and makes(tx, path):
                return True
            seen = self._documents.look(path)
            if tx is not None and self._moved_on(tx):
                return past_at(self._documents, path, ANY, tx.base) is DIRECTORY
            return seen is DIRECTORY

    def _moved_on(self, tx: Transaction) -> bool:
        """Whether anything was committed since a transaction began."""
        return not tx._single and self._documents.head() != tx.base

    def source_of(self, path: str) -> str:
        """The name of the file at ``path``, or of the one that would be made."""
        return self._documents.source(path)

    def is_folder_at(self, path: str, shape: Shape, value: object) -> bool:
        """Whether to assign a value to ``path`` replaces the members of a directory."""
        if shape.directory is None:
            return False
        if not shape.anything or self.is_directory(path):
            return True
        return isinstance(value, Folder) and not self.exists(path, shape)

    def put(self, tx: Transaction, path: str, shape: Shape, value: Any) -> None:
        """Give a file new contents as a whole."""
        with self.lock:
            unit = self._unit(path, shape)
        try:
            encoded = encode(value, shape, source="")  # without it: see ``objects.brought``
        except ValidationError as error:
            raise ValidationError(self.located(error.failures, unit)) from None
        with self.lock:
            if not isinstance(encoded, dict | list):
                expected = "an object or array, as a file holds one"
                failure = Failure(self.source(unit), "", expected, show(encoded), "type")
                raise ValidationError([failure])
            tx.view(unit).replace(encoded)

    def keys_of(self, path: str) -> list[str]:
        """The keys of a directory's members that exist, as this thread or task sees them."""
        with self.lock:
            self._require_open()
            tx, found = self.current(), dict[str, None]()
            try:
                found = dict.fromkeys(self._documents.keys(path))
            except LayoutError:  # it is a file by now
                if tx is None or not self._moved_on(tx):
                    raise
            if tx is not None and self._moved_on(tx):
                found = dict.fromkeys(self._documents.keys(path, at=tx.base))
            else:
                for unit in self._saving:  # what is on its way is nobody's yet
                    correct_keys(found, path, unit, unit.value)
            if tx is not None and tx.serializable:
                tx._listed.setdefault(path, tuple(found))
            if tx is not None and tx._cleared:
                found = {key: None for key in found if self._has_members(join(path, key), tx)}
            for unit in () if tx is None else units_below(tx, path):
                view = cast("Transaction", tx)._views[unit]
                if not makes_there(tx, view):
                    correct_keys(found, path, unit, view.root)
            return sorted(found)

    # --- what a Host is asked ---------------------------------------------------------------------

    def load(self, unit: Unit) -> None:
        self._require_open()
        unit.changed = self._documents.changed(unit.pointer)  # first: more may come meanwhile
        value, stamp = self._documents.load(unit.pointer)
        failures: list[Failure] = []
        # The past stays readable where the schema has changed since.
        if value is not MISSING and not unit.shape.anything and self._at is None:
            failures = self.located(unit.shape.validator.failures(value, ""), unit)
        unit.value, unit.stamp, unit.failures = value, stamp, failures
        unit.since = self._newest()
        self._follow_elements(unit)

    def recheck(self, unit: Unit, by: Transaction | None, *, sure: bool = True) -> None:
        if unit.value is not UNLOADED and unit not in self._saving:
            seen = self._documents.look(unit.pointer, unit.stamp, sure=sure)
            if seen is not unit.stamp:
                self._publish(unit, UNLOADED, None, by=by)
            elif by is None or not by._single or len(self._running) > 1:
                renew(self._documents, unit)
        unit.checked = self._era

    def see_past(self, unit: Unit, tx: Transaction) -> None:
        path, shape, since = unit.pointer, unit.shape, unit.since
        past, latest = (past_at(self._documents, path, shape, at) for at in (tx.base, since))
        if not same(past, latest):
            tx._pin(unit, MISSING if past is DIRECTORY else past)

    def source(self, unit: Unit) -> str:
        return self._documents.source(unit.pointer)

    # --- what History and Scopes ask --------------------------------------------------------------

    def _as_of(self, documents: Documents, number: int) -> Self:
        root = self._root_class()
        return type(self)(
            documents, root, url=self.url, readonly=True, at=number, scope=self._scope
        )

    def _in_scope(self, documents: Documents, name: str) -> Self:
        root = self._root_class()
        return type(self)(documents, root, url=self.url, readonly=self.readonly, scope=name)

    def _root_class(self) -> type[Object]:
        return self._root_type

    def _is_readonly(self) -> bool:
        return self.readonly or self._at is not None

    def _unit_at(self, pointer: str) -> Unit:
        *above, key = split(pointer)
        directory = self._root
        for token in above:
            found = directory._subdirectory(token)
            if found is None:
                raise KeyNotFoundError(f"there is no place for {pointer} in this store's schema")
            directory = found
        with self.lock:
            return self._unit(pointer, directory._require_shape(key))

    def _save(self, tx: Transaction, views: list[View]) -> tuple[Commit | None, list[Any]]:
        changes, match = asked_by(tx, views)
        commit = self._documents.commit(
            changes,
            base=tx.base,
            match=match,
            meta=said(tx.meta, tx._numbers) or None,
            tx=tx.id,
            waiting=partial(self._wait_aside, tx, views) if may_share(tx) else None,
            again=None if tx._numbers else partial(self._ask_again, tx, views),
        )
        if tx._numbers is not None and self._numbering is not None:
            self._numbering.keep(commit, tx._numbers)
        return commit.without_numbers(), [change.stamp for change in commit.changes]

    def _ask_again(self, tx: Transaction, views: list[View]) -> tuple[list[Change], dict[str, Any]]:
        self._reconcile(tx, views, anew=True)
        return asked_by(tx, views)

    def _declares(self, pointer: str) -> bool:
        above, _, token = pointer.rpartition("/")
        directory: Directory[Any] | None = self._root
        for key in split(above):
            directory = None if directory is None else directory._subdirectory(key)
        return directory is not None and unescape(token) in type(directory)._info.keys

    def _keys_now(self, path: str) -> tuple[str, ...]:
        return tuple(self._documents.keys(path))

    def _head(self) -> int:
        return self._documents.head()

    def _require_open(self) -> None:
        if self._held_root is None:
            raise ClosedError(f"the store {self.url} is closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self._at is not None:
            raise refusal(self._at)
        if self.readonly:
            raise ReadOnlyError(f"the store {self.url} was opened with readonly=True")

    def __repr__(self) -> str:
        at = "" if self._at is None else f" as of commit {self._at}"
        scope = "" if self._scope is None else f", scope {show(self._scope)}"
        return f"<Store {self.url}{scope}{at}{', closed' if self._held_root is None else ''}>"

    __eq__ = object.__eq__
    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]
