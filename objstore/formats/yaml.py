"""YAML (version 1.1, as PyYAML reads it): ``.yaml`` and ``.yml``. See docs/formats/yaml.md."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from itertools import chain

from ..errors import FormatError
from ..values import JSON, same
from ._json_read import LARGE, collector_paused
from ._text import check_contents, check_size
from ._yaml_like import style_of
from ._yaml_load import Text, decode
from ._yaml_read import read
from ._yaml_spans import edited_texts, with_end
from ._yaml_splices import NotBySpanError
from ._yaml_tree import Document, compose
from ._yaml_write import Style

__all__ = ["dump", "edit", "parse"]


def parse(data: bytes, source: str) -> JSON:
    """The contents of a YAML file of one document; ``{}`` for an empty one.

    Raises FormatError with line and column for what YAML does not allow and for what is no JSON
    value: tags other than those of JSON's types, keys that are no scalars or come twice, infinity
    and NaN, aliases within what they stand for or that expand to too much, several documents, and
    collections nested deeper than MAX_DEPTH.
    """
    check_size(data, source)
    with _unhindered(data):
        return read(decode(data, source).text, source)


def dump(value: JSON, source: str) -> bytes:
    """A new file: block style, indented by two spaces, keys in their order.

    Raises FormatError with the pointer of what is no JSON value.
    """
    check_contents(value, source)
    return _dumped(value).encode()


def edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

    Comments, order, quotes, anchors, blank lines and indentation stay: docs/formats/yaml.md says
    how. Where comments cannot stay there is a UserWarning. Raises FormatError with the pointer of
    what is no JSON value.
    """
    check_contents(new, source)
    if same(old, new):
        return data
    with _unhindered(data):
        return _edited(decode(data, source), old, new, source)


def _unhindered(data: bytes) -> AbstractContextManager[None]:
    # All tokens and nodes are there at once, so that collecting garbage takes most of the time.
    return collector_paused() if len(data) >= LARGE else nullcontext()


def _edited(file: Text, old: JSON, new: JSON, source: str) -> bytes:
    document = compose(with_end(file.text), source)
    ways = (_by_spans(file.text, document, old, new), _by_ruamel(file.text, document, old, new))
    for text in chain.from_iterable(ways):
        if _holds(text, new, source):
            return file.encode(text)
    if document.commented:
        _warn(source)
    return file.encode(_dumped(new))


def _dumped(value: JSON) -> str:
    return "\n".join([*Style().document(value), ""])


def _by_spans(text: str, document: Document, old: JSON, new: JSON) -> Iterator[str]:
    with suppress(NotBySpanError):
        yield from edited_texts(text, document, old, new)


def _by_ruamel(text: str, document: Document, old: JSON, new: JSON) -> Iterator[str]:
    if _has_ruamel():
        rewrite = import_module("._yaml_ruamel", __package__).rewrite
        yield from rewrite(text, style_of(document), old, new)


def _has_ruamel() -> bool:
    try:
        import_module("ruamel.yaml")
    except ModuleNotFoundError:
        return False
    return True


def _holds(text: str, value: JSON, source: str) -> bool:
    try:
        return same(read(text, source), value)
    except FormatError:
        return False


def _warn(source: str) -> None:
    advice = "they can with `pip install objstore[yaml]`"
    if _has_ruamel():
        advice = "this change cannot be made in its text"
    warnings.warn(f"{source}: comments could not be kept; {advice}", UserWarning, stacklevel=4)
