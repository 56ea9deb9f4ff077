"""Scopes of a Store: changes that are kept beside it, for a what-if or a preview."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from ._merge import Rules
from ._refusals import require_storable
from ._scoped import ScopedDocuments
from .documents import Commit, Documents
from .errors import ScopeNotFoundError
from .pointer import split
from .transaction import Host
from .values import show

if TYPE_CHECKING:
    from .objects import Object


class Scopes(Host):
    """What a Store does about its scopes."""

    _documents: Documents
    _scope: str | None
    """The scope that this Store is; None for the store itself."""

    def scope(self, name: str, *, create: bool = True) -> Self:
        """The store as a scope sees it, to be read and changed like the store itself.

        What is changed there is seen there alone; what the scope did not change is as in the store
        now. Where both changed the same, the scope has its own. Contents are checked as they are
        in the scope. Any text names a scope that UTF-8 can hold, "" as well; one that is new
        begins with its first commit. It needs this store to be open; closing it does nothing to
        this.

        Raises ScopeNotFoundError for an unknown name where ``create`` is False or nothing may be
        written, and in a scope, which has no scopes of its own; KeyNameError for a name with a
        lone surrogate.
        """
        self._require_open()
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a scope's name is text, not {show(name)}")
        if self._scope is not None:
            raise ScopeNotFoundError(f"the scope {show(self._scope)} has no scopes of its own")
        if (self._is_readonly() or not create) and name not in self._documents.scopes():
            raise ScopeNotFoundError(f"there is no scope {show(name)}")
        require_storable(name, "scope's name")
        rules_of = _merge_rules(self._root_class())
        return self._view(self._in_scope(ScopedDocuments(self._documents, name, rules_of), name))

    def scopes(self) -> list[str]:
        """The names of the scopes that were changed and not deleted, sorted."""
        self._require_open()
        return self._documents.scopes()

    def delete_scope(self, name: str) -> Commit:
        """Forget what a scope changed: from there on it is as the store itself.

        Raises ScopeNotFoundError for an unknown one.
        """
        self._require_writable()
        self._require_no_view()
        return self._documents.delete_scope(name)

    @abstractmethod
    def _in_scope(self, documents: Documents, name: str) -> Self:
        """A Store of the same schema over the documents of a scope."""

    @abstractmethod
    def _root_class(self) -> type[Object]:
        """The class of the root."""

    @abstractmethod
    def _is_readonly(self) -> bool:
        """Whether nothing can be changed here."""

    @abstractmethod
    def _view(self, view: Self) -> Self:
        """Have a store that shows something of this one end with it."""

    @abstractmethod
    def _require_open(self) -> None:
        """Raise ClosedError for a store that was closed."""


def _merge_rules(root: type[Object]) -> Callable[[str], Rules]:
    """How units merge. Asks the classes alone, hence without a lock."""

    def of_unit(unit: str) -> Rules:
        cls: type[Object] | None = root
        shape = None
        for token in split(unit):
            shape = None if cls is None else cls._info.shape_for(token)
            cls = None if shape is None else shape.directory
        return Rules() if shape is None else Rules(shape.merge_key_at, shape.default_at)

    return of_unit
