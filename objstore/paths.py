"""Kinded paths: addresses that show what they lead through, ``users[0].name``, ``rows{3}``.

They say what a JSON Pointer (RFC 6901) says, and are accepted wherever one is. The notation is that
of seed 001; its grammar is in docs/formats/patch.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from . import pointer as pointers
from .errors import PathError
from .values import JSON, MISSING, Missing, is_array, is_object, show


class Step(NamedTuple):
    """One step of a path."""

    kind: Literal["key", "index", "sparse"]
    """``.name`` of an object, ``[0]`` of an array, ``{3}`` of an object whose keys are numbers."""
    token: str
    """The key or the index, as in a JSON Pointer before escaping."""


def address(path: str) -> str:
    """The JSON Pointer of an address as a Store's calls take it: pointer, kinded path or pathname.

    A pathname is a pointer whose first slash is missing, ``people/ada``; slashes at its end count
    for nothing. Text is one, and no kinded path, that has a slash in front of every quote, or none
    of the characters that make a kinded path more than one word. "/" is the root, as no file has an
    empty name. Raises PathError, also for a "~" that escapes nothing, and TypeError for what is no
    text.
    """
    if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a path is text, not {show(path)}")
    if is_kinded(path):
        return to_pointer(path)
    if "~" in path and (malformed := _NO_ESCAPE.search(path)) is not None:
        reason = 'expected "0" or "1" behind "~", which itself is written "~0"'
        raise PathError(reason, path, malformed.end() + 1)
    rest = path.lstrip("/") if path.startswith("/") else path.rstrip("/")
    return f"/{rest}" if rest else ""


def is_kinded(path: str) -> bool:
    """Whether an address is a kinded path, and neither a pointer nor a pathname."""
    return _PATHNAME.match(path) is None


def to_pointer(path: str) -> str:
    """The JSON Pointer of a kinded path; a pointer (empty, or starting with "/") is one already.

    Raises PathError.
    """
    if not path or path.startswith("/"):
        return path
    return pointers.build(step.token for step in parse(path))


def to_kinded(pointer: str, value: JSON | Missing = MISSING) -> str:
    """The kinded path of a JSON Pointer.

    ``value`` is what the pointer leads into and tells the kinds. Where it ends, or without it, a
    number is taken for an array's index. Raises ValueError for text that is no pointer.
    """
    steps: list[Step] = []
    node: Any = value
    for token in pointers.split(pointer):
        steps.append(Step(_kind(node, token), token))
        node = below(node, token)
    return build(steps)


def parse(path: str) -> list[Step]:
    """The steps of a kinded path. Raises PathError."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        step, at = _step(path, at)
        steps.append(step)
    return steps


def build(steps: Iterable[Step]) -> str:
    """The kinded path of these steps; keys are quoted where they need it."""
    path = ""
    for kind, token in steps:
        if kind == "index":
            path += f"[{token}]"
        elif kind == "sparse":
            path += f"{{{token}}}"
        else:
            path += ("." if path else "") + _name(token)
    return path


# --- kinds ----------------------------------------------------------------------------------------

_NUMBER: Final = re.compile("0|[1-9][0-9]*")


def _kind(node: Any, token: str) -> Literal["key", "index", "sparse"]:
    if not _NUMBER.fullmatch(token):
        return "key"
    if is_object(node):
        return "sparse" if all(map(_NUMBER.fullmatch, node)) else "key"
    return "index"


def below(node: Any, token: str) -> JSON | Missing:
    """What a JSON Pointer's token leads to in a value; MISSING where it leads nowhere."""
    found: JSON | Missing = MISSING
    if is_object(node):
        found = node.get(token, MISSING)
    elif is_array(node) and _NUMBER.fullmatch(token) and len(token) < 19 and int(token) < len(node):
        found = node[int(token)]
    return found


# --- text -----------------------------------------------------------------------------------------

_BARE: Final = re.compile(r"""[^\s\x00-\x1f\x7f.\[\]{}()"'*/\\]+""")
"""Keys that stand without quotes. Wildcards and look-ups (``*``, ``(``) name no single place."""

_PATHNAME: Final = re.compile(r"""[^"'/]*/|[^.\[\]{}()"'*\\]*\Z""")
_NO_ESCAPE: Final = re.compile("~(?![01])")
"""In a pointer and a pathname (RFC 6901, section 3)."""
_PIECE: Final = re.compile(r"""[^\\"']+|["']|\\(?:(["'\\/bfnrt])|u([0-9a-fA-F]{4}))""")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_TO_ESCAPE: Final = re.compile(r'["\\\x00-\x1f\x7f]')
_BRACKETS: Final[dict[str, tuple[str, Literal["index", "sparse"]]]] = {
    "[": ("]", "index"),
    "{": ("}", "sparse"),
}


def _name(key: str) -> str:
    if _BARE.fullmatch(key) and not _NUMBER.fullmatch(key):
        return key
    return '"' + _TO_ESCAPE.sub(_escape, key) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return "\\" + character if character in '"\\' else f"\\u{ord(character):04x}"


def _step(path: str, at: int) -> tuple[Step, int]:
    """The step at ``at``, and where it ends."""
    if path[at] in _BRACKETS:
        return _number(path, at)
    if at:
        if path[at] != ".":
            reason = 'expected ".", "[" or "{"; keys that are no plain words are put in quotes'
            raise PathError(reason, path, at + 1)
        at += 1
    if path[at : at + 1] in ('"', "'"):
        return _quoted(path, at)
    match = _BARE.match(path, at)
    if match is None:
        raise PathError("expected a key, in quotes if need be", path, at + 1)
    return Step("key", match[0]), match.end()


def _number(path: str, at: int) -> tuple[Step, int]:
    closing, kind = _BRACKETS[path[at]]
    match = _NUMBER.match(path, at + 1)
    end = match.end() if match else at + 1
    if match is None or not path.startswith(closing, end):
        reason = f'expected a number without leading zeros and "{closing}"'
        raise PathError(reason, path, end + 1)
    return Step(kind, match[0]), end + 1


def _quoted(path: str, start: int) -> tuple[Step, int]:
    pieces: list[str] = []
    at = start + 1
    while not path.startswith(path[start], at):
        if at == len(path):
            raise PathError("the quote is not closed", path, start + 1)
        match = _PIECE.match(path, at)
        if match is None:
            raise PathError("no escape of JSON strings", path, at + 1)
        pieces.append(_unescaped(match))
        at = match.end()
    # Two escapes may make one character, as in JSON (RFC 8259, section 7).
    key = "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return Step("key", key), at + 1


def _unescaped(piece: re.Match[str]) -> str:
    if piece[1]:
        return _ESCAPES.get(piece[1], piece[1])
    return chr(int(piece[2], 16)) if piece[2] else piece[0]
