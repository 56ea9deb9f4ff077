"""The contract of Storage: containers of key/value pairs, with transactions.

A *container* has a name and holds values by key; names, keys and values are text, and values may be
bytes. A backing makes Storages; Container, and the object layer on other media than plain files,
need nothing else of it. Source of names and rules: seed 002.

Whose transaction: it belongs to the thread that began it. Within it this thread sees the storage as
of the beginning plus its own changes; nobody else sees those before the commit, and whoever began
before the commit sees none of them until its own end. A call outside a transaction is one by
itself, durable when it returns.

Who may write: one transaction at a time. The first write of a transaction waits for its turn, and
holds it to the end; ``transaction()`` waits at once. Whoever has read already when its turn comes,
and was overtaken by another's commit meanwhile, gets ConflictError, as it would lose that one's
update. Whoever has not read yet has lost nothing: its transaction then begins anew.

Order is that of code points, which is also that of UTF-8.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from threading import get_ident
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    runtime_checkable,
)

from ._owners import not_its_owner
from ._turns import Block, EndingExit
from .errors import ClosedError, CorruptionError, FormatError, ObjstoreError, TransactionError
from .values import show

S = TypeVar("S", bound="Storage")

Value: TypeAlias = str | bytes

Items: TypeAlias = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""Pairs of key and value, or a mapping of them; both are coerced."""

Progress: TypeAlias = Callable[[int, int], object]
"""Told how many bytes are done, and of how many; the second may change under way."""


class Begun:
    """What a thread's transaction keeps of the blocks that are about it."""

    readers = 0
    """How many of them only read: as long as there are any, a write is refused."""
    blocks = 0
    """How many there are."""
    is_over = False
    """Whether it is to be taken back when its thread next asks for it, as another one has left a
    block, or an error of a write has ended it."""
    is_lost = False
    """Whether such an error has: what its blocks go on to do must not be stored alone."""


