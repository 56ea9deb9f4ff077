"""Reading KVI: lines to nodes, each of which knows where it stands. See docs/formats/kvi.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isinf
from typing import Any, Final, NamedTuple

from ..errors import FormatError
from ..values import JSON, MAX_DEPTH, is_array, is_object, show

_ENTRY: Final = re.compile(r"(\S+)(?:\s+(.*))?", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(r"[+-]?[0-9]+\.[0-9]*(?:[eE][+-]?[0-9]+)?")
_PATH_STARTS: Final = ("/", "./", "../", "~/")
_OPENINGS: Final = ("{}:", "[]:", ":")
_WORDS: Final[dict[str, JSON]] = {":T": True, ":F": False, "-": None}


class Node:
    """A value and the lines that it stands on."""

    def __init__(self, line: int, key: str | None, column: int, indent: int) -> None:
        self.line = line
        self.key = key
        # Where in the line the value's text starts.
        self.column = column
        # How far the line is indented; -1 for the file.
        self.indent = indent
        self.value: Any = None
        self.children: list[Node] = []

    @property
    def end(self) -> int:
        """The line behind the last one that is part of the value."""
        node = self
        while node.children:
            node = node.children[-1]
        return node.line + 1


class _Line(NamedTuple):
    number: int
    indent: int
    key: str | None
    column: int
    text: str
    """The value's text."""


def split_lines(text: str) -> list[tuple[str, str]]:
    """The lines with what ends each; the last one may end with nothing."""
    pieces = text.split("\n")
    lines = [(s[:-1], "\r\n") if s.endswith("\r") else (s, "\n") for s in pieces]
    content, ending = lines.pop()
    return [*lines, (content, ending[:-1])] if pieces[-1] else lines


def read_nodes(lines: list[str], source: str) -> Node:
    """The node of the file. Raises FormatError with line and column."""
    return _Reader(lines, source).read()


def _is_around(container: Node, line: _Line) -> bool:
    return bool(container.children) and container.children[0].indent <= line.indent


class _Reader:
    def __init__(self, lines: list[str], source: str) -> None:
        self.lines = lines
        self.source = source
        # The containers around the next line, the innermost last.
        self.open = [Node(-1, None, 0, -1)]

    def read(self) -> Node:
        """The root, with all that is below it. Raises FormatError with line and column."""
        root = self.open[0]
        root.value = {}
        entries = self._entries()
        line = next(entries, None)
        if line and line.key is None:
            root.value = []
        while line:
            following = next(entries, None)
            container = self._container(line)
            node = Node(line.number, line.key, line.column, line.indent)
            node.value = self._value(line, following)
            self._add(container, node)
            if is_object(node.value) or is_array(node.value):
                self._check_depth(node)
                if line.text.rstrip() in _OPENINGS:
                    self.open.append(node)
            line = following
        return root

    def _entries(self) -> Iterator[_Line]:
        for number, raw in enumerate(self.lines):
            content = raw.lstrip()
            if not content or content[0] == "#":
                continue
            indent = len(raw) - len(content)
            spaces = len(raw) - len(raw.lstrip(" "))
            if spaces < indent:
                raise self._error(number, spaces, "indentation is made of spaces only")
            if not content[0].isalpha():
                yield _Line(number, indent, None, indent, content)
                continue
            match = _ENTRY.match(raw, indent)
            if match is None or not match[2]:
                raise self._error(number, indent, f"the key {show(content.rstrip())} has no value")
            yield _Line(number, indent, match[1], match.start(2), match[2])

    def _container(self, line: _Line) -> Node:
        """The container that the line is an entry of."""
        container = self.open[-1]
        if container.children or line.indent <= container.indent:
            while container.indent >= 0 and not _is_around(container, line):
                self.open.pop()
                container = self.open[-1]
            expected = container.children[0].indent
        else:
            expected = 0 if container.indent < 0 else line.indent
        if line.indent != expected:
            reason = "indented like no list or dict above"
            raise self._error(line.number, line.indent, reason)
        return container

    def _add(self, container: Node, node: Node) -> None:
        if is_object(container.value):
            if node.key is None:
                raise self._error(node.line, node.indent, "a value without a key in a dict")
            if node.key in container.value:
                raise self._error(node.line, node.indent, f"the key {show(node.key)} comes twice")
            container.value[node.key] = node.value
        else:
            if node.key is not None:
                raise self._error(node.line, node.indent, "a key in a list")
            container.value.append(node.value)
        container.children.append(node)

    def _check_depth(self, node: Node) -> None:
        if len(self.open) == MAX_DEPTH:
            reason = f"containers are nested deeper than {MAX_DEPTH}"
            raise self._error(node.line, node.column, reason)

    def _value(self, line: _Line, following: _Line | None) -> JSON:
        if line.text.startswith("|"):
            if line.text.endswith("\r"):
                at = line.column + len(line.text) - 1
                raise self._error(line.number, at, "a carriage return at the end of a string")
            return line.text[1:]
        text = line.text.rstrip()
        if text in ("{}", "{}:"):
            return {}
        if text in ("[]", "[]:"):
            return []
        if text == ":":
            if following is None or following.indent <= line.indent:
                raise self._error(line.number, line.column, 'no entry follows the ":"')
            return [] if following.key is None else {}
        if text in _WORDS:
            return _WORDS[text]
        return text if text.startswith(_PATH_STARTS) else self._number(line, text)

    def _number(self, line: _Line, text: str) -> int | float:
        if _FLOAT.fullmatch(text):
            number = float(text)
            if isinf(number):
                raise self._error(line.number, line.column, f"{text} is out of a float's range")
            return number
        if _INTEGER.fullmatch(text):
            try:
                return int(text)
            except ValueError as error:  # the interpreter's limit against slow conversions
                reason = f"an integer of {len(text)} digits"
                raise self._error(line.number, line.column, reason) from error
        kind = "no value" if line.key is not None else "neither a key nor a value"
        raise self._error(line.number, line.column, f"{kind}: {show(text)}")

    def _error(self, line: int, column: int, reason: str) -> FormatError:
        return FormatError(reason, source=self.source, line=line + 1, column=column + 1)
