"""Layouts for tests, made by hand: what ``objstore.schema`` makes of classes."""

from __future__ import annotations

from collections.abc import Iterable

from objstore.layout import Folder, Member


class Plain:
    """A directory with declared members, and with others if there is a member for them."""

    def __init__(self, declared: dict[str, Member] | None = None, other: Member | None = None):
        self._declared = declared or {}
        self._other = other

    def member(self, key: str) -> Member | None:
        return self._declared.get(key, self._other)

    def declared(self) -> Iterable[tuple[str, Member]]:
        return self._declared.items()

    @property
    def open_ended(self) -> bool:
        return self._other is not None


PEOPLE: Folder = Plain(other=Member("file"))
"""An open-ended directory of files."""

LIBRARY: Folder = Plain(
    {
        "people": Member("directory", folder=PEOPLE),
        "settings": Member("file"),
        "reading": Member("file", name="reading.yaml"),
    }
)
"""Declared members and no others."""
