"""Object, and what Dict, List and Directory have in common.

An Object stands for a place in a store; it holds no contents of its own. Reads of an Object that no
transaction has changed are answered from where the interpreter looks first (the instance
``__dict__`` of a Dict, a list in a List): values are mirrored there when they are first read, and
taken back before anybody may see others.
"""

from __future__ import annotations

import sys
import threading
import weakref
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, ClassVar, Final, Literal, Self, cast

from . import _annotations, _hints
from ._encode import encode, is_plain
from ._kids import Kids, is_power_of_two
from ._left import EVERYBODYS, Left
from ._shapes import ANY, BASES, Definitions, Info, Kind, Shape, standalone
from ._unattached import Unattached
from ._units import Container, Unit, View, committed_below, detached, path_of
from .errors import DetachedError, KeyNotFoundError, SchemaError, ValidationError
from .transaction import Host, Transaction
from .values import JSON, MISSING, Missing, copy_of, is_object

Extra = Literal["allow", "forbid"]


class _ClassInfo:
    """A class's ``Info``, made when first asked for: annotations may name classes defined later.

    It then stands in this one's place, as it is asked for a dozen times a file that is read.
    """

    def __get__(self, instance: object, cls: type[Object]) -> Info:
        info = cls._make_info()
        type.__setattr__(cls, "_info", info)
        # In a JSON Schema a default is a remark that binds nobody.
        if cls._given_schema is None and any(info.defaults):
            _check_defaults(cls)
        return info


class _Checking(threading.local):
    """The classes whose defaults this thread is about to check together."""

    classes: list[type[Object]] | None = None


_checking: Final = _Checking()


def _check_defaults(cls: type[Object]) -> None:
    if _checking.classes is not None:  # it is mentioned by one of them
        _checking.classes.append(cls)
        return
    classes = _checking.classes = [cls]
    try:
        _annotations.check_defaults(classes)
    except SchemaError:
        for one in classes:
            type.__setattr__(one, "_info", _ClassInfo())  # to be checked when next asked for
        raise
    finally:
        _checking.classes = None


class _ClassSchema:
    """A class's JSON Schema (draft 2020-12), as a document of its own."""

    def __get__(self, instance: object, cls: type[Object]) -> dict[str, Any]:
        schema = vars(cls).get("_own_schema")
        if schema is None:
            schema = cls._own_schema = standalone(cls._schema_of, root=cls)
        return cast("dict[str, Any]", schema)


