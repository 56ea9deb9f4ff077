"""Which files were really opened, by the interpreter's own account."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class OpenedFiles:
    """The names of the files in a folder that this process opened since this was made.

    Python raises the audit event ``open`` for every file that is opened (PEP 578), so nothing that
    reads a file can hide from this.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, None] = {}
        sys.addaudithook(self._hear)

    @property
    def names(self) -> list[str]:
        """Each file once, in the order of its first opening."""
        return list(self._names)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        path = arguments[0] if event == "open" else None
        if isinstance(path, str) and os.path.dirname(path) == self._folder:
            self._names[os.path.basename(path)] = None
