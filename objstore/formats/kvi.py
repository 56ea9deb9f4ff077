"""KVI, selkie's indented key-value text: ``.kvi``. See docs/formats/kvi.md."""

from __future__ import annotations

from typing import Final

from ..values import JSON
from ._kvi_edit import edit_lines
from ._kvi_read import read_nodes, split_lines
from ._kvi_write import Layout, check
from ._text import check_size, decode, newline_of, split_bom

__all__ = ["dump", "edit", "parse", "read_kvi"]

_LAYOUT: Final = Layout()


def read_kvi(text: str) -> JSON:
    """The dict or list that a text in KVI describes.

    Raises FormatError with line and column.
    """
    return _contents(text.removeprefix("\ufeff"), "text")


def parse(data: bytes, source: str) -> JSON:
    """The contents of a KVI file: a dict or a list; a file without entries is an empty dict.

    Raises FormatError with line and column.
    """
    check_size(data, source)
    _, body = split_bom(data)
    return _contents(decode(body, source), source)


def _contents(text: str, source: str) -> JSON:
    value: JSON = read_nodes([line for line, _ in split_lines(text)], source).value
    return value


def dump(value: JSON, source: str) -> bytes:
    """A new file: indented by two spaces, a newline at the end of each line.

    Raises FormatError with the pointer of what KVI cannot hold: keys with whitespace or that start
    with no letter, strings of several lines, anything but a dict or a list that is not empty as a
    whole, and what JSON cannot hold either.
    """
    check(value, source)
    return "".join(f"{line}\n" for line in _LAYOUT.file(value)).encode()


def edit(data: bytes, old: JSON, new: JSON, source: str) -> bytes:
    """The file ``data``, whose contents are ``old``, changed so that they are ``new``.

    Keeps comments, blank lines and every line of what did not change. Raises FormatError with the
    pointer of what KVI cannot hold.
    """
    if new is old:
        return data
    check(new, source)
    bom, body = split_bom(data)
    text = decode(body, source)
    lines = split_lines(text)
    # What changed is told by the file itself, for it is read anyway to know where things stand.
    root = read_nodes([line for line, _ in lines], source)
    edited = "".join(edit_lines(_whole(lines, text), root, new, newline_of(text)))
    if lines and edited and not lines[-1][1].endswith("\n"):
        edited = edited.removesuffix("\n").removesuffix("\r") + lines[-1][1]
    return bom + edited.encode()


def _whole(lines: list[tuple[str, str]], text: str) -> list[str]:
    """The lines with their endings, the last one too, for others may come behind it."""
    whole = [line + ending for line, ending in lines]
    if lines and not lines[-1][1].endswith("\n"):
        whole[-1] = lines[-1][0] + newline_of(text)
    return whole
