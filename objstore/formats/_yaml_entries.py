"""Adding entries to collections and removing them, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ._yaml_splices import Splices
from ._yaml_tree import Entry, Node


class Entries(Protocol):
    """The entries of one collection. Changes of the same collection do not overlap."""

    def add_after(self, entry: Entry, texts: Sequence[str]) -> None:
        """Put new entries behind one that stays."""
        ...

    def add_before(self, entry: Entry, texts: Sequence[str]) -> None:
        """Put new entries before one that stays."""
        ...

    def remove(self, gone: Sequence[Entry]) -> None:
        """Take entries out; never all of them."""
        ...


class BlockEntries:
    """The entries of a collection in block style; a text is an entry's indented lines."""

    def __init__(self, splices: Splices, parent: Node) -> None:
        self._splices = splices
        self._parent = parent

    def add_after(self, entry: Entry, texts: Sequence[str]) -> None:
        """Below the lines of ``entry``."""
        end = self._end(entry)
        for text in texts:
            self._splices.replace(end, end, text + self._splices.newline)

    def add_before(self, entry: Entry, texts: Sequence[str]) -> None:
        """Where ``entry`` stands, which moves a line down. A dash before it stays before all."""
        pad = " " * self._parent.column
        for text in texts:
            behind = self._splices.newline + pad
            self._splices.replace(entry.start, entry.start, text.removeprefix(pad) + behind)

    def remove(self, gone: Sequence[Entry]) -> None:
        """With their lines."""
        splices = self._splices
        for entry in gone:
            if splices.starts_line(entry.start):
                start = splices.line_start(entry.start)
                splices.replace(start, self._end(entry), "")
            else:
                self._remove_beside_dash(entry, gone)

    def _end(self, entry: Entry) -> int:
        # Comments that are indented deeper than the entry are part of it.
        return self._splices.comments_end(entry.end, self._parent.column)

    def _remove_beside_dash(self, entry: Entry, gone: Sequence[Entry]) -> None:
        """The first entry, where it shares its line with the dash of the item that it is in."""
        splices = self._splices
        following = self._parent.entries[1]
        if following not in gone and splices.next_line(entry.end) == splices.line_start(
            following.start
        ):
            splices.replace(entry.start, following.start, "")
        else:
            start = len(splices.text[: entry.start].rstrip(" "))
            splices.replace(start, splices.line_end(entry.end), "")


class FlowEntries:
    """The entries of a collection in flow style, on one line or on a line each."""

    def __init__(self, splices: Splices, parent: Node) -> None:
        self._splices = splices
        self._parent = parent

    def add_after(self, entry: Entry, texts: Sequence[str]) -> None:
        """On lines of their own if ``entry`` has one."""
        splices = self._splices
        if not self._has_own_line(entry):
            splices.replace(entry.end, entry.end, "".join(f", {text}" for text in texts))
            return
        pad = splices.text[splices.line_start(entry.start) : entry.start]
        lines = [f"{pad}{text}," for text in texts]
        if entry.comma is None:
            splices.replace(entry.end, entry.end, ",")
            lines[-1] = lines[-1][:-1]
        end = splices.next_line(self._end(entry))
        splices.replace(end, end, splices.lines([*lines, ""]))

    def add_before(self, entry: Entry, texts: Sequence[str]) -> None:
        """On lines of their own if ``entry`` has one."""
        splices = self._splices
        between = " "
        if self._has_own_line(entry):
            between = splices.newline + splices.text[splices.line_start(entry.start) : entry.start]
        text = "".join(f"{text},{between}" for text in texts)
        splices.replace(entry.start, entry.start, text)

    def remove(self, gone: Sequence[Entry]) -> None:
        """With their commas, and with their lines where nothing else is on them."""
        splices, entries = self._splices, self._parent.entries
        last_kept = max(index for index, entry in enumerate(entries) if entry not in gone)
        for index, entry in enumerate(entries):
            if entry not in gone:
                continue
            if self._has_own_line(entry):
                start = splices.line_start(entry.start)
                splices.replace(start, splices.next_line(self._end(entry)), "")
            elif index < last_kept:
                splices.replace(entry.start, entries[index + 1].start, "")
            else:
                splices.replace(entries[index - 1].end, entry.end, "")
        self._remove_comma(entries[last_kept], entries[last_kept + 1 :])

    def _remove_comma(self, last: Entry, behind: Sequence[Entry]) -> None:
        """The comma that would trail the last entry, where none did before."""
        if behind and behind[-1].comma is None and self._has_own_line(behind[0]):
            comma = self._end(last)
            self._splices.replace(comma, comma + 1, "")

    def _end(self, entry: Entry) -> int:
        return entry.end if entry.comma is None else entry.comma

    def _has_own_line(self, entry: Entry) -> bool:
        splices, end = self._splices, self._end(entry)
        behind = splices.text[end : splices.line_end(end)].lstrip(" ,")
        return splices.starts_line(entry.start) and (not behind or behind.startswith("#"))
