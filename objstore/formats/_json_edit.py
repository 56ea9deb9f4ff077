"""Changing a JSON text where its contents change, and nowhere else.

The text is walked along its old contents. What is the same object in the new ones is skipped, by
the standard library's scanner, or to the line that closes it; only containers on the way to a
change are taken apart:

    [ lead entry trail , lead entry trail , ... , lead entry trail ]

Lead and trail are whitespace. The first lead and the last trail belong to the container; the others
belong to their entry and go where it goes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import JSONDecoder
from json.scanner import make_scanner
from typing import Any, Final, NamedTuple, TypeAlias, cast

from .._align import align
from ..values import JSON, MISSING, is_array, is_object, same
from ._json_style import Style, is_flat

_scan: Final = make_scanner(cast("Any", JSONDecoder()))
_match_key: Final = re.compile(r'[ \t\n\r]*"[^"\\]*(?:\\.[^"\\]*)*"[ \t\n\r]*:[ \t\n\r]*').match
_SPACE: Final = " \t\n\r"
_match_space: Final = re.compile(f"[{_SPACE}]*").match


class NotAsExpectedError(Exception):
    """The text does not have the contents that it should."""


_Span: TypeAlias = tuple[int, int, int]
"""Where an entry's lead starts, its value starts, and its value ends."""


class _Added(NamedTuple):
    key: str | None
    value: JSON


_Plan: TypeAlias = Sequence[int | _Added]
"""A container's new entries: old ones by their index, and added ones."""


