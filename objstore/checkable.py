"""The contract of Documents that can tell whether what they keep is whole."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .errors import Failure


@runtime_checkable
class Checkable(Protocol):
    """Documents that can tell whether what they keep is whole."""

    def check(self) -> list[Failure]:
        """Everything that is not as it was written, each with its file and byte.

        Of the backing's own files and of commits that are not where they should be; whether
        contents fit a schema is the Store's to check. Writes nothing, and holds up no writer.
        Edits that somebody made to the files are no failures.
        """
        ...

    def survey(self, path: str) -> tuple[list[str], list[Failure]]:
        """A directory's keys, and which of them more than one file is there for.

        ``keys`` raises LayoutError for the first of those, and leaves out keys under whose file's
        name is what is no file, as a pipe; they are here. Raises what it does for the rest.
        """
        ...
