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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from typing import Any, Final, Protocol, Self, TypeAlias, cast, runtime_checkable

from ._owners import not_its_owner
from .errors import ClosedError, CorruptionError, FormatError, TransactionError
from .values import show

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

    @contextmanager
    def block(self, *, write: bool) -> Generator[None]:
        """A block of the thread that runs now. Raises TransactionError where another leaves it."""
        owner = get_ident()
        self.blocks += 1
        self.readers += not write
        try:
            yield
        finally:
            self.blocks -= 1
            self.readers -= not write
            if get_ident() != owner:
                self.is_over = True
        if self.is_lost:
            raise lost()
        if self.is_over:
            raise not_its_owner()


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

    @contextmanager
    def transaction(self, write: bool = True) -> Generator[Self]:
        """Commit what the block does, or take it back when an exception leaves it.

        With ``write=True`` no other writer comes in between, so that what was read is still so when
        it is written; ``write=False``, and any of a readonly storage, is for reading one state of
        things, and waits for nobody: a write in the block raises ReadOnlyError.
        Within a transaction of this thread it is a savepoint. The block belongs to this thread:
        where another one leaves it, that gets a TransactionError, and the whole transaction is
        taken back when its own thread next uses the storage.
        """
        nested = self._nested()
        if nested is not None:
            with nested, self._begun().block(write=write):
                yield self
            return
        owner = get_ident()
        try:
            self._begin(write=write and not self.readonly)
            with self._begun().block(write=write):
                yield self
            self.commit()
        except BaseException as error:
            if get_ident() == owner:
                self._abandon(error)
            raise

    def _abandon(self, error: BaseException) -> None:
        """Roll back because of ``error``, which may have ended the transaction itself."""
        try:
            self.rollback()
        except (TransactionError, ClosedError):
            pass
        except Exception as failure:  # noqa: BLE001 - what went wrong first is what is raised
            error.add_note(f"and the rollback failed: {failure}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