class _Container:
    """A container's text, taken apart."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.close = at
        self.spans: list[_Span] = []
        # By the entry's index: its value's new text, and values whose text is yet to be written.
        self.texts: dict[int, str] = {}
        self.replaced: dict[int, JSON] = {}


def edit_text(text: str, old: JSON, new: JSON, *, regular: bool) -> str:
    """The text, whose contents are ``old``, with the contents ``new``.

    A ``regular`` text closes each container that goes over several lines on a line of its own,
    indented as the one that opened it; this spares a look at most of the text. The result may be
    anything where that does not hold, or where the contents are not quite ``old``; the caller
    checks. Raises NotAsExpectedError where the text cannot be followed at all.
    """
    start = _skip_space(text, 0)
    try:
        end, changed = _Editor(text, regular).root(start, old, new)
    except (StopIteration, IndexError, TypeError, ValueError) as error:
        raise NotAsExpectedError from error
    return text if changed is None else text[:start] + changed + text[end:]


def rewrite_text(text: str, new: JSON) -> str:
    """The contents ``new``, laid out as far as can be told in the style of the text."""
    body = text.strip(_SPACE)
    start = text.index(body)
    written = Style(text).write(new, "" if "\n" in body or len(body) < 3 else None)
    return text[:start] + written + text[start + len(body) :]


def _skip_space(text: str, at: int) -> int:
    match = _match_space(text, at)
    return match.end() if match else at


def _is_refillable(old: object, new: object) -> bool:
    """Whether the one can become the other within its brackets."""
    return bool(
        old and new and ((is_object(old) and is_object(new)) or (is_array(old) and is_array(new)))
    )


def _holds_container(text: str) -> bool:
    return "{" in text[1:] or "[" in text[1:]


class _Editor:
    def __init__(self, text: str, regular: bool) -> None:
        self.text = text
        self.regular = regular
        self.style = Style(text)

    def root(self, at: int, old: JSON, new: JSON) -> tuple[int, str | None]:
        """Where the value at ``at`` ends, and its new text if that is another."""
        if _is_refillable(old, new):
            return self._container(at, old, new)
        end = _scan(self.text, at)[1]
        if same(old, new):
            return end, None
        flat = bool(old) and (is_object(old) or is_array(old)) and "\n" not in self.text[at:end]
        return end, self.style.write(new, None if flat else "")

    def _container(self, at: int, old: Any, new: Any) -> tuple[int, str | None]:
        return self._object(at, old, new) if is_object(old) else self._array(at, old, new)

    def _object(self, at: int, old: dict[str, Any], new: dict[str, Any]) -> tuple[int, str | None]:
        container = _Container(at)
        text, spans = self.text, container.spans
        lead = at + 1
        line = self._line(lead)
        for key, value in old.items():
            match = _match_key(text, lead)
            if match is None:
                raise NotAsExpectedError
            start = match.end()
            wanted = new.get(key, MISSING)
            if wanted is value or wanted is MISSING:
                end = self._skip(start, line) if text[start] in "{[" else _scan(text, start)[1]
            else:
                end = self._change(container, start, value, cast("JSON", wanted), line)
            spans.append((lead, start, end))
            lead = (end if text[end] == "," else _skip_space(text, end)) + 1
        container.close = lead - 1
        plan: list[int | _Added] | None = None
        if list(old) != list(new):
            places = {key: index for index, key in enumerate(old)}
            plan = [places[k] if k in places else _Added(k, v) for k, v in new.items()]
        return self._finish(container, plan)

    def _array(self, at: int, old: list[Any], new: list[Any]) -> tuple[int, str | None]:
        container = _Container(at)
        origins = align(old, new)
        wanted = dict(zip(origins, new, strict=True))
        lead = at + 1
        line = self._line(lead)
        for index, value in enumerate(old):
            start = _skip_space(self.text, lead)
            end = self._change(container, start, value, wanted.get(index, value), line)
            container.spans.append((lead, start, end))
            lead = _skip_space(self.text, end) + 1
        container.close = lead - 1
        plan: list[int | _Added] | None = None
        if origins != list(range(len(old))):
            plan = [
                _Added(None, value) if origin is None else origin
                for origin, value in zip(origins, new, strict=True)
            ]
        return self._finish(container, plan)

    def _line(self, lead: int) -> str:
        """How lines of a container's entries start, the newline included; "" on a single line."""
        start = _skip_space(self.text, lead)
        newline = self.text.rfind("\n", lead, start)
        return self.text[newline:start] if newline >= 0 else ""

    def _skip(self, at: int, line: str) -> int:
        """Where the value at ``at`` ends, of an entry whose line starts like that."""
        text = self.text
        if self.regular and line and text[at] in "{[" and text[at + 1] in "\r\n":
            # A line cannot start within a string, so that no closing bracket is mistaken.
            closing = line + ("}" if text[at] == "{" else "]")
            end = text.find(closing, at)
            if end >= 0:
                return end + len(closing)
            self.regular = False  # nor will others close on lines of their own
        return _scan(text, at)[1]

    def _change(self, container: _Container, at: int, old: JSON, new: JSON, line: str) -> int:
        """Take the change of the next entry's value down; where its old text ends."""
        if new is not old and _is_refillable(old, new):
            # Not by way of _container: a call less for each level of nesting.
            change = self._object if is_object(old) else self._array
            end, text = change(at, cast("Any", old), cast("Any", new))
            if text is not None:
                container.texts[len(container.spans)] = text
            return end
        if not same(old, new):
            container.replaced[len(container.spans)] = new
        return self._skip(at, line)

    def _finish(self, container: _Container, plan: _Plan | None) -> tuple[int, str | None]:
        for index, value in container.replaced.items():
            container.texts[index] = self.style.write(value, self._indent(container, value))
        if plan is not None:
            return container.close + 1, self._arrange(container, plan)
        return container.close + 1, self._splice(container) if container.texts else None

    def _splice(self, container: _Container) -> str:
        parts: list[str] = []
        cursor = container.at
        for index in sorted(container.texts):
            _, start, end = container.spans[index]
            parts += [self.text[cursor:start], container.texts[index]]
            cursor = end
        parts.append(self.text[cursor : container.close + 1])
        return "".join(parts)

    def _arrange(self, container: _Container, plan: _Plan) -> str:
        """The container's text with other entries, or in another order."""
        first, last = 0, len(container.spans) - 1
        between = self._between(container)
        parts = [self.text[container.at]]
        for place, item in enumerate(plan):
            lead, trail = between
            if isinstance(item, _Added):
                body = self._added(container, item)
            else:
                body = self._kept(container, item)
                lead = lead if item == first else self._lead(container, item)
                trail = trail if item == last else self._trail(container, item)
            parts += [lead if place else self._lead(container, first), body, trail, ","]
        parts[-2:] = [self._trail(container, last), self.text[container.close]]
        return "".join(parts)

    def _lead(self, container: _Container, index: int) -> str:
        lead = container.spans[index][0]
        return self.text[lead : _skip_space(self.text, lead)]

    def _trail(self, container: _Container, index: int) -> str:
        end = container.spans[index][2]
        if index == len(container.spans) - 1:
            return self.text[end : container.close]
        return self.text[end : container.spans[index + 1][0] - 1]

    def _between(self, container: _Container) -> tuple[str, str]:
        """Lead and trail of an entry that comes to stand between others."""
        several = len(container.spans) > 1
        lead = self._lead(container, 0)
        # An array may have several elements on each of its lines.
        if several and (self.text[container.at] == "[" or "\n" not in lead):
            lead = self._lead(container, 1)
        elif "\n" not in lead:
            lead = self.style.gap
        if "\n" in lead:  # without the blank lines that set other entries apart
            lead = self.style.newline + lead.rpartition("\n")[2]
        return lead, self._trail(container, 0) if several else ""

    def _kept(self, container: _Container, index: int) -> str:
        lead, value, end = container.spans[index]
        start = _skip_space(self.text, lead)
        return self.text[start:value] + container.texts.get(index, self.text[value:end])

    def _added(self, container: _Container, item: _Added) -> str:
        text = self.style.write(item.value, self._indent(container, item.value))
        if item.key is None:
            return text
        lead, value, _ = container.spans[0]
        head = self.text[lead:value]
        colon = head[len(head.rstrip(_SPACE + ":")) :]
        return self.style.quote(item.key) + (self.style.colon if "\n" in colon else colon) + text

    def _indent(self, container: _Container, value: JSON) -> str | None:
        """The indentation to write a value with, as an entry of the container; None for flat."""
        if not (is_object(value) or is_array(value)):
            return None
        sibling = self._sibling(container, "{" if is_object(value) else "[")
        if sibling and "\n" not in sibling and (is_flat(value) or _holds_container(sibling)):
            return None
        lead = self._lead(container, 0)
        if "\n" in lead:
            return lead.rpartition("\n")[2]
        last_line = sibling.rpartition("\n")[2]
        return last_line[: _skip_space(last_line, 0)] if "\n" in sibling else None

    def _sibling(self, container: _Container, bracket: str) -> str:
        """The text of the last entry's value that has the bracket and something in it, or ""."""
        for _, start, end in reversed(container.spans):
            if self.text[start] == bracket and self.text[start + 1 : end - 1].strip(_SPACE):
                return self.text[start:end]
        return ""
