"""Python values to contents: what an assignment stores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, cast

from ._shapes import ANY, Shape
from ._words import either
from .errors import Failure, SchemaError, ValidationError
from .pointer import build
from .values import INTEGER_LIMIT, JSON, MAX_DEPTH, show


def encode(value: object, shape: Shape, *, source: str, path: Sequence[str | int] = ()) -> JSON:
    """The contents that ``value`` is stored as at a place of this shape, sharing nothing with it.

    ``path`` leads from the file's root to the place. Raises ValidationError with every part that
    JSON cannot hold; whether the rest fits the schema is for validation to say.
    """
    encoder = _Encoder(source, path)
    key = path[-1] if path else ""
    if isinstance(key, str) and not key.isascii():
        encoder.check_text(key)  # which it is to get
    contents = encoder.encode(value, shape)
    if encoder.failures:
        raise ValidationError(encoder.failures)
    return contents


def is_plain(value: Any) -> bool:
    """Whether a value is a scalar that is stored as it is wherever it stands, as most are."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        # No file could hold longer ones, as Python writes and reads none.
        return bool(-INTEGER_LIMIT < value < INTEGER_LIMIT)
    if kind is float:
        return math.isfinite(value)
    return kind is bool or value is None


def encode_default(source: str, value: object, shape: Shape) -> JSON:
    """The contents of a default. Raises SchemaError where they are none."""
    try:
        return encode(value, shape, source=source)
    except ValidationError as error:
        raise SchemaError(f"the default of {error}") from error


class _Encoder:
    def __init__(self, source: str, path: Sequence[str | int]) -> None:
        self.failures: list[Failure] = []
        self._source = source
        self._path = list(path)
        self._is_too_deep = False
        """Whether containers nest too deep somewhere: no others are looked into, as one that
        contains itself twice has more of them than can be counted."""

    def encode(self, value: Any, shape: Shape) -> JSON:
        """What is stored of a value; what JSON cannot hold is noted in ``failures``."""
        if is_plain(value):
            return value  # type: ignore[no-any-return]
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is dict:
            return self._object(value, shape)
        if kind is list:
            return self._array(value, shape)
        if kind is str:
            return self.check_text(value)
        if kind is int:
            return self._refuse("an integer of at most 4300 digits", show(value))
        if kind is float:
            return self._refuse("a finite number", repr(value))
        return self._other(value, shape)

    def _other(self, value: Any, shape: Shape) -> JSON:
        if issubclass(type(value), type):  # which has what its objects have
            return self._refuse("a JSON value", "a class")
        if hasattr(value, "_snapshot") and hasattr(value, "_info"):
            return self.encode(value._assigned(), shape)  # an Object: its contents
        for codec in shape.codecs:
            if type(value) in codec.types:
                return codec.encode(value)
        if isinstance(value, Mapping):
            return self._object(cast("Mapping[Any, Any]", value), shape)
        if _is_array(value):
            return self._array(value, shape)
        if hasattr(value, "model_dump"):
            # By alias, as its schema has them.
            return self.encode(value.model_dump(mode="json", by_alias=True), shape)
        if isinstance(value, Enum):
            return self._refuse(_wanted(shape), f"{type(value).__name__}.{value.name}")
        for plain in (str, int, float):
            if isinstance(value, plain):  # a subclass is kept as what it extends
                return self.encode(plain(value), shape)
        return self._refuse(_wanted(shape), _article(type(value).__name__))

    def _object(self, value: Mapping[Any, Any], shape: Shape) -> JSON:
        if not self._room():
            return None
        info = shape.info_for(value.keys())
        contents: dict[str, Any] = {}
        for name, item in value.items():
            if not isinstance(name, str):
                self._refuse("keys that are strings", f"the key {name!r}")
                continue
            key = name if type(name) is str else str.__str__(name)
            self._path.append(key)
            self.check_text(key)
            inner = info.shape_for(key) if info is not None else None
            contents[key] = self.encode(item, inner or ANY)
            self._path.pop()
        return contents

    def _array(self, value: Sequence[Any], shape: Shape) -> JSON:
        if not self._room():
            return None
        info = shape.class_for([])._info if shape.classes else None
        contents: list[Any] = []
        for index, item in enumerate(value):
            self._path.append(index)
            contents.append(self.encode(item, info.shape_at(index) if info is not None else ANY))
            self._path.pop()
        return contents

    def _room(self) -> bool:
        if len(self._path) < MAX_DEPTH and not self._is_too_deep:
            return True
        if not self._is_too_deep:
            self._refuse(f"at most {MAX_DEPTH} levels of containers", "more")
            self._is_too_deep = True
        return False

    def check_text(self, value: str) -> JSON:
        """The text; noted in ``failures`` where no file can hold it."""
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return self._refuse("text without lone surrogates", show(value))
        return value

    def _refuse(self, expected: str, found: str) -> JSON:
        self.failures.append(Failure(self._source, build(self._path), expected, found, "type"))
        return None


def _wanted(shape: Shape) -> str:
    """What a value might be that JSON has no form for: one of the types that have."""
    return either(codec.name for codec in shape.codecs) if shape.codecs else "a JSON value"


def _is_array(value: object) -> bool:
    """Whether it is a sequence of values; text and bytes are one each."""
    no_arrays = (str, bytes, bytearray, memoryview)
    return isinstance(value, Sequence) and not isinstance(value, no_arrays)


def _article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
