"""The keywords that objstore adds to JSON Schema (``schemas/vocabulary.json``), checked.

JSON Schema passes over keywords that it does not know; a misspelt ``"backing": "folder"`` would
silently become a file. So ours are looked at when a schema arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, cast

from ._dialect import Document, subschemas
from .errors import SchemaError
from .pointer import join
from .values import MAX_DEPTH, is_object, show

# One name; or of a folder, and behind it what the names of files in it end with.
_FILE: Final = re.compile(r"(?!\.{1,2}(/|$))[^/\x00]+(/\*\.[^/\x00]+)?")

_CHECKS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "backing": ('"directory" or "file"', lambda value: value in ("directory", "file")),
    "file": (
        'the name of a file or folder, "*.yaml" or "team/*.yaml"',
        lambda value: isinstance(value, str) and _FILE.fullmatch(value) is not None,
    ),
    "mergeKey": ("a key", lambda value: isinstance(value, str)),
    "autoid": ("true or false", lambda value: isinstance(value, bool)),
}


_MAX_DEPTH: Final = 2 * MAX_DEPTH
"""A keyword and a name for each level of contents."""


def check_vocabulary(schema: dict[str, Any], source: str) -> None:
    """Raise SchemaError where a keyword of ours has a value that means nothing.

    Wherever schemas are: in the keywords that hold some, and where a reference leads. Also where
    they nest too deep, as one that contains itself.
    """
    document = Document(schema)
    todo: list[tuple[str, Any]] = [("", schema)]
    seen: set[str] = set()
    while todo:
        pointer, node = todo.pop()
        if not is_object(node) or pointer in seen:
            continue
        found = cast("dict[str, Any]", node)
        seen.add(pointer)
        if pointer.count("/") > _MAX_DEPTH:
            raise SchemaError(f"{source}: expected at most {_MAX_DEPTH} levels, found more")
        for keyword in filter(found.__contains__, _CHECKS):
            check_keyword(keyword, found[keyword], f"{source} at {join(pointer, keyword)}")
        for keyword in found:
            todo += subschemas(found, keyword, pointer)
        reference = found.get("$ref")
        target = document.target(reference) if isinstance(reference, str) else None
        if target is not None:
            todo.append((target, document.at(target)))


def check_keyword(keyword: str, value: object, where: str) -> None:
    """Raise SchemaError where this is no value for a keyword of ours."""
    expected, fits = _CHECKS[keyword]
    if not fits(value):
        raise SchemaError(f"{where}: expected {expected}, found {show(value)}")
