"""``objstore.open``: from a URL and a schema to a Store."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from ._shapes import ClassFolder
from .errors import UnknownSchemeError
from .schema import root_class
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .directories import Directory
    from .documents import Documents
    from .objects import Object

    R = TypeVar("R", bound=Object)

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=//|$)")
_GROUP: Final = "objstore.backings"

# What the installed entry points would say of our own backings. Asking them takes 30 ms, most of it
# for the import of importlib.metadata, and a program that opens a folder should not wait for that.
_OWN: Final = {
    "file": "objstore.backings.filesystem:open_documents",
    "memory": "objstore.backings.memory:open_documents",
}


@overload
def open(  # type: ignore[overload-overlap]
    url: str | os.PathLike[str],
    schema: type[R],
    *,
    create: bool = True,
    readonly: bool = False,
    durability: str = "full",
    apply: str = "eager",
    watch: bool = False,
    umask: int | None = None,
) -> Store[R]: ...
@overload
def open(
    url: str | os.PathLike[str],
    schema: Mapping[str, Any] | str | os.PathLike[str] | type | None = None,
    *,
    create: bool = True,
    readonly: bool = False,
    durability: str = "full",
    apply: str = "eager",
    watch: bool = False,
    umask: int | None = None,
) -> Store[Directory[Any]]: ...
def open(
    url: str | os.PathLike[str],
    schema: Any = None,
    *,
    create: bool = True,
    readonly: bool = False,
    durability: str = "full",
    apply: str = "eager",
    watch: bool = False,
    umask: int | None = None,
) -> Store[Any]:
    """Open the store at ``url``, a folder's path or a URL such as ``memory://``.

    ``schema`` is a Directory class, a JSON Schema (a dict, or the path of its file), a pydantic
    model, or None for whatever is there. Opening reads no file and writes nothing: a folder that
    is missing is made with the first commit, or refused with StoreNotFoundError if ``create`` is
    False. With ``readonly`` every write is a ReadOnlyError, and nothing is made: the folder has to
    be there.

    ``durability`` is ``"full"`` (a commit that returned survives a power cut) or ``"os"`` (it
    survives the program, not the machine). ``apply`` is ``"eager"`` or ``"lazy"``: whether files
    hold a commit when it returns, or may follow within a second. ``umask`` overrides the process's
    for new files.

    ``watch`` follows edits made outside, until the store is closed: what fits the schema becomes a
    commit, which Objects and ``Store.on_change`` hear of.

    Raises SchemaError, SchemaNotFoundError, StoreNotFoundError, LayoutError where the path is a
    file, or that of the schema a folder, UnknownSchemeError, TypeError and ValueError for options
    that do not exist or go together, BackingError where the system cannot watch so much.
    """
    if umask is not None:
        _check_umask(umask)
    root = root_class(schema)
    text, scheme = _with_scheme(os.fsdecode(url))
    documents = _maker(scheme)(
        text,
        layout=ClassFolder(root),
        create=create,
        readonly=readonly,
        durability=durability,
        apply=apply,
        umask=umask,
    )
    store = Store(documents, root, url=text, readonly=readonly)
    if watch:
        try:
            store._watch()
        except BaseException:
            store.close()
            raise
    return store


def _check_umask(umask: object) -> None:
    if isinstance(umask, bool) or not isinstance(umask, int):
        raise TypeError(f"umask must be a number such as 0o077, not {umask!r}")
    if not 0 <= umask <= 0o777:
        raise ValueError(f"umask must be from 0 to 0o777, not {umask:#o}")


def _with_scheme(url: str) -> tuple[str, str]:
    """The URL as makers take it, with its scheme in lower case, and that; a path as it is."""
    found = _SCHEME.match(url)
    if found is None:
        return url, "file"
    scheme = found[1].lower()
    return scheme + url[found.end(1) :], scheme


def _maker(scheme: str) -> Callable[..., Documents]:
    return _named(_OWN.get(scheme) or _installed(scheme))


@cache
def _named(target: str) -> Callable[..., Documents]:
    module, _, name = target.partition(":")
    return cast("Callable[..., Documents]", getattr(import_module(module), name))


def _installed(scheme: str) -> str:
    """The maker that an installed package offers for a URL's scheme."""
    from importlib.metadata import entry_points

    points = {point.name: point.value for point in entry_points(group=_GROUP)}
    if scheme not in points:
        known = ", ".join(sorted(points.keys() | _OWN.keys()))
        raise UnknownSchemeError(f"no backing for {scheme}: URLs is installed (known: {known})")
    return points[scheme]
