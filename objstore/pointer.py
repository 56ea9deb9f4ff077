"""JSON Pointers (RFC 6901): the addresses of a store, ``/people/ada/emails/0``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator


def escape(token: str) -> str:
    """One reference token as it stands in a pointer (RFC 6901, section 3)."""
    if "~" in token or "/" in token:
        return token.replace("~", "~0").replace("/", "~1")
    return token


def unescape(token: str) -> str:
    """The inverse of ``escape`` (RFC 6901, section 4: ``~1`` first)."""
    return token.replace("~1", "/").replace("~0", "~") if "~" in token else token


def join(base: str, *tokens: str | int) -> str:
    """``base`` with tokens added below it."""
    for token in tokens:
        base = f"{base}/{escape(str(token))}"
    return base


def split(pointer: str) -> list[str]:
    """The tokens of a pointer. Raises ValueError for text that is none."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError(f'a JSON Pointer is empty or starts with "/", not {pointer!r}')
    return [unescape(token) for token in pointer[1:].split("/")]


def index_of(token: str) -> int | None:
    """The index that a token is for an array (RFC 6901, section 4: ASCII digits, no leading zeros);
    None for none."""
    if not (token.isascii() and token.isdecimal()) or (token[0] == "0" and token != "0"):
        return None
    # Python refuses to read thousands of digits; 18 are more than any array has elements.
    return int(token) if len(token) < 19 else sys.maxsize


def aboves(pointer: str) -> Iterator[str]:
    """The pointers of all that a place lies in, the nearest first, up to the root."""
    while pointer:
        pointer = pointer.rpartition("/")[0]
        yield pointer


def build(tokens: Iterable[str | int]) -> str:
    """The pointer with these tokens."""
    return join("", *tokens)
