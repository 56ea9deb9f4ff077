"""Putting another value in a node's place."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ..values import JSON
from ._yaml_like import flow_like, leaf_like
from ._yaml_splices import NotBySpanError, Splices
from ._yaml_tree import Node, header_of
from ._yaml_write import Rendered, Style, is_nested

_LONE_SPACE: Final = re.compile(r" [,\]}\r\n]")


def put(splices: Splices, style: Style, node: Node, value: JSON) -> None:
    """Replace a node's value. Raises NotBySpanError where that takes more than its span."""
    # Comments below that are indented would become lines of a new block scalar.
    if splices.comments_end(node.end, max(node.indent, 0)) != splices.next_line(node.end):
        style = style._replace(blocks=False)
    place = _Place(splices, style, node)
    if node.place == "flow" or (node.style in ("{", "[") and node.entries and is_nested(value)):
        place.put_inline(flow_like(style, node, value))
    elif not node.explicit:
        raise NotBySpanError
    elif node.entries and not node.style:
        place.put_for_block(value)
    elif is_nested(value):
        place.put_collection(value)
    else:
        place.put_lines(leaf_like(style, splices.text, node, value))


class _Place(NamedTuple):
    splices: Splices
    style: Style
    node: Node

    def put_inline(self, text: str) -> None:
        """Replace what stood on one line, or nothing, by text that does too."""
        if self.node.explicit:
            start, before = self._opening()
            self.splices.replace(start, max(start, self.node.end), before + text)
        else:
            self.splices.replace(self.node.slot, self.node.slot, f": {text}")

    def put_lines(self, new: Rendered) -> None:
        """Replace a scalar, alias or flow collection; a comment stays on the first line."""
        if not new.tail and self.node.style not in ("|", ">"):
            self.put_inline(new.head)
            return
        start, before = self._opening()
        text = self.splices.lines([before + new.head + self._comment(), *new.tail])
        self.splices.replace(start, self.splices.line_end(self.node.end), text)

    def put_collection(self, value: JSON) -> None:
        """Replace a scalar, alias or flow collection with a collection in block style."""
        node, splices = self.node, self.splices
        starts_line = splices.starts_line(node.lead) and not node.empty
        anchored = node.anchor and self._has_properties_beside()
        if (node.place == "item" or starts_line) and not anchored:
            start, _ = self._opening()
            column = node.indent + 2 if node.empty else start - splices.line_start(start)
            if column <= node.indent:
                raise NotBySpanError
            first, *rest = self.style.block(value, column)
            self.put_lines(Rendered(first.lstrip(" "), rest))
        elif splices.on_one_line(node.slot, node.start):
            anchor = f" &{node.anchor}" if node.anchor else ""
            lines = self.style.block(value, self._column_below(value))
            text = splices.lines([anchor + self._comment(), *lines])
            splices.replace(node.slot, splices.line_end(node.end), text)
        else:
            raise NotBySpanError

    def put_for_block(self, value: JSON) -> None:
        """Replace a collection in block style, whose entries go with their comments."""
        node, splices = self.node, self.splices
        # Entries that start where the value does, as in `- a: 1`, leave their first line's start.
        beside = splices.on_one_line(node.slot, node.start) or node.place == "root"
        start = node.start if beside else splices.line_start(node.start)
        if is_nested(value):
            fits = node.column > node.indent or (node.kind == "seq") == isinstance(value, list)
            column = node.column if fits else self._column_below(value)
            lines = self.style.block(value, column)
        else:
            head, tail = leaf_like(self.style, splices.text, node, value)
            lines = [head, *tail] if beside else [*tail]
            if not beside:
                splices.replace(node.ready, node.ready, f" {head}")
                # Comments above the first entry must not become lines of a block scalar.
                start = splices.next_line(node.ready) if tail else start
        text = splices.lines(lines)
        if beside:
            splices.replace(start, splices.line_end(node.end), text.lstrip(" "))
        else:
            end = splices.next_line(node.end)
            splices.replace(start, end, text + splices.newline if lines else "")

    def _opening(self) -> tuple[int, str]:
        """Where the new text starts, and what to put before it; the tag goes."""
        node = self.node
        if node.empty and node.ready == node.slot:
            spaced = _LONE_SPACE.match(self.splices.text, node.slot)
            return (node.slot + 1, "") if spaced else (node.slot, " ")
        if node.lead != node.start and not self._has_properties_beside():
            return node.start, ""
        return node.lead, f"&{node.anchor} " if node.anchor else ""

    def _has_properties_beside(self) -> bool:
        node = self.node
        return node.lead != node.start and self.splices.on_one_line(node.lead, node.start)

    def _comment(self) -> str:
        node, text = self.node, self.splices.text
        if node.style in ("|", ">"):
            return header_of(text, node).comment
        return text[node.end : self.splices.line_end(node.end)].rstrip()

    def _column_below(self, value: JSON) -> int:
        if self.node.place == "key":
            return self.node.indent + self.style.deeper(value)
        return self.node.indent + 2 if self.node.place == "item" else 0
