"""JSON (RFC 8259): ``.json``. See docs/formats/json.md."""

from __future__ import annotations

from ..errors import FormatError
from ..values import JSON, is_array, is_object, same
from . import _json_write
from ._json_edit import NotAsExpectedError, edit_text, rewrite_text
from ._json_read import LARGE, collector_paused, has_contents, read
from ._text import MAX_SIZE, check_contents, decode, split_bom

__all__ = ["MAX_SIZE", "dump", "edit", "parse"]


def parse(data: bytes, source: str) -> JSON:
    """The contents of a JSON file, exact: integers of any size, keys in their order.

    Raises FormatError with line and column for what RFC 8259 does not allow, and for keys that come
    twice, numbers out of a float's range, halves of surrogate pairs, containers nested deeper than
    MAX_DEPTH, and files above MAX_SIZE.
    """
    return read(data, source)


def dump(value: JSON, source: str) -> bytes:
    """A new file: indented by two spaces, keys in their order, a newline at the end.

    Raises FormatError with the pointer of what JSON cannot hold.
    """
    return _json_write.dump(value, source)


def edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

    Only the lines of what changed are others, and they are in the file's own style. Raises
    FormatError with the pointer of what JSON cannot hold.
    """
    if data == _json_write.dump_known(old):
        return _json_write.dump(new, source, known=old)
    if len(data) < LARGE:
        return _edit(data, old, new, source)
    with collector_paused():
        return _edit(data, old, new, source)


def _edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    bom, body = split_bom(data)
    text = decode(body, source)
    result = _try_edit(text, old, new, regular=True)
    if result is None:
        # Either there is something that JSON cannot hold,
        check_contents(new, source)
        # or the text is not regular, or ``old`` has its keys in another order,
        result = _try_edit(text, read(data, source), new, regular=False)
    if result is None:
        # or the text is too odd.
        result = rewrite_text(text, new).encode()
    return bom + result


def _try_edit(text: str, old: JSON, new: JSON, *, regular: bool) -> bytes | None:
    """The edited text, if it was found to have the contents ``new``."""
    try:
        result = edit_text(text, old, new, regular=regular).encode()
    except (NotAsExpectedError, UnicodeEncodeError):
        return None
    return result if has_contents(result, new) or _is_read_as(result, new) else None


def _is_read_as(data: bytes, value: JSON) -> bool:
    """Whether the file's contents are ``value``, order of keys included: the slow, sure way."""
    try:
        contents = read(data, "")
    except FormatError:
        return False
    return same(contents, value) and _in_order(contents, value)


def _in_order(value: object, other: object) -> bool:
    if is_object(value) and is_object(other):
        return list(value) == list(other) and all(map(_in_order, value.values(), other.values()))
    if is_array(value) and is_array(other):
        return all(map(_in_order, value, other))
    return True
