"""Containers as mappings: ``containers["seen"]["page 7"] = {"at": "2026-11-20"}``.

A Container is one container of a Storage. Its values are text and bytes, which are stored as they
are, and JSON, which is stored as text behind ``json:``. (Text that begins so is stored as JSON.)
"""

from __future__ import annotations

import json
import re
from collections.abc import (
    Callable,
    Generator,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    ValuesView,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from ._encode import encode
from ._shapes import ANY, Shape
from .errors import (
    ContainerNotFoundError,
    CorruptionError,
    DuplicateContainerError,
    Failure,
    KeyNotFoundError,
    StorageError,
    ValidationError,
)
from .storage import Checks, Lists, Scans, Storage, Value
from .values import JSON, MAX_DEPTH, show

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem


class Opener(Protocol):
    """Where a storage may be yet to be made."""

    def __call__(self, create: bool) -> Storage | None:
        """The storage; None where there is none yet, and ``create`` does not ask to make it."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """A block in which this thread does not have one made: that raises ReadOnlyError."""
        ...

    def close(self) -> None:
        """Release the storage, or never make it. Closing again does nothing."""
        ...


_MARK: Final = "json:"
_LONG_NUMBER: Final = re.compile("[0-9]{19}")
"""What orjson might read as a float, as it is beyond 64 bits."""


class Container(MutableMapping[str, Any]):
    """A mapping from text to JSON values, text and bytes, in the order of keys.

    What is read is a copy: a change of it is stored when it is set again. ``schema`` is a class, an
    annotation such as ``list[int]``, or a JSON Schema (a dict); values are checked against it
    before they are stored, and ValidationError lists every failure. A container that is not there
    is empty, and made by the first write. Keys are strings; other ones are not there, and setting
    them is a ValidationError. Raises TypeError for a name that is no text.
    """

    def __init__(self, storage: Storage | Opener, name: str, schema: Any = None) -> None:
        _require_name(name)
        self.name: Final = name
        self._opener: Final = _opener(storage)
        self._shape: Final = _shape(schema, name)

    def __repr__(self) -> str:
        return f"<Container {show(self.name)}>"

    # --- reading ----------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        storage = self._opener(False)
        if storage is not None and isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            try:
                return self._decode(key, storage.get_container_item(self.name, key))
            except ContainerNotFoundError:
                pass
        raise KeyNotFoundError(f"the container {show(self.name)} has no key {show(key)}")

    def __contains__(self, key: object) -> bool:
        storage = self._opener(False)
        if storage is None or not isinstance(key, str):
            return False
        try:
            storage.get_container_item(self.name, key)
        except (ContainerNotFoundError, KeyNotFoundError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        """The keys in order, as of now, whatever is written meanwhile."""
        storage = self._opener(False)
        if storage is None:
            return iter(())
        try:
            return storage.get_container_keys(self.name)
        except ContainerNotFoundError:
            return iter(())

    def __reversed__(self) -> Iterator[str]:
        return (key for key, _ in self._scan(reverse=True))

    def __len__(self) -> int:
        """How many keys there are; looked up, not counted."""
        storage = self._opener(False)
        try:
            return 0 if storage is None else storage.get_container_len(self.name)
        except ContainerNotFoundError:
            return 0

    def items(self) -> Items:
        return Items(self)

    def values(self) -> Values:
        return Values(self)

    def prefix(self, text: str) -> Part:
        """The items whose keys begin with ``text``."""
        return Part(self, prefix=text)

    def range(self, start: str | None = None, stop: str | None = None) -> Part:
        """The items from the key ``start`` on and before ``stop``."""
        return Part(self, start=start, stop=stop)

    def _scan(self, **bounds: Any) -> Iterator[tuple[str, Any]]:
        storage = self._opener(False)
        if storage is None:
            return iter(())
        if not isinstance(storage, Scans):
            raise StorageError(f"{type(storage).__name__} gives no parts of a container in order")
        try:
            found = storage.scan(self.name, **bounds)
        except ContainerNotFoundError:
            return iter(())
        return ((key, self._decode(key, value)) for key, value in found)

    # --- writing ----------------------------------------------------------------------------------

    def __setitem__(self, key: str, value: Any) -> None:
        encoded = self._encode(key, value)
        self._write(lambda storage: storage.set_container_item(self.name, key, encoded))

    def __delitem__(self, key: str) -> None:
        storage = self._opener(False)
        if storage is not None and isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            try:
                if storage.delete_container_item(self.name, key):
                    return
            except ContainerNotFoundError:
                pass
        raise KeyNotFoundError(f"the container {show(self.name)} has no key {show(key)}")

    def update(
        self,
        other: SupportsKeysAndGetItem[str, Any] | Iterable[tuple[str, Any]] = (),
        /,
        **more: Any,
    ) -> None:
        """Set many, all or none, in one batch."""
        pairs = {key: self._encode(key, value) for key, value in dict(other, **more).items()}
        if pairs:
            self._write(lambda storage: storage.set_container_items(self.name, pairs))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set to ``default`` if it is not there; nobody in between."""
        with suppress(KeyNotFoundError):  # most often it is there, and nobody has to wait
            return self[key]
        with self.transaction():
            if key not in self:
                self[key] = default
            return self[key]

    def pop(self, key: str, *default: Any) -> Any:
        """Delete a key and return its value; nobody in between."""
        with self._if_there():
            return super().pop(key, *default)

    def popitem(self) -> tuple[str, Any]:
        """Delete the first key and return it with its value; nobody in between."""
        with self._if_there():
            for key in self:
                value = self[key]
                del self[key]
                return key, value
        raise KeyNotFoundError(f"the container {show(self.name)} is empty")

    def clear(self) -> None:
        storage = self._opener(False)
        if storage is not None:
            try:
                storage.clear_container(self.name)
            except ContainerNotFoundError:
                return

    def _if_there(self) -> AbstractContextManager[object]:
        """A transaction of a storage that is there; none is made to find nothing in it."""
        return nullcontext() if self._opener(False) is None else self.transaction()

    @contextmanager
    def transaction(self, write: bool = True) -> Generator[Self]:
        """Commit what the block does, to any container of the same storage, or take it back.

        With ``write=False`` the block only reads, and waits for nobody.
        """
        storage = self._opener(write)
        with self._opener.reading() if storage is None else storage.transaction(write):
            yield self

    def _write(self, write: Callable[[Storage], None]) -> None:
        """Write to the container, and make it if it is not there."""
        storage = self._opener(True)
        if storage is None:
            raise StorageError("there is no storage to write to")
        try:
            write(storage)
        except ContainerNotFoundError:
            with storage.transaction():
                with suppress(DuplicateContainerError):  # somebody else made it meanwhile
                    storage.add_container(self.name)
                write(storage)

    # --- values -----------------------------------------------------------------------------------

    def _encode(self, key: object, value: Any) -> Value:
        source = f"container {show(self.name)}, {show(key)}"
        if not isinstance(key, str):
            raise ValidationError([Failure(source, "", "a key that is a string", show(key))])
        if self._shape is ANY:
            if isinstance(value, bytes):
                return value
            quick = _quickly(value)
            if quick is not None:
                return quick
        contents = encode(value, self._shape, source=source)
        failures = self._shape.validator.failures(contents, source)
        if failures:
            raise ValidationError(failures)
        return _text(contents)

    def _decode(self, key: str, value: Value) -> Any:
        if isinstance(value, bytes):
            return value
        contents: Any = value
        if value.startswith(_MARK):
            try:
                contents = _contents(value[len(_MARK) :])
            except ValueError as error:
                reason = f"the value of {show(key)} is not the JSON that it should be: {error}"
                raise CorruptionError(reason, file=f"container {show(self.name)}") from error
        return contents if self._shape.decode is None else self._shape.decode(contents)


class Part(Mapping[str, Any]):
    """A part of a Container: as it is whenever it is looked at. ``len`` counts."""

    def __init__(
        self,
        container: Container,
        *,
        prefix: str = "",
        start: str | None = None,
        stop: str | None = None,
    ) -> None:
        self._container: Final = container
        self._prefix: Final = prefix
        self._start: Final = start
        self._stop: Final = stop

    def __repr__(self) -> str:
        bounds = [("prefix", self._prefix or None), ("start", self._start), ("stop", self._stop)]
        said = ", ".join(f"{name}={show(text)}" for name, text in bounds if text is not None)
        return f"<Part of {self._container!r}: {said}>"

    def __getitem__(self, key: str) -> Any:
        if not self._has(key):
            raise KeyNotFoundError(f"{self!r} has no key {show(key)}")
        return self._container[key]

    def __contains__(self, key: object) -> bool:
        return self._has(key) and key in self._container

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._scan())

    def __reversed__(self) -> Iterator[str]:
        return (key for key, _ in self._scan(reverse=True))

    def __len__(self) -> int:
        return sum(1 for _ in self._scan())

    def items(self) -> Items:
        return Items(self)

    def values(self) -> Values:
        return Values(self)

    def _scan(self, *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
        return self._container._scan(
            prefix=self._prefix, start=self._start, stop=self._stop, reverse=reverse
        )

    def _has(self, key: object) -> bool:
        return (
            isinstance(key, str)
            and key.startswith(self._prefix)
            and (self._start is None or key >= self._start)
            and (self._stop is None or key < self._stop)
        )


def _require_name(name: object) -> None:
    # A Storage would make text of it, and whoever asks for that has another name.
    if not isinstance(name, str):
        raise TypeError(f"a container's name is text, not {show(name)}")


class Containers(Mapping[str, Container]):
    """The containers of a Storage by name. Any text gives one, which the first write makes.

    Iteration, ``len`` and ``in`` are about those that are there; what is no text is not, and is a
    TypeError elsewhere. Closed with ``close`` or as a context manager.
    """

    def __init__(self, storage: Storage | Opener) -> None:
        self._opener: Final = _opener(storage)

    def __repr__(self) -> str:
        return f"<Containers {self._opener!r}>"

    def __getitem__(self, name: str) -> Container:
        return Container(self._opener, name)

    def container(self, name: str, schema: Any) -> Container:
        """The container whose values a schema describes: see Container."""
        return Container(self._opener, name, schema)

    def __iter__(self) -> Iterator[str]:
        storage = self._opener(False)
        if storage is None:
            return iter(())
        if not isinstance(storage, Lists):
            raise StorageError(f"{type(storage).__name__} does not tell which containers it has")
        return storage.get_containers()

    def __contains__(self, name: object) -> bool:
        storage = self._opener(False)
        if storage is None or not isinstance(name, str):
            return False
        try:
            storage.get_container_len(name)
        except ContainerNotFoundError:
            return False
        return True

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __delitem__(self, name: str) -> None:
        """Delete a container with everything in it. Raises ContainerNotFoundError."""
        _require_name(name)
        storage = self._opener(False)
        if storage is None:
            raise ContainerNotFoundError(f"there is no container {show(name)}")
        storage.delete_container(name)

    @contextmanager
    def transaction(self, write: bool = True) -> Generator[Self]:
        """Commit what the block does to any of the containers together, or take it back.

        With ``write=False`` the block only reads, and waits for nobody.
        """
        storage = self._opener(write)
        with self._opener.reading() if storage is None else storage.transaction(write):
            yield self

    def check(self) -> list[CorruptionError]:
        """Everything that is wrong with what is stored; reads all of it.

        Raises StorageError where the storage cannot tell.
        """
        storage = self._opener(False)
        if storage is None:
            return []
        if not isinstance(storage, Checks):
            raise StorageError(f"{type(storage).__name__} does not tell what is wrong with it")
        return storage.check()

    def close(self) -> None:
        """Release the storage. Closing again does nothing."""
        self._opener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Items(ItemsView[str, Any]):
    """The pairs of a mapping in order, fetched together rather than key by key."""

    _mapping: Container | Part

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping._scan()

    def __reversed__(self) -> Iterator[tuple[str, Any]]:
        return self._mapping._scan(reverse=True)


class Values(ValuesView[Any]):
    """The values of a mapping in the order of their keys, fetched together."""

    _mapping: Container | Part

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._scan())

    def __reversed__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._scan(reverse=True))


