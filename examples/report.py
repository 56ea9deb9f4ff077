"""Plain text reports for a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from objstore import ObjstoreError

_LABEL = 30


def section(title: str) -> None:
    """Start a part of the report."""
    print(f"\n{title}\n{'-' * len(title)}")


def line(text: str) -> None:
    """One line of a part."""
    print(f"  {text}")


def fact(label: str, value: str | list[str]) -> None:
    """A value with its label; what is in a list, separated by commas."""
    text = (", ".join(value) or "none") if isinstance(value, list) else value
    line(f"{label:<{_LABEL}} {text}")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns below a header."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        padded = map(str.ljust, cells, widths)
        line("  ".join(padded).rstrip())


def diff(name: str, before: str, after: str) -> None:
    """What changed in a file, as ``git diff`` shows it with no lines around."""
    for text in difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", n=0, lineterm=""
    ):
        line(text)


@contextmanager
def refused(kind: type[ObjstoreError]) -> Generator[None]:
    """Show the error that the block raises, and go on."""
    try:
        yield
    except kind as error:
        for text in str(error).splitlines():
            line(f"{kind.__name__}: {text}")
    else:
        line(f"no {kind.__name__}: that should have been refused")
