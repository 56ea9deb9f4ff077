"""YAML's nodes to contents.

PyYAML's own constructors accept what is no JSON value, let the last of two equal keys win, and
expand whatever aliases ask for; so contents are made here, of the nodes that PyYAML composes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, NamedTuple

import yaml

from ..values import JSON, MAX_DEPTH
from ._yaml_load import Loader, loading, refusal, too_deep
from ._yaml_scalars import BOOL, FLOAT, INT, MAP, MERGE, NULL, SEQ, STR, TIMESTAMP, VALUE

_KEY_TAGS: Final = frozenset((STR, INT, FLOAT, BOOL, NULL, TIMESTAMP, VALUE))

# What aliases may add to a file: _ALIASED_ALWAYS nodes in any case, _ALIASED_RATIO times the nodes
# written out, but never more than _ALIASED_AT_MOST. Long strings count as several nodes.
_ALIASED_ALWAYS: Final = 10_000
_ALIASED_RATIO: Final = 100
_ALIASED_AT_MOST: Final = 1_000_000
_CHARACTERS_PER_NODE: Final = 100


def read(text: str, source: str) -> JSON:
    """The contents of a YAML document; ``{}`` for one that is empty.

    Raises FormatError with line and column.
    """
    with loading(text, source) as loader:
        root = loader.get_single_node()
        if root is None or _is_empty(root):
            return {}
        extents = _Extents()
        if "&" in text and "*" in text:
            extents.measure(root)
        return _Contents(loader, extents).value(root, 0)


def _is_empty(root: yaml.Node) -> bool:
    return root.tag == NULL and root.value == "" and root.start_mark.index == root.end_mark.index


class _Extent(NamedTuple):
    size: int
    """How many nodes, aliases expanded."""
    height: int
    """How many levels of collections."""


class _Extents(dict[int, _Extent | None]):
    """The extents of nodes by their ``id``, for files with aliases; None while being measured."""

    def __init__(self) -> None:
        super().__init__()
        self._written = 0

    def measure(self, node: yaml.Node) -> _Extent:
        """Raises YAMLError for aliases that expand to too much, or to what they are part of."""
        if id(node) in self:
            extent = self[id(node)]
            if extent is None:
                raise refusal("an alias within what it stands for", node)
            return extent
        self[id(node)] = None
        extent = self[id(node)] = self._measured(node)
        added = extent.size - self._written
        if added > min(_ALIASED_AT_MOST, max(_ALIASED_ALWAYS, _ALIASED_RATIO * self._written)):
            raise refusal("aliases that expand to too much", node)
        return extent

    def _measured(self, node: yaml.Node) -> _Extent:
        if isinstance(node, yaml.ScalarNode):
            size = 1 + len(node.value) // _CHARACTERS_PER_NODE
            self._written += size
            return _Extent(size, 0)
        self._written += 1
        nodes = chain.from_iterable(node.value) if type(node) is yaml.MappingNode else node.value
        size, height = 1, 0
        for child in nodes:
            extent = self.measure(child)
            size, height = size + extent.size, max(height, extent.height)
        return _Extent(size, 1 + height)


class _Contents:
    def __init__(self, loader: Loader, extents: _Extents) -> None:
        self._extents = extents
        self._made: dict[int, JSON] = {}
        # PyYAML's own, so that a number reads here as it does there.
        self._makers: dict[str, Callable[[Any], Any]] = {
            INT: loader.construct_yaml_int,
            FLOAT: loader.construct_yaml_float,
            BOOL: loader.construct_yaml_bool,
            NULL: loader.construct_yaml_null,
            STR: _as_written,
            TIMESTAMP: _as_written,
            MERGE: _as_written,
            VALUE: _as_written,
        }

    def value(self, node: yaml.Node, depth: int) -> JSON:
        """The contents of a node that is within ``depth`` collections."""
        if type(node) is yaml.ScalarNode:
            return node.value if node.tag is STR else self._scalar(node)
        if depth >= MAX_DEPTH:
            raise too_deep(node)
        if self._extents:
            return self._aliased(node, depth)
        return self._collection(node)(node, depth + 1)

    def _scalar(self, node: yaml.ScalarNode) -> JSON:
        make = self._makers.get(node.tag)
        if make is None:
            raise _not_json(node)
        try:
            value: JSON = make(node)
        except (ValueError, LookupError) as error:
            raise refusal(f"not {_called(node.tag)}: {error}", node) from error
        if type(value) is float and not math.isfinite(value):
            raise refusal("JSON has neither infinity nor NaN", node)
        return value

    def _aliased(self, node: yaml.Node, depth: int) -> JSON:
        """A collection in a file with aliases: made once, however often it stands there."""
        made = self._made.get(id(node))
        if made is None:
            made = self._made[id(node)] = self._collection(node)(node, depth + 1)
        elif (extent := self._extents[id(node)]) and depth + extent.height > MAX_DEPTH:
            raise too_deep(node)
        return made

    def _collection(self, node: yaml.Node) -> Callable[[Any, int], JSON]:
        if type(node) is yaml.MappingNode and node.tag == MAP:
            return self._mapping
        if type(node) is yaml.SequenceNode and node.tag == SEQ:
            return self._sequence
        raise _not_json(node)

    def _sequence(self, node: yaml.SequenceNode, depth: int) -> list[Any]:
        return [self.value(child, depth) for child in node.value]

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merge: yaml.Node | None = None
        for key_node, value_node in node.value:
            if key_node.tag is not STR or type(key_node) is not yaml.ScalarNode:
                if key_node.tag == MERGE and merge is None:
                    merge = value_node
                    continue
                self._check_key(key_node)
            if key_node.value in result:
                raise refusal(f'the key "{key_node.value}" stands here twice', key_node)
            result[key_node.value] = self.value(value_node, depth)
        return result if merge is None else self._merged(merge, depth) | result

    def _check_key(self, node: yaml.Node) -> None:
        if type(node) is not yaml.ScalarNode:
            raise refusal("a key that is no scalar", node)
        if node.tag == MERGE:
            raise refusal('the key "<<" stands here twice', node)
        if node.tag not in _KEY_TAGS:
            raise _not_json(node)

    def _merged(self, source: yaml.Node, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        # Of several mappings the earlier ones win (https://yaml.org/type/merge.html).
        for node in reversed(source.value if type(source) is yaml.SequenceNode else [source]):
            if type(node) is not yaml.MappingNode:
                raise refusal("only mappings can be merged", node)
            part = self.value(node, depth)
            result.update(part if isinstance(part, dict) else {})
        return result


def _as_written(node: yaml.ScalarNode) -> str:
    text: str = node.value
    return text


def _called(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _not_json(node: yaml.Node) -> yaml.MarkedYAMLError:
    return refusal(f"a {_called(node.tag)} is no JSON value", node)
