"""Dict: an object of a JSON document, with the contract of a MutableMapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, dataclass_transform, overload

from ._pairs import Paired
from ._shapes import ANY, BASES, FileField, Kind
from ._units import Container, View, path_of
from .errors import KeyNotFoundError
from .keyed import Keyed, require_str, without_defined
from .objects import Object, Part, brought, iterate_merged, read_value, unattached_copy
from .pointer import build
from .values import MISSING, is_object

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .transaction import Transaction

    K = TypeVar("K", bound=str, default=str)
    V = TypeVar("V", default=Any)
    D = TypeVar("D")
else:
    from typing import TypeVar

    K = TypeVar("K", bound=str)
    V = TypeVar("V")

_ABSENT: Final = object()
_NOTHING: Final[dict[str, Any]] = {}
_READ_ONCE: Final[dict[str, Any]] = {}


@dataclass_transform(kw_only_default=True, field_specifiers=(FileField,))
class Dict(Keyed, Part, Paired[K, V]):
    """An object of a JSON document: keys as attributes and as items.

    Subclasses declare basic keys as annotations, and defined keys as methods ``get_x`` and
    ``set_x``. ``Dict(...)`` makes an unattached one, which lives in memory and is good for
    assigning; those of a store come from the store.

    A class with declared keys refuses others unless it is made with ``extra="allow"``.
    ``Dict[str, T]`` takes any key, with values of type T.
    """

    _mirrored: dict[str, Any] = _NOTHING
    _kind: ClassVar[Kind] = "dict"

    def __init__(
        self,
        contents: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        /,
        **keys: Any,
    ) -> None:
        given = dict(() if contents is None else without_defined(contents), **keys)
        computed = {key: given.pop(key) for key in self._defined if key in given}
        with self._unattached_edit(given):
            for key, value in computed.items():
                self._put(key, value)

    @classmethod
    def fromkeys(cls, keys: Iterable[str], value: Any = None) -> Self:
        """An unattached Dict with one value for several keys, as dict.fromkeys has it."""
        return cls(dict.fromkeys(keys, value))

    # --- items ------------------------------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        try:
            return self._mirrored[key]  # type: ignore[no-any-return]  # a cast here costs a third
        except KeyError:
            return self._get(key)  # type: ignore[no-any-return]

    def __setitem__(self, key: K, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: K) -> None:
        self._delete(key)

    # The mixin's get() would hide a broken file behind the default: DetachedError is a KeyError.
    @overload
    def get(self, key: Any, default: None = None) -> V | None: ...
    @overload
    def get(self, key: Any, default: V) -> V: ...
    @overload
    def get(self, key: Any, default: D) -> V | D: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or ``default`` where there is none."""
        return self[key] if key in self else default  # noqa: SIM401 - this is get

    def _pairs(self) -> Iterator[tuple[K, V]]:
        """Every key with its value: contents are looked up once, and nothing is mirrored."""
        contents, view = self._mapping()
        info, defined = type(self)._info, self._defined
        defaults = [pair for pair in info.defaults if pair[0] not in contents]
        key: Any
        for key, raw in (*contents.items(), *defaults):
            if key not in defined:
                yield key, read_value(self, key, raw, info.shape_for(key), contents, view)
        for key in defined:
            yield key, self._get(key)

    # --- what Keyed asks for ----------------------------------------------------------------------

    def _read(self, key: str) -> Any:
        contents, view = self._mapping()
        info = type(self)._info
        raw = self._element(contents, key)
        if raw is MISSING:
            raise self._missing(key, self._where(view))
        value = read_value(self, key, raw, info.shape_for(key), contents, view)
        if view is None:
            self._mirror(key, value, contents)
        return value

    def _mirror(self, key: str, value: Any, contents: Container) -> None:
        """Put a value where attribute access finds it, if everybody may see it, from the second one
        on that is read.

        Keys that are attributes of the class stay out: there the class comes first.
        """
        unit = self._unit
        with unit.host.lock:
            if unit.may_mirror() and self._committed() is contents and not hasattr(type(self), key):
                if self._mirrored is _NOTHING:
                    # Many an Object is read once and dropped, and to hold its values would not pay.
                    object.__setattr__(self, "_mirrored", _READ_ONCE)
                    return
                if self._mirrored is _READ_ONCE:
                    self._note_mirror()  # first: an interrupt must leave nothing that nobody knows
                    object.__setattr__(self, "_mirrored", {})
                self._mirrored[key] = value
                # Not by way of __dict__: once that was asked for, attributes are read from it,
                # which takes longer.
                object.__setattr__(self, key, value)

    def _forget(self) -> None:
        for key in self._mirrored:
            try:  # noqa: SIM105 - for each key of each commit
                object.__delattr__(self, key)
            except AttributeError:
                pass  # it was interrupted here, or as it was set
        object.__setattr__(self, "_mirrored", _READ_ONCE)

    def _write(self, key: str, value: Any) -> None:
        require_str(key)
        value = brought(value, self._unit.host) if isinstance(value, Object) else value
        with self._edit() as tx:
            shape = type(self)._info.shape_for(key)
            view = tx.view(self._unit)
            if isinstance(value, Part) and self._is_stored(value, key, view):
                return
            encoded = self._encode(value, shape or ANY, view, key)
            container = self._own_in(view)
            kids = self._kids
            held = kids and (key in kids or key in kids.former)  # mostly not, and to ask costs
            lists = self._leave(key, container, view) if held else ()
            view.drop_below(self, key)
            container[key] = encoded
            if lists:
                view.renew(lists)

    def _is_stored(self, value: Part, key: str, view: View) -> bool:
        container = view.locate(self)
        return is_object(container) and self._is_element(value, key, container.get(key), view)

    def _remove(self, key: str) -> None:
        with self._edit() as tx:
            view = tx.view(self._unit)
            contents, _ = self._mapping()
            if key not in contents:
                raise self._missing(key, self._where(view))
            container = self._own_in(view)
            lists = self._leave(key, container, view)
            view.drop_below(self, key)
            del container[key]
            view.renew(lists)

    def _has(self, key: str) -> bool:
        return self._element(self._mapping()[0], key) is not MISSING

    # Not by iterating: that looks at every key.
    def __len__(self) -> int:
        contents, _ = self._mapping()
        more = {*self._defined, *(key for key, _ in type(self)._info.defaults)}
        return len(contents) + sum(key not in contents for key in more)

    def _stored_keys(self) -> Iterator[str]:
        defaults = (key for key, _ in type(self)._info.defaults)
        return iterate_merged(iter(list(self._mapping()[0])), defaults)

    def _basic(self) -> dict[str, Any]:
        contents, view = self._mapping()
        shape_for = type(self)._info.shape_for
        return {
            key: read_value(self, key, raw, shape_for(key), contents, view)
            for key, raw in contents.items()
        }

    def _edit(self) -> AbstractContextManager[Transaction]:
        return self._unit.host.edit()

    def _mapping(self) -> tuple[dict[str, Any], View | None]:
        found: tuple[Any, View | None] = self._contents()
        return found

    def _where(self, view: View | None) -> str:
        unit = self._unit
        place = build(path_of(self, view))
        source = unit.host.source(unit)
        return f"{source} at {place}" if place else source

    # --- several keys at once: one transaction ----------------------------------------------------

    def clear(self) -> None:
        """Remove every stored key."""
        with self._edit() as tx:
            view = tx.view(self._unit)
            container = self._own_in(view)
            lists = [
                one
                for key in (container if self._kids else ())
                for one in self._leave(key, container, view)
            ]
            for key in container:
                view.drop_below(self, key)
            container.clear()
            view.renew(lists)

    def pop(self, key: Any, default: Any = _ABSENT) -> Any:
        """Remove a stored key and return its value; an Object is returned unattached.

        Raises KeyNotFoundError where it is not stored, and there is no ``default``.
        """
        with self._edit() as tx:
            tx.view(self._unit)  # what is there now is read, and removed
            if default is not _ABSENT and key not in self._mapping()[0]:
                return default
            value = unattached_copy(self._get(key))
            del self[key]
            return value

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the last stored key and its value."""
        with self._edit() as tx:
            tx.view(self._unit)
            contents = self._mapping()[0]
            if not contents:
                raise KeyNotFoundError(f"{self._where(None)} has no stored key")
            key = next(reversed(contents))
            return key, self.pop(key)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of a key, which is set first if it is not there."""
        with self._edit() as tx:
            tx.view(self._unit)
            return super().setdefault(key, default)


BASES["dict"] = Dict
