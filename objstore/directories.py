"""Directory: an Object whose members are files and directories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast, overload

from ._pairs import Paired
from ._shapes import BASES, Kind, Shape
from .errors import DetachedError, Failure, KeyNotFoundError, ValidationError
from .keyed import Keyed, plain_key, require_str
from .objects import Object, Part, brought, iterate_merged, unattached_copy
from .pointer import join
from .values import JSON, MISSING, show

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .store import Store
    from .transaction import Transaction

    T = TypeVar("T", default=Any)
    D = TypeVar("D")
else:
    from typing import TypeVar

    T = TypeVar("T")

_ABSENT = object()


class Folder(dict[str, Any]):
    """The contents of a Directory as a value: folders in it are Folders, files are plain."""


class Directory(Keyed, Paired[str, T]):
    """A directory: members that are Dicts or Lists are files, members that are Directories folders.

    Subclasses declare members as annotations. ``Directory[T]`` is open-ended: any key, with members
    of type T; a plain ``Directory`` holds whatever is there. A member is looked up by name, without
    a listing, and is not loaded until a key of its own is used; only iterating an open-ended
    directory lists it. Directories come from a store; what is assigned to one is plain dicts.
    """

    __slots__ = ("__dict__", "__weakref__", "_host", "_path")

    _kind: ClassVar[Kind] = "directory"
    _host: Store[Any]
    _path: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(
            f"a {type(self).__name__} comes from a store; assign a plain dict to make its members"
        )

    @classmethod
    def _make(cls, host: Store[Any], path: str) -> Self:
        self = cls.__new__(cls)
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "_path", path)
        return self

    def __getitem__(self, key: str) -> T:
        return cast(T, self._get(key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._put(key, value)

    def __delitem__(self, key: str) -> None:
        self._delete(key)

    # The mixin's get() would hide what nobody knows any more: HistoryGone is a KeyError.
    @overload
    def get(self, key: Any, default: None = None) -> T | None: ...
    @overload
    def get(self, key: Any, default: T) -> T: ...
    @overload
    def get(self, key: Any, default: D) -> T | D: ...
    def get(self, key: Any, default: Any = None) -> Any:
        """The member of a key, or ``default`` where there is none."""
        key = plain_key(key)
        if key in self._defined:
            return self[key]
        if not isinstance(key, str):
            return default
        found = self._find(key)  # one look, as others may delete it meanwhile
        return default if found is None else found

    # --- what Keyed asks for ----------------------------------------------------------------------

    def _read(self, key: str) -> Any:
        found = self._find(key)
        if found is None:
            raise self._missing(key, self._where())
        always = key in type(self)._info.keys and isinstance(found, Directory)
        if always and not hasattr(type(self), key):
            self.__dict__[key] = found  # attribute access may find it without asking
        return cast(Any, found)

    def _find(self, key: str, *, for_use: bool = True) -> Object | None:
        """A member; None where there is none. Declared directories are there without a folder."""
        shape = self._member_shape(key)
        if shape is None:
            return None
        path = join(self._path, key)
        cls = shape.directory
        if cls is not None and not shape.anything and key in type(self)._info.keys:
            return self._host.directory(path, cls)
        return self._host.member(path, shape, for_use=for_use)

    def _write(self, key: str, value: Any) -> None:
        shape = self._require_shape(key, value)
        path, value = join(self._path, key), brought(value, self._host)
        with self._edit() as tx:
            if isinstance(value, Object) and self._is_member(value, path, tx):
                return
            if isinstance(value, Directory):  # which may be below, and about to go
                value = value._assigned()
            if tx.left or self._before is not None:
                tx.left.stand(self)
            if self._host.is_folder_at(path, shape, value):
                folder = self._aside(path, shape.directory)
                members = folder._mapping(value)
                self._leave(path, tx)
                folder._replace(members)
            else:
                self._host.put(tx, path, shape, value)

    def _is_member(self, value: Object, path: str, tx: Transaction) -> bool:
        """Whether a value is what is at ``path`` already, as after ``root.tags += ["x"]``."""
        if tx.left.by(value) is not None:
            return False
        if isinstance(value, Directory):
            return value._host is self._host and value._path == path
        part = cast(Part, value)
        unit = part._unit
        if unit.host is not self._host or unit.pointer != path or part._parent is not None:
            return False
        return part._fits(tx.view(unit).root)

    def _remove(self, key: str) -> None:
        with self._edit() as tx:
            member = self._find(key, for_use=False)
            if member is None:
                raise self._missing(key, self._where())
            if tx.left or self._before is not None:
                tx.left.stand(self)
            cls = type(member)
            if issubclass(cls, Directory):
                del member  # or it would be held
                path = join(self._path, key)
                self._leave(path, tx)
                self._aside(path, cls).clear()
            else:
                tx.view(cast(Part, member)._unit).replace(MISSING)

    def _leave(self, path: str, tx: Transaction) -> None:
        """A directory is about to be replaced or removed: have its Object leave what it is."""
        for held in self._host.let_go(path):
            if tx.left.by(held) is None:
                tx.left.leave(held, held._contents(tx))

    def _aside(self, path: str, cls: Any) -> Directory[Any]:
        """An Object of a directory that nobody else has: nobody changes anything by theirs."""
        return cast("type[Directory[Any]]", cls)._make(self._host, path)

    def _mapping(self, value: Any) -> Mapping[str, Any]:
        """What is about to become the members. Raises ValidationError where it is no mapping."""
        if not isinstance(value, Mapping):
            source = self._host.source_of(self._path)
            expected = "an object, as a directory is one"
            raise ValidationError([Failure(source, "", expected, show(value), "type")])
        return cast("Mapping[str, Any]", value)

    def _replace(self, members: Mapping[str, Any]) -> None:
        """Make the members exactly these."""
        for key in [key for key in self._stored_keys() if key not in members]:
            self._remove(key)
        self._put_all(members)

    def _put_all(self, members: Mapping[str, Any]) -> None:
        refused: dict[str, ValidationError] = {}
        for key, member in members.items():
            try:
                self._put(key, member)
            except ValidationError as error:
                refused[key] = error
        if refused:
            told = [self._failures(key, refused.get(key)) for key in members]
            raise ValidationError([failure for failures in told for failure in failures])

    def _failures(self, key: str, refused: ValidationError | None) -> Sequence[Failure]:
        """What is wrong with a member that was just set, beside another that was refused."""
        if refused is not None:
            return refused.failures
        path = join(self._path, key)
        with self._edit() as tx:
            views = [
                view
                for unit, view in tx._views.items()
                if unit.pointer == path or unit.pointer.startswith(path + "/")
            ]
            return [failure for view in views for failure in self._host.failures_of(view)]

    def _has(self, key: str) -> bool:
        shape = self._member_shape(key)
        if shape is None:
            return False
        declared = key in type(self)._info.keys
        return (declared and self._always(shape)) or self._host.exists(join(self._path, key), shape)

    def _stored_keys(self) -> Iterator[str]:
        there = dict.fromkeys(self._host.keys_of(self._path))
        declared = type(self)._info.keys.items()
        first = (key for key, shape in declared if key in there or self._always(shape))
        return iterate_merged(first, iter(there))

    def _basic(self) -> dict[str, Any]:
        return dict(self._members())

    def _members(self, *, for_use: bool = True) -> Iterator[tuple[str, Object]]:
        """The members that are there, but for those that others delete once they are listed."""
        found = ((key, self._find(key, for_use=for_use)) for key in self._stored_keys())
        return ((key, member) for key, member in found if member is not None)

    def _edit(self) -> AbstractContextManager[Transaction]:
        return self._host.edit()

    @staticmethod
    def _always(shape: Shape) -> bool:
        """Whether a member can be read whatever is on the medium."""
        return shape.default is not MISSING or (shape.directory is not None and not shape.anything)

    def _member_shape(self, key: object) -> Shape | None:
        require_str(key)
        return type(self)._info.shape_for(cast(str, key))

    def _require_shape(self, key: str, value: Any = MISSING) -> Shape:
        shape = self._member_shape(key)
        if shape is None:
            known = ", ".join(type(self)._info.keys) or "none"
            failure = Failure(
                self._where(),
                "",
                f"no member {key!r} (known: {known})",
                show(value),
                "additionalProperties",
            )
            raise ValidationError([failure])
        return shape

    def _subdirectory(self, key: str) -> Directory[Any] | None:
        """The directory of a key whether or not it exists yet; None where none may be."""
        shape = self._member_shape(key)
        cls = None if shape is None else shape.directory
        return None if cls is None else self._host.directory(join(self._path, key), cls)

    # --- the contract of a mapping ----------------------------------------------------------------

    def _snapshot(self) -> JSON:
        contents: dict[str, JSON] = {}
        for key, member in self._members(for_use=False):
            with suppress(DetachedError):  # deleted since it was found
                contents[key] = member._snapshot()
        return contents

    def _hosted(self) -> Store[Any]:
        return self._host

    def _assigned(self) -> Folder:
        with self._edit() as tx:
            left = tx.left.by(self)
            return self._contents(tx) if left is None else cast(Folder, left)

    def _contents(self, tx: Transaction) -> Folder:
        """All that is in it, to a transaction, whether or not it fits the schema."""
        found = Folder()
        for key, member in self._members(for_use=False):
            if isinstance(member, Directory):
                found[key] = member._contents(tx)
            else:
                unit = cast(Part, member)._unit
                contents = tx.contents(unit)
                found[key] = unit.shape.default if contents is MISSING else contents
        return found

    def _pairs(self) -> Iterator[tuple[str, T]]:
        pairs = ((key, self.get(key, cast(T, _ABSENT))) for key in self)
        return ((key, value) for key, value in pairs if value is not _ABSENT)

    def clear(self) -> None:
        """Delete every member, in one transaction."""
        with self._edit() as tx:
            for key in self._host.keys_of(self._path):
                self._remove(key)
            tx._cleared.add(self._path)

    def pop(self, key: str, default: Any = _ABSENT) -> Any:
        """Delete a member and return its contents, as an unattached Object or a plain dict."""
        key = plain_key(key)
        with self._edit():
            if default is not _ABSENT and key not in self:
                return default
            member = self._read(key)
            value = member.contents if isinstance(member, Directory) else unattached_copy(member)
            self._remove(key)
            return value

    def popitem(self) -> tuple[str, Any]:
        """Delete the last member; return its key and contents."""
        with self._edit():
            keys = self._host.keys_of(self._path)
            if not keys:
                raise KeyNotFoundError(f"{self._where()} is empty")
            return keys[-1], self.pop(keys[-1])

    def _missing(self, key: object, where: str) -> KeyNotFoundError:
        if key in type(self)._info.keys:
            source = self._host.source_of(join(self._path, str(key)))
            return KeyNotFoundError(f"{where} has no {key!r} yet: {source} is missing")
        return super()._missing(key, where)

    def _where(self) -> str:
        return f"{self._path.lstrip('/')}/" if self._path else "the store"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"the {type(self).__name__} {self._path or '/'} stands for a folder of this process's "
            "store, and cannot be copied or pickled; its contents can"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path or '/'}>"


BASES["directory"] = Directory
