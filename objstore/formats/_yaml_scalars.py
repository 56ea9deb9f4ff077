"""How YAML's scalars read, and how to write them so that they read back the same.

What a plain scalar means is asked of PyYAML's own table (YAML 1.1). What is written plain means a
string in YAML 1.2's core schema as well, as other programs may read the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

import yaml

from ..values import INTEGER_LIMIT

Quotes: TypeAlias = Literal["'", '"']

_PREFIX: Final = "tag:yaml.org,2002:"
STR: Final = _PREFIX + "str"
MAP: Final = _PREFIX + "map"
SEQ: Final = _PREFIX + "seq"
INT: Final = _PREFIX + "int"
FLOAT: Final = _PREFIX + "float"
BOOL: Final = _PREFIX + "bool"
NULL: Final = _PREFIX + "null"
MERGE: Final = _PREFIX + "merge"
TIMESTAMP: Final = _PREFIX + "timestamp"
VALUE: Final = _PREFIX + "value"

# A copy, as other code may add resolvers to PyYAML's classes while the program runs.
_PATTERNS: Final[dict[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    first: tuple(patterns)
    for first, patterns in yaml.resolver.Resolver.yaml_implicit_resolvers.items()
}

# Numbers of YAML 1.2's core schema; some, such as 1e3 and 0o17, are strings in YAML 1.1.
_CORE_NUMBER: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|[-+]?\.(?:inf|Inf|INF)"
)

_FOLD_WIDTH: Final = 80

# Narrower than YAML's own rule: what every reader takes as one plain scalar.
_START: Final = r"(?!---|\.\.\.)(?:[^\s,\[\]{}#&*!|>'\"%@`:?-]|-(?=[^\s,\[\]{}]))"
_PLAIN: Final = re.compile(_START + r"(?:[^\s:#]|:(?=\S)|(?<=\S)#|\ ++(?=[^#]))*+")
_FLOW_PLAIN: Final = re.compile(
    _START + r"(?:[^\s:#?,\[\]{}]|:(?=[^\s,\[\]{}])|(?<=\S)#|\ ++(?=[^#]))*+"
)

# Not a tab, nor what YAML calls printable; NEL, LS and PS are line breaks in YAML 1.1.
_SPECIAL: Final = "\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff"
_NEEDS_ESCAPE: Final = re.compile(f"[{_SPECIAL}]")
_NO_BLOCK: Final = re.compile(f"[{_SPECIAL}]".replace("\x0a", "\x0b"))
_ESCAPED: Final = re.compile(f'[{_SPECIAL}\t\\\\"]')
_SHORT_ESCAPES: Final = {
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0",
}  # fmt: skip


def plain_tag(text: str) -> str:
    """The tag that a plain scalar with this text gets."""
    for tag, pattern in _PATTERNS.get(text[:1], ()):
        if pattern.match(text):
            return tag
    return STR


def is_plain_text(text: str, *, flow: bool) -> bool:
    """Whether ``text``, written plain, is one scalar with just this text, whatever its meaning."""
    pattern = _FLOW_PLAIN if flow else _PLAIN
    return pattern.fullmatch(text) is not None and not _NEEDS_ESCAPE.search(text)


def is_plain_string(text: str, *, flow: bool) -> bool:
    """Whether ``text``, written plain, is the string ``text``."""
    return (
        is_plain_text(text, flow=flow)
        and plain_tag(text) == STR
        and not _CORE_NUMBER.fullmatch(text)
    )


def quoted(text: str, quotes: Quotes) -> str:
    """``text`` as a quoted scalar on one line; in single quotes only where they can hold it."""
    if quotes == "'" and not _NEEDS_ESCAPE.search(text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + _ESCAPED.sub(lambda match: _escape(match[0]), text) + '"'


def _escape(char: str) -> str:
    code = ord(char)
    return _SHORT_ESCAPES.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def number(value: float | None) -> str:
    """An int, float, bool or None as it is written plain."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and not -INTEGER_LIMIT < value < INTEGER_LIMIT:
        return hex(value)
    text = repr(value)
    # YAML 1.1 knows exponents only behind a dot: 1e+20 would be a string.
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return text


class BlockText(NamedTuple):
    """A string as a block scalar."""

    chomping: str
    """``-``, ``+`` or nothing: what becomes of the line breaks at the end."""
    lines: list[str]
    """The lines, not indented."""

    @property
    def needs_indent(self) -> bool:
        """Whether the header must say how far the lines are indented."""
        first = next((line for line in self.lines if line), "")
        return first[:1] in (" ", "\t") or self.lines[0][:1] == " "


def literal(text: str) -> BlockText | None:
    """``text`` in the style of ``|``; None where that cannot hold it exactly."""
    body = text.rstrip("\n")
    if "\n" not in text or not body.strip() or _NO_BLOCK.search(text):
        return None
    breaks = len(text) - len(body)
    blank = [""] * (breaks - 1)
    return BlockText(("-", "", "+")[min(breaks, 2)], body.split("\n") + blank)


def folded(text: str, old: Sequence[str]) -> BlockText | None:
    """``text`` in the style of ``>``; None where that cannot hold it exactly.

    ``old`` are the lines of the scalar that it replaces: they stay where they can, and the longest
    of them says where new ones are broken, if it is longer than usual.
    """
    like = literal(text if "\n" in text else text + "\n")
    if like is None or any(line[:1] in (" ", "\t") for line in like.lines):
        return None
    body = text.rstrip("\n")
    paragraphs = [[*lines] for full, lines in groupby(old, key=bool) if full] or [[]]
    known = {" ".join(lines): lines for lines in paragraphs}
    width = max([_FOLD_WIDTH, *map(len, old)])
    lines: list[str] = []
    for index, paragraph in enumerate(body.split("\n")):
        model = known.get(paragraph) or paragraphs[min(index, len(paragraphs) - 1)]
        lines += [""] * (index > 0) + _refolded(paragraph, model, width)
    lines += [""] * (len(text) - len(body) - 1)
    return BlockText(like.chomping if "\n" in text else "-", lines)


def _refolded(text: str, old: Sequence[str], width: int) -> list[str]:
    """A paragraph's lines, the first and the last ones as they were."""
    head: list[str] = []
    tail: list[str] = []
    for line in old:
        rest = text.removeprefix(f"{line} ")
        if rest == text or not rest.strip(" ") or rest.startswith(" "):
            break
        head.append(line)
        text = rest
    for line in reversed(old[len(head) :]):
        rest = text.removesuffix(f" {line}")
        if rest in (text, ""):
            break
        tail.insert(0, line)
        text = rest
    return head + _wrapped(text, width) + tail


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in re.split(r"(?<=\S) (?=\S)", text) if text else ():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines
