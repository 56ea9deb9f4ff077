"""Changing KVI lines where their contents change, and nowhere else.

Comments and blank lines above an entry go where it goes; those of an entry that is removed stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

from .._align import align
from ..values import JSON, is_object, same
from ._kvi_read import Node
from ._kvi_write import Layout

_Plan: TypeAlias = Sequence[tuple[int | None, str | None, JSON]]
"""A container's new entries: the index of the old one, None for an added one; key and value."""

_DEFAULT: Final = Layout()


def edit_lines(lines: list[str], root: Node, new: JSON, newline: str) -> list[str]:
    """The lines of the file that ``root`` was read from, changed to have the contents ``new``.

    All lines have their endings; new ones are given ``newline``.
    """
    editor = _Editor(lines, _layout(lines, root), newline)
    if root.children and is_object(root.value) is is_object(new):
        return editor.block(root, new) + lines[root.end :]
    start = root.children[0].line if root.children else len(lines)
    end = root.end if root.children else len(lines)
    return lines[:start] + editor.ended(editor.layout.file(new)) + lines[end:]


def _layout(lines: list[str], root: Node) -> Layout:
    """The layout of the first container in the file."""
    node = next((child for child in root.children if child.children), None)
    if node is None:
        return _DEFAULT
    bare = lines[node.line][node.column] == ":"
    return Layout(node.children[0].indent - node.indent, bare)


def _plan(node: Node, new: Any) -> _Plan:
    if is_object(new):
        places = {child.key: index for index, child in enumerate(node.children)}
        return [(places.get(key), key, value) for key, value in new.items()]
    origins = align([child.value for child in node.children], new)
    return [(origin, None, value) for origin, value in zip(origins, new, strict=True)]


class _Editor:
    def __init__(self, lines: list[str], layout: Layout, newline: str) -> None:
        self.lines = lines
        self.layout = layout
        self.newline = newline

    def ended(self, lines: Iterable[str]) -> list[str]:
        return [line + self.newline for line in lines]

    def block(self, node: Node, new: JSON) -> list[str]:
        """The lines behind the node's own up to its end, with the entries of ``new``."""
        plan = _plan(node, new)
        kept = {index for index, _, _ in plan}
        first = node.line + 1
        head = self._head(first, node.children[0].line)
        leads, rest = self._leads(node, first + len(head), kept)
        block = head
        for index, key, value in plan:
            if index is None:
                block += self.ended(self.layout.entry(key, value, node.children[0].indent))
            else:
                block += leads[index] + self._entry(node.children[index], value)
        return block + rest

    def _head(self, start: int, end: int) -> list[str]:
        """What stays at the top: the lines up to the last blank one above the first entry."""
        for line in reversed(range(start, end)):
            if not self.lines[line].strip():
                return self.lines[start : line + 1]
        return []

    def _leads(
        self, node: Node, start: int, kept: set[int | None]
    ) -> tuple[dict[int, list[str]], list[str]]:
        """The lines above each entry that is kept, and those that no entry is left for."""
        leads: dict[int, list[str]] = {}
        lead: list[str] = []
        for index, child in enumerate(node.children):
            lead += self.lines[start : child.line]
            start = child.end
            if index in kept:
                leads[index] = lead
                lead = []
        return leads, lead

    def _entry(self, node: Node, new: JSON) -> list[str]:
        own = self.lines[node.line]
        if node.children and new and type(node.value) is type(new):
            return [own, *self.block(node, new)]
        if same(node.value, new):
            return self.lines[node.line : node.end]
        return self.ended(self.layout.value(own[: node.column], new, node.indent))