class Storage(ABC):
    """Containers of key/value pairs at ``path``; safe between threads.

    ``create`` makes a new one, otherwise one must be there. ``readonly`` refuses every write.
    Raises StorageNotFoundError, DuplicateStorageError. Source: seed 002.

    Names and keys are coerced by ``str()``, values too unless they are bytes (or a bytearray or a
    memoryview, of which the bytes are stored). Every call may raise
    ClosedError, CorruptionError and BackingError; every write ReadOnlyError, BusyError and
    ConflictError. After an error of a call nothing of that call was stored. A transaction around it
    goes on, but BackingError, BusyError and ConflictError of a write end it. In a ``with`` block of
    it every call from then on, and the end of the block, raises TransactionError.
    """

    def __init__(
        self, path: str | os.PathLike[str], create: bool = False, readonly: bool = False
    ) -> None:
        if create and readonly:
            raise ValueError("create=True makes a new storage, which readonly=True would not allow")
        self.path: Final = os.fsdecode(path)
        self.readonly: Final = readonly

    # --- transactions -----------------------------------------------------------------------------

    @abstractmethod
    def begin(self) -> None:
        """Begin this thread's transaction. Raises TransactionError where it has one."""

    @abstractmethod
    def commit(self) -> None:
        """Make everything since ``begin`` durable; return once it is.

        After an error the transaction has ended, and nothing of it is stored. Raises
        TransactionError where this thread has none.
        """

    @abstractmethod
    def rollback(self) -> None:
        """Take back everything since ``begin``, containers made and deleted too.

        Raises TransactionError where this thread has no transaction.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything; what is not committed is lost. Closing again does nothing."""

    # --- containers -------------------------------------------------------------------------------

    @abstractmethod
    def add_container(self, c_id: str) -> None:
        """Make an empty container. Raises DuplicateContainerError."""

    @abstractmethod
    def clear(self) -> None:
        """Delete all containers."""

    @abstractmethod
    def clear_container(self, c_id: str) -> None:
        """Delete everything in a container. Raises ContainerNotFoundError."""

    @abstractmethod
    def delete_container(self, c_id: str) -> None:
        """Delete a container with everything in it. Raises ContainerNotFoundError."""

    @abstractmethod
    def get_container_len(self, c_id: str) -> int:
        """How many items a container has; looked up, not counted. Raises ContainerNotFoundError."""

    # --- items ------------------------------------------------------------------------------------

    @abstractmethod
    def get_container_item(self, c_id: str, key: Any) -> Value:
        """The value of a key. Raises ContainerNotFoundError, KeyNotFoundError (a KeyError)."""

    @abstractmethod
    def get_container_items(
        self, c_id: str, keys: Iterable[Any] | None = None
    ) -> Iterator[tuple[str, Value | None]]:
        """All pairs of a container in order; or, for ``keys``, theirs as they are asked for.

        A key that is missing gives ``(key, None)``. Raises ContainerNotFoundError at the call. What
        comes is as of the call, whatever this or another thread or process writes meanwhile; within
        a transaction, its own writes during the iteration may be seen. The snapshot is held until
        the iterator is used up or closed. Where the storage is closed before, makers differ: it
        gives the rest of the snapshot, or raises ClosedError.
        """

    @abstractmethod
    def get_container_keys(self, c_id: str) -> Iterator[str]:
        """The keys of a container in order; as ``get_container_items``."""

    @abstractmethod
    def set_container_item(self, c_id: str, key: Any, value: Any) -> None:
        """Set the value of a key. Raises ContainerNotFoundError."""

    @abstractmethod
    def set_container_items(self, c_id: str, items: Items) -> None:
        """Set many values, all or none; of a key that comes twice the last one.

        Raises ContainerNotFoundError.
        """

    @abstractmethod
    def delete_container_item(self, c_id: str, key: Any) -> bool:
        """Delete a key, and say whether it was there. Raises ContainerNotFoundError."""

    @abstractmethod
    def delete_container_items(self, c_id: str, keys: Iterable[Any]) -> None:
        """Delete the keys that are there; others are passed over. Raises ContainerNotFoundError."""

    # --- on top of these --------------------------------------------------------------------------

    def _begin(self, *, write: bool) -> None:
        """``begin``, and for writing wait for the turn; makers whose writers wait override it."""
        self.begin()

    def _begun(self) -> Begun:
        """This thread's transaction; makers that heed what it says override it."""
        return Begun()

    def _nested(self) -> AbstractContextManager[None] | None:
        """A savepoint, where this thread has a transaction and the maker has savepoints."""
        return None

    def transaction(self, write: bool = True) -> AbstractContextManager[Self]:
        """Commit what the block does, or take it back when an exception leaves it.

        With ``write=True`` no other writer comes in between, so that what was read is still so when
        it is written; ``write=False``, and any of a readonly storage, is for reading one state of
        things, and waits for nobody: a write in the block raises ReadOnlyError.
        Within a transaction of this thread it is a savepoint. The block belongs to this thread:
        where another one leaves it, that gets a TransactionError, and the whole transaction is
        taken back when its own thread next uses the storage.
        """
        return _Block(self, write=write)

    def _abandon(self, error: BaseException) -> None:
        """Roll back because of ``error``, which may have ended the transaction itself."""
        for _ in range(2):  # again, as the handler of a signal may have broken it off
            try:
                self.rollback()
            except (TransactionError, ClosedError):
                break
            except Exception as failure:  # noqa: BLE001 - what went wrong first is what is raised
                error.add_note(f"and the rollback failed: {failure}")
            else:
                break

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Block(Generic[S]):
    """A block of ``Storage.transaction``.

    It ends with its ``with``, also where that was interrupted as it began to call ``__exit__`` and
    the error is kept: this thread would stay in its transaction, and nobody else could write.
    """

    is_new = True
    """Whether it is yet to begin."""
    block: Block | None = None
    """While it is on: what tells when nobody will leave it any more."""
    _is_on = _is_counted = False
    _begun: Begun | None = None
    _savepoint: AbstractContextManager[None] | None = None

    def __init__(self, storage: S, *, write: bool) -> None:
        self._storage: Final = storage
        self._write: Final = write
        self._owner = 0

    def __enter__(self) -> S:
        if not self.is_new:
            raise TransactionError("this block was used before; make a new one")
        self.is_new = False
        storage = self._storage
        self._owner = get_ident()
        self._savepoint = storage._nested()
        self._is_on = True
        try:
            if self._savepoint is None:
                storage._begin(write=self._write and not storage.readonly)
            self._begun = begun = storage._begun()
            if self._savepoint is not None:
                self._savepoint.__enter__()
            begun.blocks += 1
            begun.readers += not self._write
            self._is_counted = True
        except BaseException as error:
            if self._savepoint is not None and not isinstance(error, ObjstoreError):
                self._lose()
            self._take_back(error)
            raise
        return storage

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the block, as ``__exit__`` does."""
        if kind is not None:
            self._take_back(kind() if error is None else error)
            return
        try:
            self._end()
        except BaseException as failure:
            self._take_back(failure)
            raise

    __exit__ = leave if TYPE_CHECKING else EndingExit()

    def _end(self) -> None:
        begun = self._uncounted()
        if begun.is_over:
            raise lost() if begun.is_lost else not_its_owner()
        if self._savepoint is None:
            self._storage.commit()
        else:
            self._savepoint.__exit__(None, None, None)
        self._is_on, self.block = False, None

    def _take_back(self, error: BaseException) -> None:
        """End it because of ``error``. Again does what was not done."""
        self._uncounted()
        if self._savepoint is not None:
            try:
                self._savepoint.__exit__(type(error), error, error.__traceback__)
            except BaseException:
                self._lose()  # nobody knows how far that came
                raise
        elif get_ident() == self._owner:
            self._storage._abandon(error)
        self._is_on, self.block = False, None

    def _uncounted(self) -> Begun:
        """The transaction, of which this is a block no more."""
        is_own, begun = get_ident() == self._owner, self._begun or Begun()
        if self._is_counted:
            self._is_counted = False
            begun.blocks -= 1
            begun.readers -= not self._write
            if not is_own:
                begun.is_over = True
        return begun

    def _lose(self) -> None:
        if self._begun is not None:
            self._begun.is_over = self._begun.is_lost = True

    def give_up(self, _: object = None) -> None:
        """End it, as nobody will leave it any more."""
        if self._is_on:
            self._take_back(KeyboardInterrupt())
        self.block = None

    __del__ = give_up


@runtime_checkable
class Lists(Protocol):
    """A Storage that can tell which containers it has."""

    def get_containers(self) -> Iterator[str]:
        """The names of all containers in order; as of the call."""
        ...


@runtime_checkable
class Scans(Protocol):
    """A Storage that gives a part of a container in order."""

    def scan(
        self,
        c_id: str,
        prefix: str = "",
        start: str | None = None,
        stop: str | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[str, Value]]:
        """The pairs whose keys begin with ``prefix``, from ``start`` on and before ``stop``.

        In the order of keys, or backwards with ``reverse``. Raises ContainerNotFoundError at the
        call; holds as ``get_container_items`` does.
        """
        ...


@runtime_checkable
class Savepoints(Protocol):
    """A Storage whose transactions can be taken back in part."""

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has begun a transaction."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Take back what the block did when an exception leaves it; the transaction goes on.

        Raises TransactionError outside a transaction.
        """
        ...


