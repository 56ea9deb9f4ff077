"""Where in a value the engine's errors are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from jsonschema_rs import ValidationError

from .values import JSON, same

Path: TypeAlias = tuple[str | int, ...]


class Places:
    """Reads the engine's paths into one value.

    The engine gives every key that reads as a number as that number: ``"1"``, ``"01"`` and ``"+1"``
    are all 1, and only the value can tell which of them it has.
    """

    def __init__(self, value: JSON) -> None:
        self._value = value
        self._numbered: dict[int, Mapping[str, Sequence[str]]] = {}

    def of(self, error: ValidationError) -> Path:
        """The path of what an error is about."""
        ways = list(self._ways(self._value, error.instance_path))
        if len(ways) == 1:
            return ways[0][0]
        return next((path for path, found in ways if same(found, error.instance)), ways[0][0])

    def _ways(self, node: Any, steps: Sequence[str | int]) -> Iterator[tuple[Path, JSON]]:
        """Every place that the steps may lead to, with what stands there."""
        if not steps:
            yield (), node
            return
        for key in self._keys(node, steps[0]):
            for path, found in self._ways(node[key], steps[1:]):
                yield (key, *path), found

    def _keys(self, node: Any, step: str | int) -> Sequence[str | int]:
        if not isinstance(step, int) or not isinstance(node, dict):
            return (step,)
        keys = cast("dict[str, Any]", node)
        numbered = self._numbered.get(id(keys))
        if numbered is None:
            numbered = self._numbered[id(keys)] = _by_number(keys)
        return numbered[str(step)]


def _by_number(keys: dict[str, Any]) -> Mapping[str, Sequence[str]]:
    """The keys that read as numbers, by the usual form of the number."""
    found: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        digits = key.removeprefix("+")
        if digits.isascii() and digits.isdecimal():
            found[digits.lstrip("0") or "0"].append(key)
    return found
