"""Whether the members of directories can lie where their classes say.

A file's name that cannot be one would otherwise be found when the member is first used, by whoever
happens to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from ._shapes import Info, Shape
from .errors import SchemaError
from .formats import ENDINGS, ending_of
from .values import show

if TYPE_CHECKING:
    from .objects import Object

# Classes do not change, and a program may open the same store again and again. Only grows, with
# what has been looked at, so it needs no lock.
_checked: Final[WeakSet[type[Object]]] = WeakSet()

_KNOWN: Final = ", ".join(ENDINGS)


def check_members(cls: type[Object]) -> None:
    """Raise SchemaError where a Directory class, or one below, has a member whose file cannot be.

    Its ending is unknown, or it is another member's as well.
    """
    if cls in _checked:
        return
    seen: set[type[Object]] = set()
    waiting = [cls]
    while waiting:
        one = waiting.pop()
        if one._kind == "directory" and one not in seen and one not in _checked:
            seen.add(one)
            _check(one.__qualname__, one._info)
            waiting += [below for shape in one._info.below() for below in shape.classes]
    _checked.update(seen)


def _check(name: str, info: Info) -> None:
    taken: dict[str, str] = {}
    for key, shape in info.keys.items():
        _check_file(f"{name}.{key}", shape)
        lies_in = _lies_in(key, shape)
        other = key if lies_in is None else taken.setdefault(lies_in, key)
        if other != key:
            raise SchemaError(f"{name}: {other} and {key} would both be in {show(lies_in)}")
    for shape in info.below():
        if shape.file and shape not in info.keys.values():
            _check_file(f"{name}, members by any key", shape)
            if shape.member.name is not None:
                raise _wrong(f"{name}, members by any key", '"*" and an ending', shape.file)


def _lies_in(key: str, shape: Shape) -> str | None:
    """The name of a member's file or folder; None where it may have one of several."""
    kind, name, ending, _ = shape.member
    if name is None and (kind == "directory" or ending is not None):
        return key + (ending or "")
    return name


def _check_file(where: str, shape: Shape) -> None:
    file = shape.file
    if not file:
        return
    if shape.member.kind == "directory":
        folder, _, files = file.partition("/")
        if "*" in folder:
            raise _wrong(where, 'the name of a folder, or one with "/*" and an ending', file)
        fits = not files or files[1:] in ENDINGS
    elif "/" in file:
        raise _wrong(where, "the name of a file in the directory's own folder", file)
    else:
        fits = file[1:] in ENDINGS if file.startswith("*") else ending_of(file) is not None
    if not fits:
        raise _wrong(where, f"an ending that a format is known for ({_KNOWN})", file)


def _wrong(where: str, expected: str, file: str) -> SchemaError:
    return SchemaError(f"the file of {where}: expected {expected}, found {show(file)}")
