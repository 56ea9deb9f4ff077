"""What Dict and Directory share: keys as attributes, and defined keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from .errors import AttributeNotFoundError, DefinedKeyError, KeyNotFoundError
from .objects import Object, defined_keys
from .values import MISSING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from .transaction import Transaction


class _Defined:
    """A class's defined keys: name -> (getter, setter or None). They then stand in its place."""

    def __get__(self, instance: object, cls: type[Keyed]) -> dict[str, tuple[Any, Any]]:
        found = cls._defined = defined_keys(cls)
        return found


class Keyed(Object):
    """An Object with keys: basic ones, which are stored, and defined ones, which are computed."""

    __slots__ = ()

    _defined: ClassVar[Any] = _Defined()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._defined = _Defined()

    # --- what Dict and Directory say themselves ---------------------------------------------------

    @abstractmethod
    def _read(self, key: str) -> Any:
        """The value of a basic key. Raises KeyNotFoundError."""

    @abstractmethod
    def _write(self, key: str, value: Any) -> None:
        """Set a basic key."""

    @abstractmethod
    def _remove(self, key: str) -> None:
        """Remove a basic key. Raises KeyNotFoundError."""

    @abstractmethod
    def _has(self, key: str) -> bool:
        """Whether ``_read`` would find something."""

    @abstractmethod
    def _stored_keys(self) -> Iterator[str]:
        """The basic keys that are there, or read as a default."""

    @abstractmethod
    def _basic(self) -> dict[str, Any]:
        """The contents, each value as it is read."""

    @abstractmethod
    def _edit(self) -> AbstractContextManager[Transaction]:
        """The transaction for what is about to be changed."""

    # --- keys, whichever kind ---------------------------------------------------------------------

    def _get(self, key: str) -> Any:
        if type(key) is not str:
            key = plain_key(key)
        defined = self._defined.get(key)
        return self._read(key) if defined is None else defined[0](self)

    def _put(self, key: str, value: Any) -> None:
        if type(key) is not str:
            key = plain_key(key)
        defined = self._defined.get(key)
        if defined is None:
            self._write(key, value)
        elif defined[1] is None:
            raise DefinedKeyError(
                f"{type(self).__name__}.{key} is computed by get_{key}, "
                f"and cannot be set without a method set_{key}"
            )
        else:
            with self._edit():
                defined[1](self, value)

    def _delete(self, key: str) -> None:
        if type(key) is not str:
            key = plain_key(key)
        if key in self._defined:
            raise DefinedKeyError(
                f"{type(self).__name__}.{key} is computed by get_{key}, and cannot be deleted"
            )
        self._remove(key)

    def __contains__(self, key: object) -> bool:
        text = key if type(key) is str else plain_key(key)
        return isinstance(text, str) and (text in self._defined or self._has(text))

    def __iter__(self) -> Iterator[Any]:
        # A subclass may define a key that its base stores: it is computed then, and there once.
        defined, stored = self._defined, self._stored_keys()
        yield from (key for key in stored if key not in defined) if defined else stored
        yield from defined

    def __reversed__(self) -> Iterator[Any]:
        yield from list(self)[::-1]

    def copy(self) -> dict[str, Any]:
        """The contents, as a plain dict."""
        return cast("dict[str, Any]", self.contents)

    # --- several keys at once: one transaction ----------------------------------------------------

    def update(self, *args: Any, **keys: Any) -> None:
        """Set several keys together, as dict.update does. An Object gives its basic keys."""
        with self._edit():
            self._put_all(dict(*map(without_defined, args), **keys))

    def _put_all(self, members: Mapping[str, Any]) -> None:
        for key, value in members.items():
            self._put(key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of a key, which is set first if it is not there."""
        with self._edit():
            if key not in self:
                self._put(key, default)
            return self._get(key)

    def __or__(self, other: Any) -> dict[str, Any]:
        return {**self._basic(), **dict(without_defined(other))}

    def __ror__(self, other: Any) -> dict[str, Any]:
        return {**dict(without_defined(other)), **self._basic()}

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self

    # --- keys as attributes -----------------------------------------------------------------------

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    else:

        def __getattr__(self, name):
            # Called only for what is neither mirrored in __dict__ nor an attribute of the class.
            if name.startswith("__") and name.endswith("__"):
                raise AttributeError(f"{type(self).__name__} has no attribute {name}")
            try:
                return self._get(name)
            except KeyNotFoundError as error:
                raise AttributeNotFoundError(str(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        there = getattr(type(self), name, MISSING)
        if isinstance(there, property):
            object.__setattr__(self, name, value)
            return
        if there is not MISSING or name.startswith("__"):
            self._require_key(name)
        self._put(name, value)

    def __delattr__(self, name: str) -> None:
        self._require_key(name)
        try:
            self._delete(name)
        except KeyNotFoundError as error:
            raise AttributeNotFoundError(str(error)) from None

    def _require_key(self, name: str) -> None:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"{name} is no key; set the key of that name as obj[{name!r}]")
        if hasattr(type(self), name):
            raise AttributeError(
                f"{name!r} is an attribute of every {type(self).__name__}; "
                f"the key of that name is at obj[{name!r}]"
            )

    def __dir__(self) -> list[str]:
        keys = [key for key in self if key.isidentifier()]
        return sorted({*super().__dir__(), *keys})

    def _missing(self, key: object, where: str) -> KeyNotFoundError:
        """The error of a key that is not there."""
        known = [*self._info.keys, *self._defined]
        hint = f" (known keys: {', '.join(known)})" if known and key not in known else ""
        return KeyNotFoundError(f"{where} has no key {key!r}{hint}")


def without_defined(given: Any) -> Any:
    """What a mapping gives to another: an Object its basic keys, as others compute their own."""
    if not isinstance(given, Keyed):
        return given
    return {key: given._read(key) for key in given._stored_keys() if key not in given._defined}


def plain_key(key: Any) -> Any:
    """A key that is of a subclass of str, such as a StrEnum, as the text that it is.

    Pointers and files are made of ``str`` alone. What is no text stays as it is.
    """
    return str.__str__(key) if isinstance(key, str) else key


def require_str(key: object) -> None:
    """Raise TypeError for a key that is not text."""
    if not isinstance(key, str):
        raise TypeError(f"keys are str, not {type(key).__name__}")
