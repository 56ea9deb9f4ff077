"""What is no JSON, found where the engine gave up on a value."""

from __future__ import annotations

from typing import Any, cast

from .errors import Failure
from .pointer import build
from .values import show


def foreign_parts(value: object, source: str) -> list[Failure]:
    """Every part of ``value`` that is not JSON in UTF-8 (RFC 8259, section 8.1)."""
    failures: list[Failure] = []
    todo: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while todo:
        path, node = todo.pop()
        children: list[tuple[str | int, object]] = []
        if isinstance(node, dict):
            members = cast("dict[Any, object]", node)
            for key in members:
                if not _is_text(key):
                    expected = "keys of text that UTF-8 can hold"
                    failures.append(Failure(source, build(path), expected, show(key)))
            children += [(key, child) for key, child in members.items() if _is_text(key)]
        elif isinstance(node, list):
            children += enumerate(cast("list[object]", node))
        elif not _is_scalar(node):
            expected = "text that UTF-8 can hold" if isinstance(node, str) else "a JSON value"
            failures.append(Failure(source, build(path), expected, show(node)))
        todo += [((*path, step), child) for step, child in reversed(children)]
    return failures


def _is_scalar(node: object) -> bool:
    return node is None or isinstance(node, bool | int | float) or _is_text(node)


def _is_text(node: object) -> bool:
    if not isinstance(node, str):
        return False
    try:
        node.encode()
    except UnicodeEncodeError:
        return False
    return True