@runtime_checkable
class Backups(Protocol):
    """A Storage that can be copied while it is in use."""

    def backup(self, target: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the newest commit to ``target``, from where the same maker opens it.

        Readers and writers go on. ``target`` appears when it is whole, and not at all after an
        error. Raises DuplicateStorageError where something is there.
        """
        ...


@runtime_checkable
class Checks(Protocol):
    """A Storage that can tell whether its bytes are the ones that were written."""

    def check(self) -> list[CorruptionError]:
        """Everything that is wrong with what is stored; reads all of it."""
        ...


def lost() -> TransactionError:
    """The error for what a block does behind an error that ended its transaction."""
    return TransactionError("an error has ended the transaction of this block")


def as_text(given: object, what: str = "key") -> str:
    """A name or key as it is stored. Raises FormatError for text that UTF-8 cannot hold."""
    text = given if type(given) is str else str(given)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise unencodable(text, what) from None
    return text


def as_value(given: object) -> Value:
    """A value as it is stored. Raises FormatError for text that UTF-8 cannot hold."""
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(cast("bytes", given))
    return as_text(given, "value")


def unencodable(text: str, what: str) -> FormatError:
    """The error for text with lone surrogates, which no encoding of Unicode holds."""
    return FormatError(f"expected text that UTF-8 can hold, found {show(text)}", source=what)


def as_pairs(items: Items) -> Iterable[tuple[Any, Any]]:
    """The pairs of what ``set_container_items`` was given."""
    if isinstance(items, Mapping):
        return cast("Mapping[Any, Any]", items).items()
    return items