class _Open:
    """A storage that is there."""

    def __init__(self, storage: Storage) -> None:
        self._storage: Final = storage
        self.close: Final = storage.close

    def __call__(self, create: bool) -> Storage:
        return self._storage

    def __repr__(self) -> str:
        return repr(self._storage)

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()


def _opener(storage: Storage | Opener) -> Opener:
    return _Open(storage) if isinstance(storage, Storage) else storage


def _shape(schema: Any, name: str) -> Shape:
    if schema is None:
        return ANY
    if isinstance(schema, Mapping):
        given = dict(cast("Mapping[str, JSON]", schema))
        shape = Shape(schema_of=lambda _: given)
    else:
        from ._annotations import shape_of

        shape = shape_of(schema)
    shape.validator  # noqa: B018 - raises SchemaError now, not at the first write
    return shape


def _quickly(value: object) -> str | None:
    """The text of most values that need no look at their parts; None for others."""
    if type(value) is str:
        return value if not value.startswith(_MARK) else None
    import orjson

    options = (
        orjson.OPT_PASSTHROUGH_DATACLASS
        | orjson.OPT_PASSTHROUGH_DATETIME
        | orjson.OPT_PASSTHROUGH_SUBCLASS
    )
    try:
        data = orjson.dumps(value, option=options)
    except TypeError:
        return None
    # NaN is written as null, and what nests too deep is refused, as everywhere.
    if b"null" in data or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        return None
    return _MARK + data.decode()


def _text(contents: JSON) -> str:
    if isinstance(contents, str) and not contents.startswith(_MARK):
        return contents
    return _MARK + json.dumps(contents, ensure_ascii=False, separators=(",", ":"))


def _contents(text: str) -> JSON:
    if _LONG_NUMBER.search(text):
        return cast("JSON", json.loads(text))
    import orjson

    return cast("JSON", orjson.loads(text))
