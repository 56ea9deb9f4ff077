"""List: an array of a JSON document, with the contract of a MutableSequence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import AbstractContextManager
from operator import index as as_index
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, SupportsIndex, cast, overload

from ._origins import fresh_tokens
from ._shapes import BASES, Kind
from ._units import Container, View
from .objects import Object, Part, brought, read_value, unattached_copy
from .values import show

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .transaction import Transaction

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

_UNREAD: Final = object()


class List(Part, MutableSequence[T]):
    """An array of a JSON document: ``List[T]`` has elements of type T.

    ``List(iterable)`` makes an unattached one. Objects of its elements follow them when others are
    inserted, removed or sorted.
    """

    _kind: ClassVar[Kind] = "list"
    _mirrored: list[Any] | None = None

    def __init__(self, elements: Iterable[Any] = (), /) -> None:
        with self._unattached_edit(list(elements)):
            pass

    # --- reading ----------------------------------------------------------------------------------

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: Any) -> Any:
        mirrored = self._mirrored
        if mirrored is not None and type(index) is int:
            try:
                value = mirrored[index]
            except IndexError:
                value = _UNREAD
            if value is not _UNREAD:
                return value
        return self._get(index)

    def _get(self, index: Any) -> Any:
        contents, view = self._array()
        if isinstance(index, slice):
            chosen = range(len(contents))[index]
            return [self._value(contents, i, view) for i in chosen]
        position = self._position(index, len(contents))
        value = self._value(contents, position, view)
        if view is None:
            self._mirror(position, value, contents)
        return value

    def _value(self, contents: list[Any], index: int, view: View | None) -> Any:
        raw = contents[index]
        token = index
        if view is not None and (type(raw) is dict or type(raw) is list):
            token = view.token(self, index)
        return read_value(self, token, raw, type(self)._info.shape_at(index), contents, view)

    def _mirror(self, index: int, value: Any, contents: Container) -> None:
        unit = self._unit
        with unit.host.lock:
            if unit.may_mirror() and self._committed() is contents:
                if self._mirrored is None:
                    self._note_mirror()
                    object.__setattr__(self, "_mirrored", [_UNREAD] * len(contents))
                cast("list[Any]", self._mirrored)[index] = value

    def _forget(self) -> None:
        object.__setattr__(self, "_mirrored", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        # It would be gone with this Object, while the elements stay.
        raise AttributeError(f"a List has elements and no attributes such as {name!r}")

    def _array(self) -> tuple[list[Any], View | None]:
        found: tuple[Any, View | None] = self._contents()
        return found

    def _position(self, index: SupportsIndex, length: int) -> int:
        position = as_index(index)
        if position < 0:
            position += length
        if not 0 <= position < length:
            raise IndexError(f"index {index} is out of range for {length} elements")
        return position

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        """Where the first element is that is equal to ``value``. Raises ValueError for none."""
        try:
            return super().index(value, start, stop)
        except ValueError:
            raise ValueError(f"{show(value)} is not in the list") from None

    def __len__(self) -> int:
        return len(self._array()[0])

    def __iter__(self) -> Iterator[T]:
        # By index, as a list's own iterator does: elements may come and go meanwhile. Contents are
        # looked up again only where they may be others.
        unit, index = self._unit, 0
        while True:
            contents, view = self._array()
            root, info = unit.value, type(self)._info
            same_shape = None if info.prefix else info.items
            while index < len(contents):
                raw = contents[index]
                kind = type(raw)  # pyright: ignore[reportUnknownVariableType]
                if (
                    same_shape is None
                    or kind is dict
                    or kind is list
                    or (kind is float and same_shape.integral)
                ):
                    yield self._value(contents, index, view)
                else:
                    yield raw if same_shape.decode is None else same_shape.decode(raw)
                index += 1
                if unit.value is not root or unit.host.busy:
                    break
            else:
                return

    def copy(self) -> list[Any]:
        """The contents, as a plain list."""
        return cast("list[Any]", self.contents)

    # --- writing ----------------------------------------------------------------------------------

    def _edit(self) -> AbstractContextManager[Transaction]:
        return self._unit.host.edit()

    @overload
    def __setitem__(self, index: int, value: Any) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Any]) -> None: ...
    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self._set_slice(cast(slice, index), list(value))
            return
        value = brought(value, self._unit.host) if isinstance(value, Object) else value
        with self._edit() as tx:
            contents, view = self._draft(tx)
            position = self._position(index, len(contents))
            token = view.token(self, position)
            if isinstance(value, Part) and self._is_element(value, token, contents[position], view):
                return
            encoded = self._element_contents(value, position, view)
            if self._kids and self._kids.at(token):  # whose element is gone
                self._leave(token, contents, view)
                view.origin(self, len(contents))[position] = next(fresh_tokens)
            view.drop_below(self, token)
            self._owned(tx)[position] = encoded

    def _set_slice(self, index: slice, values: list[Any]) -> None:
        host = self._unit.host
        values = [brought(one, host) if isinstance(one, Object) else one for one in values]
        with self._edit() as tx:
            contents, view = self._draft(tx)
            contents[:][index] = values  # raises what a list raises, before anything is changed
            start, _, step = index.indices(len(contents))
            origin = view.origin(self, len(contents))
            # Elements of this list that are still there afterwards stay what they are.
            going = dict(zip(origin[index], contents[index], strict=True)) if self._kids else {}
            tokens: list[int] = []
            encoded: list[Any] = []
            for number, value in enumerate(values):
                token = value._key if going and isinstance(value, Part) else None
                if token in going and self._is_element(value, token, going[token], view):
                    encoded.append(going.pop(token))
                else:
                    token = next(fresh_tokens)
                    encoded.append(self._element_contents(value, start + step * number, view))
                tokens.append(token)
            self._leave_all(going, contents, view)
            self._owned(tx)[index] = encoded
            origin[index] = tokens

    def __delitem__(self, index: int | slice) -> None:
        with self._edit() as tx:
            contents, view = self._draft(tx)
            chosen = index if isinstance(index, slice) else self._position(index, len(contents))
            origin = view.origin(self, len(contents))
            some = chosen if isinstance(chosen, slice) else slice(chosen, chosen + 1)
            self._leave_all(origin[some], contents, view)
            del self._owned(tx)[chosen]
            del origin[chosen]

    def insert(self, index: SupportsIndex, value: Any) -> None:
        """Insert an element before ``index``, as list.insert does."""
        value = brought(value, self._unit.host) if isinstance(value, Object) else value
        with self._edit() as tx:
            contents, view = self._draft(tx)
            length = len(contents)
            position = as_index(index)
            position = min(max(position + (length if position < 0 else 0), 0), length)
            encoded = self._element_contents(value, position, view)
            origin = view.origin(self, length)
            self._owned(tx).insert(position, encoded)
            origin.insert(position, next(fresh_tokens))

    def extend(self, values: Iterable[Any]) -> None:
        """Append several elements together."""
        elements = list(values)
        with self._edit() as tx:
            contents, _ = self._draft(tx)
            length = len(contents)
            self[length:length] = elements

    def append(self, value: Any) -> None:
        """Append an element."""
        self.insert(sys.maxsize, value)  # its length may be another once the change begins

    def remove(self, value: Any) -> None:
        """Remove the first element that is equal to ``value``. Raises ValueError for none."""
        with self._edit() as tx:
            self._draft(tx)
            del self[self.index(value)]

    def pop(self, index: SupportsIndex = -1) -> Any:
        """Remove an element and return its value; an Object is returned unattached."""
        with self._edit() as tx:
            self._draft(tx)  # what is there now is read, and removed
            position = as_index(index)
            value = unattached_copy(self[position])
            del self[position]
            return value

    def clear(self) -> None:
        """Remove every element."""
        del self[:]

    def reverse(self) -> None:
        """Reverse the order in place."""
        self._reorder(lambda indices: indices.reverse())

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        """Sort in place, stable, as list.sort does. Elements are compared as they are read."""
        with self._edit() as tx:
            self._draft(tx)
            values = list(self)

            def rank(index: int) -> Any:
                return values[index] if key is None else key(values[index])

            self._reorder(lambda indices: indices.sort(key=rank, reverse=reverse))

    def _reorder(self, change: Callable[[list[int]], None]) -> None:
        with self._edit() as tx:
            contents, view = self._draft(tx)
            indices = list(range(len(contents)))
            change(indices)
            if indices == list(range(len(contents))):
                return
            origin = view.origin(self, len(contents))
            owned = self._owned(tx)
            owned[:] = [contents[i] for i in indices]
            origin[:] = [origin[i] for i in indices]

    # Elements are compared as they are read, as ``sort`` does.

    def __lt__(self, other: object) -> bool:
        return self[:] < other[:] if isinstance(other, list | List) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self[:] <= other[:] if isinstance(other, list | List) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self[:] > other[:] if isinstance(other, list | List) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self[:] >= other[:] if isinstance(other, list | List) else NotImplemented

    def __iadd__(self, values: Iterable[Any]) -> Self:
        self.extend(values)
        return self

    def __imul__(self, times: SupportsIndex) -> Self:
        more = as_index(times) - 1
        with self._edit() as tx:
            contents = self._draft(tx)[0]
            if more < 0:
                self.clear()
            else:
                self.extend(contents * more)
        return self

    def __add__(self, other: Iterable[Any]) -> list[Any]:
        return [*self[:], *other]

    def __radd__(self, other: Iterable[Any]) -> list[Any]:
        return [*other, *self[:]]

    def __mul__(self, times: SupportsIndex) -> list[Any]:
        return self[:] * as_index(times)

    __rmul__ = __mul__

    def _draft(self, tx: Transaction) -> tuple[list[Any], View]:
        """This list as the transaction has it, not yet to be changed in place."""
        view = tx.view(self._unit)
        located = view.locate(self)
        if not self._fits(located):
            raise self._gone(located, view)
        return cast("list[Any]", located), view

    def _leave_all(self, tokens: Iterable[int], contents: list[Any], view: View) -> None:
        kids = self._kids
        if kids:
            for token in tokens:
                if token in kids or token in kids.former:
                    self._leave(token, contents, view)

    def _owned(self, tx: Transaction) -> list[Any]:
        return cast("list[Any]", self._own_in(tx.view(self._unit)))

    def _element_contents(self, value: Any, index: int, view: View) -> Any:
        return self._encode(value, type(self)._info.shape_at(index), view, index)


BASES["list"] = List
