"""What the annotations of classes say: declared keys and given types, with their names resolved."""

from __future__ import annotations

import sys
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, get_args, get_origin

from .errors import SchemaError

if TYPE_CHECKING:
    from .objects import Object


class Said(NamedTuple):
    """What a class itself says, without those that it inherits from."""

    hints: Mapping[str, Any]
    """Of the keys that it declares."""
    arguments: tuple[Any, ...]
    """The types that it was given, as in ``List[int]``."""


_NOTHING: Final = Said({}, ())


def annotations_of(cls: type) -> Mapping[str, Any]:
    """A class's own annotations as they are when it is made."""
    there: Mapping[str, Any] | None = vars(cls).get("__annotations__")
    if there is None and sys.version_info >= (3, 14):
        import annotationlib

        # They are evaluated when they are asked for (PEP 649), which is too early now.
        there = annotationlib.get_annotations(cls, format=annotationlib.Format.STRING)
    return there or {}


def _annotations_now(cls: type) -> Mapping[str, Any]:
    """The same once a class is used, evaluated where Python has left that for now."""
    if sys.version_info >= (3, 14) and "__annotations__" not in vars(cls):
        import annotationlib

        try:
            return annotationlib.get_annotations(cls)
        except NameError:
            return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return annotations_of(cls)


def declarations(cls: type[Object]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The resolved annotations of a class and its bases, in order, and the defaults given."""
    hints: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, hint in _said(base).hints.items():
            hints[name] = hint
            defaults.pop(name, None)  # who declares a key again says anew whether it has a default
        defaults.update(vars(base).get("_defaults", {}))
    return hints, defaults


def argument(cls: type[Object], index: int, default: Any) -> Any:
    """The type argument that a class, or the nearest one it inherits from, was given."""
    for base in cls.__mro__:
        arguments = _said(base).arguments
        if arguments:
            return arguments[index]
    return default


def _said(cls: type) -> Said:
    """What a class itself says, resolved once: the function that it is defined in may have had
    more than names, which is let go of then."""
    if not hasattr(cls, "_declares"):
        return _NOTHING
    ours = cast("type[Object]", cls)
    around = ours._locals or {}  # first: another thread may be about to let go of them
    known: Said | None = vars(cls).get("_said")
    if known is not None:
        return known
    declares = vars(cls).get("_declares", ())
    annotations: Mapping[str, Any] = _annotations_now(cls) if declares else {}
    hints = {name: _resolve(cls, annotations[name], around) for name in declares}
    said = Said(hints, tuple([_resolve(cls, one, around) for one in _arguments(cls)]))
    ours._said = said
    ours._locals = None
    return said


def _arguments(cls: type) -> tuple[Any, ...]:
    """What a class was made with, or gives its base: ``class People(Directory[Person])``."""
    made: tuple[Any, ...] = vars(cls).get("_arguments", ())
    if made:
        return made
    for base in vars(cls).get("__orig_bases__", ()):
        said = get_args(base)
        if hasattr(get_origin(base), "_kind") and not any(map(_is_variable, said)):
            return said
    return ()


def _is_variable(argument: Any) -> bool:
    return isinstance(argument, typing.TypeVar)


def _resolve(cls: type, hint: Any, around: Mapping[str, Any]) -> Any:
    """An annotation with its forward references looked up, at any depth.

    A class within a function sees what the function had defined by then, which is ``around``, and
    classes of ours that the function defined later.
    """
    holder = type("_", (), {"__annotations__": {"hint": hint}, "__module__": cls.__module__})
    module = vars(sys.modules.get(cls.__module__, typing))
    names: dict[str, Any] = {**around, cls.__name__: cls}
    while True:
        try:
            return typing.get_type_hints(holder, module, names, include_extras=True)["hint"]
        except NameError as error:
            name = error.name or ""
            found = _neighbour(cls, name)
            if found is None or name in names:
                reason = f"{cls.__qualname__}: {error} in the annotation {hint!r}"
                raise SchemaError(reason) from error
            names[name] = found


def _neighbour(cls: type, name: str) -> type[Object] | None:
    """The class of ours that is defined under a name in the same place."""
    scope = cls.__qualname__.rpartition(".")[0]
    return _by_name.get((cls.__module__, f"{scope}.{name}" if scope else name))


_by_name: dict[tuple[str, str], type[Object]] = {}


def remember(cls: type[Object]) -> None:
    """Note a class under its name, for the annotations of its neighbours."""
    if "<locals>" in cls.__qualname__:
        _by_name[cls.__module__, cls.__qualname__] = cls
