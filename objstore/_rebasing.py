"""References of a schema document as pointers from its root, whatever they are written against.

A fragment counts from the nearest ``$id`` (2020-12 Core, section 8.2), and ``$anchor`` names a
place. Classes are made of parts of a document, and documents become parts of others, where
both would mean something else; a pointer is easily led to where the document stands now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, unquote, urldefrag, urljoin

from ._dialect import SCHEMA_ARRAYS, SCHEMA_OBJECTS, subschemas
from .values import JSON

_DYNAMIC: Final = "$dynamicRef"


def quoted(pointer: str) -> str:
    """A pointer as a URI fragment (RFC 6901, section 6)."""
    return quote(pointer, safe="/~!$&'()*+,;=:@")


def rebased(schema: dict[str, Any]) -> dict[str, Any]:
    """The document with its references from its root on; itself where all are so already.

    References that lead out of it stay, and so does a document with ``$dynamicRef``, which depends
    on where its parts begin.
    """
    places = list(_places("", schema, ""))
    refers = any(not is_plain(str(place.schema.get("$ref", "#"))) for place in places)
    begins = any("$id" in place.schema for place in places if place.pointer)
    dynamic = any(_DYNAMIC in place.schema for place in places)
    if not (refers or begins) or dynamic:
        return schema
    return cast("dict[str, Any]", _Rebasing(places).run(schema, ""))


class _Place(NamedTuple):
    pointer: str
    schema: dict[str, Any]
    base: str
    """What its references are written against."""


def _places(pointer: str, schema: JSON, base: str) -> Iterator[_Place]:
    if isinstance(schema, dict):
        base = _absolute(base, schema.get("$id"))[0]
        yield _Place(pointer, schema, base)
        for keyword in schema:
            for below, inner in subschemas(schema, keyword, pointer):
                yield from _places(below, inner, base)


def is_plain(reference: str) -> bool:
    """Whether a reference is a pointer from the root, as far as it can be told from itself."""
    return reference == "#" or reference.startswith("#/")


def _absolute(base: str, reference: object) -> tuple[str, str]:
    """The document that a reference leads to, and the fragment within it."""
    if not isinstance(reference, str):
        return base, ""
    if reference.startswith("#"):  # urljoin knows nothing of bases such as urn:
        return base, reference[1:]
    found = urldefrag(urljoin(base, reference))
    return found.url, found.fragment


class _Rebasing:
    def __init__(self, places: list[_Place]) -> None:
        self._bases: Final = {place.pointer: place.base for place in places}
        self._documents: Final[dict[str, str]] = {}
        self._anchors: Final[dict[tuple[str, str], str]] = {}
        for pointer, schema, base in places:
            self._documents.setdefault(base, pointer)
            for keyword in ("$anchor", "$dynamicAnchor"):
                if keyword in schema:
                    self._anchors[base, schema[keyword]] = pointer

    def run(self, schema: JSON, pointer: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        made: dict[str, Any] = {}
        for keyword, value in schema.items():
            if keyword == "$ref":
                made[keyword] = self._reference(self._bases[pointer], value)
            elif keyword != "$anchor" and (keyword != "$id" or not pointer):
                inner = [self.run(one, at) for at, one in subschemas(schema, keyword, pointer)]
                made[keyword] = _like(keyword, value, inner) if inner else value
        return made

    def _reference(self, base: str, reference: JSON) -> JSON:
        document, fragment = _absolute(base, reference)
        start = self._documents.get(document)
        fragment = unquote(fragment)
        if start is None:
            return reference
        if fragment and not fragment.startswith("/"):
            anchor = self._anchors.get((document, fragment))
            return reference if anchor is None else f"#{quoted(anchor)}"
        return f"#{quoted(start + fragment)}"


def _like(keyword: str, value: JSON, inner: list[Any]) -> Any:
    """A keyword's value with other schemas in it."""
    if keyword in SCHEMA_OBJECTS:
        return dict(zip(cast("dict[str, Any]", value), inner, strict=True))
    return inner if keyword in SCHEMA_ARRAYS else inner[0]
