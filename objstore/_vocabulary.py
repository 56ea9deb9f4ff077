"""The keywords that objstore adds to JSON Schema (``schemas/vocabulary.json``), checked.

JSON Schema passes over keywords that it does not know; a misspelt ``"backing": "folder"`` would
silently become a file. So ours are looked at when a schema arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from .errors import SchemaError
from .pointer import join
from .values import show

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

# Keywords whose value maps names to subschemas, and those whose value is no schema at all.
_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_DATA: Final = frozenset({"const", "enum", "default", "examples"})


def check_vocabulary(schema: object, source: str) -> None:
    """Raise SchemaError where a keyword of ours has a value that means nothing."""
    for pointer, found in _subschemas(schema, ""):
        for keyword in filter(found.__contains__, _CHECKS):
            check_keyword(keyword, found[keyword], f"{source} at {join(pointer, keyword)}")


def check_keyword(keyword: str, value: object, where: str) -> None:
    """Raise SchemaError where this is no value for a keyword of ours."""
    expected, fits = _CHECKS[keyword]
    if not fits(value):
        raise SchemaError(f"{where}: expected {expected}, found {show(value)}")


def _subschemas(schema: object, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for index, item in enumerate(cast("list[Any]", schema)):
            yield from _subschemas(item, join(pointer, index))
    elif isinstance(schema, dict):
        found = cast("dict[str, Any]", schema)
        yield pointer, found
        for keyword, value in found.items():
            below = join(pointer, keyword)
            if keyword in _MAPS and isinstance(value, dict):
                for name, item in cast("dict[str, Any]", value).items():
                    yield from _subschemas(item, join(below, name))
            elif keyword not in _DATA:
                yield from _subschemas(value, below)
