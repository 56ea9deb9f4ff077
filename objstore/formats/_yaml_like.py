"""Writing values like those around them: in a file's layout, an old scalar's style."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, TypeVar

from ..values import JSON
from ._yaml_scalars import (
    BOOL,
    MERGE,
    STR,
    TIMESTAMP,
    BlockText,
    Quotes,
    folded,
    is_plain_text,
    literal,
    plain_tag,
    quoted,
)
from ._yaml_tree import Document, Node, header_of
from ._yaml_write import Rendered, Style

T = TypeVar("T")

_BOOLEANS: Final = (("false", "true"), ("no", "yes"), ("off", "on"))
_FIRST_LINE: Final = re.compile(r"\n( *)[^ \r\n]")
_WIDEST_GAP: Final = 9
"""The most spaces behind a dash that are taken for a habit."""


def style_of(document: Document) -> Style:
    """How the file is laid out, as most of it is; the usual style where it does not tell."""
    usual = Style()
    steps: Counter[int] = Counter()
    offsets: Counter[int] = Counter()
    quotes: Counter[str] = Counter()
    flow_keys: Counter[str] = Counter()
    for node in document.nodes():
        quotes[node.style] += 1
        flow_keys.update(entry.key.style for entry in node.entries if node.style and entry.key)
        if node.place == "key" and node.entries and not node.style:
            (steps if node.kind == "map" else offsets)[node.column - node.indent] += 1
    return Style(
        step=min(_most_common(steps, usual.step), 9),  # the most that a block scalar can tell
        offset=_most_common(offsets, usual.offset),
        quotes='"' if quotes['"'] >= quotes["'"] else "'",
        flow_quotes=_as_quotes(_most_common(flow_keys, "")),
    )


def _most_common(counts: Counter[T], default: T) -> T:
    return counts.most_common(1)[0][0] if counts else default


def leaf_like(style: Style, text: str, node: Node, value: JSON) -> Rendered:
    """A scalar or an empty collection, as the node is written where that can hold it exactly."""
    if isinstance(value, bool) and (word := _boolean_like(node, value)):
        return Rendered(word)
    if isinstance(value, str):
        if _is_timestamp_like(node, value):
            return Rendered(value)
        if node.style in ("|", ">") and (block := _block_like(text, node, value)):
            return style.block_text(node.style, block, node.indent, _column_of(text, node))
        quotes = _as_quotes(node.style)
        if quotes == '"' or (quotes and "\n" not in value):
            return Rendered(quoted(value, quotes))
    return style.leaf(value, node.indent)


def flow_like(style: Style, node: Node, value: JSON) -> str:
    """A value on one line, its strings quoted as those of the node are."""
    empty = style.flow_quotes if node.style in ("{", "[") else _as_quotes(node.style)
    quotes = _quotes_in(node) if node.entries else empty
    return style.flow(value, inside=node.place == "flow", quotes=quotes)


def entry_like(style: Style, parent: Node, key: str | None, value: JSON) -> list[str]:
    """The lines of an entry to be added to a collection; of a mapping if there is a key."""
    quotes = _quotes_in(parent)
    if parent.style:
        if key is None:
            return [style.flow(value, inside=True, quotes=quotes)]
        return [style.flow_entry(key, value, quotes)]
    if key is None:
        first = parent.entries[0].node
        gap = first.lead - first.slot
        return style.item(value, parent.column, gap if 0 < gap < _WIDEST_GAP else 1)
    return style.entry(_key_like(style, parent, key, quotes), value, parent.column)


def _block_like(text: str, node: Node, value: str) -> BlockText | None:
    if node.style == "|":
        block = literal(value)
    else:
        column = _column_of(text, node) or 0
        lines = text[node.start : node.end].split("\n")[1:]
        block = folded(value, [line.removesuffix("\r")[column:] for line in lines])
    kept = "+" in header_of(text, node).indicators
    return block if kept or (block and block.chomping != "+") else None


def _column_of(text: str, node: Node) -> int | None:
    """The column of a block scalar's lines; None where it has none."""
    digit = header_of(text, node).indicators.strip("+-")
    if digit:
        return max(node.indent, 0) + int(digit)
    first = _FIRST_LINE.search(text, node.start, node.end)
    return len(first[1]) if first else None


def _key_like(style: Style, parent: Node, key: str, quotes: Quotes | None) -> str:
    """A key, quoted as the mapping's first one; not if it reads as a number as others do."""
    keys = [entry.key for entry in parent.entries if entry.key is not None]
    tag = plain_tag(key)
    alike = any(not other.style and plain_tag(other.text) == tag for other in keys)
    if quotes is None and tag not in (STR, MERGE) and alike and is_plain_text(key, flow=False):
        return key
    return style.string(key, quotes=quotes)


def _as_quotes(style: str) -> Quotes | None:
    return '"' if style == '"' else "'" if style == "'" else None


def _quotes_in(parent: Node) -> Quotes | None:
    """The quotes that keys, or else items, of a collection have, as far as the first one tells."""
    first = parent.entries[0]
    return _as_quotes((first.key or first.node).style)


def _is_timestamp_like(node: Node, value: str) -> bool:
    """Whether a date stands for a date, as it is to those readers that have dates."""
    is_plain = node.kind == "scalar" and not node.style
    return is_plain and plain_tag(node.text) == plain_tag(value) == TIMESTAMP


def _boolean_like(node: Node, value: bool) -> str | None:
    """The boolean as the counterpart of the old word: ``no`` for ``yes``, ``Off`` for ``On``."""
    if node.kind != "scalar" or node.style or plain_tag(node.text) != BOOL:
        return None
    word = next(pair[value] for pair in _BOOLEANS if node.text.lower() in pair)
    cases = (str.lower, str.title, str.upper)
    return next(case(word) for case in cases if case(node.text) == node.text)