class Object:
    """What stands for a place in a store: a Dict, a List or a Directory."""

    __slots__ = ()

    _kind: ClassVar[Kind]
    _named: ClassVar[bool] = True
    _extra: ClassVar[Extra | None] = None
    _declares: ClassVar[Mapping[str, Any]] = {}
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _locals: ClassVar[Mapping[str, Any] | None] = None
    _said: ClassVar[_hints.Said | None] = None
    _own_schema: ClassVar[Any] = None
    _given_schema: ClassVar[Any] = None
    _info: ClassVar[_ClassInfo] = _ClassInfo()
    __schema__: ClassVar[_ClassSchema] = _ClassSchema()
    _before: tuple[Any, int] | None = None
    """What it has left as a value (see ``_left``), and in which era."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init_subclass__(cls, *, extra: Extra | None = None, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls._info, cls._own_schema = _ClassInfo(), None
        if extra is not None:
            if extra not in ("allow", "forbid"):
                raise TypeError(f'extra is "allow" or "forbid", not {extra!r}')
            cls._extra = extra
        if not cls.__module__.startswith("objstore."):
            _take_declarations(cls)

    def __class_getitem__(cls, arguments: Any) -> _annotations.Alias:
        # Called, the mixins' own would forget what it was given.
        return _annotations.Alias(cls, arguments)

    @classmethod
    def _make_info(cls) -> Info:
        if cls._given_schema is not None:
            from .schema import info_of_given

            return info_of_given(cls)
        return _annotations.class_info(cls)

    @classmethod
    def _schema_of(cls, definitions: Definitions) -> JSON:
        if cls._given_schema is not None:
            from .schema import given_schema_of

            return given_schema_of(cls, definitions)
        return _annotations.class_schema(cls, definitions)

    # --- the same for all three -------------------------------------------------------------------

    @property
    def contents(self) -> Any:
        """The plain JSON value: basic keys only, a copy that is the caller's to change."""
        return copy_of(self._snapshot())

    @abstractmethod
    def _snapshot(self) -> JSON:
        """The contents as this thread or task sees them; not to be changed."""

    def _assigned(self) -> JSON:
        """The contents that a place gets to which this Object is assigned; not to be changed."""
        return self._snapshot()

    @abstractmethod
    def _hosted(self) -> Host:
        """Where it lives."""

    def GET(self, key: Any) -> Any:
        """The value of a key or element, like ``obj[key]``."""
        return cast(Any, self)[key]

    def PUT(self, key: Any, value: Any) -> None:
        """Set a key or element, like ``obj[key] = value``."""
        cast(Any, self)[key] = value

    def DELETE(self, key: Any) -> None:
        """Remove a key or element, like ``del obj[key]``."""
        del cast(Any, self)[key]

    def HEAD(self, key: Any) -> bool:
        """Whether GET would find something."""
        try:
            cast(Any, self)[key]
        except (KeyNotFoundError, IndexError):
            return False
        return True

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Object):
            other = other._snapshot()
        if not isinstance(other, dict | list):
            return NotImplemented
        contents = self._snapshot()
        return bool(contents == other) or _reads_as(contents, other, type(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies, deep copies and pickles are unattached Objects with the same contents.
        return _unattached, (_annotations.written(type(self)), self.contents)


def _unattached(cls: Any, contents: Any) -> Object:
    return cls(contents)  # type: ignore[no-any-return]


class Part(Object):
    """A Dict or List: a file, an element within one, or unattached."""

    # No __slots__: with them an instance cannot keep its attributes inline, which makes reading one
    # take a sixth of the time from Python 3.12 on. What stands here for all of them also keeps keys
    # of these names from becoming attributes.
    _unit: Unit = cast("Unit", None)
    _parent: Part | None = None
    _key: str | int | None = None
    _kids: Kids | None = None
    _cache: tuple[object, Container | None] = (None, None)

    @classmethod
    def _make(cls, unit: Unit, parent: Part | None = None, key: str | int | None = None) -> Self:
        """The Object of a place that exists."""
        self: Self = object.__new__(cls)
        _set(self, "_unit", unit)
        _set(self, "_parent", parent)
        _set(self, "_key", key)
        return self

    def _unattached_edit(self, contents: Any) -> AbstractContextManager[Transaction]:
        """Become an Object of nobody's store with these contents; leaving the block validates."""
        shape = type(self)._info.shape
        host = Unattached(type(self).__name__)
        unit = Unit(host, "", shape, MISSING)
        _set(self, "_unit", unit)
        _set(self, "_parent", None)
        _set(self, "_key", None)
        encoded = encode(contents, shape, source=type(self).__name__)
        return host.make(unit, encoded)

    # --- reading ----------------------------------------------------------------------------------

    def _contents(self) -> tuple[Container, View | None]:
        """This Object's container, and the view it was found in; None for committed contents.

        Raises DetachedError where the element is gone.
        """
        unit = self._unit
        tx = unit.host.current()
        if tx is None:
            return self._committed(), None
        tx.notice(unit)
        view = tx._views.get(unit)
        if view is None:
            found = self._committed()
            view = tx._views.get(unit)  # a commit in between has left the old contents here
            if view is None:
                return found, None
        located = view.locate(self)
        if not self._fits(located):
            raise self._gone(located, view)
        return cast(Container, located), view

    def _committed(self) -> Container:
        root, container = self._cache
        if container is not None and root is self._unit.value:
            return container
        with self._unit.host.lock:
            root = self._unit.root()
            located: Container = self._locate_committed(root)
            if not self._fits(located):
                raise self._gone(located)
            _set(self, "_cache", (root, located))
            return located

    def _locate_committed(self, root: Any) -> Any:
        if self._parent is None:
            return root
        return committed_below(self._parent._locate_committed(root), self)

    def _element(self, container: Mapping[str, Any], key: Any) -> Any:
        """What stands at a key, or its default; MISSING where neither is."""
        found = container.get(key, MISSING)
        if found is MISSING and isinstance(key, str):
            shape = type(self)._info.keys.get(key)
            return MISSING if shape is None else shape.default
        return found

    def _fits(self, contents: object) -> bool:
        return type(contents) is (list if self._kind == "list" else dict)

    def _gone(self, found: JSON | Missing, view: View | None = None) -> DetachedError:
        return detached(self, path_of(self, view), found)

    def _snapshot(self) -> JSON:
        return self._contents()[0]

    def _child(
        self, token: str | int, contents: Any, shape: Shape, within: Container, view: View | None
    ) -> Part:
        """The Object of an element of the container ``within``: the same one as long as anyone
        holds it, but for one that has left it."""
        cls: Any = shape.class_for(contents)
        unit = self._unit
        with unit.host.lock:
            kids = self._kids
            reference = None if kids is None else kids.get(token)
            kid = None if reference is None else reference()
            if kid is None and (kids is None or token not in kids.former):
                kid = cls._make(unit, self, token)
                (self._own_kids() if kids is None else kids).put(token, kid)
            elif (
                kid is None
                or type(kid) is not cls
                or kid._before is not None
                or (view is not None and view.left)
            ):
                kid = self._other_child(token, cls, EVERYBODYS if view is None else view.left)
            else:
                return kid
            root, container = self._cache
            if container is within:  # committed: what it will find is at hand already
                _set(kid, "_cache", (root, contents))
            return kid

    def _other_child(self, token: str | int, cls: type[Part], left: Left) -> Part:
        """An Object of an element where the one that was handed out so far may be none of it."""
        kids = self._own_kids()
        known = kids.at(token)
        for kid in known:
            if type(kid) is cls and left.by(kid) is None:
                break
        else:
            kid = cls._make(self._unit, self, token)
            twin = next((one for one in known if one._kind == kid._kind), None)
            if twin is not None:  # all of them have the same
                _set(kid, "_kids", twin._own_kids())
        kids.replace(token, kid)
        return kid

    def _own_kids(self) -> Kids:
        """The Objects of the elements, to be noted."""
        with self._unit.host.lock:
            if self._kids is None:
                _set(self, "_kids", Kids())
            return cast("Kids", self._kids)

    def _leave(self, token: str | int, contents: Container, view: View) -> list[Part]:
        """An element of these contents is about to be replaced or removed; the Lists that are held
        of it."""
        kids, known = () if self._kids is None else self._kids.at(token), set[int]()
        return [one for kid in kids for one in view.leave(kid, view.below(contents, kid), known)]

    def _hosted(self) -> Host:
        return self._unit.host

    def _assigned(self) -> JSON:
        tx = self._unit.host.current()
        left = (EVERYBODYS if tx is None else tx.left).by(self)
        return self._snapshot() if left is None else cast("JSON", left)

    @abstractmethod
    def _forget(self) -> None:
        """Take back every mirrored value."""

    def _note_mirror(self) -> None:
        """Have the values that are mirrored from now on taken back in time."""
        unit = self._unit
        mirrored = unit.mirrored
        if not mirrored:
            unit.host._note_mirrored(unit)
        if is_power_of_two(len(mirrored)):
            # Before it grows, the dead go: a loop over a large file makes and drops many Objects.
            mirrored[:] = [reference for reference in mirrored if reference() is not None]
        mirrored.append(weakref.ref(self))

    # --- writing ----------------------------------------------------------------------------------

    def _encode(self, value: Any, shape: Shape, view: View, key: str | int) -> JSON:
        """The contents that a value is stored as below this Object."""
        if is_plain(value) and (not isinstance(key, str) or key.isascii()):
            return value  # type: ignore[no-any-return]
        unit = self._unit
        try:
            return encode(value, shape, source="", path=[*path_of(self, view), key])
        except ValidationError as error:
            raise ValidationError(unit.host.located(error.failures, unit)) from None

    def _own_in(self, view: View) -> Any:
        """The draft of this Object's container, to be changed in place."""
        owned = view.own(self)
        step: Part | None = self
        while step is not None:
            if view.left or step._before is not None:
                view.left.stand(step)
            step = step._parent
        return owned

    def _is_element(self, value: Part, token: str | int, found: Any, view: View) -> bool:
        """Whether a value is the element ``found`` of this container, as after
        ``obj.tags += ["x"]``."""
        above = value._parent
        return (
            above is not None
            and above._kids is self._kids
            and value._key == token
            and value._fits(found)
            and view.left.by(value) is None
        )

    def __repr__(self) -> str:
        unit = self._unit
        name = type(self).__name__
        if unit.host.current() is None and not isinstance(unit.value, dict | list):
            return f"<{name} {unit.pointer}, not loaded>"
        try:
            return f"{name}({self._snapshot()!r})"
        except DetachedError:
            return f"<{name}, detached>"
        except ValidationError:
            return f"<{name} {unit.pointer}, not as its schema wants it>"


_set: Final = object.__setattr__
# Objects take every attribute for a key; their own fields are set past that.


def brought(value: Any, host: Host) -> Any:
    """A value that ``host`` is about to store: of an Object of another one the contents.

    They are got before this one's lock is taken: two threads that copy there and back, each with
    one of the locks, would wait for each other for ever.
    """
    if isinstance(value, Object) and value._hosted() is not host:
        return value._assigned()
    return value


def unattached_copy(value: Any) -> Any:
    """A value that was read, independent of where it stood."""
    if not isinstance(value, Part):
        return value
    cls = type(value)
    return cls._make(Unit(Unattached(cls.__name__), "", cls._info.shape, value.contents))


def read_value(
    part: Part,
    token: str | int,
    raw: Any,
    shape: Shape | None,
    within: Container,
    view: View | None,
) -> Any:
    """What an element of a container reads as: an Object, a typed value, or itself."""
    kind = type(raw)  # pyright: ignore[reportUnknownVariableType]
    if kind is dict or kind is list:
        return part._child(token, raw, shape or ANY, within, view)
    if shape is None:
        return raw
    if kind is float and shape.integral and raw.is_integer():
        raw = int(raw)
    return raw if shape.decode is None else shape.decode(raw)


def _reads_as(contents: Any, other: Any, cls: type[Object]) -> bool:
    """Whether contents, as an Object of the class reads them, are equal to what they are not equal
    to themselves."""
    info = cls._info
    if is_object(contents):
        return (
            isinstance(other, dict)
            and contents.keys() == other.keys()
            and all(_is_read_as(raw, other[k], info.shape_for(k)) for k, raw in contents.items())
        )
    return (
        isinstance(other, list)
        and len(contents) == len(cast("list[Any]", other))
        and all(_is_read_as(raw, other[i], info.shape_at(i)) for i, raw in enumerate(contents))
    )


def _is_read_as(raw: Any, value: Any, shape: Shape | None) -> bool:
    if raw == value:
        return True
    if shape is None or shape.anything:
        return False
    if isinstance(raw, dict | list):
        return _reads_as(raw, value, shape.directory or shape.class_for(cast(JSON, raw)))
    return shape.decode is not None and bool(shape.decode(raw) == value)


# --- making classes -------------------------------------------------------------------------------


def _take_declarations(cls: type[Object]) -> None:
    """Move declared keys and their defaults off the class, so that instances are asked for them."""
    body = vars(cls)
    declares = {k: v for k, v in _hints.annotations_of(cls).items() if not _is_class_var(v)}
    base = next(b for b in cls.__mro__ if b in BASES.values())
    for name in declares:
        if hasattr(base, name):
            raise SchemaError(
                f"{cls.__qualname__}: {name!r} cannot be declared as a key, as it is an attribute "
                f'of every {base.__name__}; with extra="allow" the key is at obj[{name!r}]'
            )
    known = {name for base in cls.__mro__ for name in vars(base).get("_declares", ())} | set(
        declares
    )
    for name in defined_keys(cls).keys() & declares.keys():
        raise SchemaError(
            f"{cls.__qualname__}: {name!r} is declared as a key and computed by get_{name}: the "
            "one would be stored and never read, the other is not stored"
        )
    cls._declares = declares
    cls._defaults = {name: body[name] for name in known if name in body}
    for name in cls._defaults:
        delattr(cls, name)
    given = body.get("__schema__")
    if given is not None:
        cls._given_schema = given
        del cls.__schema__
    if known and cls._given_schema is not None:
        raise SchemaError(
            f"{cls.__qualname__}: {', '.join(map(repr, sorted(known)))} cannot be declared, as the "
            "keys of this class are what its given schema says; add them to the schema's properties"
        )
    cls._locals = _locals_around(cls)
    _hints.remember(cls)


def _is_class_var(hint: Any) -> bool:
    text = hint if isinstance(hint, str) else repr(hint)
    return text.startswith(("ClassVar", "typing.ClassVar"))


def _locals_around(cls: type) -> Mapping[str, Any] | None:
    """The names of the function that a class is being defined in."""
    scopes = cls.__qualname__.split(".")
    if "<locals>" not in scopes:
        return None
    function = scopes[len(scopes) - 2 - scopes[::-1].index("<locals>")]
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return dict(frame.f_locals) if frame is not None else None


def defined_keys(cls: type[Object]) -> dict[str, tuple[Any, Any]]:
    """Defined keys: the ``get_`` methods that need no arguments, with their ``set_`` methods."""
    # As they stand there: of a class method, getattr gives what takes one argument less.
    there = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
    return {
        name[4:]: (getattr(cls, name), getattr(cls, f"set_{name[4:]}", None))
        for name, value in there.items()
        if name.startswith("get_") and name[4:] and _takes_nothing(value)
    }


def _takes_nothing(getter: Any) -> bool:
    code = getattr(getter, "__code__", None)
    if code is None:
        return False
    required: int = code.co_argcount - len(getter.__defaults__ or ())
    keywords: int = code.co_kwonlyargcount - len(getter.__kwdefaults__ or ())
    return required == 1 and keywords == 0


def iterate_merged(*parts: Iterator[str]) -> Iterator[str]:
    """Keys of several kinds, each key once."""
    seen: set[str] = set()
    for part in parts:
        for key in part:
            if key not in seen:
                seen.add(key)
                yield key
