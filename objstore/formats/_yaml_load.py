"""PyYAML's loaders, guarded: bytes to text, text to nodes and tokens, its errors to ours."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, cast

import yaml

from ..errors import FormatError
from ..values import MAX_DEPTH
from ._text import fault_at
from ._yaml_scalars import MAP, SEQ, STR, plain_tag

_MARKS: Final = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_CONTROL: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Text(NamedTuple):
    """A file's text, and how it was encoded."""

    text: str
    mark: bytes
    """The byte order mark, or nothing."""
    encoding: str

    def encode(self, text: str) -> bytes:
        """Another text, encoded as this file's was."""
        return self.mark + text.encode(self.encoding)


def decode(data: bytes, source: str) -> Text:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark (YAML 1.1, section 5.2)."""
    mark, encoding = b"", "utf-8"
    for known, its_mark in _MARKS.items():
        if data.startswith(its_mark):
            mark, encoding = its_mark, known
    body = data[len(mark) :]
    try:
        return Text(body.decode(encoding), mark, encoding)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(encoding)
        reason = f"not {encoding.upper()} text: {error.reason}"
        raise fault_at(before, len(before), reason, source) from error


class _Guard:
    """What both loaders do while nodes are composed: PyYAML calls these methods for every node."""

    _open = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        self._open += 1
        # Before the composer, which is recursive in C, goes so deep that the stack runs out.
        if self._open > MAX_DEPTH + 1:
            raise too_deep(current_node)

    def ascend_resolver(self) -> None:
        self._open -= 1

    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return plain_tag(value) if implicit[0] else STR
        return MAP if kind is yaml.MappingNode else SEQ


class SlowLoader(_Guard, yaml.SafeLoader):
    """In Python, where PyYAML was built without libyaml."""

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        if _SURROGATE.search(node.value):  # libyaml refuses these by itself
            raise refusal("half of a surrogate pair is no character", node)
        return node


if TYPE_CHECKING or yaml.__with_libyaml__:

    class FastLoader(_Guard, yaml.CSafeLoader):
        """On libyaml."""

    Loader: TypeAlias = FastLoader | SlowLoader
    LOADER: type[Loader] = FastLoader
else:
    LOADER = Loader = SlowLoader


@contextmanager
def loading(text: str, source: str) -> Generator[Loader]:
    """A loader of ``text``; what PyYAML raises while it is used becomes FormatError."""
    loader = None
    try:
        loader = LOADER(text)
        yield loader
    except yaml.YAMLError as error:
        raise _format_error(error, text, source) from error
    finally:
        if loader is not None:
            loader.dispose()


def tokens_of(text: str, source: str) -> list[Any]:
    """The tokens of a text, as PyYAML scans them. Raises FormatError."""
    with loading(text, source) as loader:
        return list(iter(cast("Any", loader).get_token, None))


def refusal(reason: str, node: yaml.Node | None) -> yaml.MarkedYAMLError:
    """The error for a node that is no JSON value, of the kind that PyYAML raises."""
    return yaml.MarkedYAMLError(problem=reason, problem_mark=node.start_mark if node else None)


def too_deep(node: yaml.Node | None) -> yaml.MarkedYAMLError:
    """The error for a collection that is within MAX_DEPTH others."""
    return refusal(f"nested deeper than {MAX_DEPTH} levels", node)


def _format_error(error: yaml.YAMLError, text: str, source: str) -> FormatError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        if mark is None:
            return FormatError(reason, source=source)
        return FormatError(reason, source=source, line=mark.line + 1, column=mark.column + 1)
    # libyaml tells the offset of a character that it refuses in bytes, and its line not at all.
    found = _CONTROL.search(text)
    reason = "control characters are not allowed"
    return fault_at(text, found.start() if found else 0, reason, source)
