"""A text and the changes to make to it, gathered in any order and made at once."""

from __future__ import annotations

from typing import NamedTuple

from ._text import newline_of


class NotBySpanError(Exception):
    """A change that cannot be made by replacing spans of the text."""


class _Splice(NamedTuple):
    start: int
    end: int
    text: str


class Splices:
    """A text whose last line has an end, and replacements of spans of it.

    Lines end with LF or CR LF; the breaks that YAML 1.1 knows besides are characters as others are.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = newline_of(text)
        self._splices: list[_Splice] = []

    def replace(self, start: int, end: int, text: str) -> None:
        """Put ``text`` where ``start`` to ``end`` was; among insertions, the first comes first."""
        self._splices.append(_Splice(start, end, text))

    def checkpoint(self) -> int:
        """How many changes there are, for ``rewind``."""
        return len(self._splices)

    def rewind(self, checkpoint: int) -> None:
        """Forget the changes made since."""
        del self._splices[checkpoint:]

    def result(self) -> str:
        """The changed text. What is inserted within a removed span comes behind it."""
        parts: list[str] = []
        position = 0
        for start, end, text in sorted(self._splices, key=lambda splice: splice[:2]):
            if start < position and start != end:
                raise NotBySpanError
            parts += (self.text[position:start], text)
            position = max(position, end)
        return "".join([*parts, self.text[position:]])

    def touches(self, index: int) -> bool:
        """Whether what stands at ``index`` is replaced, or something is put before it."""
        return any(start <= index < max(end, start + 1) for start, end, _ in self._splices)

    def lines(self, lines: list[str]) -> str:
        """Lines as one text, without the end of the last."""
        return self.newline.join(lines)

    def line_start(self, index: int) -> int:
        """Where the line that holds ``index`` starts."""
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        """Where it ends, before its line break."""
        end = self.text.find("\n", index)
        if end < 0:
            return len(self.text)
        return end - 1 if end > index and self.text[end - 1] == "\r" else end

    def next_line(self, index: int) -> int:
        """Where the next line starts."""
        return self.text.find("\n", index) + 1 or len(self.text)

    def comments_end(self, index: int, column: int) -> int:
        """Where the next line starts, after comments below that stand deeper than ``column``."""
        end = position = self.next_line(index)
        while position < len(self.text):
            line = self.text[position : self.line_end(position)]
            indent = len(line) - len(line.lstrip(" "))
            position = self.next_line(position)
            if line[indent:].startswith("#") and indent > column:
                end = position
            elif line.strip():
                break
        return end

    def starts_line(self, index: int) -> bool:
        """Whether only spaces stand before ``index`` in its line."""
        return not self.text[self.line_start(index) : index].strip(" ")

    def on_one_line(self, start: int, end: int) -> bool:
        """Whether both are in the same line."""
        return "\n" not in self.text[start:end]
