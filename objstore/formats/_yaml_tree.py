"""A YAML document as a tree of the places in its text, made of PyYAML's tokens.

Tokens tell, unlike nodes and events, where dashes, colons, commas, anchors and aliases stand; what
an edit needs. The grammar is the one of PyYAML's parser (YAML 1.1, appendix B), and takes for
granted that the text was parsed before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import yaml

from ._yaml_load import tokens_of

Kind: TypeAlias = Literal["scalar", "alias", "map", "seq"]
Place: TypeAlias = Literal["root", "key", "item", "flow"]


@dataclass(slots=True, eq=False)
class Entry:
    """One entry of a collection."""

    start: int
    """Where its dash, its question mark or its key starts."""
    key: Node | None
    """None for the items of sequences."""
    node: Node
    comma: int | None = None
    """Where the comma behind it is, in flow collections."""

    @property
    def end(self) -> int:
        """Where its value ends, or its key if that has none."""
        return self.node.end

    @property
    def linked(self) -> bool:
        """Whether there are anchors or aliases in it."""
        return self.node.linked or (self.key is not None and self.key.linked)


@dataclass(slots=True, eq=False)
class Node:
    """A value, and where it stands."""

    kind: Kind
    place: Place
    """What it is part of; ``flow`` is any flow collection."""
    indent: int
    """The column of the entries that it is one of; -1 for the root."""
    slot: int
    """The end of what announces it: a dash, a colon, the ``---`` of the document."""
    lead: int
    """Where its anchor and tag start, or ``start`` if it has none."""
    ready: int
    """Where they end, or ``slot`` if it has none."""
    start: int
    end: int
    """The end of its last character. Blank lines and comments behind it are not part of it."""
    column: int = 0
    style: str = ""
    """``'``, ``"``, ``|`` or ``>`` of scalars that are not plain, ``{`` and ``[`` of collections in
    flow style; a pair without braces in a flow sequence has ``:``."""
    text: str = ""
    """A scalar's text, an alias's name."""
    anchor: str = ""
    linked: bool = False
    """Whether there are anchors or aliases on it or in it."""
    explicit: bool = True
    """False for the value of a key without a colon."""
    entries: list[Entry] = field(default_factory=list[Entry])

    @property
    def empty(self) -> bool:
        """Whether nothing stands there, which reads as null."""
        return self.kind == "scalar" and self.start == self.end


@dataclass(slots=True)
class Document:
    """What ``compose`` makes of a text."""

    root: Node | None
    """None where there is no document, only comments perhaps."""
    end: int
    """Where the document ends: before ``...``, or at the end of the text."""
    commented: bool
    """Whether there are comments."""

    def nodes(self) -> Iterator[Node]:
        """All nodes in the order of the text, keys left out."""
        waiting = [self.root] if self.root else []
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(entry.node for entry in reversed(node.entries))


def compose(text: str, source: str) -> Document:
    """The tree of a text whose last line has an end.

    Raises FormatError, but finds fewer faults than reading does.
    """
    return _Composer(text, tokens_of(text, source)).document()


class _Composer:
    """A parser of tokens by recursive descent."""

    def __init__(self, text: str, tokens: list[Any]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._fillers: dict[type[yaml.Token], Callable[[Node], None]] = {
            yaml.ScalarToken: self._scalar,
            yaml.AliasToken: self._alias,
            yaml.BlockSequenceStartToken: self._block_sequence,
            yaml.BlockMappingStartToken: self._block_mapping,
            yaml.FlowMappingStartToken: self._flow_mapping,
            yaml.FlowSequenceStartToken: self._flow_sequence,
        }

    def document(self) -> Document:
        """The first document of the tokens, with the places of its nodes and comments."""
        slot = 0
        while self._next_is(yaml.StreamStartToken, yaml.DirectiveToken, yaml.DocumentEndToken):
            self._take()
        if self._next_is(yaml.DocumentStartToken):
            slot = self._take().end_mark.index
        empty = slot == 0 and self._next_is(yaml.StreamEndToken)
        root = None if empty else self._node(slot, "root", -1)
        end = self._tokens[self._at].start_mark.index
        return Document(root, end, self._commented())

    def _commented(self) -> bool:
        return any(
            "#" in self._text[before.end_mark.index : after.start_mark.index]
            for before, after in pairwise(self._tokens)
        )

    def _next_is(self, *kinds: type[yaml.Token]) -> bool:
        return isinstance(self._tokens[self._at], kinds)

    def _take(self) -> Any:
        self._at += 1
        return self._tokens[self._at - 1]

    def _node(self, slot: int, place: Place, indent: int) -> Node:
        node = Node("scalar", place, indent, slot, slot, slot, slot, slot)
        if self._next_is(yaml.AnchorToken, yaml.TagToken):
            self._properties(node)
        token = self._tokens[self._at]
        fill = self._fillers.get(token.__class__)
        if place == "key" and self._next_is(yaml.BlockEntryToken):
            fill = self._block_sequence
        if fill is None:
            return node
        node.start, node.column = token.start_mark.index, token.start_mark.column
        if node.ready == node.slot:
            node.lead = node.start
        fill(node)
        node.linked = node.linked or any(entry.linked for entry in node.entries)
        return node

    def _properties(self, node: Node) -> None:
        node.lead = self._tokens[self._at].start_mark.index
        while self._next_is(yaml.AnchorToken, yaml.TagToken):
            if self._next_is(yaml.AnchorToken):
                node.anchor, node.linked = self._tokens[self._at].value, True
            node.ready = node.start = node.end = self._take().end_mark.index

    def _scalar(self, node: Node) -> None:
        token = self._take()
        node.text, node.style = token.value, token.style or ""
        node.end = token.end_mark.index
        if node.style in ("|", ">"):
            node.end = _end_of_block(self._text, node)

    def _alias(self, node: Node) -> None:
        token = self._take()
        node.kind, node.text, node.linked = "alias", token.value, True
        node.end = token.end_mark.index

    def _block_sequence(self, node: Node) -> None:
        node.kind = "seq"
        # Below a key, dashes may stand as far left as it does, and then nothing opens or ends.
        indented = self._next_is(yaml.BlockSequenceStartToken) and self._take()
        while self._next_is(yaml.BlockEntryToken):
            dash = self._take()
            item = self._node(dash.end_mark.index, "item", node.column)
            node.entries.append(Entry(dash.start_mark.index, None, item))
        if indented:
            self._take()
        node.end = node.entries[-1].end

    def _block_mapping(self, node: Node) -> None:
        self._take()
        node.kind = "map"
        while not self._next_is(yaml.BlockEndToken):
            start, key = self._key("key", node.column)
            value = self._bare(key)
            if self._next_is(yaml.ValueToken):
                value = self._node(self._take().end_mark.index, "key", node.column)
            node.entries.append(Entry(start, key, value))
        self._take()
        node.end = node.entries[-1].end

    def _key(self, place: Place, indent: int) -> tuple[int, Node]:
        first = self._tokens[self._at]
        slot = start = first.start_mark.index
        if self._next_is(yaml.KeyToken):
            slot = self._take().end_mark.index
        return start, self._node(slot, place, indent)

    def _bare(self, key: Node) -> Node:
        """The value of a key without a colon."""
        end = key.end
        return Node("scalar", key.place, key.indent, end, end, end, end, end, explicit=False)

    def _flow_mapping(self, node: Node) -> None:
        self._take()
        node.kind, node.style = "map", "{"
        while not self._next_is(yaml.FlowMappingEndToken):
            self._flow_entry(node)
            node.entries[-1].comma = self._comma()
        node.end = self._take().end_mark.index

    def _flow_entry(self, node: Node) -> None:
        start, key = self._key("flow", 0)
        value = self._bare(key)
        if self._next_is(yaml.ValueToken):
            value = self._node(self._take().end_mark.index, "flow", 0)
        node.entries.append(Entry(start, key, value))

    def _flow_sequence(self, node: Node) -> None:
        self._take()
        node.kind, node.style = "seq", "["
        while not self._next_is(yaml.FlowSequenceEndToken):
            start = self._tokens[self._at].start_mark.index
            item = self._pair() if self._next_is(yaml.KeyToken) else self._node(start, "flow", 0)
            node.entries.append(Entry(start, None, item, self._comma()))
        node.end = self._take().end_mark.index

    def _pair(self) -> Node:
        """The mapping that a pair without braces is, in a flow sequence."""
        start = self._tokens[self._at].start_mark.index
        node = Node("map", "flow", 0, start, start, start, start, start, style=":")
        self._flow_entry(node)
        node.end, node.linked = node.entries[0].end, node.entries[0].linked
        return node

    def _comma(self) -> int | None:
        if self._next_is(yaml.FlowEntryToken):
            index: int = self._take().start_mark.index
            return index
        return None


class Header(NamedTuple):
    """The first line of a block scalar."""

    indicators: str
    """What stands behind ``|`` or ``>``: how its lines are indented, how its end is treated."""
    comment: str
    """With the space before it."""


_HEADER: Final = re.compile(r"[|>]([-+1-9]*)([ \t]+#[^\r\n]*)?")


def header_of(text: str, node: Node) -> Header:
    """The header of a block scalar."""
    found = _HEADER.match(text, node.start)
    return Header(found[1], found[2] or "") if found else Header("", "")


def _end_of_block(text: str, node: Node) -> int:
    """Where a block scalar's last line ends; its token goes on through blank lines behind it."""
    header_end = end = text.find("\n", node.start, node.end)
    keeps = "+" in header_of(text, node).indicators
    if node.style == "|":
        lines = node.text.count("\n") if keeps else len(node.text.rstrip("\n").split("\n"))
    else:
        body = text[header_end + 1 : node.end]
        lines = (body if keeps else body.rstrip(" \t\r\n")).count("\n") + (not keeps)
    for _ in range(lines if node.text.strip("\n") or keeps else 0):
        end = text.find("\n", end + 1)
    return end - (text[end - 1] == "\r")
