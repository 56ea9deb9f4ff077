"""The second way to edit YAML: apply the differences to ruamel.yaml's tree and write it out.

It keeps comments and most of the style, but renders all of the file anew, and reads YAML 1.2 where
PyYAML reads 1.1; so the caller compares what comes of it. Needs the extra ``yaml``.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from .._align import align
from ..values import JSON, is_array, is_object, same
from ._yaml_scalars import is_plain_string, literal
from ._yaml_write import Style

_STUMBLES: Final = (
    YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def rewrite(text: str, style: Style, old: JSON, new: JSON) -> Iterator[str]:
    """The text written anew with the contents ``new``; nothing where that cannot be done.

    Raises no errors: whatever ruamel.yaml stumbles on is for another way to edit.
    """
    yaml: Any = YAML()
    yaml.preserve_quotes = True
    yaml.width = sys.maxsize
    yaml.indent(mapping=style.step, sequence=style.offset + 2, offset=style.offset)
    stream = io.StringIO()
    try:
        with warnings.catch_warnings(action="ignore"):  # about floats that YAML 1.1 reads as text
            tree = yaml.load(text)
            if _apply(tree, old, new):
                yaml.dump(tree, stream)
                yield stream.getvalue()
    except _STUMBLES:
        return


def _apply(tree: Any, old: Any, new: Any) -> bool:
    """Make a collection of the tree hold ``new``; false where it must be replaced."""
    if isinstance(tree, CommentedMap) and is_object(old) and is_object(new):
        _apply_mapping(tree, old, new)
    elif isinstance(tree, CommentedSeq) and is_array(old) and is_array(new):
        _apply_sequence(tree, old, new)
    else:
        return False
    return True


def _apply_mapping(tree: Any, old: dict[str, Any], new: dict[str, Any]) -> None:
    names = {str(name): name for name in tree}
    for key in [key for key in old if key not in new]:
        del tree[names[key]]
    for key, value in new.items():
        name = names.get(key, key)
        if key not in old or not (same(old[key], value) or _apply(tree[name], old[key], value)):
            tree[name] = _prepared(value)


def _apply_sequence(tree: Any, old: list[Any], new: list[Any]) -> None:
    partners = align(old, new)
    for index in reversed(range(len(old))):
        if index not in partners:
            del tree[index]
    for index, (partner, value) in enumerate(zip(partners, new, strict=True)):
        if partner is None:
            tree.insert(index, _prepared(value))
        elif not (same(old[partner], value) or _apply(tree[index], old[partner], value)):
            tree[index] = _prepared(value)


def _prepared(value: JSON) -> Any:
    """The value with strings quoted where YAML 1.1 would read something else."""
    if is_object(value):
        return {_prepared(key): _prepared(part) for key, part in value.items()}
    if is_array(value):
        return [_prepared(part) for part in value]
    if not isinstance(value, str) or is_plain_string(value, flow=True):
        return value
    return LiteralScalarString(value) if literal(value) else DoubleQuotedScalarString(value)
