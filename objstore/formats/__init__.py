"""Text formats: a module each, found by a file's ending.

A format turns bytes into contents and back, and, what matters most, turns a file's bytes and a
change of its contents into the bytes of the changed file, touching nothing else.
"""

from __future__ import annotations

import os.path
from importlib import import_module
from typing import Final, Protocol, cast

from ..values import JSON


class Format(Protocol):
    """What a module of this package offers as its functions."""

    def parse(self, data: bytes, source: str) -> JSON:
        """The contents of a file's bytes. ``source`` is what errors call the file.

        Raises FormatError with line and column.
        """
        ...

    def dump(self, value: JSON, source: str) -> bytes:
        """The bytes of a new file with these contents, in the format's usual style.

        Raises FormatError with the pointer of what the format cannot hold.
        """
        ...

    def edit(self, data: bytes, old: JSON, new: JSON, source: str) -> bytes:
        """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

        Keeps the file's own style, and every byte that the change does not touch. Parts of ``new``
        that are the same object as in ``old`` are known to be unchanged without a look.
        """
        ...


_MODULES: Final = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".kvi": "kvi",
}

ENDINGS: Final = tuple(_MODULES)
"""The endings of files that objstore reads, in the order in which they are tried."""


def ending_of(name: str) -> str | None:
    """The file name's ending if a format is known for it, such as ``.json``."""
    ending = os.path.splitext(name)[1].lower()
    return ending if ending in _MODULES else None


def by_ending(ending: str) -> Format:
    """The format for an ending of ENDINGS; its module is imported when first asked for."""
    return cast(Format, import_module(f"{__name__}.{_MODULES[ending]}"))
