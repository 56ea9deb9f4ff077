"""Writing contents as YAML, in block and in flow style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ..values import JSON
from ._yaml_scalars import BlockText, Quotes, is_plain_string, literal, number, quoted

_LONGEST_SIMPLE_KEY: Final = 1000
"""A longer key needs a ``?``, as its ``:`` is looked for within 1024 characters only (YAML 1.1,
section 9.2.2)."""

_LARGEST_INDENT: Final = 9
"""The most that a block scalar's header can tell."""


class Rendered(NamedTuple):
    """A value as it stands behind its ``:`` or ``-``."""

    head: str
    """What stands on the same line."""
    tail: Sequence[str] = ()
    """The lines below, indented."""


class Style(NamedTuple):
    """How a file is laid out, and how to write values so that they look like the rest of it."""

    step: int = 2
    """How much deeper the entries of a mapping stand than the key above them."""
    offset: int = 2
    """How much deeper the dashes of a sequence stand than the key above them."""
    quotes: Quotes = '"'
    """Those of strings that need some."""
    flow_quotes: Quotes | None = None
    """Those of all strings in flow collections, in files that look like JSON."""
    blocks: bool = True
    """Whether strings of several lines become block scalars."""

    def block(self, value: JSON, indent: int) -> list[str]:
        """The lines of a collection that is not empty, its entries at column ``indent``."""
        lines: list[str] = []
        if isinstance(value, dict):
            for key, child in value.items():
                lines += self.entry(self.string(key), child, indent)
        elif isinstance(value, list):
            for child in value:
                lines += self.item(child, indent)
        return lines

    def document(self, value: JSON) -> list[str]:
        """The lines of a whole document."""
        if is_nested(value):
            return self.block(value, 0)
        head, tail = self.leaf(value, -1)
        return [head, *tail]

    def entry(self, key: str, value: JSON, indent: int) -> list[str]:
        """The lines of one entry of a mapping; ``key`` is written out already."""
        pad = " " * indent
        lead = f"{pad}{key}:" if len(key) <= _LONGEST_SIMPLE_KEY else f"{pad}? {key}\n{pad}:"
        if is_nested(value):
            return [*lead.split("\n"), *self.block(value, indent + self.deeper(value))]
        head, tail = self.leaf(value, indent)
        return [*f"{lead} {head}".split("\n"), *tail]

    def item(self, value: JSON, indent: int, gap: int = 1) -> list[str]:
        """The lines of one item of a sequence, ``gap`` spaces behind its dash."""
        lead = " " * indent + "-" + " " * gap
        if is_nested(value):
            first, *rest = self.block(value, len(lead))
            return [lead + first.lstrip(" "), *rest]
        head, tail = self.leaf(value, indent)
        return [lead + head, *tail]

    def deeper(self, value: JSON) -> int:
        """How much deeper than its key the entries of a collection stand."""
        return self.step if isinstance(value, dict) else self.offset

    def leaf(self, value: JSON, indent: int) -> Rendered:
        """A scalar, or an empty collection, in a collection at ``indent``."""
        text = literal(value) if self.blocks and isinstance(value, str) else None
        # Where line breaks at the end are kept, blank lines behind the scalar would be part of it.
        if text is None or text.chomping == "+":
            return Rendered(self.flow(value))
        return self.block_text("|", text, indent)

    def block_text(
        self, kind: str, text: BlockText, indent: int, column: int | None = None
    ) -> Rendered:
        """A block scalar in a collection at ``indent``, its lines at ``column``."""
        base = max(indent, 0)  # around a document's root, ``indent`` is -1
        if column is None or (text.needs_indent and column > base + _LARGEST_INDENT):
            column = base + self.step
        mark = str(column - base) if text.needs_indent else ""
        lines = [line and " " * column + line for line in text.lines]
        return Rendered(kind + mark + text.chomping, lines)

    def flow(self, value: JSON, *, inside: bool = False, quotes: Quotes | None = None) -> str:
        """A value on one line; ``inside`` where it stands within a flow collection.

        With ``quotes``, strings get these in any case, as in files that look like JSON.
        """
        if isinstance(value, str):
            return self.string(value, inside=inside, quotes=quotes)
        if isinstance(value, dict):
            entries = [self.flow_entry(key, child, quotes) for key, child in value.items()]
            return "{" + ", ".join(entries) + "}"
        if isinstance(value, list):
            items = [self.flow(child, inside=True, quotes=quotes) for child in value]
            return "[" + ", ".join(items) + "]"
        return number(value)

    def flow_entry(self, key: str, value: JSON, quotes: Quotes | None = None) -> str:
        """One entry of a flow mapping."""
        text = self.string(key, inside=True, quotes=quotes)
        text = f"{text}:" if len(text) <= _LONGEST_SIMPLE_KEY else f"? {text} :"
        return f"{text} {self.flow(value, inside=True, quotes=quotes)}"

    def string(self, text: str, *, inside: bool = False, quotes: Quotes | None = None) -> str:
        """A string on one line: plain where it can be, unless ``quotes`` are asked for."""
        if quotes is None and is_plain_string(text, flow=inside):
            return text
        return quoted(text, quotes or self._fitting(text))

    def _fitting(self, text: str) -> Quotes:
        """The quotes that need fewer escapes; the file's usual ones where both do."""
        if ('"' in text or "\\" in text) and "'" not in text:
            return "'"
        return '"' if "'" in text else self.quotes


def is_nested(value: Any) -> bool:
    """Whether a value is a collection with something in it."""
    return bool(value) and type(value) in (dict, list)
